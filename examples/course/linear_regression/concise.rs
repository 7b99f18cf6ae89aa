//! Linear regression with a layer, a loss, an optimiser and a compiled step: the same data, the same result. Source: Zhang et
//! al., Dive into Deep Learning, 3.5.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, compile, gradients};
use wgrad::{Generator, Optimizer, Reduction, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let x = rng.normal(&[1000, 2], device);
    let truth = Tensor::from_slice(&[2.0f32, -3.4], &[2, 1], device);
    let y = x.matmul(&truth) + 4.2 + rng.normal(&[1000, 1], device) * 0.01;

    let mut state = (Linear::new(2, 1, &mut rng, device), Sgd::new(0.03));
    let mut step = compile(|(net, sgd): &mut (Linear, Sgd), batch: &[Tensor]| {
        let loss = net.forward(&batch[0]).mse_loss(&batch[1], Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        sgd.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..5 {
        let order = rng.permutation(1000, device);
        for at in (0..1000).step_by(10) {
            let some = order.narrow(0, at, 10);
            step.call(
                &mut state,
                &[&x.index_select(0, &some), &y.index_select(0, &some)],
            )?;
        }
    }
    let (net, _) = state;
    let w = net.weight.to_vec::<f32>()?;
    lesson.close("w₁", w[0].into(), 2.0, 1e-2)?;
    lesson.close("w₂", w[1].into(), -3.4, 1e-2)?;
    let bias = net.bias.as_ref().ok_or("the layer has a bias")?;
    lesson.close("b", bias.item::<f32>()?.into(), 4.2, 1e-2)
}
