//! The transforms of Winograd's F(4x4, 2x2) on vectors, compiled for each instruction set. Knows no threads and no convolution.
//!
//! The polynomials are evaluated at 0, -1, ½, 3/2 and infinity. With these points the largest error is some two times that of a
//! direct sum, for taps three times; with 0, ±1, 2 more than three.
//!
//! ```text
//!      ⎡ 3/4 -5/4  -1   1   0 ⎤       ⎡  4/3    0  ⎤        ⎡ 1   1   1    1   0 ⎤
//!      ⎢  0   3/4  -2   1   0 ⎥       ⎢ -4/15  4/15⎥   Aᵀ = ⎢ 0  -1   ½   3/2  0 ⎥
//! Bᵀ = ⎢  0  -3/2  -½   1   0 ⎥   G = ⎢ -4/3  -2/3 ⎥        ⎢ 0   1   ¼   9/4  0 ⎥
//!      ⎢  0   -½    ½   1   0 ⎥       ⎢  4/15  2/5 ⎥        ⎣ 0  -1   ⅛  27/8  1 ⎦
//!      ⎣  0   3/4 -5/4 -1   1 ⎦       ⎣   0     1  ⎦
//! ```
//!
//! With a single tap the last place of a line is zero, and is left out.

use crate::conv::matrix::{Matrix, both, plus, times};
use crate::lanes::{Lanes, best};
use std::marker::PhantomData;

/// Lines and columns of results of a tile.
pub(super) const TILE: usize = 4;

/// Lines and columns of a transformed tile.
pub(super) const SIDE: usize = 5;

/// Values of a transformed tile.
pub(crate) const PLACES: usize = SIDE * SIDE;

/// Lines and columns of taps.
pub(super) const TAPS: usize = 2;

/// Filters that are transformed together.
pub(super) const FILTERS: usize = 16;

/// `Bᵀ`.
struct Input;

impl Matrix<SIDE, SIDE> for Input {
    #[inline(always)]
    unsafe fn times<V: Lanes>(d: [V; SIDE]) -> [V; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            let (less, last) = (d[3].sub(d[2]), d[4].sub(d[3]));
            [
                plus(plus(less, -1.25, d[1]), 0.75, d[0]),
                plus(plus(d[3], -2.0, d[2]), 0.75, d[1]),
                plus(plus(d[3], -0.5, d[2]), -1.5, d[1]),
                plus(plus(d[3], 0.5, d[2]), -0.5, d[1]),
                plus(plus(last, -1.25, d[2]), 0.75, d[1]),
            ]
        }
    }
}

/// `Aᵀ`.
struct Output;

impl Matrix<SIDE, TILE> for Output {
    #[inline(always)]
    unsafe fn times<V: Lanes>(m: [V; SIDE]) -> [V; TILE] {
        // SAFETY: the caller's.
        unsafe {
            [
                m[0].add(m[1]).add(m[2].add(m[3])),
                plus(times(0.5, m[2]).sub(m[1]), 1.5, m[3]),
                plus(plus(m[1], 0.25, m[2]), 2.25, m[3]),
                plus(plus(m[4].sub(m[1]), 0.125, m[2]), 3.375, m[3]),
            ]
        }
    }
}

/// `A`.
struct Upstream;

impl Matrix<TILE, SIDE> for Upstream {
    #[inline(always)]
    unsafe fn times<V: Lanes>(y: [V; TILE]) -> [V; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            [
                y[0],
                y[0].sub(y[1]).add(y[2].sub(y[3])),
                plus(plus(plus(y[0], 0.5, y[1]), 0.25, y[2]), 0.125, y[3]),
                plus(plus(plus(y[0], 1.5, y[1]), 2.25, y[2]), 3.375, y[3]),
                y[3],
            ]
        }
    }
}

/// `G`.
struct Filter;

impl Matrix<TAPS, SIDE> for Filter {
    #[inline(always)]
    unsafe fn times<V: Lanes>(w: [V; TAPS]) -> [V; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            [
                times(4.0 / 3.0, w[0]),
                times(4.0 / 15.0, w[1].sub(w[0])),
                plus(times(-4.0 / 3.0, w[0]), -2.0 / 3.0, w[1]),
                plus(times(4.0 / 15.0, w[0]), 0.4, w[1]),
                w[1],
            ]
        }
    }
}

/// `Gᵀ`.
struct Taps;

impl Matrix<SIDE, TAPS> for Taps {
    #[inline(always)]
    unsafe fn times<V: Lanes>(u: [V; SIDE]) -> [V; TAPS] {
        // SAFETY: the caller's.
        unsafe {
            let (ends, others) = (u[0].sub(u[2]), u[3].sub(u[1]));
            [
                plus(times(4.0 / 3.0, ends), 4.0 / 15.0, others),
                plus(
                    plus(plus(u[4], 4.0 / 15.0, u[1]), -2.0 / 3.0, u[2]),
                    0.4,
                    u[3],
                ),
            ]
        }
    }
}

/// What is not read or written.
pub(super) const NOWHERE: usize = usize::MAX;

/// Floats that are written, some of which may be others' to write.
#[derive(Clone, Copy)]
pub(super) struct Target<'m> {
    at: *mut f32,
    len: usize,
    memory: PhantomData<&'m mut [f32]>,
}

impl<'m> Target<'m> {
    /// # Safety
    /// There are `len` floats at `at`, and nobody else touches those that are written.
    pub(super) unsafe fn shared(at: *mut f32, len: usize) -> Target<'m> {
        Target {
            at,
            len,
            memory: PhantomData,
        }
    }
}

impl<'m> From<&'m mut [f32]> for Target<'m> {
    fn from(floats: &'m mut [f32]) -> Target<'m> {
        Target {
            at: floats.as_mut_ptr(),
            len: floats.len(),
            memory: PhantomData,
        }
    }
}

/// Where the values of a tile lie: some places of `offsets`, `N` by `N`.
#[inline(always)]
unsafe fn load<V: Lanes, const N: usize>(p: *const f32, offsets: &[usize]) -> [[V; N]; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut d = [[V::splat(0.0); N]; N];
        for i in 0..N {
            for j in 0..N {
                d[i][j] = V::load(p.add(offsets[N * i + j]));
            }
        }
        d
    }
}

/// Writes vectors to those places that are somewhere.
#[inline(always)]
unsafe fn store<V: Lanes, const N: usize>(v: [[V; N]; N], p: *mut f32, offsets: &[usize]) {
    for i in 0..N {
        for j in 0..N {
            let at = offsets[N * i + j];
            if at != NOWHERE {
                // SAFETY: the caller's.
                unsafe { v[i][j].store(p.add(at)) };
            }
        }
    }
}

/// `T d Tᵀ` of `n` tiles side by side, a whole number of vectors.
#[inline(always)]
unsafe fn all<T: Matrix<N, M>, V: Lanes, const N: usize, const M: usize>(
    (from, reads): (&[f32], &[usize]),
    n: usize,
    (to, writes): (Target<'_>, &[usize]),
) {
    let furthest = |offsets: &[usize]| {
        let inside = offsets.iter().filter(|&&at| at != NOWHERE);
        inside.max().map_or(0, |&at| at + n)
    };
    assert!(
        n.is_multiple_of(V::LEN)
            && reads.len() == N * N
            && writes.len() == M * M
            && reads.iter().all(|&at| at != NOWHERE)
            && furthest(reads) <= from.len()
            && furthest(writes) <= to.len,
        "tiles out of bounds"
    );
    for p in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie at all offsets, which is asserted.
        unsafe {
            let d = load::<V, N>(from.as_ptr().add(p), reads);
            store(both::<T, V, N, M>(d), to.at.add(p), writes);
        }
    }
}

/// A transform of `n` tiles that lie side by side: value `i` at `from[reads[i] + tile]`, place `t` goes to
/// `to[writes[t] + tile]`.
macro_rules! transform {
    ($(#[$meta:meta])* $name:ident, $generic:ident, $matrix:ty, $n:expr, $m:expr) => {
        best! {
            $(#[$meta])*
            fn $name(from: (&[f32], &[usize]), n: usize, to: (Target<'_>, &[usize])) = $generic
        }

        #[inline(always)]
        unsafe fn $generic<V: Lanes>(
            from: (&[f32], &[usize]),
            n: usize,
            to: (Target<'_>, &[usize]),
        ) {
            // SAFETY: the caller's.
            unsafe { all::<$matrix, V, { $n }, { $m }>(from, n, to) }
        }
    };
}

transform! {
    /// `Bᵀ d B`.
    input, input_of, Input, SIDE, SIDE
}
transform! {
    /// `Aᵀ m A`.
    output, output_of, Output, SIDE, TILE
}
transform! {
    /// `A y Aᵀ`.
    upstream, upstream_of, Upstream, TILE, SIDE
}
transform! {
    /// `Gᵀ u G`.
    taps, taps_of, Taps, SIDE, TAPS
}

best! {
    /// `G w Gᵀ` of the first `n` of some filters of two by two taps, `w[t]` being tap `t` of each. Place `t` of filter `i` goes
    /// to `out[places[t] + i]`.
    fn filters(w: &[[f32; FILTERS]; TAPS * TAPS], n: usize, out: &mut [f32], places: &[usize; PLACES]) = filters_of
}

#[inline(always)]
unsafe fn filters_of<V: Lanes>(
    w: &[[f32; FILTERS]; TAPS * TAPS],
    n: usize,
    out: &mut [f32],
    places: &[usize; PLACES],
) {
    let fits = |&at: &usize| at == NOWHERE || at + n <= out.len();
    assert!(
        n <= FILTERS && places.iter().all(fits),
        "filters out of bounds"
    );
    for at in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie in `w`, and of those of the result as many lanes are written as there are filters.
        unsafe {
            let d =
                [[0, 1], [2, 3]].map(|line| line.map(|t: usize| V::load(w[t].as_ptr().add(at))));
            let u = both::<Filter, V, TAPS, SIDE>(d);
            for (u, &place) in u.as_flattened().iter().zip(places) {
                if place != NOWHERE {
                    u.store_first(out.as_mut_ptr().add(place + at), (n - at).min(V::LEN));
                }
            }
        }
    }
}
