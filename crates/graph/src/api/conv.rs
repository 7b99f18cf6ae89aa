//! Convolution and its transpose in one to three spatial dimensions, batched or not.
//! Argument checks stand here; the sums are `ops::conv` and `ops::conv_input_grad`.

use crate::in_f32;
use crate::ops::conv::{Conv, Geometry};
use crate::ops::conv_input_grad::ConvInputGrad;
use crate::tensor::Tensor;

/// Zeros around the spatial dimensions of a convolution's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding<const N: usize> {
    /// As many before as after each dimension; `[0; N]` is PyTorch's `'valid'`.
    Both([usize; N]),
    /// Before and after each dimension.
    Each([(usize, usize); N]),
    /// So many that the output has the size of the input, an odd one after; PyTorch's `'same'`.
    /// Needs stride 1.
    Same,
}

/// Optional arguments of a convolution, one number for each spatial dimension.
///
/// ```
/// use wgrad_graph::ConvOptions;
/// let same = ConvOptions::<2>::default().padding([1, 1]);
/// assert_eq!(same.stride, [1, 1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvOptions<const N: usize> {
    /// Elements between neighbouring windows; 1.
    pub stride: [usize; N],
    /// Zeros before and after each dimension; 0.
    pub padding: Padding<N>,
    /// Elements between neighbouring taps; 1.
    pub dilation: [usize; N],
    /// Groups of channels that do not mix; 1.
    pub groups: usize,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> Self {
        ConvOptions {
            stride: [1; N],
            padding: Padding::Both([0; N]),
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

    /// With padding, as much before as after.
    pub fn padding(self, padding: [usize; N]) -> Self {
        ConvOptions {
            padding: Padding::Both(padding),
            ..self
        }
    }

    /// With padding before and after each dimension.
    pub fn padding_each(self, padding: [(usize, usize); N]) -> Self {
        ConvOptions {
            padding: Padding::Each(padding),
            ..self
        }
    }

    /// With padding that keeps the size, [`Padding::Same`].
    pub fn same(self) -> Self {
        ConvOptions {
            padding: Padding::Same,
            ..self
        }
    }

    /// With another dilation.
    pub fn dilation(self, dilation: [usize; N]) -> Self {
        ConvOptions { dilation, ..self }
    }

    /// With groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }

    fn geometry(&self, kernel: &[usize]) -> Result<Geometry, String> {
        let padding = match self.padding {
            Padding::Both(p) => p.iter().map(|&p| (p, p)).collect(),
            Padding::Each(p) => p.to_vec(),
            Padding::Same if self.stride != [1; N] => {
                return Err(format!(
                    "padding 'same' needs stride 1, not {:?}",
                    self.stride
                ));
            }
            Padding::Same => kernel
                .iter()
                .zip(&self.dilation)
                .map(|(&k, &d)| k.saturating_sub(1).saturating_mul(d))
                .map(|total| (total / 2, total - total / 2))
                .collect(),
        };
        Ok(Geometry {
            stride: self.stride.to_vec(),
            padding,
            dilation: self.dilation.to_vec(),
            groups: self.groups,
        })
    }
}

/// Optional arguments of a transposed convolution, one number for each spatial dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvTransposeOptions<const N: usize> {
    /// Elements of the result between the windows of neighbouring inputs; 1.
    pub stride: [usize; N],
    /// Elements taken off both ends of the result; 0.
    pub padding: [usize; N],
    /// Elements added to the far end of the result, less than stride or dilation; 0.
    pub output_padding: [usize; N],
    /// Elements between neighbouring taps; 1.
    pub dilation: [usize; N],
    /// Groups of channels that do not mix; 1.
    pub groups: usize,
}

impl<const N: usize> Default for ConvTransposeOptions<N> {
    fn default() -> Self {
        ConvTransposeOptions {
            stride: [1; N],
            padding: [0; N],
            output_padding: [0; N],
            dilation: [1; N],
            groups: 1,
        }
    }
}

impl<const N: usize> ConvTransposeOptions<N> {
    /// With another stride.
    pub fn stride(self, stride: [usize; N]) -> Self {
        ConvTransposeOptions { stride, ..self }
    }

    /// With padding.
    pub fn padding(self, padding: [usize; N]) -> Self {
        ConvTransposeOptions { padding, ..self }
    }

    /// With output padding.
    pub fn output_padding(self, output_padding: [usize; N]) -> Self {
        ConvTransposeOptions {
            output_padding,
            ..self
        }
    }

    /// With another dilation.
    pub fn dilation(self, dilation: [usize; N]) -> Self {
        ConvTransposeOptions { dilation, ..self }
    }

    /// With groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvTransposeOptions { groups, ..self }
    }

    /// Geometry of the convolution whose adjoint this is, the sizes it maps from, and zeros that follow them:
    /// the sum covers `full = (n − 1) · stride + (k − 1) · dilation + 1` elements, of which
    /// `padding .. full − padding + output_padding` are kept.
    fn plan(&self, input: &[usize], kernel: &[usize]) -> Result<Transposed, String> {
        let mut out = Transposed {
            padding: Vec::new(),
            size: Vec::new(),
            zeros: Vec::new(),
        };
        for d in 0..N {
            let (s, p, extra) = (self.stride[d], self.padding[d], self.output_padding[d]);
            if s == 0 || self.dilation[d] == 0 || kernel[d] == 0 || input[d] == 0 {
                return Err("stride, dilation, kernel and input size must be at least 1".into());
            }
            if extra >= s.max(self.dilation[d]) {
                return Err(format!(
                    "output_padding {extra} must be less than stride or dilation"
                ));
            }
            let spread = (input[d] - 1).checked_mul(s);
            let reach = (kernel[d] - 1).checked_mul(self.dilation[d]);
            let full = spread
                .zip(reach)
                .and_then(|(a, b)| a.checked_add(b)?.checked_add(1));
            let hi = p.saturating_sub(extra);
            let size = full
                .and_then(|f| f.checked_sub(p.checked_add(hi)?))
                .filter(|&n| n > 0);
            let size =
                size.ok_or_else(|| format!("padding {p} leaves nothing of dimension {d}"))?;
            out.padding.push((p, hi));
            out.size.push(size);
            out.zeros.push(extra.saturating_sub(p));
        }
        Ok(out)
    }
}

struct Transposed {
    padding: Vec<(usize, usize)>,
    size: Vec<usize>,
    zeros: Vec<usize>,
}

/// Public methods, one for each number of spatial dimensions.
macro_rules! by_dimension {
    ($($(#[$doc:meta])* $conv:ident, $(#[$tdoc:meta])* $transpose:ident, $n:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $conv(&self, weight: &Tensor, bias: Option<&Tensor>, options: &ConvOptions<$n>) -> Tensor {
                self.conv_nd(stringify!($conv), weight, bias, options)
            }

            $(#[$tdoc])*
            #[track_caller]
            pub fn $transpose(
                &self,
                weight: &Tensor,
                bias: Option<&Tensor>,
                options: &ConvTransposeOptions<$n>,
            ) -> Tensor {
                self.conv_transpose_nd(stringify!($transpose), weight, bias, options)
            })*
        }
    };
}

by_dimension! {
    /// Cross-correlation: `self [batch, channels, length]` or `[channels, length]`,
    /// `weight [filters, channels / groups, kernel]`, `bias [filters]`.
    conv1d,
    /// The adjoint of [`Tensor::conv1d`]: `self [batch, channels, length]` or `[channels, length]`,
    /// `weight [channels, filters / groups, kernel]`, `bias [filters]`.
    conv_transpose1d, 1;
    /// Cross-correlation: `self [batch, channels, height, width]`, or without batch,
    /// `weight [filters, channels / groups, kh, kw]`, `bias [filters]`.
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
    conv2d,
    /// The adjoint of [`Tensor::conv2d`]: `self [batch, channels, height, width]`, or without batch,
    /// `weight [channels, filters / groups, kh, kw]`, `bias [filters]`. The result has
    /// `(n − 1) · stride − 2 · padding + dilation · (k − 1) + output_padding + 1` elements in a dimension.
    ///
    /// ```
    /// # use wgrad_graph::{ConvTransposeOptions, DType, Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::ones(&[1, 1, 2, 2], DType::F32, &d);
    /// let w = Tensor::ones(&[1, 3, 2, 2], DType::F32, &d);
    /// let y = x.conv_transpose2d(&w, None, &ConvTransposeOptions::default().stride([2, 2]));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0; 48]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    conv_transpose2d, 2;
    /// Cross-correlation over depth, height and width.
    conv3d,
    /// The adjoint of [`Tensor::conv3d`].
    conv_transpose3d, 3;
}

impl Tensor {
    #[track_caller]
    fn conv_nd<const N: usize>(
        &self,
        op: &str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<N>,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.conv_nd(op, weight, bias.as_ref(), options));
        let x = match self.conv_input::<N>(weight) {
            Ok(x) => x,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let geometry = match options.geometry(&weight.shape()[2..]) {
            Ok(geometry) => geometry,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let y = Tensor::record(Conv { geometry }, &[&x, weight]).under(op, &[&x, weight]);
        self.conv_output::<N>(op, y, weight.shape()[0], bias)
    }

    #[track_caller]
    fn conv_transpose_nd<const N: usize>(
        &self,
        op: &str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvTransposeOptions<N>,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.conv_transpose_nd(op, weight, bias.as_ref(), options));
        let x = match self.conv_input::<N>(weight) {
            Ok(x) => x,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let plan = match options.plan(&x.shape()[2..], &weight.shape()[2..]) {
            Ok(plan) => plan,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let geometry = Geometry {
            stride: options.stride.to_vec(),
            padding: plan.padding,
            dilation: options.dilation.to_vec(),
            groups: options.groups,
        };
        let mut y = Tensor::record(
            ConvInputGrad {
                geometry,
                input: plan.size,
            },
            &[&x, weight],
        )
        .under(op, &[&x, weight]);
        if y.check().is_ok() && plan.zeros.iter().any(|&n| n > 0) {
            let zeros = vec![0; N + 2];
            let hi = [&[0, 0], plan.zeros.as_slice()].concat();
            y = y.pad_to(&zeros, &hi, &zeros);
        }
        let filters = weight.shape()[1].saturating_mul(options.groups);
        self.conv_output::<N>(op, y, filters, bias)
    }

    /// The input with a batch dimension.
    #[track_caller]
    fn conv_input<const N: usize>(&self, weight: &Tensor) -> Result<Tensor, String> {
        let (rank, want) = (self.rank(), N + 2);
        if weight.rank() != want || (rank != want && rank != want - 1) {
            return Err(format!(
                "needs an input of {} or {want} dimensions and a weight {:?} of {want}",
                want - 1,
                weight.shape()
            ));
        }
        Ok(if rank == want {
            self.clone()
        } else {
            self.unsqueeze(0)
        })
    }

    /// `y` with the bias, and without the batch dimension that the input lacked.
    #[track_caller]
    fn conv_output<const N: usize>(
        &self,
        op: &str,
        y: Tensor,
        filters: usize,
        bias: Option<&Tensor>,
    ) -> Tensor {
        let y = match bias {
            _ if y.check().is_err() => return y,
            Some(b) if b.shape() != [filters] => {
                return b.fail(op, format!("the bias must have {filters} elements"));
            }
            Some(b) => {
                let mut shape = vec![1; N + 1];
                shape[0] = filters;
                y.add(&b.reshape_to(&shape))
            }
            None => y,
        };
        if self.rank() == N + 1 {
            y.squeeze(0)
        } else {
            y
        }
    }

    /// An invalid tensor: the first operand's own error, the second's, or this one.
    #[track_caller]
    pub(crate) fn fail_with(&self, other: &Tensor, op: &str, message: impl Into<String>) -> Tensor {
        if self.check().is_ok() && other.check().is_err() {
            other.fail(op, message)
        } else {
            self.fail(op, message)
        }
    }
}
