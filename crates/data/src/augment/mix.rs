//! Images mixed with others of their batch, and their targets with them: mixup and cutmix.

use wgrad_graph::{DType, Generator, Tensor};

use super::geometry::inside;
use super::{fail, not_parameters, per_image, uniform};

/// Mixed images and targets.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// The images, `[n, channels, height, width]`.
    pub images: Tensor,
    /// The targets as probabilities of the classes, `[n, classes]`; cross-entropy takes them as they are.
    pub targets: Tensor,
}

/// Each image blended with another of the batch, `λ x + (1 − λ) x'`, and its target likewise (Zhang and others, "mixup:
/// Beyond Empirical Risk Minimization", 2018). Each image has its own `λ`, from Beta(`alpha`, `alpha`), and partners are a
/// random order of the batch. `targets` are classes `[n]`.
///
/// ```
/// use wgrad_data::augment::mixup;
/// use wgrad_data::{DeviceDataset, digits};
/// use wgrad_graph::{Device, Generator};
/// let set = DeviceDataset::new(&digits::generate(8, 0), &Device::cpu())?;
/// let (x, y) = set.batch(&[0, 1, 2]);
/// let mixed = mixup(&x, &y, 10, 0.4, &mut Generator::new(3));
/// assert_eq!((mixed.images.shape(), mixed.targets.shape()), (x.shape(), &[3, 10][..]));
/// let sums = mixed.targets.sum_dims(&[1], false).to_vec::<f32>()?;
/// assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn mixup(
    x: &Tensor,
    targets: &Tensor,
    classes: usize,
    alpha: f64,
    rng: &mut Generator,
) -> Mixed {
    let (weight, partner) = draws(x, alpha, rng);
    mixup_with(x, targets, classes, &weight, &partner)
}

/// As [`mixup`], with given weights `λ` and partners, both `[n]`.
#[track_caller]
#[must_use]
pub fn mixup_with(
    x: &Tensor,
    targets: &Tensor,
    classes: usize,
    weight: &Tensor,
    partner: &Tensor,
) -> Mixed {
    if let Some(bad) = not_parameters("mixup", x, &[targets, weight, partner]) {
        return Mixed {
            images: bad.clone(),
            targets: bad,
        };
    }
    let wide = per_image(weight);
    let images = x * &wide + x.index_select(0, partner) * (1.0 - wide);
    Mixed {
        images,
        targets: mixed_targets(targets, classes, weight, partner),
    }
}

/// A rectangle of each image taken from another of the batch, and its target mixed by the areas (Yun and others, "CutMix",
/// 2019). The rectangle has the image's proportions and the area `1 − λ`, `λ` from Beta(`alpha`, `alpha`), about a random
/// centre, cut off at the edges; each image has its own.
///
/// ```
/// use wgrad_data::augment::cutmix;
/// use wgrad_data::{DeviceDataset, digits};
/// use wgrad_graph::{Device, Generator};
/// let set = DeviceDataset::new(&digits::generate(8, 0), &Device::cpu())?;
/// let (x, y) = set.batch(&[0, 1, 2]);
/// let mixed = cutmix(&x, &y, 10, 1.0, &mut Generator::new(3));
/// assert_eq!((mixed.images.shape(), mixed.targets.shape()), (x.shape(), &[3, 10][..]));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn cutmix(
    x: &Tensor,
    targets: &Tensor,
    classes: usize,
    alpha: f64,
    rng: &mut Generator,
) -> Mixed {
    let (weight, partner) = draws(x, alpha, rng);
    if x.shape().len() != 4 {
        let bad = fail("cutmix", "needs images [n, channels, height, width]", &[x]);
        return Mixed {
            images: bad.clone(),
            targets: bad,
        };
    }
    let (n, h, w) = (x.shape()[0], x.shape()[2], x.shape()[3]);
    let side = (1.0 - weight).clamp(0.0, 1.0).sqrt();
    let mut span = |size: usize| {
        let centre = (uniform(rng, n, x.device(), 0.0, size as f64)).floor();
        let half = (&side * size as f64).floor() * 0.5;
        let half = half.floor();
        let begin = (&centre - &half).clamp_min(0.0);
        let end = (centre + half).clamp_max(size as f64);
        let length = &end - &begin;
        (begin, length)
    };
    let ((top, height), (left, width)) = (span(h), span(w));
    cutmix_with(
        x,
        targets,
        classes,
        [&top, &left, &height, &width],
        &partner,
    )
}

/// As [`cutmix`], with given rectangles `[top, left, height, width]`, which lie within the images, and partners, each `[n]`.
#[track_caller]
#[must_use]
pub fn cutmix_with(
    x: &Tensor,
    targets: &Tensor,
    classes: usize,
    rectangle: [&Tensor; 4],
    partner: &Tensor,
) -> Mixed {
    let [top, left, height, width] = rectangle;
    let all = [targets, partner, top, left, height, width];
    if let Some(bad) = not_parameters("cutmix", x, &all) {
        return Mixed {
            images: bad.clone(),
            targets: bad,
        };
    }
    let area = (x.shape()[2] * x.shape()[3]).max(1) as f64;
    let cut = height.cast(DType::F32) * width.cast(DType::F32) * (1.0 / area);
    let weight = 1.0 - cut;
    let images = Tensor::where_(&inside(x, rectangle), &x.index_select(0, partner), x);
    Mixed {
        images,
        targets: mixed_targets(targets, classes, &weight, partner),
    }
}

/// `λ` of Beta(alpha, alpha) and a partner for each image.
#[track_caller]
fn draws(x: &Tensor, alpha: f64, rng: &mut Generator) -> (Tensor, Tensor) {
    let n = x.shape().first().copied().unwrap_or(0);
    let concentration = Tensor::scalar(alpha, DType::F32, x.device());
    let a = rng.gamma(&concentration, &[n]);
    let b = rng.gamma(&concentration, &[n]);
    let weight = &a / (&a + b);
    (weight, rng.permutation(n, x.device()))
}

#[track_caller]
fn mixed_targets(targets: &Tensor, classes: usize, weight: &Tensor, partner: &Tensor) -> Tensor {
    let hot = targets.one_hot(classes).cast(DType::F32);
    let weight = weight.cast(DType::F32).unsqueeze(1);
    &hot * &weight + hot.index_select(0, partner) * (1.0 - weight)
}
