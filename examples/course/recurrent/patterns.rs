//! Three design patterns. An output at each step, and recurrence between hidden units: `h⁽ᵗ⁾ = tanh(U x⁽ᵗ⁾ + W h⁽ᵗ⁻¹⁾ +
//! b)`, `o⁽ᵗ⁾ = V h⁽ᵗ⁾ + c`. An output at each step, and recurrence from it alone: `W y⁽ᵗ⁻¹⁾`; all steps can be trained
//! at once, but only what the output says is remembered. One output at the end, for the whole sequence. Source:
//! Goodfellow, Bengio, Courville, Deep Learning, 10.2, figures 10.3 to 10.5.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const HIDDEN: usize = 16;
const TIME: usize = 9;

#[derive(Clone, Copy, PartialEq)]
enum Pattern {
    HiddenToHidden,
    OutputToHidden,
    OneAtTheEnd,
}

#[derive(Module)]
struct Net {
    u: Linear,
    w: Linear,
    v: Linear,
}

impl Net {
    fn new(pattern: Pattern, rng: &mut Generator, device: &Device) -> Net {
        let back = if pattern == Pattern::OutputToHidden {
            1
        } else {
            HIDDEN
        };
        Net {
            u: Linear::new(1, HIDDEN, rng, device),
            w: Linear::new(back, HIDDEN, rng, device),
            v: Linear::new(HIDDEN, 1, rng, device),
        }
    }

    /// Logits `[batch, time]`; where outputs go back, it is the right ones that do (teacher forcing).
    fn forward(&self, pattern: Pattern, x: &Tensor, y: &Tensor) -> Tensor {
        let zeros = |n: usize| Tensor::zeros(&[x.size(0), n], DType::F32, x.device());
        let (mut h, mut out) = (zeros(HIDDEN), Vec::new());
        for t in 0..TIME {
            let last = match (pattern, t) {
                (Pattern::OutputToHidden, 0) => zeros(1),
                (Pattern::OutputToHidden, _) => y.narrow(1, t - 1, 1),
                _ => h,
            };
            h = (self.u.forward(&x.narrow(1, t, 1)) + self.w.forward(&last)).tanh();
            out.push(self.v.forward(&h));
        }
        Tensor::cat(&out.iter().collect::<Vec<_>>(), 1)
    }
}

/// Bits, and what to say: the bit of two steps ago; at the end, whether there were more ones than zeros.
fn task(pattern: Pattern, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let x = rng.bernoulli(0.5, &[128, TIME], device).cast(DType::F32);
    let y = match pattern {
        Pattern::OneAtTheEnd => x.mean_dims(&[1], true).gt_scalar(0.5).cast(DType::F32),
        _ => x
            .narrow(1, 0, TIME - 2)
            .pad(&[2, 0], wgrad::PadMode::Constant(0.0)),
    };
    (x, y)
}

/// The steps that count.
fn judged(pattern: Pattern, logits: &Tensor) -> Tensor {
    match pattern {
        Pattern::OneAtTheEnd => logits.narrow(1, TIME - 1, 1),
        _ => logits.clone(),
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let names = [
        "hidden to hidden",
        "output to hidden",
        "one output at the end",
    ];
    let patterns = [
        Pattern::HiddenToHidden,
        Pattern::OutputToHidden,
        Pattern::OneAtTheEnd,
    ];
    let mut shares = Vec::new();
    for (name, pattern) in names.into_iter().zip(patterns) {
        let mut rng = Generator::new(lesson.seed);
        let net = Net::new(pattern, &mut rng, device);
        let mut state = (net, Adam::new(0.01), Context::train(lesson.seed));
        let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), _: &[Tensor]| {
            let (x, y) = task(pattern, &mut cx.rng, net.u.weight.device());
            let logits = judged(pattern, &net.forward(pattern, &x, &y));
            let loss = logits.binary_cross_entropy_with_logits(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        });
        for _ in 0..lesson.pick(600, 300) {
            step.call(&mut state, &[])?;
        }
        let (x, y) = task(pattern, &mut rng, device);
        let said = judged(pattern, &state.0.forward(pattern, &x, &y)).gt_scalar(0.0);
        let right = said.cast(DType::F32).eq(&y).cast(DType::F32);
        // The first two steps of the delayed bits are always 0: they say nothing.
        let skip = if pattern == Pattern::OneAtTheEnd {
            0
        } else {
            2
        };
        let right = right
            .narrow(1, skip, right.size(1) - skip)
            .mean()
            .item::<f32>()?;
        shares.push(f64::from(right));
        match pattern {
            Pattern::OutputToHidden => lesson.at_most(
                &format!("{name}: a bit that no output tells"),
                right.into(),
                0.65,
            )?,
            _ => lesson.at_least(name, right.into(), lesson.pick(0.97, 0.9))?,
        }
    }
    let figure = Figure::new("Three design patterns")
        .y("right answers")
        .percent_y()
        .bar("right", &names, &shares);
    lesson.figure(
        "right",
        "What goes back decides what is remembered",
        &figure,
    )
}
