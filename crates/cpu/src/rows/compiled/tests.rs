//! Compiled rows against the same rows stage by stage, on one thread and on three: normalisations, softmaxes, their gradients, updates
//! in place, and random programs, over sizes that leave lanes over, rows in runs, and values that are not finite.

use super::*;
use crate::call::Operand;
use crate::dtype::DType;
use crate::plan::{Kernel, Plan, StageKind, Step};
use crate::rows::{self, Ready};
use crate::storage::HostBufferMut;
use crate::threads::par::with_threads;
use std::sync::atomic::AtomicU32;
use wgrad_graph::planning::planned;
use wgrad_graph::{Device, Tensor};

/// A number for each element, some of them not finite if `special`.
fn data(n: usize, seed: usize, special: bool) -> Vec<f32> {
    let value = |i: usize| match (i * 7 + seed) % 1009 {
        0 if special => f32::NAN,
        1 if special => f32::INFINITY,
        2 if special => -f32::INFINITY,
        3 if special => 1e30,
        4 => -0.0,
        k => (k as f32 - 500.0) * 0.004,
    };
    (0..n).map(value).collect()
}

fn tensor(shape: &[usize], seed: usize, special: bool) -> Tensor {
    let values = data(shape.iter().product(), seed, special);
    Tensor::from_slice(&values, shape, &Device::cpu())
}

/// The outputs of a step of Rows on made-up inputs.
fn outputs(
    plan: &Plan,
    step: &Step,
    ready: &Ready,
    threads: usize,
    special: bool,
) -> Vec<Vec<u32>> {
    let numbers: Vec<Vec<f32>> = step
        .inputs
        .iter()
        .enumerate()
        .map(|(i, &slot)| {
            let slot = &plan.slots[slot];
            let x = data(slot.len, 31 * i + 5, special);
            match slot.dtype {
                DType::Bool => x
                    .iter()
                    .map(|&x| f32::from_bits(u32::from(x > 0.3)))
                    .collect(),
                _ => x,
            }
        })
        .collect();
    // In memory as the executor's, which may lie between pages that end the process.
    let held_of = |words: &[u32]| HostBufferMut::copy_of(bytemuck::cast_slice(words));
    let buffers: Vec<HostBufferMut> = numbers
        .iter()
        .map(|x| held_of(bytemuck::cast_slice(x)).expect("room"))
        .collect();
    let inputs: Vec<Operand<'_>> = buffers
        .iter()
        .zip(&step.inputs)
        .map(|(x, &slot)| Operand {
            dtype: plan.slots[slot].dtype,
            bytes: x.bytes(),
        })
        .collect();
    let held = plan.held(step);
    let mut outs: Vec<HostBufferMut> = step
        .outputs()
        .enumerate()
        .map(|(o, slot)| match held.iter().find(|h| h.output == o) {
            Some(held) => held_of(bytemuck::cast_slice(&numbers[held.input])),
            None => held_of(&vec![0xABAB_ABAB; plan.slots[slot].len]),
        })
        .map(|out| out.expect("room"))
        .collect();
    let mut slices: rows::outputs::Outputs<'_> = Default::default();
    for (slice, out) in slices.iter_mut().zip(&mut outs) {
        *slice = bytemuck::cast_slice_mut(out.bytes_mut());
    }
    let scalars = [3.5f32.to_bits(); 64];
    let status = AtomicU32::new(0);
    with_threads(threads, |par| {
        let context = Context {
            inputs: &inputs,
            scalars: &scalars,
            check: 0,
            status: &status,
            par,
            packed: None,
        };
        rows::run(ready, context, slices);
    });
    let words = |out: &HostBufferMut| bytemuck::cast_slice(out.bytes()).to_vec();
    outs.iter().map(words).collect()
}

/// How far apart sums in another order may be.
fn close(a: &[u32], b: &[u32]) -> bool {
    let [a, b] = [a, b].map(|words| words.iter().map(|&w| f32::from_bits(w)));
    let size = a
        .clone()
        .filter(|x| x.is_finite())
        .fold(0.0, |m: f32, x| m.max(x.abs()));
    a.zip(b).all(|(a, b)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-5 * (a.abs() + size.min(1e3))
    })
}

/// Runs all Rows of a plan in both ways; returns how many were compiled.
fn check(plan: &Plan, what: &str) -> usize {
    let mut compiled = 0;
    for step in &plan.steps {
        let Kernel::Rows(kernel) = &step.kernel else {
            continue;
        };
        let held = plan.held(step);
        let mut ready = rows::prepare(kernel, &held);
        let Some(code) = ready.compiled.take() else {
            continue;
        };
        compiled += 1;
        for special in [false, true] {
            let want = outputs(plan, step, &ready, 1, special);
            ready.compiled = rows::prepare(kernel, &held).compiled;
            let [one, three] = [1, 3].map(|threads| outputs(plan, step, &ready, threads, special));
            ready.compiled = None;
            assert!(
                one == three,
                "{what}: results depend on the number of threads"
            );
            for (o, (got, want)) in one.iter().zip(&want).enumerate() {
                assert!(
                    close(got, want),
                    "{what}: output {o}, special {special}\n{:?}",
                    kernel.stages
                );
            }
        }
        drop(code);
    }
    compiled
}

fn usable() -> bool {
    let usable = simd::level() == Level::Avx512;
    if !usable {
        println!("skipped: this processor has no AVX-512");
    }
    usable
}

/// `y` and the gradients of its sum weighted by a random tensor.
fn with_gradients(y: &Tensor, of: &[&Tensor]) -> Vec<Tensor> {
    let upstream = tensor(y.shape(), 77, false);
    let loss = (y * upstream).sum();
    let mut all = wgrad_graph::grad(&loss, of).expect("gradients");
    all.push(y.clone());
    all
}

fn planned_of(tensors: &[Tensor]) -> Plan {
    let all: Vec<&Tensor> = tensors.iter().collect();
    planned(&all, &[]).expect("a plan").plan
}

#[test]
fn normalisations_and_their_gradients() {
    if !usable() {
        return;
    }
    for inner in [
        8, 15, 16, 17, 31, 63, 64, 65, 128, 200, 768, 1024, 1025, 1100, 2050, 4100,
    ] {
        let shape = [19, inner];
        let [x, w, b] = [&shape[..], &[inner], &[inner]].map(|s| tensor(s, s.len(), false));
        let y = x.layer_norm(&[inner], Some(&w), Some(&b), 1e-5);
        assert_eq!(
            check(&planned_of(std::slice::from_ref(&y)), "layer norm"),
            1,
            "{inner}"
        );
        let plan = planned_of(&with_gradients(&y, &[&x, &w, &b]));
        assert!(check(&plan, "layer norm's gradients") > 0, "{inner}");
        let plan = planned_of(&with_gradients(
            &x.rms_norm(&[inner], Some(&w), 1e-5),
            &[&x, &w],
        ));
        assert!(check(&plan, "rms norm") > 0, "{inner}");
        let plan = planned_of(&with_gradients(&x.softmax(-1), &[&x]));
        assert!(check(&plan, "softmax") > 0, "{inner}");
        let plan = planned_of(&with_gradients(&x.log_softmax(-1), &[&x]));
        check(&plan, "log softmax");
    }
    for [n, c, side] in [
        [3, 5, 6],
        [2, 7, 4],
        [9, 4, 7],
        [33, 3, 8],
        [2, 3, 33],
        [40, 2, 5],
    ] {
        let x = tensor(&[n, c, side, side], 3, false);
        let [w, b] = [1, 2].map(|s| tensor(&[c], s, false));
        let (y, mean, var) = x.batch_norm_train(Some(&w), Some(&b), 1e-5);
        let mut all = with_gradients(&y.relu(), &[&x, &w, &b]);
        all.extend([mean, var]);
        assert!(check(&planned_of(&all), "batch norm") > 0, "{n} {c} {side}");
        let y = x.group_norm(1, Some(&w), Some(&b), 1e-5);
        check(
            &planned_of(&with_gradients(&y, &[&x, &w, &b])),
            "group norm",
        );
    }
}

#[test]
fn updates_in_place() {
    if !usable() {
        return;
    }
    for n in [8, 100, 1000, 5000] {
        let [p, m, v, g] = [1, 2, 3, 4].map(|seed| tensor(&[n], seed, false));
        // Scaled by its norm, as clipping does.
        let g = &g / (g.square().sum().sqrt() + 1.0);
        let m_new = &m * 0.9 + &g * 0.1;
        let v_new = &v * 0.99 + g.square() * 0.01;
        let p_new = &p - &m_new / (v_new.sqrt() + 1e-8) * 0.001;
        let outs = [&p_new, &m_new, &v_new];
        let plan = planned(&outs, &[Some(&p), Some(&m), Some(&v)])
            .expect("a plan")
            .plan;
        assert_eq!(check(&plan, "update"), 1);
    }
}

/// The slope of GELU, as gradients have it.
fn slope(of: &Tensor) -> Tensor {
    let slope = wgrad_graph::grad(&of.gelu().sum(), &[of]);
    slope.expect("a gradient").remove(0)
}

/// GELU's gradient with the sums that a layer needs of it, over what is not finite too.
#[test]
fn gelu_gradients() {
    if !usable() {
        return;
    }
    for (rows, inner) in [(300, 64), (257, 130), (80, 1030), (700, 50)] {
        let (x, bias) = (tensor(&[rows, inner], 3, false), tensor(&[inner], 4, false));
        let wide = &(&x * 3.0) + &bias;
        let gradient = slope(&wide) * tensor(&[rows, inner], 5, false);
        let sum = gradient.sum_dims(&[0], false);
        let plan = planned_of(&[gradient, sum]);
        assert_eq!(check(&plan, "gelu"), 1, "{rows} {inner}");
    }
}

/// Reads points, rows and numbers in every way that stages can, with every function that is known.
#[test]
fn random_programs() {
    if !usable() {
        return;
    }
    let mut state = 12345u64;
    let mut below = move |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut compiled = 0;
    for round in 0..120 {
        let inner = [9, 16, 24, 50, 64, 130, 1030][below(7)];
        let shape = [1 + below(40), inner];
        let x = tensor(&shape, round, false);
        let row = tensor(&[shape[0], 1], round + 1, false);
        let point = tensor(&[inner], round + 2, false);
        let mask = tensor(&shape, round + 3, false).gt(&point).detach();
        let mask = mask.expect("a mask");
        let mut values = vec![x.clone(), &x * &row, &x + &point];
        for _ in 0..2 + below(6) {
            let a = values[below(values.len())].clone();
            let b = values[below(values.len())].clone();
            values.push(match below(18) {
                11 => Tensor::where_(&a.lt(&b).logical_or(&b.ne(&x)), &b, &a),
                12 => Tensor::where_(&mask, &(&a * 0.5), &b),
                13 => Tensor::where_(&a.gt(&b).logical_and(&mask).logical_not(), &x, &b),
                14 => a.clamp(-0.5, 0.75),
                16 => slope(&a) * b,
                15 => Tensor::where_(&a.ge(&row).logical_and(&a.eq(&a)), &a, &point),
                0 => a + b,
                1 => a * b,
                2 => a - b,
                3 => a.maximum(&b),
                4 => a.minimum(&b),
                5 => a.relu(),
                6 => (a * 0.1).exp(),
                7 => a.square().sqrt(),
                8 => &a - a.sum_dims(&[1], true),
                9 => &a * a.amax_dims(&[1], true),
                10 => Tensor::where_(&a.le(&b), &b, &a),
                _ => -a / (b.square() + 1.0),
            });
        }
        let last = values.len() - 1;
        let truth = values[last].gt(&values[last - 1]).logical_and(&mask);
        let mut outs = vec![
            truth,
            values[last].clone(),
            values[last - 1].sum_dims(&[0], false),
        ];
        outs.push(values[last].sum_dims(&[1], false));
        compiled += check(&planned_of(&outs), &format!("program {round}, {shape:?}"));
    }
    assert!(compiled > 60, "only {compiled} programs were compiled");
}

#[test]
fn the_greatest_of_zeros_is_positive() {
    if !usable() {
        return;
    }
    for (shape, zero) in [([3, 40], -0.0), ([3, 64], -0.0), ([2, 100], 0.0)] {
        let mut x = vec![zero; shape[0] * shape[1]];
        x[5] = -0.0;
        x[6] = -1.0;
        let x = Tensor::from_slice(&x, &shape, &Device::cpu());
        let greatest = x.amax_dims(&[1], true);
        let plan = planned_of(&[greatest.recip(), &x - &greatest]);
        assert!(check(&plan, "maximum") > 0);
        let (recip, rest) = (greatest.recip(), &x - &greatest);
        wgrad_graph::eval(&[&recip, &rest]).expect("values");
        let recip = recip.to_vec::<f32>().expect("values");
        assert!(recip.iter().all(|&r| r == f32::INFINITY), "{recip:?}");
    }
}

/// Runs as long as a few lanes, of which some are one more than a group has, and stages that each read all before them.
#[test]
fn short_runs_and_many_readers() {
    if !usable() {
        return;
    }
    for (images, side) in [(31, 4), (17, 5), (33, 7), (70, 4), (5, 2), (40, 3)] {
        let x = tensor(&[images, 6, side, side], 9, false);
        let (y, mean, var) = x.batch_norm_train(None, None, 1e-5);
        let mut all = with_gradients(&y, &[&x]);
        all.extend([mean, var]);
        let compiled = check(&planned_of(&all), "short runs");
        assert_eq!(compiled > 0, side * side >= SHORTEST_RUN, "{images} {side}");
    }
    let x = tensor(&[4, 64], 1, false);
    let mut values = vec![&x - x.sum_dims(&[1], true)];
    for _ in 0..18 {
        let sum = values.iter().skip(1).fold(values[0].clone(), |a, b| a + b);
        values.push(&sum - sum.sum_dims(&[1], true) * 0.001);
    }
    check(&planned_of(&values[values.len() - 1..]), "many readers");
}

#[test]
fn what_is_not_known_is_not_compiled() {
    let x = tensor(&[4, 64], 1, false);
    for y in [
        x.argmax(1, true).cast(wgrad_graph::DType::F32) + &x,
        x.softmax(-1).tanh(),
    ] {
        let plan = planned_of(&[y]);
        let each = plan.steps.iter().filter_map(|s| match &s.kernel {
            Kernel::Rows(rows) if rows.stages.iter().any(|s| s.kind == StageKind::Each) => {
                Some(rows)
            }
            _ => None,
        });
        for rows in each {
            assert!(rows::prepare(rows, &[]).compiled.is_none());
        }
    }
}
