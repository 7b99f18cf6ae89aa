//! Changes of colour, as torchvision's `adjust_…`: each takes one number for each image and keeps values within 0 to 1. Must
//! not draw random numbers.

use wgrad_graph::{DType, Tensor};

use super::{fail, not_images, not_parameters, per_image};

/// The weights of red, green and blue in grey (ITU-R BT.601).
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// The images in grey, `[n, 1, h, w]`: `0.2989 red + 0.587 green + 0.114 blue`. Images of one channel stay as they are.
#[track_caller]
#[must_use]
pub fn grayscale(x: &Tensor) -> Tensor {
    if let Some(bad) = not_images("grayscale", x) {
        return bad;
    }
    match x.shape()[1] {
        1 => x.clone(),
        3 => {
            let part = |c: usize| x.narrow(1, c, 1) * GREY[c];
            part(0) + part(1) + part(2)
        }
        _ => fail("grayscale", "needs images of 1 or 3 channels", &[x]),
    }
}

/// Multiplied by `factor` `[n]`: 0 is black, 1 changes nothing.
///
/// ```
/// use wgrad_data::augment::brightness;
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::new(&[0.25f32, 0.75], &device).reshape(&[1, 1, 1, 2]);
/// let bright = brightness(&x, &Tensor::new(&[2.0f32], &device));
/// assert_eq!(bright.to_vec::<f32>()?, [0.5, 1.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn brightness(x: &Tensor, factor: &Tensor) -> Tensor {
    if let Some(bad) = not_parameters("brightness", x, &[factor]) {
        return bad;
    }
    (x * per_image(factor)).clamp(0.0, 1.0)
}

/// Away from (above 1) or towards (below 1) the mean of the image in grey; 0 is that grey alone.
#[track_caller]
#[must_use]
pub fn contrast(x: &Tensor, factor: &Tensor) -> Tensor {
    if let Some(bad) = not_parameters("contrast", x, &[factor]) {
        return bad;
    }
    let mean = grayscale(x).mean_dims(&[1, 2, 3], true);
    blend(x, &mean, factor)
}

/// Away from (above 1) or towards (below 1) the image in grey. Needs three channels.
#[track_caller]
#[must_use]
pub fn saturation(x: &Tensor, factor: &Tensor) -> Tensor {
    if let Some(bad) = not_colored("saturation", x, factor) {
        return bad;
    }
    blend(x, &grayscale(x), factor)
}

/// Each pixel's hue turned by `turn` `[n]` of the colour wheel: 0.5 is the complementary colour. Needs three channels.
///
/// ```
/// use wgrad_data::augment::hue;
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let red = Tensor::new(&[1.0f32, 0.0, 0.0], &device).reshape(&[1, 3, 1, 1]);
/// let turned = hue(&red, &Tensor::new(&[1.0f32 / 3.0], &device)).to_vec::<f32>()?;
/// assert!(turned[0].abs() < 1e-5 && (turned[1] - 1.0).abs() < 1e-5); // green
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
#[must_use]
pub fn hue(x: &Tensor, turn: &Tensor) -> Tensor {
    if let Some(bad) = not_colored("hue", x, turn) {
        return bad;
    }
    let [r, g, b] = [0, 1, 2].map(|c| x.narrow(1, c, 1));
    let value = r.maximum(&g).maximum(&b);
    let range = &value - r.minimum(&g).minimum(&b);
    let grey = range.eq_scalar(0.0);
    // Without a range there is no hue: any number that is finite does.
    let divisor = range.masked_fill(&grey, 1.0);
    // In sixths of the wheel, from the greatest channel.
    let sector = |a: &Tensor, b: &Tensor, offset: f64| (a - b) / &divisor + offset;
    let from_blue = sector(&r, &g, 4.0);
    let from_green = Tensor::where_(&value.eq(&g), &sector(&b, &r, 2.0), &from_blue);
    let sixths = Tensor::where_(&value.eq(&r), &sector(&g, &b, 0.0), &from_green);
    let sixths = sixths + per_image(turn) * 6.0;
    // A channel is `value − range · clamp(min(k, 4 − k), 0, 1)` with `k = (n + sixths) mod 6`.
    let channel = |n: f64| {
        let k = &sixths + n;
        let k = &k - (&k * (1.0 / 6.0)).floor() * 6.0;
        let ramp = k.minimum(&(&k * -1.0 + 4.0)).clamp(0.0, 1.0);
        &value - &range * ramp
    };
    let parts = [channel(5.0), channel(3.0), channel(1.0)];
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1).clamp(0.0, 1.0)
}

#[track_caller]
fn blend(x: &Tensor, other: &Tensor, factor: &Tensor) -> Tensor {
    let factor = per_image(factor).cast(DType::F32);
    (x * &factor + other * (1.0 - factor)).clamp(0.0, 1.0)
}

#[track_caller]
fn not_colored(function: &'static str, x: &Tensor, parameter: &Tensor) -> Option<Tensor> {
    if let Some(bad) = not_parameters(function, x, &[parameter]) {
        return Some(bad);
    }
    (x.shape()[1] != 3).then(|| fail(function, "needs images of 3 channels", &[x]))
}
