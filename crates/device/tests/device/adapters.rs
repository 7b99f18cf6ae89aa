//! Which adapters there are, which is chosen, and what it can do.

use crate::{DOUBLE, open, shared, software};
use wgrad_device::{AdapterKind, Error, Gpu, KernelSource, OpenOptions, adapters_blocking};

#[test]
fn lists_adapters() {
    let Some(gpu) = shared() else { return };
    let adapters = adapters_blocking();
    assert!(adapters.iter().any(|a| a.name == gpu.info().name));
    for adapter in &adapters {
        assert!(!adapter.name.is_empty() && !adapter.backend.is_empty());
        assert!(adapter.limits.max_invocations >= 128, "{adapter:?}");
        assert!(adapter.limits.max_buffer_bytes >= 1 << 27, "{adapter:?}");
    }
    assert!(adapters.is_sorted_by_key(|a| a.kind));
}

#[test]
fn an_unknown_name_lists_what_is_there() {
    let Some(gpu) = shared() else { return };
    let options = OpenOptions {
        name: Some("no such card".to_owned()),
        ..software()
    };
    match Gpu::open_blocking(options) {
        Err(Error::NoAdapter { wanted, available }) => {
            assert!(wanted.contains("no such card"));
            let name = &gpu.info().name;
            assert!(available.iter().any(|a| a.contains(name)), "{available:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_part_of_a_name_in_any_case_chooses() {
    let Some(gpu) = shared() else { return };
    let name = &gpu.info().name;
    let part: String = name.chars().take(6).collect::<String>().to_uppercase();
    let options = OpenOptions {
        name: Some(part),
        ..OpenOptions::default()
    };
    let named = Gpu::open_blocking(options).unwrap();
    assert_eq!(&named.info().name, name);
}

#[test]
fn software_is_not_chosen_unasked() {
    let Some(_) = shared() else { return };
    let hardware = adapters_blocking()
        .iter()
        .any(|a| a.kind != AdapterKind::Cpu);
    match Gpu::open_blocking(OpenOptions::default()) {
        Ok(gpu) => assert!(hardware && gpu.info().kind != AdapterKind::Cpu),
        Err(error) => assert!(!hardware && matches!(error, Error::NoAdapter { .. })),
    }
}

#[test]
fn minimum_limits_are_webgpus() {
    let options = OpenOptions {
        minimum_limits: true,
        ..software()
    };
    let Some(gpu) = open(options) else { return };
    let limits = gpu.limits();
    assert_eq!(limits.max_storage_buffers, 8);
    assert_eq!(limits.max_invocations, 256);
    assert_eq!(limits.max_workgroup_size, [256, 256, 64]);
    assert_eq!(limits.workgroup_memory, 16 << 10);
    assert_eq!(limits.max_binding_bytes, 128 << 20);
    assert_eq!(limits.max_groups, 65_535);
    assert_eq!(*gpu.features(), wgrad_device::Features::default());
    let half = "enable f16;
        @group(0) @binding(0) var<storage, read_write> out_x: array<f16>;
        @compute @workgroup_size(1) fn main() { out_x[0] = 1.0h; }";
    let refused = gpu.kernel(KernelSource::new("half", half));
    assert!(matches!(refused, Err(Error::Shader { .. })), "{refused:?}");
    let nine: String = (0..9)
        .map(|i| format!("@group(0) @binding({i}) var<storage, read> in_{i}: array<u32>;"))
        .collect();
    let nine = format!("{nine} @compute @workgroup_size(1) fn main() {{}}");
    let refused = gpu.kernel(KernelSource::new("nine", &nine));
    assert!(
        matches!(refused, Err(Error::Pipeline { .. })),
        "{refused:?}"
    );
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    let x = gpu.buffer_from(&[4.0_f32]).unwrap();
    let y = gpu.zeros::<f32>(1).unwrap();
    gpu.run(&kernel, &[&x, &y], [1, 1, 1]).unwrap();
    assert_eq!(y.read_blocking().unwrap(), [8.0]);
    assert!(matches!(
        gpu.commands().with_timestamps(),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn cooperative_matrices_come_only_when_asked_for() {
    let Some(gpu) = shared() else { return };
    assert!(!gpu.features().cooperative_matrix);
    let options = OpenOptions {
        cooperative_matrix: true,
        ..software()
    };
    let Some(asked) = open(options) else { return };
    let there = asked.info().features.cooperative_matrix;
    assert_eq!(asked.features().cooperative_matrix, there);
    assert_eq!(there, !asked.info().matrices.is_empty());
}

/// Whatever the adapter does: the answer is the same each time, and no limit lies below what WebGPU's users rely on.
#[test]
fn loops_are_probed() {
    let Some(gpu) = shared() else { return };
    let limit = gpu.loop_limit_blocking().expect("a probe");
    println!("{}: loops end after {limit:?}", gpu.info().name);
    assert_eq!(gpu.loop_limit_blocking().expect("a probe"), limit);
    assert!(limit.is_none_or(|rounds| rounds >= 1 << 15), "{limit:?}");
    if gpu.info().name.contains("llvmpipe") && gpu.info().driver.contains("22.3") {
        assert_eq!(limit, Some(65_535));
    }
}
