//! Kernels: compiled once, reflected, bound, and refused with a reason.

use crate::{ADD, DOUBLE, open, own, shared, software};
use wgrad_device::{
    Access, Binding, Error, KernelSource, OpenOptions, fold_groups, reflect, reflect_with,
};

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
