//! Undoing max pooling: each element goes back to the place it came from, all others are 0.

use crate::shape::checked_numel;
use crate::tensor::Tensor;
use crate::{DType, ErrorKind, PoolOptions};

macro_rules! by_dimension {
    ($($(#[$doc:meta])* $name:ident, $n:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(
                &self,
                indices: &Tensor,
                options: &PoolOptions<$n>,
                output_size: Option<[usize; $n]>,
            ) -> Tensor {
                self.max_unpool(stringify!($name), indices, options, output_size)
            })*
        }
    };
}

by_dimension! {
    /// As [`Tensor::max_unpool2d`], of the last dimension.
    max_unpool1d, 1;
    /// Puts pooled elements back where `indices` (of `max_pool2d_with_indices`, of the same shape) say, in planes of
    /// `output_size`, or of the size that the windows cover: `(n − 1) · stride − 2 · padding + kernel`. An element that
    /// several windows had picked comes back once. An index beyond the plane makes the next read an error.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PoolOptions, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 4.0, 3.0], &[1, 1, 2, 2], &Device::cpu());
    /// let options = PoolOptions::new(2);
    /// let (y, at) = x.max_pool2d_with_indices(&options);
    /// assert_eq!(y.max_unpool2d(&at, &options, None).to_vec::<f32>()?, [0.0, 0.0, 4.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    max_unpool2d, 2;
    /// As [`Tensor::max_unpool2d`], of the last three dimensions.
    max_unpool3d, 3;
}

impl Tensor {
    #[track_caller]
    fn max_unpool<const N: usize>(
        &self,
        op: &str,
        indices: &Tensor,
        options: &PoolOptions<N>,
        output_size: Option<[usize; N]>,
    ) -> Tensor {
        if self.rank() < N || indices.shape() != self.shape() {
            let m = format!(
                "takes as many indices as elements, not {:?}",
                indices.shape()
            );
            return self.fail_with(indices, op, m);
        }
        if indices.check().is_ok() && indices.dtype() != DType::I32 {
            let m = format!("indices are i32, not {}", indices.dtype());
            return self.fail_kind(ErrorKind::DType, op, m);
        }
        let lead = self.rank() - N;
        let covered = |d: usize| {
            let steps = self.shape()[lead + d].checked_sub(1)?;
            let reach = steps.checked_mul(options.stride[d])?;
            let size = reach.checked_add(options.kernel_size[d])?;
            size.checked_sub(options.padding[d].checked_mul(2)?)
        };
        let sizes: Option<Vec<usize>> = match output_size {
            Some(sizes) => Some(sizes.to_vec()),
            None => (0..N).map(covered).collect(),
        };
        let shape = sizes.map(|sizes| [&self.shape()[..lead], &sizes].concat());
        let Some(shape) = shape.filter(|s| checked_numel(s).is_some()) else {
            return self.fail(op, format!("the windows of {options:?} cover no plane"));
        };
        if shape.contains(&0) || self.numel() == 0 {
            return self.fail(
                op,
                format!("planes of shape {:?} are empty", &shape[lead..]),
            );
        }
        let first = -(N as isize);
        let (values, at) = (self.flatten(first, -1), indices.flatten(first, -1));
        let plane: usize = shape[lead..].iter().product();
        let flat = [&shape[..lead], &[plane]].concat();
        let zeros = Tensor::zeros(&flat, self.dtype(), self.device());
        let sum = zeros.scatter_add(-1, &at, &values);
        let count = zeros.scatter_add(-1, &at, &values.ones_like());
        // One of equal ones, with the gradient that each of them has: the place's.
        let once = (&sum / count.clamp_min(1.0)).stop_gradient();
        (once - sum.stop_gradient() + &sum).reshape_to(&shape)
    }
}
