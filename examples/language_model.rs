//! A small GPT-2 that learns a text byte by byte: warm-up and cosine, clipping, weight decay for matrices alone, an average.
//!
//!     cargo run --release --example language_model -- --text FILE --resume

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
    let norm = gradient_norms(&gradients).swap_remove(0);
    s.adamw.step(&mut s.gpt, &gradients)?;
    s.average.update(&s.gpt)?;
    s.context.next_step();
    Ok((loss, vec![norm]))
}

/// Windows at random places of a text on the device.
fn windows(text: &Tensor, epoch: u64, batch: u64) -> Tensor {
    let mut rng = Generator::from_state([4, epoch, batch]);
    let room = (text.numel() - WINDOW - 1) as f64;
    let begin = (rng.uniform(&[16, 1], text.device()) * room).cast(DType::I32);
    let places = begin + Tensor::arange(WINDOW + 1, text.device());
    text.index_select(0, &places.reshape(&[-1]))
        .reshape(&[16, WINDOW as isize + 1])
}

fn main() -> Result<(), TrainError> {
    let arguments: Vec<String> = std::env::args().collect();
    let device = Device::best_blocking()?;
    let file = arguments.iter().skip_while(|a| *a != "--text").nth(1);
    let text = match file {
        Some(path) => std::fs::read(path)?,
        None => include_bytes!("../README.md").to_vec(),
    };
    let tokens: Vec<i32> = text.iter().map(|&b| i32::from(b)).collect();
    let tokens = Tensor::new(&tokens, &device);
    tokens.check()?;
    let config = Gpt2Config {
        vocab_size: 256,
        n_positions: WINDOW,
        n_embd: 64,
        n_layer: 2,
        n_head: 4,
        ..Gpt2Config::default()
    };
    let gpt = Gpt2::new(&config, &mut Generator::new(1), &device);
    let state = State {
        adamw: AdamW::new(3e-3).weight_decay(0.1).group(
            "plain",
            |_, t| t.rank() < 2,
            |g| g.weight_decay(0.0),
        ),
        average: Average::ema(gpt.clone(), 0.99),
        gpt,
        context: Context::train(2),
    };
    let total = EPOCHS * STEPS as u64;
    let (train, held_out) = (tokens.clone(), tokens.clone());
    let mut trainer = Trainer::new(state, step)
        .rate(
            |s| &mut s.adamw,
            WarmUp::new(50, CosineAnnealing::new(3e-3, total)?),
        )
        .evaluation(|s, tokens: Tensor| Ok(loss(&s.average.module, &tokens, &mut Context::eval())))
        .validate(from_fn(10, move |_, batch| {
            Ok(windows(&held_out, 1 << 40, batch))
        }))
        .checkpoint("out/language_model/checkpoints", Every::Steps(100), 2)
        .best("validation_loss", false)
        .resume(arguments.iter().any(|a| a == "--resume"))
        .log(
            RunFolder::new("out/language_model")
                .seed(1)
                .setting("n_embd", config.n_embd)
                .setting("n_layer", config.n_layer),
        );
    trainer.fit(
        from_fn(STEPS, move |epoch, batch| Ok(windows(&train, epoch, batch))),
        EPOCHS,
    )?;
    let options = GenerateOptions::new(200).sample(true).temperature(0.8);
    let begin = tokens.narrow(0, 0, 16).to_vec::<i32>()?;
    let said = generate(
        &trainer.state.average.module,
        &[begin],
        &options,
        &mut Generator::new(5),
    )?;
    let bytes: Vec<u8> = said.concat().into_iter().map(|t| t as u8).collect();
    println!("{}", String::from_utf8_lossy(&bytes));
    Ok(())
}
