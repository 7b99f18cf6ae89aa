//! What updates take: predictions, labels and weights, checked on the host for shape and dtype and on the device for their
//! values, and flattened. Knows no metric.

use crate::state::{Addition, Counts, Fault, MAX_BATCH, counted, summed};
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

pub(crate) fn misfit(op: &str, kind: ErrorKind, message: String, operands: &[&Tensor]) -> Error {
    let operands = operands.iter().map(|t| (t.shape().to_vec(), t.dtype()));
    Error::new(kind, op, message).with_operands(operands.collect())
}

fn shapes(op: &str, message: &str, operands: &[&Tensor]) -> Error {
    misfit(op, ErrorKind::Shape, message.into(), operands)
}

/// Which samples count, what is wrong with others, and the weights.
pub(crate) struct Gate {
    /// Flat truth values.
    included: Tensor,
    /// Flat f32, as given.
    weight: Option<Tensor>,
    found: Vec<(Fault, Tensor)>,
}

impl Gate {
    /// All samples that have a positive weight. A weight of fewer dimensions holds for all that the missing ones reach.
    pub(crate) fn new(op: &str, target: &Tensor, weight: Option<&Tensor>) -> Result<Gate> {
        target.check()?;
        if target.numel() > MAX_BATCH {
            return Err(shapes(op, "the batch is too large", &[target]));
        }
        let n = target.numel();
        let yes = || Tensor::zeros(&[n], DType::I32, target.device()).eq_scalar(0.0);
        let Some(weight) = weight else {
            return Ok(Gate {
                included: yes(),
                weight: None,
                found: Vec::new(),
            });
        };
        let (have, want) = (weight.check()?.shape(), target.shape());
        if !want.starts_with(have) {
            let message = "the weight has not the target's shape or its leading dimensions";
            return Err(shapes(op, message, &[target, weight]));
        }
        let mut wide = have.to_vec();
        wide.resize(want.len(), 1);
        let sizes: Vec<isize> = wide.iter().map(|&s| s as isize).collect();
        let weight = weight.cast(DType::F32).reshape(&sizes);
        let weight = weight.broadcast_to(want).reshape(&[n as isize]);
        let sound = weight.isfinite().logical_and(&weight.ge_scalar(0.0));
        Ok(Gate {
            included: weight.gt_scalar(0.0).logical_and(&sound),
            found: vec![(Fault::Weight, sound.logical_not())],
            weight: Some(weight),
        })
    }

    /// Leaves out where `left_out` is true.
    pub(crate) fn leave_out(&mut self, left_out: &Tensor) {
        self.included = self.included.logical_and(&left_out.logical_not());
    }

    /// Samples that count where `bad` is true have this fault. All faults of a sample are told.
    pub(crate) fn refuse(&mut self, fault: Fault, bad: &Tensor) {
        self.found.push((fault, bad.logical_and(&self.included)));
    }

    /// Flat truth values: what counts and has no fault.
    pub(crate) fn valid(&self) -> Tensor {
        let mut valid = self.included.clone();
        for (_, bad) in &self.found {
            valid = valid.logical_and(&bad.logical_not());
        }
        valid
    }

    pub(crate) fn is_weighted(&self) -> bool {
        self.weight.is_some()
    }

    /// Flat f32: weights, or ones, and 0 where a sample does not count.
    pub(crate) fn weights(&self) -> Tensor {
        let valid = self.valid();
        match &self.weight {
            Some(weight) => {
                let zero = Tensor::scalar(0.0, DType::F32, weight.device());
                Tensor::where_(&valid, weight, &zero)
            }
            None => valid.cast(DType::F32),
        }
    }

    /// How many samples have each fault.
    pub(crate) fn faults(&self) -> Vec<(Fault, Tensor)> {
        let (kinds, columns) = self.found_by_kind();
        kinds.into_iter().zip(counted(&columns)).collect()
    }

    /// Faults, and where each is.
    fn found_by_kind(&self) -> (Vec<Fault>, Vec<Tensor>) {
        let (mut kinds, mut columns): (Vec<Fault>, Vec<Tensor>) = (Vec::new(), Vec::new());
        for (fault, bad) in &self.found {
            match kinds.iter().position(|k| *k as usize == *fault as usize) {
                Some(at) => columns[at] = columns[at].logical_or(bad),
                None => {
                    kinds.push(*fault);
                    columns.push(bad.clone());
                }
            }
        }
        (kinds, columns)
    }

    /// Counts (i32) of the truth values `hits` and of all that count; weighted if there are weights.
    pub(crate) fn hits(&self, hits: &Tensor) -> Addition {
        if self.is_weighted() {
            let weights = self.weights();
            let own = &weights * hits.cast(DType::F32);
            return self.sums(&[own, weights]);
        }
        let valid = self.valid();
        let (kinds, mut columns) = self.found_by_kind();
        columns.extend([valid.logical_and(hits), valid]);
        let mut counts = counted(&columns);
        let own = counts.split_off(kinds.len());
        Addition {
            counts: Counts::Numbers(own),
            sums: None,
            faults: kinds.into_iter().zip(counts).collect(),
        }
    }

    /// Adds these counts.
    pub(crate) fn counts(&self, counts: Tensor) -> Addition {
        Addition {
            counts: Counts::Vector(counts),
            sums: None,
            faults: self.faults(),
        }
    }

    /// Adds the sums of these flat columns.
    pub(crate) fn sums(&self, columns: &[Tensor]) -> Addition {
        self.summed(summed(columns))
    }

    /// Adds these sums.
    pub(crate) fn summed(&self, sums: Tensor) -> Addition {
        Addition {
            counts: Counts::None,
            sums: Some(sums),
            faults: self.faults(),
        }
    }

    /// `values` (flat) times weights, and 0 where a sample does not count, whatever the value is there.
    pub(crate) fn weighted(&self, values: &Tensor) -> Tensor {
        let zero = Tensor::scalar(0.0, DType::F32, values.device());
        Tensor::where_(&self.valid(), values, &zero) * self.weights()
    }
}

/// True class indices, flat, with out-of-range ones refused and `ignore` left out. Values out of range become 0.
pub(crate) fn class_indices(
    op: &str,
    what: &Tensor,
    classes: usize,
    gate: &mut Gate,
) -> Result<Tensor> {
    if what.dtype().is_float() {
        let message = format!("labels are class indices (i32), not {}", what.dtype());
        return Err(misfit(op, ErrorKind::DType, message, &[what]));
    }
    let flat = what.cast(DType::I32).reshape(&[what.numel() as isize]);
    let outside = flat
        .lt_scalar(0.0)
        .logical_or(&flat.ge_scalar(classes as f64));
    gate.refuse(Fault::Label, &outside);
    let zero = Tensor::scalar(0.0, DType::I32, flat.device());
    Ok(Tensor::where_(&outside, &zero, &flat))
}

/// Leaves out the samples whose label is `ignore`.
pub(crate) fn ignore(gate: &mut Gate, target: &Tensor, ignore: Option<i32>) {
    if let Some(index) = ignore {
        let flat = target.cast(DType::I32).reshape(&[target.numel() as isize]);
        gate.leave_out(&flat.eq_scalar(f64::from(index)));
    }
}

/// Scores `[samples, classes, …]` for targets `[samples, …]` as `[targets, classes]`, NaN refused.
pub(crate) fn class_scores(
    op: &str,
    prediction: &Tensor,
    target: &Tensor,
    classes: Option<usize>,
    gate: &mut Gate,
) -> Result<Tensor> {
    let (p, t) = (prediction.check()?.shape(), target.shape());
    let fits = p.len() == t.len() + 1
        && (t.is_empty() || (p[0] == t[0] && p[2..] == t[1..]))
        && p.len() >= 2 - usize::from(t.is_empty());
    let dim = usize::from(!t.is_empty());
    if !fits || classes.is_some_and(|c| p[dim] != c) || p[dim] == 0 {
        let message = match classes {
            Some(c) => {
                format!("scores have {c} classes in dimension {dim} and else the target's shape")
            }
            None => {
                "scores have one more dimension than the target, the classes in dimension 1".into()
            }
        };
        return Err(misfit(op, ErrorKind::Shape, message, &[prediction, target]));
    }
    if !prediction.dtype().is_float() {
        let message = format!("scores are floats, not {}", prediction.dtype());
        return Err(misfit(op, ErrorKind::DType, message, &[prediction, target]));
    }
    let last = prediction.cast(DType::F32).movedim(dim as isize, -1);
    let rows = last.reshape(&[target.numel() as isize, p[dim] as isize]);
    gate.refuse(Fault::Nan, &rows.isnan().any_dims(&[1], false));
    Ok(rows)
}

/// Numbers of the target's shape, flat f32, NaN refused and 0 there.
pub(crate) fn numbers(
    op: &str,
    prediction: &Tensor,
    target: &Tensor,
    gate: &mut Gate,
) -> Result<Tensor> {
    if prediction.check()?.shape() != target.shape() {
        let message = "prediction and target have different shapes";
        return Err(shapes(op, message, &[prediction, target]));
    }
    let flat = prediction
        .cast(DType::F32)
        .reshape(&[prediction.numel() as isize]);
    let nan = flat.isnan();
    gate.refuse(Fault::Nan, &nan);
    let zero = Tensor::scalar(0.0, DType::F32, flat.device());
    Ok(Tensor::where_(&nan, &zero, &flat))
}

/// Predicted classes, flat: of scores by class, of class indices, or (two classes) of scores above `threshold`.
pub(crate) fn predicted_classes(
    op: &str,
    prediction: &Tensor,
    target: &Tensor,
    classes: usize,
    threshold: f64,
    gate: &mut Gate,
) -> Result<Tensor> {
    let same = prediction.check()?.shape() == target.shape();
    if same && !prediction.dtype().is_float() {
        return class_indices(op, prediction, classes, gate);
    }
    if same && classes == 2 {
        let scores = numbers(op, prediction, target, gate)?;
        return Ok(scores.gt_scalar(threshold).cast(DType::I32));
    }
    let rows = class_scores(op, prediction, target, Some(classes), gate)?;
    Ok(rows.argmax(1, false))
}
