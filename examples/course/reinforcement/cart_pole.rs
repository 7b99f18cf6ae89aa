//! Balancing a pole on a cart, learned twice. Q-learning keeps a table of what each action is worth in each cell of the state:
//! `Q(s, a) ← Q + α (r + γ max Q(s', ·) − Q)`. REINFORCE raises the probability of what was followed by much reward:
//! `∇ Σ log π(a | s) (R − mean) / std`. Source: Barto, Sutton, Anderson 1983; Watkins 1989; Williams 1992.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Sequential, Tanh, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Optimizer, Tensor};

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

/// Random numbers in [0, 1), many read at once.
struct Dice(Generator, Vec<f32>);

impl Dice {
    fn roll(&mut self, lesson: &Lesson) -> wgrad::Result<f64> {
        if self.1.is_empty() {
            self.1 = self.0.uniform(&[65_536], &lesson.device).to_vec::<f32>()?;
        }
        Ok(self.1.pop().unwrap_or_default().into())
    }

    fn start(&mut self, lesson: &Lesson) -> wgrad::Result<State> {
        let mut one = || Ok(self.roll(lesson)? * 0.1 - 0.05);
        Ok([one()?, one()?, one()?, one()?])
    }
}

/// Steps balanced in each game, by a table.
fn q_learning(games: usize, dice: &mut Dice, lesson: &Lesson) -> wgrad::Result<Vec<usize>> {
    let cell = |s: State| {
        let bin = |v: f64, most: f64, n: f64| {
            (((v / most).clamp(-0.999, 0.999) + 1.0) / 2.0 * n) as usize
        };
        (bin(s[0], 2.4, 3.0) * 3 + bin(s[1], 2.0, 3.0)) * 84
            + bin(s[2], 0.21, 12.0) * 7
            + bin(s[3], 2.0, 7.0)
    };
    let (mut q, mut lengths) = (vec![[0.0f64; 2]; 9 * 84], Vec::new());
    for game in 0..games {
        let explore = (1.0 - game as f64 / (0.5 * games as f64)).max(0.0) * 0.3;
        let rate = (1.0 - game as f64 / games as f64).max(0.1) * 0.4;
        let (mut s, mut length) = (dice.start(lesson)?, 0);
        while length < 200 {
            let at = cell(s);
            let best = q[at][1] > q[at][0];
            let right = if dice.roll(lesson)? < explore {
                dice.roll(lesson)? < 0.5
            } else {
                best
            };
            length += 1;
            let next = push(s, right);
            let worth = next.map_or(-1.0, |n| 0.99 * q[cell(n)][0].max(q[cell(n)][1]));
            q[at][usize::from(right)] += rate * (worth - q[at][usize::from(right)]);
            match next {
                Some(next) => s = next,
                None => break,
            }
        }
        lengths.push(length);
    }
    Ok(lengths)
}

/// Steps balanced in each game, by a network that says how likely a push to the right is.
fn reinforce(rounds: usize, dice: &mut Dice, lesson: &Lesson) -> wgrad::Result<Vec<usize>> {
    let mut rng = Generator::new(lesson.seed);
    let mut net = Sequential::new()
        .with("hidden", Linear::new(4, 32, &mut rng, &lesson.device))
        .with("tanh", Tanh)
        .with("out", Linear::new(32, 1, &mut rng, &lesson.device));
    let (mut adam, mut lengths) = (Adam::new(0.02), Vec::new());
    for _ in 0..rounds {
        // Sixteen games at once: one call of the network for a step of all of them.
        let mut games: Vec<(Option<State>, Vec<f32>, Vec<f32>)> = Vec::new();
        for _ in 0..16 {
            games.push((Some(dice.start(lesson)?), Vec::new(), Vec::new()));
        }
        for _ in 0..200 {
            let seen: Vec<f32> = games
                .iter()
                .flat_map(|g| g.0.unwrap_or_default().map(|v| v as f32))
                .collect();
            if games.iter().all(|g| g.0.is_none()) {
                break;
            }
            let x = Tensor::from_slice(&seen, &[16, 4], &lesson.device);
            let right = net
                .forward(&x, &mut Context::eval())
                .sigmoid()
                .to_vec::<f32>()?;
            for ((state, states, actions), p) in games.iter_mut().zip(right) {
                if let Some(s) = *state {
                    let choice = dice.roll(lesson)? < f64::from(p);
                    states.extend(s.map(|v| v as f32));
                    actions.push(f32::from(u8::from(choice)));
                    *state = push(s, choice);
                }
            }
        }
        // What came after each step, discounted.
        let (mut all, mut acts, mut returns) = (Vec::new(), Vec::new(), Vec::new());
        for (_, states, actions) in &games {
            lengths.push(actions.len());
            all.extend_from_slice(states);
            acts.extend_from_slice(actions);
            returns.extend(
                (0..actions.len()).map(|t| (1.0 - 0.98f32.powi((actions.len() - t) as i32)) / 0.02),
            );
        }
        let n = acts.len();
        let x = Tensor::from_slice(&all, &[n, 4], &lesson.device);
        let (a, r) = (
            Tensor::from_slice(&acts, &[n, 1], &lesson.device),
            Tensor::from_slice(&returns, &[n, 1], &lesson.device),
        );
        let better = (&r - r.mean()) / (r.std(0.0) + 1e-6);
        let nats = net
            .forward(&x, &mut Context::train(0))
            .binary_cross_entropy_with_logits(&a, wgrad::Reduction::None);
        let loss = (nats * better).mean().cast(DType::F32);
        let gradients = gradients(&loss, &net)?;
        adam.step(&mut net, &gradients)?;
    }
    Ok(lengths)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let mut dice = Dice(Generator::new(lesson.seed + 100), Vec::new());
    let table = q_learning(lesson.pick(6000, 3000), &mut dice, lesson)?;
    let network = reinforce(lesson.pick(80, 50), &mut dice, lesson)?;
    let mean = |l: &[usize]| l.iter().sum::<usize>() as f64 / l.len() as f64;
    let last = |l: &[usize]| mean(&l[l.len() - 100..]);
    lesson.at_most("steps at the beginning", mean(&table[..100]), 60.0)?;
    lesson.at_least(
        "Q-learning, steps of 200",
        last(&table),
        lesson.pick(195.0, 110.0),
    )?;
    lesson.at_least(
        "REINFORCE, steps of 200",
        last(&network),
        lesson.pick(195.0, 110.0),
    )?;
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
