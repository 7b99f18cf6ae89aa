//! Kernels stay within their buffers by themselves, for nobody else sees to it on a trusted device: every index of a buffer or of
//! workgroup memory is compared with the length at hand while it runs, whatever becomes of what is read.

use super::super::call::{Arg, Call, Grid, Work};
use super::super::choices::Choices;
use super::super::lower::lower;
use super::super::prepared::{bound, slot_bytes};
use super::super::target::Target;
use super::{Data, TARGETS, plan_of};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::{Kernel, Plan};
use std::sync::OnceLock;
use wgrad_device::{Binding, Buffer, Gpu, KernelSource, OpenOptions, fold_groups};

/// Buffers and arrays in workgroup memory that a text declares, with their lengths.
fn arrays(wgsl: &str) -> Vec<(&str, String)> {
    let declared = |line: &'_ str| {
        let at = line.find("var<storage").or(line.find("var<workgroup"))?;
        let (name, ty) = line[at..].split_once("> ")?.1.split_once(": array<")?;
        let element = ty.rsplit_once(">;")?.0;
        let length = match element.rsplit_once(", ") {
            Some((_, n)) => format!("u32({n})"),
            None => format!("arrayLength(&{name})"),
        };
        let start = line.find(name)?;
        Some((start, name.len(), length))
    };
    let each = wgsl.lines().filter_map(|line| {
        let (start, len, length) = declared(line)?;
        Some((&line[start..start + len], length))
    });
    each.collect()
}

/// The same text, which counts in a further buffer what lies beyond the arrays, and says which access that was last.
fn noting(wgsl: &str, binding: usize) -> (String, Vec<String>) {
    let arrays = arrays(wgsl);
    let mut seen = Vec::new();
    let text = indexed(wgsl, &arrays, &mut seen);
    let head = format!(
        "@group(0) @binding({binding}) var<storage, read_write> beyond: array<atomic<u32>, 3>;\n\
         fn near(at: u32, n: u32, which: u32) -> u32 {{\n\
         if (at >= n) {{\natomicAdd(&beyond[0], 1u);\natomicStore(&beyond[1], which);\n\
         atomicStore(&beyond[2], at);\n}}\nreturn min(at, max(n, 1u) - 1u);\n}}\n"
    );
    (head + &text, seen)
}

/// A text with all indices of these arrays looked at; `seen` are the accesses.
fn indexed(wgsl: &str, arrays: &[(&str, String)], seen: &mut Vec<String>) -> String {
    let mut text = String::new();
    let mut rest = wgsl;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(open) = rest.find('[') {
        let before = &rest[..open];
        let name = &before[before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1)..];
        let array = arrays.iter().find(|(known, _)| *known == name);
        let Some((_, length)) = array else {
            text += &rest[..=open];
            rest = &rest[open + 1..];
            continue;
        };
        let mut depth = 0;
        let close = rest[open..].find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let close = open + close.expect("brackets that match");
        let index = indexed(&rest[open + 1..close], arrays, seen);
        let which = seen.len();
        seen.push(format!("{name}{}", &rest[open..=close]));
        text += &format!("{before}[near(u32({index}), {length}, {which}u)]");
        rest = &rest[close + 1..];
    }
    text + rest
}

/// A device with all that the adapter offers.
fn gpu() -> Option<Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let options = OpenOptions {
        allow_software: true,
        trusted: true,
        ..OpenOptions::default()
    };
    GPU.get_or_init(|| Gpu::open_blocking(options).ok()).clone()
}

/// The buffers of a step.
struct Buffers {
    inputs: Vec<Buffer>,
    /// The first output, and more.
    outputs: Vec<Buffer>,
    scratch: Vec<Buffer>,
    status: Buffer,
}

/// Runs a plan of one step and says what it reaches beyond its buffers.
fn beyond(gpu: &Gpu, plan: &Plan, inputs: &[Data], target: Target) -> Vec<String> {
    let step = &plan.steps[0];
    let lowered = lower(plan, step, target, &Choices::NONE).expect("lowers");
    let zeroed = |bytes: u64| gpu.alloc_zeroed(bound(bytes)).expect("memory");
    let buffers = Buffers {
        inputs: inputs.iter().map(|data| filled(gpu, data)).collect(),
        outputs: step
            .outputs()
            .map(|slot| zeroed(slot_bytes(plan, slot)))
            .collect(),
        scratch: lowered.scratch.iter().map(|&n| zeroed(n)).collect(),
        status: zeroed(4),
    };
    let calls = lowered.work.into_iter().filter_map(|work| match work {
        Work::Clear => None,
        Work::Call(call) => beyond_of(gpu, &call, &buffers),
    });
    calls.collect()
}

fn filled(gpu: &Gpu, data: &Data) -> Buffer {
    let mut bytes = data.bytes();
    if bytes.is_empty() {
        bytes = vec![0; 4];
    }
    gpu.upload(&bytes).expect("uploads")
}

/// The same for one dispatch.
fn beyond_of(gpu: &Gpu, call: &Call, buffers: &Buffers) -> Option<String> {
    let (wgsl, seen) = noting(&call.wgsl, call.args.len());
    let source = KernelSource::new(call.label, &wgsl).constants(&call.constants);
    let kernel = gpu.kernel(source);
    let kernel = kernel.unwrap_or_else(|e| panic!("{}: {e}\n{wgsl}", call.label));
    let mut words = call.params.words.clone();
    words.resize(words.len().next_multiple_of(4).max(4), 0);
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let params = gpu.upload(&words).expect("uploads");
    let note = gpu.alloc_zeroed(12).expect("memory");
    let args = call.args.iter().map(|arg| match *arg {
        Arg::Input(i) => &buffers.inputs[i],
        Arg::Output => &buffers.outputs[0],
        Arg::More(i) => &buffers.outputs[1 + i],
        Arg::Scratch(i) => &buffers.scratch[i],
        Arg::Params => &params,
        Arg::Status => &buffers.status,
    });
    let bindings: Vec<Binding<'_>> = args.chain([&note]).map(Binding::whole).collect();
    let groups = match call.grid {
        Grid::Groups(n) => n,
        Grid::Threads(n) => {
            let size: u32 = kernel.workgroup_size().iter().product();
            n.div_ceil(u64::from(size))
        }
    };
    let grid = fold_groups(groups, gpu.limits().max_groups);
    let mut commands = gpu.commands();
    commands
        .dispatch(&kernel, &bindings, grid)
        .expect("dispatches");
    commands.submit().expect("submits");
    let bytes = gpu.read_blocking(&note).expect("reads");
    let word = |i: usize| u32::from_le_bytes([0, 1, 2, 3].map(|b| bytes[4 * i + b]));
    let [count, which, at] = [0, 1, 2].map(word);
    let access = &seen.get(which as usize);
    (count > 0).then(|| format!("{}: {count} of {access:?}, as {at}", call.label))
}

/// Runs a plan of one step as each target would; nothing may reach beyond its buffers.
fn stays_within(plan: &Plan, inputs: &[Data]) {
    let Some(gpu) = gpu() else { return };
    let lanes = Target::of(&gpu, DeviceClass::Software).lanes;
    for target in TARGETS.into_iter().filter(|t| lanes || !t.lanes) {
        let found = beyond(&gpu, plan, inputs, target);
        let kernel = &plan.steps[0].kernel;
        assert!(found.is_empty(), "{found:?}: {kernel:?} {target:?}");
    }
}

/// All of some cases with `WGRAD_TEST_ALL=1`, else one of so many: each is a kernel that an adapter compiles with all its accesses
/// looked at, which takes llvmpipe minutes.
fn some<T>(cases: impl IntoIterator<Item = T>, every: usize) -> impl Iterator<Item = T> {
    let all = std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1");
    if !all {
        println!("one of {every} cases unless WGRAD_TEST_ALL=1");
    }
    cases.into_iter().step_by(if all { 1 } else { every })
}

fn all_within(cases: impl IntoIterator<Item = (Kernel, Vec<Data>, (DType, usize))>) {
    for (kernel, inputs, out) in cases {
        stays_within(&plan_of(kernel, &inputs, out, 1), &inputs);
    }
}

#[test]
fn convolutions_stay_within_their_buffers() {
    all_within(some(super::convolutions::cases(), 8));
}

#[test]
fn products_stay_within_their_buffers() {
    all_within(some(super::contract::cases(), 32));
    all_within(some(super::contract::of_halves(), 40));
    for (plan, inputs, _) in some(super::contract::going_on(), 80) {
        stays_within(&plan, &inputs);
    }
}

#[test]
fn attentions_stay_within_their_buffers() {
    all_within(some(super::attention::cases(), 10));
}

#[test]
fn arrangements_stay_within_their_buffers() {
    all_within(super::arrange::cases());
}

#[test]
fn maps_and_reductions_stay_within_their_buffers() {
    let maps = super::elementwise::cases().into_iter();
    all_within(some(maps, 2).map(|case| (Kernel::Map(case.map), case.inputs, case.out)));
    let reductions = super::reductions::cases().into_iter();
    all_within(
        some(reductions, 2).map(|(reduce, inputs, out)| (Kernel::Reduce(reduce), inputs, out)),
    );
}

#[test]
fn rows_stay_within_their_buffers() {
    for (plan, inputs) in some(super::rows::plans(), 2) {
        stays_within(&plan, &inputs);
    }
}

#[test]
fn accesses_beyond_are_found() {
    let Some(gpu) = gpu() else { return };
    let text = |index: &str| {
        format!(
            "var<workgroup> sh: array<f32, 64>;\n\
             @group(0) @binding(0) var<storage, read> in_0: array<f32>;\n\
             @group(0) @binding(1) var<storage, read_write> out_0: array<f32>;\n\
             @compute @workgroup_size(64)\n\
             fn main(@builtin(local_invocation_index) i: u32) {{\n\
             sh[i] = in_0[i];\nworkgroupBarrier();\nout_0[{index}] = sh[63u - i];\n}}\n"
        )
    };
    let buffers = Buffers {
        inputs: vec![filled(&gpu, &Data::random(DType::F32, 64, 1))],
        outputs: vec![gpu.alloc_zeroed(256).expect("memory")],
        scratch: Vec::new(),
        status: gpu.alloc_zeroed(4).expect("memory"),
    };
    let of = |index: &str| {
        let call = Call {
            label: "test",
            wgsl: text(index).into(),
            constants: Vec::new(),
            args: vec![Arg::Input(0), Arg::Output],
            params: super::super::call::Words::default(),
            grid: Grid::Groups(1),
            iterations: 0,
        };
        beyond_of(&gpu, &call, &buffers)
    };
    assert_eq!(of("i"), None);
    assert!(of("i + 3u").is_some_and(|found| found.starts_with("test: 3 of Some(\"out_0[i + 3u]")));
    assert!(of("u32(i32(i) - 1)").is_some());
}
