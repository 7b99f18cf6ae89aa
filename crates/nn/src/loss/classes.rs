//! Losses of classes beyond cross-entropy: focal, dice, distillation, and smoothed labels.

use super::{fail, reduced};
use wgrad_graph::{ErrorKind, Reduction, Tensor, in_f32};

/// Where the rest of a smoothed label goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smoothing {
    /// To all classes alike, the right one too: `1 − ε + ε / classes` and `ε / classes` (Szegedy et al. 2016; PyTorch's
    /// `label_smoothing`).
    All,
    /// To the other classes alike: `1 − ε` and `ε / (classes − 1)` (Goodfellow, Bengio and Courville 2016, section 7.5).
    Others,
}

/// Probabilities `[…, classes]` of class numbers `[…]` (integers), smoothed: targets of
/// [`Tensor::cross_entropy`], whose classes are in dimension 1.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::loss::{Smoothing, smooth_labels};
/// let y = Tensor::new(&[1], &Device::cpu());
/// assert_eq!(smooth_labels(&y, 3, 0.2, Smoothing::Others).to_vec::<f32>()?, [0.1, 0.8, 0.1]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn smooth_labels(target: &Tensor, classes: usize, epsilon: f64, form: Smoothing) -> Tensor {
    let few = form == Smoothing::Others && classes < 2;
    if !(0.0..=1.0).contains(&epsilon) || few {
        let message = format!("epsilon {epsilon} of {classes} classes");
        return fail("smooth_labels", ErrorKind::Value, message, target);
    }
    let (right, wrong) = match form {
        Smoothing::All => {
            let share = epsilon / classes.max(1) as f64;
            (1.0 - epsilon + share, share)
        }
        Smoothing::Others => (1.0 - epsilon, epsilon / (classes - 1) as f64),
    };
    let hot = target.one_hot(classes).ne_scalar(0.0);
    let wrong = Tensor::full(hot.shape(), wrong, wgrad_graph::DType::F32, target.device());
    Tensor::where_(&hot, &wrong.full_like(right), &wrong)
}

/// Cross-entropy of logits `[batch, classes]` that counts less the surer the right class is, `(1 − p)^γ` (Lin et al.
/// 2017); `gamma` 0 is cross-entropy itself. Class numbers `[batch]`.
///
/// ```
/// use wgrad_graph::{Device, Reduction, Tensor};
/// let d = Device::cpu();
/// let logits = Tensor::from_slice(&[0.0f32, 0.0], &[1, 2], &d);
/// let loss = wgrad_nn::loss::focal(&logits, &Tensor::new(&[1], &d), 2.0, Reduction::Mean);
/// assert!((loss.item::<f32>()? - 0.25 * 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn focal(logits: &Tensor, target: &Tensor, gamma: f64, reduction: Reduction) -> Tensor {
    in_f32!([logits] => |logits| focal(logits, target, gamma, reduction));
    let losses = logits.cross_entropy(target, Reduction::None);
    // −log p; rounding must not make 1 − p negative.
    let wrong = (-(-&losses).expm1()).clamp_min(0.0);
    reduced(&(weight(&wrong, gamma) * losses), reduction)
}

/// As torchvision's `sigmoid_focal_loss`: of logits with targets 0 or 1 of their shape; `alpha` weighs those that are 1,
/// `1 − alpha` the others, and a negative one is none (torchvision's defaults: 0.25, and 2 for `gamma`).
///
/// ```
/// use wgrad_graph::{Device, Reduction, Tensor};
/// let d = Device::cpu();
/// let (x, t) = (Tensor::new(&[0.0f32], &d), Tensor::new(&[1.0f32], &d));
/// let loss = wgrad_nn::loss::sigmoid_focal(&x, &t, 0.25, 2.0, Reduction::Mean);
/// assert!((loss.item::<f32>()? - 0.0625 * 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn sigmoid_focal(
    logits: &Tensor,
    target: &Tensor,
    alpha: f64,
    gamma: f64,
    reduction: Reduction,
) -> Tensor {
    in_f32!([logits, target] => |logits, target| sigmoid_focal(logits, target, alpha, gamma, reduction));
    let losses = logits.binary_cross_entropy_with_logits(target, Reduction::None);
    let p = logits.sigmoid();
    let wrong = &p * (1.0 - target) + (1.0 - &p) * target;
    let mut losses = weight(&wrong, gamma) * losses;
    if alpha >= 0.0 {
        losses = losses * (target * alpha + (1.0 - target) * (1.0 - alpha));
    }
    reduced(&losses, reduction)
}

/// `wrong^gamma`, without a derivative of 0^0.
#[track_caller]
fn weight(wrong: &Tensor, gamma: f64) -> Tensor {
    match gamma {
        0.0 => wrong.ones_like(),
        1.0 => wrong.clone(),
        2.0 => wrong.square(),
        // At 0 its derivative may be infinite, where the loss is 0 beside it: held above, it has none there.
        gamma if gamma > 0.0 => wrong.clamp_min(1e-30).powf(gamma),
        gamma => {
            let message = format!("gamma {gamma} is not at least 0");
            fail("focal", ErrorKind::Value, message, wrong)
        }
    }
}

/// `1 − (2 Σ p t + smooth) / (Σ p + Σ t + smooth)` of probabilities and targets `[batch, …]`, for each of the batch, and
/// then their mean (Milletari et al. 2016).
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let t = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 1.0], &[1, 4], &Device::cpu());
/// assert_eq!(wgrad_nn::loss::dice(&t, &t, 1.0).item::<f32>()?, 0.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn dice(probabilities: &Tensor, target: &Tensor, smooth: f64) -> Tensor {
    in_f32!([probabilities, target] => |probabilities, target| dice(probabilities, target, smooth));
    if probabilities.shape() != target.shape() || probabilities.rank() < 2 {
        let message = format!(
            "takes two of one shape [batch, …], not {:?}",
            target.shape()
        );
        return fail("dice", ErrorKind::Shape, message, probabilities);
    }
    let (p, t) = (probabilities.flatten(1, -1), target.flatten(1, -1));
    let sum = |x: &Tensor| x.sum_dims(&[1], false);
    let shares = (sum(&(&p * &t)) * 2.0 + smooth) / (sum(&p) + sum(&t) + smooth);
    1.0 - shares.mean()
}

/// `alpha T² KL(teacher ‖ student) + (1 − alpha) · cross-entropy` (Hinton et al. 2015): logits `[batch, classes]` of both, the
/// divergence at temperature `T`, class numbers `[batch]`. No gradient reaches the teacher.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let d = Device::cpu();
/// let logits = Tensor::from_slice(&[0.0f32, 0.0], &[1, 2], &d);
/// let loss = wgrad_nn::loss::distillation(&logits, &logits, &Tensor::new(&[0], &d), 4.0, 0.5);
/// assert!((loss.item::<f32>()? - 0.5 * 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn distillation(
    student: &Tensor,
    teacher: &Tensor,
    target: &Tensor,
    temperature: f64,
    alpha: f64,
) -> Tensor {
    in_f32!([student, teacher] => |student, teacher| distillation(student, teacher, target, temperature, alpha));
    if !(temperature > 0.0 && temperature.is_finite()) {
        let message = format!("temperature {temperature} is not positive");
        return fail("distillation", ErrorKind::Value, message, student);
    }
    let soft = (teacher.stop_gradient() / temperature).log_softmax(-1);
    let own = (student / temperature).log_softmax(-1);
    let divergence = own.kl_div(&soft, true, Reduction::BatchMean);
    let hard = student.cross_entropy(target, Reduction::Mean);
    divergence * (alpha * temperature * temperature) + hard * (1.0 - alpha)
}
