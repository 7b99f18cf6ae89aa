//! Initial weights with a structure: identities, orthogonal and sparse matrices. As the others lazy, and drawn from a stream.

use super::{normal, zeros};
use wgrad_graph::{DType, Device, Error, ErrorKind, Generator, PadMode, Tensor};

#[track_caller]
fn refuse(op: &str, message: String, shape: &[usize], device: &Device) -> Tensor {
    let error = Error::new(ErrorKind::Shape, op, message);
    Tensor::invalid(error, shape, DType::F32, device)
}

/// Ones on the diagonal of a matrix of any form, which keeps as many inputs as it can.
///
/// ```
/// use wgrad_graph::Device;
/// let w = wgrad_nn::init::eye(&[2, 3], &Device::cpu());
/// assert_eq!(w.to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn eye(shape: &[usize], device: &Device) -> Tensor {
    let &[rows, columns] = shape else {
        return refuse(
            "eye",
            format!("takes two sizes, not {shape:?}"),
            shape,
            device,
        );
    };
    let row = Tensor::arange(rows, device).unsqueeze(1);
    row.eq(&Tensor::arange(columns, device)).cast(DType::F32)
}

/// Convolutions `[out, in, kernel…]` that keep their input channels, in each of `groups` groups of filters: 1 in the
/// middle of the kernel.
///
/// ```
/// use wgrad_graph::{ConvOptions, Device, Tensor};
/// let device = Device::cpu();
/// let w = wgrad_nn::init::dirac(&[2, 2, 3], 1, &device);
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 2, 2], &device);
/// let y = x.conv1d(&w, None, &ConvOptions::default().same());
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn dirac(shape: &[usize], groups: usize, device: &Device) -> Tensor {
    let [out, input, kernel @ ..] = shape else {
        let message = format!("takes [out, in, kernel…], not {shape:?}");
        return refuse("dirac", message, shape, device);
    };
    if kernel.is_empty() || kernel.contains(&0) || groups == 0 || !out.is_multiple_of(groups) {
        let message = format!("{shape:?} are no kernels of filters in {groups} groups");
        return refuse("dirac", message, shape, device);
    }
    let each = eye(&[out / groups, *input], device);
    let mut w = each.repeat(&[groups, 1]);
    let mut sides = Vec::new();
    for &k in kernel.iter().rev() {
        w = w.unsqueeze(-1);
        sides.extend([(k / 2) as isize, (k - 1 - k / 2) as isize]);
    }
    w.pad(&sides, PadMode::Constant(0.0))
}

/// Orthogonal rows or columns, whichever are fewer, scaled by `gain`: uniform over all such matrices (Saxe et al. 2014).
/// A weight of more dimensions is the matrix of its first by all others.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// let w = wgrad_nn::init::orthogonal(&[2, 5], 3.0, &mut Generator::new(0), &Device::cpu());
/// let square = w.matmul(&w.t()).to_vec::<f32>()?;
/// assert!((square[0] - 9.0).abs() < 1e-4 && square[1].abs() < 1e-4);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn orthogonal(shape: &[usize], gain: f64, rng: &mut Generator, device: &Device) -> Tensor {
    let Some((&rows, rest)) = shape.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        let message = format!("takes at least 2 dimensions, not {shape:?}");
        return refuse("orthogonal", message, shape, device);
    };
    let columns = rest.iter().fold(1usize, |n, &k| n.saturating_mul(k));
    let (few, many) = (rows.min(columns), rows.max(columns));
    let drawn = normal(&[few, many], 0.0, 1.0, rng, device);
    if few == 0 || drawn.check().is_err() {
        return drawn.reshape(&shape.iter().map(|&n| n as isize).collect::<Vec<_>>());
    }
    // The nearest orthogonal matrix to a Gaussian one is uniform. Newton's iteration for it multiplies small singular
    // values by 3/2 and settles those near 1; a Gaussian matrix has its own between √many ∓ √few, or if that is near 0,
    // above a small share of 1/√few.
    let (root, side) = ((many as f64).sqrt(), (few as f64).sqrt());
    let most = 1.1 * (root + side) + 3.0;
    let least = (root - side - 3.0).max(1e-4 / side);
    let rounds = (most / least).ln() / 1.5f64.ln() + 6.0;
    let mut w = drawn / most;
    for _ in 0..rounds as usize {
        w = &w * 1.5 - w.matmul(&w.t()).matmul(&w) * 0.5;
    }
    let w = if rows <= columns { w } else { w.t() };
    let sizes: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
    (w * gain).reshape(&sizes)
}

/// A matrix whose columns hold `⌈sparsity · rows⌉` zeros at random places, and otherwise normal numbers (Martens 2010).
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// let w = wgrad_nn::init::sparse(&[10, 3], 0.25, 0.01, &mut Generator::new(0), &Device::cpu());
/// assert_eq!(w.to_vec::<f32>()?.iter().filter(|&&v| v == 0.0).count(), 3 * 3);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn sparse(
    shape: &[usize],
    sparsity: f64,
    std: f64,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    let &[rows, columns] = shape else {
        return refuse(
            "sparse",
            format!("takes two sizes, not {shape:?}"),
            shape,
            device,
        );
    };
    if !(0.0..=1.0).contains(&sparsity) {
        let message = format!("sparsity is {sparsity}, not within [0, 1]");
        return refuse("sparse", message, shape, device);
    }
    if rows == 0 || columns == 0 {
        return zeros(shape, device);
    }
    let none = (sparsity * rows as f64).ceil();
    let order = rng.uniform(shape, device).argsort(0, false);
    normal(shape, 0.0, std, rng, device).masked_fill(&order.lt_scalar(none), 0.0)
}
