//! Kernels that were written, not learned, on a photograph: a blur, Sobel and Prewitt (differences in two directions and the
//! length of both, `√(gₓ² + g_y²)`), Kirsch's compass in 8 directions, and sharpening. Sources: Gonzalez and Woods, Digital
//! Image Processing, 3.5 and 10.2; Kirsch 1971.

use crate::lesson::{Lesson, Result};
use wgrad::data::folder::read_image;
use wgrad::plot::{Figure, Picture};
use wgrad::{ConvOptions, DType, Device, Tensor};

const SOBEL: [f32; 9] = [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
const PREWITT: [f32; 9] = [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0];
const SHARPEN: [f32; 9] = [0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0];
/// The eight places around the middle, from the upper left one on.
const AROUND: [usize; 8] = [0, 1, 2, 5, 8, 7, 6, 3];

/// Kirsch's kernel of direction `turn`: three of 5, five of −3.
fn kirsch(turn: usize) -> [f32; 9] {
    let mut kernel = [0.0; 9];
    for (at, place) in AROUND.iter().enumerate() {
        kernel[*place] = if (at + 8 - turn) % 8 < 3 { 5.0 } else { -3.0 };
    }
    kernel
}

/// The photograph `[3, height, width]`, or some digits, and its light `[1, 1, height, width]`.
fn scene(lesson: &mut Lesson, device: &Device) -> Result<(Tensor, Tensor)> {
    let photograph = match lesson.data("images/china.jpg") {
        Some(file) => read_image(file, device)?
            .narrow(1, 20, 320)
            .narrow(2, 100, 480),
        None => {
            let (images, _) = lesson.some_digits(24, 1)?;
            let (x, _) = images.gather(&Tensor::arange(24, device));
            let rows = x.reshape(&[4, 6, 28, 28]).permute(&[0, 2, 1, 3]);
            rows.reshape(&[1, 112, 168])
        }
    };
    // Light, as the eye weighs the colours.
    let grey = match photograph.size(0) {
        3 => {
            let weights = Tensor::new(&[0.299f32, 0.587, 0.114], device);
            (&photograph * weights.reshape(&[3, 1, 1])).sum_dims(&[0], true)
        }
        _ => photograph.clone(),
    };
    Ok((photograph, grey.unsqueeze(0).detach()?))
}

/// Each pixel of the result by this square kernel.
fn apply(grey: &Tensor, kernel: &[f32]) -> Tensor {
    let side = kernel.len().isqrt();
    let kernel = Tensor::from_slice(kernel, &[1, 1, side, side], grey.device());
    grey.conv2d(&kernel, None, &ConvOptions::default())
}

/// What the kernels promise.
fn checks(
    lesson: &mut Lesson,
    grey: &Tensor,
    [blur, sharp]: [&Tensor; 2],
    compass: &[Tensor],
) -> Result {
    let number = |t: &Tensor| -> wgrad::Result<f64> { Ok(t.item::<f32>()?.into()) };
    // A kernel whose weights add up to 1 keeps the light, one to 0 sees nothing on even ground.
    let even = Tensor::full(&[1, 1, 9, 9], 0.7, DType::F32, grey.device());
    let kernels = [
        ("Sobel", SOBEL),
        ("Prewitt", PREWITT),
        ("Kirsch", kirsch(3)),
    ];
    for (name, kernel) in kernels {
        let seen = apply(&even, &kernel).abs().amax();
        lesson.at_most(&format!("{name} on even ground"), number(&seen)?, 1e-5)?;
    }
    let light = number(&(blur.mean() / grey.mean()))?;
    lesson.close("mean light, blurred by original", light, 1.0, 0.02)?;
    let roughness = |t: &Tensor| t.diff(1, 3, None, None).square().mean();
    let smooth = number(&(roughness(blur) / roughness(grey)))?;
    lesson.at_most("roughness, blurred by original", smooth, 0.5)?;
    let rough = number(&(roughness(sharp) / roughness(grey)))?;
    lesson.at_least("roughness, sharpened by original", rough, 2.0)?;
    // The blur of 9 by 9 is one of a row and then one of a column: 18 products a pixel in the place of 81.
    let row = Tensor::full(&[1, 1, 1, 9], 1.0 / 9.0, DType::F32, grey.device());
    let plain = ConvOptions::default();
    let twice = grey.conv2d(&row, None, &plain);
    let twice = twice.conv2d(&row.t(), None, &plain);
    let off = number(&(&twice - blur).abs().amax())?;
    lesson.at_most("blur in one and in two passes", off, 1e-5)?;
    // Opposite directions of the compass do not both answer to an edge.
    let both = compass[0].relu() * compass[4].relu();
    let share = number(&both.gt_scalar(0.25).cast(DType::F32).mean())?;
    lesson.at_most("places where opposites both answer", share, 0.02)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (photograph, grey) = scene(lesson, device)?;
    let flip = |k: [f32; 9]| [k[0], k[3], k[6], k[1], k[4], k[7], k[2], k[5], k[8]];
    let edges = |k: [f32; 9]| apply(&grey, &k).hypot(&apply(&grey, &flip(k)));
    let compass: Vec<Tensor> = (0..8).map(|turn| apply(&grey, &kirsch(turn))).collect();
    let strongest = Tensor::stack(&compass.iter().collect::<Vec<_>>(), 0).amax_dims(&[0], false);
    let blur = apply(&grey, &[1.0 / 81.0; 81]);
    let sharp = apply(&grey, &SHARPEN);

    checks(lesson, &grey, [&blur, &sharp], &compass)?;

    let picture = |t: &Tensor, range: (f64, f64), caption: &str| -> wgrad::Result<Picture> {
        let (h, w) = (t.size(t.rank() as isize - 2), t.size(t.rank() as isize - 1));
        Ok(Picture::floats(w, h, &t.to_vec::<f32>()?, range).caption(caption))
    };
    let light = (0.0, 1.0);
    let figure = Figure::new("One photograph, five kernels").image_grid(
        2,
        &[
            picture(&photograph, light, "photograph")?,
            picture(&blur, light, "blur, 9 by 9")?,
            picture(&edges(SOBEL), (0.0, 2.0), "Sobel")?,
            picture(&edges(PREWITT), (0.0, 1.5), "Prewitt")?,
            picture(&strongest, (0.0, 8.0), "Kirsch, strongest of 8")?,
            picture(&sharp, light, "sharpened")?,
        ],
    );
    lesson.figure("kernels", "What nine numbers find", &figure)?;
    let names = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];
    let pictures = compass
        .iter()
        .zip(names)
        .map(|(t, name)| picture(t, (0.0, 8.0), name));
    let pictures = pictures.collect::<wgrad::Result<Vec<Picture>>>()?;
    let figure = Figure::new("Kirsch's compass").image_grid(4, &pictures);
    lesson.figure("compass", "Edges by direction", &figure)
}
