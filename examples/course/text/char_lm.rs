//! A character language model: an LSTM reads Shakespeare and says the next character. Its loss in bits is what a
//! compressor built on it would need for each character. Batches follow one another in the text, and the state is
//! carried along: truncated back-propagation through time. Source: Graves 2013; Karpathy, The Unreasonable
//! Effectiveness of Recurrent Neural Networks, 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Embedding, Linear, Lstm, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

#[derive(Module)]
struct Net {
    letters: Embedding,
    lstm: Lstm,
    out: Linear,
}

impl Net {
    /// Scores `[batch, time, letters]` and the state after them.
    fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let (states, end) =
            self.lstm
                .forward(&self.letters.forward(x), state, &mut Context::eval());
        (self.out.forward(&states), end)
    }

    /// Nats of a character of rows `[batch, time + 1]`, and the state after them.
    fn loss(&self, rows: &Tensor, state: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let time = rows.size(1) - 1;
        let (scores, end) = self.forward(&rows.narrow(1, 0, time), state);
        let loss = scores
            .flatten(0, 1)
            .cross_entropy(&rows.narrow(1, 1, time).reshape(&[-1]), Reduction::Mean);
        (loss, end)
    }
}

/// Bits of a character on the first 400 columns of a text.
fn judge(net: &Net, test: &Tensor) -> wgrad::Result<f64> {
    let (loss, _) = net.loss(&test.narrow(1, 0, 400), None);
    Ok(f64::from(loss.item::<f32>()?) / std::f64::consts::LN_2)
}

/// Reads on in all columns side by side, `time` characters in each step; the test's bits ten times on the way.
fn train(
    net: Net,
    [train, test]: [&Tensor; 2],
    time: usize,
    lesson: &Lesson,
) -> Result<(Net, Vec<f64>)> {
    let (steps, most) = lesson.pick((1200, 0.004), (150, 0.01));
    let mut state = (net, Adam::new(most));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let (loss, (h, c)) = net.loss(&b[0], Some((&b[1], &b[2])));
        let gradients = gradients(&loss, net)?.clip_norm(1.0).also(&h).also(&c);
        adam.step(net, &gradients)?;
        Ok([loss, h, c])
    });
    let zero = Tensor::zeros(
        &[1, train.size(0), state.0.out.weight.size(1)],
        DType::F32,
        &lesson.device,
    );
    let (mut h, mut c, mut place) = (zero.clone(), zero.clone(), 0);
    let mut curve = vec![judge(&state.0, test)?];
    for t in 1..=steps {
        if place + time + 1 > train.size(1) {
            (h, c, place) = (zero.clone(), zero.clone(), 0);
        }
        state.1.set_lr(most * (1.0 - 0.9 * t as f64 / steps as f64));
        let [_, next_h, next_c] =
            step.call(&mut state, &[&train.narrow(1, place, time + 1), &h, &c])?;
        (h, c, place) = (next_h, next_c, place + time);
        if t % (steps / 10) == 0 {
            curve.push(judge(&state.0, test)?);
        }
    }
    Ok((state.0, curve))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/tinyshakespeare.txt") else {
        lesson
            .say("This lesson needs the file: karpathy/char-rnn, data/tinyshakespeare/input.txt.");
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let number = |c: char| letters.binary_search(&c).ok().map(|at| at as i32);
    let all: Vec<i32> = text.chars().filter_map(number).collect();
    let (batch, time, wide) = lesson.pick((32, 48, 160), (32, 32, 64));
    // The text in as many columns as the batch has rows.
    let columns = |part: &[i32]| {
        let long = part.len() / batch;
        Tensor::from_slice(&part[..batch * long], &[batch, long], device)
    };
    let (known, unknown) = all.split_at(all.len() * 9 / 10);
    let mut rng = Generator::new(lesson.seed);
    let options = RecurrentOptions::default().batch_first(true);
    let net = Net {
        letters: Embedding::new(letters.len(), 48, &mut rng, device),
        lstm: Lstm::new(48, wide, &options, &mut rng, device),
        out: Linear::new(wide, letters.len(), &mut rng, device),
    };
    let (net, curve) = train(net, [&columns(known), &columns(unknown)], time, lesson)?;
    lesson.close(
        "untrained, bits of a character",
        curve[0],
        (letters.len() as f64).log2(),
        0.2,
    )?;
    lesson.at_most(
        "text not seen, bits of a character",
        curve[10],
        lesson.pick(2.7, 3.9),
    )?;

    let (mut said, mut last, mut memory) = (String::new(), 0, None);
    for _ in 0..lesson.pick(300, 100) {
        let given = memory.as_ref().map(|(h, c): &(Tensor, Tensor)| (h, c));
        let (scores, (h, c)) = net.forward(&Tensor::from_slice(&[last], &[1, 1], device), given);
        last = rng
            .categorical(&(scores.get((0, 0)) / 0.8), &[])
            .item::<i32>()?;
        memory = Some((h.detach()?, c.detach()?));
        said.push(letters[last as usize]);
    }
    lesson.say(said);
    let share: Vec<usize> = (0..=10).map(|tenth| tenth * 10).collect();
    let figure = Figure::new("Shakespeare, character by character")
        .x("of the training, %")
        .y("bits of a character");
    lesson.figure(
        "bits",
        "How many bits it would take",
        &figure.dotted_line("test", &share, &curve),
    )
}
