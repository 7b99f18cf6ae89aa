//! A small GPT: blocks of causal attention that say at each character what comes next, trained on all of Shakespeare's
//! characters and then asked to go on. Untrained it knows nothing, ln 65 = 4.17 nats; single letters' frequencies give
//! 3.3, pairs' 2.5. Source: Radford et al. 2019; Karpathy, Let's build GPT, and nanoGPT, 2023, whose small run ends at
//! 1.88 nats after 2,000 steps.

use crate::lesson::{Lesson, Result};
use wgrad::nn::models::{Gpt2, Gpt2Config};
use wgrad::nn::{AdamW, Context, GenerateOptions, compile, generate, gradients};
use wgrad::plot::Figure;
use wgrad::{Generator, Module, Optimizer, Reduction, Tensor};

/// `count` rows of `block + 1` characters from random places of a text.
fn rows(text: &Tensor, block: usize, count: usize, rng: &mut Generator) -> Tensor {
    let starts = rng.integers(0, (text.numel() - block) as i32, &[count, 1], text.device());
    let places = starts + Tensor::arange(block + 1, text.device()).unsqueeze(0);
    text.index_select(0, &places.reshape(&[-1]))
        .reshape(&[count as isize, -1])
}

/// Nats of the next character.
fn loss_of(net: &Gpt2, rows: &Tensor, cx: &mut Context) -> Tensor {
    let block = rows.size(1) - 1;
    let scores = net.forward(&rows.narrow(1, 0, block), cx).flatten(0, 1);
    scores.cross_entropy(&rows.narrow(1, 1, block).reshape(&[-1]), Reduction::Mean)
}

/// Steps, and the losses on what is trained on and on `unseen` rows.
type Curves = (Vec<usize>, Vec<f32>, Vec<f32>);

fn train(net: Gpt2, text: &Tensor, unseen: &Tensor, lesson: &Lesson) -> Result<(Gpt2, Curves)> {
    let mut rng = Generator::new(lesson.seed + 1);
    let (most, steps) = lesson.pick((1e-3, 2000), (3e-3, 150));
    let adam = AdamW::new(most).betas(0.9, 0.99).weight_decay(0.1);
    let mut state = (net, adam, Context::train(lesson.seed));
    let mut step = compile(
        |(net, adam, cx): &mut (Gpt2, AdamW, Context), b: &[Tensor]| {
            let loss = loss_of(net, &b[0], cx);
            let gradients = gradients(&loss, net)?.clip_norm(1.0);
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        },
    );
    let judge = |net: &Gpt2| loss_of(net, unseen, &mut Context::eval()).item::<f32>();
    let first = judge(&state.0)?;
    let (mut at, mut losses, mut tests) = (vec![0], vec![first], vec![first]);
    for t in 1..=steps {
        // Warm up over a twentieth, then down to a tenth by half a cosine.
        let done = t as f64 / steps as f64;
        let down = 0.1 + 0.45 * (1.0 + (done * std::f64::consts::PI).cos());
        state.1.set_lr(most * (done * 20.0).min(down));
        let batch = rows(text, unseen.size(1) - 1, 12, &mut rng);
        let loss = step.call(&mut state, &[&batch])?;
        if t % (steps / 10) == 0 {
            at.push(t);
            losses.push(loss.item::<f32>()?);
            tests.push(judge(&state.0)?);
        }
    }
    Ok((state.0, (at, losses, tests)))
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
    let cut = all.len() * 9 / 10;
    let (known, unknown) = (
        Tensor::new(&all[..cut], device),
        Tensor::new(&all[cut..], device),
    );

    let (block, n_embd, n_layer, n_head) = lesson.pick((64, 128, 4, 4), (32, 64, 2, 2));
    let config = Gpt2Config {
        vocab_size: letters.len(),
        n_positions: block,
        n_embd,
        n_layer,
        n_head,
        dropout: 0.0,
        ..Gpt2Config::default()
    };
    let mut rng = Generator::new(lesson.seed);
    let net = Gpt2::new(&config, &mut rng, device);
    lesson.say(format!(
        "{} letters, {} parameters",
        letters.len(),
        net.num_parameters()
    ));
    let unseen = rows(&unknown, block, 200, &mut rng).detach()?;
    let (net, (at, losses, tests)) = train(net, &known, &unseen, lesson)?;
    lesson.close(
        "untrained, nats",
        tests[0].into(),
        (letters.len() as f64).ln(),
        0.15,
    )?;
    lesson.at_most(
        "text that it has not seen, nats",
        tests[10].into(),
        lesson.pick(1.95, 3.0),
    )?;

    let prompt: Vec<i32> = "ROMEO:".chars().filter_map(number).collect();
    let options = GenerateOptions::new(lesson.pick(400, 120))
        .sample(true)
        .temperature(0.8);
    let said = generate(&net, &[prompt], &options.top_k(20), &mut rng)?;
    let said = said[0].iter().filter_map(|&c| letters.get(c as usize));
    lesson.say(said.collect::<String>());
    let figure = Figure::new("Next character")
        .x("step")
        .y("cross-entropy, nats");
    let figure = figure
        .dotted_line("train", &at, &losses)
        .dotted_line("test", &at, &tests);
    lesson.figure("loss", "From 4.17 nats down", &figure)
}
