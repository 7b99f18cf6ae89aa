//! Learning from images without labels: virtual adversarial training asks that a network say the same in the direction in which
//! its answer changes most, `KL(p(y|x) ‖ p(y|x + r))`, and that needs no label. 100 labelled digits and thousands without.
//! Source: Miyato, Maeda, Koyama, Ishii, Virtual Adversarial Training, 2018; Goodfellow, Bengio, Courville, Deep Learning,
//! 7.6 and 7.13. The rate falls, for at a constant one
//! the network is smoothed too much in the end.

use crate::lesson::{Lesson, Result};
use wgrad::nn::loss::{VirtualAdversarial, virtual_adversarial};
use wgrad::nn::{Adam, Context, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

#[derive(Module)]
struct Net {
    hidden: Linear,
    hidden2: Linear,
    out: Linear,
}

impl Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = self.hidden.forward(&x.flatten(1, -1)).relu();
        self.out.forward(&self.hidden2.forward(&h).relu())
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, tests, steps) = lesson.pick((20_000, 5000, 1500), (3000, 1000, 250));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    // Ten labelled images of each digit.
    let labels = train
        .gather(&Tensor::arange(images, device))
        .1
        .to_vec::<i32>()?;
    let mut labelled = Vec::new();
    for digit in 0..10 {
        let places = (0..images as i32).filter(|at| labels[*at as usize] == digit);
        labelled.extend(places.skip(10 * lesson.seed as usize).take(10));
    }
    let labelled = Tensor::new(&labelled, device);
    let options = VirtualAdversarial {
        epsilon: 1.0,
        ..VirtualAdversarial::default()
    };

    let mut shares = Vec::new();
    let mut figure = Figure::new("100 labels")
        .x("step")
        .y("test images right")
        .percent_y();
    for (name, unlabelled) in [
        ("labels alone", false),
        ("and virtual adversarial training", true),
    ] {
        let rng = &mut Generator::new(lesson.seed);
        let net = Net {
            hidden: Linear::new(784, 256, rng, device),
            hidden2: Linear::new(256, 128, rng, device),
            out: Linear::new(128, 10, rng, device),
        };
        let mut state = (net, Adam::new(1e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Net, Adam, Context), index: &[Tensor]| {
                let (x, y) = train.gather(&labelled);
                let mut loss = net.forward(&x).cross_entropy(&y, Reduction::Mean);
                if unlabelled {
                    let (x, _) = train.gather(&index[0]);
                    let smooth =
                        virtual_adversarial(|x| net.forward(x), &x, &options, &mut cx.rng)?;
                    loss = loss + smooth;
                }
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                cx.next_step();
                Ok(loss)
            },
        );
        let (mut at, mut right) = (Vec::new(), Vec::new());
        for count in 1..=steps {
            state
                .1
                .set_lr(1e-3 - 1e-3 * count as f64 / (steps + 1) as f64);
            step.call(
                &mut state,
                &[&rng.integers(0, images as i32, &[200], device)],
            )?;
            if count % (steps / 10) == 0 {
                let said = state.0.forward(&x_test).argmax(1, false).eq(&y_test);
                at.push(count);
                right.push(said.cast(DType::F32).mean().item::<f32>()?);
            }
        }
        shares.push(f64::from(right[right.len() - 1]));
        figure = figure.dotted_line(name, &at, &right);
    }
    let least = lesson.pick(0.6, 0.5);
    lesson.at_least("labels alone: test images right", shares[0], least)?;
    lesson.at_least(
        "with unlabelled images, beyond that",
        shares[1] - shares[0],
        lesson.pick(0.03, 0.0),
    )?;
    lesson.figure("right", "What images without labels give", &figure)
}
