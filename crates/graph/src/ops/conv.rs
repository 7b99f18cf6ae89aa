//! Cross-correlation in one to three spatial dimensions, PyTorch's `conv1d/2d/3d` without bias:
//! `y[n, o, p] = Σ_{c, t} x[n, c, p · stride + t · dilation − padding] · w[o, c, t]`, zero outside the input.
//! Shapes: `x [batch, channels, spatial…]`, `w [filters, channels / groups, kernel…]`.
//! Derivatives: [`ConvInputGrad`](super::conv_input_grad) and [`ConvWeightGrad`](super::conv_weight_grad), with
//! which it forms a closed set.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::conv_input_grad::ConvInputGrad;
use crate::ops::conv_weight_grad::ConvWeightGrad;
use crate::ops::elementwise::same_dtype;
use crate::plan::ConvKind;
use crate::tensor::Tensor;

/// Strides, paddings, dilations and groups: what the three products share. One entry for each spatial dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Elements between neighbouring windows.
    pub stride: Vec<usize>,
    /// Zeros before the first and after the last element.
    pub padding: Vec<(usize, usize)>,
    /// Elements between neighbouring taps.
    pub dilation: Vec<usize>,
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl Geometry {
    /// No padding, stride and dilation 1, in `spatial` dimensions.
    pub fn plain(spatial: usize) -> Geometry {
        Geometry { stride: vec![1; spatial], padding: vec![(0, 0); spatial], dilation: vec![1; spatial], groups: 1 }
    }

    /// Sizes of the output for an input and a kernel.
    pub fn output(&self, input: &[usize], kernel: &[usize]) -> Result<Vec<usize>, String> {
        let n = self.stride.len();
        if [self.padding.len(), self.dilation.len(), input.len(), kernel.len()] != [n; 4] || !(1..=3).contains(&n) {
            return Err(format!("{n} spatial dimensions do not fit input {input:?} and kernel {kernel:?}"));
        }
        (0..n).map(|d| self.output_size(d, input[d], kernel[d])).collect()
    }

    fn output_size(&self, d: usize, input: usize, kernel: usize) -> Result<usize, String> {
        if self.stride[d] == 0 || self.dilation[d] == 0 || kernel == 0 {
            return Err("stride, dilation and kernel size must be at least 1".into());
        }
        if self.stride[d] > i32::MAX as usize {
            return Err(format!("a stride of {} exceeds 2^31 - 1", self.stride[d]));
        }
        let overflow = || format!("the padded size of dimension {d} overflows");
        let (lo, hi) = self.padding[d];
        let padded = input.checked_add(lo).and_then(|n| n.checked_add(hi)).ok_or_else(overflow)?;
        if padded > i32::MAX as usize {
            return Err(overflow());
        }
        let reach = (kernel - 1).checked_mul(self.dilation[d]).and_then(|n| n.checked_add(1)).ok_or_else(overflow)?;
        if padded < reach {
            return Err(format!("the kernel covers {reach} elements but the padded input has {padded} in spatial dimension {d}"));
        }
        Ok((padded - reach) / self.stride[d] + 1)
    }

    /// Shape of `y` from the shapes of `x` and `w`, with all checks.
    pub(crate) fn output_shape(&self, x: &[usize], w: &[usize]) -> Result<Vec<usize>, String> {
        let rank = self.stride.len() + 2;
        if x.len() != rank || w.len() != rank {
            return Err(format!("input {x:?} and weight {w:?} need rank {rank}"));
        }
        let g = self.groups;
        if g == 0 || x[1] != w[1].saturating_mul(g) || !w[0].is_multiple_of(g) {
            return Err(format!("{} channels and weight {w:?} do not fit {g} group(s): the weight expects {} channels", x[1], w[1].saturating_mul(g)));
        }
        let mut out = vec![x[0], w[0]];
        out.extend(self.output(&x[2..], &w[2..])?);
        Ok(out)
    }

    /// Calls `f(x position, w position, y position)` for every product of the sum.
    pub(crate) fn for_each_product(
        &self,
        x: &[usize],
        w: &[usize],
        y: &[usize],
        mut f: impl FnMut(usize, usize, usize),
    ) {
        let n = self.stride.len();
        let (ig, og) = (w[1], w[0] / self.groups);
        let mut at = 0;
        crate::shape::for_each_index(y, |p| {
            let group = p[1] / og.max(1);
            for c in 0..ig {
                crate::shape::for_each_index(&w[2..], |t| {
                    let (mut xi, mut wi) = (p[0] * x[1] + group * ig + c, p[1] * ig + c);
                    for d in 0..n {
                        let i = (p[2 + d] * self.stride[d] + t[d] * self.dilation[d]).wrapping_sub(self.padding[d].0);
                        if i >= x[2 + d] {
                            return;
                        }
                        xi = xi * x[2 + d] + i;
                        wi = wi * w[2 + d] + t[d];
                    }
                    f(xi, wi, at);
                });
            }
            at += 1;
        });
    }
}

impl Geometry {
    /// With `b` times as many groups.
    pub(crate) fn times(&self, b: usize) -> Geometry {
        Geometry { groups: self.groups * b, ..self.clone() }
    }
}

/// `[b, n, c, …]` as `[n, b·c, …]`.
pub(crate) fn into_channels(x: &Tensor) -> Tensor {
    let s = x.shape();
    let mut to = vec![s[1], s[0] * s[2]];
    to.extend(&s[3..]);
    x.transpose(0, 1).reshape_to(&to)
}

/// `[n, b·c, …]` as `[b, n, c, …]`.
pub(crate) fn from_channels(y: &Tensor, b: usize) -> Tensor {
    let s = y.shape();
    let mut to = vec![s[0], b, s[1] / b.max(1)];
    to.extend(&s[2..]);
    y.reshape_to(&to).transpose(0, 1)
}

/// `[b, o, …]` as `[b·o, …]`.
pub(crate) fn into_rows(w: &Tensor) -> Tensor {
    w.flatten(0, 1)
}

/// `[b·o, …]` as `[b, o, …]`.
pub(crate) fn from_rows(w: &Tensor, b: usize) -> Tensor {
    let s = w.shape();
    let mut to = vec![b, s[0] / b.max(1)];
    to.extend(&s[1..]);
    w.reshape_to(&to)
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Strides and the like.
    pub geometry: Geometry,
}

/// Input shape, weight shape and geometry of test cases for the three products.
#[cfg(any(test, feature = "samples"))]
pub(crate) fn sample_cases() -> Vec<(Vec<usize>, Vec<usize>, Geometry, bool)> {
    let g = |stride: &[usize], padding: &[(usize, usize)], dilation: &[usize], groups: usize| Geometry {
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
    };
    vec![
        (vec![2, 3, 5, 4], vec![4, 3, 3, 3], g(&[1, 1], &[(1, 1); 2], &[1, 1], 1), true),
        (vec![1, 2, 6, 5], vec![2, 2, 2, 3], g(&[2, 1], &[(0, 1), (2, 0)], &[1, 2], 1), true),
        (vec![2, 4, 4, 4], vec![6, 2, 1, 1], g(&[1, 1], &[(0, 0); 2], &[1, 1], 2), true),
        (vec![2, 3, 7], vec![2, 3, 3], g(&[2], &[(1, 1)], &[1], 1), true),
        (vec![1, 2, 3, 4, 3], vec![2, 2, 2, 2, 2], g(&[1, 2, 1], &[(0, 0), (1, 1), (0, 0)], &[1; 3], 1), true),
        (vec![1, 1, 1, 1], vec![1, 1, 1, 1], g(&[1, 1], &[(0, 0); 2], &[1, 1], 1), true),
        (vec![0, 2, 4, 4], vec![3, 2, 3, 3], g(&[1, 1], &[(1, 1); 2], &[1, 1], 1), false),
        (vec![3, 1, 12, 11], vec![33, 1, 3, 3], g(&[1, 1], &[(1, 1); 2], &[1, 1], 1), false),
        (vec![2, 17, 9, 9], vec![19, 17, 3, 3], g(&[1, 1], &[(1, 1); 2], &[1, 1], 1), false),
        (vec![2, 6, 9, 9], vec![6, 1, 3, 3], g(&[1, 1], &[(1, 1); 2], &[1, 1], 6), false),
    ]
}

/// Error of sums of products in f32.
pub(crate) const TOLERANCE: super::Tolerance = super::Tolerance { rtol: 3e-5, atol: 3e-5 };

/// Both operands are floats of one dtype.
pub(crate) fn float_pair(x: &[Operand]) -> Result<DType, String> {
    same_dtype(x)?;
    if x[0].dtype.is_float() { Ok(x[0].dtype) } else { Err(format!("takes floats, not {}", x[0].dtype)) }
}

impl Primitive for Conv {
    const NAME: &'static str = "conv";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        self.geometry.output_shape(x[0].shape, x[1].shape)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        float_pair(x)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (x, w) = (&cx.inputs[0], &cx.inputs[1]);
        let geometry = self.geometry.clone();
        let dx = ConvInputGrad { geometry: geometry.clone(), input: x.shape()[2..].to_vec() };
        let dw = ConvWeightGrad { geometry, kernel: w.shape()[2..].to_vec() };
        Derivative::Of(vec![Some(Tensor::record(dx, &[upstream, w])), Some(Tensor::record(dw, &[x, upstream]))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // The batch becomes groups: [b, n, c, …] as [n, b·c, …], weights [b·o, c/g, …].
        let (x, w) = (&x[0], &x[1]);
        let b = x.shape()[0];
        let y = Tensor::record(Conv { geometry: self.geometry.times(b) }, &[&into_channels(x), &into_rows(w)]);
        from_channels(&y, b)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        self.geometry.for_each_product(&x[0].shape, &x[1].shape, shape, |i, w, o| {
            out.data[o] += x[0].data[i] * x[1].data[w];
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Conv { kind: ConvKind::Forward, geometry: self.geometry.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |(x, w, geometry, smooth): (Vec<usize>, Vec<usize>, Geometry, bool)| Sample {
            op: Conv { geometry },
            inputs: vec![SampleInput::f32(&x, -1.0, 1.0), SampleInput::f32(&w, -1.0, 1.0)],
            smooth,
        };
        sample_cases().into_iter().map(case).collect()
    }

    fn tolerance() -> super::Tolerance {
        TOLERANCE
    }
}
