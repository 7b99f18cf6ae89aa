//! How long a program takes to its first training step: a process of its own, with every cache of an earlier run out
//! of reach, from its start to the moment that the step's loss is known.

use super::case::{Env, Measured};
use super::training::Trainer;
use crate::Result;
use crate::model;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;
use wgrad::{Device, Generator, Tensor};

/// Processes started.
const RUNS: usize = 3;

/// Starts the processes. The value is the median of the first step; the note has the second and the tenth.
pub fn measure(env: &Env) -> Result<Measured> {
    let name = device_name(env.device);
    let mut runs = Vec::new();
    while runs.len() < RUNS {
        runs.push(one(&name)?);
        // Minutes are measured once.
        if runs[0][0] > 10.0 {
            break;
        }
    }
    runs.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let middle = runs[runs.len() / 2];
    Ok(Measured {
        value: middle[0],
        low: runs[0][0],
        high: runs[runs.len() - 1][0],
        note: format!(
            "{} processes; second step {:.2} ms, tenth {:.2} ms",
            runs.len(),
            1e3 * middle[1],
            1e3 * middle[2]
        ),
    })
}

fn device_name(device: &Device) -> String {
    match device.as_gpu() {
        Some(gpu) => format!("gpu:{}", gpu.info().name),
        None => device.to_string(),
    }
}

/// Seconds from the start of a process to its first step, and of its second and tenth.
fn one(device: &str) -> Result<[f64; 3]> {
    let began = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["first-step", device])
        // Mesa keeps compiled kernels between runs otherwise.
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env("__GL_SHADER_DISK_CACHE", "0")
        .env_remove("WGRAD_PROFILE")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output of the process")?).lines();
    let first = lines.next().ok_or("the process ended early")??;
    let seconds = began.elapsed().as_secs_f64();
    if first != "first" {
        return Err(format!("the process wrote {first:?}").into());
    }
    let rest: Vec<f64> = lines.map_while(|l| l.ok()?.parse().ok()).collect();
    match (child.wait()?.success(), rest.as_slice()) {
        (true, &[second, tenth]) => Ok([seconds, second, tenth]),
        _ => Err("the process failed".into()),
    }
}

/// The process: ten steps of the MNIST perceptron on 128 images, each loss read. It writes a line after the first,
/// then the seconds of the second and of the tenth.
pub fn child(device: &str) -> Result<()> {
    let device = Device::open_blocking(device)?;
    let mut rng = Generator::new(1);
    let mut trainer = Trainer::new(model::mlp(&mut rng, &device));
    let pixels: Vec<f32> = (0..128 * 784).map(|i| (i % 255) as f32 / 255.0).collect();
    let x = Tensor::from_slice(&pixels, &[128, 1, 28, 28], &device);
    let y = Tensor::new(&(0..128).map(|i| i % 10).collect::<Vec<i32>>(), &device);
    for step in 1..=10 {
        let began = Instant::now();
        trainer.step(&[&x, &y])?.item::<f32>()?;
        match step {
            1 => outln!("first"),
            2 | 10 => outln!("{}", began.elapsed().as_secs_f64()),
            _ => {}
        }
    }
    Ok(())
}
