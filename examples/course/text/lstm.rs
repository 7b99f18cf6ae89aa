//! Names by an LSTM: it sees all letters so far, not the last three alone. A batch is padded to one length, and what is
//! padded does not count. Source: Karpathy, makemore, 2022; Graves, Generating Sequences with Recurrent Neural
//! Networks, 2013.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Embedding, Linear, Lstm, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{CrossEntropyOptions, Device, Generator, Module, Optimizer, Reduction, Tensor};

const LONGEST: usize = 16;

#[derive(Module)]
struct Net {
    letters: Embedding,
    lstm: Lstm,
    out: Linear,
}

impl Net {
    /// The mean of the nats of all letters after the first of names `[batch, 17]`; −1 is padding.
    fn loss(&self, names: &Tensor, cx: &mut Context) -> Tensor {
        let seen = names.narrow(1, 0, LONGEST).clamp_min(0.0);
        let (states, _) = self.lstm.forward(&self.letters.forward(&seen), None, cx);
        let options = CrossEntropyOptions::from(Reduction::Mean).ignore_index(-1);
        self.out
            .forward(&states)
            .flatten(0, 1)
            .cross_entropy(&names.narrow(1, 1, LONGEST).reshape(&[-1]), options)
    }
}

/// Every tenth name or all others, as rows of letters between zeros `[names, 17]`.
fn rows(text: &str, tenth: bool, device: &Device) -> Tensor {
    let mut all = Vec::new();
    for (_, name) in text
        .lines()
        .enumerate()
        .filter(|(at, _)| (at % 10 == 0) == tenth)
    {
        let letters = name.bytes().map(|b| i32::from(b - b'a') + 1);
        let row = [0]
            .into_iter()
            .chain(letters)
            .chain([0])
            .chain(std::iter::repeat(-1));
        all.extend(row.take(LONGEST + 1));
    }
    Tensor::from_slice(&all, &[all.len() / (LONGEST + 1), LONGEST + 1], device)
}

/// A name, letter by letter, with the memory carried along.
fn draw(net: &Net, rng: &mut Generator) -> Result<String> {
    let (mut name, mut letter, mut memory) = (String::new(), 0, None);
    for _ in 0..LONGEST {
        let seen = Tensor::from_slice(&[letter], &[1, 1], net.out.weight.device());
        let given = memory.as_ref().map(|(h, c): &(Tensor, Tensor)| (h, c));
        let (out, next) =
            net.lstm
                .forward(&net.letters.forward(&seen), given, &mut Context::eval());
        memory = Some(next);
        letter = rng
            .categorical(&net.out.forward(&out.get((0, 0))), &[])
            .item::<i32>()?;
        if letter == 0 {
            break;
        }
        name.push(char::from(b'a' + letter as u8 - 1));
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
    let (train, test) = (rows(&text, false, device), rows(&text, true, device));
    let mut rng = Generator::new(lesson.seed);
    let (wide, batch, steps) = lesson.pick((96, 96, 2000), (48, 64, 300));
    let options = RecurrentOptions::default().batch_first(true);
    let net = Net {
        letters: Embedding::new(27, 24, &mut rng, device),
        lstm: Lstm::new(24, wide, &options, &mut rng, device),
        out: Linear::new(wide, 27, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.004), Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let loss = net.loss(&b[0].index_select(0, &b[1]), cx);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let (mut at, mut tests) = (Vec::new(), Vec::new());
    for t in 0..=steps {
        if t % (steps / 10) == 0 {
            at.push(t);
            tests.push(state.0.loss(&test, &mut Context::eval()).item::<f32>()?);
        }
        state
            .1
            .set_lr(0.004 * (1.0 - t as f64 / (steps + 1) as f64));
        let some = rng.integers(0, train.size(0) as i32, &[batch], device);
        step.call(&mut state, &[&train, &some])?;
    }
    lesson.at_most(
        "names not seen, nats of a letter",
        tests[10].into(),
        lesson.pick(2.1, 2.5),
    )?;
    let names = (0..8)
        .map(|_| draw(&state.0, &mut rng))
        .collect::<Result<Vec<_>>>()?;
    lesson.say(format!("drawn: {}", names.join(", ")));
    let figure = Figure::new("Names by an LSTM")
        .x("step")
        .y("nats of a letter")
        .y_range(1.9, 3.4);
    let figure = figure
        .dotted_line("test", &at, &tests)
        .horizontal("three letters", 2.2);
    lesson.figure("loss", "All letters so far", &figure)
}
