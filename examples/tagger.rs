//! A tagger of sequences of several lengths: a GRU says of each token whether it stood in the sequence before. Padding counts
//! neither in the loss nor in the accuracy.
//!
//!     cargo run --release --example tagger -- --resume

use wgrad::data::from_fn;
use wgrad::nn::schedule::{LinearToTau, WarmUp};
use wgrad::nn::{Adam, Average, Context, Embedding, Gru, Linear, RecurrentOptions, gradients};
use wgrad::train::{EarlyStopping, Every, RunFolder, TrainError, Trainer};
use wgrad::{CrossEntropyOptions, DType, Device, Generator, Module, Optimizer, Tensor};

const TIME: usize = 12;

#[derive(Clone, Module)]
struct Tagger {
    embed: Embedding,
    gru: Gru,
    out: Linear,
}

#[derive(Module)]
struct State {
    tagger: Tagger,
    adam: Adam,
    average: Average<Tagger>,
}

/// Tokens `[batch, time]`, tags `[batch, time]`, −100 where there is padding, and lengths `[batch]`.
type Batch = (Tensor, Tensor, Tensor);
type Scores = [(&'static str, Tensor); 2];

/// Mean loss and share of right tags, over tokens that are no padding.
fn scores(tagger: &Tagger, (tokens, tags, lengths): &Batch) -> Scores {
    let x = tagger.embed.forward(tokens);
    let cx = &mut Context::eval();
    let (h, _) = tagger.gru.forward_lengths(&x, lengths, None, cx);
    let logits = tagger.out.forward(&h).reshape(&[-1, 2]);
    let tags = tags.reshape(&[-1]);
    let loss = logits.cross_entropy(&tags, CrossEntropyOptions::default());
    let real = tags.ge_scalar(0.0).cast(DType::F32).sum();
    let right = logits.argmax(1, false).eq(&tags).cast(DType::F32).sum();
    [("loss", loss), ("accuracy", right / real)]
}

fn step(s: &mut State, batch: Batch) -> wgrad::Result<Scores> {
    let scores = scores(&s.tagger, &batch);
    let gradients = gradients(&scores[0].1, &s.tagger)?.clip_norm(1.0);
    s.adam.step(&mut s.tagger, &gradients)?;
    s.average.update(&s.tagger)?;
    Ok(scores)
}

/// Sequences of 3 to 12 tokens of 20 kinds; a tag is 1 if its token stood before.
fn sequences(epoch: u64, batch: u64, device: &Device) -> Batch {
    let mut rng = Generator::from_state([6, epoch, batch]);
    let tokens = (rng.uniform(&[64, TIME], device) * 20.0).cast(DType::I32);
    let lengths = (rng.uniform(&[64], device) * (TIME - 2) as f64).cast(DType::I32) + 3;
    let same = tokens
        .unsqueeze(2)
        .eq(&tokens.unsqueeze(1))
        .cast(DType::F32);
    let before = same.tril(-1).sum_dims(&[2], false);
    let tags = before.gt_scalar(0.5).cast(DType::I32);
    let real = Tensor::arange(TIME, device).lt(&lengths.unsqueeze(1));
    let tags = Tensor::where_(&real, &tags, &tags.full_like(-100.0));
    (tokens, tags, lengths)
}

fn main() -> Result<(), TrainError> {
    let (device, rng) = (Device::best_blocking()?, &mut Generator::new(1));
    let options = RecurrentOptions::default().batch_first(true);
    let tagger = Tagger {
        embed: Embedding::new(20, 32, rng, &device),
        gru: Gru::new(32, 64, &options, rng, &device),
        out: Linear::new(64, 2, rng, &device),
    };
    let state = State {
        average: Average::swa(tagger.clone()),
        tagger,
        adam: Adam::new(3e-3),
    };
    let (train, test) = (device.clone(), device);
    let rate = WarmUp::new(20, LinearToTau::new(3e-3, 900, 3e-4)?);
    let stopping = EarlyStopping::new("validation_loss").patience(3);
    let mut trainer = Trainer::new(state, step)
        .rate(|s| &mut s.adam, rate)
        .evaluation(|s, batch| Ok(scores(&s.tagger, &batch)))
        .validate(from_fn(8, move |_, b| Ok(sequences(1 << 40, b, &test))))
        .callback(stopping)
        .checkpoint("out/tagger/checkpoints", Every::Epochs(1), 0)
        .resume(std::env::args().any(|a| a == "--resume"))
        .log(RunFolder::new("out/tagger").seed(1));
    let batches = from_fn(100, move |e, b| Ok(sequences(e, b, &train)));
    let fitted = trainer.fit(batches, 12)?;
    let accuracy = fitted.get("validation_accuracy");
    println!("share of right tags: {accuracy:?}");
    Ok(())
}
