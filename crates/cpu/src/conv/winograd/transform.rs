//! The transforms of Winograd's F(4x4, 3x3) on vectors, compiled for each instruction set: tiles side by side, or channels
//! side by side. Knows no threads and no convolution.
//!
//! The polynomials are evaluated at 0, ±√½, ±√2 and infinity. With the usual points 0, ±1, ±2 the largest error is some ten
//! times that of a direct sum; with these it is twice that. With `a = √½` and `b = √2`:
//!
//! ```text
//!      ⎡ 1   0  -5/2   0   1   0 ⎤       ⎡   1     0    0  ⎤        ⎡ 1   1    1    1    1  0 ⎤
//!      ⎢ 0  -b   -2    a   1   0 ⎥       ⎢ -2/3 -2a/3 -1/3 ⎥   Aᵀ = ⎢ 0   a   -a    b   -b  0 ⎥
//! Bᵀ = ⎢ 0   b   -2   -a   1   0 ⎥   G = ⎢ -2/3  2a/3 -1/3 ⎥        ⎢ 0   ½    ½    2    2  0 ⎥
//!      ⎢ 0  -a   -½    b   1   0 ⎥       ⎢  1/6   b/6  1/3 ⎥        ⎣ 0  a/2 -a/2  2b  -2b  1 ⎦
//!      ⎢ 0   a   -½   -b   1   0 ⎥       ⎢  1/6  -b/6  1/3 ⎥
//!      ⎣ 0   1    0  -5/2  0   1 ⎦       ⎣   0     0    1  ⎦
//! ```

use crate::conv::matrix::{Matrix, both, plus, times};
use crate::lanes::{Lanes, best};
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Lines and columns of results of a tile.
pub(crate) const TILE: usize = 4;

/// Lines and columns of a transformed tile.
const SIDE: usize = 6;

/// Values of a transformed tile.
pub(crate) const PLACES: usize = SIDE * SIDE;

/// Floats that may be read or written behind a range, so that every vector is whole.
pub(crate) const SLACK: usize = 16;

/// Lines that lie at regular distances.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    /// Where the first begins.
    pub(crate) at: usize,
    /// From one to the next.
    pub(crate) step: usize,
}

impl Lines {
    fn holds(self, count: usize, len: usize, floats: usize) -> bool {
        count == 0 || self.at + (count - 1) * self.step + len <= floats
    }
}

best! {
    /// Copies `count` lines of `len` floats into a larger plane, and zeros behind each as far as the last vector reaches.
    fn spread_lines(from: (&[f32], Lines), to: (&mut [f32], Lines), count: usize, len: usize) = spread_lines_of
}

#[inline(always)]
unsafe fn spread_lines_of<V: Lanes>(
    (from, source): (&[f32], Lines),
    (to, target): (&mut [f32], Lines),
    count: usize,
    len: usize,
) {
    let room = len.next_multiple_of(V::LEN);
    assert!(source.holds(count, len, from.len()) && target.holds(count, room, to.len()));
    for line in 0..count {
        // SAFETY: every line lies in its slice, and whole vectors in the target.
        unsafe {
            let from = from.as_ptr().add(source.at + line * source.step);
            let to = to.as_mut_ptr().add(target.at + line * target.step);
            for i in (0..len / V::LEN * V::LEN).step_by(V::LEN) {
                V::load(from.add(i)).store(to.add(i));
            }
            if len < room {
                let i = room - V::LEN;
                V::load_first(from.add(i), len - i).store(to.add(i));
            }
        }
    }
}

best! {
    /// Copies lines of `len` floats to `to`, one behind the other until it is full: those of each of `from` in turns, where
    /// they are `across` floats apart.
    fn gather_lines(from: [&[f32]; TILE], across: usize, to: &mut [f32], len: usize) = gather_lines_of
}

#[inline(always)]
unsafe fn gather_lines_of<V: Lanes>(
    from: [&[f32]; TILE],
    across: usize,
    to: &mut [f32],
    len: usize,
) {
    let (count, room) = (to.len() / len, len.next_multiple_of(V::LEN));
    let last = count.saturating_sub(1) / TILE * across + room;
    assert!(from.iter().all(|f| last <= f.len()));
    for line in 0..count {
        let at = line * len;
        // SAFETY: whole vectors lie in the source, and those that do not fit the target are cut.
        unsafe {
            let from = from[line % TILE].as_ptr().add(line / TILE * across);
            let out = to.as_mut_ptr().add(at);
            for i in (0..len).step_by(V::LEN) {
                // What is written beyond the line is written again by the next.
                if at + i + V::LEN <= to.len() {
                    V::load(from.add(i)).store(out.add(i));
                } else {
                    let n = len - i;
                    V::load(from.add(i)).store_first(out.add(i), n.min(V::LEN));
                }
            }
        }
    }
}

/// The `N` by `N` vectors at `p`, lines `line` and columns `step` apart.
#[inline(always)]
unsafe fn load<V: Lanes, const N: usize>(p: *const f32, line: usize, step: usize) -> [[V; N]; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut d = [[V::splat(0.0); N]; N];
        for (i, d) in d.iter_mut().enumerate() {
            for (j, d) in d.iter_mut().enumerate() {
                *d = V::load(p.add(i * line + j * step));
            }
        }
        d
    }
}

/// Writes vectors to places `plane` apart.
#[inline(always)]
unsafe fn store<V: Lanes, const N: usize>(v: [[V; N]; N], p: *mut f32, plane: usize) {
    for (i, v) in v.into_iter().enumerate() {
        for (j, v) in v.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { v.store(p.add((N * i + j) * plane)) };
        }
    }
}

/// `Bᵀ`.
struct Input;

impl Matrix<SIDE, SIDE> for Input {
    #[inline(always)]
    unsafe fn times<V: Lanes>(d: [V; SIDE]) -> [V; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            let even = plus(d[4], -2.0, d[2]);
            let odd = plus(times(-SQRT_2, d[1]), FRAC_1_SQRT_2, d[3]);
            let even_2 = plus(d[4], -0.5, d[2]);
            let odd_2 = plus(times(-FRAC_1_SQRT_2, d[1]), SQRT_2, d[3]);
            [
                plus(d[0].add(d[4]), -2.5, d[2]),
                even.add(odd),
                even.sub(odd),
                even_2.add(odd_2),
                even_2.sub(odd_2),
                plus(d[1].add(d[5]), -2.5, d[3]),
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
            let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (sum_2, difference_2) = (m[3].add(m[4]), m[3].sub(m[4]));
            [
                m[0].add(sum).add(sum_2),
                plus(times(FRAC_1_SQRT_2, difference), SQRT_2, difference_2),
                plus(times(0.5, sum), 2.0, sum_2),
                plus(
                    plus(m[5], FRAC_1_SQRT_2 / 2.0, difference),
                    2.0 * SQRT_2,
                    difference_2,
                ),
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
            let even = plus(y[0], 0.5, y[2]);
            let odd = plus(times(FRAC_1_SQRT_2, y[1]), FRAC_1_SQRT_2 / 2.0, y[3]);
            let even_2 = plus(y[0], 2.0, y[2]);
            let odd_2 = plus(times(SQRT_2, y[1]), 2.0 * SQRT_2, y[3]);
            [
                y[0],
                even.add(odd),
                even.sub(odd),
                even_2.add(odd_2),
                even_2.sub(odd_2),
                y[3],
            ]
        }
    }
}

/// `Gᵀ`.
struct Taps;

impl Matrix<SIDE, 3> for Taps {
    #[inline(always)]
    unsafe fn times<V: Lanes>(u: [V; SIDE]) -> [V; 3] {
        // SAFETY: the caller's.
        unsafe {
            let (sum, difference) = (u[1].add(u[2]), u[1].sub(u[2]));
            let (sum_2, difference_2) = (u[3].add(u[4]), u[3].sub(u[4]));
            [
                plus(plus(u[0], -2.0 / 3.0, sum), 1.0 / 6.0, sum_2),
                plus(
                    times(-2.0 / 3.0 * FRAC_1_SQRT_2, difference),
                    SQRT_2 / 6.0,
                    difference_2,
                ),
                plus(u[5], 1.0 / 3.0, sum_2.sub(sum)),
            ]
        }
    }
}

best! {
    /// `Bᵀ d B` of `n` tiles side by side. Line `i` of tile `p` is at `lines[i % 4][4 * p + i / 4 * across..]`, four columns
    /// of it, and the two after these at the same place of `shifted`; place `t` of tile `p` goes to `out[t * plane + p]`,
    /// garbage to as many more as fill a vector.
    fn input(lines: [&[f32]; TILE], shifted: [&[f32]; TILE], across: usize, n: usize, out: &mut [f32], plane: usize) = input_of
}

/// Columns `j`, `4 + j`, `8 + j` and so on of the line at `p`.
#[inline(always)]
unsafe fn columns<V: Lanes>(p: *const f32) -> [V; TILE] {
    // SAFETY: the caller's.
    unsafe {
        let (even, odd) = V::load(p).deinterleave(V::load(p.add(V::LEN)));
        let p = p.add(2 * V::LEN);
        let (even_2, odd_2) = V::load(p).deinterleave(V::load(p.add(V::LEN)));
        let ((a, c), (b, d)) = (even.deinterleave(even_2), odd.deinterleave(odd_2));
        [a, b, c, d]
    }
}

#[inline(always)]
unsafe fn input_of<V: Lanes>(
    lines: [&[f32]; TILE],
    shifted: [&[f32]; TILE],
    across: usize,
    n: usize,
    out: &mut [f32],
    plane: usize,
) {
    let room = n.next_multiple_of(V::LEN);
    let reads = TILE * room + across;
    let holds = |lines: &[&[f32]; TILE]| lines.iter().all(|l| reads <= l.len());
    assert!(
        holds(&lines) && holds(&shifted) && (PLACES - 1) * plane + room <= out.len(),
        "tiles out of bounds"
    );
    for p in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie in all slices, and a line of tiles more in the inputs.
        unsafe {
            let mut d = [[V::splat(0.0); SIDE]; SIDE];
            for (i, d) in d.iter_mut().enumerate() {
                let at = TILE * p + i / TILE * across;
                let first = columns::<V>(lines[i % TILE].as_ptr().add(at));
                let last = columns::<V>(shifted[i % TILE].as_ptr().add(at));
                d[..TILE].copy_from_slice(&first);
                d[TILE..].copy_from_slice(&last[..2]);
            }
            store(
                both::<Input, V, SIDE, SIDE>(d),
                out.as_mut_ptr().add(p),
                plane,
            );
        }
    }
}

best! {
    /// `Aᵀ m A` of `n` tiles side by side: place `t` of tile `p` at `m[t * plane + p]`. Of its four lines of four values line
    /// `i` goes to `out[i][4 * p..]`, garbage to as many more as fill a vector.
    fn output(m: &[f32], plane: usize, n: usize, out: [&mut [f32]; TILE]) = output_of
}

#[inline(always)]
unsafe fn output_of<V: Lanes>(m: &[f32], plane: usize, n: usize, mut out: [&mut [f32]; TILE]) {
    let room = n.next_multiple_of(V::LEN);
    assert!(
        (PLACES - 1) * plane + room <= m.len() && out.iter().all(|o| TILE * room <= o.len()),
        "tiles out of bounds"
    );
    for p in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie in all slices.
        unsafe {
            let m = load::<V, SIDE>(m.as_ptr().add(p), SIDE * plane, plane);
            let y = both::<Output, V, SIDE, TILE>(m);
            for (y, out) in y.into_iter().zip(&mut out) {
                let (even, even_2) = y[0].interleave(y[2]);
                let (odd, odd_2) = y[1].interleave(y[3]);
                let ((a, b), (c, d)) = (even.interleave(odd), even_2.interleave(odd_2));
                for (i, v) in [a, b, c, d].into_iter().enumerate() {
                    v.store(out.as_mut_ptr().add(TILE * p + i * V::LEN));
                }
            }
        }
    }
}

best! {
    /// `Bᵀ d B` of `n` tiles of a line, channels side by side: pixel `(i, 4 * p + j)` of `pixels`, whose lines are `line`
    /// floats apart, has `channels` channels, a whole number of vectors. Place `t` of tile `p` goes to
    /// `out[t * plane + p * channels..]`.
    fn input_channels(pixels: &[f32], line: usize, channels: usize, n: usize, out: &mut [f32], plane: usize) = input_channels_of
}

#[inline(always)]
unsafe fn input_channels_of<V: Lanes>(
    pixels: &[f32],
    line: usize,
    channels: usize,
    n: usize,
    out: &mut [f32],
    plane: usize,
) {
    // SAFETY: the caller's.
    unsafe { channels_of::<Input, V, SIDE>((pixels, line), channels, n, (out, plane)) }
}

/// Transforms `n` tiles of `N` by `N` pixels of a line, which begin [`TILE`] pixels apart.
#[inline(always)]
unsafe fn channels_of<T: Matrix<N, SIDE>, V: Lanes, const N: usize>(
    (pixels, line): (&[f32], usize),
    channels: usize,
    n: usize,
    (out, plane): (&mut [f32], usize),
) {
    assert!(
        channels.is_multiple_of(V::LEN)
            && (N - 1) * line + (TILE * n + N - TILE) * channels <= pixels.len()
            && (PLACES - 1) * plane + n * channels <= out.len(),
        "tiles out of bounds"
    );
    for p in 0..n {
        for c in (0..channels).step_by(V::LEN) {
            // SAFETY: the pixels of every tile and the places of its transform lie in the slices.
            unsafe {
                let pixels = pixels.as_ptr().add(TILE * p * channels + c);
                let d = load::<V, N>(pixels, line, channels);
                let out = out.as_mut_ptr().add(p * channels + c);
                store(both::<T, V, N, SIDE>(d), out, plane);
            }
        }
    }
}

best! {
    /// `A y Aᵀ` of `n` tiles of four by four pixels of a line, channels side by side, as [`input_channels`] says.
    fn upstream_channels(pixels: &[f32], line: usize, channels: usize, n: usize, out: &mut [f32], plane: usize) = upstream_channels_of
}

#[inline(always)]
unsafe fn upstream_channels_of<V: Lanes>(
    pixels: &[f32],
    line: usize,
    channels: usize,
    n: usize,
    out: &mut [f32],
    plane: usize,
) {
    // SAFETY: the caller's.
    unsafe { channels_of::<Upstream, V, TILE>((pixels, line), channels, n, (out, plane)) }
}

best! {
    /// `Gᵀ u G` of `n` transformed taps side by side, a whole number of vectors: place `t` of one at `u[t * plane + p]`, tap
    /// `t` goes to `out[t * row + p]`.
    fn taps(u: &[f32], plane: usize, n: usize, out: &mut [f32], row: usize) = taps_of
}

#[inline(always)]
unsafe fn taps_of<V: Lanes>(u: &[f32], plane: usize, n: usize, out: &mut [f32], row: usize) {
    assert!(
        n.is_multiple_of(V::LEN) && (PLACES - 1) * plane + n <= u.len() && 8 * row + n <= out.len(),
        "taps out of bounds"
    );
    for p in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie in both slices.
        unsafe {
            let u = load::<V, SIDE>(u.as_ptr().add(p), SIDE * plane, plane);
            store(both::<Taps, V, SIDE, 3>(u), out.as_mut_ptr().add(p), row);
        }
    }
}

/// Filters that are transformed together.
pub(crate) const FILTERS: usize = 16;

best! {
    /// `G w Gᵀ` of the first `n` of some filters of three by three taps, `w[t]` being tap `t` of each. Place `t` of filter
    /// `i` goes to `out[t * plane + i]`.
    fn filters(w: &[[f32; FILTERS]; 9], n: usize, out: &mut [f32], plane: usize) = filters_of
}

/// `G`.
struct Filter;

impl Matrix<3, SIDE> for Filter {
    #[inline(always)]
    unsafe fn times<V: Lanes>(w: [V; 3]) -> [V; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            let even = plus(times(-2.0 / 3.0, w[0]), -1.0 / 3.0, w[2]);
            let even_2 = plus(times(1.0 / 6.0, w[0]), 1.0 / 3.0, w[2]);
            let odd = times(-2.0 / 3.0 * FRAC_1_SQRT_2, w[1]);
            let odd_2 = times(SQRT_2 / 6.0, w[1]);
            [
                w[0],
                even.add(odd),
                even.sub(odd),
                even_2.add(odd_2),
                even_2.sub(odd_2),
                w[2],
            ]
        }
    }
}

#[inline(always)]
unsafe fn filters_of<V: Lanes>(w: &[[f32; FILTERS]; 9], n: usize, out: &mut [f32], plane: usize) {
    assert!(
        n <= FILTERS && (PLACES - 1) * plane + n <= out.len(),
        "filters out of bounds"
    );
    for at in (0..n).step_by(V::LEN) {
        // SAFETY: whole vectors lie in `w`, and of those of the result as many lanes are written as there are filters.
        unsafe {
            let mut d = [[V::splat(0.0); 3]; 3];
            for (t, w) in w.iter().enumerate() {
                d[t / 3][t % 3] = V::load(w.as_ptr().add(at));
            }
            let u = both::<Filter, V, 3, SIDE>(d);
            for (t, u) in u.as_flattened().iter().enumerate() {
                let out = out.as_mut_ptr().add(t * plane + at);
                u.store_first(out, (n - at).min(V::LEN));
            }
        }
    }
}
