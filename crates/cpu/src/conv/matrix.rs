//! Small constant matrices on both sides of a square of vectors, as Winograd's algorithms transform tiles. Everything is inlined into
//! functions that are compiled for an instruction set. It must not know an algorithm.

use crate::lanes::Lanes;

/// A matrix that transforms columns of `N` values to ones of `M`.
pub(crate) trait Matrix<const N: usize, const M: usize> {
    /// The matrix times a column.
    unsafe fn times<V: Lanes>(d: [V; N]) -> [V; M];
}

/// `T d Tᵀ`.
#[inline(always)]
pub(crate) unsafe fn both<T: Matrix<N, M>, V: Lanes, const N: usize, const M: usize>(
    d: [[V; N]; N],
) -> [[V; M]; M] {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [[V::splat(0.0); M]; N];
        for i in 0..N {
            rows[i] = T::times(d[i]);
        }
        let mut out = [[V::splat(0.0); M]; M];
        for j in 0..M {
            let mut column = [V::splat(0.0); N];
            for i in 0..N {
                column[i] = rows[i][j];
            }
            let column = T::times(column);
            for i in 0..M {
                out[i][j] = column[i];
            }
        }
        out
    }
}

/// `a * b`.
#[inline(always)]
pub(crate) unsafe fn times<V: Lanes>(a: f32, b: V) -> V {
    // SAFETY: the caller's.
    unsafe { V::splat(0.0).fma(V::splat(a), b) }
}

/// `c + a * b`.
#[inline(always)]
pub(crate) unsafe fn plus<V: Lanes>(c: V, a: f32, b: V) -> V {
    // SAFETY: the caller's.
    unsafe { c.fma(V::splat(a), b) }
}
