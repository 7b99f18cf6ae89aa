//! Memory stays flat in a training loop. Measured in a process of its own, for other tests allocate too.

use crate::models::{Run, mlp, own_cpu, own_gpu};
use crate::replay::{small, small_batch, small_step};
use std::process::Command;
use wgrad::device::{DriverMemory, Memory, Stats};
use wgrad::nn::compile;
use wgrad::{DType, Device, Result, Tensor};

const STEPS: usize = 200;
const WARM_UP: usize = 60;

/// Bytes of the process that are in memory; `None` where the system does not say it as Linux does.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

fn stats(device: &Device) -> Option<Stats> {
    device.as_gpu().map(|gpu| gpu.stats())
}

/// Trains, and compares what there is after the warm-up with what there is at the end.
fn measure(device: &Device) {
    let mut run = Run::new(mlp(1, device), 128, 1, device);
    let mut steps = |n: usize| {
        for _ in 0..n / 20 {
            let losses: Vec<_> = (0..20).map(|_| run.step().expect("a step")).collect();
            let last = losses[19].item::<f32>().expect("a loss");
            assert!(last.is_finite());
        }
    };
    steps(WARM_UP);
    let before = (resident_bytes(), stats(device), device.cached_plans());
    steps(STEPS);
    let after = (resident_bytes(), stats(device), device.cached_plans());
    assert_eq!(after.2, before.2, "plans");
    let (name, plans) = (device.to_string(), after.2);
    if let (Some(b), Some(a)) = (before.1, after.1) {
        println!(
            "{name}: live {} -> {} bytes in {} -> {} buffers, pooled {} -> {} bytes, created {:?} -> {:?}",
            b.memory.live_bytes,
            a.memory.live_bytes,
            b.memory.live_buffers,
            a.memory.live_buffers,
            b.memory.pooled_bytes,
            a.memory.pooled_bytes,
            b.created,
            a.created
        );
        assert_eq!(a.memory.live_bytes, b.memory.live_bytes);
        assert_eq!(a.memory.live_buffers, b.memory.live_buffers);
        assert_eq!(a.memory.peak_bytes, b.memory.peak_bytes);
        assert_eq!(a.created.pipelines, b.created.pipelines);
        assert_eq!(a.created.buffers, b.created.buffers);
        assert_eq!(a.created.bind_group_layouts, b.created.bind_group_layouts);
    }
    if let (Some(b), Some(a)) = (before.0, after.0) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{name}: {plans} plans, resident {:.1} -> {:.1} MiB in {STEPS} steps",
            mib(b),
            mib(a)
        );
        // The parameters alone take 0.9 MiB, and each step makes three times that anew.
        assert!(a < b + (8 << 20), "{name}: {b} -> {a} bytes");
    } else {
        println!("{name}: {plans} plans; this system does not tell the resident bytes");
    }
}

/// Everything that must not grow: the pool's bytes, the driver's, and objects made.
fn held(device: &Device) -> Option<(Memory, Option<DriverMemory>, u64)> {
    let gpu = device.as_gpu()?;
    gpu.synchronize_blocking().expect("the steps end");
    let stats = gpu.stats();
    let made = stats.created.buffers + stats.created.bind_groups + stats.created.pipelines;
    Some((stats.memory, gpu.driver_memory(), made))
}

/// Takes a warm-up and `n` steps, whose losses are not kept, and compares what is held before and after.
fn measure_long(
    name: &str,
    device: &Device,
    n: usize,
    step: &mut dyn FnMut(usize) -> Result<Tensor>,
) {
    let mut steps = |n: usize| {
        for i in 0..n {
            let loss = step(i).expect("a step");
            if i % 300 == 299 {
                assert!(loss.item::<f32>().expect("a loss").is_finite());
            }
        }
        (held(device), resident_bytes(), device.cached_plans())
    };
    steps(900);
    let before = steps(300);
    let after = steps(n / 300 * 300);
    println!("{device}: {n} {name} steps, {before:?} -> {after:?}");
    assert_eq!(after.0, before.0, "{name}: memory of the device");
    assert_eq!(after.2, before.2, "{name}: plans");
    if let (Some(b), Some(a)) = (before.1, after.1) {
        assert!(a < b + (2 << 20), "{name}: resident {b} -> {a} bytes");
    }
}

/// 10,000 replayed steps and 1,000 recorded ones; a tenth of them unless `WGRAD_TEST_ALL=1`.
fn long(device: &Device) {
    let share = if std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1") {
        1
    } else {
        10
    };
    let mut state = small(device);
    let mut step = compile(small_step);
    measure_long("compiled", device, 10_000 / share, &mut |n| {
        step.call(&mut state, &[&small_batch(n, device)])
    });
    let mut state = small(device);
    measure_long("recorded", device, 1_000, &mut |n| {
        small_step(&mut state, &[small_batch(n, device)])
    });
}

/// What the process may grow by where it would grow by a megabyte a round, or a kilobyte a node, if anything were kept.
const FLAT: u64 = 64 << 20;

/// Calls `round` `warm` times, and then `n` times, after which the process must be about as large as before.
fn flat(what: &str, (warm, n): (usize, usize), mut round: impl FnMut(usize)) {
    (0..warm).for_each(&mut round);
    let before = resident_bytes();
    (warm..warm + n).for_each(&mut round);
    let after = resident_bytes();
    println!("{what}: {n} rounds, resident {before:?} -> {after:?}");
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after < before + FLAT, "{what}: {before} -> {after} bytes");
    }
}

/// A sum over batches of 1 MB, read in each round.
fn read_sums(device: &Device, rounds: usize) {
    let mut total = Tensor::zeros(&[], DType::F32, device);
    flat(
        &format!("{device}: sums that are read"),
        (50, rounds),
        |i| {
            let batch = Tensor::ones(&[1 << 18], DType::F32, device) * (i % 7) as f64;
            total = &total + batch.detach().expect("a batch").sum();
            assert!(total.item::<f32>().expect("a sum").is_finite());
        },
    );
}

/// Additions that nobody reads.
fn unread_sums(device: &Device, rounds: usize) {
    let one = Tensor::ones(&[1], DType::F32, device).detach();
    let one = one.expect("a number");
    let mut total = one.clone();
    let what = format!("{device}: sums that are not read");
    flat(&what, (rounds / 6, rounds - rounds / 6), |_| {
        total = &total + &one
    });
    assert_eq!(total.item::<f32>().expect("a sum"), (rounds + 1) as f32);
}

#[test]
#[ignore = "run by sums_over_batches_are_flat in a process of its own"]
fn sums_process() {
    let cpu = own_cpu();
    read_sums(&cpu, 10_000);
    unread_sums(&cpu, 600_000);
    // A large graph that was dropped is nothing to wait for.
    read_sums(&cpu, 1_000);
    if let Some(gpu) = own_gpu() {
        read_sums(&gpu, 1_000);
        unread_sums(&gpu, 120_000);
    }
}

#[test]
fn sums_over_batches_are_flat() {
    alone("memory::sums_process");
}

/// Runs an ignored test of this program in a process of its own.
pub fn alone(test: &str) {
    alone_with(test, &[]);
}

/// The same, with variables of the environment.
pub fn alone_with(test: &str, variables: &[(&str, &str)]) {
    let program = std::env::current_exe().expect("the path of this program");
    let out = Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&out.stdout);
    let shown = text.lines().filter(|l| l.contains(": "));
    println!("{}", shown.collect::<Vec<_>>().join("\n"));
    let ran = text.contains("1 passed");
    assert!(
        out.status.success() && ran,
        "{text}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
#[ignore = "run by memory_of_the_cpu_is_flat in a process of its own"]
fn cpu_process() {
    measure(&own_cpu());
}

#[test]
#[ignore = "run by memory_of_the_gpu_is_flat in a process of its own"]
fn gpu_process() {
    if let Some(device) = own_gpu() {
        measure(&device);
    }
}

#[test]
#[ignore = "run by memory_of_the_cpu_is_flat in a process of its own"]
fn long_cpu_process() {
    long(&own_cpu());
}

#[test]
#[ignore = "run by memory_of_the_gpu_is_flat in a process of its own"]
fn long_gpu_process() {
    if let Some(device) = own_gpu() {
        long(&device);
    }
}

#[test]
fn memory_of_the_cpu_is_flat() {
    alone("memory::cpu_process");
    alone("memory::long_cpu_process");
}

#[test]
fn memory_of_the_gpu_is_flat() {
    alone("memory::gpu_process");
    alone("memory::long_gpu_process");
}
