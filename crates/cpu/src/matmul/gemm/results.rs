//! Where products and convolutions put what they compute: floats of four bytes, in place, or of two, which are rounded once from
//! the thread's own memory while they are in its cache, so that no result is written to memory as f32 first. It must not know
//! a family.

use crate::dtype::DType;
use crate::halves::Half;
use crate::matmul::gemm::scratch::with_scratch;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use half::{bf16, f16};

/// Floats that are computed before they are rounded, where one that computes them has no reason for another number.
const TOGETHER: usize = 1 << 12;

/// The elements of an output.
#[derive(Debug)]
pub(crate) enum Results<'o> {
    /// f32.
    Single(&'o mut [f32]),
    /// f16.
    Half(&'o mut [f16]),
    /// bf16.
    Upper(&'o mut [bf16]),
}

/// The same while several threads write them, each its own.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// f32.
    Single(*mut f32),
    /// f16.
    Half(*mut f16),
    /// bf16.
    Upper(*mut bf16),
}

// SAFETY: threads write different elements.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl<'o> From<&'o mut [f32]> for Results<'o> {
    fn from(out: &'o mut [f32]) -> Results<'o> {
        Results::Single(out)
    }
}

impl<'o> Results<'o> {
    /// Those of an output of `dtype`, a float's.
    pub(crate) fn of(out: &'o mut [u8], dtype: DType) -> Results<'o> {
        match dtype {
            _ if out.is_empty() => Results::Single(&mut []),
            DType::F16 => Results::Half(bytemuck::cast_slice_mut(out)),
            DType::BF16 => Results::Upper(bytemuck::cast_slice_mut(out)),
            DType::Bool | DType::U8 | DType::I32 | DType::F32 | DType::U32 => {
                Results::Single(bytemuck::cast_slice_mut(out))
            }
        }
    }

    /// The first `n`.
    pub(crate) fn first(self, n: usize) -> Results<'o> {
        match self {
            Results::Single(out) => Results::Single(&mut out[..n]),
            Results::Half(out) => Results::Half(&mut out[..n]),
            Results::Upper(out) => Results::Upper(&mut out[..n]),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Results::Single(out) => out.len(),
            Results::Half(out) => out.len(),
            Results::Upper(out) => out.len(),
        }
    }

    /// Makes all of them 0.
    pub(crate) fn clear(self) {
        match self {
            Results::Single(out) => out.fill(0.0),
            Results::Half(out) => out.fill(f16::ZERO),
            Results::Upper(out) => out.fill(bf16::ZERO),
        }
    }

    /// Where they are, for several threads.
    pub(crate) fn target(&mut self) -> Target {
        match self {
            Results::Single(out) => Target::Single(out.as_mut_ptr()),
            Results::Half(out) => Target::Half(out.as_mut_ptr()),
            Results::Upper(out) => Target::Upper(out.as_mut_ptr()),
        }
    }

    /// Calls `f(first, piece)` on pieces of `size` elements, `first` being the position of the piece. What is not f32 is
    /// computed in smaller pieces, each of a multiple of `unit` elements, as `size` has to be.
    pub(crate) fn chunks(
        self,
        par: Par,
        (size, unit): (usize, usize),
        f: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        debug_assert!(size.is_multiple_of(unit), "pieces cut a unit");
        match self {
            Results::Single(out) => par.chunks(out, size, f),
            Results::Half(out) => rounded(out, par, (size, unit), f),
            Results::Upper(out) => rounded(out, par, (size, unit), f),
        }
    }

    /// Calls `f` with all of them as f32, in memory of this step, from which all threads round them, if they are not f32.
    pub(crate) fn whole(self, par: Par, f: impl FnOnce(&mut [f32])) {
        if let Results::Single(out) = self {
            return f(out);
        }
        let len = self.len();
        let mut wide = HostBufferMut::within_step(len * 4);
        let wide = &mut wide.slice_mut::<f32>()[..len];
        f(wide);
        self.round(wide, par);
    }

    /// Rounds `values` to all of them.
    fn round(mut self, values: &[f32], par: Par) {
        let (len, target) = (self.len(), self.target());
        let size = len.div_ceil(par.pieces()).max(TOGETHER);
        par.for_each(len.div_ceil(size), |i| {
            let values = &values[i * size..len.min((i + 1) * size)];
            // SAFETY: they lie in what is borrowed, and each is one call's.
            unsafe { target.from(i * size).store(values) };
        });
    }
}

fn rounded<T: Half>(
    out: &mut [T],
    par: Par,
    (size, unit): (usize, usize),
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    let together = (TOGETHER / unit).max(1) * unit;
    par.chunks(out, size, |first, out| {
        with_scratch(together.min(out.len()), |wide| {
            for (i, out) in out.chunks_mut(together).enumerate() {
                let wide = &mut wide[..out.len()];
                f(first + i * together, wide);
                T::narrow(wide, out);
            }
        });
    });
}

impl Target {
    /// Those from element `at` on.
    pub(crate) fn from(self, at: usize) -> Target {
        match self {
            Target::Single(out) => Target::Single(out.wrapping_add(at)),
            Target::Half(out) => Target::Half(out.wrapping_add(at)),
            Target::Upper(out) => Target::Upper(out.wrapping_add(at)),
        }
    }

    /// Where they are, if they are f32.
    pub(crate) fn single(self) -> Option<*mut f32> {
        match self {
            Target::Single(out) => Some(out),
            Target::Half(_) | Target::Upper(_) => None,
        }
    }

    /// Rounds `values` to the first elements.
    ///
    /// # Safety
    /// There are as many, and nobody else touches them.
    pub(crate) unsafe fn store(self, values: &[f32]) {
        let n = values.len();
        // SAFETY: the caller's.
        unsafe {
            match self {
                Target::Single(out) => {
                    std::slice::from_raw_parts_mut(out, n).copy_from_slice(values);
                }
                Target::Half(out) => f16::narrow(values, std::slice::from_raw_parts_mut(out, n)),
                Target::Upper(out) => bf16::narrow(values, std::slice::from_raw_parts_mut(out, n)),
            }
        }
    }

    /// Rounds lines of `values`, the first `width` floats of every `stride`, to elements `row` apart from one line's first to the
    /// next's. The last line may end after `width`.
    ///
    /// # Safety
    /// As for [`Target::store`], for every line.
    pub(crate) unsafe fn store_lines(
        self,
        values: &[f32],
        (stride, width): (usize, usize),
        row: usize,
    ) {
        let last = values.len() % stride;
        assert!(
            width <= stride && (last == 0 || last >= width),
            "a line is cut"
        );
        match self {
            Target::Single(out) => {
                for (l, line) in values.chunks(stride).enumerate() {
                    // SAFETY: the caller's.
                    let out = unsafe { std::slice::from_raw_parts_mut(out.add(l * row), width) };
                    out.copy_from_slice(&line[..width]);
                }
            }
            // SAFETY: the caller's.
            Target::Half(out) => unsafe { f16::narrow_lines(values, (stride, width), out, row) },
            // SAFETY: the caller's.
            Target::Upper(out) => unsafe { bf16::narrow_lines(values, (stride, width), out, row) },
        }
    }

    /// Calls `f` with the first `n` elements as f32: themselves, or the thread's own memory, from which they are rounded.
    ///
    /// # Safety
    /// As for [`Target::store`].
    pub(crate) unsafe fn with(self, n: usize, f: impl FnOnce(&mut [f32])) {
        match self.single() {
            // SAFETY: the caller's.
            Some(out) => f(unsafe { std::slice::from_raw_parts_mut(out, n) }),
            None => with_scratch(n, |wide| {
                f(wide);
                // SAFETY: the caller's.
                unsafe { self.store(wide) };
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::par::with_threads;

    /// Pieces, wholes and parts of each dtype hold the same numbers, rounded once.
    #[test]
    fn results_are_rounded_once() {
        let value = |i: usize| 1.0 + i as f32 * 0.000_37;
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let n = 3 * 7 * TOGETHER / 5;
            let n = n / 84 * 84;
            let fill = |first: usize, out: &mut [f32]| {
                out.iter_mut()
                    .enumerate()
                    .for_each(|(i, out)| *out = value(first + i));
            };
            let mut bytes = [(); 3].map(|()| vec![0u32; n * dtype.size() / 4]);
            let [pieces, whole, parts] = bytes.each_mut().map(|b| bytemuck::cast_slice_mut(b));
            with_threads(2, |par| {
                Results::of(pieces, dtype).chunks(par, (n / 3, 7), |first, out| {
                    assert!(first.is_multiple_of(7) && out.len().is_multiple_of(7));
                    fill(first, out);
                });
                Results::of(whole, dtype).whole(par, |out| fill(0, out));
            });
            let target = Results::of(parts, dtype).target();
            for at in (0..n).step_by(21) {
                // SAFETY: the part lies in the borrowed bytes.
                unsafe { target.from(at).with(21, |out| fill(at, out)) };
            }
            let want: Vec<u8> = (0..n)
                .flat_map(|i| match dtype {
                    DType::F16 => f16::from_f32(value(i)).to_bits().to_le_bytes().to_vec(),
                    DType::BF16 => bf16::from_f32(value(i)).to_bits().to_le_bytes().to_vec(),
                    _ => value(i).to_le_bytes().to_vec(),
                })
                .collect();
            for got in &bytes {
                assert!(bytemuck::cast_slice::<u32, u8>(got) == want, "{dtype:?}");
            }
            let [cleared, ..] = &mut bytes;
            Results::of(bytemuck::cast_slice_mut(cleared), dtype).clear();
            assert!(cleared.iter().all(|&bits| bits == 0));
        }
    }
}
