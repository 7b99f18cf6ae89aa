//! Names, letter by letter: what is the next letter, given the last? By counting pairs, `p(b | a) = n(a b) / n(a)`, and
//! by descent: one layer on one-hot letters, whose softmax comes to say the same. Source: Karpathy, The spelled-out
//! intro to language modeling, and makemore, 2022: 2.45 nats.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

/// Scores of each pair, by descent on the mean of `−ln p` over all pairs. A one-hot letter times the weights is the row of
/// that letter, so that pairs that are equal need to be computed once.
fn descend(counts: &Tensor, steps: usize) -> Result<(Tensor, Vec<f32>)> {
    let all = counts.sum().item::<f32>()?;
    let hot = Tensor::eye(27, DType::F32, counts.device());
    let mut state = (
        Tensor::zeros(&[27, 27], DType::F32, counts.device()),
        Adam::new(0.1),
    );
    let mut step = compile(|(w, adam): &mut (Tensor, Adam), b: &[Tensor]| {
        let logs = b[0].matmul(w).log_softmax(1);
        let loss = -(&b[1] * logs).sum() / f64::from(all);
        let gradients = gradients(&loss, w)?;
        adam.step(w, &gradients)?;
        Ok(loss)
    });
    let mut losses = Vec::new();
    for _ in 0..steps {
        losses.push(step.call(&mut state, &[&hot, counts])?.item::<f32>()?);
    }
    Ok((state.0, losses))
}

/// A name, letter by letter.
fn draw(chances: &Tensor, rng: &mut Generator) -> Result<String> {
    let (mut name, mut at) = (String::new(), 0);
    for _ in 0..20 {
        at = rng
            .multinomial(&chances.get(at as isize), 1, true)
            .item::<i32>()?;
        if at == 0 {
            break;
        }
        name.push(char::from(b'a' + at as u8 - 1));
    }
    Ok(name)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/names.txt") else {
        lesson.say("This lesson needs the file: karpathy/makemore, names.txt.");
        return Ok(());
    };
    // Letters are 1 to 26, 0 begins and ends a name.
    let (mut from, mut to) = (Vec::<i32>::new(), Vec::<i32>::new());
    for name in std::fs::read_to_string(file)?.lines() {
        let letters = name.bytes().map(|b| i32::from(b - b'a') + 1);
        let letters: Vec<i32> = [0].into_iter().chain(letters).chain([0]).collect();
        from.extend(&letters[..letters.len() - 1]);
        to.extend(&letters[1..]);
    }
    lesson.say(format!("{} pairs", from.len()));

    // By counting, with one more of each pair, so that nothing is impossible.
    let mut counts = vec![1.0f32; 27 * 27];
    for (&a, &b) in from.iter().zip(&to) {
        counts[a as usize * 27 + b as usize] += 1.0;
    }
    let counts = Tensor::from_slice(&counts, &[27, 27], device);
    let chances = (&counts / counts.sum_dims(&[1], true)).detach()?;
    let (from, to) = (Tensor::new(&from, device), Tensor::new(&to, device));
    let nats = |logs: &Tensor| {
        logs.index_select(0, &from)
            .nll_loss(&to, Reduction::Mean)
            .item::<f32>()
    };
    let counted = f64::from(nats(&chances.log())?);
    lesson.close("by counting, nats", counted, 2.454, 0.005)?;
    let (scores, losses) = descend(&counts, lesson.pick(300, 80))?;
    lesson.close("untrained, nats", losses[0].into(), 27f64.ln(), 1e-4)?;
    let descended = nats(&scores.log_softmax(1))?;
    lesson.close(
        "by descent, nats",
        descended.into(),
        counted,
        lesson.pick(0.005, 0.05),
    )?;

    let mut rng = Generator::new(lesson.seed);
    let names = (0..8)
        .map(|_| draw(&chances, &mut rng))
        .collect::<Result<Vec<_>>>()?;
    lesson.say(format!("drawn: {}", names.join(", ")));
    let letters: Vec<String> = std::iter::once('.')
        .chain('a'..='z')
        .map(String::from)
        .collect();
    let figure = Figure::new("p(next | letter)")
        .x("next letter")
        .y("letter")
        .size(640, 600);
    let figure = figure.heat_map(27, 27, &chances.to_vec::<f32>()?);
    let figure = figure.row_names(&letters).column_names(&letters);
    lesson.figure("table", "A point begins and ends a name", &figure)?;
    let at: Vec<usize> = (1..=losses.len()).collect();
    let figure = Figure::new("Descent to what counting says")
        .x("step")
        .y("nats of a letter");
    let figure = figure
        .line("descent", &at, &losses)
        .horizontal("counted", counted);
    lesson.figure("loss", "The same model, learned", &figure)
}
