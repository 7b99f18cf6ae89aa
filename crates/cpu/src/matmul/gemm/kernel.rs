//! The innermost loops: a tile of up to `ROWS` by `2 * LEN` results held in registers while the sum runs, for every
//! number of rows and of vectors, compiled for each instruction set. Knows no matrices and no threads.

use crate::lanes::{Guaranteed, Lanes};

/// Where the vectors of a step of the sum are.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// Step `l` at `l * stride`.
    Strided(usize),
    /// Step `l` at the offset in place `l`.
    Table(*const usize),
}

/// What a tile is computed from. All pointers are to floats.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Length of the sums.
    pub(crate) k: usize,
    /// Left operand, step by step, the `R` values of a step together.
    pub(crate) a: *const f32,
    /// Floats from one step of the left operand to the next.
    pub(crate) a_step: usize,
    /// Right operand.
    pub(crate) b: *const f32,
    /// Where its steps are.
    pub(crate) source: Source,
    /// Result: rows `c_row` apart, columns adjacent.
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// Columns of the result, at most those of the kernel's vectors.
    pub(crate) cols: usize,
    /// Whether to add to the result or to set it.
    pub(crate) add: bool,
}

/// Computes a tile of as many rows and vectors as the kernel was chosen for. Reads `R` floats of `a` and whole
/// vectors of `b` for each step; touches `cols` columns of `c`.
pub(crate) type Kernel = unsafe fn(&Tile);

/// Reads the vectors of `b` at `p`.
#[inline(always)]
unsafe fn vectors<V: Lanes, const W: usize>(p: *const f32) -> [V; W] {
    // SAFETY: the caller's.
    std::array::from_fn(|w| unsafe { V::load(p.add(w * V::LEN)) })
}

#[inline(always)]
unsafe fn step<V: Lanes, const R: usize, const W: usize>(
    acc: &mut [[V; W]; R],
    a: *const f32,
    b: *const f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let b: [V; W] = vectors(b);
        for r in 0..R {
            let x = V::splat(*a.add(r));
            for w in 0..W {
                acc[r][w] = acc[r][w].fma(x, b[w]);
            }
        }
    }
}

/// The tile, as [`Kernel`] says.
#[inline(always)]
unsafe fn tile<V: Lanes, const R: usize, const W: usize>(t: &Tile) {
    // SAFETY: the caller's.
    unsafe {
        for r in 0..R {
            V::prefetch(t.c.wrapping_add(r * t.c_row));
            V::prefetch(t.c.wrapping_add(r * t.c_row + W * V::LEN - 1));
        }
        let mut acc = [[V::splat(0.0); W]; R];
        let mut a = t.a;
        match t.source {
            Source::Strided(stride) => {
                let mut b = t.b;
                for _ in 0..t.k / 2 {
                    step(&mut acc, a, b);
                    step(&mut acc, a.add(t.a_step), b.add(stride));
                    // Behind the last step there need be nothing.
                    a = a.wrapping_add(2 * t.a_step);
                    b = b.wrapping_add(2 * stride);
                }
                if t.k % 2 == 1 {
                    step(&mut acc, a, b);
                }
            }
            Source::Table(table) => {
                for l in 0..t.k {
                    step(&mut acc, a, t.b.add(*table.add(l)));
                    a = a.wrapping_add(t.a_step);
                }
            }
        }
        let last = t.cols - (W - 1) * V::LEN;
        if last == V::LEN {
            for r in 0..R {
                for w in 0..W {
                    let c = t.c.add(r * t.c_row + w * V::LEN);
                    let sum = if t.add {
                        V::load(c).add(acc[r][w])
                    } else {
                        acc[r][w]
                    };
                    sum.store(c);
                }
            }
        } else {
            for r in 0..R {
                for w in 0..W {
                    let c = t.c.add(r * t.c_row + w * V::LEN);
                    let n = if w + 1 == W { last } else { V::LEN };
                    let sum = if t.add {
                        V::load_first(c, n).add(acc[r][w])
                    } else {
                        acc[r][w]
                    };
                    sum.store_first(c, n);
                }
            }
        }
    }
}

/// The kernels of an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// Floats in a vector.
    pub(crate) lanes: usize,
    /// By number of rows less one, then by number of vectors less one.
    pub(crate) tiles: &'static [[Kernel; 2]],
}

/// A module with the kernels of one instruction set: `kernels! { name, Lanes, [features], [rows…] }`.
macro_rules! kernels {
    ($name:ident, $lanes:ty, [$(#[$feature:meta])?], [$($rows:literal)*]) => {
        mod $name {
            use super::*;
            $(#[$feature])?
            unsafe fn run<const R: usize, const W: usize>(t: &Tile) {
                // SAFETY: the caller's.
                unsafe { tile::<$lanes, R, W>(t) }
            }
                pub(crate) static KERNELS: Kernels = Kernels {
                lanes: <$lanes as Lanes>::LEN,
                tiles: &[$([run::<$rows, 1>, run::<$rows, 2>]),*],
            };
        }
    };
}

kernels! { guaranteed, Guaranteed, [], [1 2 3 4 5 6] }

#[cfg(target_arch = "x86_64")]
kernels! { avx2, crate::lanes::x86::Avx2, [#[target_feature(enable = "avx2,fma")]], [1 2 3 4 5 6] }

#[cfg(target_arch = "x86_64")]
kernels! {
    avx512, crate::lanes::x86::Avx512,
    [#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14]
}

impl Kernels {
    /// The best for this processor, the same ones every time.
    pub(crate) fn best() -> &'static Kernels {
        static BEST: std::sync::OnceLock<&Kernels> = std::sync::OnceLock::new();
        BEST.get_or_init(Kernels::detect)
    }

    fn detect() -> &'static Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{Level, level};
            match level() {
                Level::Avx512 => return &avx512::KERNELS,
                Level::Avx2 => return &avx2::KERNELS,
                Level::Base => {}
            }
        }
        &guaranteed::KERNELS
    }

    /// Those of every instruction set this processor has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<&'static Kernels> {
        let mut all = vec![&guaranteed::KERNELS];
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{Level, level};
            if level() != Level::Base {
                all.push(&avx2::KERNELS);
            }
            if level() == Level::Avx512 {
                all.push(&avx512::KERNELS);
            }
        }
        all
    }

    /// Most rows of a tile.
    pub(crate) fn rows(&self) -> usize {
        self.tiles.len()
    }

    /// Most columns of a tile.
    pub(crate) fn cols(&self) -> usize {
        2 * self.lanes
    }
}
