//! Rows of a table picked by number: PyTorch's `embedding` with all its options.

use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::dim;
use crate::tensor::Tensor;

/// Optional arguments of [`Tensor::embedding`]. A padding index is one: `None`, or `Some(0)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingOptions {
    /// A row, which may count from the end, that gets no gradient.
    pub padding_idx: Option<isize>,
    /// Rows whose norm is greater are scaled down to it; none. The gradient is that of the scaled table, as in
    /// PyTorch, which scales in place; here the table stays as it is.
    pub max_norm: Option<f64>,
    /// Which norm: 2.
    pub norm_type: f64,
    /// Whether the gradient of a row is divided by how often the row is picked; no.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        EmbeddingOptions {
            padding_idx: None,
            max_norm: None,
            norm_type: 2.0,
            scale_grad_by_freq: false,
        }
    }
}

impl From<Option<isize>> for EmbeddingOptions {
    fn from(padding_idx: Option<isize>) -> Self {
        EmbeddingOptions {
            padding_idx,
            ..EmbeddingOptions::default()
        }
    }
}

impl EmbeddingOptions {
    /// With a row that gets no gradient.
    pub fn padding_idx(self, padding_idx: isize) -> Self {
        EmbeddingOptions {
            padding_idx: Some(padding_idx),
            ..self
        }
    }

    /// With rows of at most this norm.
    pub fn max_norm(self, max_norm: f64) -> Self {
        EmbeddingOptions {
            max_norm: Some(max_norm),
            ..self
        }
    }

    /// With another norm.
    pub fn norm_type(self, norm_type: f64) -> Self {
        EmbeddingOptions { norm_type, ..self }
    }

    /// With gradients divided by frequencies or not.
    pub fn scale_grad_by_freq(self, scale_grad_by_freq: bool) -> Self {
        EmbeddingOptions {
            scale_grad_by_freq,
            ..self
        }
    }
}

impl Tensor {
    /// Rows of `weight` `[n, features]` picked by an index of any shape: `[…, features]`. An index out of range makes
    /// the next read an error.
    ///
    /// ```
    /// # use wgrad_graph::{Device, EmbeddingOptions, Tensor};
    /// let d = Device::cpu();
    /// let weight = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &d);
    /// assert_eq!(Tensor::new(&[1, 0], &d).embedding(&weight, None).to_vec::<f32>()?, [3.0, 4.0, 1.0, 2.0]);
    /// let short = EmbeddingOptions::default().max_norm(1.0);
    /// let row = Tensor::new(&[1], &d).embedding(&weight, short).to_vec::<f32>()?;
    /// assert!((row[0] - 0.6).abs() < 1e-5 && (row[1] - 0.8).abs() < 1e-5);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn embedding(&self, weight: &Tensor, options: impl Into<EmbeddingOptions>) -> Tensor {
        let (op, options) = ("embedding", options.into());
        if options.max_norm.is_some() || options.scale_grad_by_freq {
            in_f32!([weight] => |weight| self.embedding(weight, options));
        }
        if weight.rank() != 2 {
            return weight.fail(op, format!("a weight of shape {:?}", weight.shape()));
        }
        let index = self.as_index(op);
        let flat = index.reshape_to(&[self.numel()]);
        let mut sizes = self.shape().to_vec();
        sizes.push(weight.shape()[1]);
        let mut rows = weight.index_select(0, &flat);
        if options.scale_grad_by_freq {
            rows = rows.with_gradient_over(&flat.frequencies(weight.shape()[0]));
        }
        if let Some(most) = options.max_norm {
            rows = rows.at_most(most, options.norm_type);
        }
        let rows = rows.reshape_to(&sizes);
        let Some(padding) = options.padding_idx else {
            return rows;
        };
        match dim(padding, weight.shape()[0]) {
            Ok(p) => {
                let padded = index.eq_scalar(p as f64).unsqueeze(-1);
                Tensor::where_(&padded, &rows.stop_gradient(), &rows)
            }
            Err(_) => weight.fail_kind(ErrorKind::Index, op, format!("padding_idx {padding}")),
        }
    }

    /// For each element of a vector of indices, how often it occurs there (i32, `[n, 1]`).
    #[track_caller]
    fn frequencies(&self, size: usize) -> Tensor {
        let counts = self.ones_like().scatter_add_to(0, self, size);
        counts.index_select(0, self).unsqueeze(-1)
    }

    /// `self`, whose gradient is divided by `divisor`.
    #[track_caller]
    fn with_gradient_over(&self, divisor: &Tensor) -> Tensor {
        let value = self.stop_gradient();
        &value + (self - &value) / divisor
    }

    /// Rows scaled down to a norm, with the gradient of the scaled rows themselves.
    #[track_caller]
    fn at_most(&self, most: f64, norm_type: f64) -> Tensor {
        let value = self.stop_gradient();
        let norm = value.vector_norm(norm_type, &[1], true);
        // The constant is PyTorch's.
        let short = &value * (most / (&norm + 1e-7));
        let long = norm.gt_scalar(most);
        Tensor::where_(&long, &short, &value) + (self - &value)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, EmbeddingOptions, Tensor, grad};

    #[test]
    fn options_change_rows_and_their_gradients_as_in_pytorch() {
        let d = Device::reference();
        let weight = Tensor::from_slice(&[3.0f32, 4.0, 0.1, 0.2], &[2, 2], &d);
        let index = Tensor::new(&[0, 0, 1], &d);
        let options = EmbeddingOptions::default().scale_grad_by_freq(true);
        let slope = |options: EmbeddingOptions| {
            let rows = index.embedding(&weight, options);
            grad(&rows.sum(), &[&weight]).unwrap()[0]
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(slope(options), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(slope(options.padding_idx(-1)), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(slope(Some(0).into()), [0.0, 0.0, 1.0, 1.0]);
        let short = EmbeddingOptions::default().max_norm(3.5).norm_type(1.0);
        let rows = index.embedding(&weight, short).to_vec::<f32>().unwrap();
        assert!((rows[0] - 1.5).abs() < 1e-6 && (rows[1] - 2.0).abs() < 1e-6);
        assert_eq!(rows[4..], [0.1, 0.2]);
        assert_eq!(slope(short), [2.0, 2.0, 1.0, 1.0]);
    }
}
