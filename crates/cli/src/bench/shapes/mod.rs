//! `wgrad bench --shapes FILE`: single operations as models have them, a JSON line each, timed forward and forward with all
//! gradients. Inputs and the upstream gradient are arguments of compiled calls, every result is written to memory, and a run
//! ends when all of them can be read. Of several runs the best counts.

mod against;
mod operation;

use super::Options;
use crate::{Result, processor};
use against::{Others, Ratios};
use clap::ValueEnum;
use operation::{Operation, Shape};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use wgrad::nn::compile;
use wgrad::{DType, Device, GradOptions, Tensor, eval, grad_with};

/// Runs timed at least, however long one takes.
const LEAST: usize = 3;

/// Element type of all floats.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Floats {
    /// Four bytes
    #[default]
    F32,
    /// Two bytes, IEEE half precision
    F16,
    /// Two bytes, the upper half of an f32
    Bf16,
}

impl Floats {
    fn of(self, t: &Tensor) -> Result<Tensor> {
        let dtype = match self {
            Floats::F32 => DType::F32,
            Floats::F16 => DType::F16,
            Floats::Bf16 => DType::BF16,
        };
        match t.dtype().is_float() {
            true => Ok(t.cast(dtype).detach()?),
            false => Ok(t.clone()),
        }
    }
}

/// A line of the file with its times.
struct Timed {
    shape: Shape,
    forward: f64,
    both: f64,
}

/// Times every line that the filter picks.
pub fn run(options: &Options, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut shapes = operation::read(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    if let Some(filter) = &options.filter {
        shapes.retain(|shape| super::picks(filter, &shape.name));
    }
    if shapes.is_empty() {
        return Err(format!("{}: no line to run", file.display()).into());
    }
    if options.list {
        shapes.iter().for_each(|shape| println!("{}", shape.name));
        return Ok(());
    }
    let others = options.against.as_deref().map(Others::read).transpose()?;
    let json = options.json.as_ref().map(std::fs::File::create);
    let mut json = json.transpose()?.map(BufWriter::new);
    let device = super::open(options)?;
    println!("device {device}, {}", processor::description());
    let title = ["forward", "both", "forward", "both"];
    println!(
        "{:<58} {:>10} {:>10} {:>8} {:>8}",
        "milliseconds", title[0], title[1], title[2], title[3]
    );
    let (mut ratios, mut failed) = (Ratios::default(), 0);
    let count = shapes.len();
    for shape in shapes {
        let name = shape.short();
        match measure(shape, &device, options) {
            Ok(timed) => {
                let ratio = others.as_ref().and_then(|o| o.ratio(&timed));
                show(&timed, ratio);
                ratios.add(&timed.shape, ratio);
                if let Some(json) = &mut json {
                    writeln!(
                        json,
                        "{}",
                        timed.shape.with_times(timed.forward, timed.both)
                    )?;
                    json.flush()?;
                }
            }
            Err(e) => {
                failed += 1;
                println!("{name:<58} failed: {e}");
            }
        }
    }
    if others.is_some() {
        ratios.print();
        ratios.draw(options.svg.as_deref())?;
    }
    match failed {
        0 => Ok(()),
        n => Err(format!("{n} of {count} shapes failed").into()),
    }
}

fn show(timed: &Timed, ratio: Option<[f64; 2]>) {
    let name = timed.shape.short();
    let [forward, both] = [timed.forward, timed.both].map(|ms| format!("{ms:.4}"));
    let ratio = ratio.map(|r| format!(" {:>8.2} {:>8.2}", r[0], r[1]));
    println!(
        "{name:<58} {forward:>10} {both:>10}{}",
        ratio.unwrap_or_default()
    );
}

fn measure(shape: Shape, device: &Device, options: &Options) -> Result<Timed> {
    let seconds = options.seconds;
    let mut operation = Operation::new(&shape, device)?;
    for input in &mut operation.inputs {
        *input = options.dtype.of(input)?;
    }
    let forward = time(device, &operation.inputs, seconds, |inputs| {
        Ok(vec![operation.forward(inputs)])
    })?;
    let upstream = options.dtype.of(&operation.upstream(device)?)?;
    let inputs = [vec![upstream], operation.inputs.clone()].concat();
    let both = time(device, &inputs, seconds, |arguments| {
        let (upstream, inputs) = (arguments[0].clone(), &arguments[1..]);
        let y = operation.forward(inputs);
        let of: Vec<&Tensor> = inputs.iter().filter(|t| t.dtype().is_float()).collect();
        let options = GradOptions {
            upstream: Some(upstream),
            ..GradOptions::default()
        };
        let mut all = grad_with(&y, &of, &options)?;
        all.push(y);
        Ok(all)
    })?;
    Ok(Timed {
        shape,
        forward,
        both,
    })
}

/// Milliseconds of the best run of a compiled call. Results keep their buffers from run to run.
fn time(
    device: &Device,
    inputs: &[Tensor],
    seconds: f64,
    function: impl Fn(&[Tensor]) -> wgrad::Result<Vec<Tensor>>,
) -> Result<f64> {
    let first = function(inputs)?;
    eval(&first.iter().collect::<Vec<_>>())?;
    let mut results = first
        .iter()
        .map(Tensor::detach)
        .collect::<wgrad::Result<Vec<_>>>()?;
    drop(first);
    let mut compiled = compile(|results: &mut Vec<Tensor>, inputs: &[Tensor]| {
        *results = function(inputs)?;
        Ok(())
    });
    let operands: Vec<&Tensor> = inputs.iter().collect();
    let mut once = || -> Result<f64> {
        let began = Instant::now();
        compiled.call(&mut results, &operands)?;
        if let Some(gpu) = device.as_gpu() {
            gpu.synchronize_blocking()?;
        }
        Ok(began.elapsed().as_secs_f64())
    };
    // The first calls plan and touch memory.
    once()?;
    once()?;
    let (mut best, mut runs, began) = (f64::INFINITY, 0, Instant::now());
    while runs < LEAST || began.elapsed().as_secs_f64() < seconds {
        best = best.min(once()?);
        runs += 1;
    }
    Ok(1e3 * best)
}
