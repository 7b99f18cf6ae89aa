//! Buffers: contents, ranges, the pool they come from, and what is refused.

use crate::{DOUBLE, own, shared};
use wgrad_device::{Error, KernelSource};

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
