//! Every named kernel and a cross-section of generated ones, through naga alone.

use super::super::call::{Arg, Work};
use super::super::choices::Choices;
use super::super::lower::lower;
use super::super::target::Target;
use super::vectors::parts_stored;
use super::{Data, TARGETS, elementwise, plan_of};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::*;
use wgrad_device::reflect_with;

/// Lowers for each target, validates each text, and compares bindings with arguments. Returns the labels.
pub(super) fn validate(kernel: &Kernel, inputs: &[Data], out: (DType, usize)) -> Vec<&'static str> {
    validate_step(&plan_of(kernel.clone(), inputs, out, 1))
}

/// The same for the one step of a plan.
fn validate_step(plan: &Plan) -> Vec<&'static str> {
    let mut labels = Vec::new();
    for target in TARGETS {
        let lowered = lower(plan, &plan.steps[0], target, &Choices::NONE).expect("lowers");
        for work in lowered.work {
            let Work::Call(call) = work else { continue };
            let reflection = reflect_with(&call.wgsl, &call.constants)
                .unwrap_or_else(|e| panic!("{}: {e}\n{}", call.label, call.wgsl));
            let parts = parts_stored(&call.wgsl);
            assert!(parts.is_empty(), "{}: {parts:?}", call.label);
            let entry = reflection.entry("main").expect("an entry point");
            assert_eq!(entry.bindings.len(), call.args.len(), "{}", call.label);
            assert!(
                entry.workgroup_bytes <= 16384,
                "{}: {} bytes",
                call.label,
                entry.workgroup_bytes
            );
            assert!(
                entry.workgroup_size.iter().product::<u32>() <= 256,
                "{}",
                call.label
            );
            let params = call.args.iter().position(|a| *a == Arg::Params);
            let size = entry.bindings[params.expect("every kernel has parameters")].min_size;
            let words = call.params.words.len().next_multiple_of(4).max(4) as u64;
            assert!(
                size <= 4 * words,
                "{}: {size} bytes declared, {words} words given",
                call.label
            );
            let buffers = call.args.iter().filter(|arg| **arg != Arg::Params);
            assert!(buffers.count() <= 8, "{}", call.label);
            let loops = ["for (", "while (", "loop {"];
            assert!(
                call.iterations > 0 || !loops.iter().any(|l| call.wgsl.contains(l)),
                "{}: a loop of no rounds",
                call.label
            );
            labels.push(call.label);
        }
    }
    labels
}

#[test]
fn generated_texts_are_valid() {
    for case in elementwise::cases() {
        validate(
            &Kernel::Map(case.map),
            &case.inputs,
            (case.out.0, case.out.1),
        );
    }
    for (kernel, inputs, out) in super::reductions::cases() {
        validate(&Kernel::Reduce(kernel), &inputs, out);
    }
    for (kernel, inputs) in super::rows::cases() {
        validate(&Kernel::Rows(kernel), &inputs, (DType::F32, 60));
    }
}

#[test]
fn named_kernels_are_valid() {
    let mut seen: Vec<&str> = Vec::new();
    for (kernel, inputs, out) in super::contract::cases()
        .into_iter()
        .chain(super::contract::of_halves())
        .chain(super::arrange::cases())
    {
        seen.extend(validate(&kernel, &inputs, out));
    }
    let all = [
        "matmul register",
        "matmul tiled",
        "matmul wide",
        "matmul tiled aligned",
        "matmul wide aligned",
        "matmul lanes",
        "matmul lanes aligned",
        "conv lanes",
        "conv input grad lanes",
        "conv weight grad lanes",
        "conv wide",
        "conv input grad wide",
        "conv weight grad wide",
        "sum parts",
        "conv register",
        "conv tiled",
        "conv direct",
        "conv input grad register",
        "conv input grad tiled",
        "conv input grad direct",
        "conv weight grad register",
        "conv weight grad tiled",
        "conv weight grad direct",
        "window",
        "scatter add rows",
        "scatter add targets",
        "scatter add lines",
        "scan serial",
        "scan blocked",
        "argsort",
        "argsort blocks",
        "argsort step",
        "scatter add sorted",
        "scan totals",
        "scan carry",
        "scan parts",
        "window line",
        "radix count",
        "radix totals",
        "radix places",
        "radix move",
    ];
    for label in all {
        assert!(seen.contains(&label), "no case runs `{label}`");
    }
}

#[test]
fn products_that_go_on_are_valid() {
    for (plan, ..) in super::contract::going_on() {
        assert!(!validate_step(&plan).is_empty());
    }
}

#[test]
fn texts_do_not_depend_on_sizes() {
    let text = |shape: [usize; 2]| {
        let map = elementwise::add_broadcast(shape);
        let inputs = [
            Data::random(DType::F32, shape[0] * shape[1], 1),
            Data::random(DType::F32, shape[1], 2),
        ];
        let plan = plan_of(
            Kernel::Map(map),
            &inputs,
            (DType::F32, shape[0] * shape[1]),
            0,
        );
        let lowered = lower(
            &plan,
            &plan.steps[0],
            Target::new(DeviceClass::Discrete),
            &Choices::NONE,
        )
        .expect("lowers");
        let Work::Call(call) = &lowered.work[0] else {
            panic!("a map dispatches")
        };
        call.wgsl.to_string()
    };
    assert_eq!(text([5, 7]), text([300, 41]));
}
