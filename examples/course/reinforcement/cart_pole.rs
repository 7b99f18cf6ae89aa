//! Balancing a pole on a cart, learned twice. Q-learning keeps a table of what each action is worth in each cell of the state:
//! `Q(s, a) ← Q + α (r + γ max Q(s', ·) − Q)`. REINFORCE raises the probability of what was followed by much reward:
//! `∇ Σ log π(a | s) (R − mean) / std`. Source: Barto, Sutton, Anderson 1983; Watkins 1989; Williams 1992.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Sequential, Tanh, gradients};
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Optimizer, Reduction, Tensor};

/// Cart's place and speed, pole's angle and angular speed.
type State = [f64; 4];

/// A push to the left or right for 0.02 s; `None` where pole or cart are out of bounds.
fn push([x, v, angle, turn]: State, right: bool) -> Option<State> {
    let force = if right { 10.0 } else { -10.0 };
    let (sin, cos) = angle.sin_cos();
    let thrust = (force + 0.05 * turn * turn * sin) / 1.1;
    let spin = (9.8 * sin - cos * thrust) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / 1.1));
    let slide = thrust - 0.05 * spin * cos / 1.1;
    let next = [
        x + 0.02 * v,
        v + 0.02 * slide,
        angle + 0.02 * turn,
        turn + 0.02 * spin,
    ];
    (next[0].abs() < 2.4 && next[2].abs() < 12f64.to_radians()).then_some(next)
}

/// A game's first state, from random numbers in [0, 1).
fn start(dice: &mut impl Iterator<Item = f64>) -> State {
    [(); 4].map(|()| dice.next().unwrap_or_default() * 0.1 - 0.05)
}

/// The cell of the table that a state lies in.
fn cell(s: State) -> usize {
    let bin = |v: f64, most: f64, n: usize| {
        (((v / most).clamp(-0.999, 0.999) + 1.0) / 2.0 * n as f64) as usize
    };
    let cart = bin(s[0], 2.4, 3) * 3 + bin(s[1], 2.0, 3);
    cart * 84 + bin(s[2], 0.21, 12) * 7 + bin(s[3], 2.0, 7)
}

/// Steps balanced in each game, by a table.
fn q_learning(games: usize, dice: &mut impl Iterator<Item = f64>) -> Vec<usize> {
    let (mut q, mut lengths) = (vec![[0.0f64; 2]; 9 * 84], Vec::new());
    for game in 0..games {
        let left = 1.0 - game as f64 / games as f64;
        let (explore, rate) = ((left - 0.5).max(0.0) * 0.6, left.max(0.1) * 0.4);
        let (mut state, mut length) = (Some(start(dice)), 0);
        while let (Some(s), true) = (state, length < 200) {
            let at = cell(s);
            let chance = dice.next().unwrap_or_default();
            let right = if chance < explore {
                chance < explore / 2.0
            } else {
                q[at][1] > q[at][0]
            };
            state = push(s, right);
            let worth = state.map_or(-1.0, |n| 0.99 * q[cell(n)][0].max(q[cell(n)][1]));
            q[at][usize::from(right)] += rate * (worth - q[at][usize::from(right)]);
            length += 1;
        }
        lengths.push(length);
    }
    lengths
}

/// Plays 16 games at once, one call of the network for a step of all: states, pushes to the right (0 or 1) of each.
fn play(
    net: &mut Sequential,
    dice: &mut impl Iterator<Item = f64>,
    device: &Device,
) -> wgrad::Result<Vec<(Vec<f32>, Vec<f32>)>> {
    let mut now = [(); 16].map(|()| Some(start(dice)));
    let mut games = vec![(Vec::new(), Vec::new()); 16];
    for _ in 0..200 {
        let seen = now.map(|s| s.unwrap_or_default().map(|v| v as f32));
        let x = Tensor::from_slice(seen.as_flattened(), &[16, 4], device);
        let right = net.forward(&x, &mut Context::eval()).sigmoid();
        for (at, p) in right.to_vec::<f32>()?.into_iter().enumerate() {
            if let Some(s) = now[at] {
                let choice = dice.next().unwrap_or_default() < f64::from(p);
                games[at].0.extend(seen[at]);
                games[at].1.push(f32::from(u8::from(choice)));
                now[at] = push(s, choice);
            }
        }
    }
    Ok(games)
}

/// Steps balanced in each game, by a network that says how likely a push to the right is.
fn reinforce(
    rounds: usize,
    dice: &mut impl Iterator<Item = f64>,
    lesson: &Lesson,
) -> wgrad::Result<Vec<usize>> {
    let (mut rng, device) = (Generator::new(lesson.seed), &lesson.device);
    let mut net = Sequential::new()
        .with("hidden", Linear::new(4, 32, &mut rng, device))
        .with("tanh", Tanh)
        .with("out", Linear::new(32, 1, &mut rng, device));
    let (mut adam, mut lengths) = (Adam::new(0.02), Vec::new());
    for _ in 0..rounds {
        let (mut states, mut actions, mut returns) = (Vec::new(), Vec::new(), Vec::new());
        for (seen, pushed) in play(&mut net, dice, device)? {
            // What came after each step: a reward of one for each step balanced, discounted.
            let after = (1..=pushed.len() as i32).rev();
            returns.extend(after.map(|n| (1.0 - 0.98f32.powi(n)) / 0.02));
            lengths.push(pushed.len());
            states.extend(seen);
            actions.extend(pushed);
        }
        let column = |list: &[f32]| Tensor::from_slice(list, &[list.len(), 1], device);
        let (a, r) = (column(&actions), column(&returns));
        let better = (&r - r.mean()) / (r.std(0.0) + 1e-6);
        let x = Tensor::from_slice(&states, &[actions.len(), 4], device);
        let nats = net
            .forward(&x, &mut Context::train(0))
            .binary_cross_entropy_with_logits(&a, Reduction::None);
        let gradients = gradients(&(nats * better).mean(), &net)?;
        adam.step(&mut net, &gradients)?;
    }
    Ok(lengths)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let mut rng = Generator::new(lesson.seed + 100);
    let chances = rng.uniform(&[1 << 21], &lesson.device).to_vec::<f32>()?;
    let dice = &mut chances.iter().cycle().map(|&c| f64::from(c));
    let table = q_learning(lesson.pick(6000, 3000), dice);
    let network = reinforce(lesson.pick(80, 50), dice, lesson)?;
    let mean = |l: &[usize]| l.iter().sum::<usize>() as f64 / l.len() as f64;
    let last = |l: &[usize]| mean(&l[l.len() - 100..]);
    let least = lesson.pick(195.0, 110.0);
    lesson.at_most("steps at the beginning", mean(&table[..100]), 60.0)?;
    lesson.at_least("Q-learning, steps of 200", last(&table), least)?;
    lesson.at_least("REINFORCE, steps of 200", last(&network), least)?;
    let mut figure = Figure::new("Steps balanced")
        .x("games played")
        .y("steps, at most 200")
        .log_x();
    for (name, lengths) in [("Q-learning", &table), ("REINFORCE", &network)] {
        let games: Vec<usize> = (1..=lengths.len()).collect();
        figure = figure.smoothed(name, &games, lengths, 0.97);
    }
    lesson.figure("steps", "Two ways to learn balancing", &figure)
}
