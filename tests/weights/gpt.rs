//! The program of `examples/gpt` beside its twin in PyTorch: from the twin's weights and batches the same losses, and from
//! weights and batches of its own as low a loss in the end. Needs a Python with PyTorch, and the text.

use super::{FIXTURES, python};
use crate::model::{Gpt, Sizes};
use crate::training::{Text, Trainer};
use std::path::Path;
use std::time::Instant;
use wgrad::train::session::to_tensor;
use wgrad::train::weights::{LoadOptions, Weights};
use wgrad::{Device, Generator, Tensor};

const TEXT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/data/text/tinyshakespeare.txt"
);

/// What the twin wrote.
struct Twin {
    weights: Weights,
    starts: Tensor,
    losses: Vec<f32>,
    validation: f64,
}

/// Runs the twin; `None` where there is no Python or no text.
fn twin(steps: usize, seed: u64) -> Option<Twin> {
    if !Path::new(TEXT).exists() {
        println!("skipped: no {TEXT}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(FIXTURES).join("gpt.py").display().to_string();
    let place = folder.path().display().to_string();
    if !python(&[&script, TEXT, &steps.to_string(), &seed.to_string(), &place]) {
        return None;
    }
    let run = Weights::read(folder.path().join("run.safetensors")).unwrap();
    let tensor = |name: &str| to_tensor(&run.arrays[name], &Device::cpu());
    Some(Twin {
        weights: Weights::read(folder.path().join("init.pth")).unwrap(),
        starts: tensor("starts"),
        losses: tensor("losses").to_vec().unwrap(),
        validation: f64::from(tensor("validation").item::<f32>().unwrap()),
    })
}

fn trainer(steps: usize, seed: u64, weights: Option<&Weights>) -> Trainer {
    let d = Device::cpu();
    let text = Text::new(&std::fs::read_to_string(TEXT).unwrap(), &d);
    let sizes = Sizes {
        vocabulary: text.alphabet.len(),
        context: 64,
        width: 128,
        heads: 4,
        layers: 4,
    };
    assert_eq!(sizes.vocabulary, 65);
    let mut model = Gpt::new(sizes, &mut Generator::new(seed), &d);
    if let Some(weights) = weights {
        weights.load_into(&mut model, &LoadOptions::new()).unwrap();
    }
    Trainer::new(model, sizes, text, 12, steps as u64, seed).unwrap()
}

/// The greatest difference of the first 50 losses.
fn follow(trainer: &mut Trainer, twin: &Twin) -> f32 {
    let mut most = 0.0f32;
    for (i, want) in twin.losses.iter().enumerate() {
        let loss = trainer
            .step_from(&twin.starts.select(0, i as isize))
            .unwrap();
        if i < 50 {
            most = most.max((loss.item::<f32>().unwrap() - want).abs());
        }
    }
    most
}

#[test]
fn a_gpt_begins_as_its_twin() {
    let Some(twin) = twin(50, 1) else {
        return;
    };
    let mut trainer = trainer(50, 1, Some(&twin.weights));
    let most = follow(&mut trainer, &twin);
    let validation = trainer.validation().unwrap();
    println!(
        "50 losses, at most {most:e} off; validation {validation}, {}",
        twin.validation
    );
    assert!(most <= 1e-4, "{most}");
    assert!((validation - twin.validation).abs() <= 1e-4);
    // And on from there with rows of its own.
    assert!(trainer.step().unwrap().item::<f32>().unwrap() < 3.0);
    assert_eq!(trainer.alphabet().len(), 65);
}

/// 2,000 steps, with three seeds here and there: a quarter of an hour in the long form, optimised.
#[test]
fn a_gpt_ends_as_its_twin() {
    if !std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1") {
        return println!("2,000 steps are taken with WGRAD_TEST_ALL=1");
    }
    let (mut ours, mut theirs) = (0.0, 0.0);
    for seed in 1..=3 {
        let Some(twin) = twin(2000, seed) else {
            return;
        };
        let mut same = trainer(2000, seed, Some(&twin.weights));
        let most = follow(&mut same, &twin);
        let same = same.validation().unwrap();
        let mut own = trainer(2000, seed, None);
        let began = Instant::now();
        for _ in 0..2000 {
            own.step().unwrap();
        }
        let own = own.validation().unwrap();
        println!(
            "seed {seed}: PyTorch {:.4}, from its weights and batches {same:.4} (50 losses at most {most:e} off), own {own:.4}, \
             {:.1} ms a step",
            twin.validation,
            0.5 * began.elapsed().as_secs_f64()
        );
        assert!(most <= 1e-4 && (same - twin.validation).abs() <= 0.02);
        (ours, theirs) = (ours + own / 3.0, theirs + twin.validation / 3.0);
    }
    println!("means: PyTorch {theirs:.4}, own {ours:.4}");
    assert!((ours - theirs).abs() <= 0.02, "{ours} {theirs}");
}
