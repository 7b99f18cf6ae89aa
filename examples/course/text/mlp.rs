//! Names by a network: the last three letters, each with a vector of its own that is learned along, through a hidden
//! layer to the next letter's scores. Source: Bengio, Ducharme, Vincent, Jauvin, A Neural Probabilistic Language Model,
//! 2003; Karpathy, makemore 2: 2.2 nats.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Embedding, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

const SEEN: usize = 3;

#[derive(Module)]
struct Net {
    letters: Embedding,
    hidden: Linear,
    out: Linear,
}

impl Net {
    /// Scores `[batch, 27]` after the letters `[batch, 3]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.letters.forward(x).flatten(1, 2);
        self.out.forward(&self.hidden.forward(&x).tanh())
    }
}

/// Three letters each `[letters, 3]` and the next one `[letters]`, of every tenth name or of all others.
fn windows(text: &str, tenth: bool, device: &Device) -> (Tensor, Tensor) {
    let (mut seen, mut next) = (Vec::new(), Vec::new());
    for (_, name) in text
        .lines()
        .enumerate()
        .filter(|(at, _)| (at % 10 == 0) == tenth)
    {
        let mut window = [0i32; SEEN];
        for letter in name.bytes().map(|b| i32::from(b - b'a') + 1).chain([0]) {
            seen.extend(window);
            next.push(letter);
            window = [window[1], window[2], letter];
        }
    }
    let seen = Tensor::from_slice(&seen, &[next.len(), SEEN], device);
    (seen, Tensor::new(&next, device))
}

/// A name, letter by letter.
fn draw(net: &Net, rng: &mut Generator) -> Result<String> {
    let (mut name, mut window) = (String::new(), [0i32; SEEN]);
    for _ in 0..20 {
        let seen = Tensor::from_slice(&window, &[1, SEEN], net.out.weight.device());
        let letter = rng
            .categorical(&net.forward(&seen).get(0), &[])
            .item::<i32>()?;
        if letter == 0 {
            break;
        }
        name.push(char::from(b'a' + letter as u8 - 1));
        window = [window[1], window[2], letter];
    }
    Ok(name)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/names.txt") else {
        lesson.say("This lesson needs the file: karpathy/makemore, names.txt.");
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let ((x, y), (unseen, truth)) = (windows(&text, false, device), windows(&text, true, device));
    let mut rng = Generator::new(lesson.seed);
    let wide = lesson.pick(200, 100);
    let net = Net {
        letters: Embedding::new(27, 10, &mut rng, device),
        hidden: Linear::new(SEEN * 10, wide, &mut rng, device),
        out: Linear::new(wide, 27, &mut rng, device),
    };
    lesson.say(format!(
        "{} letters to say, {} parameters",
        y.numel(),
        net.num_parameters()
    ));
    let mut state = (net, Adam::new(0.005));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
        let loss = net.forward(&x).cross_entropy(&y, Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(12_000, 1_000);
    let (mut at, mut tests) = (Vec::new(), Vec::new());
    for t in 0..=steps {
        if t % (steps / 10) == 0 {
            at.push(t);
            let loss = state
                .0
                .forward(&unseen)
                .cross_entropy(&truth, Reduction::Mean);
            tests.push(loss.item::<f32>()?);
        }
        state
            .1
            .set_lr(0.005 * (1.0 - t as f64 / (steps + 1) as f64));
        let some = rng.integers(0, y.numel() as i32, &[256], device);
        step.call(&mut state, &[&x, &y, &some])?;
    }
    lesson.at_most(
        "names not seen, nats of a letter",
        tests[10].into(),
        lesson.pick(2.2, 2.42),
    )?;
    let names = (0..8)
        .map(|_| draw(&state.0, &mut rng))
        .collect::<Result<Vec<_>>>()?;
    lesson.say(format!("drawn: {}", names.join(", ")));
    let figure = Figure::new("Names by three letters and a hidden layer")
        .x("step")
        .y("nats of a letter");
    let figure = figure
        .dotted_line("test", &at, &tests)
        .horizontal("pairs", 2.454)
        .y_range(2.1, 3.4);
    lesson.figure("loss", "Below pairs of letters", &figure)
}
