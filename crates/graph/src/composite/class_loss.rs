//! Losses of classes: cross-entropy in all of PyTorch's forms, and margins between classes.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::tensor::Tensor;
use crate::{LossOptions, Reduction};

/// Optional arguments of [`Tensor::cross_entropy`] and [`Tensor::nll_loss`]. A [`Reduction`] is one.
#[derive(Clone)]
pub struct CrossEntropyOptions {
    /// What becomes of the losses; their mean, over the classes' weights if there are.
    pub reduction: Reduction,
    /// A factor for each class, `[classes]`.
    pub weight: Option<Tensor>,
    /// A class number whose losses are 0 and do not count in a mean; −100.
    pub ignore_index: i32,
    /// How much of each target is spread evenly over all classes, 0 to 1; 0.
    pub label_smoothing: f64,
}

impl Default for CrossEntropyOptions {
    fn default() -> Self {
        Reduction::default().into()
    }
}

impl From<Reduction> for CrossEntropyOptions {
    fn from(reduction: Reduction) -> Self {
        CrossEntropyOptions {
            reduction,
            weight: None,
            ignore_index: -100,
            label_smoothing: 0.0,
        }
    }
}

impl CrossEntropyOptions {
    /// With another reduction.
    pub fn reduction(self, reduction: Reduction) -> Self {
        CrossEntropyOptions { reduction, ..self }
    }

    /// With factors of the classes.
    pub fn weight(self, weight: &Tensor) -> Self {
        CrossEntropyOptions {
            weight: Some(weight.clone()),
            ..self
        }
    }

    /// With another class that does not count.
    pub fn ignore_index(self, ignore_index: i32) -> Self {
        CrossEntropyOptions {
            ignore_index,
            ..self
        }
    }

    /// With smoothed targets.
    pub fn label_smoothing(self, label_smoothing: f64) -> Self {
        CrossEntropyOptions {
            label_smoothing,
            ..self
        }
    }

    /// With this weight in place of its own.
    fn with(self, weight: &Option<Tensor>) -> Self {
        CrossEntropyOptions {
            weight: weight.clone(),
            ..self
        }
    }

    /// A loss that averages by these options: `losses` and `weights`, which are 0 where ignored.
    #[track_caller]
    fn reduce(&self, losses: &Tensor, weights: Option<&Tensor>) -> Tensor {
        match (self.reduction, weights) {
            (Reduction::Mean, Some(w)) => losses.sum() / w.sum(),
            (reduction, _) => reduction.apply(losses),
        }
    }
}

/// Class numbers, with what depends on them alone.
struct Targets {
    /// i32, 0 where ignored.
    class: Tensor,
    /// Which of them count; `None`: all.
    counts: Option<Tensor>,
    /// Weights of the losses, 0 where ignored; `None`: all 1.
    weights: Option<Tensor>,
}

impl Targets {
    #[track_caller]
    fn new(target: &Tensor, options: &CrossEntropyOptions) -> Targets {
        let unsigned = matches!(target.dtype(), DType::U8 | DType::U32 | DType::Bool);
        let all = target.cast(DType::I32);
        let counts = (!unsigned || options.ignore_index >= 0)
            .then(|| all.ne_scalar(f64::from(options.ignore_index)));
        let class = match &counts {
            Some(counts) => Tensor::where_(counts, &all, &all.zeros_like()),
            None => all,
        };
        let weights = options.weight.as_ref().map(|w| {
            let rows = class.flatten(0, -1);
            w.to_float()
                .index_select(0, &rows)
                .reshape_to(class.shape())
        });
        let weights = match (&counts, weights) {
            (Some(counts), Some(w)) => Some(Tensor::where_(counts, &w, &w.zeros_like())),
            (Some(counts), None) => Some(counts.cast(DType::F32)),
            (None, weights) => weights,
        };
        Targets {
            class,
            counts,
            weights,
        }
    }

    /// `losses` where they count, else 0.
    #[track_caller]
    fn masked(&self, losses: Tensor) -> Tensor {
        match &self.counts {
            Some(counts) => Tensor::where_(counts, &losses, &losses.zeros_like()),
            None => losses,
        }
    }
}

impl Tensor {
    /// The dimension of the classes, after checking target and options: 1, or 0 of a vector.
    fn class_dim(&self, target: &Tensor, options: &CrossEntropyOptions) -> Result<usize, String> {
        let Some(last) = self.rank().checked_sub(1) else {
            return Err("takes [batch, classes, ...] or [classes]".into());
        };
        let dim = last.min(1);
        if let Some(w) = options
            .weight
            .as_ref()
            .filter(|w| w.shape() != [self.shape()[dim]])
        {
            let m = format!("weight {:?} is not one factor for each class", w.shape());
            return Err(m);
        }
        let mut without = self.shape().to_vec();
        without.remove(dim);
        let probabilities = target.dtype().is_float();
        let want = if probabilities {
            self.shape()
        } else {
            &without
        };
        if target.shape() != want {
            let what = if probabilities {
                "probabilities"
            } else {
                "classes"
            };
            return Err(format!("{what} {:?} do not fit: {want:?}", target.shape()));
        }
        Ok(dim)
    }

    /// Cross-entropy of logits `[batch, classes, …]`, or `[classes]`, with class numbers (integers, the shape
    /// without the classes) or probabilities (floats, of the shape of the logits). A class out of range, other
    /// than `ignore_index`, makes the next read an error.
    ///
    /// ```
    /// # use wgrad_graph::{CrossEntropyOptions, Device, Reduction, Tensor};
    /// let d = Device::cpu();
    /// let logits = Tensor::from_slice(&[0.0f32, 0.0], &[1, 2], &d);
    /// let loss = logits.cross_entropy(&Tensor::new(&[1], &d), Reduction::Mean);
    /// assert!((loss.item::<f32>()? - 0.6931472).abs() < 1e-6);
    /// let smooth = CrossEntropyOptions::default().label_smoothing(0.1);
    /// let loss = logits.cross_entropy(&Tensor::new(&[1], &d), smooth);
    /// assert!((loss.item::<f32>()? - 0.6931472).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(
        &self,
        target: &Tensor,
        options: impl Into<CrossEntropyOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref()] => |x, target, weight| {
            x.cross_entropy(target, options.with(weight))
        });
        let op = "cross_entropy";
        let dim = match self.class_dim(target, &options) {
            Ok(dim) => dim,
            Err(m) => return self.fail_with(target, op, m),
        };
        let smoothing = options.label_smoothing;
        if !(0.0..=1.0).contains(&smoothing) {
            let m = format!("label_smoothing {smoothing} is not between 0 and 1");
            return self.fail_kind(ErrorKind::Value, op, m);
        }
        let log_p = self.log_softmax(dim as isize);
        if target.dtype().is_float() {
            return log_p.against_probabilities(target, dim, &options);
        }
        let targets = Targets::new(target, &options);
        let loss = log_p.against_classes(&targets, dim, &options);
        if smoothing == 0.0 {
            return loss;
        }
        let spread = match &options.weight {
            Some(w) => (&log_p * w.class_row(dim, log_p.rank())).sum_dims(&[dim as isize], false),
            None => log_p.sum_dims(&[dim as isize], false),
        };
        let spread = options.reduce(&targets.masked(-spread), targets.weights.as_ref());
        loss * (1.0 - smoothing) + spread * (smoothing / self.shape()[dim].max(1) as f64)
    }

    /// `[n]` as `[1, …, n, …]`, in dimension `dim` of `rank`.
    #[track_caller]
    fn class_row(&self, dim: usize, rank: usize) -> Tensor {
        let mut shape = vec![1; rank];
        shape[dim] = self.numel();
        self.reshape_to(&shape)
    }

    /// `self` are log-probabilities.
    #[track_caller]
    fn against_probabilities(
        &self,
        target: &Tensor,
        dim: usize,
        options: &CrossEntropyOptions,
    ) -> Tensor {
        let classes = self.shape()[dim].max(1);
        let smoothing = options.label_smoothing;
        let target = match smoothing {
            0.0 => target.clone(),
            s => target * (1.0 - s) + s / classes as f64,
        };
        let products = match &options.weight {
            Some(w) => -(self * target) * w.class_row(dim, self.rank()),
            None => -(self * target),
        };
        let losses = products.sum_dims(&[dim as isize], false);
        match options.reduction {
            Reduction::Mean => losses.sum() / (self.numel() / classes) as f64,
            reduction => reduction.apply(&losses),
        }
    }

    /// `self` are log-probabilities, or anything whose negative is a loss.
    #[track_caller]
    fn against_classes(
        &self,
        targets: &Targets,
        dim: usize,
        options: &CrossEntropyOptions,
    ) -> Tensor {
        let index = targets.class.unsqueeze(dim as isize);
        let right = self
            .gather_at(dim, &index)
            .reshape_to(targets.class.shape());
        let losses = match (&options.weight, &targets.weights) {
            (Some(_), Some(w)) => -right * w,
            _ => -right,
        };
        options.reduce(&targets.masked(losses), targets.weights.as_ref())
    }

    /// The negative of the right class's element, `self` being log-probabilities `[batch, classes, …]` or
    /// `[classes]`; see [`Tensor::cross_entropy`].
    #[track_caller]
    pub fn nll_loss(&self, target: &Tensor, options: impl Into<CrossEntropyOptions>) -> Tensor {
        let options = options.into();
        in_f32!([self, options.weight.as_ref()] => |x, weight| {
            x.nll_loss(target, options.with(weight))
        });
        let op = "nll_loss";
        if target.dtype().is_float() || options.label_smoothing != 0.0 {
            let m = "takes class numbers (integers), without label_smoothing";
            return self.fail_kind(ErrorKind::DType, op, m);
        }
        match self.class_dim(target, &options) {
            Ok(dim) => {
                let targets = Targets::new(target, &options);
                self.to_float().against_classes(&targets, dim, &options)
            }
            Err(m) => self.fail_with(target, op, m),
        }
    }

    /// `[batch, classes]` and whether there was a batch, of scores `[batch, classes]` or `[classes]`.
    #[track_caller]
    fn scores(&self, op: &str) -> (Tensor, bool) {
        match self.rank() {
            1 => (self.to_float().unsqueeze(0), false),
            2 => (self.to_float(), true),
            _ => (self.fail(op, "takes [batch, classes] or [classes]"), false),
        }
    }

    /// Losses `[batch]` reduced, without the batch if there was none.
    #[track_caller]
    fn reduced(&self, batched: bool, reduction: Reduction) -> Tensor {
        let losses = if batched {
            self.clone()
        } else {
            self.squeeze(0)
        };
        reduction.apply(&losses)
    }

    /// `Σ_{i ≠ y} max(0, margin − x[y] + x[i])ᵖ / classes` for the right class `y`, `p` 1 or 2; multiplied by
    /// `weight[y]`. Scores `[batch, classes]` with classes `[batch]`, or without batch.
    #[track_caller]
    pub fn multi_margin_loss(
        &self,
        target: &Tensor,
        p: u32,
        margin: f64,
        options: impl Into<LossOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, weight, positive| {
            x.multi_margin_loss(target, p, margin, options.with(weight, positive))
        });
        let op = "multi_margin_loss";
        let (x, batched) = self.scores(op);
        if x.check().is_err() {
            return x;
        }
        let (batch, classes) = (x.shape()[0], x.shape()[1]);
        let fits = target.numel() == batch && target.rank() <= 1 && !target.dtype().is_float();
        if !fits || !(1..=2).contains(&p) || options.pos_weight.is_some() {
            let m = format!(
                "targets {:?} are not {batch} classes, or p is {p}",
                target.shape()
            );
            return self.fail_with(target, op, m);
        }
        let y = target.cast(DType::I32).reshape_to(&[batch, 1]);
        let others = Tensor::arange(classes, self.device()).ne(&y);
        let z = (margin - x.gather_at(1, &y) + &x).relu();
        let mut z = if p == 2 { z.square() } else { z };
        if let Some(w) = &options.weight {
            if w.shape() != [classes] {
                return w.fail(op, format!("needs {classes} weights"));
            }
            z = z * w
                .index_select(0, &y.reshape_to(&[batch]))
                .reshape_to(&[batch, 1]);
        }
        let losses = Tensor::where_(&others, &z, &z.zeros_like()).sum_dims(&[1], false);
        (losses / classes as f64).reduced(batched, options.reduction)
    }

    /// `Σ_{y right, i not} max(0, 1 − x[y] + x[i]) / classes`; a row of targets, of the shape of the scores, holds
    /// class numbers up to the first negative one.
    #[track_caller]
    pub fn multilabel_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        in_f32!([self] => |x| x.multilabel_margin_loss(target, reduction));
        let op = "multilabel_margin_loss";
        let (x, batched) = self.scores(op);
        if x.check().is_err() {
            return x;
        }
        if target.shape() != self.shape() || target.dtype().is_float() {
            return self.fail_with(
                target,
                op,
                "targets need the scores' shape and class numbers",
            );
        }
        let classes = x.shape()[1];
        let y = target.cast(DType::I32).reshape_to(x.shape());
        let valid = y.lt_scalar(0.0).cumsum(1).eq_scalar(0.0);
        let y = Tensor::where_(&valid, &y, &y.zeros_like());
        let right = valid
            .cast(x.dtype())
            .scatter_add_to(1, &y, classes)
            .gt_scalar(0.0);
        let z = (1.0 - x.gather_at(1, &y).unsqueeze(2) + x.unsqueeze(1)).relu();
        let counted = valid
            .unsqueeze(2)
            .logical_and(&right.logical_not().unsqueeze(1));
        let losses = Tensor::where_(&counted, &z, &z.zeros_like()).sum_dims(&[1, 2], false);
        (losses / classes as f64).reduced(batched, reduction)
    }

    /// Binary cross-entropy with logits, averaged over the classes (the last dimension); the weight broadcasts.
    #[track_caller]
    pub fn multilabel_soft_margin_loss(
        &self,
        target: &Tensor,
        options: impl Into<LossOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.multilabel_soft_margin_loss(target, options.with(weight, positive))
        });
        let reduction = options.reduction;
        let losses =
            self.binary_cross_entropy_with_logits(target, options.reduction(Reduction::None));
        reduction.apply(&losses.mean_dims(&[-1], false))
    }
}
