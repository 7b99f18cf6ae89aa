//! Losses that compare representations: what belongs together should be near, the rest far.

use super::{fail, reduced};
use wgrad_graph::{DType, ErrorKind, Reduction, Tensor, TripletMarginOptions, in_f32};

/// Of pairs `[batch, features]`: `y d² + (1 − y) max(0, margin − d)²`, d their Euclidean distance, y 1 where they belong
/// together and 0 where not, `[batch]` (Hadsell et al. 2006).
///
/// ```
/// use wgrad_graph::{Device, Reduction, Tensor};
/// let d = Device::cpu();
/// let (a, b) = (Tensor::from_slice(&[0.0f32, 0.0], &[1, 2], &d), Tensor::from_slice(&[0.3f32, 0.4], &[1, 2], &d));
/// let apart = wgrad_nn::loss::contrastive(&a, &b, &Tensor::new(&[0.0f32], &d), 1.0, Reduction::Mean);
/// assert!((apart.item::<f32>()? - 0.25).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn contrastive(
    a: &Tensor,
    b: &Tensor,
    together: &Tensor,
    margin: f64,
    reduction: Reduction,
) -> Tensor {
    in_f32!([a, b, together] => |a, b, together| contrastive(a, b, together, margin, reduction));
    let fits = a.rank() == 2 && a.shape() == b.shape() && together.shape() == &a.shape()[..1];
    if !fits {
        let message = format!("pairs {:?}, marks {:?}", b.shape(), together.shape());
        return fail("contrastive", ErrorKind::Shape, message, a);
    }
    let squared = (a - b).square().sum_dims(&[1], false);
    // The root has no derivative where both are the same.
    let same = squared.eq_scalar(0.0);
    let safe = Tensor::where_(&same, &squared.ones_like(), &squared);
    let distance = Tensor::where_(&same, &squared.zeros_like(), &safe.sqrt());
    let far = (margin - distance).relu().square();
    reduced(&(together * squared + (1.0 - together) * far), reduction)
}

/// `query [batch, features]` should be most like its own of `positive [batch, features]`, and unlike those of the others
/// (van den Oord et al. 2018): cross-entropy of cosines divided by `temperature`.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// let x = Tensor::eye(4, DType::F32, &Device::cpu());
/// assert!(wgrad_nn::loss::info_nce(&x, &x, 0.1).item::<f32>()? < 1e-3);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn info_nce(query: &Tensor, positive: &Tensor, temperature: f64) -> Tensor {
    in_f32!([query, positive] => |query, positive| info_nce(query, positive, temperature));
    if query.rank() != 2 || query.shape() != positive.shape() {
        let message = format!(
            "takes two of one shape [batch, features], not {:?}",
            positive.shape()
        );
        return fail("info_nce", ErrorKind::Shape, message, query);
    }
    let unit = |x: &Tensor| x.normalize(2.0, -1, 1e-12);
    let logits = unit(query).matmul(&unit(positive).t()) / temperature;
    let own = Tensor::arange(query.size(0), query.device());
    logits.cross_entropy(&own, Reduction::Mean)
}

/// As [`info_nce`], with negatives of their own, `[negatives, features]`, which all queries share.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// let x = Tensor::eye(4, DType::F32, &Device::cpu());
/// let loss = wgrad_nn::loss::info_nce_with_negatives(&x, &x, &-&x, 0.1);
/// assert!(loss.item::<f32>()? < 1e-3);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn info_nce_with_negatives(
    query: &Tensor,
    positive: &Tensor,
    negatives: &Tensor,
    temperature: f64,
) -> Tensor {
    in_f32!([query, positive, negatives] => |query, positive, negatives| {
        info_nce_with_negatives(query, positive, negatives, temperature)
    });
    let pairs = query.rank() == 2 && query.shape() == positive.shape();
    if !pairs || negatives.rank() != 2 || negatives.size(1) != query.size(1) {
        let message = format!(
            "positives {:?}, negatives {:?}",
            positive.shape(),
            negatives.shape()
        );
        return fail("info_nce", ErrorKind::Shape, message, query);
    }
    let unit = |x: &Tensor| x.normalize(2.0, -1, 1e-12);
    let query = unit(query);
    let own = (&query * unit(positive)).sum_dims(&[1], true);
    let logits = Tensor::cat(&[&own, &query.matmul(&unit(negatives).t())], 1) / temperature;
    let first = Tensor::zeros(&[query.size(0)], DType::I32, query.device());
    logits.cross_entropy(&first, Reduction::Mean)
}

/// `max(0, d(a, p) − d(a, n) + margin)` by any distance; of the options `margin`, `swap` and `reduction` count. PyTorch's
/// `triplet_margin_with_distance_loss`.
///
/// ```
/// use wgrad_graph::{Device, Tensor, TripletMarginOptions};
/// let d = Device::cpu();
/// let at = |x: f32| Tensor::from_slice(&[x], &[1, 1], &d);
/// let distance = |a: &Tensor, b: &Tensor| (a - b).abs().sum_dims(&[1], false);
/// let options = TripletMarginOptions::default();
/// let loss = wgrad_nn::loss::triplet_margin_with_distance(&at(0.0), &at(2.0), &at(1.0), distance, &options);
/// assert_eq!(loss.item::<f32>()?, 2.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn triplet_margin_with_distance(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    distance: impl Fn(&Tensor, &Tensor) -> Tensor,
    options: &TripletMarginOptions,
) -> Tensor {
    let near = distance(anchor, positive);
    let mut far = distance(anchor, negative);
    if options.swap {
        far = far.minimum(&distance(positive, negative));
    }
    reduced(&(near - far + options.margin).relu(), options.reduction)
}
