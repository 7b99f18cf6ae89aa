//! The cases that are whole training steps of models: a batch as arguments, losses, gradients clipped by the norm of all of
//! them, optimisers with two parameter groups (what has a rank below 2 does not decay), replayed from one plan. A step is
//! timed until its loss can be read. `benches/peers/steps.py` has the same steps in PyTorch.

mod dcgan;
mod gpt;
mod images;
mod resnet;
mod step;
#[cfg(test)]
mod twins;

use super::case::{Case, Env, Measured, Work};
use super::timing;
use crate::{Result, processor};
use step::Model;
use wgrad::{Device, Generator, Tensor};

/// Batches that a step gets in turn.
const BATCHES: usize = 8;

/// All of them.
pub fn cases() -> Vec<Case> {
    // A case's function holds nothing: each names its model.
    let case = |model: Model, measure| Case {
        name: model.name,
        unit: model.unit,
        work: Work::Whole(measure),
    };
    vec![
        case(gpt::GPT, |env| measure(env, &gpt::GPT)),
        case(resnet::RESNET18, |env| measure(env, &resnet::RESNET18)),
        case(images::MOBILENET, |env| measure(env, &images::MOBILENET)),
        case(images::UNET, |env| measure(env, &images::UNET)),
        case(images::VIT, |env| measure(env, &images::VIT)),
        case(dcgan::DCGAN, |env| measure(env, &dcgan::DCGAN)),
    ]
}

/// Batches by chance, already computed.
fn batches(model: &Model, count: usize, device: &Device) -> wgrad::Result<Vec<Vec<Tensor>>> {
    let rng = &mut Generator::new(1);
    let mut batch = || {
        (model.batch)(rng, device)
            .iter()
            .map(Tensor::detach)
            .collect()
    };
    (0..count).map(|_| batch()).collect()
}

/// Samples or tokens a second.
fn measure(env: &Env, model: &Model) -> Result<Measured> {
    let batches = batches(model, BATCHES, env.device)?;
    let mut step = (model.build)(env.device);
    let mut at = 0;
    let mut run = || -> Result<Vec<Tensor>> {
        let batch: Vec<&Tensor> = batches[at % BATCHES].iter().collect();
        at += 1;
        let outputs = step.run(&batch)?;
        outputs[0].item::<f32>()?;
        Ok(outputs)
    };
    let first = run()?;
    // Each run ends with a loss that was read: there is nothing left to wait for.
    let timing = timing::measure(2.0 * env.options.seconds, &mut || run().map(drop), &|| {
        Ok(())
    })?;
    let mut measured = Measured::rate(model.amount as f64, &timing);
    measured.note = note(&first, step.networks().num_parameters(), timing.median)?;
    Ok(measured)
}

/// What the twin prints too.
fn note(first: &[Tensor], parameters: usize, seconds: f64) -> Result<String> {
    let numbers = first.iter().map(Tensor::item::<f32>);
    let numbers = numbers.collect::<wgrad::Result<Vec<f32>>>()?;
    let losses: Vec<String> = numbers
        .chunks(2)
        .map(|pair| format!("first loss {:.4}, norm {:.4}", pair[0], pair[1]))
        .collect();
    let memory = processor::peak_resident().map_or(String::new(), |bytes| {
        format!(", the process at most {} MB", bytes / 1_000_000)
    });
    Ok(format!(
        "{:.2} ms a step, {parameters} parameters, {}{memory}",
        1e3 * seconds,
        losses.join(", ")
    ))
}
