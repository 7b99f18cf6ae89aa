//! Gradients checked, determinism, and the search for a rate.

use crate::support::{Rows, net, run};
use wgrad_graph::{Device, GradcheckOptions, Tensor};
use wgrad_nn::{Context, Optimizer, Sequential, Sgd, gradients};
use wgrad_train::Trainer;

type State = (Sequential, Sgd);

fn trainer(wrong: bool) -> Trainer<'static, State, (Tensor, Tensor)> {
    let state = (net(3, &Device::cpu()), Sgd::new(0.1));
    Trainer::new(
        state,
        move |(net, sgd): &mut State, (x, y): (Tensor, Tensor)| {
            let out = net.forward(&x, &mut Context::eval());
            // A derivative that is not the function's.
            let out = if wrong {
                &out + (&out * 0.5).stop_gradient()
            } else {
                out
            };
            let loss = (out - y).square().mean();
            let g = gradients(&loss, net)?;
            sgd.step(net, &g)?;
            Ok(loss)
        },
    )
    .quiet()
}

#[test]
fn a_wrong_gradient_is_found_and_a_right_one_is_not() {
    let device = Device::cpu();
    let options = GradcheckOptions {
        order: 1,
        ..GradcheckOptions::default()
    };
    trainer(false)
        .gradcheck(Rows::new(&device), &options)
        .expect("right");
    let error = trainer(true)
        .gradcheck(Rows::new(&device), &options)
        .expect_err("wrong");
    assert!(error.to_string().contains("gradient of loss"), "{error}");
}

#[test]
fn steps_that_depend_on_more_than_their_state_are_found() {
    let device = Device::cpu();
    run(1, &device)
        .check_determinism(Rows::new(&device), 5)
        .expect("runs")
        .expect("the same");
    let state = (net(3, &device), Sgd::new(0.1));
    let mut call = 0;
    let mut odd = Trainer::new(
        state,
        move |(net, sgd): &mut State, (x, y): (Tensor, Tensor)| {
            // What is captured is not put back; a step that reads a number on the host runs itself each time.
            let loss = (net.forward(&x, &mut Context::eval()) - y).square().mean();
            let steps = sgd.steps();
            call += 1;
            let loss = if call > 7 && steps >= 1 {
                loss * 2.0
            } else {
                loss
            };
            let g = gradients(&loss, net)?;
            sgd.step(net, &g)?;
            Ok(loss)
        },
    );
    let found = odd
        .check_determinism(Rows::new(&device), 5)
        .expect("runs")
        .expect_err("differs");
    assert!(found.step >= 2 && found.what.contains("loss"), "{found}");
}

#[test]
fn searching_a_rate_leaves_everything_as_it_was() {
    let device = Device::cpu();
    let mut plain = trainer(false);
    let mut searched = trainer(false);
    let mut rows = Rows::new(&device);
    let search = searched
        .find_rate(&mut rows, |s| &mut s.1, wgrad_train::RateRange::default())
        .expect("a search");
    assert!(search.rates.len() > 10 && search.rates.is_sorted());
    let a = plain.fit(Rows::new(&device), 2).expect("a run");
    let b = searched.fit(rows, 2).expect("a run");
    assert_eq!(a.get("train_loss"), b.get("train_loss"));
}
