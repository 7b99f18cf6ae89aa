//! Regularisers side by side on 500 digits, with and without: weight decay, dropout, noise on inputs, on weights and on
//! targets (label smoothing), and images moved at random (augmentation), each a line of the same step. Source: Goodfellow,
//! Bengio, Courville, Deep Learning, 7.1, 7.4, 7.5 and 7.12.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::loss::{Smoothing, l2, smooth_labels};
use wgrad::nn::{Adam, Context, Dropout, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, PadMode, Reduction, Tensor};

#[derive(Module)]
struct Net {
    hidden: Linear,
    #[module(constant)]
    dropout: Dropout,
    out: Linear,
}

#[derive(Clone, Copy, PartialEq)]
enum With {
    Nothing,
    WeightDecay,
    Dropout,
    InputNoise,
    WeightNoise,
    LabelSmoothing,
    Augmentation,
}

impl Net {
    fn new(dropout: f64, rng: &mut Generator, device: &Device) -> Net {
        Net {
            hidden: Linear::new(784, 256, rng, device),
            dropout: Dropout::new(dropout),
            out: Linear::new(256, 10, rng, device),
        }
    }

    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let h = self.hidden.forward(&x.flatten(1, -1)).relu();
        self.out.forward(&self.dropout.forward(&h, cx))
    }
}

/// Each image moved by up to two pixels in both directions.
fn moved(x: &Tensor, rng: &mut Generator) -> Tensor {
    let device = x.device();
    let line = Tensor::arange(28, device);
    let window = (line.reshape(&[28, 1]) * 32 + &line).reshape(&[1, 784]);
    let each = [x.size(0), 1];
    let corner = rng.integers(0, 5, &each, device) * 32 + rng.integers(0, 5, &each, device);
    let wide = x.pad(&[2, 2, 2, 2], PadMode::Constant(0.0)).flatten(1, -1);
    wide.gather(1, &(&window + corner))
}

/// The share of test images right.
fn learn(with: With, train: &DeviceDataset, test: (&Tensor, &Tensor), steps: usize, seed: u64) -> wgrad::Result<f64> {
    let device = &test.0.device().clone();
    let rng = &mut Generator::new(seed);
    let net = Net::new(if with == With::Dropout { 0.5 } else { 0.0 }, rng, device);
    let mut state = (net, Adam::new(1e-3), Context::train(seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), index: &[Tensor]| {
        let (mut x, y) = train.gather(&index[0]);
        match with {
            With::Augmentation => x = moved(&x, &mut cx.rng),
            With::InputNoise => x = &x + cx.rng.normal(x.shape(), device) * 0.3,
            _ => {}
        }
        let logits = match with {
            // Through the noisy weights the gradient goes to the true ones.
            With::WeightNoise => {
                let w = &net.hidden.weight;
                let noisy = w + cx.rng.normal(w.shape(), device) * 0.05;
                let h = x.flatten(1, -1).linear(&noisy, net.hidden.bias.as_ref()).relu();
                net.out.forward(&h)
            }
            _ => net.forward(&x, cx),
        };
        let mut loss = match with {
            With::LabelSmoothing => logits.cross_entropy(&smooth_labels(&y, 10, 0.2, Smoothing::All), Reduction::Mean),
            _ => logits.cross_entropy(&y, Reduction::Mean),
        };
        if let (With::WeightDecay, Some(penalty)) = (with, l2(net, 1e-3)) {
            loss = loss + penalty;
        }
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    for _ in 0..steps {
        step.call(&mut state, &[&rng.integers(0, train.len() as i32, &[100], device)])?;
    }
    let said = state.0.forward(test.0, &mut Context::eval()).argmax(1, false);
    Ok(said.eq(test.1).cast(DType::F32).mean().item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, tests, steps) = lesson.pick((500, 10_000, 1500), (300, 2000, 400));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x, y) = test.gather(&Tensor::arange(tests, device));
    let ways = [
        ("nothing", With::Nothing),
        ("weight decay", With::WeightDecay),
        ("dropout", With::Dropout),
        ("noise on inputs", With::InputNoise),
        ("noise on weights", With::WeightNoise),
        ("label smoothing", With::LabelSmoothing),
        ("augmentation", With::Augmentation),
    ];
    let (mut names, mut shares) = (Vec::new(), Vec::new());
    for (name, with) in ways {
        names.push(name);
        shares.push(learn(with, &train, (&x, &y), steps, lesson.seed)?);
        lesson.say(format!("{name}: {:.4} of the test images right", shares[shares.len() - 1]));
    }
    lesson.at_least("nothing: test images right", shares[0], lesson.pick(0.8, 0.7))?;
    for at in [1, 2, 3, 4, 5] {
        lesson.at_least(&format!("{} beyond nothing", names[at]), shares[at] - shares[0], -0.01)?;
    }
    lesson.at_least("augmentation beyond nothing", shares[6] - shares[0], lesson.pick(0.04, 0.02))?;
    let figure = Figure::new("One network, 500 digits")
        .y("test images right")
        .percent_y()
        .size(900, 400)
        .y_range(0.75, 1.0)
        .bar("", &names, &shares);
    lesson.figure("bars", "With and without", &figure)
}
