//! A Boltzmann machine gives states the probability `exp(−E(s)) / Z` with `E = −½ sᵀ W s − bᵀ s`. Its gradient compares what
//! units do together in the data with what they do in the machine's own dreams: `∂ log p / ∂W = ⟨s sᵀ⟩_data − ⟨s sᵀ⟩_model`.
//! With 6 units all 64 states can be counted, so both are exact. Source: Ackley, Hinton, Sejnowski, 1985.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Module, Optimizer, Tensor};

#[derive(Module)]
struct Machine {
    weight: Tensor,
    bias: Tensor,
}

/// Every state of 6 units, as 0 and 1: `[64, 6]`.
fn states(device: &Device) -> Tensor {
    let bits: Vec<f32> = (0..64)
        .flat_map(|s| (0..6).map(move |i| ((s >> i) & 1) as f32))
        .collect();
    Tensor::from_slice(&bits, &[64, 6], device)
}

impl Machine {
    /// Log-probabilities of all states.
    fn log_probability(&self, s: &Tensor) -> Tensor {
        let both = (&self.weight + self.weight.t()) * 0.5;
        let apart = both * (Tensor::eye(6, DType::F32, s.device()) * -1.0 + 1.0);
        let goodness = (s.matmul(&apart) * s).sum_dims(&[1], false) * 0.5 + s.mv(&self.bias);
        goodness.log_softmax(0)
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let s = states(device);
    // The data: units 0 to 2 agree, so do 3 to 5, and the two groups differ more often than not.
    let like = |state: usize| -> f64 {
        let (low, high) = (state & 7, state >> 3);
        let whole = |part: usize| part == 0 || part == 7;
        if !(whole(low) && whole(high)) {
            0.002
        } else if low == high {
            0.1
        } else {
            0.34
        }
    };
    let total: f64 = (0..64).map(like).sum();
    let data: Vec<f32> = (0..64).map(|state| (like(state) / total) as f32).collect();
    let p = Tensor::new(&data, device);
    let entropy = -(&p * p.log()).sum();

    let mut machine = Machine {
        weight: Tensor::zeros(&[6, 6], DType::F32, device),
        bias: Tensor::zeros(&[6], DType::F32, device),
    };
    let mut adam = Adam::new(0.05);
    let mut divergence = Vec::new();
    for _ in 0..lesson.pick(3000, 1500) {
        let loss = -(&p * machine.log_probability(&s)).sum();
        let gradients = gradients(&loss, &machine)?;
        adam.step(&mut machine, &gradients)?;
        divergence.push((&loss - &entropy).item::<f32>()?);
    }
    let steps: Vec<usize> = (1..=divergence.len()).collect();
    lesson.at_least(
        "divergence at the beginning, nats",
        divergence[0].into(),
        1.5,
    )?;
    lesson.at_most("at the end", divergence[divergence.len() - 1].into(), 0.2)?;
    let own = machine.log_probability(&s).exp();
    let together = |p: &Tensor| (&s * p.reshape(&[64, 1])).t().matmul(&s);
    let apart = (together(&p) - together(&own)).abs().amax().item::<f32>()?;
    lesson.at_most("⟨s sᵀ⟩ in data and dreams, apart", apart.into(), 0.01)?;

    let figure = Figure::new("Distance from the data")
        .x("step")
        .y("divergence, nats")
        .log_y()
        .line("Boltzmann machine", &steps, &divergence);
    lesson.figure("divergence", "Learning by comparing with dreams", &figure)?;
    let units = ["0", "1", "2", "3", "4", "5"];
    let weights = ((&machine.weight + machine.weight.t()) * 0.5).to_vec::<f32>()?;
    let figure = Figure::new("Weights")
        .x("unit")
        .y("unit")
        .heat_map(6, 6, &weights)
        .row_names(&units)
        .column_names(&units);
    lesson.figure("weights", "Friends within a group, rivals between", &figure)
}
