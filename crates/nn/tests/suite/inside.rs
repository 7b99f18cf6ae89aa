//! What a function does with things that are not, or not only, its state's: the compiled one does the same.

use crate::devices;
use crate::state::linear;
use std::cell::RefCell;
use wgrad_graph::{Device, Result, Tensor, grad};
use wgrad_nn::{Adam, Linear, Optimizer, Variable, compile, gradients};

fn floats(t: &Tensor) -> Vec<f32> {
    t.to_vec().expect("values")
}

#[test]
fn a_variable_that_is_captured_does_not_go_stale() {
    for device in devices() {
        let factor = RefCell::new(Variable::new(1.0));
        let mut run = compile(|w: &mut Tensor, _: &[Tensor]| Ok(factor.borrow().like(w) * &*w));
        let mut w = Tensor::new(&[2.0f32], &device);
        for value in [1.0, 2.0, 3.0] {
            factor.borrow_mut().set(value);
            let y = run.call(&mut w, &[]).expect("a product");
            assert_eq!(floats(&y), [2.0 * value as f32], "{device}");
        }
    }
}

#[test]
fn moments_loaded_inside_are_loaded_in_every_call() {
    type State = (Linear, Adam);
    for device in devices() {
        let step = |(net, adam): &mut State, x: &[Tensor]| {
            let loss = net.forward(&x[0]).square().mean();
            let gradients = gradients(&loss, net)?;
            adam.load_moments(&[], 0)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        };
        let [mut compiled, mut plain] = [(); 2].map(|()| (linear(&device), Adam::new(0.1)));
        let x = crate::state::x(&device);
        let mut run = compile(step);
        for _ in 0..5 {
            let got = run.call(&mut compiled, &[&x]).expect("a step");
            let want = step(&mut plain, std::slice::from_ref(&x)).expect("a step");
            crate::close(&crate::values(&got), &crate::values(&want), 1e-6);
            assert_eq!(compiled.1.steps(), 1);
        }
    }
}

#[test]
fn a_tie_made_inside_is_one() {
    for device in devices() {
        // Both are moved by the gradient of their sum: twice as far once they are one.
        let step = |(a, b): &mut (Tensor, Tensor), _: &[Tensor]| -> Result<Tensor> {
            *b = a.clone();
            let y = (&*a * &*b).sum();
            let g = grad(&y, &[a])?.swap_remove(0);
            *a = &*a - g * 0.1;
            *b = a.clone();
            Ok(y)
        };
        let start = || {
            (
                Tensor::new(&[1.0f32, 2.0], &device),
                Tensor::new(&[3.0f32, 4.0], &device),
            )
        };
        let (mut compiled, mut plain) = (start(), start());
        let mut run = compile(step);
        for _ in 0..4 {
            let got = run.call(&mut compiled, &[]).expect("a step");
            let want = step(&mut plain, &[]).expect("a step");
            crate::close(&crate::values(&got), &crate::values(&want), 1e-6);
            assert!(compiled.0.same(&compiled.1), "{device}: two tensors");
        }
    }
}

#[test]
fn outputs_of_a_function_called_within_another_are_leaves() {
    for device in devices() {
        let outer = |w: &mut Tensor, _: &[Tensor]| -> Result<Tensor> {
            let mut square = compile(|w: &mut Tensor, _: &[Tensor]| Ok(&*w * &*w));
            let y = square.call(w, &[])?;
            // The square is a number here, so this is its product with w.
            Ok(grad(&(y * &*w).sum(), &[w])?.swap_remove(0))
        };
        let mut w = Tensor::new(&[3.0f32], &device);
        let want = floats(&outer(&mut w, &[]).expect("a gradient"));
        let mut run = compile(outer);
        for _ in 0..2 {
            assert_eq!(floats(&run.call(&mut w, &[]).expect("a gradient")), want);
        }
        assert_eq!(want, [9.0]);
    }
}

#[test]
fn a_state_changed_between_calls_keeps_no_history() {
    let device = Device::cpu();
    let z = Tensor::new(&[1.0f32], &device);
    let mut w = &z * 2.0;
    let mut run = compile(|w: &mut Tensor, _: &[Tensor]| {
        *w = &*w * 0.5;
        Ok(w.sum())
    });
    for _ in 0..3 {
        run.call(&mut w, &[]).expect("a step");
        w = w.clamp(-1.0, 1.0);
    }
    run.call(&mut w, &[]).expect("a step");
    assert!(grad(&w.square().sum(), &[&z]).is_err(), "a dead history");
}
