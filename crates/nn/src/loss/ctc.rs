//! Connectionist temporal classification (Graves et al. 2006): the probability of a text over all ways of spelling it out
//! in time. A recursion over the steps, on logarithms.

use super::{fail, reduced};
use wgrad_graph::{DType, ErrorKind, Reduction, Tensor, in_f32};

/// Logarithm of a probability of none; finite, so that no derivative meets ∞ − ∞.
const NEVER: f64 = -1e30;

/// Optional arguments of [`ctc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtcOptions {
    /// The class that stands for nothing; 0.
    pub blank: usize,
    /// What becomes of the losses. A mean is over losses that are divided by the lengths of their targets.
    pub reduction: Reduction,
    /// Infinite losses, of targets that no path spells out, are 0 and have no gradient; false.
    pub zero_infinity: bool,
}

impl Default for CtcOptions {
    fn default() -> CtcOptions {
        CtcOptions {
            blank: 0,
            reduction: Reduction::Mean,
            zero_infinity: false,
        }
    }
}

/// The loss of log-probabilities `[time, batch, classes]` with targets of the lengths given for each sequence: integers
/// `[batch, most]`, padded with anything, or all of them one after the other, `[sum of the lengths]`. PyTorch's `ctc_loss`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::loss::{CtcOptions, ctc};
/// let d = Device::cpu();
/// // Two steps, all classes alike: of four paths, "1 1", "0 1" and "1 0" spell 1.
/// let log_p = Tensor::from_slice(&[0.0f32; 4], &[2, 1, 2], &d).log_softmax(-1);
/// let target = Tensor::from_slice(&[1], &[1, 1], &d);
/// let loss = ctc(&log_p, &target, &[2], &[1], &CtcOptions::default());
/// assert!((loss.item::<f32>()? - (4.0f32 / 3.0).ln()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn ctc(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &[usize],
    target_lengths: &[usize],
    options: &CtcOptions,
) -> Tensor {
    in_f32!([log_probs] => |log_probs| {
        ctc(log_probs, targets, input_lengths, target_lengths, options)
    });
    let padded = match apart(targets, target_lengths) {
        Ok(padded) => padded,
        Err(message) => return fail("ctc", ErrorKind::Shape, message, log_probs),
    };
    let targets = &padded;
    let lengths = [input_lengths, target_lengths];
    if let Some(message) = misfit(log_probs, targets, lengths, options.blank) {
        return fail("ctc", ErrorKind::Shape, message, log_probs);
    }
    let [time, batch] = [log_probs.size(0), log_probs.size(1)];
    let most = targets.size(1);
    let ends = |lengths: &[usize]| {
        let ends: Vec<i32> = lengths.iter().map(|&n| n as i32).collect();
        Tensor::from_slice(&ends, &[batch, 1], log_probs.device())
    };
    let (inputs, outputs) = (ends(input_lengths), ends(target_lengths));
    let (extended, skips) = spelled(targets, &outputs, options.blank);
    let width = extended.size(1) as isize;
    let index = extended.unsqueeze(0).expand(&[time as isize, -1, -1]);
    let emitted = log_probs.gather(2, &index);
    // A path begins with nothing or with the first letter.
    let place = Tensor::arange(width as usize, log_probs.device()).unsqueeze(0);
    let first = emitted.select(0, 0);
    let never = first.full_like(NEVER);
    let mut alpha = Tensor::where_(&place.lt_scalar(2.0), &first, &never);
    for t in 1..time {
        let one = shifted(&alpha, 1);
        let two = Tensor::where_(&skips, &shifted(&alpha, 2), &never);
        let before = Tensor::stack(&[&alpha, &one, &two], 0).logsumexp(0, false);
        let next = before + emitted.select(0, t as isize);
        alpha = Tensor::where_(&inputs.gt_scalar(t as f64), &next, &alpha);
    }
    // It ends with nothing or with the last letter, if there is one.
    let last = alpha.gather(1, &(&outputs * 2));
    let letter = alpha.gather(1, &(&outputs * 2 - 1).clamp(0.0, 2.0 * most as f64));
    let none = letter.full_like(NEVER);
    let letter = Tensor::where_(&outputs.gt_scalar(0.0), &letter, &none);
    let losses = -Tensor::cat(&[&last, &letter], 1).logsumexp(1, false);
    let infinite = losses.gt_scalar(-NEVER / 2.0);
    let instead = if options.zero_infinity {
        0.0
    } else {
        f64::INFINITY
    };
    let losses = Tensor::where_(&infinite, &losses.full_like(instead), &losses);
    match options.reduction {
        Reduction::Mean => {
            let letters = outputs.squeeze(1).cast(DType::F32).clamp_min(1.0);
            (losses / letters).mean()
        }
        other => reduced(&losses, other),
    }
}

/// Targets that stand one after the other as rows `[batch, most]`; others as they are.
#[track_caller]
fn apart(targets: &Tensor, lengths: &[usize]) -> Result<Tensor, String> {
    if targets.rank() != 1 {
        return Ok(targets.clone());
    }
    let total = lengths.iter().try_fold(0usize, |n, &l| n.checked_add(l));
    if total != Some(targets.numel()) {
        let n = targets.numel();
        return Err(format!(
            "{n} targets are not as many as the lengths {lengths:?} say"
        ));
    }
    let most = lengths.iter().max().copied().unwrap_or(0);
    let (mut index, mut from) = (Vec::new(), 0);
    for &length in lengths {
        let place = |j: usize| if j < length { (from + j) as i32 } else { 0 };
        index.extend((0..most).map(place));
        from += length;
    }
    let shape = [lengths.len() as isize, most as isize];
    if index.is_empty() {
        return Ok(targets.reshape(&shape));
    }
    let index = Tensor::new(&index, targets.device());
    Ok(targets.index_select(0, &index).reshape(&shape))
}

/// Targets with blanks between and around, `[batch, 2 · most + 1]`, and where a path may leave out the blank before.
#[track_caller]
fn spelled(targets: &Tensor, lengths: &Tensor, blank: usize) -> (Tensor, Tensor) {
    let letters = targets.cast(DType::I32);
    let blanks = letters.full_like(blank as f64);
    // Padding need not be a class.
    let at = Tensor::arange(targets.size(1), targets.device()).unsqueeze(0);
    let letters = Tensor::where_(&at.lt(lengths), &letters, &blanks);
    let pairs = Tensor::stack(&[&blanks, &letters], 2).flatten(1, 2);
    let one = Tensor::full(
        &[targets.size(0), 1],
        blank as f64,
        DType::I32,
        targets.device(),
    );
    let extended = Tensor::cat(&[&pairs, &one], 1);
    let width = extended.size(1);
    let before = Tensor::cat(&[&one, &one, &extended], 1).narrow(1, 0, width);
    let place = Tensor::arange(width, targets.device()).unsqueeze(0);
    let is_letter = place.remainder(&place.full_like(2.0)).eq_scalar(1.0);
    // The first letter has no letter before it.
    let skips = is_letter.logical_and(&place.ge_scalar(2.0));
    (extended.clone(), extended.ne(&before).logical_and(&skips))
}

/// `alpha [batch, width]` moved to the right.
#[track_caller]
fn shifted(alpha: &Tensor, by: usize) -> Tensor {
    let width = alpha.size(1);
    let kept = width.saturating_sub(by);
    let never = alpha.narrow(1, 0, width - kept).full_like(NEVER);
    Tensor::cat(&[&never, &alpha.narrow(1, 0, kept)], 1)
}

fn misfit(
    log_probs: &Tensor,
    targets: &Tensor,
    [inputs, outputs]: [&[usize]; 2],
    blank: usize,
) -> Option<String> {
    if log_probs.check().is_err() {
        return Some(String::new());
    }
    let &[time, batch, classes] = log_probs.shape() else {
        return Some("takes log-probabilities [time, batch, classes]".into());
    };
    if targets.rank() != 2 || targets.size(0) != batch || targets.dtype().is_float() {
        let (dtype, shape) = (targets.dtype(), targets.shape());
        return Some(format!(
            "targets {dtype}{shape:?} are not integers [{batch}, most]"
        ));
    }
    if time == 0 || blank >= classes {
        return Some(format!(
            "blank {blank} of {classes} classes, in {time} steps"
        ));
    }
    let most = targets.size(1);
    for (what, lengths, bounds) in [("input", inputs, 1..=time), ("target", outputs, 0..=most)] {
        if lengths.len() != batch {
            let n = lengths.len();
            return Some(format!("{n} {what} lengths for a batch of {batch}"));
        }
        if let Some(at) = lengths.iter().position(|n| !bounds.contains(n)) {
            return Some(format!(
                "{what} length {} of {at} is not within {bounds:?}",
                lengths[at]
            ));
        }
    }
    None
}
