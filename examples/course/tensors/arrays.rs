//! Tensors: numbers in rows, columns and more dimensions. Making them, looking at parts, stretching sizes of one
//! (broadcasting), adding up. Formula: `(a + b)[i, j] = a[i, 0] + b[0, j]`. Source: Zhang et al., Dive into Deep Learning, 2.1.

use crate::lesson::{Lesson, Result};
use wgrad::{DType, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let x = Tensor::arange(12, device).cast(DType::F32).reshape(&[3, 4]);
    lesson.say(format!("x = arange(12).reshape([3, 4])\n{x}"));
    lesson.say(format!("x[-1]\n{}", x.get(-1)));
    lesson.say(format!(
        "x[1:3, ::2]\n{}",
        x.get(1..3).slice(1, None, None, 2)
    ));

    let a = Tensor::arange(3, device).reshape(&[3, 1]);
    let b = Tensor::arange(2, device).reshape(&[1, 2]);
    let sum = &a + &b;
    lesson.say(format!("a [3, 1] + b [1, 2]: both stretch\n{sum}"));
    lesson.close(
        "(a + b)[2, 1]",
        sum.get((2, 1)).item::<i32>()?.into(),
        3.0,
        0.0,
    )?;

    let rows = x.sum_dims(&[1], true);
    lesson.say(format!(
        "x / x.sum(1): every row adds up to 1\n{}",
        &x / &rows
    ));
    let shares = (&x / &rows).sum_dims(&[1], false).to_vec::<f32>()?;
    let off = shares
        .iter()
        .map(|s| (f64::from(*s) - 1.0).abs())
        .fold(0.0, f64::max);
    lesson.at_most("greatest difference from 1", off, 1e-6)
}
