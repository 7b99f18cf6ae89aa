//! Back-propagation is the chain rule from the end: each operation multiplies what comes back by its own derivative. By hand
//! and by `grad`: `(x + y) z` at (−2, 5, −4), a sigmoid unit, and `‖W x‖²` with `∇_W = 2 (W x) xᵀ`. Source: Stanford CS231n,
//! Backpropagation, Intuitions.

use crate::lesson::{Lesson, Result};
use wgrad::{DType, Tensor, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let number = |v: f64| Tensor::scalar(v, DType::F32, device);

    let (x, y, z) = (number(-2.0), number(5.0), number(-4.0));
    let q = &x + &y; // 3
    let f = &q * &z; // −12
    lesson.close("(x + y) z", f.item::<f32>()?.into(), -12.0, 0.0)?;
    // By hand: ∂f/∂q = z = −4, ∂f/∂z = q = 3, and ∂q/∂x = ∂q/∂y = 1.
    let g = grad(&f, &[&x, &y, &z])?;
    for ((name, got), want) in ["∂f/∂x", "∂f/∂y", "∂f/∂z"]
        .iter()
        .zip(&g)
        .zip([-4.0, -4.0, 3.0])
    {
        lesson.close(name, got.item::<f32>()?.into(), want, 0.0)?;
    }

    // A unit with two inputs: σ(w₀x₀ + w₁x₁ + w₂) = σ(1) = 0.73; σ' = σ (1 − σ) = 0.1966.
    let w = Tensor::new(&[2.0f32, -3.0, -3.0], device);
    let x = Tensor::new(&[-1.0f32, -2.0, 1.0], device);
    let unit = w.dot(&x).sigmoid();
    lesson.close("σ(w·x)", unit.item::<f32>()?.into(), 0.731_058_6, 1e-6)?;
    let dw = grad(&unit, &[&w])?[0].to_vec::<f32>()?;
    let slope = 0.731_058_6 * (1.0 - 0.731_058_6);
    for ((at, got), x) in dw.iter().enumerate().zip([-1.0, -2.0, 1.0]) {
        lesson.close(&format!("∂σ/∂w{at}"), f64::from(*got), slope * x, 1e-6)?;
    }

    let w = Tensor::from_slice(&[0.1f32, 0.5, -0.3, 0.8], &[2, 2], device);
    let x = Tensor::new(&[0.2f32, 0.4], device);
    let q = w.mv(&x);
    let f = q.square().sum();
    lesson.close("‖W x‖²", f.item::<f32>()?.into(), 0.116, 1e-6)?;
    let g = grad(&f, &[&w, &x])?;
    let by_hand = [q.outer(&x) * 2.0, w.t().mv(&q) * 2.0]; // 2 q xᵀ and 2 Wᵀ q
    for (name, got, want) in [("W", &g[0], &by_hand[0]), ("x", &g[1], &by_hand[1])] {
        lesson.say(format!("∂‖W x‖²/∂{name}\n{got}"));
        let off = (got - want).abs().amax().item::<f32>()?;
        lesson.at_most(
            &format!("distance from the formula for {name}"),
            off.into(),
            1e-7,
        )?;
    }
    Ok(())
}
