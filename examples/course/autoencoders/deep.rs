//! A deep autoencoder bends the subspace: with two numbers for each digit it keeps more than the best plane does, and the classes lie apart
//! in its code. Source: Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006.

use crate::lesson::{Lesson, Result};
use wgrad::data::{Mnist, digits};
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::{Figure, Grid, Picture};
use wgrad::{Generator, Module, Optimizer, Pca, Reduction, Tensor};

#[derive(Module)]
struct Net {
    down: [Linear; 3],
    up: [Linear; 3],
}

impl Net {
    fn code(&self, x: &Tensor) -> Tensor {
        let x = self.down[0].forward(x).relu();
        self.down[2].forward(&self.down[1].forward(&x).relu())
    }

    fn logits(&self, code: &Tensor) -> Tensor {
        let x = self.up[0].forward(code).relu();
        self.up[2].forward(&self.up[1].forward(&x).relu())
    }
}

fn train(x: &Tensor, lesson: &Lesson) -> Result<Net> {
    let mut rng = Generator::new(lesson.seed);
    let mut layers = |sizes: [usize; 4]| {
        [0, 1, 2].map(|at| Linear::new(sizes[at], sizes[at + 1], &mut rng, &lesson.device))
    };
    let net = Net {
        down: layers([196, 128, 64, 2]),
        up: layers([2, 64, 128, 196]),
    };
    let mut state = (net, Adam::new(0.002));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let x = b[0].index_select(0, &b[1]);
        let back = net.logits(&net.code(&x));
        let loss = back.binary_cross_entropy_with_logits(&x, Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..lesson.pick(3000, 1500) {
        let some = rng.integers(0, x.size(0) as i32, &[128], &lesson.device);
        step.call(&mut state, &[x, &some])?;
    }
    Ok(state.0)
}

/// Codes of two numbers in the plane, by class.
fn plane(name: &str, codes: &Tensor, labels: &[u8]) -> wgrad::Result<Figure> {
    let codes = codes.to_vec::<f32>()?;
    let mut figure = Figure::new(name).x("first").y("second").size(520, 440);
    for digit in 0..10u8 {
        let of = |axis: usize| -> Vec<f32> {
            let all = labels.iter().enumerate().filter(|(_, l)| **l == digit);
            all.map(|(at, _)| codes[2 * at + axis]).collect()
        };
        figure = figure.scatter(&digit.to_string(), &of(0), &of(1));
    }
    Ok(figure)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train_set, test) = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?,
        None => digits::train_test(20_000, 2_000, lesson.seed),
    };
    let x = train_set
        .truncated(lesson.pick(20_000, 5_000))
        .downsampled(2)?
        .pixels(device)?;
    let test = test.truncated(1000).downsampled(2)?;
    let unseen = test.pixels(device)?;
    let net = train(&x, lesson)?;
    let pca = Pca::fit(&x.narrow(0, 0, 2000), 2);
    let flat = pca.inverse_transform(&pca.transform(&unseen)).detach()?;
    let codes = net.code(&unseen).detach()?;
    let bent = net.logits(&codes).sigmoid().detach()?;
    let error = |back: &Tensor| (back - &unseen).square().mean().item::<f32>();
    let (of_pca, of_net) = (error(&flat)?, error(&bent)?);
    lesson.say(format!(
        "squared error of a pixel: {of_pca:.4} by a plane, {of_net:.4} by the network"
    ));
    let share = f64::from(of_net / of_pca);
    lesson.at_most(
        "error by that of two principal components",
        share,
        lesson.pick(0.75, 0.85),
    )?;

    let grid = Grid::new(2)
        .figure(plane(
            "Two principal components",
            &pca.transform(&unseen),
            test.labels(),
        )?)
        .figure(plane("A code of two numbers", &codes, test.labels())?);
    lesson.grid("manifold", "Where the digits lie", &grid)?;
    let mut pictures = Vec::new();
    for (name, images) in [("image", &unseen), ("plane", &flat), ("network", &bent)] {
        for pixels in images.narrow(0, 0, 10).to_vec::<f32>()?.chunks_exact(196) {
            pictures.push(Picture::floats(14, 14, pixels, (0.0, 1.0)).caption(name));
        }
    }
    let figure = Figure::new("Reconstructions").image_grid(10, &pictures);
    lesson.figure("back", "From two numbers back to digits", &figure)
}
