//! Random programs that fail at a random place: the state is bit-equal before and after, and the error goes to the results of
//! the failed run and to nobody else.

use super::replays::Step;
use crate::models::own_devices;
use crate::support::{all, gpu_as_card, gpu_minimum};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad::{CustomOp, Device, ErrorKind, Generator, Tensor};

/// Numbers that a program is made of.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }
}

/// Sides of all matrices, so that every operation fits every other.
const N: usize = 5;

/// How a step can fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Gather,
    Scatter,
    Panic,
}

/// The value `x`, unless the switch is on: then a panic, on the cpu.
fn fuse(switch: &Arc<AtomicBool>) -> CustomOp {
    let wgsl = "
        @group(0) @binding(0) var<storage, read> in_x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {
            if id.x < arrayLength(&out_y) { out_y[id.x] = in_x[id.x]; }
        }";
    let switch = switch.clone();
    CustomOp::new("fuse", wgsl).cpu(move |x, y, _| {
        if switch.load(Ordering::Relaxed) {
            // Without a message: it is what the test asks for.
            std::panic::resume_unwind(Box::new("asked for"));
        }
        y.copy_from_slice(x[0].0);
    })
}

/// A random matrix of those there are.
fn grown(dice: &mut Dice, terms: &mut Vec<Tensor>) {
    let pick = |dice: &mut Dice, terms: &[Tensor]| terms[dice.below(terms.len())].clone();
    let (a, b) = (pick(dice, terms), pick(dice, terms));
    let new = match dice.below(12) {
        0 => &a + &b,
        1 => &a * 0.5 - &b,
        2 => &a * &b * 0.25,
        3 => a.tanh(),
        4 => a.matmul(&b) * 0.1,
        5 => a.softmax(1),
        6 => a.t().relu(),
        7 => a.cumsum(0) * 0.2,
        8 => &a - a.mean_dims(&[1], true),
        9 => (&a * 0.3).sin() + b.sigmoid(),
        10 => a.sum_dims(&[0], true) * 0.1 + &b,
        _ => Tensor::cat(&[&a.narrow(0, 0, 2), &b.narrow(0, 2, N - 2)], 0),
    };
    terms.push(new);
}

struct Program {
    step: Step,
    fault: Fault,
    n_state: usize,
}

/// A random step on `device`: what fails stands at a random place among random operations.
fn program(seed: u64, device: &Device, op: &CustomOp, inputs: &[&Tensor]) -> Program {
    let mut dice = Dice::new(seed);
    let n_state = 1 + dice.below(4);
    let on_cpu = device.as_gpu().is_none();
    let fault =
        [Fault::Gather, Fault::Scatter, Fault::Panic][dice.below(if on_cpu { 3 } else { 2 })];
    let mut rng = Generator::new(seed);
    let fresh = |_| rng.normal(&[N, N], device).detach().expect("numbers");
    let state: Vec<Tensor> = (0..n_state).map(fresh).collect();
    let f = |s: &[Tensor], x: &[Tensor]| {
        let mut terms = s.to_vec();
        terms.push(x[1].clone());
        let before = dice.below(6);
        (0..before).for_each(|_| grown(&mut dice, &mut terms));
        let last = terms[dice.below(terms.len())].clone();
        let failing = match fault {
            Fault::Gather => last.index_select(0, &x[0]),
            Fault::Scatter => {
                let rows = x[0]
                    .reshape(&[N as isize, 1])
                    .expand(&[N as isize, N as isize]);
                terms[0].scatter_add(0, &rows, &last) * 0.5
            }
            Fault::Panic => op.apply(&[&last]),
        };
        terms.push(failing.clone());
        let after = dice.below(6);
        (0..after).for_each(|_| grown(&mut dice, &mut terms));
        let new = (0..n_state).map(|i| match dice.below(4) {
            // Not all depend on what fails, and some do not change.
            0 => s[i].clone(),
            1 => &s[i] * 0.75,
            _ => &s[i] * 0.5 + terms[dice.below(terms.len())].clone() * 0.25,
        });
        let new: Vec<Tensor> = new.collect();
        (
            vec![failing.sum(), terms[dice.below(terms.len())].clone()],
            new,
        )
    };
    let step = Step::new(state, inputs, f).expect("a plan");
    Program {
        step,
        fault,
        n_state,
    }
}

fn check(seed: u64, device: &Device, switch: &Arc<AtomicBool>, op: &CustomOp) {
    let of = |rows: [i32; N]| Tensor::new(&rows, device);
    let good = of([3, 1, 4, 1, 0]);
    let mut dice = Dice::new(seed ^ 0xbad);
    let mut rows = [0, 2, 2, 4, 3];
    rows[dice.below(N)] = [-1, N as i32, i32::MAX, i32::MIN][dice.below(4)];
    let bad = of(rows);
    let mut rng = Generator::new(seed ^ 1);
    let x = rng.normal(&[N, N], device).detach().expect("numbers");
    let make = || program(seed, device, op, &[&good, &x]);
    let (mut with, mut without) = (make(), make());
    let label = format!("{device}, program {seed}, {:?}", with.fault);
    let reads = |ran: wgrad::Result<(Vec<Tensor>, _)>| {
        ran.and_then(|(out, _): (Vec<Tensor>, wgrad::replay::Outcome)| {
            out.iter()
                .map(|t| t.to_vec::<f32>())
                .collect::<wgrad::Result<Vec<_>>>()
        })
    };
    let eager = with.n_state % 2 == 0;
    for round in 0..5 {
        if round % 2 == 0 {
            let (a, b) = (with.step.run(&[&good, &x]), without.step.run(&[&good, &x]));
            let (a, b) = (reads(a).expect(&label), reads(b).expect(&label));
            let bits =
                |v: &Vec<Vec<f32>>| v.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b), "{label}");
            continue;
        }
        let before = eager.then(|| with.step.bits());
        if with.fault == Fault::Panic {
            switch.store(true, Ordering::Relaxed);
            let run = AssertUnwindSafe(|| with.step.run(&[&good, &x]).map(|_| ()));
            assert!(catch_unwind(run).is_err(), "{label}");
            switch.store(false, Ordering::Relaxed);
        } else {
            let ran = with.step.run(&[&bad, &x]);
            // Read at once, or only what comes later.
            if eager {
                let e = reads(ran).expect_err(&label);
                assert_eq!(e.kind(), ErrorKind::Index, "{label}: {e}");
            }
        }
        if let Some(before) = before {
            assert_eq!(with.step.bits(), before, "{label}");
        }
    }
    assert_eq!(with.step.bits(), without.step.bits(), "{label}");
}

#[test]
fn random_programs_that_fail_at_a_random_place_change_nothing() {
    let switch = Arc::new(AtomicBool::new(false));
    let op = fuse(&switch);
    let n = if all() { 1000 } else { 40 };
    for device in own_devices()
        .into_iter()
        .chain([gpu_minimum(), gpu_as_card()].into_iter().flatten())
    {
        (0..n).for_each(|seed| check(seed, &device, &switch, &op));
    }
}
