//! Trains a small GPT over the characters of a text, and writes some of its own:
//!
//!     cargo run --release --example gpt -- --text shakespeare.txt --steps 2000
//!
//! Parameter groups, warm-up and cosine, and clipping are those of the programs that people copy from.

mod model;
mod training;

use model::{Gpt, Sizes};
use pico_args::Arguments;
use std::path::PathBuf;
use std::time::Instant;
use training::{Text, Trainer};
use wgrad::nn::{GenerateOptions, generate};
use wgrad::train::weights::{LoadOptions, Weights};
use wgrad::{Device, Generator, Module};

const HELP: &str = "\
--text FILE     the text to learn
--steps N       training steps [2000]
--batch N       rows in a step [12]
--seed N        of the initial weights, of the rows and of what is written [1]
--device NAME   cpu, gpu, gpu:<part of the adapter's name> or reference [the best there is]
--weights FILE  weights to begin with, safetensors or PyTorch's, under the names of this model
--save FILE     where the trained weights go, as safetensors
--write N       characters to write at the end [300]";

struct Options {
    text: PathBuf,
    steps: u64,
    batch: usize,
    seed: u64,
    device: Option<String>,
    weights: Option<PathBuf>,
    save: Option<PathBuf>,
    write: usize,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn options(mut args: Arguments) -> Result<Options> {
    let options = Options {
        text: args.value_from_str("--text")?,
        steps: args.opt_value_from_str("--steps")?.unwrap_or(2000),
        batch: args.opt_value_from_str("--batch")?.unwrap_or(12),
        seed: args.opt_value_from_str("--seed")?.unwrap_or(1),
        device: args.opt_value_from_str("--device")?,
        weights: args.opt_value_from_str("--weights")?,
        save: args.opt_value_from_str("--save")?,
        write: args.opt_value_from_str("--write")?.unwrap_or(300),
    };
    match args.finish().first() {
        Some(odd) => Err(format!("{odd:?} is no option; --help lists them").into()),
        None => Ok(options),
    }
}

fn main() -> Result<()> {
    let mut args = Arguments::from_env();
    if args.contains("--help") {
        println!("{HELP}");
        return Ok(());
    }
    run(&options(args)?)
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
