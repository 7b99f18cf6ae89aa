//! `wgrad bench --shapes FILE`: the lines of a file of operations, timed on a device, shown beside another program's times. What
//! the lines are and how they are timed is `wgrad-shapes`.

mod against;

use super::Options;
use crate::{Result, processor};
use against::{Others, Ratios};
use clap::ValueEnum;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use wgrad::{DType, Device};
use wgrad_shapes::{Shape, Timed, Timer};

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

impl From<Floats> for DType {
    fn from(floats: Floats) -> DType {
        match floats {
            Floats::F32 => DType::F32,
            Floats::F16 => DType::F16,
            Floats::Bf16 => DType::BF16,
        }
    }
}

/// Times every line that the filter picks.
pub fn run(options: &Options, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut shapes = wgrad_shapes::read(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    if let Some(filter) = &options.filter {
        shapes.retain(|shape| super::picks(filter, &shape.name));
    }
    if shapes.is_empty() {
        return Err(format!("{}: no line to run", file.display()).into());
    }
    if options.list {
        shapes.iter().for_each(|shape| outln!("{}", shape.name));
        return Ok(());
    }
    let others = options.against.as_deref().map(Others::read).transpose()?;
    let json = options.json.as_ref().map(std::fs::File::create);
    let mut json = json.transpose()?.map(BufWriter::new);
    let device = super::open(options)?;
    outln!("device {device}, {}", processor::description());
    let title = ["forward", "both", "forward", "both"];
    outln!(
        "{:<58} {:>10} {:>10} {:>8} {:>8}",
        "milliseconds",
        title[0],
        title[1],
        title[2],
        title[3]
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
                outln!("{name:<58} failed: {e}");
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
    outln!(
        "{name:<58} {forward:>10} {both:>10}{}",
        ratio.unwrap_or_default()
    );
}

fn measure(shape: Shape, device: &Device, options: &Options) -> Result<Timed> {
    let began = Instant::now();
    let timer = Timer {
        now: &|| began.elapsed().as_secs_f64(),
        wait: &|| match device.as_gpu() {
            Some(gpu) => Ok(gpu.synchronize_blocking()?),
            None => Ok(()),
        },
        seen: &|_| {},
        seconds: options.seconds,
        sample: 0.0,
        most: f64::INFINITY,
    };
    timer.measure(shape, device, options.dtype.into())
}
