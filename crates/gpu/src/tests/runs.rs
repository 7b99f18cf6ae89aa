//! Plans across steps and runs: regions of one output, scalars that change, random streams.

use super::elementwise::{ADD, MUL, apply, load, view};
use super::{Data, assert_close, executors, run};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::*;

#[test]
fn regions_leave_the_rest() {
    // Zeros, then x into the middle of each row.
    let x = Data::random(DType::F32, 6, 8);
    let zeros = Map {
        shape: vec![15],
        expr: Expr {
            inputs: vec![],
            insts: vec![Inst::Literal {
                value: 0,
                dtype: DType::F32,
            }],
        },
        store: View::contiguous(&[15]),
    };
    let region = Map {
        shape: vec![3, 2],
        expr: Expr {
            inputs: vec![DType::F32],
            insts: vec![load(0, &[3, 2])],
        },
        store: view(2, &[5, 1]),
    };
    let mut plan = super::plan_of(
        Kernel::Map(zeros),
        std::slice::from_ref(&x),
        (DType::F32, 15),
        0,
    );
    plan.steps[0].inputs.clear();
    let mut second = plan.steps[0].clone();
    second.kernel = Kernel::Map(region);
    second.inputs = vec![0];
    plan.steps.push(second);
    for executor in executors() {
        let prepared = executor.prepare(&plan).expect("prepares");
        assert_eq!((prepared.n_dispatches(), prepared.wgsl(1).len()), (2, 1));
        let leaf = executor.gpu().upload(&x.bytes()).expect("uploads");
        let out = executor.run(&prepared, &[&leaf], &[0; 16]).expect("runs");
        let got = Data::from_bytes(
            DType::F32,
            &executor.gpu().read_blocking(&out[0]).expect("reads"),
        );
        let expected = (0..15).map(|i| match i % 5 {
            2 | 3 => x.values[i / 5 * 2 + i % 5 - 2],
            _ => 0.0,
        });
        assert_close(&got, &Data::f32(expected.collect()), 0.0, "region");
    }
}

/// Philox 4x32-10 as published.
fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p = u64::from(c[0]) * 0xD251_1F53;
        let q = u64::from(c[2]) * 0xCD9E_8D57;
        c = [
            (q >> 32) as u32 ^ c[1] ^ key[0],
            q as u32,
            (p >> 32) as u32 ^ c[3] ^ key[1],
            p as u32,
        ];
        key = [
            key[0].wrapping_add(0x9E37_79B9),
            key[1].wrapping_add(0xBB67_AE85),
        ];
    }
    c
}

#[test]
fn random_words_are_philox() {
    let n = 21;
    let insts = vec![Inst::Random {
        view: view(2, &[1]),
        scalar: 1,
    }];
    let map = Map {
        shape: vec![n],
        expr: Expr {
            inputs: vec![],
            insts,
        },
        store: View::contiguous(&[n]),
    };
    let scalars = [99, 0xDEAD_BEEF, 17, 5, 6, 7];
    let word = |w: usize| philox([(w / 4) as u32, 7, 5, 6], [0xDEAD_BEEF, 17])[w % 4];
    let expected = Data::new(DType::U32, (0..n).map(|i| f64::from(word(i + 2))).collect());
    for executor in executors() {
        let (got, _) = run(
            &executor,
            &Kernel::Map(map.clone()),
            &[],
            (DType::U32, n),
            &scalars,
        );
        assert_close(&got, &expected, 0.0, "philox");
    }
}

#[test]
fn scalars_change_between_runs() {
    let insts = vec![
        load(0, &[5]),
        Inst::Scalar {
            scalar: 3,
            dtype: DType::F32,
        },
        apply(&MUL, &[0, 1], DType::F32),
        Inst::Scalar {
            scalar: 3,
            dtype: DType::F32,
        },
        apply(&ADD, &[2, 3], DType::F32),
    ];
    let x = Data::random(DType::F32, 5, 9);
    let map = Map {
        shape: vec![5],
        expr: Expr {
            inputs: vec![DType::F32],
            insts,
        },
        store: View::contiguous(&[5]),
    };
    let plan = super::plan_of(
        Kernel::Map(map),
        std::slice::from_ref(&x),
        (DType::F32, 5),
        0,
    );
    for executor in executors() {
        let prepared = executor.prepare(&plan).expect("prepares");
        let leaf = executor.gpu().upload(&x.bytes()).expect("uploads");
        let outs: Vec<_> = [2.0_f32, 2.0, -3.0]
            .iter()
            .map(|s| {
                let mut scalars = [0; 16];
                scalars[3] = s.to_bits();
                executor
                    .run(&prepared, &[&leaf], &scalars)
                    .expect("runs")
                    .remove(0)
            })
            .collect();
        for (out, s) in outs.iter().zip([2.0, 2.0, -3.0]) {
            let got = Data::from_bytes(
                DType::F32,
                &executor.gpu().read_blocking(out).expect("reads"),
            );
            let expected = x.values.iter().map(|v| v * s + s).collect();
            assert_close(&got, &Data::f32(expected), 1e-6, "scalars");
        }
    }
}

/// `x + x` into a temporary buffer, its sum, and the leaf itself as a result.
#[test]
fn temps_carry_values_and_leaves_may_be_results() {
    let n = 300;
    let x = Data::random(DType::F32, n, 10);
    let origin = Origin {
        name: "test".to_owned(),
        location: std::panic::Location::caller(),
        node: 0,
    };
    let slot = |len, place| Slot {
        dtype: DType::F32,
        len,
        place,
    };
    let step = |kernel, input, output| Step {
        kernel,
        inputs: vec![input],
        output,
        more_outputs: Vec::new(),
        then: None,
        check: 0,
        origin: origin.clone(),
    };
    let twice = Map {
        shape: vec![n],
        expr: Expr {
            inputs: vec![DType::F32],
            insts: vec![load(0, &[n]), apply(&ADD, &[0, 0], DType::F32)],
        },
        store: View::contiguous(&[n]),
    };
    let sum = Reduce {
        kind: ReduceKind::Sum,
        outer: vec![],
        inner: vec![n],
        expr: Expr {
            inputs: vec![DType::F32],
            insts: vec![load(0, &[n])],
        },
    };
    let plan = Plan {
        slots: vec![
            slot(n, Place::Leaf(0)),
            slot(n, Place::Temp(0)),
            slot(1, Place::Output(0)),
        ],
        steps: vec![
            step(Kernel::Map(twice), 0, 1),
            step(Kernel::Reduce(sum), 1, 2),
        ],
        outputs: vec![2, 0, 2],
        temps: vec![4 * n],
        n_leaves: 1,
        in_place: Vec::new(),
        n_scalars: 0,
    };
    for executor in executors() {
        let prepared = executor.prepare(&plan).expect("prepares");
        let leaf = executor.gpu().upload(&x.bytes()).expect("uploads");
        let missing = executor.run(&prepared, &[], &[]);
        assert!(missing.is_err(), "a leaf is missing");
        let out = executor.run(&prepared, &[&leaf], &[]).expect("runs");
        let read = |i: usize| executor.gpu().read_blocking(&out[i]).expect("reads");
        assert_eq!(read(1), x.bytes());
        let expected = Data::f32(vec![2.0 * x.values.iter().sum::<f64>()]);
        for i in [0, 2] {
            assert_close(
                &Data::from_bytes(DType::F32, &read(i)),
                &expected,
                1e-5,
                "sum",
            );
        }
    }
}

/// What is cleared may end within a word: an odd number of elements of two bytes, where something else lies behind them.
#[test]
fn odd_numbers_of_halves_are_cleared() {
    let nothing = Matrix {
        offset: 0,
        batch: 0,
        row: 0,
        col: 1,
    };
    let sum_of_nothing = Matmul {
        batch: 1,
        m: 3,
        n: 3,
        k: 0,
        a: nothing,
        b: nothing,
    };
    let mut weight_grad =
        super::contract::conv(ConvKind::WeightGrad, 1, [1, 1], [1, 5, 5], [1, 3, 3]);
    weight_grad.batch = 0;
    let scatter = ScatterAdd {
        outer: 1,
        count: 0,
        size: 9,
        inner: 1,
        index: [0, 1, 0],
    };
    for dtype in [DType::F16, DType::BF16] {
        for (kernel, index) in [
            (Kernel::Matmul(sum_of_nothing), dtype),
            (Kernel::Conv(weight_grad), dtype),
            (Kernel::ScatterAdd(scatter), DType::I32),
        ] {
            cleared_in_a_temporary(kernel, [dtype, index], (dtype, 9));
        }
    }
}

/// Runs a kernel of two operands of no elements into a temporary, which a map reads.
fn cleared_in_a_temporary(kernel: Kernel, operands: [DType; 2], (dtype, n): (DType, usize)) {
    let inputs = operands.map(|dtype| Data::new(dtype, Vec::new()));
    let mut plan = super::plan_of(kernel, &inputs, (dtype, n), 0);
    plan.slots[2].place = Place::Temp(0);
    plan.temps = vec![2 * n];
    plan.slots.push(Slot {
        dtype: DType::F32,
        len: n,
        place: Place::Output(0),
    });
    let mut reads = plan.steps[0].clone();
    reads.kernel = Kernel::Map(Map {
        shape: vec![n],
        expr: Expr {
            inputs: vec![dtype],
            insts: vec![load(0, &[n]), apply(&ADD, &[0, 0], DType::F32)],
        },
        store: View::contiguous(&[n]),
    });
    (reads.inputs, reads.output) = (vec![2], 3);
    plan.steps.push(reads);
    plan.outputs = vec![3];
    for executor in executors() {
        let (got, _) = super::run_plan(&executor, &plan, &inputs, &[]);
        assert_close(&got, &Data::f32(vec![0.0; n]), 0.0, "zeros");
    }
}

/// What a replay must not do: create anything, once its outputs come from the pool.
#[test]
fn replays_create_nothing() {
    let x = Data::random(DType::F32, 40, 13);
    let map = Map {
        shape: vec![40],
        expr: Expr {
            inputs: vec![DType::F32],
            insts: vec![load(0, &[40]), apply(&MUL, &[0, 0], DType::F32)],
        },
        store: View::contiguous(&[40]),
    };
    let plan = super::plan_of(
        Kernel::Map(map),
        std::slice::from_ref(&x),
        (DType::F32, 40),
        0,
    );
    // A device of its own: the other tests' work would be counted too.
    let Some(gpu) = super::open() else { return };
    let executor = super::Executor::new(gpu.clone(), DeviceClass::Software).expect("an executor");
    let prepared = executor.prepare(&plan).expect("prepares");
    let leaf = gpu.upload(&x.bytes()).expect("uploads");
    let step = || {
        let out = executor.run(&prepared, &[&leaf], &[0; 16]).expect("runs");
        drop(out);
        gpu.synchronize_blocking().expect("waits");
    };
    step();
    step();
    let before = gpu.stats();
    step();
    let after = gpu.stats();
    assert_eq!(after.created.buffers, before.created.buffers);
    assert_eq!(after.created.pipelines, before.created.pipelines);
    assert_eq!(after.created.bind_groups, before.created.bind_groups);
    assert_eq!(after.submits, before.submits + 1);
    assert_eq!(after.written_bytes, before.written_bytes);
}
