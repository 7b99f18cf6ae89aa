//! The steps beside their twins in PyTorch, from the same weights on the same batch. Times nothing.

use super::step::{Model, Step};
use super::{dcgan, gpt, images, resnet};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use wgrad::train::session::to_tensor;
use wgrad::train::weights::{LoadOptions, Weights};
use wgrad::{Device, Tensor};

/// The models, and how many parameters each has.
const MODELS: [(Model, usize); 6] = [
    (gpt::GPT, 804_096),
    (resnet::RESNET18, 11_173_962),
    (images::MOBILENET, 2_236_682),
    (images::UNET, 31_037_698),
    (images::VIT, 2_693_578),
    (dcgan::DCGAN, 898_305),
];

const TWINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/peers/steps.py");

fn numbers(step: &mut dyn Step, batch: &[Tensor]) -> Vec<f64> {
    let outputs = step.run(&batch.iter().collect::<Vec<_>>()).unwrap();
    let number = |t: &Tensor| f64::from(t.item::<f32>().unwrap());
    outputs.iter().map(number).collect()
}

#[test]
fn models_have_the_parameters_that_are_documented() {
    for (model, parameters) in MODELS {
        let mut step = (model.build)(&Device::cpu());
        assert_eq!(
            step.networks().num_parameters(),
            parameters,
            "{}",
            model.name
        );
    }
}

/// On one batch the language model's loss falls, and the generator's, after its discriminator's first steps.
#[test]
fn a_step_is_traced_once_and_goes_down() {
    for (model, which) in [(gpt::GPT, 0), (dcgan::DCGAN, 2)] {
        let device = Device::cpu();
        let batch = &super::batches(&model, 1, &device).unwrap()[0];
        let mut step = (model.build)(&device);
        let all: Vec<Vec<f64>> = (0..4).map(|_| numbers(&mut *step, batch)).collect();
        assert_eq!(step.traces(), 1, "{}", model.name);
        assert!(all[3][which] < all[0][which], "{}: {all:?}", model.name);
        let sound = |v: &f64| v.is_finite() && *v > 0.0;
        assert!(all.iter().flatten().all(sound), "{}: {all:?}", model.name);
    }
}

/// What the twin wrote of one model.
struct Twin {
    weights: Weights,
    batch: Vec<Tensor>,
    parameters: u64,
    steps: Vec<Vec<f64>>,
}

fn twin(python: &Path, name: &str, folder: &Path) -> Twin {
    let run = Command::new(python)
        .args([
            Path::new(TWINS),
            Path::new(name),
            Path::new("--write"),
            folder,
        ])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let batch = Weights::read(folder.join("batch.safetensors")).unwrap();
    let text = std::fs::read(folder.join("steps.json")).unwrap();
    let value: Value = serde_json::from_slice(&text).unwrap();
    let row = |row: &Value| {
        let all = row.as_array().unwrap().iter();
        all.map(|v| v.as_f64().unwrap()).collect()
    };
    Twin {
        weights: Weights::read(folder.join("weights.safetensors")).unwrap(),
        batch: (0..batch.arrays.len())
            .map(|i| to_tensor(&batch.arrays[&i.to_string()], &Device::cpu()))
            .collect(),
        parameters: value["parameters"].as_u64().unwrap(),
        steps: value["steps"].as_array().unwrap().iter().map(row).collect(),
    }
}

/// How far two numbers are apart, of the second.
fn apart(got: f64, want: f64) -> f64 {
    (got - want).abs() / want.abs()
}

/// Losses of the first step to 1e-5 and norms to 1e-4. Losses after the optimiser's first steps, which have the error of the
/// gradients before, to 1e-3: they show its rule and its groups. What the norms are by then is printed.
fn compare(model: &Model, twin: &Twin) -> Result<(), String> {
    let mut step = (model.build)(&Device::cpu());
    let networks = step.networks();
    let report = twin.weights.load_into(networks, &LoadOptions::new());
    let report = report.map_err(|e| e.to_string())?;
    if !report.is_complete() || networks.num_parameters() as u64 != twin.parameters {
        return Err(format!("{} parameters: {report}", twin.parameters));
    }
    let mut failed = Vec::new();
    for (i, want) in twin.steps.iter().enumerate() {
        let got = numbers(&mut *step, &twin.batch);
        assert_eq!(got.len(), want.len());
        for (k, (&got, &want)) in got.iter().zip(want).enumerate() {
            let off = apart(got, want);
            let what = ["loss", "norm"][k % 2];
            println!(
                "{} step {}: {what} {got:.6}, {want:.6}, {off:.1e} apart",
                model.name,
                i + 1
            );
            let allowed = match (i, what) {
                (0, "loss") => 1e-5,
                (0, _) => 1e-4,
                (_, "loss") => 1e-3,
                _ => continue,
            };
            if off.is_nan() || off > allowed {
                failed.push(format!("step {} {what} {got}, not {want}", i + 1));
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("; ")),
    }
}

#[test]
fn steps_begin_as_their_twins_in_pytorch() {
    let Some(python) = std::env::var_os("WGRAD_TORCH_PYTHON") else {
        println!("skipped: WGRAD_TORCH_PYTHON names no Python with PyTorch");
        return;
    };
    let mut failed = Vec::new();
    for (model, _) in MODELS {
        let folder = tempfile::tempdir().unwrap();
        let twin = twin(Path::new(&python), model.name, folder.path());
        if let Err(e) = compare(&model, &twin) {
            failed.push(format!("{}: {e}", model.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
