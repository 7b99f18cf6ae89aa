//! What a convolution promises, asserted. Sizes: `⌊(n + 2 padding − dilation (k − 1) − 1) / stride⌋ + 1`. Equivariance: a
//! shifted input gives the shifted output, but not a turned or scaled one. Invariance: a maximum over windows hardly changes
//! where the input moves by a pixel; over all places not at all. Source: Goodfellow, Bengio, Courville, Deep Learning,
//! 9.2, 9.3 and 9.5; Dumoulin and Visin, A Guide to Convolution Arithmetic, 2016.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{ConvOptions, DType, Device, Generator, PadMode, PoolOptions, Tensor};

fn sizes(lesson: &mut Lesson, device: &Device) -> Result {
    let mut sizes = String::from("n   k  stride  padding  dilation  result\n");
    let mut differ = 0;
    for (n, k, stride, padding, dilation) in [
        (28, 5, 1, 0, 1), // valid
        (28, 5, 1, 2, 1), // same
        (28, 5, 1, 4, 1), // full
        (28, 3, 2, 1, 1),
        (27, 3, 2, 0, 1),
        (28, 3, 1, 2, 2),
        (11, 4, 3, 1, 2),
    ] {
        let options = ConvOptions::default()
            .stride([stride; 2])
            .padding([padding; 2])
            .dilation([dilation; 2]);
        let x = Tensor::ones(&[1, 1, n, n], DType::F32, device);
        let k_ones = Tensor::ones(&[1, 1, k, k], DType::F32, device);
        let got = x.conv2d(&k_ones, None, &options).size(2);
        let formula = (n + 2 * padding - dilation * (k - 1) - 1) / stride + 1;
        differ += got.abs_diff(formula);
        sizes += &format!("{n:<3} {k}  {stride}       {padding}        {dilation}         {got}\n");
    }
    lesson.say(sizes);
    lesson.close("differences from the formula", differ as f64, 0.0, 0.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let kernel = rng.normal(&[1, 1, 3, 3], device);

    sizes(lesson, device)?;

    // A stride is a convolution of which every second result is kept.
    let x = rng.normal(&[1, 1, 20, 20], device);
    let conv = |x: &Tensor| x.conv2d(&kernel, None, &ConvOptions::default());
    let off = |a: &Tensor, b: &Tensor| -> wgrad::Result<f64> {
        Ok((a - b).abs().amax().item::<f32>()?.into())
    };
    let strided = x.conv2d(&kernel, None, &ConvOptions::default().stride([2, 2]));
    let kept = conv(&x).slice(2, None, None, 2).slice(3, None, None, 2);
    lesson.at_most(
        "stride 2 against every second result",
        off(&strided, &kept)?,
        1e-6,
    )?;

    // Equivariance, on an image with an empty border so that nothing is pushed out.
    let framed = x.pad(&[6, 6, 6, 6], PadMode::Constant(0.0));
    let shift = |x: &Tensor| x.roll(&[2, 3], &[2, 3]);
    let moved = off(&conv(&shift(&framed)), &shift(&conv(&framed)))?;
    lesson.at_most("conv(shift(x)) against shift(conv(x))", moved, 1e-5)?;
    let turn = |x: &Tensor| x.rot90(1, [2, 3]);
    let turned = off(&conv(&turn(&framed)), &turn(&conv(&framed)))?;
    lesson.at_least(
        "conv(turn(x)) against turn(conv(x)): not equivariant",
        turned,
        0.5,
    )?;

    // Invariance.
    let pool = PoolOptions::windows([3, 3]);
    let pool = PoolOptions {
        stride: [1, 1],
        ..pool
    };
    let everywhere = |x: &Tensor| conv(x).relu().amax_dims(&[2, 3], false);
    lesson.at_most(
        "the maximum over all places, shifted",
        off(&everywhere(&shift(&framed)), &everywhere(&framed))?,
        1e-5,
    )?;
    let seen = conv(&framed).relu();
    let once = seen.roll(&[1], &[3]);
    // How much a shift by 1 changes, in units of what is there.
    let changed = |a: &Tensor, b: &Tensor| (a - b).abs().mean() / a.mean();
    let before = changed(&seen, &once);
    let after = changed(&seen.max_pool2d(&pool), &once.max_pool2d(&pool));
    let ratio = (after / before).item::<f32>()?;
    lesson.at_most("change by a shift, pooled by not", ratio.into(), 0.7)?;

    let pixels = |t: &Tensor| t.get((0, 0, 12)).to_vec::<f32>();
    let columns: Vec<usize> = (0..seen.size(3)).collect();
    let pooled = [seen.max_pool2d(&pool), once.max_pool2d(&pool)];
    let short: Vec<usize> = (0..pooled[0].size(3)).collect();
    let figure = Figure::new("A row of a feature map, and the same moved by 1")
        .x("column")
        .y("activation")
        .line("detector", &columns, &pixels(&seen)?)
        .dashed("moved", &columns, &pixels(&once)?)
        .line("pooled", &short, &pixels(&pooled[0])?)
        .dashed("moved, pooled", &short, &pixels(&pooled[1])?);
    lesson.figure(
        "pooling",
        "Pooling widens what counts as the same place",
        &figure,
    )
}
