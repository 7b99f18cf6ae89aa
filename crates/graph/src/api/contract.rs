//! Matrix product, linear map and convolution.

use crate::ops::conv::{Conv, Geometry};
use crate::ops::conv_input_grad::ConvInputGrad;
use crate::ops::matmul::Matmul;
use crate::shape::broadcast;
use crate::tensor::Tensor;

/// Optional arguments of a convolution, one number for each spatial dimension.
///
/// ```
/// use wgrad_graph::ConvOptions;
/// let same = ConvOptions::<2>::default().padding([1, 1]);
/// assert_eq!(same.stride, [1, 1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const N: usize> {
    /// Elements between neighbouring windows; 1.
    pub stride: [usize; N],
    /// Zeros before and after each dimension; 0.
    pub padding: [usize; N],
    /// Elements between neighbouring taps; 1.
    pub dilation: [usize; N],
    /// Groups of channels that do not mix; 1.
    pub groups: usize,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> Self {
        ConvOptions {
            stride: [1; N],
            padding: [0; N],
            dilation: [1; N],
            groups: 1,
        }
    }
}

impl<const N: usize> ConvOptions<N> {
    /// With another stride.
    pub fn stride(self, stride: [usize; N]) -> Self {
        ConvOptions { stride, ..self }
    }

    /// With padding.
    pub fn padding(self, padding: [usize; N]) -> Self {
        ConvOptions { padding, ..self }
    }

    /// With another dilation.
    pub fn dilation(self, dilation: [usize; N]) -> Self {
        ConvOptions { dilation, ..self }
    }

    /// With groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            stride: self.stride.to_vec(),
            padding: self.padding.iter().map(|&p| (p, p)).collect(),
            dilation: self.dilation.to_vec(),
            groups: self.groups,
        }
    }
}

impl Tensor {
    /// The matrix product, in all of PyTorch's forms: vectors, matrices, and batches of them that broadcast.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &d);
    /// let x = Tensor::new(&[1.0f32, 1.0], &d);
    /// assert_eq!(a.matmul(&x).to_vec::<f32>()?, [3.0, 7.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let invalid = |m: String| {
            let e = crate::error::Error::new(crate::error::ErrorKind::Shape, "matmul", m)
                .with_operands(vec![
                    (self.shape().to_vec(), self.dtype()),
                    (other.shape().to_vec(), other.dtype()),
                ]);
            let e = self
                .0
                .error
                .clone()
                .or_else(|| other.0.error.clone())
                .unwrap_or(e);
            Tensor::invalid(e, &[], self.dtype(), self.device())
        };
        if self.rank() == 0 || other.rank() == 0 {
            return invalid("operands need at least one dimension".into());
        }
        let a = if self.rank() == 1 {
            self.unsqueeze(0)
        } else {
            self.clone()
        };
        let b = if other.rank() == 1 {
            other.unsqueeze(1)
        } else {
            other.clone()
        };
        let (ra, rb) = (a.rank(), b.rank());
        let lead = match broadcast(&a.shape()[..ra - 2], &b.shape()[..rb - 2]) {
            Ok(lead) => lead,
            Err(m) => return invalid(m),
        };
        let dtype = a.dtype().promote(b.dtype()).unwrap_or(a.dtype());
        let out = if rb == 2 && ra > 2 && a.size(-1) == b.size(0) {
            // One large product instead of a batch.
            let rows = crate::shape::numel(&a.shape()[..ra - 1]);
            let flat = a.cast(dtype).reshape_to(&[rows, a.shape()[ra - 1]]);
            let mut to = a.shape().to_vec();
            to[ra - 1] = b.shape()[1];
            Tensor::record(Matmul, &[&flat, &b.cast(dtype)]).reshape_to(&to)
        } else {
            let whole = |t: &Tensor| {
                let mut to = lead.clone();
                to.extend(&t.shape()[t.rank() - 2..]);
                t.cast(dtype).broadcast_to(&to)
            };
            Tensor::record(Matmul, &[&whole(&a), &whole(&b)])
        };
        let out = if self.rank() == 1 {
            out.squeeze(-2)
        } else {
            out
        };
        if other.rank() == 1 {
            out.squeeze(-1)
        } else {
            out
        }
    }

    /// `x · weightᵀ + bias`: `x [..., in]`, `weight [out, in]`, `bias [out]`.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let y = self.matmul(&weight.t());
        match bias {
            Some(b) => y.add(b),
            None => y,
        }
    }

    #[track_caller]
    fn conv_nd<const N: usize>(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<N>,
    ) -> Tensor {
        let y = Tensor::record(
            Conv {
                geometry: options.geometry(),
            },
            &[self, weight],
        );
        match bias {
            Some(b) => y.add(&b.reshape(&channel_shape::<N>())),
            None => y,
        }
    }

    /// Cross-correlation: `self [batch, channels, length]`, `weight [filters, channels / groups, kernel]`.
    #[track_caller]
    pub fn conv1d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<1>,
    ) -> Tensor {
        self.conv_nd(weight, bias, options)
    }

    /// Cross-correlation: `self [batch, channels, height, width]`, `weight [filters, channels / groups, kh, kw]`,
    /// `bias [filters]`.
    ///
    /// ```
    /// # use wgrad_graph::{ConvOptions, DType, Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::ones(&[1, 1, 4, 4], DType::F32, &d);
    /// let w = Tensor::ones(&[2, 1, 3, 3], DType::F32, &d);
    /// let y = x.conv2d(&w, None, &ConvOptions::default());
    /// assert_eq!(y.to_vec::<f32>()?, [9.0; 8]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<2>,
    ) -> Tensor {
        self.conv_nd(weight, bias, options)
    }

    /// Cross-correlation over depth, height and width.
    #[track_caller]
    pub fn conv3d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<3>,
    ) -> Tensor {
        self.conv_nd(weight, bias, options)
    }

    /// The adjoint of [`Tensor::conv2d`] in its input, to an image of `size`: PyTorch's `conv_transpose2d` with
    /// `weight [channels of self, channels of the result / groups, kh, kw]`.
    #[track_caller]
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        size: [usize; 2],
        options: &ConvOptions<2>,
    ) -> Tensor {
        let op = ConvInputGrad {
            geometry: options.geometry(),
            input: size.to_vec(),
        };
        Tensor::record(op, &[self, weight])
    }
}

/// `[channels, 1, …]`, to be broadcast over an image.
fn channel_shape<const N: usize>() -> Vec<isize> {
    let mut shape = vec![1; N + 1];
    shape[0] = -1;
    shape
}
