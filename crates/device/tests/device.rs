//! The device layer on whatever adapter is there, a software one included.
//!
//! With `WGRAD_REQUIRE_GPU=1` a machine without an adapter fails; without it each test
//! says that it was skipped.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use wgrad_device::{
    Access, AdapterKind, Binding, Error, Gpu, KernelSource, OpenOptions, adapters_blocking,
    fold_groups, reflect, reflect_with,
};

const DOUBLE: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&in_x) { out_y[id.x] = 2.0 * in_x[id.x]; }
}";

/// Adds `step.value` to every element; a uniform and one storage buffer.
const ADD: &str = "
struct Step { value: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read_write> out_x: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&out_x) { out_x[id.x] += step.value; }
}";

fn software() -> OpenOptions {
    OpenOptions {
        allow_software: true,
        ..OpenOptions::default()
    }
}

/// Opens a device of the test's own, or says that there is none.
fn open(options: OpenOptions) -> Option<Gpu> {
    match Gpu::open_blocking(options) {
        Ok(gpu) => Some(gpu),
        Err(error @ Error::NoAdapter { .. }) => {
            let required = std::env::var_os("WGRAD_REQUIRE_GPU").is_some_and(|v| v == "1");
            assert!(!required, "WGRAD_REQUIRE_GPU=1, but {error}");
            println!("skipped: no adapter");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The device that most tests share.
fn shared() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| open(software())).as_ref()
}

/// Held by tests that count what the shared device does.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device of its own, so that counters are this test's alone.
fn own() -> Option<(MutexGuard<'static, ()>, Gpu)> {
    let guard = alone();
    open(software()).map(|gpu| (guard, gpu))
}

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
fn odd_sizes_come_back() {
    let Some(gpu) = shared() else { return };
    for n in [0_usize, 1, 2, 3, 4, 5, 255, 256, 257, 4099, 100_003] {
        let data: Vec<u8> = (0..n).map(|i| (i * 7 + n) as u8).collect();
        let buffer = gpu.upload(&data).unwrap();
        assert_eq!(buffer.len(), n as u64);
        assert_eq!(gpu.read_blocking(&buffer).unwrap(), data, "{n} bytes");
    }
}

#[test]
fn ranges_are_read_written_and_checked() {
    let Some(gpu) = shared() else { return };
    let data: Vec<u8> = (0..=255).collect();
    let buffer = gpu.upload(&data).unwrap();
    let range = pollster::block_on(gpu.read_range(&buffer, 8, 5)).unwrap();
    assert_eq!(range, [8, 9, 10, 11, 12]);
    gpu.write(&buffer, 252, &[1, 2, 3]).unwrap_err();
    gpu.write(&buffer, 2, &[1, 2, 3, 4]).unwrap_err();
    gpu.write(&buffer, 256, &[1]).unwrap_err();
    gpu.write(&buffer, u64::MAX, &[1]).unwrap_err();
    gpu.write(&buffer, 252, &[1, 2, 3, 4]).unwrap();
    assert!(buffer.slice(1..3).is_err());
    assert!(buffer.slice(0..257).is_err());
    let slice = buffer.slice(248..255).unwrap();
    assert_eq!(slice.id(), buffer.id());
    assert_eq!(
        slice.read_blocking().unwrap(),
        [248, 249, 250, 251, 1, 2, 3]
    );
    match pollster::block_on(gpu.read_range(&buffer, 250, 8)) {
        Err(Error::Range { size: 256, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_buffers_are_read_with_one_submission() {
    let Some((_guard, gpu)) = own() else { return };
    let a = gpu.buffer_from(&[1_u32, 2, 3]).unwrap();
    let b = gpu.upload(&[7; 5]).unwrap();
    let empty = gpu.alloc(0).unwrap();
    let before = gpu.stats().submits;
    let contents = gpu.read_all_blocking(&[&a, &empty, &b]).unwrap();
    assert_eq!(gpu.stats().submits, before + 1);
    assert_eq!(contents[0], bytemuck::cast_slice::<u32, u8>(&[1, 2, 3]));
    assert!(contents[1].is_empty());
    assert_eq!(contents[2], [7; 5]);
}

#[test]
fn zeros_are_zero_in_recycled_memory_too() {
    let Some((_guard, gpu)) = own() else { return };
    for n in [3_usize, 100_000] {
        let dirty = gpu.buffer_from(&vec![7_u32; n]).unwrap();
        let id = dirty.id();
        drop(dirty);
        let zeros = gpu.zeros::<u32>(n).unwrap();
        assert_eq!(zeros.id(), id);
        assert_eq!(zeros.read_blocking().unwrap(), vec![0; n]);
    }
}

#[test]
fn dropped_buffers_are_used_again() {
    let Some((_guard, gpu)) = own() else { return };
    let first = gpu.alloc(1000).unwrap();
    let clone = first.clone();
    let id = first.id();
    assert_eq!(gpu.stats().memory.live_bytes, 1024);
    drop(first);
    assert_eq!(gpu.stats().memory.live_bytes, 1024, "a clone holds it");
    drop(clone);
    let memory = gpu.stats().memory;
    assert_eq!((memory.live_bytes, memory.pooled_bytes), (0, 1024));
    let second = gpu.alloc(900).unwrap();
    assert_eq!(second.id(), id, "same size class");
    assert_eq!(gpu.stats().created.buffers, 1);
    drop(second);
    gpu.trim();
    assert_eq!(gpu.stats().memory.pooled_bytes, 0);
    assert_ne!(gpu.alloc(1000).unwrap().id(), id);
}

#[test]
fn the_pool_stays_bounded() {
    let Some((_guard, gpu)) = own() else { return };
    for i in 0..40_u64 {
        drop(gpu.alloc((8 << 20) + i * (2 << 20)).unwrap());
    }
    let memory = gpu.stats().memory;
    let bound = memory.peak_bytes + (memory.peak_bytes / 2).max(64 << 20);
    assert!(
        memory.live_bytes + memory.pooled_bytes <= bound,
        "{memory:?}"
    );
}

#[test]
fn recorded_commands_hold_their_buffers() {
    let Some((_guard, gpu)) = own() else { return };
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    let y = gpu.zeros::<f32>(4).unwrap();
    let x = gpu.buffer_from(&[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    let id = x.id();
    let mut commands = gpu.commands();
    commands
        .dispatch(&kernel, &[(&*x).into(), (&*y).into()], [1, 1, 1])
        .unwrap();
    drop(x);
    let other = gpu.buffer_from(&[9.0_f32; 4]).unwrap();
    assert_ne!(other.id(), id, "x is still to be read");
    commands.submit().unwrap();
    assert_eq!(y.read_blocking().unwrap(), [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn too_large_an_allocation_is_refused_before_the_driver() {
    let Some(gpu) = shared() else { return };
    let limit = gpu.limits().max_buffer_bytes;
    match gpu.alloc(limit + 1) {
        Err(Error::TooLarge {
            bytes, limit: l, ..
        }) => assert_eq!((bytes, l), (limit + 1, limit)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        gpu.zeros::<f32>(usize::MAX),
        Err(Error::TooLarge { .. })
    ));
    gpu.check().unwrap();
}

#[test]
fn kernels_and_bind_groups_are_cached() {
    let Some((_guard, gpu)) = own() else { return };
    let x = gpu.buffer_from(&[1.0_f32; 100]).unwrap();
    let y = gpu.zeros::<f32>(100).unwrap();
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    gpu.run(&kernel, &[&x, &y], [2, 1, 1]).unwrap();
    let created = gpu.stats().created;
    for _ in 0..10 {
        let again = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
        assert_eq!(again.id(), kernel.id());
        gpu.run(&again, &[&x, &y], [2, 1, 1]).unwrap();
    }
    let after = gpu.stats().created;
    assert_eq!(after.pipelines, 1);
    assert_eq!(after.shader_modules, 1);
    assert_eq!(after.bind_groups, created.bind_groups);
    assert_eq!(after.buffers, created.buffers);
    // A bind group holds its buffers' memory, so freeing them drops it.
    drop((x, y));
    assert_eq!(gpu.stats().cached_bind_groups, 1);
    gpu.trim();
    assert_eq!(gpu.stats().cached_bind_groups, 0);
}

#[test]
fn constants_make_kernels_of_their_own() {
    let Some(gpu) = shared() else { return };
    let wgsl = "
        override factor: u32 = 3;
        override threads: u32 = 8;
        @group(0) @binding(0) var<storage, read_write> out_x: array<u32>;
        @compute @workgroup_size(threads * 2)
        fn main(@builtin(global_invocation_id) id: vec3u) { out_x[id.x] = factor * id.x; }";
    let default = KernelSource::new("scale", wgsl);
    let kernel = gpu.kernel(default).unwrap();
    assert_eq!(kernel.workgroup_size(), [16, 1, 1]);
    let constants = [("factor", 5.0), ("threads", 4.0)];
    let other = gpu.kernel(default.constants(&constants)).unwrap();
    assert_eq!(other.workgroup_size(), [8, 1, 1]);
    assert_ne!(other.id(), kernel.id());
    let x = gpu.zeros::<u32>(8).unwrap();
    gpu.run(&other, &[&x], [1, 1, 1]).unwrap();
    let expected: Vec<u32> = (0..8).map(|i| 5 * i).collect();
    assert_eq!(x.read_blocking().unwrap(), expected);
    match gpu.kernel(default.constants(&[("facto", 1.0)])) {
        Err(Error::Shader { message, .. }) => assert!(message.contains("factor"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_wgsl_shows_its_line() {
    let Some(gpu) = shared() else { return };
    let parse = "@compute @workgroup_size(1)\nfn main() { let x = undefined_name; }";
    let validate = "@compute @workgroup_size(1)\nfn main() { let x: i32 = 1.5; }";
    let entry = "@compute @workgroup_size(1)\nfn other() {}";
    for (wgsl, part) in [
        (parse, "undefined_name"),
        (validate, "let x: i32"),
        (entry, "main"),
    ] {
        match gpu.kernel(KernelSource::new("broken", wgsl)) {
            Err(Error::Shader { label, message }) => {
                assert_eq!(label, "broken");
                assert!(message.contains(part), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    gpu.check().unwrap();
}

#[test]
fn kernels_over_the_limits_are_refused() {
    let Some(gpu) = shared() else { return };
    let invocations = gpu.limits().max_invocations + 1;
    let wide = format!("@compute @workgroup_size({invocations}) fn main() {{}}");
    let words = gpu.limits().workgroup_memory / 4 + 1;
    let fat = format!(
        "var<workgroup> sh_x: array<u32, {words}>;
         @compute @workgroup_size(1) fn main() {{ sh_x[0] = 1u; }}"
    );
    for wgsl in [wide, fat] {
        match gpu.kernel(KernelSource::new("big", &wgsl)) {
            Err(Error::Pipeline { label, .. }) => assert_eq!(label, "big"),
            other => panic!("{other:?}"),
        }
    }
    gpu.check().unwrap();
}

#[test]
fn wrong_bindings_are_typed_errors() {
    let Some(gpu) = shared() else { return };
    let kernel = gpu.kernel(KernelSource::new("add", ADD)).unwrap();
    assert_eq!(kernel.bindings()[1].binding, 3);
    let step = gpu.buffer_from(&[1_u32]).unwrap();
    let x = gpu.zeros::<u32>(1024).unwrap();
    let empty = gpu.alloc(0).unwrap();
    let part = |offset, size| Binding {
        buffer: &x,
        offset,
        size,
    };
    let whole = Binding::whole;
    let cases: &[(&str, Vec<Binding<'_>>)] = &[
        ("1 buffers given", vec![whole(&step)]),
        ("no bytes", vec![whole(&step), whole(&empty)]),
        ("not a multiple", vec![whole(&step), part(4, 64)]),
        ("bytes 4096..", vec![whole(&step), part(4096, 4)]),
        ("shares a buffer", vec![part(0, 16), part(256, 64)]),
    ];
    for (part, bindings) in cases {
        let mut commands = gpu.commands();
        match commands.dispatch(&kernel, bindings, [1, 1, 1]) {
            Err(Error::Binding { kernel, message }) => {
                assert_eq!(kernel, "add");
                assert!(message.contains(part), "{message}");
            }
            other => panic!("{part}: {other:?}"),
        }
    }
    let mut commands = gpu.commands();
    let limit = gpu.limits().max_groups;
    let good = [whole(&step), whole(&x)];
    let over = commands.dispatch(&kernel, &good, [limit + 1, 1, 1]);
    assert!(matches!(over, Err(Error::Grid { .. })), "{over:?}");
    commands.dispatch(&kernel, &good, [0, 1, 1]).unwrap();
    // An empty tensor has neither groups nor bytes.
    commands
        .dispatch(&kernel, &[whole(&step), whole(&empty)], [0, 1, 1])
        .unwrap();
    assert!(commands.is_empty());
    commands.submit().unwrap();
    gpu.check().unwrap();
}

#[test]
fn too_small_a_binding_is_an_error() {
    let Some(gpu) = shared() else { return };
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> out_x: array<vec4f, 4>;
        @compute @workgroup_size(1) fn main() { out_x[0] = vec4f(1.0); }";
    let kernel = gpu.kernel(KernelSource::new("small", wgsl)).unwrap();
    assert_eq!(kernel.bindings()[0].min_size, 64);
    let x = gpu.alloc(60).unwrap();
    let bound = kernel.bind(&[Binding::whole(&x)]);
    assert!(matches!(bound, Err(Error::Binding { .. })), "{bound:?}");
}

#[test]
fn ranges_of_one_buffer_can_be_bound() {
    let Some(gpu) = shared() else { return };
    let kernel = gpu.kernel(KernelSource::new("add", ADD)).unwrap();
    let align = u64::from(gpu.limits().storage_alignment);
    let x = gpu.zeros::<u32>((align / 4 * 2) as usize).unwrap();
    let steps = gpu.buffer_from(&[3_u32]).unwrap();
    let mut commands = gpu.commands();
    let second = x.slice(align..2 * align).unwrap();
    let groups = fold_groups((align / 4).div_ceil(64), gpu.limits().max_groups);
    commands
        .dispatch(&kernel, &[(&*steps).into(), (&second).into()], groups)
        .unwrap();
    commands.submit().unwrap();
    let (low, high) = (align / 4, align / 4 * 2);
    let got = x.read_blocking().unwrap();
    assert!(got[..low as usize].iter().all(|&v| v == 0));
    assert!(got[low as usize..high as usize].iter().all(|&v| v == 3));
}

#[test]
fn bound_kernels_replay_without_creating_anything() {
    let Some((_guard, gpu)) = own() else { return };
    let kernel = gpu.kernel(KernelSource::new("add", ADD)).unwrap();
    let x = gpu.zeros::<u32>(100).unwrap();
    let step = gpu.buffer_from(&[2_u32]).unwrap();
    let bound = kernel.bind(&[(&*step).into(), (&*x).into()]).unwrap();
    let replay = || {
        let mut commands = gpu.commands();
        for _ in 0..50 {
            commands.dispatch_bound(&bound, [2, 1, 1]).unwrap();
        }
        commands.submit().unwrap().wait_blocking().unwrap();
    };
    replay();
    let before = gpu.stats();
    replay();
    let after = gpu.stats();
    assert_eq!(after.dispatches, before.dispatches + 50);
    assert_eq!(after.submits, before.submits + 1);
    let mut expected = before.created;
    expected.encoders += 1;
    assert_eq!(after.created, expected);
    assert_eq!(x.read_blocking().unwrap(), [200; 100]);
}

#[test]
fn commands_copy_clear_and_download_in_order() {
    let Some(gpu) = shared() else { return };
    let kernel = gpu.kernel(KernelSource::new("add", ADD)).unwrap();
    let step = gpu.buffer_from(&[1_u32]).unwrap();
    let x = gpu.buffer_from(&[10_u32, 20, 30, 40]).unwrap();
    let copy = gpu.zeros::<u32>(4).unwrap();
    let mut commands = gpu.commands();
    let add = [(&*step).into(), (&*x).into()];
    commands.dispatch(&kernel, &add, [1, 1, 1]).unwrap();
    commands.copy(&x, 4, &copy, 0, 8).unwrap();
    let mut early = commands.download(&x, 0, 16).unwrap();
    commands.clear(&x, 0..8).unwrap();
    commands.dispatch(&kernel, &add, [1, 1, 1]).unwrap();
    commands.copy(&x, 0, &x, 8, 8).unwrap_err();
    commands.copy(&x, 0, &copy, 12, 8).unwrap_err();
    assert!(!early.is_ready());
    let submission = commands.submit().unwrap();
    submission.wait_blocking().unwrap();
    assert!(early.is_ready());
    let early: Vec<u32> = bytemuck::pod_collect_to_vec(&early.bytes_blocking().unwrap());
    assert_eq!(early, [11, 21, 31, 41]);
    assert_eq!(x.read_blocking().unwrap(), [1, 1, 32, 42]);
    assert_eq!(copy.read_blocking().unwrap(), [21, 31, 0, 0]);
}

#[test]
fn a_download_that_is_not_submitted_is_an_error() {
    let Some(gpu) = shared() else { return };
    let x = gpu.upload(&[1, 2, 3, 4]).unwrap();
    let mut commands = gpu.commands();
    let download = commands.download(&x, 0, 4).unwrap();
    assert!(matches!(download.bytes_blocking(), Err(Error::Map { .. })));
    let dropped = commands.download(&x, 0, 4).unwrap();
    drop(commands);
    assert!(matches!(dropped.bytes_blocking(), Err(Error::Map { .. })));
}

#[test]
fn a_grid_over_the_limit_is_folded() {
    let Some(gpu) = shared() else { return };
    let wgsl = "
        @group(0) @binding(0) var<uniform> n_groups: u32;
        @group(0) @binding(1) var<storage, read_write> out_sum: array<atomic<u32>, 2>;
        @compute @workgroup_size(1)
        fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) num: vec3u) {
            let group_ix = wg.x + num.x * (wg.y + num.y * wg.z);
            if group_ix >= n_groups { return; }
            atomicAdd(&out_sum[0], 1u);
            atomicAdd(&out_sum[1], group_ix);
        }";
    let kernel = gpu.kernel(KernelSource::new("count", wgsl)).unwrap();
    let n = 70_001_u32;
    let n_groups = gpu.buffer_from(&[n]).unwrap();
    let sum = gpu.zeros::<u32>(2).unwrap();
    let grid = fold_groups(u64::from(n), gpu.limits().max_groups);
    assert!(grid[1] > 1, "{grid:?}");
    gpu.run(&kernel, &[&n_groups, &sum], grid).unwrap();
    let total = (0..n).fold(0_u32, u32::wrapping_add);
    assert_eq!(sum.read_blocking().unwrap(), [n, total]);
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
fn trusted_and_checked_kernels_agree() {
    let options = OpenOptions {
        trusted: true,
        ..software()
    };
    let Some(gpu) = open(options) else { return };
    let x = gpu.buffer_from(&[1.0_f32, -2.5]).unwrap();
    let mut source = KernelSource::new("double", DOUBLE);
    let mut ids = Vec::new();
    for checked in [false, true] {
        source.checked = checked;
        let kernel = gpu.kernel(source).unwrap();
        let y = gpu.zeros::<f32>(2).unwrap();
        gpu.run(&kernel, &[&x, &y], [1, 1, 1]).unwrap();
        assert_eq!(y.read_blocking().unwrap(), [2.0, -5.0]);
        ids.push(kernel.id());
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn dispatches_are_timed() {
    let Some(gpu) = shared() else { return };
    if !gpu.features().timestamps {
        assert!(gpu.commands().with_timestamps().is_err());
        return;
    }
    let add = gpu.kernel(KernelSource::new("add", ADD)).unwrap();
    let double = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    let step = gpu.buffer_from(&[1_u32]).unwrap();
    let n = 1 << 18;
    let x = gpu.zeros::<u32>(n).unwrap();
    let f = gpu.zeros::<f32>(n).unwrap();
    let g = gpu.zeros::<f32>(n).unwrap();
    let mut commands = gpu.commands().with_timestamps().unwrap();
    // More dispatches than one query set holds.
    for i in 0..300 {
        let groups = [if i < 2 { n as u32 / 64 } else { 1 }, 1, 1];
        if i % 2 == 0 {
            let bindings = [(&*step).into(), (&*x).into()];
            commands.dispatch(&add, &bindings, groups).unwrap();
        } else {
            let bindings = [(&*f).into(), (&*g).into()];
            commands.dispatch(&double, &bindings, groups).unwrap();
        }
    }
    let timings = commands.submit().unwrap().timings_blocking().unwrap();
    assert_eq!(timings.len(), 300);
    for (i, timing) in timings.iter().enumerate() {
        assert_eq!(&*timing.label, ["add", "double"][i % 2]);
        assert!((0.0..1e10).contains(&timing.ns), "{timing:?}");
    }
    assert!(timings[0].ns > 0.0 && timings[1].ns > 0.0);
    let plain = gpu.run(&add, &[&step, &x], [1, 1, 1]).unwrap();
    assert!(plain.timings_blocking().unwrap().is_empty());
}

#[test]
fn many_writes_are_flushed() {
    let Some((_guard, gpu)) = own() else { return };
    let x = gpu.zeros::<u32>(1000).unwrap();
    let before = gpu.stats().submits;
    for i in 0..1000_u32 {
        x.write(i as usize, &[i]).unwrap();
    }
    let flushes = gpu.stats().submits - before;
    assert!((3..=5).contains(&flushes), "{flushes}");
    let expected: Vec<u32> = (0..1000).collect();
    assert_eq!(x.read_blocking().unwrap(), expected);
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let Some(gpu) = open(software()) else { return };
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    let x = gpu.buffer_from(&[1.0_f32]).unwrap();
    let y = gpu.zeros::<f32>(1).unwrap();
    let bound = kernel.bind(&[(&*x).into(), (&*y).into()]).unwrap();
    let mut recorded = gpu.commands();
    recorded.dispatch_bound(&bound, [1, 1, 1]).unwrap();
    let download = recorded.download(&y, 0, 4).unwrap();
    let mut sent = gpu.commands();
    let in_flight = sent.download(&x, 0, 4).unwrap();
    sent.submit().unwrap();
    gpu.lose();
    fn lost<T: core::fmt::Debug>(result: Result<T, Error>) {
        assert!(
            matches!(result, Err(Error::DeviceLost { .. })),
            "{result:?}"
        );
    }
    lost(gpu.check());
    lost(recorded.submit());
    lost(download.bytes_blocking());
    lost(in_flight.bytes_blocking());
    lost(gpu.alloc(16));
    lost(gpu.upload(&[1]));
    lost(gpu.write(&x, 0, &[0; 4]));
    lost(gpu.read_blocking(&x));
    lost(gpu.kernel(KernelSource::new("add", ADD)));
    lost(kernel.bind(&[(&*x).into(), (&*y).into()]));
    lost(gpu.run(&kernel, &[&x, &y], [1, 1, 1]));
    lost(gpu.commands().dispatch_bound(&bound, [1, 1, 1]));
    lost(gpu.synchronize_blocking());
    assert_eq!(gpu.clear_error(), None);
    lost(gpu.check());
    drop((x, y, bound));
    gpu.trim();
    assert_eq!(gpu.stats().memory.live_bytes, 0);
    // Another device is not touched by it.
    let Some(other) = open(software()) else {
        return;
    };
    let x = other.buffer_from(&[5_u32]).unwrap();
    assert_eq!(x.read_blocking().unwrap(), [5]);
}

#[test]
fn devices_do_not_mix() {
    let Some(gpu) = shared() else { return };
    let Some(other) = open(software()) else {
        return;
    };
    assert!(*gpu != other);
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    let here = gpu.zeros::<f32>(1).unwrap();
    let there = other.zeros::<f32>(1).unwrap();
    let mixed = gpu.run(&kernel, &[&there, &here], [1, 1, 1]);
    assert!(matches!(mixed, Err(Error::Binding { .. })), "{mixed:?}");
    gpu.write(&there, 0, &[0; 4]).unwrap_err();
    gpu.read_blocking(&there).unwrap_err();
    other
        .run(&kernel, &[&there, &there], [1, 1, 1])
        .unwrap_err();
    gpu.check().unwrap();
    other.check().unwrap();
}

#[test]
fn threads_share_a_device() {
    let Some(gpu) = shared() else { return };
    let kernel = gpu.kernel(KernelSource::new("double", DOUBLE)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let kernel = &kernel;
            scope.spawn(move || {
                for i in 0..20 {
                    let value = (thread * 100 + i) as f32;
                    let x = gpu.buffer_from(&[value; 33]).unwrap();
                    let y = gpu.zeros::<f32>(33).unwrap();
                    gpu.run(kernel, &[&x, &y], [1, 1, 1]).unwrap();
                    assert_eq!(y.read_blocking().unwrap(), [2.0 * value; 33]);
                }
            });
        }
    });
}

#[test]
fn reflection_needs_no_device() {
    let reflection = reflect(ADD).unwrap();
    let entry = reflection.entry("main").unwrap();
    assert_eq!(entry.workgroup_size, [64, 1, 1]);
    assert_eq!(entry.workgroup_bytes, 0);
    let [step, x] = &entry.bindings[..] else {
        panic!("{entry:?}")
    };
    assert_eq!((step.binding, step.access), (0, Access::Uniform));
    assert_eq!((step.name.as_str(), step.min_size), ("step", 4));
    assert_eq!((x.binding, x.access), (3, Access::ReadWrite));
    assert_eq!((x.name.as_str(), x.min_size), ("out_x", 4));
    assert_eq!(reflection.needs, wgrad_device::Features::default());
}

#[test]
fn reflection_resolves_overrides_and_finds_needs() {
    let wgsl = "enable f16;
        override tile: u32;
        var<workgroup> sh_x: array<f32, tile>;
        @group(0) @binding(0) var<storage, read> in_x: array<f16>;
        @group(0) @binding(1) var<storage, read_write> out_x: array<f32>;
        @compute @workgroup_size(tile)
        fn first(@builtin(local_invocation_index) i: u32) {
            sh_x[i] = f32(in_x[i]);
            workgroupBarrier();
            out_x[i] = subgroupAdd(sh_x[i]);
        }
        @compute @workgroup_size(1) fn second() { out_x[0] = 1.0; }";
    let error = reflect(wgsl).unwrap_err();
    assert!(error.to_string().contains("tile"), "{error}");
    let reflection = reflect_with(wgsl, &[("tile", 32.0)]).unwrap();
    assert_eq!(reflection.overrides, ["tile"]);
    let first = reflection.entry("first").unwrap();
    assert_eq!(first.workgroup_size, [32, 1, 1]);
    assert_eq!(first.workgroup_bytes, 128);
    assert_eq!(first.bindings.len(), 2);
    assert_eq!(first.bindings[0].access, Access::Read);
    // Of several entry points each has the bindings that it uses.
    let second = reflection.entry("second").unwrap();
    assert_eq!(second.bindings.len(), 1);
    assert!(reflection.needs.f16 && reflection.needs.subgroups);
    assert!(!reflection.needs.subgroup_barrier && !reflection.needs.cooperative_matrix);
}

#[test]
fn reflection_refuses_what_cannot_be_bound() {
    let texture = "@group(0) @binding(0) var t: texture_2d<f32>;
        @compute @workgroup_size(1) fn main() { _ = textureDimensions(t); }";
    let group = "@group(1) @binding(0) var<uniform> x: u32;
        @compute @workgroup_size(1) fn main() { _ = x; }";
    for (wgsl, part) in [(texture, "`t`"), (group, "@group(1)")] {
        match reflect(wgsl) {
            Err(Error::Shader { message, .. }) => assert!(message.contains(part), "{message}"),
            other => panic!("{other:?}"),
        }
    }
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

#[test]
fn futures_may_move_between_threads() {
    let Some(gpu) = shared() else { return };
    let x = gpu.buffer_from(&[3_u32]).unwrap();
    fn send<T: Send>(future: T) -> T {
        future
    }
    let read = send(x.read());
    let synchronize = send(gpu.synchronize());
    drop(send(Gpu::open(software())));
    let read = std::thread::scope(|s| s.spawn(|| pollster::block_on(read)).join().unwrap());
    assert_eq!(read.unwrap(), [3]);
    pollster::block_on(synchronize).unwrap();
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
