//! The order of events, what callbacks can do, and that loops of any kind end as a hand-written one.

use crate::support::{BATCHES, Rows, net};
use std::cell::RefCell;
use std::rc::Rc;
use wgrad_data::Batches;
use wgrad_graph::{Device, Tensor};
use wgrad_nn::{Adam, Context, Module, Optimizer, Sequential, compile, gradients};
use wgrad_train::trainer::{At, Event, Result};
use wgrad_train::{EarlyStopping, Every, Trainer};

type State = (Sequential, Adam);
type Pair = (Tensor, Tensor);

fn state(device: &Device) -> State {
    (net(3, device), Adam::new(0.01))
}

fn loss(net: &mut Sequential, x: &Tensor, y: &Tensor) -> Tensor {
    (net.forward(x, &mut Context::eval()) - y).square().mean()
}

fn step((net, adam): &mut State, (x, y): Pair) -> wgrad_graph::Result<Tensor> {
    let loss = loss(net, &x, &y);
    let g = gradients(&loss, net)?;
    adam.step(net, &g)?;
    Ok(loss)
}

fn weights(state: &State) -> Vec<Vec<f32>> {
    let all = state.0.state().into_iter();
    all.map(|(_, t)| t.to_vec().expect("weights")).collect()
}

#[test]
fn a_trainer_ends_as_the_hand_written_loop() {
    let device = Device::cpu();
    let mut hand = state(&device);
    let mut compiled = compile(|s: &mut State, x: &[Tensor]| step(s, (x[0].clone(), x[1].clone())));
    let mut rows = Rows::new(&device);
    let mut losses = Vec::new();
    for epoch in 0..3 {
        while let Some((x, y)) = rows.next().expect("a batch") {
            hand.1.set_lr(0.01 / (1.0 + epoch as f64));
            let loss = compiled.call(&mut hand, &[&x, &y]).expect("a step");
            losses.push(loss.item::<f32>().expect("a loss"));
        }
    }
    let read = Rc::new(RefCell::new(Vec::new()));
    let seen = read.clone();
    let mut trainer = Trainer::new(state(&device), step)
        .rate_by_epoch(|s| &mut s.1, |epoch: u64| 0.01 / (1.0 + epoch as f64))
        .callback(move |event: &Event<'_>, _: &mut State, _: &mut At| {
            if let Event::Read(records) = event {
                seen.borrow_mut()
                    .extend(records.iter().filter_map(|r| r.get("loss")));
            }
            Ok(())
        })
        .quiet();
    let fitted = trainer.fit(Rows::new(&device), 3).expect("a run");
    assert_eq!(weights(&trainer.state), weights(&hand));
    let read: Vec<f32> = read.borrow().iter().map(|&v| v as f32).collect();
    assert_eq!(read, losses);
    let sizes = |at: usize| if at % BATCHES as usize == 6 { 5.0 } else { 8.0 };
    let last: Vec<(usize, f64)> = (14..21).map(|at| (at, f64::from(losses[at]))).collect();
    let sum: f64 = last.iter().map(|&(at, l)| l * sizes(at)).sum();
    let mean = fitted.get("train_loss").expect("a mean");
    assert!(
        (mean - sum / 53.0).abs() < 1e-12,
        "the short batch counts by its samples"
    );
}

#[test]
fn events_come_in_the_documented_order() {
    let device = Device::cpu();
    let seen = Rc::new(RefCell::new(Vec::<String>::new()));
    let list = seen.clone();
    let note = move |event: &Event<'_>, _: &mut State, at: &mut At| -> Result<()> {
        let name = match event {
            Event::Begin(model) => {
                assert_eq!(
                    (model.layers.len(), model.parameters),
                    (2, 4 * 8 + 8 + 8 + 1)
                );
                assert_eq!(model.multiply_adds(), 8 * (32 + 8));
                assert_eq!(model.layers[0].output_shape, [8, 8]);
                "begin"
            }
            Event::EpochBegin => "epoch-begin",
            Event::StepBegin => "step-begin",
            Event::StepEnd => "step-end",
            Event::Read(_) => "read",
            Event::EpochEnd => {
                at.give("extra", 1.0);
                "epoch-end"
            }
            Event::Scored(_) => "scored",
            Event::Epoch(e) => {
                assert_eq!(e.get("extra"), Some(1.0));
                "epoch"
            }
            Event::Stopping => "stopping",
            Event::End(_) => "end",
            _ => "other",
        };
        list.borrow_mut().push(name.to_owned());
        Ok(())
    };
    let mut trainer = Trainer::new(state(&device), step)
        .limit_batches(1)
        .callback(note)
        .quiet();
    trainer.fit(Rows::new(&device), 1).expect("a run");
    let want = [
        "begin",
        "epoch-begin",
        "step-begin",
        "step-end",
        "read",
        "epoch-end",
        "scored",
        "epoch",
        "stopping",
        "end",
    ];
    assert_eq!(*seen.borrow(), want);
}

#[test]
fn callbacks_stop_skip_and_change_rates() {
    let device = Device::cpu();
    let mut trainer = Trainer::new(state(&device), step)
        .before_step(|s, at| {
            if at.batch() % 2 == 1 {
                at.skip();
            }
            s.1.set_lr(0.0);
            Ok(())
        })
        .every(Every::Steps(6), |_, at| {
            at.stop("enough");
            Ok(())
        })
        .quiet();
    let before = weights(&trainer.state);
    let fitted = trainer.fit(Rows::new(&device), 100).expect("a run");
    assert_eq!((fitted.steps, fitted.epochs), (6, 1));
    assert_eq!(fitted.stopped.as_deref(), Some("enough"));
    assert_eq!(
        weights(&trainer.state),
        before,
        "at a rate of 0 nothing moves"
    );
    // Stopped in mid-epoch, it goes on from there.
    let fitted = trainer.fit(Rows::new(&device), 2).expect("a run");
    assert!(fitted.steps > 6);
}

#[test]
fn limits_dev_runs_and_overfitting() {
    let device = Device::cpu();
    let mut trainer = Trainer::new(state(&device), step).limit_batches(3).quiet();
    assert_eq!(trainer.fit(Rows::new(&device), 2).expect("a run").steps, 6);
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = Trainer::new(state(&device), step)
        .evaluation(|s: &mut State, (x, y)| Ok(loss(&mut s.0, &x, &y)))
        .validate(Rows::new(&device))
        .checkpoint(folder.path().join("c"), Every::Steps(1), 1)
        .log(folder.path().join("l"))
        .dev_run(2)
        .quiet();
    let fitted = trainer.fit(Rows::new(&device), 100).expect("a run");
    assert_eq!(fitted.steps, 2);
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0,
        "nothing is written"
    );
    let mut trainer = Trainer::new(state(&device), step).overfit(1).quiet();
    let fitted = trainer.fit(Rows::new(&device), 400).expect("a run");
    assert_eq!(fitted.steps, 400);
    assert!(
        fitted.get("train_loss").expect("a loss") < 1e-3,
        "one batch is learnt by heart"
    );
}

#[test]
fn early_stopping_restores_and_both_second_runs_work() {
    let device = Device::cpu();
    let evaluated = |s: &mut State, (x, y): Pair| Ok(loss(&mut s.0, &x, &y));
    for file in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let stopping = EarlyStopping::new("validation_loss").patience(2);
        let stopped = stopping.outcome();
        // From the fifth epoch on the rate throws the weights about.
        let mut trainer = Trainer::new(state(&device), step)
            .rate_by_epoch(
                |s| &mut s.1,
                |epoch: u64| if epoch < 5 { 0.01 } else { 1.0 },
            )
            .evaluation(evaluated)
            .validate(Rows::new(&device))
            .callback(stopping)
            .quiet();
        if file {
            trainer = trainer.checkpoint(folder.path(), Every::Epochs(1), 0);
        }
        let fitted = trainer.fit(Rows::new(&device), 50).expect("a run");
        assert!(fitted.stopped.is_some());
        assert_eq!((stopped.step(), stopped.epoch()), (5 * BATCHES, 5));
        let score = trainer.evaluate(Rows::new(&device)).expect("a score")[0].1;
        assert_eq!(score as f32, stopped.best() as f32, "file {file}");
        // The first way: anew, for as many steps.
        let mut anew = Trainer::new(state(&device), step)
            .max_steps(stopped.step())
            .quiet();
        assert_eq!(
            anew.fit(Rows::new(&device), 1000).expect("a run").steps,
            stopped.step()
        );
        // The second: go on until the loss of validation is what that of training was.
        let mut on = Trainer::new(std::mem::replace(&mut trainer.state, state(&device)), step)
            .evaluation(evaluated)
            .validate(Rows::new(&device))
            .stop_when("validation_loss", false, stopped.train_loss() * 0.9)
            .quiet();
        let fitted = on.fit(Rows::new(&device), 1000).expect("a run");
        assert!(fitted.stopped.is_some() && fitted.epochs < 1000);
    }
}
