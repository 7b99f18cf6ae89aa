//! A tagger of sequences of several lengths: a bidirectional GRU says of each token whether it stood in the sequence before.
//! Padding counts neither in the loss nor in the accuracy.
//!
//!     cargo run --release --example tagger -- --resume

use wgrad::data::from_fn;
use wgrad::nn::schedule::{LinearToTau, WarmUp};
use wgrad::nn::{
    Adam, Average, Context, Embedding, Gru, Lengths, Linear, RecurrentOptions, gradients,
};
use wgrad::train::{EarlyStopping, Every, RunFolder, TrainError, Trainer};
use wgrad::{CrossEntropyOptions, DType, Device, Generator, Module, Optimizer, Tensor};

const TIME: usize = 12;
const TOKENS: usize = 20;

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
    context: Context,
}

/// Tokens `[batch, time]`, tags `[batch, time]`, −100 where there is padding, and lengths `[batch]`.
type Batch = (Tensor, Tensor, Tensor);

impl Tagger {
    fn forward(&self, tokens: &Tensor, lengths: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.embed.forward(tokens);
        let (h, _) = self
            .gru
            .forward_lengths(&x, Lengths::from(lengths), None, cx);
        self.out.forward(&h)
    }

    /// Mean loss and share of right tags, over tokens that are no padding.
    fn scores(
        &self,
        (tokens, tags, lengths): &Batch,
        cx: &mut Context,
    ) -> [(&'static str, Tensor); 2] {
        let logits = self.forward(tokens, lengths, cx).reshape(&[-1, 2]);
        let tags = tags.reshape(&[-1]);
        let loss = logits.cross_entropy(&tags, CrossEntropyOptions::default());
        let real = tags.ge_scalar(0.0).cast(DType::F32);
        let right = logits.argmax(1, false).eq(&tags).cast(DType::F32);
        [
            ("loss", loss),
            ("accuracy", (right * &real).sum() / real.sum()),
        ]
    }
}

fn step(s: &mut State, batch: Batch) -> wgrad::Result<[(&'static str, Tensor); 2]> {
    let scores = s.tagger.scores(&batch, &mut s.context);
    let gradients = gradients(&scores[0].1, &s.tagger)?
        .clip_norm(1.0)
        .also(&scores[1].1);
    s.adam.step(&mut s.tagger, &gradients)?;
    s.average.update(&s.tagger)?;
    s.context.next_step();
    Ok(scores)
}

/// Sequences of 3 to 12 tokens; a tag is 1 if its token stood before.
fn sequences(epoch: u64, batch: u64, device: &Device) -> Batch {
    let mut rng = Generator::from_state([6, epoch, batch]);
    let tokens = (rng.uniform(&[64, TIME], device) * TOKENS as f64).cast(DType::I32);
    let lengths = (rng.uniform(&[64], device) * (TIME - 2) as f64).cast(DType::I32) + 3;
    let same = tokens
        .unsqueeze(2)
        .eq(&tokens.unsqueeze(1))
        .cast(DType::F32);
    let tags = (same.tril(-1).sum_dims(&[2], false))
        .gt_scalar(0.5)
        .cast(DType::I32);
    let real = Tensor::arange(TIME, device).lt(&lengths.unsqueeze(1));
    (
        tokens,
        Tensor::where_(&real, &tags, &tags.full_like(-100.0)),
        lengths,
    )
}

fn main() -> Result<(), TrainError> {
    let device = Device::best_blocking()?;
    let rng = &mut Generator::new(1);
    let options = RecurrentOptions::default()
        .batch_first(true)
        .bidirectional(true);
    let tagger = Tagger {
        embed: Embedding::new(TOKENS, 32, rng, &device),
        gru: Gru::new(32, 64, &options, rng, &device),
        out: Linear::new(128, 2, rng, &device),
    };
    let state = State {
        average: Average::swa(tagger.clone()),
        tagger,
        adam: Adam::new(3e-3),
        context: Context::train(2),
    };
    let (train, test) = (device.clone(), device.clone());
    let mut trainer = Trainer::new(state, step)
        .rate(
            |s| &mut s.adam,
            WarmUp::new(20, LinearToTau::new(3e-3, 900, 3e-4)?),
        )
        .evaluation(|s, batch| Ok(s.tagger.scores(&batch, &mut Context::eval())))
        .validate(from_fn(8, move |_, batch| {
            Ok(sequences(1 << 40, batch, &test))
        }))
        .callback(
            EarlyStopping::new("validation_accuracy")
                .rises()
                .patience(3),
        )
        .checkpoint("out/tagger/checkpoints", Every::Epochs(1), 0)
        .resume(std::env::args().any(|a| a == "--resume"))
        .log(RunFolder::new("out/tagger").seed(1));
    let fitted = trainer.fit(from_fn(100, move |e, b| Ok(sequences(e, b, &train))), 12)?;
    println!(
        "right tags: {:.2} %",
        100.0 * fitted.get("validation_accuracy").unwrap_or(f64::NAN)
    );
    Ok(())
}
