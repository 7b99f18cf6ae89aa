//! Differences, gradients by differences, and integrals along a dimension.

use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::dim;
use crate::tensor::Tensor;

impl Tensor {
    /// Differences of neighbours along `dim`, `n` times; of truth values whether they differ. What is prepended or
    /// appended takes part.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1, 4, 9, 16], &Device::cpu());
    /// assert_eq!(x.diff(2, -1, None, None).to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(
        &self,
        n: usize,
        along: isize,
        prepend: Option<&Tensor>,
        append: Option<&Tensor>,
    ) -> Tensor {
        if self.rank() == 0 {
            return self.fail("diff", "needs at least one dimension");
        }
        if let Err(m) = dim(along, self.rank()) {
            return self.fail("diff", m);
        }
        let all: Vec<&Tensor> = prepend.into_iter().chain([self]).chain(append).collect();
        let mut x = if all.len() > 1 {
            Tensor::cat(&all, along)
        } else {
            self.clone()
        };
        for _ in 0..n {
            let size = x.size(along);
            if size == 0 || x.check().is_err() {
                break;
            }
            let (a, b) = (x.narrow(along, 1, size - 1), x.narrow(along, 0, size - 1));
            x = match x.dtype() {
                crate::DType::Bool => a.logical_xor(&b),
                _ => a - b,
            };
        }
        x
    }

    /// The derivative along `dim` of samples `spacing` apart, by central differences inside and, at the ends, by one-sided
    /// ones of order 1 or 2 (PyTorch's `gradient` along one dimension).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[0.0f32, 1.0, 4.0, 9.0], &Device::cpu());
    /// assert_eq!(x.gradient(1.0, 0, 1).to_vec::<f32>()?, [1.0, 2.0, 4.0, 5.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn gradient(&self, spacing: f64, along: isize, edge_order: usize) -> Tensor {
        in_f32!([self] => |x| x.gradient(spacing, along, edge_order));
        let n = self.size(along);
        if !(1..=2).contains(&edge_order) {
            let m = format!("edges of order {edge_order}");
            return self.fail_kind(ErrorKind::Value, "gradient", m);
        }
        if self.rank() == 0 || n <= edge_order {
            let m = format!("{n} samples along dimension {along}");
            return self.fail("gradient", m);
        }
        let x = self.to_float();
        let at = |i: usize| x.narrow(along, i, 1);
        let edge = |a: usize, b: usize, c: usize| match edge_order {
            1 => at(b) - at(a),
            _ => at(b) * 2.0 - at(a) * 1.5 - at(c) * 0.5,
        };
        let first = edge(0, 1, 2.min(n - 1));
        let last = -edge(n - 1, n - 2, n.saturating_sub(3));
        let inner = (x.narrow(along, 2.min(n), n - 2) - x.narrow(along, 0, n - 2)) * 0.5;
        Tensor::cat(&[&first, &inner, &last], along) / spacing
    }

    /// The integral along `dim` by trapezoids `dx` apart; PyTorch's `trapezoid` and `trapz`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[1.0f32, 5.0, 10.0], &Device::cpu());
    /// assert_eq!(y.trapezoid(1.0, -1).item::<f32>()?, 10.5);
    /// assert_eq!(y.cumulative_trapezoid(1.0, -1).to_vec::<f32>()?, [3.0, 10.5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, along: isize) -> Tensor {
        in_f32!([self] => |x| x.trapezoid(dx, along));
        self.trapezoids("trapezoid", along)
            .sum_dims(&[along], false)
            .times(dx)
    }

    /// The integral along `dim` over the places `x`, a row or of this tensor's shape.
    #[track_caller]
    pub fn trapezoid_over(&self, x: &Tensor, along: isize) -> Tensor {
        in_f32!([self, x] => |y, x| y.trapezoid_over(x, along));
        (self.trapezoids("trapezoid", along) * self.widths(x, along)).sum_dims(&[along], false)
    }

    /// The running integral along `dim` by trapezoids `dx` apart, one element shorter.
    #[track_caller]
    pub fn cumulative_trapezoid(&self, dx: f64, along: isize) -> Tensor {
        in_f32!([self] => |x| x.cumulative_trapezoid(dx, along));
        self.trapezoids("cumulative_trapezoid", along)
            .cumsum(along)
            .times(dx)
    }

    /// The running integral along `dim` over the places `x`, a row or of this tensor's shape.
    #[track_caller]
    pub fn cumulative_trapezoid_over(&self, x: &Tensor, along: isize) -> Tensor {
        in_f32!([self, x] => |y, x| y.cumulative_trapezoid_over(x, along));
        (self.trapezoids("cumulative_trapezoid", along) * self.widths(x, along)).cumsum(along)
    }

    /// Means of neighbours.
    #[track_caller]
    fn trapezoids(&self, op: &str, along: isize) -> Tensor {
        let n = self.size(along);
        if self.rank() == 0 {
            return self.fail(op, "needs at least one dimension");
        }
        if let Err(m) = dim(along, self.rank()) {
            return self.fail(op, m);
        }
        let y = self.to_float();
        let rest = n.saturating_sub(1);
        (y.narrow(along, n - rest, rest) + y.narrow(along, 0, rest)) * 0.5
    }

    /// Distances of places, in the form of this tensor.
    #[track_caller]
    fn widths(&self, x: &Tensor, along: isize) -> Tensor {
        if x.rank() != 1 {
            return x.diff(1, along, None, None);
        }
        if x.numel() != self.size(along) {
            let m = format!("{} places for {} samples", x.numel(), self.size(along));
            return x.fail("trapezoid", m);
        }
        let mut thin = vec![1; self.rank()];
        let widths = x.diff(1, 0, None, None);
        if let Ok(d) = dim(along, self.rank()) {
            thin[d] = widths.numel();
        }
        widths.reshape_to(&thin)
    }
}
