//! A Hopfield network remembers pictures in symmetric weights `W = Σ x xᵀ / n`, without a diagonal. Each unit takes the sign
//! of what it hears; the energy `−½ sᵀ W s` never rises, so a damaged picture falls to the nearest memory. Source: Hopfield,
//! Neural networks and physical systems with emergent collective computational abilities, 1982.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Tensor};

const SIDE: usize = 12;

/// A circle, a cross and stripes, as −1 and 1.
fn memories() -> [Vec<f32>; 3] {
    let picture = |is: fn(f32, f32) -> bool| {
        let cell = |i: usize| (i as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0;
        let all = (0..SIDE * SIDE).map(|at| is(cell(at % SIDE), cell(at / SIDE)));
        all.map(|on| if on { 1.0 } else { -1.0 }).collect()
    };
    [
        picture(|x, y| (0.35..0.85).contains(&(x * x + y * y).sqrt())),
        picture(|x, y| (x - y).abs() < 0.3 || (x + y).abs() < 0.3),
        picture(|x, _| (x * 3.0).rem_euclid(2.0) < 1.0),
    ]
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (n, kept) = (SIDE * SIDE, memories());
    let x = Tensor::from_slice(&kept.concat(), &[3, n], device);
    let w = (x.t().matmul(&x) / n as f64) * (Tensor::eye(n, DType::F32, device) * -1.0 + 1.0);
    let w = w.to_vec::<f32>()?;
    let energy = |s: &[f32]| -> f64 {
        let heard = |i: usize| {
            w[i * n..][..n]
                .iter()
                .zip(s)
                .map(|(w, s)| w * s)
                .sum::<f32>()
        };
        (0..n).map(|i| -0.5 * f64::from(s[i] * heard(i))).sum()
    };
    let mut rng = Generator::new(lesson.seed);
    let (mut pictures, mut figure) = (
        Vec::new(),
        Figure::new("Energy").x("sweeps over the units").y("energy"),
    );
    for (number, memory) in kept.iter().enumerate() {
        let flips = rng.bernoulli(0.25, &[n], device).to_vec::<bool>()?;
        let mut s: Vec<f32> = memory
            .iter()
            .zip(flips)
            .map(|(s, flip)| if flip { -s } else { *s })
            .collect();
        let show =
            |s: &[f32], caption: &str| Picture::floats(SIDE, SIDE, s, (-1.0, 1.0)).caption(caption);
        pictures.push(show(memory, "memory"));
        pictures.push(show(&s, "a quarter flipped"));
        let mut energies = vec![energy(&s)];
        for _ in 0..5 {
            for &i in &rng.permutation(n, device).to_vec::<i32>()? {
                let i = i as usize;
                let heard: f32 = w[i * n..][..n].iter().zip(&s).map(|(w, s)| w * s).sum();
                s[i] = if heard >= 0.0 { 1.0 } else { -1.0 };
            }
            energies.push(energy(&s));
        }
        pictures.push(show(&s, "recalled"));
        let rises = energies.windows(2).filter(|e| e[1] > e[0] + 1e-3).count();
        lesson.close(
            &format!("sweeps in which the energy of {number} rises"),
            rises as f64,
            0.0,
            0.0,
        )?;
        let wrong = s.iter().zip(memory).filter(|(a, b)| a != b).count();
        lesson.close(&format!("wrong pixels of {number}"), wrong as f64, 0.0, 0.0)?;
        figure = figure.dotted_line(&format!("picture {number}"), &[0, 1, 2, 3, 4, 5], &energies);
    }
    lesson.figure(
        "recall",
        "Damaged and recalled",
        &Figure::new("Recall").image_grid(3, &pictures),
    )?;
    lesson.figure("energy", "It only falls", &figure)
}
