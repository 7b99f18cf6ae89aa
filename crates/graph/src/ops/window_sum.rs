//! Sum over windows slid along the last one to three dimensions; what lies outside the input does not count.
//! `y[p] = Σ_t x[p · stride + t · dilation − padding]`. Average pooling divides it.
//! Derivative: the window sum, with stride 1, of the upstream gradient spread by the stride: windows are symmetric. Where windows
//! lie side by side it is the upstream gradient, once for each element of its window.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::plan::WindowKind;
use crate::tensor::Tensor;

/// Sizes, strides, paddings and dilations of windows; one entry for each windowed dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Window sizes.
    pub kernel: Vec<usize>,
    /// Elements between neighbouring windows.
    pub stride: Vec<usize>,
    /// Padding before the first and after the last element; less than a window.
    pub padding: Vec<(usize, usize)>,
    /// Elements between neighbouring taps.
    pub dilation: Vec<usize>,
}

impl Frame {
    /// Whether each element belongs to one window, or to none behind the last.
    fn side_by_side(&self) -> bool {
        let plain = self.padding.iter().all(|&p| p == (0, 0)) && self.dilation.iter().all(|&d| d == 1);
        plain && self.kernel == self.stride
    }

    /// What windows that lie side by side have, for each element of `shape`; zero where there is no window.
    fn repeated(&self, windows: &Tensor, shape: &[usize]) -> Tensor {
        let lead = shape.len() - self.kernel.len();
        let of = &windows.shape()[lead..];
        let (mut apart, mut spread, mut whole) = (shape[..lead].to_vec(), shape[..lead].to_vec(), shape[..lead].to_vec());
        for (&n, &k) in of.iter().zip(&self.kernel) {
            apart.extend([n, 1]);
            spread.extend([n, k]);
            whole.push(n * k);
        }
        let repeated = windows.reshape_to(&apart).expand_to(&spread).reshape_to(&whole);
        let none = vec![0; shape.len()];
        let behind: Vec<usize> = shape.iter().zip(&whole).map(|(&n, &w)| n - w).collect();
        match behind == none {
            true => repeated,
            false => repeated.pad_to(&none, &behind, &none),
        }
    }

    /// The shape after windowing the last dimensions of `x`.
    pub(crate) fn output_shape(&self, x: &[usize]) -> Result<Vec<usize>, String> {
        let n = self.kernel.len();
        if x.len() < n {
            return Err(format!("{x:?} has fewer than {n} dimensions"));
        }
        if crate::shape::checked_numel(&self.kernel).is_none() {
            return Err(format!("a window of {:?} elements is too large", self.kernel));
        }
        if x[x.len() - n..].contains(&0) {
            return Err(format!("a windowed dimension of {x:?} has size 0"));
        }
        for d in 0..n {
            let most = self.kernel[d].saturating_sub(1).saturating_mul(*self.dilation.get(d).unwrap_or(&1));
            let (lo, hi) = *self.padding.get(d).unwrap_or(&(0, 0));
            if lo > most || hi > most {
                return Err(format!("padding ({lo}, {hi}) of a window of size {} leaves windows outside the input", self.kernel[d]));
            }
        }
        let geometry = crate::ops::conv::Geometry {
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            groups: 1,
        };
        let lead = x.len() - n;
        let mut out = x[..lead].to_vec();
        let positions = geometry.output(&x[lead..], &self.kernel)?;
        if let Some(d) = (0..n).find(|&d| self.misses(d, x[lead + d], positions[d])) {
            let m = format!("a window's taps, {} apart, miss the {} elements", self.dilation[d], x[lead + d]);
            return Err(format!("{m} of windowed dimension {d}"));
        }
        out.extend(positions);
        Ok(out)
    }

    /// Whether a window's taps along a dimension of `size` all lie outside, which only dilation and padding together
    /// bring about, at either end.
    fn misses(&self, d: usize, size: usize, positions: usize) -> bool {
        let ((lo, hi), step, apart) = (self.padding[d], self.stride[d], self.dilation[d]);
        if apart == 1 || (lo == 0 && hi == 0) {
            return false;
        }
        let outside = |p: usize| {
            let start = p * step;
            let first = lo.saturating_sub(start).div_ceil(apart);
            first >= self.kernel[d] || start + first * apart >= lo + size
        };
        let before = positions.min(lo / step + 1);
        (0..before).any(outside) || outside(positions - 1)
    }

    /// Calls `f(y position, position within the x plane, x position)` for every tap inside the input, in order.
    pub(crate) fn for_each_tap(&self, x: &[usize], y: &[usize], mut f: impl FnMut(usize, usize, usize)) {
        let lead = x.len() - self.kernel.len();
        let plane: usize = x[lead..].iter().product();
        let mut at = 0;
        crate::shape::for_each_index(y, |p| {
            let plane_ix = p[..lead].iter().zip(x).fold(0, |a, (&i, &n)| a * n + i);
            crate::shape::for_each_index(&self.kernel, |t| {
                let mut pos = 0;
                for d in 0..t.len() {
                    let i = (p[lead + d] * self.stride[d] + t[d] * self.dilation[d]).wrapping_sub(self.padding[d].0);
                    if i >= x[lead + d] {
                        return;
                    }
                    pos = pos * x[lead + d] + i;
                }
                f(at, pos, plane_ix * plane + pos);
            });
            at += 1;
        });
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowSum {
    /// The windows.
    pub frame: Frame,
}

/// Shapes and frames of test cases.
#[cfg(any(test, feature = "samples"))]
pub(crate) fn sample_cases() -> Vec<(Vec<usize>, Frame)> {
    let f = |kernel: &[usize], stride: &[usize], padding: &[(usize, usize)], dilation: &[usize]| Frame {
        kernel: kernel.to_vec(),
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
    };
    vec![
        (vec![2, 3, 6, 4], f(&[2, 2], &[2, 2], &[(0, 0); 2], &[1, 1])),
        (vec![2, 5, 7], f(&[3, 3], &[2, 1], &[(1, 1), (1, 0)], &[1, 1])),
        (vec![3, 9], f(&[2], &[3], &[(0, 0)], &[2])),
        (vec![1, 4, 3, 5], f(&[2, 2, 3], &[1, 1, 2], &[(1, 0), (0, 0), (1, 1)], &[1; 3])),
        (vec![1, 1, 1], f(&[1, 1], &[1, 1], &[(0, 0); 2], &[1, 1])),
        (vec![0, 4, 4], f(&[2, 2], &[2, 2], &[(0, 0); 2], &[1, 1])),
        (vec![70, 5, 5], f(&[2, 2], &[2, 2], &[(0, 0); 2], &[1, 1])),
    ]
}

impl Primitive for WindowSum {
    const NAME: &'static str = "window_sum";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        self.frame.output_shape(x[0].shape)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        if x[0].dtype.is_float() { Ok(x[0].dtype) } else { Err(format!("takes floats, not {}", x[0].dtype)) }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (x, f) = (cx.inputs[0].shape(), &self.frame);
        let (rank, n) = (x.len(), f.kernel.len());
        let lead = rank - n;
        if upstream.shape().contains(&0) {
            return Derivative::Of(vec![Some(cx.inputs[0].zeros_like())]);
        }
        if let Some(repeated) = f.side_by_side().then(|| f.repeated(upstream, x)) {
            return Derivative::Of(vec![Some(repeated)]);
        }
        let (mut lo, mut hi, mut interior) = (vec![0; rank], vec![0; rank], vec![0; rank]);
        for d in 0..n {
            let reach = (f.kernel[d] - 1) * f.dilation[d];
            let spread = (upstream.shape()[lead + d] - 1) * f.stride[d] + 1;
            lo[lead + d] = reach - f.padding[d].0;
            hi[lead + d] = x[lead + d] + f.padding[d].0 - spread;
            interior[lead + d] = f.stride[d] - 1;
        }
        let frame = Frame { stride: vec![1; n], padding: vec![(0, 0); n], ..f.clone() };
        Derivative::Of(vec![Some(Tensor::record(WindowSum { frame }, &[&upstream.pad_to(&lo, &hi, &interior)]))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(self.clone(), &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        self.frame.for_each_tap(&x[0].shape, shape, |o, _, i| out.data[o] += x[0].data[i]);
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Window { kind: WindowKind::Sum, frame: self.frame.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |(x, frame): (Vec<usize>, Frame)| Sample::new(WindowSum { frame }, vec![SampleInput::f32(&x, -1.0, 1.0)]);
        sample_cases().into_iter().map(case).collect()
    }
}
