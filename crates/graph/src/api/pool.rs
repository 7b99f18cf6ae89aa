//! Pooling over images.

use crate::ops::window_argmax::WindowArgMax;
use crate::ops::window_sum::{Frame, WindowSum};
use crate::tensor::Tensor;

/// Arguments of two-dimensional pooling.
///
/// ```
/// use wgrad_graph::PoolOptions;
/// let halves = PoolOptions::new(2);
/// assert_eq!(halves.stride, [2, 2]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Height and width of a window.
    pub kernel_size: [usize; 2],
    /// Elements between neighbouring windows; the window's size.
    pub stride: [usize; 2],
    /// Padding before and after, at most half a window; 0.
    pub padding: [usize; 2],
}

impl PoolOptions {
    /// Square windows side by side.
    pub fn new(kernel_size: usize) -> PoolOptions {
        PoolOptions {
            kernel_size: [kernel_size; 2],
            stride: [kernel_size; 2],
            padding: [0; 2],
        }
    }

    /// With another stride.
    pub fn stride(self, stride: [usize; 2]) -> PoolOptions {
        PoolOptions { stride, ..self }
    }

    /// With padding.
    pub fn padding(self, padding: [usize; 2]) -> PoolOptions {
        PoolOptions { padding, ..self }
    }

    fn frame(&self) -> Frame {
        Frame {
            kernel: self.kernel_size.to_vec(),
            stride: self.stride.to_vec(),
            padding: self.padding.iter().map(|&p| (p, p)).collect(),
            dilation: vec![1, 1],
        }
    }
}

impl Tensor {
    /// The greatest element of each window of the last two dimensions; NaN wins.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PoolOptions, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
    /// assert_eq!(x.max_pool2d(&PoolOptions::new(2)).item::<f32>()?, 4.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn max_pool2d(&self, options: &PoolOptions) -> Tensor {
        if let Err(m) = self.pool_fits(options) {
            return self.fail("max_pool2d", m);
        }
        let at = Tensor::record(
            WindowArgMax {
                frame: options.frame(),
            },
            &[self],
        );
        if at.check().is_err() {
            return at;
        }
        let out = at.shape().to_vec();
        let flat = self.flatten(-2, -1);
        flat.gather_at(self.rank() - 2, &at.flatten(-2, -1))
            .reshape_to(&out)
    }

    /// The mean of each window of the last two dimensions; padding counts as zeros.
    #[track_caller]
    pub fn avg_pool2d(&self, options: &PoolOptions) -> Tensor {
        if let Err(m) = self.pool_fits(options) {
            return self.fail("avg_pool2d", m);
        }
        let [h, w] = options.kernel_size;
        Tensor::record(
            WindowSum {
                frame: options.frame(),
            },
            &[&self.to_float()],
        ) / (h * w) as f64
    }

    fn pool_fits(&self, options: &PoolOptions) -> Result<(), String> {
        let half = |d: usize| options.padding[d] > options.kernel_size[d] / 2;
        if half(0) || half(1) {
            return Err(format!(
                "padding {:?} exceeds half the window {:?}",
                options.padding, options.kernel_size
            ));
        }
        if self.rank() < 2 {
            Err(format!("needs at least 2 dimensions, has {}", self.rank()))
        } else {
            Ok(())
        }
    }
}
