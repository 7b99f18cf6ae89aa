//! Plans that are run again and again: what they replace is kept where a run fails, bit for bit.

use super::says;
use crate::models::{own_cpu, own_devices};
use crate::support::{cpu_minimum, gpu, gpu_as_card, gpu_minimum, gpu_unfused};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use wgrad::replay::{Outcome, Replay, Tracing};
use wgrad::{DType, Device, ErrorKind, Result, Tensor};

/// A function of a state and inputs, planned once: it gives outputs and the new state.
pub struct Step {
    replay: Replay,
    pub state: Vec<Tensor>,
    n_outputs: usize,
}

impl Step {
    /// Traces `f` for these tensors.
    pub fn new(
        state: Vec<Tensor>,
        inputs: &[&Tensor],
        f: impl FnOnce(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
    ) -> Result<Step> {
        let tracing = Tracing::start()?;
        let own: Vec<Tensor> = state.iter().map(|t| tracing.symbol(t)).collect();
        let stand_ins: Vec<Tensor> = inputs.iter().map(|t| tracing.symbol(t)).collect();
        let (outputs, new) = f(&own, &stand_ins);
        let given: Vec<Tensor> = own.into_iter().chain(stand_ins).collect();
        let results: Vec<&Tensor> = outputs.iter().chain(&new).collect();
        let places = (0..new.len()).map(Some);
        let replaced: Vec<Option<usize>> = vec![None; outputs.len()]
            .into_iter()
            .chain(places)
            .collect();
        let replay = tracing.finish(&given, &results, &replaced)?;
        Ok(Step {
            replay,
            state,
            n_outputs: outputs.len(),
        })
    }

    /// Runs it; the state is the new one, or the one before where this returns an error.
    pub fn run(&mut self, inputs: &[&Tensor]) -> Result<(Vec<Tensor>, Outcome)> {
        let in_place = self.replay.in_place()[self.n_outputs..].to_vec();
        let hollow = self.replay.hollow().clone();
        let mut spares: Vec<Option<Tensor>> = vec![None; self.n_outputs];
        for (t, in_place) in self.state.iter_mut().zip(&in_place) {
            spares.push(in_place.then(|| std::mem::replace(t, hollow.clone())));
        }
        let given: Vec<&Tensor> = self.state.iter().chain(inputs.iter().copied()).collect();
        let run = AssertUnwindSafe(|| self.replay.run(&given, &[], &mut spares));
        match catch_unwind(run) {
            Ok(Ok((mut results, outcome))) => {
                self.state = results.split_off(self.n_outputs);
                Ok((results, outcome))
            }
            Ok(Err(e)) => {
                self.restore(&in_place, spares);
                Err(e)
            }
            Err(panic) => {
                self.restore(&in_place, spares);
                resume_unwind(panic)
            }
        }
    }

    fn restore(&mut self, in_place: &[bool], spares: Vec<Option<Tensor>>) {
        let left = spares.into_iter().skip(self.n_outputs);
        for ((t, spare), &in_place) in self.state.iter_mut().zip(left).zip(in_place) {
            if let (true, Some(spare)) = (in_place, spare) {
                *t = spare;
            }
        }
    }

    /// The state's bits.
    pub fn bits(&self) -> Vec<Vec<u8>> {
        let bytes = |t: &Tensor| wgrad::block_on(t.to_bytes_async()).expect("the state");
        self.state.iter().map(bytes).collect()
    }
}

/// Each kind of device that plans otherwise.
fn devices() -> Vec<Device> {
    let mut all = own_devices();
    all.push(cpu_minimum());
    all.extend(
        [gpu_minimum(), gpu_as_card(), gpu_unfused()]
            .into_iter()
            .flatten(),
    );
    all
}

/// Where [`descend`] picks its rows.
const SELECT_LINE: u32 = line!() + 7;

/// One step of gradient descent with momentum on rows of a table: the loss, the table, the momentum and a count.
fn descend(state: &[Tensor], x: &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>) {
    let [table, momentum, count] = state else {
        unreachable!("three tensors")
    };
    let rows = table.index_select(0, &x[0]);
    let loss = (&rows - &x[1]).square().sum();
    let gradient = wgrad::grad(&loss, &[table]).expect("a gradient").remove(0);
    let momentum = momentum * 0.5 + gradient;
    let table = table - &momentum * 0.25;
    (vec![loss], vec![table, momentum, count + 1.0])
}

fn start(device: &Device) -> Vec<Tensor> {
    let values: Vec<f32> = (0..12).map(|i| i as f32 * 0.5 - 2.0).collect();
    vec![
        Tensor::from_slice(&values, &[4, 3], device),
        Tensor::zeros(&[4, 3], DType::F32, device)
            .detach()
            .expect("zeros"),
        Tensor::new(&[0.0f32], device),
    ]
}

fn batch(rows: [i32; 2], device: &Device) -> [Tensor; 2] {
    let target = Tensor::from_slice(&[1.0f32, 2.0, 3.0, -1.0, -2.0, -3.0], &[2, 3], device);
    [Tensor::new(&rows, device), target]
}

#[test]
fn a_failed_step_changes_nothing_however_many_follow() {
    for device in devices() {
        let [first, target] = batch([0, 2], &device);
        let trace = || Step::new(start(&device), &[&first, &target], descend).expect("a plan");
        let (mut with, mut without) = (trace(), trace());
        let mut outputs = Vec::new();
        for n in 0..20 {
            let bad = n % 3 == 1;
            let [rows, target] = batch([n % 4, if bad { 4 + n } else { 3 }], &device);
            let ran = with.run(&[&rows, &target]);
            if !bad {
                let (loss, _) = without.run(&[&rows, &target]).expect("a step");
                outputs.push((ran, Some(loss[0].clone())));
            } else {
                outputs.push((ran, None));
            }
        }
        // Nothing was read in between.
        assert_eq!(with.bits(), without.bits(), "{device}");
        assert_eq!(with.state[2].item::<f32>().expect("a count"), 13.0);
        for (ran, want) in outputs {
            let read = ran.and_then(|(out, outcome)| {
                let loss = out[0].item::<f32>();
                assert_eq!(outcome.known().expect("known").is_ok(), loss.is_ok());
                loss
            });
            match want {
                Some(want) => {
                    assert_eq!(read.expect("a loss"), want.item::<f32>().expect("a loss"))
                }
                None => says(
                    &read.expect_err("a bad row"),
                    "outcomes/replays.rs",
                    SELECT_LINE,
                ),
            }
        }
    }
}

#[test]
fn a_step_that_replaces_without_writing_in_place_keeps_the_state_too() {
    // Swapped, moved, from inputs alone, one result for two, and read later.
    let f = |s: &[Tensor], x: &[Tensor]| {
        let picked = x[1].index_select(0, &x[0]);
        let same = &picked * 2.0;
        let outputs = vec![s[2].cumsum(0), picked.sum()];
        let new = vec![
            s[1].clone(),
            s[0].clone(),
            s[2].t() + 1.0,
            same.clone(),
            same,
            x[1].clone(),
        ];
        (outputs, new)
    };
    for device in devices() {
        let t = |from: f32| {
            let values: Vec<f32> = (0..4).map(|i| from + i as f32).collect();
            Tensor::from_slice(&values, &[2, 2], &device)
        };
        let state: Vec<Tensor> = (0..6).map(|n| t(10.0 * n as f32)).collect();
        let (good, bad) = (Tensor::new(&[1, 0], &device), Tensor::new(&[1, 9], &device));
        let x = t(0.5);
        let mut step = Step::new(state, &[&good, &x], f).expect("a plan");
        let before = step.bits();
        for _ in 0..3 {
            let read = step
                .run(&[&bad, &x])
                .and_then(|(out, _)| out[1].item::<f32>());
            assert_eq!(read.expect_err("a bad row").kind(), ErrorKind::Index);
            assert_eq!(step.bits(), before, "{device}");
        }
        let (out, _) = step.run(&[&good, &x]).expect("a step");
        assert_eq!(out[1].item::<f32>().expect("a sum"), 8.0);
        let after = step.bits();
        assert_eq!([&after[0], &after[1]], [&before[1], &before[0]]);
        assert_ne!(after[2..], before[2..]);
    }
}

#[test]
fn narrow_states_are_kept_too() {
    let f = |s: &[Tensor], x: &[Tensor]| {
        let rows = x[1].index_select(0, &x[0]).sum();
        let halves = &s[0] * 2.0 + rows.cast(DType::F16);
        (vec![rows], vec![halves, (&s[1] + &s[1]).cast(DType::U8)])
    };
    for device in devices() {
        let numbers = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
        let state = vec![
            numbers.cast(DType::F16).detach().expect("halves"),
            Tensor::new(&[1u8, 2, 3, 4, 5], &device),
        ];
        let (good, bad) = (
            Tensor::new(&[1, 0], &device),
            Tensor::new(&[-1, 0], &device),
        );
        let mut step = Step::new(state, &[&good, &numbers], f).expect("a plan");
        let before = step.bits();
        for n in 0..4 {
            let read = step
                .run(&[&bad, &numbers])
                .and_then(|(out, _)| out[0].item::<f32>());
            assert!(read.is_err(), "{device} {n}");
        }
        assert_eq!(step.bits(), before, "{device}");
        step.run(&[&good, &numbers]).expect("a step");
        assert_eq!(
            step.state[0]
                .cast(DType::F32)
                .to_vec::<f32>()
                .expect("halves"),
            [5.0, 7.0, 9.0]
        );
        assert_eq!(
            step.state[1].to_vec::<u8>().expect("bytes"),
            [2, 4, 6, 8, 10]
        );
    }
}

#[test]
fn a_step_on_an_input_from_a_failed_run_changes_nothing() {
    // The plan checks nothing itself.
    let f = |s: &[Tensor], x: &[Tensor]| (vec![x[0].sum()], vec![&s[0] + &x[0], s[1].t() * &x[0]]);
    for device in devices() {
        let [table, good, bad] = super::table(&device);
        let square = |i: &Tensor| table.index_select(0, i);
        let line = line!() - 1;
        let input = square(&good);
        let state = vec![
            Tensor::ones(&[2, 2], DType::F32, &device)
                .detach()
                .expect("ones"),
            Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &device),
        ];
        input.to_vec::<f32>().expect("rows");
        let mut step = Step::new(state, &[&input], f).expect("a plan");
        let before = step.bits();
        let poisoned = square(&bad);
        // On the cpu it has no value; on a GPU nobody knows yet.
        let _ = wgrad::eval(&[&poisoned]);
        for _ in 0..3 {
            match step.run(&[&poisoned]) {
                Ok((out, _)) => says(&super::fails(&out[0]), "outcomes/replays.rs", line),
                Err(e) if device.as_gpu().is_some() => says(&e, "outcomes/replays.rs", line),
                // It has no value to be given.
                Err(e) => assert_ne!(e.kind(), ErrorKind::Internal, "{e}"),
            }
            assert_eq!(step.bits(), before, "{device}");
        }
        let (out, _) = step.run(&[&input]).expect("a step");
        assert_eq!(out[0].item::<f32>().expect("a sum"), 14.0);
        assert_eq!(
            step.state[0].to_vec::<f32>().expect("sums"),
            [2.0, 3.0, 6.0, 7.0]
        );
    }
}

#[test]
fn an_input_on_another_device_is_an_error() {
    let mut others = vec![Device::reference(), own_cpu()];
    others.extend(gpu());
    for device in own_devices() {
        let [rows, target] = batch([0, 2], &device);
        let mut step = Step::new(start(&device), &[&rows, &target], descend).expect("a plan");
        let before = step.bits();
        for other in &others {
            let [rows, target] = batch([0, 2], other);
            let e = step.run(&[&rows, &target]).expect_err("another device");
            assert_eq!(e.kind(), ErrorKind::Device, "{e}");
            assert!(e.to_string().contains(&other.to_string()), "{e}");
            assert_eq!(step.bits(), before, "{device}");
            let moved: Vec<Tensor> = start(other);
            let own = std::mem::replace(&mut step.state, moved);
            let [rows, target] = batch([0, 2], &device);
            let e = step
                .run(&[&rows, &target])
                .expect_err("a state on another device");
            assert_eq!(e.kind(), ErrorKind::Device, "{e}");
            step.state = own;
        }
        step.run(&[&rows, &target]).expect("a step");
        assert_ne!(step.bits(), before);
    }
}

#[test]
fn a_recorded_update_keeps_what_it_updates() {
    for device in devices() {
        let [good, target] = batch([0, 2], &device);
        let [bad, _] = batch([0, 7], &device);
        let (mut with, mut without) = (start(&device), start(&device));
        let update = |state: &mut Vec<Tensor>, rows: &Tensor| {
            let (mut loss, new) = descend(state, &[rows.clone(), target.clone()]);
            let pairs: Vec<(&Tensor, &Tensor)> = state.iter().zip(&new).collect();
            let loss = loss.remove(0);
            wgrad::eval_update(&pairs, &[&loss])?;
            *state = new.iter().map(|t| t.detach().expect("a leaf")).collect();
            Ok::<Tensor, wgrad::Error>(loss)
        };
        let mut losses = Vec::new();
        for n in 0..6 {
            if n % 2 == 1 {
                losses.push(update(&mut with, &bad));
            } else {
                update(&mut with, &good).expect("a step");
                update(&mut without, &good).expect("a step");
            }
        }
        for (a, b) in with.iter().zip(&without) {
            assert_eq!(
                a.to_vec::<f32>().expect("kept"),
                b.to_vec::<f32>().expect("values")
            );
        }
        for loss in losses {
            let read = loss.and_then(|t| t.item::<f32>());
            says(
                &read.expect_err("a bad row"),
                "outcomes/replays.rs",
                SELECT_LINE,
            );
        }
        let [_, target] = batch([0, 1], &device);
        let e = wgrad::eval_update(&[(&target, &good)], &[]).expect_err("another shape");
        assert_eq!(e.kind(), ErrorKind::Shape);
    }
}
