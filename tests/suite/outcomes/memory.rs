//! Memory that is lacking is an error, and plans made anew leave nothing behind. Each in a process of its own.

use crate::memory::resident_bytes;
use crate::models::{own_cpu, own_gpu};
use std::process::Command;
use wgrad::{DType, Device, Error, ErrorKind, Tensor};

/// Runs an ignored test of this program in a process of its own, which may have so many KiB of address space.
fn alone(test: &str, limit: Option<u64>) {
    let program = std::env::current_exe().expect("the path of this program");
    let limit = limit.map_or(String::new(), |kib| format!("ulimit -v {kib}; "));
    let line =
        format!("{limit}exec {program:?} --exact {test} --ignored --nocapture --test-threads 1");
    let out = Command::new("sh")
        .args(["-c", &line])
        .env("WGRAD_THREADS", "2")
        .output();
    let out = out.expect("a shell");
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && text.contains("1 passed"),
        "{text}\n{errors}"
    );
}

/// Fails unless the error names an operation and how many bytes there is no room for.
fn lacks(what: &str, result: Result<(), Error>) {
    let e = result.expect_err(what);
    let text = e.to_string();
    assert_eq!(e.kind(), ErrorKind::OutOfMemory, "{what}: {text}");
    let bytes = text
        .split(' ')
        .filter_map(|word| word.parse::<u64>().ok())
        .max();
    assert!(bytes.is_some_and(|b| b >= 4 << 20), "{what}: {text}");
    assert!(!e.op().is_empty() && e.op() != "eval", "{what}: {text}");
}

#[test]
#[ignore = "run by a_tensor_too_large_for_the_host_is_an_error in a process of its own"]
fn large_process() {
    const N: usize = 1 << 30;
    for device in [own_cpu(), Device::reference()] {
        let name = device.to_string();
        let small = Tensor::new(&[1.0f32], &device);
        let whole = |t: &Tensor| wgrad::eval(&[t]);
        let big = Tensor::ones(&[N], DType::F32, &device);
        lacks(&name, whole(&(&big * &small)));
        lacks(&name, whole(&big.cumsum(0)));
        lacks(&name, small.expand(&[N as isize]).to_vec::<f32>().map(drop));
        // A temporary, the result of which is small.
        lacks(&name, whole(&(big.cumsum(0).exp().cumsum(0)).sum()));
        // What fits goes on to work.
        assert_eq!((&small + 1.0).item::<f32>().expect("a number"), 2.0);
        let some = Tensor::ones(&[1 << 20], DType::F32, &device) * &small;
        assert_eq!(some.sum().item::<f32>().expect("a sum"), (1 << 20) as f32);
    }
}

#[test]
fn a_tensor_too_large_for_the_host_is_an_error() {
    if cfg!(target_os = "linux") {
        alone("outcomes::memory::large_process", Some(2 << 20));
    }
}

/// Plans of an indexing step, each for a shape of its own.
fn replan(device: &Device, from: usize, n: usize) {
    for n in from..from + n {
        let table = Tensor::ones(&[2 + n % 3000, 2], DType::F32, device);
        let index = Tensor::new(&vec![1; 1 + n / 3000], device);
        let got = table.index_select(0, &index).sum().item::<f32>();
        assert_eq!(got.expect("a sum"), 2.0 * (1 + n / 3000) as f32);
    }
}

fn replans(device: &Device, n: usize) {
    replan(device, 0, n / 2);
    let before = resident_bytes();
    replan(device, n / 2, n / 2);
    let after = resident_bytes();
    println!("{device}: {n} replans, resident {before:?} -> {after:?}");
    if let (Some(before), Some(after)) = (before, after) {
        // A GPU's bounded lists of bind groups and free buffers are still filling.
        let room = if device.as_gpu().is_some() {
            8 << 20
        } else {
            1 << 20
        };
        assert!(after < before + room, "{device}: {before} -> {after}");
    }
}

#[test]
#[ignore = "run by plans_made_anew_leave_nothing_behind in a process of its own"]
fn replans_process() {
    replans(&own_cpu(), 10_000);
    if let Some(device) = own_gpu() {
        replans(&device, 10_000);
    }
}

#[test]
fn plans_made_anew_leave_nothing_behind() {
    alone("outcomes::memory::replans_process", None);
}
