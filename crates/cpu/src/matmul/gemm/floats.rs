//! Operands of products and convolutions as they lie in buffers: floats of four bytes, or of two, which are widened where
//! an element is copied anyway, so that no pass over an operand is spent on it. It must not know a family.

use crate::call::Operand;
use crate::dtype::DType;
use crate::halves::Half;
use crate::math;
use crate::matmul::gemm::scratch::with_scratch;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use half::{bf16, f16};

/// The elements of an operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Floats<'a> {
    /// f32.
    Single(&'a [f32]),
    /// f16.
    Half(&'a [f16]),
    /// bf16.
    Upper(&'a [bf16]),
}

impl<'a> From<&'a [f32]> for Floats<'a> {
    fn from(data: &'a [f32]) -> Floats<'a> {
        Floats::Single(data)
    }
}

impl<'a> Floats<'a> {
    /// Those of an operand whose dtype is a float's.
    pub(crate) fn of(operand: &Operand<'a>) -> Floats<'a> {
        let bytes = operand.bytes;
        match operand.dtype {
            _ if bytes.is_empty() => Floats::Single(&[]),
            DType::F16 => Floats::Half(bytemuck::cast_slice(bytes)),
            DType::BF16 => Floats::Upper(bytemuck::cast_slice(bytes)),
            DType::Bool | DType::U8 | DType::I32 | DType::F32 | DType::U32 => {
                Floats::Single(bytemuck::cast_slice(bytes))
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(self) -> usize {
        match self {
            Floats::Single(data) => data.len(),
            Floats::Half(data) => data.len(),
            Floats::Upper(data) => data.len(),
        }
    }

    /// As they lie, if they are f32.
    pub(crate) fn single(self) -> Option<&'a [f32]> {
        match self {
            Floats::Single(data) => Some(data),
            Floats::Half(_) | Floats::Upper(_) => None,
        }
    }

    /// One element.
    #[inline]
    pub(crate) fn get(self, at: usize) -> f32 {
        match self {
            Floats::Single(data) => data[at],
            Floats::Half(data) => math::f16_to_f32(data[at].to_bits()),
            Floats::Upper(data) => math::bf16_to_f32(data[at].to_bits()),
        }
    }

    /// The `len` elements from `at` on.
    #[inline]
    pub(crate) fn slab(self, at: usize, len: usize) -> Floats<'a> {
        match self {
            Floats::Single(data) => Floats::Single(&data[at..][..len]),
            Floats::Half(data) => Floats::Half(&data[at..][..len]),
            Floats::Upper(data) => Floats::Upper(&data[at..][..len]),
        }
    }

    /// Line `l` of `out`, `stride` long, becomes the `width` elements from `at + l * step` on, and zeros.
    pub(crate) fn lines(
        self,
        (at, step): (usize, usize),
        out: &mut [f32],
        (stride, width): (usize, usize),
    ) {
        match self {
            Floats::Half(data) => f16::widen_lines(data, (at, step), out, (stride, width)),
            Floats::Upper(data) => bf16::widen_lines(data, (at, step), out, (stride, width)),
            Floats::Single(data) => {
                for (l, out) in out.chunks_exact_mut(stride).enumerate() {
                    out[..width].copy_from_slice(&data[at + l * step..][..width]);
                    out[width..].fill(0.0);
                }
            }
        }
    }

    /// The elements from `at` on, as many as `out` holds.
    #[inline]
    pub(crate) fn copy(self, at: usize, out: &mut [f32]) {
        match self {
            Floats::Single(data) => out.copy_from_slice(&data[at..][..out.len()]),
            Floats::Half(_) | Floats::Upper(_) if out.is_empty() => {}
            Floats::Half(_) | Floats::Upper(_) => {
                let n = out.len();
                self.lines((at, 0), out, (n, n));
            }
        }
    }

    /// Calls `f` with all of them, in memory of this step, which all threads fill, if they are not f32.
    pub(crate) fn whole<R>(self, par: Par, f: impl FnOnce(&[f32]) -> R) -> R {
        if let Floats::Single(data) = self {
            return f(data);
        }
        let mut wide = HostBufferMut::within_step(self.len() * 4);
        let wide = wide.slice_mut::<f32>();
        let wide = &mut wide[..self.len()];
        self.widen(wide, par);
        f(wide)
    }

    /// The same in the caller's own memory: for weights, which all threads read.
    pub(crate) fn shared<R>(self, par: Par, f: impl FnOnce(&[f32]) -> R) -> R {
        match self {
            Floats::Single(data) => f(data),
            Floats::Half(_) | Floats::Upper(_) => with_scratch(self.len(), |wide| {
                self.widen(wide, par);
                f(wide)
            }),
        }
    }

    fn widen(self, out: &mut [f32], par: Par) {
        /// Elements that a thread widens at once.
        const PIECE: usize = 1 << 14;
        let par = par.for_work(out.len());
        let size = match par.threads() {
            1 => out.len().max(1),
            _ => PIECE,
        };
        par.chunks(out, size, |first, out| self.copy(first, out));
    }

    /// Calls `f` with all of them, in the thread's own memory if they are not f32: for what is used at once and fits a cache.
    #[inline]
    pub(crate) fn with<R>(self, f: impl FnOnce(&[f32]) -> R) -> R {
        match self {
            Floats::Single(data) => f(data),
            Floats::Half(_) | Floats::Upper(_) => with_scratch(self.len(), |wide| {
                self.copy(0, wide);
                f(wide)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_widened_as_they_are_copied() {
        let values: Vec<f32> = (0..300).map(|i| i as f32 * 0.25 - 20.0).collect();
        let halves: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
        let uppers: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        let rounded: Vec<f32> = uppers.iter().map(|x| x.to_f32()).collect();
        for (floats, want) in [
            (Floats::Single(&values), &values),
            (Floats::Half(&halves), &values),
            (Floats::Upper(&uppers), &rounded),
        ] {
            assert_eq!(floats.len(), 300);
            assert_eq!(
                floats.single().is_some(),
                matches!(floats, Floats::Single(_))
            );
            floats
                .slab(7, 40)
                .with(|slab| assert_eq!(slab, &want[7..47]));
            let mut out = vec![f32::NAN; 33];
            floats.copy(260, &mut out);
            assert_eq!(out, want[260..293]);
            floats.copy(300, &mut []);
            let mut out = vec![f32::NAN; 4 * 24];
            floats.lines((5, 61), &mut out, (24, 17));
            for (l, line) in out.chunks(24).enumerate() {
                assert_eq!(line[..17], want[5 + l * 61..][..17]);
                assert!(line[17..].iter().all(|&x| x == 0.0));
            }
            assert_eq!(floats.get(299), want[299]);
        }
    }
}
