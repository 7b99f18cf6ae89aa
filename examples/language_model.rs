//! A small GPT-2 that learns a text byte by byte: warm-up and cosine, clipping, weight decay for matrices alone, an average.
//!
//!     cargo run --release --example language_model -- --resume

use wgrad::data::from_fn;
use wgrad::nn::models::{Gpt2, Gpt2Config};
use wgrad::nn::schedule::{CosineAnnealing, WarmUp};
use wgrad::nn::{AdamW, Average, Context, GenerateOptions, generate, gradients};
use wgrad::train::{Every, RunFolder, TrainError, Trainer, gradient_norms};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const WINDOW: usize = 64;
const STEPS: usize = 200;
const EPOCHS: u64 = 3;

#[derive(Module)]
struct State {
    gpt: Gpt2,
    adamw: AdamW,
    average: Average<Gpt2>,
    context: Context,
}

/// Tokens `[batch, WINDOW + 1]` to the mean loss of each next one.
fn loss(gpt: &Gpt2, tokens: &Tensor, cx: &mut Context) -> Tensor {
    let logits = gpt.forward(&tokens.narrow(1, 0, WINDOW), cx);
    let next = tokens.narrow(1, 1, WINDOW).reshape(&[-1]);
    logits
        .reshape(&[-1, 256])
        .cross_entropy(&next, Reduction::Mean)
}

fn step(s: &mut State, tokens: Tensor) -> wgrad::Result<(Tensor, Vec<(String, Tensor)>)> {
    let loss = loss(&s.gpt, &tokens, &mut s.context);
    let gradients = gradients(&loss, &s.gpt)?.clip_norm(1.0);
    s.adamw.step(&mut s.gpt, &gradients)?;
    s.average.update(&s.gpt)?;
    s.context.next_step();
    Ok((loss, gradient_norms(&gradients)))
}

/// Windows at random places of a text on the device.
fn windows(text: &Tensor, epoch: u64, batch: u64) -> Tensor {
    let mut rng = Generator::from_state([4, epoch, batch]);
    let room = (text.numel() - WINDOW - 1) as f64;
    let begin = (rng.uniform(&[16, 1], text.device()) * room).cast(DType::I32);
    let places = begin + Tensor::arange(WINDOW + 1, text.device());
    let bytes = text.index_select(0, &places.reshape(&[-1]));
    bytes.reshape(&[16, WINDOW as isize + 1])
}

fn main() -> Result<(), TrainError> {
    let device = Device::best_blocking()?;
    let tokens: Vec<i32> = include_bytes!("../README.md").map(i32::from).to_vec();
    let text = Tensor::new(&tokens, &device);
    let config = Gpt2Config {
        vocab_size: 256,
        n_positions: WINDOW,
        n_embd: 64,
        n_layer: 2,
        n_head: 4,
        ..Gpt2Config::default()
    };
    let gpt = Gpt2::new(&config, &mut Generator::new(1), &device);
    let plain = |_: &str, t: &Tensor| t.rank() < 2;
    let state = State {
        adamw: AdamW::new(3e-3).group("plain", plain, |g| g.weight_decay(0.0)),
        average: Average::ema(gpt.clone(), 0.99),
        gpt,
        context: Context::train(2),
    };
    let (train, held_out) = (text.clone(), text.clone());
    let cosine = CosineAnnealing::new(3e-3, EPOCHS * STEPS as u64)?;
    let mut trainer = Trainer::new(state, step)
        .rate(|s| &mut s.adamw, WarmUp::new(50, cosine))
        .evaluation(|s, x: Tensor| Ok(loss(&s.average.module, &x, &mut Context::eval())))
        .validate(from_fn(10, move |_, b| Ok(windows(&held_out, 1 << 40, b))))
        .checkpoint("out/language_model/checkpoints", Every::Steps(100), 2)
        .best("validation_loss", false)
        .resume(std::env::args().any(|a| a == "--resume"))
        .log(RunFolder::new("out/language_model").seed(1));
    trainer.fit(
        from_fn(STEPS, move |e, b| Ok(windows(&train, e, b))),
        EPOCHS,
    )?;
    let options = GenerateOptions::new(200).sample(true).temperature(0.8);
    let (prompt, rng) = (vec![tokens[..16].to_vec()], &mut Generator::new(5));
    let said = generate(&trainer.state.average.module, &prompt, &options, rng)?;
    let bytes: Vec<u8> = said[0].iter().map(|&t| t as u8).collect();
    println!("{}", String::from_utf8_lossy(&bytes));
    Ok(())
}
