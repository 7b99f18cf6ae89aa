//! Relatives of convolution and pooling (Goodfellow, Bengio and Courville 2016, "Deep Learning", chapter 9): true
//! convolution with a flipped kernel, kernels that are not shared between positions or only every few of them, pooling
//! by norms and by weighted means.

use crate::api::{ConvOptions, Padding, PoolOptions};
use crate::composite::UnfoldOptions;
use crate::in_f32;
use crate::tensor::Tensor;

/// Public methods, one for each number of dimensions.
macro_rules! by_dimension {
    ($($(#[$doc:meta])* $convolve:ident by $conv:ident over $dims:expr, $l2:ident by $lp:ident, $n:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $convolve(
                &self,
                weight: &Tensor,
                bias: Option<&Tensor>,
                options: &ConvOptions<$n>,
            ) -> Tensor {
                self.$conv(&weight.flip(&$dims), bias, options)
            }

            /// The Euclidean norm of each window of the last dimensions; as the `lp_pool` of norm type 2.
            #[track_caller]
            pub fn $l2(&self, options: &PoolOptions<$n>) -> Tensor {
                self.$lp(2.0, options)
            })*
        }
    };
}

by_dimension! {
    /// Convolution in the mathematical sense: [`conv1d`](Tensor::conv1d) with the kernel flipped.
    convolve1d by conv1d over [-1], l2_pool1d by lp_pool1d, 1;
    /// Convolution in the mathematical sense: [`conv2d`](Tensor::conv2d) with the kernel flipped in both dimensions.
    ///
    /// ```
    /// # use wgrad_graph::{ConvOptions, Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 10.0, 100.0], &[1, 1, 1, 3], &d);
    /// let w = Tensor::from_slice(&[1.0f32, 2.0], &[1, 1, 1, 2], &d);
    /// let y = x.convolve2d(&w, None, &ConvOptions::default());
    /// assert_eq!(y.to_vec::<f32>()?, [12.0, 120.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    convolve2d by conv2d over [-2, -1], l2_pool2d by lp_pool2d, 2;
    /// Convolution in the mathematical sense: [`conv3d`](Tensor::conv3d) with the kernel flipped in all dimensions.
    convolve3d by conv3d over [-3, -2, -1], l2_pool3d by lp_pool3d, 3;
}

/// `weight [filters, channels, …]` and others as text, for errors.
const LOCAL: &str = "takes [batch, channels, height, width] and a weight [out_height, out_width, \
                     filters, channels, kh, kw]";
const TILED: &str = "takes [batch, channels, height, width] and a weight [tile_height, tile_width, \
                     filters, channels, kh, kw]";

/// Zeros before and after each dimension, for windows of `span` elements.
fn padding(options: &ConvOptions<2>, span: [usize; 2]) -> Result<[(usize, usize); 2], String> {
    match options.padding {
        Padding::Both(p) => Ok(p.map(|p| (p, p))),
        Padding::Each(p) => Ok(p),
        Padding::Same if options.stride != [1, 1] => Err("same padding needs stride 1".into()),
        Padding::Same => Ok(span.map(|s| ((s - 1) / 2, s - 1 - (s - 1) / 2))),
    }
}

/// Elements that a window with this many taps covers.
fn spans(options: &ConvOptions<2>, kernel: [usize; 2]) -> Result<[usize; 2], String> {
    let mut out = [0; 2];
    for d in 0..2 {
        if kernel[d] == 0 || options.stride[d] == 0 || options.dilation[d] == 0 {
            return Err("kernel size, stride and dilation must be at least 1".into());
        }
        let span = (kernel[d] - 1)
            .checked_mul(options.dilation[d])
            .and_then(|n| n.checked_add(1));
        out[d] = span
            .filter(|&n| n <= i32::MAX as usize)
            .ok_or("the window's size overflows")?;
    }
    if options.groups != 1 {
        return Err("takes one group of channels".into());
    }
    Ok(out)
}

/// The input with its zeros around it.
#[track_caller]
fn padded(x: &Tensor, padding: [(usize, usize); 2]) -> Tensor {
    if padding == [(0, 0); 2] {
        return x.clone();
    }
    let [(top, bottom), (left, right)] = padding;
    x.pad_to(&[0, 0, top, left], &[0, 0, bottom, right], &[0; 4])
}

/// `y` with a bias of `[filters, height, width]`.
#[track_caller]
fn with_bias(y: Tensor, bias: Option<&Tensor>, op: &str) -> Tensor {
    match bias {
        _ if y.check().is_err() => y,
        Some(b) if b.shape() != &y.shape()[1..] => b.fail(
            op,
            format!("the bias must have shape {:?}", &y.shape()[1..]),
        ),
        Some(b) => y + b,
        None => y,
    }
}

impl Tensor {
    /// Convolution without sharing (a locally connected layer): the output at each position has a kernel of its own.
    /// `self [batch, channels, height, width]`, `weight [out_height, out_width, filters, channels, kh, kw]`: one weight
    /// of [`conv2d`](Tensor::conv2d) for each position; `bias [filters, out_height, out_width]`. One group only.
    ///
    /// ```
    /// # use wgrad_graph::{ConvOptions, Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[1, 1, 1, 3], &d);
    /// let w = Tensor::from_slice(&[1.0f32, 10.0, 100.0], &[1, 3, 1, 1, 1, 1], &d);
    /// let y = x.local_conv2d(&w, None, &ConvOptions::default());
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 20.0, 300.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn local_conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<2>,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.local_conv2d(weight, bias.as_ref(), options));
        let op = "local_conv2d";
        let (&[n, c, ..], &[oh, ow, f, wc, kh, kw]) = (self.shape(), weight.shape()) else {
            return self.fail_with(weight, op, LOCAL);
        };
        if self.rank() != 4 || c != wc {
            return self.fail_with(weight, op, LOCAL);
        }
        let around = match spans(options, [kh, kw]).and_then(|s| padding(options, s)) {
            Ok(p) => p,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let blocks = UnfoldOptions::new([kh, kw])
            .stride(options.stride)
            .dilation(options.dilation);
        // [n, c · kh · kw, positions] to [positions, n, c · kh · kw]
        let columns = padded(self, around).unfold2d(&blocks);
        let positions = oh.saturating_mul(ow);
        if columns.check().is_ok() && columns.size(2) != positions {
            let m = format!("{} positions, kernels for {oh} by {ow}", columns.size(2));
            return self.fail_with(weight, op, m);
        }
        let kernels = weight.reshape(&[positions as isize, f as isize, -1]);
        let y = columns.permute(&[2, 0, 1]).matmul(&kernels.transpose(1, 2));
        if y.check().is_err() {
            return y;
        }
        let y = y.permute_to(&[1, 2, 0]).reshape_to(&[n, f, oh, ow]);
        with_bias(y, bias, op)
    }

    /// [`local_conv2d`](Tensor::local_conv2d) in one dimension: `self [batch, channels, length]`,
    /// `weight [out_length, filters, channels, kernel]`, `bias [filters, out_length]`.
    #[track_caller]
    pub fn local_conv1d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<1>,
    ) -> Tensor {
        if self.rank() != 3 || weight.rank() != 4 {
            let m = "takes [batch, channels, length] and a weight [out_length, filters, channels, kernel]";
            return self.fail_with(weight, "local_conv1d", m);
        }
        let around = match options.padding {
            Padding::Both([p]) => Padding::Each([(0, 0), (p, p)]),
            Padding::Each([p]) => Padding::Each([(0, 0), p]),
            Padding::Same => Padding::Same,
        };
        let wide = ConvOptions {
            stride: [1, options.stride[0]],
            padding: around,
            dilation: [1, options.dilation[0]],
            groups: options.groups,
        };
        let bias = bias.map(|b| b.unsqueeze(-2));
        // [ol, f, c, k] to [1, ol, f, c, 1, k]
        let weight = weight.unsqueeze(0).unsqueeze(-2);
        self.unsqueeze(2)
            .local_conv2d(&weight, bias.as_ref(), &wide)
            .squeeze(2)
    }

    /// Tiled convolution, between shared and unshared: position `(i, j)` of the output uses kernel
    /// `(i mod tile_height, j mod tile_width)`. `self [batch, channels, height, width]`,
    /// `weight [tile_height, tile_width, filters, channels, kh, kw]`, `bias [filters, tile_height, tile_width]`. A tile of 1 by 1 is
    /// [`conv2d`](Tensor::conv2d), one as large as the output [`local_conv2d`](Tensor::local_conv2d).
    #[track_caller]
    pub fn tiled_conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions<2>,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.tiled_conv2d(weight, bias.as_ref(), options));
        let op = "tiled_conv2d";
        let (&[n, c, h, w], &[th, tw, f, wc, kh, kw]) = (self.shape(), weight.shape()) else {
            return self.fail_with(weight, op, TILED);
        };
        if c != wc || th == 0 || tw == 0 {
            return self.fail_with(weight, op, TILED);
        }
        let tiles = match Tiles::new([h, w], [th, tw], [kh, kw], options) {
            Ok(tiles) => tiles,
            Err(m) => return self.fail_with(weight, op, m),
        };
        if let Some(b) = bias.filter(|b| b.shape() != [f, th, tw]) {
            let m = format!("the bias must have shape {:?}", [f, th, tw]);
            return b.fail(op, m);
        }
        let x = padded(self, tiles.padding);
        let column = |i: usize| {
            let row: Vec<Tensor> = (0..tw).map(|j| tiles.part(&x, weight, [i, j])).collect();
            Tensor::stack(&row.iter().collect::<Vec<_>>(), 4)
        };
        let rows: Vec<Tensor> = (0..th).map(column).collect();
        // [n, f, ⌈oh / th⌉, th, ⌈ow / tw⌉, tw]
        let all = Tensor::stack(&rows.iter().collect::<Vec<_>>(), 3);
        if all.check().is_err() {
            return all;
        }
        let all = match bias {
            Some(b) => all + b.reshape_to(&[f, 1, th, 1, tw]),
            None => all,
        };
        let [a, b] = [all.shape()[2] * th, all.shape()[4] * tw];
        let whole = all.reshape_to(&[n, f, a, b]);
        whole
            .narrow(2, 0, tiles.output[0])
            .narrow(3, 0, tiles.output[1])
    }

    /// Weighted means of windows, `Σ weight · x / Σ weight`: pooling that counts the middle of a window more, or
    /// less. `self […, height, width]`, `weight [kh, kw]` of the window's size. Where padding does not count
    /// (`count_include_pad` off) only weights over elements do.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PoolOptions, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[1, 1, 1, 3], &d);
    /// let w = Tensor::from_slice(&[1.0f32, 2.0, 1.0], &[1, 3], &d);
    /// let y = x.weighted_avg_pool2d(&w, &PoolOptions::windows([1, 3]));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn weighted_avg_pool2d(&self, weight: &Tensor, options: &PoolOptions<2>) -> Tensor {
        in_f32!([self, weight] => |x, weight| x.weighted_avg_pool2d(weight, options));
        let op = "weighted_avg_pool2d";
        let [kh, kw] = options.kernel_size;
        if self.rank() < 2 || weight.shape() != [kh, kw] {
            let m = format!("takes [..., height, width] and a weight {:?}", [kh, kw]);
            return self.fail_with(weight, op, m);
        }
        let frame = match options.frame(self.shape()) {
            Ok(frame) => frame,
            Err(m) => return self.fail_with(weight, op, m),
        };
        let x = self.to_float();
        let (lead, image) = x.shape().split_at(x.rank() - 2);
        let convolution = ConvOptions::default()
            .stride(options.stride)
            .dilation(options.dilation)
            .padding_each([frame.padding[0], frame.padding[1]]);
        let kernel = weight.to_float().reshape_to(&[1, 1, kh, kw]);
        let planes = x.reshape_to(&[crate::shape::numel(lead), 1, image[0], image[1]]);
        let sums = planes.conv2d(&kernel, None, &convolution);
        // What each window's weights add up to, counted padding being ones.
        let [p, q] = if options.count_include_pad {
            options.padding
        } else {
            [0, 0]
        };
        let ones = Tensor::full(
            &[1, 1, image[0] + 2 * p, image[1] + 2 * q],
            1.0,
            x.dtype(),
            x.device(),
        );
        let beyond = [0, 1].map(|d| {
            let (lo, hi) = frame.padding[d];
            (lo - [p, q][d], hi.saturating_sub([p, q][d]))
        });
        let total = ones.conv2d(&kernel, None, &convolution.padding_each(beyond));
        let y = sums / total;
        if y.check().is_err() {
            return y;
        }
        y.reshape_to(&[lead, &y.shape()[2..]].concat())
    }
}

/// The geometry of a tiled convolution.
struct Tiles {
    options: ConvOptions<2>,
    tile: [usize; 2],
    span: [usize; 2],
    /// Sizes of the output.
    output: [usize; 2],
    /// Zeros around the input, with as many after it as whole tiles need.
    padding: [(usize, usize); 2],
}

impl Tiles {
    fn new(
        input: [usize; 2],
        tile: [usize; 2],
        kernel: [usize; 2],
        options: &ConvOptions<2>,
    ) -> Result<Tiles, String> {
        let span = spans(options, kernel)?;
        let mut around = padding(options, span)?;
        let mut output = [0; 2];
        for d in 0..2 {
            let size = input[d]
                .checked_add(around[d].0)
                .and_then(|n| n.checked_add(around[d].1))
                .ok_or("the padded size overflows")?;
            let room = size
                .checked_sub(span[d])
                .ok_or(format!("a window covers {} of {size} elements", span[d]))?;
            output[d] = room / options.stride[d] + 1;
            let whole = output[d]
                .checked_next_multiple_of(tile[d])
                .and_then(|n| (n - 1).checked_mul(options.stride[d]))
                .and_then(|n| n.checked_add(span[d]))
                .ok_or("the size of whole tiles overflows")?;
            around[d].1 += whole.saturating_sub(size);
        }
        Ok(Tiles {
            options: *options,
            tile,
            span,
            output,
            padding: around,
        })
    }

    /// The outputs of one kernel: a convolution over every tile's input, from its own offset on.
    #[track_caller]
    fn part(&self, x: &Tensor, weight: &Tensor, at: [usize; 2]) -> Tensor {
        let mut x = x.clone();
        let mut stride = [0; 2];
        for d in 0..2 {
            stride[d] = self.options.stride[d] * self.tile[d];
            let count = self.output[d].div_ceil(self.tile[d]);
            let length = (count - 1) * stride[d] + self.span[d];
            x = x.narrow(d as isize - 2, at[d] * self.options.stride[d], length);
        }
        let kernel = weight.select(0, at[0] as isize).select(0, at[1] as isize);
        let options = ConvOptions::default()
            .stride(stride)
            .dilation(self.options.dilation);
        x.conv2d(&kernel, None, &options)
    }
}
