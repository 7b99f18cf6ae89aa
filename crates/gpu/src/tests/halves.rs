//! Results of two bytes: to the bit those that a kernel has in f32, rounded; and what shares a word with them.

use super::super::exact::{Exact, exact};
use super::elementwise::{ADD, EXP, MUL, apply, load, view};
use super::{Data, Executor, assert_close, executors, open, plan_of, run, run_plan};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::*;

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

/// Values of f32 as elements of a dtype.
fn rounded(dtype: DType, data: &Data) -> Data {
    let each = data.values.iter().map(|&v| match dtype {
        DType::F16 => half::f16::from_f32(v as f32).to_f64(),
        DType::BF16 => half::bf16::from_f32(v as f32).to_f64(),
        _ => f64::from(v as f32),
    });
    Data::new(dtype, each.collect())
}

/// Runs a plan of one step as each target would, with its result in f32 and in two bytes, and compares.
fn check(plan: &Plan, inputs: &[Data], nth: usize) {
    let output = plan.outputs[0];
    if plan.slots[output].dtype != DType::F32 || plan.slots[output].len == 0 {
        return;
    }
    let scalars = [0, 0.75f32.to_bits()];
    let dtype = HALVES[nth % 2];
    for executor in executors() {
        let (wide, _) = run_plan(&executor, plan, inputs, &scalars);
        let mut plan = plan.clone();
        plan.slots[output].dtype = dtype;
        let (got, status) = run_plan(&executor, &plan, inputs, &scalars);
        assert_eq!(status, 0);
        let what = format!("{dtype} {:?} {:?}", plan.steps[0].kernel, executor.target);
        assert_close(&got, &rounded(dtype, &wide), 0.0, &what);
    }
}

fn check_kernel(kernel: Kernel, inputs: &[Data], out: (DType, usize), nth: usize) {
    check(&plan_of(kernel, inputs, out, 7), inputs, nth);
}

#[test]
fn products_store_what_they_have_rounded() {
    // A third of the cases meets all dtypes, kernels and layouts, and texts take long to compile.
    let some = super::contract::of_halves().into_iter().step_by(3);
    for (nth, (kernel, inputs, out)) in some.enumerate() {
        check_kernel(kernel, &inputs, out, nth);
    }
    for (nth, (plan, inputs, _)) in super::contract::going_on().step_by(5).enumerate() {
        check(&plan, &inputs, nth);
    }
}

#[test]
fn windows_scatters_and_scans_store_what_they_have_rounded() {
    for (nth, (kernel, inputs, out)) in super::arrange::cases().into_iter().enumerate() {
        check_kernel(kernel, &inputs, out, nth);
    }
    // More than a thread may go through besides: cleared before, rounded after.
    let scatter = ScatterAdd {
        outer: 1,
        count: 3,
        size: 40_001,
        inner: 1,
        index: [0, 1, 0],
    };
    let index = Data::new(DType::I32, vec![40_000.0, 7.0, 40_000.0]);
    let inputs = [Data::random(DType::F32, 3, 1), index];
    check_kernel(
        Kernel::ScatterAdd(scatter),
        &inputs,
        (DType::F32, 40_001),
        0,
    );
}

/// Elements of two bytes give what they would give as f32.
#[test]
fn windows_scatters_scans_and_sorts_read_halves() {
    for (nth, (kernel, inputs, out)) in super::arrange::cases().into_iter().enumerate() {
        if inputs[0].dtype != DType::F32 || out.1 == 0 {
            continue;
        }
        let dtype = HALVES[nth % 2];
        for executor in executors() {
            let mut inputs = inputs.clone();
            inputs[0] = rounded(dtype, &inputs[0]);
            let (got, _) = run(&executor, &kernel, &inputs, out, &[]);
            inputs[0] = rounded(DType::F32, &inputs[0]);
            let (want, _) = run(&executor, &kernel, &inputs, out, &[]);
            let what = format!("{dtype} {kernel:?} {:?}", executor.target);
            assert_close(&got, &want, 0.0, &what);
        }
    }
}

#[test]
fn reductions_store_what_they_have_rounded() {
    for (nth, (reduce, inputs, out)) in super::reductions::cases().into_iter().enumerate() {
        let dtype = if out.0.is_half() { DType::F32 } else { out.0 };
        check_kernel(Kernel::Reduce(reduce), &inputs, (dtype, out.1), nth);
    }
}

/// Maps into a part of their output, whose words hold elements of other parts.
#[test]
fn maps_store_parts() {
    for (rows, columns, at) in [
        (3, 5, 1),
        (4, 8, 4),
        (5, 6, 3),
        (1, 9, 7),
        (70, 4, 8),
        (9, 1, 0),
    ] {
        for pitch in [columns + at, columns + at + 3, columns + at + 8] {
            let shape = [rows, columns];
            let store = view(at as i64, &[pitch as i64, 1]);
            let expr = Expr {
                inputs: vec![DType::F32],
                insts: vec![load(0, &shape), apply(&ADD, &[0, 0], DType::F32)],
            };
            let map = Map {
                shape: shape.to_vec(),
                expr,
                store,
            };
            let x = Data::random(DType::F32, rows * columns, 5);
            let before = Data::random(DType::BF16, rows * pitch, 6);
            // First a map that fills all, then one for a part.
            let all = [rows * pitch];
            let copy = Map {
                shape: all.to_vec(),
                expr: Expr {
                    inputs: vec![DType::BF16],
                    insts: vec![load(0, &all)],
                },
                store: View::contiguous(&all),
            };
            let inputs = [before.clone(), x.clone()];
            let mut plan = plan_of(Kernel::Map(copy), &inputs, (DType::BF16, rows * pitch), 0);
            plan.steps[0].inputs = vec![0];
            let mut second = plan.steps[0].clone();
            (second.kernel, second.inputs) = (Kernel::Map(map), vec![1]);
            plan.steps.push(second);
            let mut want = before.clone();
            for (i, v) in x.values.iter().enumerate() {
                want.values[at + i / columns * pitch + i % columns] = 2.0 * v;
            }
            let want = rounded(DType::BF16, &want);
            for executor in executors() {
                let (got, _) = run_plan(&executor, &plan, &inputs, &[]);
                let what = format!("{shape:?} at {at} of {pitch}, {:?}", executor.target);
                assert_close(&got, &want, 0.0, &what);
            }
        }
    }
}

/// Of rows in two bytes: `e = exp(x)` (0, two bytes), `sum e` (1, two bytes), `e * sum e` (2, f32), and `e * e` (3, two bytes).
fn stages(outer: usize, inner: usize, from: DType, dtype: DType) -> Rows {
    let shape = [outer, inner];
    let stage = |kind, insts, dtype, output| Stage {
        kind,
        expr: Expr {
            inputs: vec![from],
            insts,
        },
        dtype,
        region: None,
        output,
    };
    let of = |stage, dtype| Inst::Stage { stage, dtype };
    let f32 = DType::F32;
    Rows {
        outer: vec![outer],
        inner: vec![inner],
        stages: vec![
            stage(
                StageKind::Each,
                vec![load(0, &shape), apply(&EXP, &[0], f32)],
                dtype,
                Some(0),
            ),
            stage(
                StageKind::Reduce(ReduceKind::Sum),
                vec![of(0, dtype)],
                dtype,
                Some(1),
            ),
            stage(
                StageKind::Each,
                vec![of(0, dtype), of(1, dtype), apply(&MUL, &[0, 1], f32)],
                f32,
                Some(2),
            ),
            stage(
                StageKind::Each,
                vec![of(0, dtype), apply(&MUL, &[0, 0], f32)],
                dtype,
                Some(3),
            ),
        ],
    }
}

#[test]
fn rows_store_two_bytes() {
    let sizes = [
        (1, 7),
        (5, 8),
        (3, 7),
        (9, 1),
        (20, 1001),
        (2, 600),
        (37, 20),
        (4, 65),
        (7, 4),
    ];
    for (outer, inner) in sizes {
        for (from, dtype) in [
            (DType::F32, DType::F16),
            (DType::F16, DType::F16),
            (DType::BF16, DType::BF16),
        ] {
            let x = Data::random(from, outer * inner, 3);
            let e: Vec<f64> = x.values.iter().map(|v| v.exp()).collect();
            let sums: Vec<f64> = e.chunks(inner).map(|row| row.iter().sum()).collect();
            let sum_of = rounded(dtype, &Data::f32(sums));
            let product = e
                .iter()
                .enumerate()
                .map(|(i, e)| e * sum_of.values[i / inner]);
            let square = e.iter().map(|e| e * e).collect();
            let want = [
                Data::new(dtype, e.clone()),
                sum_of.clone(),
                Data::f32(product.collect()),
                Data::new(dtype, square),
            ];
            let kernel = Kernel::Rows(stages(outer, inner, from, dtype));
            let mut plan = plan_of(kernel, std::slice::from_ref(&x), (dtype, outer * inner), 0);
            for (i, data) in want.iter().enumerate().skip(1) {
                plan.slots.push(Slot {
                    dtype: data.dtype,
                    len: data.values.len(),
                    place: Place::Output(i),
                });
                let slot = plan.slots.len() - 1;
                plan.steps[0].more_outputs.push(slot);
                plan.outputs.push(slot);
            }
            for executor in executors() {
                let prepared = executor.prepare(&plan).expect("prepares");
                assert_eq!(prepared.n_dispatches(), 1);
                let leaf = executor.gpu().upload(&x.bytes()).expect("uploads");
                let results = executor.run(&prepared, &[&leaf], &[0; 16]).expect("runs");
                for (i, (buffer, want)) in results.iter().zip(&want).enumerate() {
                    let bytes = executor.gpu().read_blocking(buffer).expect("reads");
                    let got = Data::from_bytes(want.dtype, &bytes);
                    let what = format!(
                        "{outer} by {inner}, {from} to {dtype}, result {i}, {:?}",
                        executor.target
                    );
                    // Half a unit of the last place, or one where a sum may have been rounded the other way.
                    let unit = if dtype == DType::F16 {
                        1.0 / 2048.0
                    } else {
                        1.0 / 256.0
                    };
                    let tolerance = if i == 1 || i == 2 {
                        2.1 * unit
                    } else {
                        1.01 * unit
                    };
                    assert_close(&got, want, tolerance, &what);
                }
            }
        }
    }
}

/// All halves as what they are in f32, twice each, as a device answers.
fn widened() -> Vec<u8> {
    let words = (0..=u16::MAX).map(|h| half::f16::from_bits(h).to_f32().to_bits());
    words
        .flat_map(|w| [w, w])
        .flat_map(u32::to_le_bytes)
        .collect()
}

#[test]
fn a_builtin_is_taken_where_all_halves_agree_only() {
    let all = widened();
    assert!(exact(&all));
    let with = |word: usize, bits: u32| {
        let mut lying = all.clone();
        lying[4 * word..][..4].copy_from_slice(&bits.to_le_bytes());
        exact(&lying)
    };
    // Subnormals flushed, of either half; a zero without its sign; infinity as the greatest number; a number for a NaN.
    let wrong = [
        (2, 0),
        (3, 0),
        (2 * 0x83ff + 1, 0x8000_0000),
        (2 * 0x8000, 0),
        (2 * 0x7c00, 0x477f_e000),
        (2 * 0x7c01, 0x7f80_0000),
        (2 * 0x3c00 + 1, 0x3f80_0001),
    ];
    for (word, bits) in wrong {
        assert!(!with(word, bits), "{word}: {bits:x}");
    }
    // Another NaN is as good.
    assert!(with(2 * 0x7c01, 0x7fff_ffff) && with(2 * 0xfe00 + 1, 0x7fc0_0000));
    assert!(!exact(&all[4..]) && !exact(&[]));
}

/// A map that only widens.
fn widening(x: &Data) -> Plan {
    let shape = [x.values.len()];
    let map = Map {
        shape: shape.to_vec(),
        expr: Expr {
            inputs: vec![x.dtype],
            insts: vec![load(0, &shape)],
        },
        store: View::contiguous(&shape),
    };
    let inputs = std::slice::from_ref(x);
    plan_of(Kernel::Map(map), inputs, (DType::F32, shape[0]), 0)
}

/// What an adapter has shown is what its texts rely on, and nothing is tried for plans without halves.
#[test]
fn texts_widen_as_the_adapter_was_found_to() {
    let Some(gpu) = open() else { return };
    let values = (0..=u16::MAX).map(|h| half::f16::from_bits(h).to_f64());
    let x = Data::new(DType::F16, values.collect());
    let plan = widening(&x);
    for class in [DeviceClass::Software, DeviceClass::Discrete] {
        let mut executor = Executor::new(gpu.clone(), class).expect("an executor");
        let submits = || gpu.stats().submits;
        let by_builtin = |executor: &Executor, plan| {
            let prepared = executor.prepare(plan).expect("prepares");
            prepared.wgsl(0)[0].contains("unpack2x16float")
        };
        let before = submits();
        let other = widening(&Data::random(DType::BF16, 8, 1));
        assert!(!by_builtin(&executor, &other));
        assert_eq!(submits(), before);
        assert!(by_builtin(&executor, &plan), "llvmpipe widens exactly");
        let tried = submits();
        assert!(tried > before);
        assert!(by_builtin(&executor, &plan));
        assert_eq!(submits(), tried, "it is tried once");
        let (fast, _) = run_plan(&executor, &plan, std::slice::from_ref(&x), &[]);
        assert_close(&fast, &x, 0.0, "the built-in");
        let mut lying = widened();
        lying[8] ^= 1;
        executor.exact = Exact::answered(&lying);
        assert!(!by_builtin(&executor, &plan));
        let (slow, _) = run_plan(&executor, &plan, std::slice::from_ref(&x), &[]);
        assert_close(&slow, &x, 0.0, "the integers");
    }
}
