//! Initial weights by depth: each layer multiplies the spread of what passes by `√(fan_in) · σ` (and by about 1/√2 for a
//! rectifier). Too small and signals vanish, too large and they explode or saturate; Glorot's `√(2 / (in + out))` and He's
//! `√(2 / in)` keep them. Sources: Glorot and Bengio 2010; He et al. 2015; Goodfellow, Bengio, Courville, Deep Learning, 8.4.

use crate::lesson::{Lesson, Result};
use wgrad::nn::init::{self, Fan};
use wgrad::plot::{Figure, Grid};
use wgrad::{Device, Generator, Tensor, grad};

const WIDTH: usize = 256;
const DEPTH: usize = 30;

/// The spread of each layer's values, and the length of the gradient by each layer's input, both by the first's (last's).
fn passes(
    draw: impl Fn(&mut Generator) -> Tensor,
    unit: fn(&Tensor) -> Tensor,
    rng: &mut Generator,
    device: &Device,
) -> wgrad::Result<[Vec<f64>; 2]> {
    let mut layers = vec![rng.normal(&[256, WIDTH], device)];
    for at in 0..DEPTH {
        layers.push(unit(&layers[at].matmul(&draw(rng).t())));
    }
    let out = &layers[DEPTH];
    let loss = (out * rng.normal(out.shape(), device)).sum();
    let by: Vec<&Tensor> = layers.iter().collect();
    let slopes = grad(&loss, &by)?;
    // All spreads in one run.
    let spreads = |all: &[Tensor]| -> wgrad::Result<Vec<f64>> {
        let all: Vec<Tensor> = all.iter().map(|t| t.square().mean().sqrt()).collect();
        let all = Tensor::stack(&all.iter().collect::<Vec<_>>(), 0).to_vec::<f32>()?;
        Ok(all.into_iter().map(f64::from).collect())
    };
    let (values, slopes) = (spreads(&layers)?, spreads(&slopes)?);
    Ok([values, slopes])
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let shape = [WIDTH, WIDTH];
    let layers: Vec<usize> = (0..=DEPTH).collect();
    let mut all = Grid::new(2);
    let units: [(&str, fn(&Tensor) -> Tensor); 2] =
        [("tanh", |x| x.tanh()), ("rectifier", |x| x.relu())];
    for (name, unit) in units {
        let panel = |what: &str| {
            Figure::new(format!("{name}: {what}"))
                .x("layer")
                .y("spread")
                .log_y()
                .size(440, 340)
        };
        let (mut forward, mut backward) = (panel("values"), panel("gradients"));
        let mut ends = Vec::new();
        for (start, kind) in [("σ = 0.01", 0), ("σ = 0.2", 1), ("Glorot", 2), ("He", 3)] {
            let draw = |rng: &mut Generator| match kind {
                0 => init::normal(&shape, 0.0, 0.01, rng, device),
                1 => init::normal(&shape, 0.0, 0.2, rng, device),
                2 => init::xavier_normal(&shape, 1.0, rng, device),
                _ => init::kaiming_normal(&shape, 0.0, Fan::In, rng, device),
            };
            let [values, slopes] = passes(draw, unit, rng, device)?;
            ends.push((values[DEPTH] / values[0], slopes[0] / slopes[DEPTH]));
            forward = forward.line(start, &layers, &values);
            backward = backward.line(start, &layers, &slopes);
        }
        all = all.figure(forward).figure(backward);
        lesson.at_most(
            &format!("{name}, σ = 0.01: last spread by first"),
            ends[0].0,
            1e-10,
        )?;
        match name {
            "tanh" => {
                lesson.at_least("tanh, Glorot: last spread by first", ends[2].0, 0.05)?;
                lesson.close(
                    "tanh, Glorot: logarithm to 10 of first gradient by last",
                    ends[2].1.log10(),
                    0.0,
                    1.0,
                )?;
                lesson.at_least(
                    "tanh, σ = 0.2: first gradient by last, it explodes",
                    ends[1].1,
                    100.0,
                )?;
            }
            _ => {
                lesson.close(
                    "rectifier, He: logarithm to 10 of last spread by first",
                    ends[3].0.log10(),
                    0.0,
                    0.5,
                )?;
                lesson.close(
                    "rectifier, He: of first gradient by last",
                    ends[3].1.log10(),
                    0.0,
                    0.5,
                )?;
                lesson.at_most(
                    "rectifier, Glorot: last spread by first, 2^(−15) expected",
                    ends[2].0,
                    1e-3,
                )?;
                lesson.at_least("rectifier, σ = 0.2: last spread by first", ends[1].0, 1e6)?;
            }
        }
    }
    lesson.grid("depth", "What passes 30 layers", &all)
}
