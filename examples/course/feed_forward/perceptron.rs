//! The perceptron: `ŷ = [w·x > 0]`, and after each mistake `w ← w ± x`. If a line separates the classes, it stops making
//! mistakes (Novikoff 1962). Source: Rosenblatt, The Perceptron, 1958.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Surface};
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let points = rng.normal(&[200, 2], device) * 1.5;
    let side = points.get((.., 0)) * 0.8 - points.get((.., 1)) + 0.5;
    // A gap of 0.3 on either side of the line.
    let away = side.sign() * 0.3;
    let shift = Tensor::stack(&[&(&away * 0.8), &(&away * -1.0)], 1);
    let points = &points + &shift;
    let x =
        Tensor::cat(&[&points, &Tensor::ones(&[200, 1], DType::F32, device)], 1).to_vec::<f32>()?;
    let truth = side.gt_scalar(0.0).to_vec::<bool>()?;

    let (mut w, mut mistakes) = ([0.0f32; 3], Vec::new());
    for _ in 0..1000 {
        let mut wrong = 0;
        for (x, &truth) in x.chunks_exact(3).zip(&truth) {
            let said = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f32>() > 0.0;
            if said != truth {
                let sign = if truth { 1.0 } else { -1.0 };
                w.iter_mut().zip(x).for_each(|(w, x)| *w += sign * x);
                wrong += 1;
            }
        }
        mistakes.push(wrong);
        if wrong == 0 {
            break;
        }
    }
    lesson.say(format!("w = {w:?} after {} rounds", mistakes.len()));
    lesson.close(
        "mistakes in the last round",
        f64::from(mistakes[mistakes.len() - 1]),
        0.0,
        0.0,
    )?;

    let regions = Surface::of((-6.0, 6.0), (-6.0, 6.0), 121, 121, |x, y| {
        f64::from(u8::from(
            f64::from(w[0]) * x + f64::from(w[1]) * y + f64::from(w[2]) > 0.0,
        ))
    });
    let part = |class: bool, at: usize| -> Vec<f32> {
        let all = x.chunks_exact(3).zip(&truth);
        all.filter(|(_, t)| **t == class)
            .map(|(x, _)| x[at])
            .collect()
    };
    let figure = Figure::new("Found by its mistakes")
        .x("x₁")
        .y("x₂")
        .equal()
        .regions(&regions)
        .scatter("0", &part(false, 0), &part(false, 1))
        .scatter("1", &part(true, 0), &part(true, 1));
    lesson.figure("line", "A line without mistakes", &figure)?;
    let rounds: Vec<usize> = (1..=mistakes.len()).collect();
    let figure = Figure::new("Mistakes")
        .x("round")
        .y("mistakes in the round")
        .dotted_line("perceptron", &rounds, &mistakes);
    lesson.figure("mistakes", "Fewer each round, then none", &figure)
}
