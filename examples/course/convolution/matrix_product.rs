//! A convolution is a matrix product, in two ways. A row of inputs times a Toeplitz matrix, whose rows are the kernel shifted
//! and whose rest is 0: most of it sparse, all of it shared. Or the kernel as a row times the blocks of the image as columns
//! (im2col), which is how it is often computed. Source: Goodfellow, Bengio, Courville, Deep Learning, 9.1; Chellapilla, Puri,
//! Simard, High Performance Convolutional Neural Networks, 2006.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{ConvOptions, DType, Generator, Tensor, UnfoldOptions};

/// `y[i, j] = Σ x[i + m, j + n] k[m, n]`, as it is written.
fn by_loops(x: &[f32], (h, w): (usize, usize), k: &[f32], side: usize) -> Vec<f32> {
    let (rows, columns) = (h - side + 1, w - side + 1);
    let mut y = vec![0.0; rows * columns];
    for i in 0..rows {
        for j in 0..columns {
            for m in 0..side {
                for n in 0..side {
                    y[i * columns + j] += x[(i + m) * w + j + n] * k[m * side + n];
                }
            }
        }
    }
    y
}

/// The greatest difference.
fn off(a: &Tensor, b: &Tensor) -> wgrad::Result<f64> {
    let difference = a.flatten(0, -1) - b.flatten(0, -1);
    Ok(difference.abs().amax().item::<f32>()?.into())
}

/// The Toeplitz matrix `[8, 10]` of a kernel of 3 for 10 inputs.
fn one_dimension(lesson: &mut Lesson, x: &Tensor) -> Result<Vec<f32>> {
    let device = x.device();
    let kernel = [0.25f32, 0.5, -1.0];
    let mut toeplitz = vec![0.0f32; 8 * 10];
    for row in 0..8 {
        toeplitz[row * 10 + row..row * 10 + row + 3].copy_from_slice(&kernel);
    }
    let matrix = Tensor::from_slice(&toeplitz, &[8, 10], device);
    let weight = Tensor::from_slice(&kernel, &[1, 1, 3], device);
    let y = x.conv1d(&weight, None, &ConvOptions::default());
    lesson.at_most(
        "Toeplitz matrix against conv1d",
        off(&matrix.mv(&x.flatten(0, -1)), &y)?,
        1e-6,
    )?;
    Ok(toeplitz)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let toeplitz = one_dimension(lesson, &rng.normal(&[1, 1, 10], device))?;

    // Two dimensions: loops, blocks as columns, and the operation.
    let (h, w, side) = (9, 12, 3);
    let image = rng.normal(&[1, 1, h, w], device);
    let kernel = rng.normal(&[1, 1, side, side], device);
    let y = image.conv2d(&kernel, None, &ConvOptions::default());
    let loops = by_loops(
        &image.to_vec::<f32>()?,
        (h, w),
        &kernel.to_vec::<f32>()?,
        side,
    );
    lesson.at_most(
        "loops against conv2d",
        off(&Tensor::new(&loops, device), &y)?,
        1e-5,
    )?;
    let columns = image.unfold2d(&UnfoldOptions::new([side, side]));
    lesson.say(format!(
        "{} blocks of {} pixels: {:?}",
        columns.size(2),
        columns.size(1),
        columns.shape()
    ));
    let product = kernel.reshape(&[1, -1]).matmul(&columns.squeeze(0));
    lesson.at_most("blocks as columns against conv2d", off(&product, &y)?, 1e-5)?;

    // The same by the doubly blocked Toeplitz matrix of the image: the operation's derivative by its input.
    let eye = Tensor::eye(h * w, DType::F32, device).reshape(&[
        (h * w) as isize,
        1,
        h as isize,
        w as isize,
    ]);
    let blocked = eye
        .conv2d(&kernel, None, &ConvOptions::default())
        .flatten(1, -1)
        .t();
    lesson.at_most(
        "doubly blocked matrix against conv2d",
        off(&blocked.mv(&image.flatten(0, -1)), &y)?,
        1e-5,
    )?;
    let zero = blocked
        .eq_scalar(0.0)
        .cast(DType::F32)
        .mean()
        .item::<f32>()?;
    lesson.close(
        "share of that matrix that is 0",
        zero.into(),
        1.0 - 9.0 / 108.0,
        1e-6,
    )?;

    let grid = Grid::new(2)
        .figure(
            Figure::new("Toeplitz, one dimension")
                .x("input")
                .y("output")
                .size(400, 340)
                .heat_map(8, 10, &toeplitz),
        )
        .figure(
            Figure::new("Doubly blocked, two dimensions")
                .x("pixel of the image")
                .y("pixel of the result")
                .size(480, 340)
                .heat_map(y.numel(), h * w, &blocked.to_vec::<f32>()?),
        );
    lesson.grid("matrices", "The same few weights along diagonals", &grid)
}
