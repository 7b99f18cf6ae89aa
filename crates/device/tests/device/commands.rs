//! Recorded commands: order, downloads, grids and times.

use crate::{ADD, DOUBLE, own, shared};
use wgrad_device::{Error, KernelSource, fold_groups};

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
    let early: Vec<u32> = bytemuck::pod_collect_to_vec(&early.bytes_now().unwrap());
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
    let early = commands.download(&x, 0, 4).unwrap();
    assert!(matches!(early.bytes_now(), Err(Error::Map { .. })));
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
