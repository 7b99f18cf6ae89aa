//! Kernels without learning them: drawn at random, written by hand (edges in several directions), or the centres of k-means
//! among small patches. Rectified and pooled, they feed a softmax regression, which is all that is trained, on few digits.
//! Source: Goodfellow, Bengio, Courville, Deep Learning, 9.9; Jarrett et al. 2009; Coates, Lee, Ng 2011.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, compile, gradients, loss};
use wgrad::plot::{Figure, Grid, Picture};
use wgrad::{
    ConvOptions, DType, Device, Generator, KMeansOptions, Optimizer, PoolOptions, Reduction,
    Tensor, UnfoldOptions, kmeans,
};

const SIDE: usize = 5;
const KERNELS: usize = 16;

/// Edges in 8 directions, of two widths.
fn by_hand(device: &Device) -> Tensor {
    let line = Tensor::linspace(-1.0, 1.0, SIDE, device);
    let (x, y) = (line.reshape(&[1, -1]), line.reshape(&[-1, 1]));
    let mut all = Vec::new();
    for at in 0..KERNELS {
        let angle = std::f64::consts::PI * (at % 8) as f64 / 4.0;
        let across = &x * angle.cos() + &y * angle.sin();
        all.push(match at < 8 {
            true => across.sign(),                                // a step
            false => (&across * 4.0).square().neg().exp() - 0.44, // a stroke
        });
    }
    Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
}

/// `[16, 1, 5, 5]`, each of mean 0 and length 1.
fn ready(kernels: &Tensor) -> wgrad::Result<Tensor> {
    let flat = kernels.reshape(&[KERNELS as isize, -1]);
    let centred = &flat - flat.mean_dims(&[1], true);
    let one = centred.normalize(2.0, 1, 1e-6);
    one.reshape(&[KERNELS as isize, 1, SIDE as isize, SIDE as isize])
        .detach()
}

/// Convolution, rectifier, means over windows of 4 by 4.
fn features(x: &Tensor, kernels: &Tensor) -> wgrad::Result<Tensor> {
    let maps = x.conv2d(kernels, None, &ConvOptions::default()).relu();
    maps.avg_pool2d(&PoolOptions::new(4))
        .flatten(1, -1)
        .detach()
}

/// The share of test rows right after a softmax regression.
fn last_layer(
    train: (&Tensor, &Tensor),
    test: (&Tensor, &Tensor),
    rng: &mut Generator,
) -> wgrad::Result<f64> {
    let (mean, std) = (train.0.mean(), train.0.std(1.0));
    let scaled = |x: &Tensor| (x - &mean) / &std;
    let (x, x_test) = (scaled(train.0).detach()?, scaled(test.0));
    let device = x.device().clone();
    let mut state = (Linear::new(x.size(1), 10, rng, &device), Adam::new(3e-3));
    let mut step = compile(|(net, adam): &mut (Linear, Adam), index: &[Tensor]| {
        let logits = net.forward(&x.index_select(0, &index[0]));
        let y = train.1.index_select(0, &index[0]);
        let mut loss = logits.cross_entropy(&y, Reduction::Mean);
        if let Some(penalty) = loss::l2(net, 1e-3) {
            loss = loss + penalty;
        }
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..600 {
        let some = rng.integers(0, x.size(0) as i32, &[100], &device);
        step.call(&mut state, &[&some])?;
    }
    let right = state.0.forward(&x_test).argmax(1, false).eq(test.1);
    Ok(right.cast(DType::F32).mean().item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests) = lesson.pick((3000, 3000), (1000, 1000));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x, y) = train.gather(&Tensor::arange(images, device));
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));

    // Patches that hold something, for k-means.
    let patches = x
        .narrow(0, 0, 200)
        .unfold2d(&UnfoldOptions::new([SIDE, SIDE]).stride([3, 3]));
    let patches = patches.transpose(1, 2).flatten(0, 1);
    let busy = patches.std_dims(&[1], 1.0, false).topk(4000, 0, true).1;
    let patches = patches.index_select(0, &busy);
    let patches = (&patches - patches.mean_dims(&[1], true))
        .normalize(2.0, 1, 1e-6)
        .detach()?;
    let centres = kmeans(
        &patches,
        &KMeansOptions::new(KERNELS).max_iterations(30),
        rng,
    )?
    .centers;
    let sets = [
        (
            "random",
            ready(&rng.normal(&[KERNELS, SIDE, SIDE], device))?,
        ),
        ("by hand", ready(&by_hand(device))?),
        ("k-means", ready(&centres)?),
    ];
    let raw = last_layer(
        (&x.flatten(1, -1), &y),
        (&x_test.flatten(1, -1), &y_test),
        rng,
    )?;
    let (mut names, mut shares) = (vec!["raw pixels"], vec![raw]);
    lesson.say(format!("raw pixels: {raw:.4} right"));
    let mut all = Grid::new(3);
    for (name, kernels) in &sets {
        let share = last_layer(
            (&features(&x, kernels)?, &y),
            (&features(&x_test, kernels)?, &y_test),
            rng,
        )?;
        lesson.at_least(
            &format!("{name} kernels: share right beyond that of raw pixels"),
            share - raw,
            lesson.pick(0.02, 0.01),
        )?;
        names.push(name);
        shares.push(share);
        let shown = kernels.to_vec::<f32>()?;
        let shown: Vec<Picture> = shown
            .chunks_exact(SIDE * SIDE)
            .map(|k| Picture::floats(SIDE, SIDE, k, (-0.5, 0.5)))
            .collect();
        all = all.figure(Figure::new(*name).size(260, 300).image_grid(4, &shown));
    }
    lesson.grid("kernels", "Kernels that nobody trained", &all)?;
    let figure = Figure::new("Only the last layer is trained")
        .y("test images right")
        .percent_y()
        .bar("", &names, &shares);
    lesson.figure("right", "Random kernels beat raw pixels", &figure)
}
