//! Kernels against plain loops in f64, on the adapter at hand with WebGPU's minimum limits, each both as a
//! software adapter and as a GPU would run it; and every text through naga without any adapter.

mod arrange;
mod attention;
mod contract;
mod convolutions;
mod elementwise;
mod halves;
mod reductions;
mod rounds;
mod rows;
mod runs;
mod texts;
mod vectors;
mod within;

use super::table::Config;
use super::target::Target;
use super::{Executor, Job, Word};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::{Kernel, Origin, Place, Plan, Slot, Step};
use std::panic::Location;
use std::sync::OnceLock;
use wgrad_device::{Gpu, OpenOptions};

/// An array of one dtype, in f64.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) dtype: DType,
    pub(super) values: Vec<f64>,
}

impl Data {
    pub(super) fn new(dtype: DType, values: Vec<f64>) -> Data {
        Data { dtype, values }
    }

    pub(super) fn f32(values: Vec<f64>) -> Data {
        Data::new(DType::F32, values)
    }

    /// `n` values of a generator, different for each seed: floats in −2..2, integers in 0..100.
    pub(super) fn random(dtype: DType, n: usize, seed: u64) -> Data {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 11
        };
        let value = |word: u64| match dtype {
            DType::F32 => f64::from((word as f64 / (1_u64 << 51) as f64 - 2.0) as f32),
            DType::F16 => half::f16::from_f64(word as f64 / (1_u64 << 51) as f64 - 2.0).to_f64(),
            DType::BF16 => half::bf16::from_f64(word as f64 / (1_u64 << 51) as f64 - 2.0).to_f64(),
            DType::Bool => (word % 2) as f64,
            _ => (word % 100) as f64,
        };
        Data {
            dtype,
            values: (0..n).map(|_| value(next())).collect(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let each = self.values.iter();
        match self.dtype {
            DType::F32 => each.flat_map(|&v| (v as f32).to_le_bytes()).collect(),
            DType::F16 => each
                .flat_map(|&v| half::f16::from_f64(v).to_le_bytes())
                .collect(),
            DType::BF16 => each
                .flat_map(|&v| half::bf16::from_f64(v).to_le_bytes())
                .collect(),
            DType::I32 => each.flat_map(|&v| (v as i32).to_le_bytes()).collect(),
            DType::U32 | DType::Bool => each.flat_map(|&v| (v as u32).to_le_bytes()).collect(),
            DType::U8 => each.map(|&v| v as u8).collect(),
        }
    }

    pub(super) fn from_bytes(dtype: DType, bytes: &[u8]) -> Data {
        let word = |c: &[u8]| u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
        let words = bytes.chunks_exact(4).map(word);
        let values = match dtype {
            DType::F32 => words.map(|w| f64::from(f32::from_bits(w))).collect(),
            DType::I32 => words.map(|w| f64::from(w as i32)).collect(),
            DType::U32 | DType::Bool => words.map(f64::from).collect(),
            DType::F16 => bytes
                .chunks_exact(2)
                .map(|c| half::f16::from_le_bytes([c[0], c[1]]).to_f64())
                .collect(),
            DType::BF16 => bytes
                .chunks_exact(2)
                .map(|c| half::bf16::from_le_bytes([c[0], c[1]]).to_f64())
                .collect(),
            DType::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        };
        Data { dtype, values }
    }
}

/// A device, or none where there is no adapter and none is required.
pub(super) fn open() -> Option<Gpu> {
    let options = OpenOptions {
        allow_software: true,
        minimum_limits: true,
        trusted: true,
        ..OpenOptions::default()
    };
    match Gpu::open_blocking(options) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("WGRAD_REQUIRE_GPU=1, but there is no adapter: {error}")
        }
        Err(error) => {
            println!("skipped: no adapter ({error})");
            None
        }
    }
}

/// The device that most tests share.
fn gpu() -> Option<Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(open).clone()
}

/// A software adapter, one whose lanes exchange registers and whose loops all go by fours, a GPU, and a GPU so small that large tiles fill it.
pub(super) const TARGETS: [Target; 4] = {
    let (software, gpu) = (
        Target::new(DeviceClass::Software),
        Target::new(DeviceClass::Discrete),
    );
    [
        Target {
            config: Config {
                wide_from: u64::MAX,
                ..software.config
            },
            ..software
        },
        Target {
            lanes: true,
            config: Config {
                wide_from: 0,
                ..software.config
            },
            ..software
        },
        gpu,
        Target {
            config: Config {
                groups: 1,
                wide_tiles: 1,
                ..gpu.config
            },
            ..gpu
        },
    ]
};

/// A device with all that the adapter offers, if its lanes can exchange registers.
fn gpu_with_lanes() -> Option<Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || {
        let options = OpenOptions {
            allow_software: true,
            trusted: true,
            ..OpenOptions::default()
        };
        let gpu = Gpu::open_blocking(options).ok()?;
        Target::of(&gpu, DeviceClass::Software).lanes.then_some(gpu)
    };
    GPU.get_or_init(open).clone()
}

/// Executors that choose as on each target that the adapter can stand for.
pub(super) fn executors() -> Vec<Executor> {
    let with = |target: Target| {
        let gpu = if target.lanes {
            gpu_with_lanes()
        } else {
            gpu()
        }?;
        let mut executor = Executor::new(gpu, DeviceClass::Software)
            .expect("an executor allocates two small buffers");
        executor.target = target;
        Some(executor)
    };
    TARGETS.into_iter().filter_map(with).collect()
}

/// A plan of one step whose inputs are leaves.
pub(super) fn plan_of(kernel: Kernel, inputs: &[Data], out: (DType, usize), check: u32) -> Plan {
    let mut slots: Vec<Slot> = inputs
        .iter()
        .enumerate()
        .map(|(i, data)| Slot {
            dtype: data.dtype,
            len: data.values.len(),
            place: Place::Leaf(i),
        })
        .collect();
    slots.push(Slot {
        dtype: out.0,
        len: out.1,
        place: Place::Output(0),
    });
    let output = slots.len() - 1;
    let origin = Origin {
        name: "test".to_owned(),
        location: Location::caller(),
        node: 0,
    };
    let inputs: Vec<usize> = (0..inputs.len()).collect();
    let n_leaves = inputs.len();
    let steps = vec![Step {
        kernel,
        inputs,
        output,
        more_outputs: Vec::new(),
        then: None,
        check,
        origin,
    }];
    Plan {
        slots,
        steps,
        outputs: vec![output],
        n_leaves,
        n_scalars: 16,
        ..Plan::default()
    }
}

/// Runs one kernel; its output and the status word.
pub(super) fn run(
    executor: &Executor,
    kernel: &Kernel,
    inputs: &[Data],
    out: (DType, usize),
    scalars: &[u32],
) -> (Data, u32) {
    let plan = plan_of(kernel.clone(), inputs, out, 7);
    run_plan(executor, &plan, inputs, scalars)
}

/// What a run has left in its status word.
pub(super) fn status_of(executor: &Executor, word: &Word) -> u32 {
    let mut commands = executor.gpu().commands();
    let blocks = executor.words().download(&mut commands).expect("words");
    commands.submit().expect("a submission");
    let blocks = blocks
        .into_iter()
        .map(|b| b.bytes_blocking().expect("words"));
    word.of(&blocks.collect::<Vec<_>>())
}

/// Runs a plan of one step; its output and the status word.
pub(super) fn run_plan(
    executor: &Executor,
    plan: &Plan,
    inputs: &[Data],
    scalars: &[u32],
) -> (Data, u32) {
    let kernel = &plan.steps[0].kernel;
    let out = &plan.slots[plan.outputs[0]];
    let prepared = executor
        .prepare(plan)
        .unwrap_or_else(|e| panic!("{kernel:?}: {e}"));
    let upload = |data: &Data| executor.gpu().upload(&data.bytes()).expect("upload");
    let leaves: Vec<_> = inputs.iter().map(upload).collect();
    let mut words = [0; 16];
    words[..scalars.len()].copy_from_slice(scalars);
    let job = Job {
        leaves: &leaves.iter().collect::<Vec<_>>(),
        scalars: &words,
        ..Job::default()
    };
    let ran = executor
        .run_job(&prepared, &job, &mut [])
        .unwrap_or_else(|e| panic!("{kernel:?}: {e}"));
    let bytes = executor.gpu().read_blocking(&ran.results[0]).expect("read");
    assert_eq!(bytes.len(), out.dtype.size() * out.len);
    let status = ran.word.map_or(0, |word| status_of(executor, &word));
    (Data::from_bytes(out.dtype, &bytes), status)
}

/// Asserts that a kernel gives `expected`, run as each target would.
pub(super) fn check(kernel: Kernel, inputs: &[Data], expected: &Data, tolerance: f64) {
    for executor in executors() {
        let (got, status) = run(
            &executor,
            &kernel,
            inputs,
            (expected.dtype, expected.values.len()),
            &[],
        );
        assert_eq!(status, 0, "{kernel:?}");
        assert_close(
            &got,
            expected,
            tolerance,
            &format!("{kernel:?} {:?}", executor.target),
        );
    }
}

/// Equal up to `tolerance` times the larger of 1 and the value; NaN equals NaN.
pub(super) fn assert_close(got: &Data, expected: &Data, tolerance: f64, what: &str) {
    assert_eq!(got.values.len(), expected.values.len(), "{what}");
    for (i, (&g, &e)) in got.values.iter().zip(&expected.values).enumerate() {
        let same =
            g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(same, "{what}: element {i} is {g}, not {e}");
    }
}
