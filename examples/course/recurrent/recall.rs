//! Recalling a token after 200 steps: the first of a row of tokens is asked for at its end. The plain network's gradient has
//! vanished by then; it keeps a part of the token at most. Gated ones can keep a cell as it is, if their gates begin so that
//! they keep: a bias of log(T) in the forget gate, and −log(T) in the input gate, makes a memory of about T steps. Source:
//! Hochreiter and Schmidhuber 1997; Tallec and Ollivier, Can Recurrent Neural Networks Warp Time?, 2018.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Gru, Linear, Lstm, RecurrentOptions, Rnn, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const TOKENS: usize = 8;
const HIDDEN: usize = 32;

#[derive(Module)]
enum Layer {
    Rnn(Rnn),
    Lstm(Lstm),
    Gru(Gru),
}

#[derive(Module)]
struct Net {
    layer: Layer,
    out: Linear,
}

impl Net {
    fn new(name: &str, time: usize, rng: &mut Generator, device: &Device) -> Net {
        let options = RecurrentOptions::default();
        let mut layer = match name {
            "LSTM" => Layer::Lstm(Lstm::new(TOKENS + 1, HIDDEN, &options, rng, device)),
            "GRU" => Layer::Gru(Gru::new(TOKENS + 1, HIDDEN, &options, rng, device)),
            _ => Layer::Rnn(Rnn::new(TOKENS + 1, HIDDEN, &options, rng, device)),
        };
        // Blocks of the biases are input and forget gate of the LSTM, reset and update gate of the GRU.
        let (keep, write) = match layer {
            Layer::Lstm(_) => ((time as f64).ln(), -(time as f64).ln()),
            Layer::Gru(_) => ((time as f64).ln(), 0.0),
            Layer::Rnn(_) => (0.0, 0.0),
        };
        layer.visit_mut("", &mut |name, _, bias| {
            if keep > 0.0 && name.ends_with("bias_ih_l0") {
                let block = |value| Tensor::full(&[HIDDEN], value, DType::F32, device);
                let set = Tensor::cat(&[&block(write), &block(keep)], 0);
                *bias = bias.set(0..2 * HIDDEN as isize, &set);
            }
        });
        Net {
            layer,
            out: Linear::new(HIDDEN, TOKENS, rng, device),
        }
    }

    /// Scores of the tokens after the last step of `x [time, batch, tokens + 1]`.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let states = match &self.layer {
            Layer::Rnn(rnn) => rnn.forward(x, None, cx).0,
            Layer::Lstm(lstm) => lstm.forward(x, None, cx).0,
            Layer::Gru(gru) => gru.forward(x, None, cx).0,
        };
        self.out.forward(&states.get(-1))
    }
}

/// A token, then noise, then a mark: `[time, batch, tokens + 1]` and the token `[batch]`.
fn task(time: usize, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let token = rng.integers(0, TOKENS as i32, &[32], device);
    let first = token.one_hot(TOKENS).cast(DType::F32).unsqueeze(0);
    let noise = rng.normal(&[time - 1, 32, TOKENS], device) * 0.1;
    let seen = Tensor::cat(&[&first, &noise], 0);
    let last = Tensor::arange(time, device)
        .eq_scalar((time - 1) as f64)
        .cast(DType::F32);
    let last = last.reshape(&[-1, 1, 1]).broadcast_to(&[time, 32, 1]);
    (Tensor::cat(&[&seen, &last], 2), token)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (time, steps) = lesson.pick((200, 900), (100, 400));
    let mut figure = Figure::new(format!("Recalling a token after {time} steps"))
        .x("step of training")
        .y("right answers")
        .percent_y();
    for name in ["plain", "LSTM", "GRU"] {
        let mut rng = Generator::new(lesson.seed);
        let net = Net::new(name, time, &mut rng, device);
        let mut state = (net, Adam::new(0.01), Context::train(lesson.seed));
        let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), _: &[Tensor]| {
            let device = net.out.weight.device().clone();
            let (x, y) = task(time, &mut cx.rng, &device);
            let logits = net.forward(&x, cx);
            let loss = logits.cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?.clip_norm(1.0);
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(logits.argmax(-1, false).eq(&y).cast(DType::F32).mean())
        });
        let mut right = Vec::new();
        for _ in 0..steps {
            right.push(step.call(&mut state, &[])?.item::<f32>()?);
        }
        let end = f64::from(right[steps - 20..].iter().sum::<f32>()) / 20.0;
        match name {
            "plain" => lesson.at_most("plain: right answers", end, 0.75)?,
            _ => lesson.at_least(
                &format!("{name}: right answers"),
                end,
                lesson.pick(0.97, 0.9),
            )?,
        }
        let at: Vec<usize> = (1..=steps).collect();
        figure = figure.smoothed(name, &at, &right, 0.9);
    }
    lesson.figure("right", "Gates remember", &figure)
}
