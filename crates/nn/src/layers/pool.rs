//! Pooling of the last two dimensions; no parameters.

use super::layer;
use crate::Module;
use wgrad_graph::{PoolOptions, Tensor};

/// The greatest element of each window.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
/// assert_eq!(wgrad_nn::MaxPool2d::new(2).forward(&x).item::<f32>()?, 4.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct MaxPool2d {
    /// Window, stride, padding.
    pub options: PoolOptions,
}

/// The mean of each window; padding counts as zeros.
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct AvgPool2d {
    /// Window, stride, padding.
    pub options: PoolOptions,
}

impl MaxPool2d {
    /// Square windows side by side.
    pub fn new(kernel_size: usize) -> MaxPool2d {
        MaxPool2d::with(PoolOptions::new(kernel_size))
    }

    /// Windows of any form.
    pub fn with(options: PoolOptions) -> MaxPool2d {
        MaxPool2d { options }
    }

    /// `x […, height, width]` to `[…, height', width']`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.max_pool2d(&self.options)
    }
}

impl AvgPool2d {
    /// Square windows side by side.
    pub fn new(kernel_size: usize) -> AvgPool2d {
        AvgPool2d::with(PoolOptions::new(kernel_size))
    }

    /// Windows of any form.
    pub fn with(options: PoolOptions) -> AvgPool2d {
        AvgPool2d { options }
    }

    /// `x […, height, width]` to `[…, height', width']`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.avg_pool2d(&self.options)
    }
}

fn size(options: &PoolOptions) -> String {
    let [h, w] = options.kernel_size;
    format!("{h}x{w}")
}

layer!(MaxPool2d, |p| format!("MaxPool2d({})", size(&p.options)));
layer!(AvgPool2d, |p| format!("AvgPool2d({})", size(&p.options)));
