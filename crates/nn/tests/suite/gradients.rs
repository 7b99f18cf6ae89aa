//! Gradients of a module: what they refuse, clip and carry along.

use super::{close, devices, values};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};
use wgrad_nn::{Linear, Module, Optimizer, Sgd, gradients, gradients_with};

#[test]
fn parameters_without_gradient_are_named() {
    let d = Device::cpu();
    let rng = &mut Generator::new(0);
    let model = vec![Linear::new(2, 1, rng, &d), Linear::new(2, 1, rng, &d)];
    let loss = model[0]
        .forward(&Tensor::ones(&[1, 2], DType::F32, &d))
        .sum();
    let error = gradients(&loss, &model).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Gradient);
    assert!(error.to_string().contains("1.weight, 1.bias:"), "{error}");
    assert!(!error.to_string().contains("0.weight"), "{error}");
    let allowed = gradients_with(&loss, &model, true).unwrap();
    assert_eq!(values(&allowed[0]), [1.0, 1.0]);
    assert_eq!(values(&allowed[2]), [0.0, 0.0]);
}

#[test]
fn an_invalid_or_large_loss_keeps_its_own_error() {
    let d = Device::cpu();
    let model = Linear::new(2, 3, &mut Generator::new(0), &d);
    let error = gradients(
        &model.forward(&Tensor::ones(&[1, 5], DType::F32, &d)).sum(),
        &model,
    )
    .err()
    .unwrap();
    assert_eq!(error.kind(), ErrorKind::Shape);
    let error = gradients(
        &model.forward(&Tensor::ones(&[1, 2], DType::F32, &d)),
        &model,
    )
    .err()
    .unwrap();
    assert!(
        error.to_string().contains("needs an upstream gradient"),
        "{error}"
    );
}

#[test]
fn norm_and_clipping() {
    for d in devices() {
        let model = vec![Tensor::new(&[1.0f32, 2.0], &d), Tensor::new(&[1.0f32], &d)];
        let loss = (&model[0] * &Tensor::new(&[3.0f32, 4.0], &d)).sum() + (&model[1] * 12.0).sum();
        let g = gradients(&loss, &model).unwrap();
        close(&values(&g.global_norm()), &[13.0], 1e-6);
        let clipped = g.clone().clip_norm(1.0);
        close(&values(&clipped[0]), &[3.0 / 13.0, 4.0 / 13.0], 1e-6);
        close(&values(&clipped[1]), &[12.0 / 13.0], 1e-6);
        close(&values(&g.clip_norm(100.0)[1]), &[12.0], 0.0);
    }
}

#[test]
fn tied_parameters_stay_tied() {
    for d in devices() {
        let w = Tensor::new(&[1.0f32], &d);
        let mut model = vec![w.clone(), w];
        let mut optimizer = Sgd::new(0.1).momentum(0.5);
        // The loss 3w + w² has the derivative 3 + 2w, whichever place w stands in.
        let (mut want, mut moment) = (1.0, 0.0);
        for _ in 0..3 {
            let loss = (&model[0] * 3.0 + &model[1] * &model[0]).sum();
            let g = gradients(&loss, &model).unwrap();
            optimizer.step(&mut model, &g).unwrap();
            assert!(model[0].same(&model[1]));
            moment = 0.5 * moment + 3.0 + 2.0 * want;
            want -= 0.1 * moment;
            close(&values(&model[0]), &[want], 1e-6);
        }
        assert_eq!(model.num_parameters(), 1);
        assert_eq!(optimizer.state().len(), 1);
    }
}
