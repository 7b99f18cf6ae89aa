//! Linear regression needs no descent: setting the gradient to zero gives `w = (XᵀX)⁻¹ Xᵀy`, the normal equations; a QR
//! decomposition solves them without squaring the condition. Source: Zhang et al., Dive into Deep Learning, 3.1.1.

use crate::lesson::{Lesson, Result};
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let x = rng.normal(&[1000, 2], device);
    let truth = Tensor::from_slice(&[2.0f32, -3.4], &[2, 1], device);
    let y = x.matmul(&truth) + 4.2 + rng.normal(&[1000, 1], device) * 0.01;

    // A column of ones makes the bias a weight.
    let x = Tensor::cat(&[&x, &Tensor::ones(&[1000, 1], DType::F32, device)], 1);
    let normal = x.t().matmul(&x).solve(&x.t().matmul(&y)).to_vec::<f32>()?;
    let least = x.lstsq(&y, None).to_vec::<f32>()?;
    for ((name, at), want) in [("w₁", 0), ("w₂", 1), ("b", 2)]
        .into_iter()
        .zip([2.0, -3.4, 4.2])
    {
        lesson.close(
            &format!("{name}, normal equations"),
            normal[at].into(),
            want,
            1e-2,
        )?;
        lesson.close(
            &format!("{name}, least squares"),
            least[at].into(),
            want,
            1e-2,
        )?;
    }
    Ok(())
}
