//! Blocks of an image as columns and back (PyTorch's `unfold` and `fold`), and channels as pixels and back.
//! Each spatial dimension is cut by itself, into as many slices as the block is wide.

use crate::in_f32;
use crate::tensor::Tensor;

/// Sizes, strides, paddings and dilations of blocks.
///
/// ```
/// use wgrad_graph::UnfoldOptions;
/// assert_eq!(UnfoldOptions::new([3, 2]).stride, [1, 1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnfoldOptions {
    /// Height and width of a block.
    pub kernel_size: [usize; 2],
    /// Elements between neighbouring taps; 1.
    pub dilation: [usize; 2],
    /// Zeros before and after each dimension; 0.
    pub padding: [usize; 2],
    /// Elements between neighbouring blocks; 1.
    pub stride: [usize; 2],
}

/// The most elements of a block; each is a strided view of the image.
const MAX_TAPS: usize = 1 << 16;

impl UnfoldOptions {
    /// Blocks of this size at every position.
    pub fn new(kernel_size: [usize; 2]) -> Self {
        UnfoldOptions {
            kernel_size,
            dilation: [1; 2],
            padding: [0; 2],
            stride: [1; 2],
        }
    }

    /// With another dilation.
    pub fn dilation(self, dilation: [usize; 2]) -> Self {
        UnfoldOptions { dilation, ..self }
    }

    /// With padding.
    pub fn padding(self, padding: [usize; 2]) -> Self {
        UnfoldOptions { padding, ..self }
    }

    /// With another stride.
    pub fn stride(self, stride: [usize; 2]) -> Self {
        UnfoldOptions { stride, ..self }
    }

    /// Number of blocks along each dimension of an image of `size`.
    fn blocks(&self, size: [usize; 2]) -> Result<[usize; 2], String> {
        let geometry = crate::ops::conv::Geometry {
            stride: self.stride.to_vec(),
            padding: self.padding.iter().map(|&p| (p, p)).collect(),
            dilation: self.dilation.to_vec(),
            groups: 1,
        };
        let [height, width] = self.kernel_size;
        let taps = height.saturating_mul(width);
        if taps > MAX_TAPS {
            return Err(format!(
                "a block of {taps} elements has more than {MAX_TAPS}"
            ));
        }
        geometry
            .output(&size, &self.kernel_size)
            .map(|n| [n[0], n[1]])
    }
}

impl Tensor {
    /// Blocks of images `[batch, channels, height, width]` (or without batch) as columns:
    /// `[batch, channels · kh · kw, blocks]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, UnfoldOptions};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
    /// let y = x.unfold2d(&UnfoldOptions::new([1, 2]));
    /// assert_eq!((y.shape(), y.to_vec::<f32>()?), (&[1, 2, 2][..], vec![1.0, 3.0, 2.0, 4.0]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unfold2d(&self, options: &UnfoldOptions) -> Tensor {
        let op = "unfold2d";
        if self.rank() == 3 {
            return self.unsqueeze(0).unfold2d(options).squeeze(0);
        }
        let &[n, c, h, w] = self.shape() else {
            return self.fail(op, "takes [batch, channels, height, width]");
        };
        let blocks = match options.blocks([h, w]) {
            Ok(blocks) => blocks,
            Err(m) => return self.fail(op, m),
        };
        let [ph, pw] = options.padding;
        let x = self.pad_to(&[0, 0, ph, pw], &[0, 0, ph, pw], &[0; 4]);
        let [kh, kw] = options.kernel_size;
        // [n, c, h, w] → [n, c, kh, oh, w] → [n, c, kh, oh, kw, ow]
        let x = x
            .unfold_dim(2, options, 0, blocks[0])
            .unfold_dim(4, options, 1, blocks[1]);
        x.permute(&[0, 1, 2, 4, 3, 5])
            .reshape_to(&[n, c * kh * kw, blocks[0] * blocks[1]])
    }

    /// Dimension `d` as taps and blocks.
    #[track_caller]
    fn unfold_dim(&self, d: usize, options: &UnfoldOptions, axis: usize, blocks: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let rank = self.rank();
        let (mut start, mut step, mut size) = (vec![0; rank], vec![1; rank], self.shape().to_vec());
        (step[d], size[d]) = (options.stride[axis], blocks);
        let mut taps = Vec::with_capacity(options.kernel_size[axis]);
        for t in 0..options.kernel_size[axis] {
            start[d] = t * options.dilation[axis];
            taps.push(self.slice_to(&start, &step, &size));
        }
        Tensor::stack(&taps.iter().collect::<Vec<_>>(), d as isize)
    }

    /// Columns `[batch, channels · kh · kw, blocks]` (or without batch) added into images
    /// `[batch, channels, output_size…]`; the adjoint of [`Tensor::unfold2d`].
    #[track_caller]
    pub fn fold2d(&self, output_size: [usize; 2], options: &UnfoldOptions) -> Tensor {
        in_f32!([self] => |x| x.fold2d(output_size, options));
        let op = "fold2d";
        if self.rank() == 2 {
            return self.unsqueeze(0).fold2d(output_size, options).squeeze(0);
        }
        let &[n, columns, length] = self.shape() else {
            return self.fail(op, "takes [batch, channels · kh · kw, blocks]");
        };
        let [oh, ow] = match options.blocks(output_size) {
            Ok(blocks) => blocks,
            Err(m) => return self.fail(op, m),
        };
        let [kh, kw] = options.kernel_size;
        let area = kh.saturating_mul(kw);
        if !columns.is_multiple_of(area) || oh.checked_mul(ow) != Some(length) {
            let m = format!("an image {output_size:?} has {oh} by {ow} blocks of {area} elements");
            return self.fail(op, m);
        }
        let c = columns / area;
        let x = self
            .reshape_to(&[n, c, kh, kw, oh, ow])
            .permute(&[0, 1, 2, 4, 3, 5]);
        // [n, c, kh, oh, kw, ow] → [n, c, kh, oh, w] → [n, c, h, w], padded
        let x = x
            .fold_dim(4, options, 1, output_size[1])
            .fold_dim(2, options, 0, output_size[0]);
        if options.padding == [0; 2] || x.check().is_err() {
            return x;
        }
        let [ph, pw] = options.padding;
        x.slice_to(
            &[0, 0, ph, pw],
            &[1; 4],
            &[n, c, output_size[0], output_size[1]],
        )
    }

    /// Dimensions `d` (taps) and `d + 1` (blocks) added into one of `size`, padded.
    #[track_caller]
    fn fold_dim(&self, d: usize, options: &UnfoldOptions, axis: usize, size: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let (stride, blocks) = (options.stride[axis], self.shape()[d + 1]);
        let padded = size + 2 * options.padding[axis];
        let rank = self.rank() - 1;
        let (mut lo, mut hi, mut interior) = (vec![0; rank], vec![0; rank], vec![0; rank]);
        interior[d] = stride - 1;
        let spread = blocks.saturating_sub(1) * stride + 1;
        let tap = |t: usize| {
            lo[d] = t * options.dilation[axis];
            hi[d] = padded - lo[d] - spread;
            self.select(d as isize, t as isize)
                .pad_to(&lo, &hi, &interior)
        };
        let taps: Vec<Tensor> = (0..options.kernel_size[axis]).map(tap).collect();
        taps.into_iter()
            .reduce(|a, b| a + b)
            .unwrap_or_else(|| self.clone())
    }

    /// `[…, channels · r², height, width]` to `[…, channels, height · r, width · r]`.
    #[track_caller]
    pub fn pixel_shuffle(&self, upscale_factor: usize) -> Tensor {
        let (r, rank) = (upscale_factor, self.rank());
        let area = r.checked_mul(r).filter(|&a| a > 0);
        let fits = |a: usize| rank >= 3 && self.shape()[rank - 3].is_multiple_of(a);
        let Some(area) = area.filter(|&a| fits(a)) else {
            let m = format!("takes [..., channels · {r}², height, width], {r} at least 1");
            return self.fail("pixel_shuffle", m);
        };
        let lead = rank - 3;
        let (c, h, w) = (
            self.shape()[lead] / area,
            self.shape()[lead + 1],
            self.shape()[lead + 2],
        );
        let head = &self.shape()[..lead];
        let mut perm: Vec<usize> = (0..=lead).collect();
        perm.extend([3, 1, 4, 2].map(|d| lead + d));
        let split = self
            .reshape_to(&[head, &[c, r, r, h, w]].concat())
            .permute_to(&perm);
        split.reshape_to(&[head, &[c, h.saturating_mul(r), w.saturating_mul(r)]].concat())
    }

    /// `[…, channels, height · r, width · r]` to `[…, channels · r², height, width]`.
    #[track_caller]
    pub fn pixel_unshuffle(&self, downscale_factor: usize) -> Tensor {
        let (r, rank) = (downscale_factor, self.rank());
        let whole = |d: usize| self.shape()[d].is_multiple_of(r);
        if r == 0 || rank < 3 || !whole(rank - 1) || !whole(rank - 2) {
            let m = format!("takes [..., channels, height · {r}, width · {r}], {r} at least 1");
            return self.fail("pixel_unshuffle", m);
        }
        let lead = rank - 3;
        let (c, h, w) = (
            self.shape()[lead],
            self.shape()[lead + 1] / r,
            self.shape()[lead + 2] / r,
        );
        let head = &self.shape()[..lead];
        let mut perm: Vec<usize> = (0..=lead).collect();
        perm.extend([2, 4, 1, 3].map(|d| lead + d));
        let split = self
            .reshape_to(&[head, &[c, h, r, w, r]].concat())
            .permute_to(&perm);
        let channels = c.saturating_mul(r).saturating_mul(r);
        split.reshape_to(&[head, &[channels, h, w]].concat())
    }
}
