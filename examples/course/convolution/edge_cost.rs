//! What sharing saves: the edges of an image of 280 by 320 by subtracting each pixel's left neighbour. A kernel of two numbers
//! takes 280 · 319 · 3 = 267,960 operations; a matrix for the same map has 280 · 320 · 280 · 319 > 8 billion entries. Source:
//! Goodfellow, Bengio, Courville, Deep Learning, figure 9.6.

use crate::lesson::{Lesson, Result};
use std::time::Instant;
use wgrad::plot::{Figure, Picture};
use wgrad::{ConvOptions, DType, Device, Tensor, eval};

/// A disc and a bar on a slope of grey.
fn scene(rows: usize, columns: usize, device: &Device) -> Tensor {
    let y = Tensor::linspace(-1.0, 1.0, rows, device).reshape(&[-1, 1]);
    let x = Tensor::linspace(-1.0, 1.0, columns, device).reshape(&[1, -1]);
    let disc = ((&x + 0.3).square() + y.square())
        .lt_scalar(0.2)
        .cast(DType::F32);
    let bar = (&x - &y * 0.4 - 0.5).abs().lt_scalar(0.1).cast(DType::F32);
    let slope = (&x + &y) * 0.1 + 0.3;
    (slope + disc * 0.4 + bar * 0.3).reshape(&[1, 1, rows as isize, columns as isize])
}

fn seconds(mut f: impl FnMut() -> wgrad::Result<Tensor>) -> wgrad::Result<(Tensor, f64)> {
    f()?; // planned and warm
    let began = Instant::now();
    let y = f()?;
    Ok((y, began.elapsed().as_secs_f64()))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (rows, columns) = (280usize, 320usize);
    let kernel = Tensor::from_slice(&[-1.0f32, 1.0], &[1, 1, 1, 2], device);
    let run = |x: &Tensor| -> wgrad::Result<Tensor> {
        let y = x.conv2d(&kernel, None, &ConvOptions::default());
        eval(&[&y])?;
        Ok(y)
    };
    let image = scene(rows, columns, device);
    let edges = run(&image)?;
    // Two products and a sum for each pixel of the result.
    let operations = edges.numel() * 3;
    lesson.close(
        "operations of the convolution",
        operations as f64,
        267_960.0,
        0.0,
    )?;
    let entries = (rows * columns * edges.numel()) as f64;
    lesson.at_least("entries of the matrix", entries, 8e9)?;
    let ratio = 2.0 * entries / operations as f64;
    lesson.at_least(
        "operations of the full matrix by those of the kernel",
        ratio,
        50_000.0,
    )?;

    // Small enough that the matrix fits: 35 by 40.
    let small = scene(35, 40, device);
    let eye = Tensor::eye(1400, DType::F32, device).reshape(&[1400, 1, 35, 40]);
    let matrix = run(&eye)?.flatten(1, -1).t().detach()?;
    let (by_kernel, kernel_seconds) = seconds(|| run(&small))?;
    let (by_matrix, matrix_seconds) = seconds(|| {
        let y = matrix.mv(&small.flatten(0, -1));
        eval(&[&y])?;
        Ok(y)
    })?;
    let off = (by_kernel.flatten(0, -1) - by_matrix).abs().amax();
    lesson.at_most(
        "difference of both at 35 by 40",
        off.item::<f32>()?.into(),
        1e-6,
    )?;
    lesson.say(format!(
        "35 by 40: kernel {:.0} µs, matrix of {} entries {:.0} µs",
        kernel_seconds * 1e6,
        matrix.numel(),
        matrix_seconds * 1e6
    ));

    let picture = |t: &Tensor, range, caption: &str| -> wgrad::Result<Picture> {
        Ok(Picture::floats(t.size(3), t.size(2), &t.to_vec::<f32>()?, range).caption(caption))
    };
    let figure = Figure::new("Edges").image_grid(
        2,
        &[
            picture(&image, (0.0, 1.2), "image")?,
            picture(&edges, (-0.4, 0.4), "each pixel less its left neighbour")?,
        ],
    );
    lesson.figure("edges", "Two numbers find every upright edge", &figure)
}
