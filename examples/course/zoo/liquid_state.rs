//! A liquid state machine: spiking units that leak (`τ dV/dt = −V + I`, a spike at V ≥ 1, then 0), connected at random. Two
//! rhythms are poured in; a linear read-out of how much each unit spikes tells which it was. Source: Maass, Natschläger,
//! Markram, Real-Time Computing Without Stable States, 2002.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (examples, units, inputs, steps) = (400, 100, 8, 60);
    let mut rng = Generator::new(lesson.seed);
    // Class 0: spikes in the first half; class 1: as many, spread. Then jittered by noise spikes.
    let class =
        Tensor::arange(examples, device).bitwise_and(&Tensor::scalar(1.0, DType::I32, device));
    let spread = class.cast(DType::F32).reshape(&[-1, 1, 1]);
    let time = Tensor::arange(steps, device)
        .cast(DType::F32)
        .reshape(&[1, -1, 1]);
    let early = time.lt_scalar(steps as f64 / 2.0).cast(DType::F32);
    let rate = &spread * 0.15 + (&spread * -1.0 + 1.0) * early * 0.3 + 0.02;
    let spikes = rng
        .bernoulli_of(&rate, &[examples, steps, inputs])
        .cast(DType::F32);
    let into = rng.normal(&[inputs, units], device) * 0.6;
    let inside = rng.normal(&[units, units], device)
        * rng.bernoulli(0.1, &[units, units], device).cast(DType::F32)
        * 0.3;

    let mut voltage = Tensor::zeros(&[examples, units], DType::F32, device);
    let mut fired = voltage.clone();
    let mut trace = voltage.clone();
    let mut raster = (Vec::new(), Vec::new());
    for step in 0..steps as isize {
        let current = spikes.select(1, step).matmul(&into) + fired.matmul(&inside);
        voltage = &voltage * 0.9 + current;
        let over = voltage.ge_scalar(1.0).cast(DType::F32);
        voltage = &voltage * (&over * -1.0 + 1.0);
        trace = (&trace * 0.95 + &over).detach()?;
        (voltage, fired) = (voltage.detach()?, over.detach()?);
        for (unit, fires) in fired.get(1).to_vec::<f32>()?.into_iter().enumerate() {
            if fires > 0.0 {
                raster.0.push(step);
                raster.1.push(unit);
            }
        }
    }
    let truth = class.cast(DType::F32).reshape(&[-1, 1]) * 2.0 - 1.0;
    let right = |features: &Tensor| -> wgrad::Result<f64> {
        let one = Tensor::ones(&[examples, 1], DType::F32, device);
        let x = Tensor::cat(&[features, &one], 1);
        let half = examples as isize / 2;
        let (seen, y) = (x.get(..half), truth.get(..half));
        let ridge = Tensor::eye(x.size(1), DType::F32, device);
        let read = (seen.t().matmul(&seen) + ridge).solve(&seen.t().matmul(&y));
        let same = (x.get(half..).matmul(&read) * truth.get(half..)).gt_scalar(0.0);
        Ok(same.cast(DType::F32).mean().item::<f32>()?.into())
    };
    let counts = right(&spikes.sum_dims(&[1], false))?;
    let liquid = right(&trace)?;
    lesson.at_most("told by counting input spikes", counts, 0.75)?;
    lesson.at_least("told by the liquid's state", liquid, 0.9)?;
    let figure = Figure::new("Spikes of the liquid")
        .x("step")
        .y("unit")
        .scatter("spike", &raster.0, &raster.1);
    lesson.figure("raster", "One example poured in", &figure)
}
