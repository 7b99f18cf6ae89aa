//! Rows of a table by number, one by one or reduced over bags.

use super::{fail, layer};
use crate::{Host, Kind, Module, init, join};
use wgrad_graph::{DType, Device, EmbeddingOptions, ErrorKind, Generator, Tensor};

/// A table of vectors, looked up by number.
#[derive(Clone)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
    /// A row for padding, which starts as zeros and gets no gradient; it may count from the end.
    pub padding_idx: Option<isize>,
    /// Rows whose norm is greater are looked up scaled down to it. The table keeps them, where PyTorch scales in place.
    pub max_norm: Option<f64>,
    /// Which norm; 2.
    pub norm_type: f64,
    /// Whether the gradient of a row is divided by how often it is picked; no.
    pub scale_grad_by_freq: bool,
    /// Whether the table is a buffer, which no optimiser trains.
    pub frozen: bool,
}

impl Embedding {
    /// With vectors drawn from the standard normal distribution.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let words = wgrad_nn::Embedding::new(10, 4, &mut Generator::new(0), &device);
    /// let index = Tensor::from_slice(&[1, 9, 0, 3, 3, 3], &[2, 3], &device);
    /// assert_eq!(words.forward(&index).shape(), [2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn new(
        num_embeddings: usize,
        embedding_dim: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Embedding {
        let shape = [num_embeddings, embedding_dim];
        Embedding::from_pretrained(&init::normal(&shape, 0.0, 1.0, rng, device))
    }

    /// With a given table `[num_embeddings, embedding_dim]`, trained on unless it is [frozen](Embedding::freeze).
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Embedding, Module};
    /// let table = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// let words = Embedding::from_pretrained(&table).freeze();
    /// assert_eq!((words.num_parameters(), words.state().len()), (0, 1));
    /// ```
    pub fn from_pretrained(weight: &Tensor) -> Embedding {
        Embedding {
            weight: weight.clone(),
            padding_idx: None,
            max_norm: None,
            norm_type: 2.0,
            scale_grad_by_freq: false,
            frozen: false,
        }
    }

    /// With a row of zeros for padding, which may count from the end and is not trained. Out of range it makes the
    /// table invalid.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let words = wgrad_nn::Embedding::new(10, 2, &mut Generator::new(0), &device).padding_idx(0);
    /// assert_eq!(words.forward(&Tensor::new(&[0], &device)).to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn padding_idx(self, padding_idx: isize) -> Embedding {
        Embedding {
            weight: without_row(&self.weight, padding_idx),
            padding_idx: Some(padding_idx),
            ..self
        }
    }

    /// With rows of at most this norm.
    pub fn max_norm(self, max_norm: f64) -> Embedding {
        Embedding {
            max_norm: Some(max_norm),
            ..self
        }
    }

    /// With a table that is not trained.
    pub fn freeze(self) -> Embedding {
        Embedding {
            frozen: true,
            ..self
        }
    }

    /// Numbers (integers, any shape) to `[…, embedding_dim]`. A number out of range makes the next read an error.
    #[track_caller]
    pub fn forward(&self, index: &Tensor) -> Tensor {
        if let Some(bad) = no_integers("embedding", index) {
            return bad;
        }
        index.cast(DType::I32).embedding(
            &self.weight,
            EmbeddingOptions {
                padding_idx: self.padding_idx,
                max_norm: self.max_norm,
                norm_type: self.norm_type,
                scale_grad_by_freq: self.scale_grad_by_freq,
            },
        )
    }
}

/// The error of indices that are no integers.
#[track_caller]
fn no_integers(op: &str, index: &Tensor) -> Option<Tensor> {
    if !index.dtype().is_float() && index.dtype() != DType::Bool {
        return None;
    }
    let message = format!("indices must be integers, not {}", index.dtype());
    Some(fail(op, ErrorKind::DType, message, index))
}

/// A table with one row of zeros.
#[track_caller]
fn without_row(weight: &Tensor, row: isize) -> Tensor {
    let rows = weight.size(0);
    let at = if row < 0 { row + rows as isize } else { row };
    if weight.check().is_ok() && !(0..rows as isize).contains(&at) {
        let message = format!("padding_idx {row} lies outside a table of {rows} rows");
        return fail("embedding", ErrorKind::Index, message, weight);
    }
    let padding = Tensor::arange(rows, weight.device()).eq_scalar(at as f64);
    weight.masked_fill(&padding.unsqueeze(-1), 0.0)
}

/// Implements [`Module`] for a table `weight` that is a parameter or, if `frozen`, a buffer.
macro_rules! table {
    ($name:ident: $($field:ident),+) => {
        impl Module for $name {
            fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
                let kind = if self.frozen { Kind::Buffer } else { Kind::Parameter };
                visitor(&join(path, "weight"), kind, &self.weight);
            }

            fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
                let kind = if self.frozen { Kind::Buffer } else { Kind::Parameter };
                visitor(&join(path, "weight"), kind, &mut self.weight);
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
                $(
                    visitor(Host::Enter(&stringify!($field)));
                    self.$field.visit_host(visitor);
                    visitor(Host::Leave);
                )+
            }

            fn duplicate(&self) -> Option<$name> {
                Some(self.clone())
            }
        }
    };
}

table!(Embedding: frozen, padding_idx, max_norm, norm_type, scale_grad_by_freq);
table!(EmbeddingBag: frozen, padding_idx, mode);

layer!(Embedding, |e| format!(
    "Embedding({}, {})",
    e.weight.size(0),
    e.weight.size(1)
));

/// What an [`EmbeddingBag`] makes of the vectors of a bag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean.
    #[default]
    Mean,
    /// The greatest of each element.
    Max,
}

/// A table of vectors, looked up by bags of numbers that become one vector each. An empty bag gives zeros.
#[derive(Clone)]
pub struct EmbeddingBag {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
    /// What becomes of a bag's vectors; their mean.
    pub mode: BagMode,
    /// A row that counts as absent, which may count from the end.
    pub padding_idx: Option<isize>,
    /// Whether the table is a buffer, which no optimiser trains.
    pub frozen: bool,
}

impl EmbeddingBag {
    /// With vectors drawn from the standard normal distribution.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{BagMode, EmbeddingBag};
    /// let device = Device::cpu();
    /// let table = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &device);
    /// let bag = EmbeddingBag::from_pretrained(&table, BagMode::Sum);
    /// let y = bag.forward(&Tensor::from_slice(&[0, 1, 1, 1], &[2, 2], &device));
    /// assert_eq!(y.to_vec::<f32>()?, [4.0, 6.0, 6.0, 8.0]);
    /// // Bags of one and three numbers.
    /// let (index, offsets) = (Tensor::new(&[0, 1, 1, 1], &device), Tensor::new(&[0, 1], &device));
    /// assert_eq!(bag.forward_offsets(&index, &offsets).to_vec::<f32>()?, [1.0, 2.0, 9.0, 12.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(
        num_embeddings: usize,
        embedding_dim: usize,
        mode: BagMode,
        rng: &mut Generator,
        device: &Device,
    ) -> EmbeddingBag {
        let shape = [num_embeddings, embedding_dim];
        EmbeddingBag::from_pretrained(&init::normal(&shape, 0.0, 1.0, rng, device), mode)
    }

    /// With a given table, trained on unless it is [frozen](EmbeddingBag::freeze).
    pub fn from_pretrained(weight: &Tensor, mode: BagMode) -> EmbeddingBag {
        EmbeddingBag {
            weight: weight.clone(),
            mode,
            padding_idx: None,
            frozen: false,
        }
    }

    /// With a row of zeros that counts as absent. Out of range it makes the table invalid.
    #[track_caller]
    pub fn padding_idx(self, padding_idx: isize) -> EmbeddingBag {
        EmbeddingBag {
            weight: without_row(&self.weight, padding_idx),
            padding_idx: Some(padding_idx),
            ..self
        }
    }

    /// With a table that is not trained.
    pub fn freeze(self) -> EmbeddingBag {
        EmbeddingBag {
            frozen: true,
            ..self
        }
    }

    /// Numbers `[bags, n]`, `n` of each bag, to `[bags, embedding_dim]`.
    #[track_caller]
    pub fn forward(&self, index: &Tensor) -> Tensor {
        self.bags(index, None)
    }

    /// As [`EmbeddingBag::forward`], each vector scaled by a weight, `[bags, n]`; for sums only.
    #[track_caller]
    pub fn forward_weighted(&self, index: &Tensor, per_sample_weights: &Tensor) -> Tensor {
        let (op, weights) = ("embedding_bag", per_sample_weights);
        if self.mode != BagMode::Sum {
            let message = format!("{:?} takes no weights, only Sum does", self.mode);
            return fail(op, ErrorKind::Value, message, index);
        }
        if weights.shape() != index.shape() {
            let message = format!("weights of shape {:?} for other indices", weights.shape());
            return fail(op, ErrorKind::Shape, message, index);
        }
        self.bags(index, Some(weights))
    }

    /// Numbers `[n]` in bags that begin at `offsets [bags]`, ascending from 0, to `[bags, embedding_dim]`. The greatest
    /// elements need memory for `bags · n` vectors.
    #[track_caller]
    pub fn forward_offsets(&self, index: &Tensor, offsets: &Tensor) -> Tensor {
        let op = "embedding_bag";
        for numbers in [index, offsets] {
            if let Some(bad) = no_integers(op, numbers) {
                return bad;
            }
        }
        if index.rank() != 1 || offsets.rank() != 1 {
            let message = format!(
                "takes indices [n] and offsets [bags], not {:?}",
                offsets.shape()
            );
            return fail(op, ErrorKind::Shape, message, index);
        }
        let (n, bags) = (index.numel(), offsets.numel());
        let (rows, kept) = (self.rows(index), self.kept(index));
        // An element belongs to the last bag that begins at or before it.
        let place = Tensor::arange(n, index.device()).unsqueeze(0);
        let begun = offsets.cast(DType::I32).unsqueeze(1).le(&place);
        let bag = begun.cast(DType::I32).sum_dims(&[0], false) - 1;
        if self.mode == BagMode::Max {
            let mine = Tensor::arange(bags, index.device())
                .unsqueeze(1)
                .eq(&bag.unsqueeze(0));
            let mine = mine.logical_and(&kept.unsqueeze(0)).unsqueeze(-1);
            return greatest(&rows.unsqueeze(0), &mine);
        }
        let rows = Tensor::where_(&kept.unsqueeze(-1), &rows, &rows.zeros_like());
        let zeros = Tensor::zeros(&[bags, self.weight.size(1)], rows.dtype(), rows.device());
        let sum = zeros.index_add(0, &bag, &rows, 1.0);
        if self.mode == BagMode::Sum {
            return sum;
        }
        let none = Tensor::zeros(&[bags], rows.dtype(), rows.device());
        let count = none.index_add(0, &bag, &kept.cast(rows.dtype()), 1.0);
        sum / count.clamp_min(1.0).unsqueeze(-1)
    }

    #[track_caller]
    fn rows(&self, index: &Tensor) -> Tensor {
        index
            .cast(DType::I32)
            .embedding(&self.weight, self.padding_idx)
    }

    /// Which numbers are no padding.
    #[track_caller]
    fn kept(&self, index: &Tensor) -> Tensor {
        let rows = self.weight.size(0) as isize;
        match self.padding_idx {
            Some(p) => index.ne_scalar((if p < 0 { p + rows } else { p }) as f64),
            None => index.ones_like().cast(DType::Bool),
        }
    }

    #[track_caller]
    fn bags(&self, index: &Tensor, weights: Option<&Tensor>) -> Tensor {
        let op = "embedding_bag";
        if let Some(bad) = no_integers(op, index) {
            return bad;
        }
        if index.rank() != 2 {
            return fail(
                op,
                ErrorKind::Shape,
                "takes indices [bags, n]".to_string(),
                index,
            );
        }
        let (rows, kept) = (self.rows(index), self.kept(index).unsqueeze(-1));
        if self.mode == BagMode::Max {
            return greatest(&rows, &kept);
        }
        let scaled = match weights {
            Some(w) => &rows * w.unsqueeze(-1),
            None => rows.clone(),
        };
        let sum = Tensor::where_(&kept, &scaled, &scaled.zeros_like()).sum_dims(&[1], false);
        if self.mode == BagMode::Sum {
            return sum;
        }
        sum / kept.cast(rows.dtype()).sum_dims(&[1], false).clamp_min(1.0)
    }
}

/// The greatest of `rows [bags or 1, n, features]` where `mine [bags, n, 1]`, the first of equal ones; 0 where none is.
#[track_caller]
fn greatest(rows: &Tensor, mine: &Tensor) -> Tensor {
    let least = rows.full_like(f64::NEG_INFINITY);
    let masked = Tensor::where_(mine, rows, &least);
    if masked.check().is_err() {
        return masked;
    }
    if masked.size(1) == 0 {
        let shape = [masked.size(0), masked.size(2)];
        return Tensor::zeros(&shape, masked.dtype(), masked.device());
    }
    let best = masked.max_dim(1, false).0;
    let some = mine.any_dims(&[1], false);
    Tensor::where_(&some, &best, &best.zeros_like())
}

impl crate::Layer for EmbeddingBag {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, _: &mut crate::Context) -> Tensor {
        EmbeddingBag::forward(self, x)
    }

    fn kind(&self) -> String {
        let (rows, features) = (self.weight.size(0), self.weight.size(1));
        format!("EmbeddingBag({rows}, {features}, {:?})", self.mode)
    }
}
