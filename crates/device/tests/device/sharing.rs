//! Devices that are lost, mixed up, or used by several threads.

use crate::{ADD, DOUBLE, open, shared, software};
use wgrad_device::{Error, Gpu, KernelSource};

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
