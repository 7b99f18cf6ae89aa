//! Trains a small GPT over the characters of a text, and writes some of its own:
//!
//!     cargo run --release --example gpt -- --text shakespeare.txt --steps 2000
//!
//! Parameter groups, warm-up and cosine, and clipping are those of the programs that people copy from.

mod model;
mod training;

use clap::Parser;
use model::{Gpt, Sizes};
use std::path::PathBuf;
use std::time::Instant;
use training::{Text, Trainer};
use wgrad::nn::{GenerateOptions, generate};
use wgrad::train::weights::{LoadOptions, Weights};
use wgrad::{Device, Generator, Module};

/// Trains a small GPT over characters.
#[derive(Parser, Debug)]
struct Options {
    /// The text to learn
    #[arg(long)]
    text: PathBuf,
    /// Training steps
    #[arg(long, default_value_t = 2000)]
    steps: u64,
    /// Rows in a step
    #[arg(long, default_value_t = 12)]
    batch: usize,
    /// Seed of the initial weights, of the rows and of what is written
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// cpu, gpu, gpu:<part of the adapter's name> or reference; the best there is if absent
    #[arg(long)]
    device: Option<String>,
    /// Weights to begin with, safetensors or PyTorch's, under the names of this model
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Where the trained weights go, as safetensors
    #[arg(long)]
    save: Option<PathBuf>,
    /// Characters to write at the end
    #[arg(long, default_value_t = 300)]
    write: usize,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() {
    if let Err(e) = run(&Options::parse()) {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let device = match &options.device {
        Some(name) => Device::open_blocking(name)?,
        None => Device::best_blocking()?,
    };
    let text = std::fs::read_to_string(&options.text)
        .map_err(|e| format!("{}: {e}", options.text.display()))?;
    let text = Text::new(&text, &device);
    let sizes = Sizes {
        vocabulary: text.alphabet.len(),
        context: 64,
        width: 128,
        heads: 4,
        layers: 4,
    };
    let mut model = Gpt::new(sizes, &mut Generator::new(options.seed), &device);
    if let Some(path) = &options.weights {
        Weights::read(path)?.load_into(&mut model, &LoadOptions::new())?;
    }
    println!("device  {device}");
    println!("model   {} parameters", model.num_parameters());
    let mut trainer = Trainer::new(
        model,
        sizes,
        text,
        options.batch,
        options.steps,
        options.seed,
    )?;
    let mut began = Instant::now();
    for i in 0..options.steps {
        let loss = trainer.step()?;
        if i % 250 == 0 || i + 1 == options.steps {
            println!("step {i}: loss {:.4}", loss.item::<f32>()?);
        }
        if i == 3 {
            loss.item::<f32>()?;
            began = Instant::now();
        }
    }
    let each = began.elapsed().as_secs_f64() / options.steps.saturating_sub(4).max(1) as f64;
    println!("{:.2} ms a step", 1e3 * each);
    println!("validation loss {:.4}", trainer.validation()?);
    if let Some(path) = &options.save {
        Weights::of(&trainer.state.model)?.save_safetensors(path)?;
    }
    println!("{}", written(&trainer, options)?);
    Ok(())
}

/// A text of the model's own.
fn written(trainer: &Trainer, options: &Options) -> Result<String> {
    let rules = GenerateOptions::new(options.write)
        .sample(true)
        .temperature(0.8)
        .use_cache(false);
    let rng = &mut Generator::new(options.seed);
    let rows = generate(&trainer.state.model, &[vec![0]], &rules, rng)?;
    let alphabet = trainer.alphabet();
    let known = |&t: &i32| alphabet.get(t as usize);
    Ok(rows[0].iter().filter_map(known).collect())
}
