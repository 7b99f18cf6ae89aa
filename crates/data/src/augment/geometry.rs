//! Where pixels come from: crops, flips, affine maps, erased rectangles. Must not draw random numbers.

use wgrad_graph::{DType, GridMode, GridPadding, GridSampleOptions, Tensor};

use super::{fail, not_images, not_parameters, per_image};

/// The window of `size` (height, width) of each image that begins at its row `top` and column `left`, both `[n]`. Exact.
///
/// ```
/// use wgrad_data::augment::crop;
/// use wgrad_graph::{DType, Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::arange(18, &device).cast(DType::F32).reshape(&[2, 1, 3, 3]);
/// let (top, left) = (Tensor::new(&[0, 1], &device), Tensor::new(&[1, 0], &device));
/// let parts = crop(&x, &top, &left, (2, 2)).to_vec::<f32>()?;
/// assert_eq!(parts, [1.0, 2.0, 4.0, 5.0, 12.0, 13.0, 15.0, 16.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// A window that reaches beyond the image is an error where it is read.
#[track_caller]
#[must_use]
pub fn crop(x: &Tensor, top: &Tensor, left: &Tensor, (height, width): (usize, usize)) -> Tensor {
    if let Some(bad) = not_parameters("crop", x, &[top, left]) {
        return bad;
    }
    let [n, c, h, w] = sizes(x);
    if height > h || width > w || height == 0 || width == 0 {
        let message = format!("no window of {height} x {width} in the images");
        return fail("crop", &message, &[x]);
    }
    let device = x.device();
    let column = |t: &Tensor| t.cast(DType::I32).reshape(&[n as isize, 1]);
    let rows = column(top) + Tensor::arange(height, device).unsqueeze(0);
    let columns = column(left) + Tensor::arange(width, device).unsqueeze(0);
    // A column beyond the row must not become the next row's: it is sent beyond the image.
    let outside = columns
        .lt_scalar(0.0)
        .logical_or(&columns.ge_scalar(w as f64));
    let columns = columns.masked_fill(&outside, (h * w) as f64);
    let place = (rows * w as f64).unsqueeze(2) + columns.unsqueeze(1);
    let index = place
        .reshape(&[n as isize, 1, (height * width) as isize])
        .broadcast_to(&[n, c, height * width]);
    let pixels = x.reshape(&[n as isize, c as isize, (h * w) as isize]);
    pixels
        .gather(2, &index)
        .reshape(&[n as isize, c as isize, height as isize, width as isize])
}

/// The images whose `flags` `[n]` are true mirrored along a dimension: 3 is left to right, 2 top to bottom.
///
/// ```
/// use wgrad_data::augment::flip;
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], &device).reshape(&[2, 1, 1, 2]);
/// let flags = Tensor::new(&[0, 1], &device).gt_scalar(0.0);
/// assert_eq!(flip(&x, &flags, 3).to_vec::<f32>()?, [1.0, 2.0, 4.0, 3.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn flip(x: &Tensor, flags: &Tensor, dim: isize) -> Tensor {
    if let Some(bad) = not_parameters("flip", x, &[flags]) {
        return bad;
    }
    let flags = flags.reshape(&[flags.numel() as isize, 1, 1, 1]);
    Tensor::where_(&flags.cast(DType::Bool), &x.flip(&[dim]), x)
}

/// Parameters of [`affine`], each `[n]`; what is `None` changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Affine {
    /// The angle in degrees, counter-clockwise.
    pub degrees: Option<Tensor>,
    /// The shift to the right, in pixels.
    pub translate_x: Option<Tensor>,
    /// The shift downwards, in pixels.
    pub translate_y: Option<Tensor>,
    /// The factor of size.
    pub scale: Option<Tensor>,
    /// The shear in degrees: how far a line upwards leans to the left.
    pub shear: Option<Tensor>,
}

/// Each image sheared, scaled, turned about its centre and shifted, in this order, in one linear resampling. Angles are
/// those of the pixels, also where images are not square.
///
/// ```
/// use wgrad_data::augment::{Affine, affine};
/// use wgrad_graph::{Device, GridPadding, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], &device).reshape(&[1, 1, 2, 2]);
/// let quarter = Affine { degrees: Some(Tensor::new(&[90.0f32], &device)), ..Affine::default() };
/// let turned = affine(&x, &quarter, GridPadding::Zeros).to_vec::<f32>()?;
/// for (got, expected) in turned.iter().zip([2.0, 4.0, 1.0, 3.0]) {
///     assert!((got - expected).abs() < 1e-5);
/// }
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn affine(x: &Tensor, parameters: &Affine, padding: GridPadding) -> Tensor {
    let all = [
        &parameters.degrees,
        &parameters.translate_x,
        &parameters.translate_y,
        &parameters.scale,
        &parameters.shear,
    ];
    let given: Vec<&Tensor> = all.into_iter().flatten().collect();
    if let Some(bad) = not_parameters("affine", x, &given) {
        return bad;
    }
    let [n, _, h, w] = sizes(x);
    if h == 0 || w == 0 {
        return x.clone();
    }
    let device = x.device();
    let wide = |t: &Tensor| t.cast(DType::F32).reshape(&[n as isize, 1, 1]);
    let centred = |size: usize| -> Vec<f32> {
        (0..size)
            .map(|i| i as f32 - (size as f32 - 1.0) / 2.0)
            .collect()
    };
    // From the pixels of the result back to those of the image.
    let shape = [n, h, w];
    let mut px = Tensor::from_slice(&centred(w), &[1, 1, w], device).broadcast_to(&shape);
    let mut py = Tensor::from_slice(&centred(h), &[1, h, 1], device).broadcast_to(&shape);
    if let Some(shift) = &parameters.translate_x {
        px = px - wide(shift);
    }
    if let Some(shift) = &parameters.translate_y {
        py = py - wide(shift);
    }
    if let Some(degrees) = &parameters.degrees {
        let angle = wide(degrees).deg2rad();
        let (sin, cos) = (angle.sin(), angle.cos());
        (px, py) = (&cos * &px - &sin * &py, sin * px + cos * py);
    }
    if let Some(scale) = &parameters.scale {
        let scale = wide(scale);
        (px, py) = (px / &scale, py / scale);
    }
    if let Some(shear) = &parameters.shear {
        px = px - wide(shear).deg2rad().tan() * &py;
    }
    let grid = Tensor::stack(&[&(px * (2.0 / w as f64)), &(py * (2.0 / h as f64))], 3);
    let options = GridSampleOptions {
        mode: GridMode::Bilinear,
        padding,
        align_corners: false,
    };
    x.grid_sample(&grid, &options)
}

/// The rectangles `[top, left, height, width]`, each `[n]`, set to `value`. One of height or width 0 erases nothing.
///
/// ```
/// use wgrad_data::augment::erase;
/// use wgrad_graph::{DType, Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::ones(&[1, 1, 2, 3], DType::F32, &device);
/// let [one, two] = [1, 2].map(|v| Tensor::new(&[v], &device));
/// let erased = erase(&x, [&one, &one, &one, &two], 0.0);
/// assert_eq!(erased.to_vec::<f32>()?, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn erase(x: &Tensor, rectangle: [&Tensor; 4], value: f64) -> Tensor {
    if let Some(bad) = not_parameters("erase", x, &rectangle) {
        return bad;
    }
    x.masked_fill(&inside(x, rectangle), value)
}

/// Which pixels lie in a rectangle of their image: bool `[n, 1, h, w]`.
#[track_caller]
pub(super) fn inside(x: &Tensor, [top, left, height, width]: [&Tensor; 4]) -> Tensor {
    let [_, _, h, w] = sizes(x);
    let device = x.device();
    let rows = Tensor::arange(h, device).reshape(&[1, 1, h as isize, 1]);
    let columns = Tensor::arange(w, device).reshape(&[1, 1, 1, w as isize]);
    let within = |place: Tensor, begin: &Tensor, size: &Tensor| {
        let (place, begin) = (place.cast(DType::F32), per_image(begin));
        let end = &begin + per_image(size);
        place.ge(&begin).logical_and(&place.lt(&end))
    };
    within(rows, top, height).logical_and(&within(columns, left, width))
}

fn sizes(x: &Tensor) -> [usize; 4] {
    debug_assert!(not_images("sizes", x).is_none());
    [0, 1, 2, 3].map(|d| x.shape()[d])
}
