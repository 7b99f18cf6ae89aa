//! `wgrad bench --kernel FILE`: times WGSL of the user's own, by the clock and by the device's timestamps. Knows
//! nothing of what the kernel computes.

use super::case::Env;
use super::report::number;
use super::roofline::Roofline;
use super::timing;
use crate::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use wgrad::device::{Access, Buffer, Gpu, Kernel, KernelSource};

/// Options that go with `--kernel`.
#[derive(Args, Debug)]
pub struct KernelOptions {
    /// Time this WGSL kernel instead of the cases
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Name of the kernel's function
    #[arg(long, requires = "kernel", default_value = "main")]
    entry: String,
    /// A buffer, in the order of binding numbers: a size (64M, 4096) of random floats in [-1, 1), or words
    /// (u32:1024,1 or f32:0.5); 16M for storage if absent
    #[arg(long, requires = "kernel", value_name = "SIZE|WORDS")]
    buffer: Vec<Contents>,
    /// Workgroups to dispatch
    #[arg(long, requires = "kernel", value_name = "X,Y,Z", default_value = "1024,1,1", value_parser = grid)]
    grid: [u32; 3],
    /// The value of an override constant
    #[arg(long, requires = "kernel", value_name = "NAME=VALUE", value_parser = constant)]
    constant: Vec<(String, f64)>,
    /// Floating-point operations of a dispatch, for GFLOP/s
    #[arg(long, requires = "kernel")]
    flops: Option<f64>,
    /// Compile without bounds checks: the kernel promises to stay within its buffers
    #[arg(long, requires = "kernel")]
    unchecked: bool,
}

/// What a buffer holds at first.
#[derive(Clone, Debug, PartialEq)]
enum Contents {
    Random(u64),
    Words(Vec<u32>),
}

impl std::str::FromStr for Contents {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Contents, String> {
        let bad = || format!("{text:?} is no size and no list of words");
        let words = |list: &str, parse: &dyn Fn(&str) -> Option<u32>| {
            let words: Option<Vec<u32>> = list.split(',').map(|w| parse(w.trim())).collect();
            words.map(Contents::Words).ok_or_else(bad)
        };
        match text.split_once(':') {
            Some(("u32", list)) => words(list, &|w| w.parse().ok()),
            Some(("i32", list)) => words(list, &|w| w.parse::<i32>().ok().map(|v| v as u32)),
            Some(("f32", list)) => words(list, &|w| w.parse::<f32>().ok().map(f32::to_bits)),
            Some(_) => Err(bad()),
            None => size(text).map(Contents::Random).ok_or_else(bad),
        }
    }
}

/// Bytes, with K, M or G for powers of 1024.
fn size(text: &str) -> Option<u64> {
    let shift = match text.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => 0,
    };
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn grid(text: &str) -> std::result::Result<[u32; 3], String> {
    let mut grid = [1; 3];
    let parts: Vec<&str> = text.split([',', 'x']).collect();
    if parts.len() > 3 {
        return Err("a grid has at most three dimensions".to_string());
    }
    for (size, part) in grid.iter_mut().zip(parts) {
        *size = part.trim().parse().map_err(|e| format!("{part:?}: {e}"))?;
    }
    Ok(grid)
}

fn constant(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
    let value = value.parse().map_err(|e| format!("{value:?}: {e}"))?;
    Ok((name.to_string(), value))
}

/// Times the kernel in `path`.
pub fn run(env: &Env, path: &Path, options: &KernelOptions) -> Result<()> {
    let gpu = env
        .device
        .as_gpu()
        .ok_or("--kernel needs a GPU: --device gpu")?;
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let constants: Vec<(&str, f64)> = options.constant.iter().map(|(n, v)| (&**n, *v)).collect();
    let name = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or("kernel");
    let kernel = gpu.kernel(KernelSource {
        label: name,
        wgsl: &text,
        entry: &options.entry,
        constants: &constants,
        checked: !options.unchecked,
    })?;
    let buffers = buffers(gpu, &kernel, &options.buffer)?;
    let bound: Vec<&Buffer> = buffers.iter().collect();
    let mut once = || Ok(gpu.run(&kernel, &bound, options.grid).map(|_| ())?);
    let timing = timing::measure(env.options.seconds, &mut once, &|| env.wait())?;
    outln!("{name} on {}: {:?} workgroups", env.device, options.grid);
    for (binding, buffer) in kernel.bindings().iter().zip(&buffers) {
        let size = crate::devices::bytes(buffer.len());
        outln!(
            "  binding {}: {:?}, {size}",
            binding.binding,
            binding.access
        );
    }
    let micros = |s: f64| format!("{} us", number(1e6 * s));
    outln!(
        "  clock     {} a dispatch, quartiles {} – {} ({timing})",
        micros(timing.median),
        micros(timing.q1),
        micros(timing.q3)
    );
    let seconds = match by_timestamps(gpu, &kernel, &bound, options.grid)? {
        Some(seconds) => {
            outln!("  GPU time  {}", micros(seconds));
            seconds
        }
        None => timing.median,
    };
    rates(env, options, &kernel, &buffers, seconds)
}

/// What was moved and computed, beside what the device can do.
fn rates(
    env: &Env,
    options: &KernelOptions,
    kernel: &Kernel,
    buffers: &[Buffer],
    seconds: f64,
) -> Result<()> {
    let roofline = Roofline::measure(env)?;
    let moved = |access: Access| match access {
        Access::Uniform => 0.0,
        Access::Read => 1.0,
        // Counted as written; a kernel that also reads it moves twice as much.
        Access::ReadWrite => 1.0,
    };
    let pairs = kernel.bindings().iter().zip(buffers);
    let bytes: f64 = pairs
        .map(|(b, buffer)| moved(b.access) * buffer.len() as f64)
        .sum();
    let rate = bytes / seconds;
    outln!(
        "  {} GB/s if every buffer is touched once, {:.0} % of a copy's {} GB/s",
        number(rate / 1e9),
        100.0 * rate / roofline.bytes,
        number(roofline.bytes / 1e9)
    );
    if let Some(flops) = options.flops {
        outln!(
            "  {} GFLOP/s, {:.0} % of the roof",
            number(flops / seconds / 1e9),
            100.0 * flops / seconds / roofline.limit(flops / bytes.max(1.0))
        );
    }
    Ok(())
}

/// The median of the device's own times; `None` where it has none.
fn by_timestamps(
    gpu: &Gpu,
    kernel: &Kernel,
    buffers: &[&Buffer],
    grid: [u32; 3],
) -> Result<Option<f64>> {
    if !gpu.features().timestamps {
        return Ok(None);
    }
    let bindings: Vec<_> = buffers.iter().map(|&buffer| buffer.into()).collect();
    let mut commands = gpu.commands().with_timestamps()?;
    for _ in 0..20 {
        commands.dispatch(kernel, &bindings, grid)?;
    }
    let timings = commands.submit()?.timings_blocking()?;
    let mut seconds: Vec<f64> = timings.iter().map(|t| 1e-9 * t.ns).collect();
    // A software adapter may stamp all at once.
    seconds.retain(|s| *s > 0.0);
    Ok((!seconds.is_empty()).then(|| timing::of(&mut seconds, 1).median))
}

fn buffers(gpu: &Gpu, kernel: &Kernel, wanted: &[Contents]) -> Result<Vec<Buffer>> {
    let bindings = kernel.bindings();
    if wanted.len() > bindings.len() {
        return Err(format!("{} buffers for {} bindings", wanted.len(), bindings.len()).into());
    }
    let all = bindings.iter().enumerate().map(|(i, binding)| {
        let default = match binding.access {
            Access::Uniform => Contents::Random(256),
            _ => Contents::Random(16 << 20),
        };
        let words = match wanted.get(i).unwrap_or(&default) {
            Contents::Random(bytes) => random(bytes.div_ceil(4) as usize, i as u32),
            Contents::Words(words) => words.clone(),
        };
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        Ok(gpu.upload(&bytes)?)
    });
    all.collect()
}

/// Floats in [-1, 1), as words.
fn random(n: usize, seed: u32) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next().to_bits()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_sizes_or_words() {
        assert_eq!("64M".parse(), Ok(Contents::Random(64 << 20)));
        assert_eq!("12".parse(), Ok(Contents::Random(12)));
        assert_eq!("u32:7, 8".parse(), Ok(Contents::Words(vec![7, 8])));
        assert_eq!("f32:1".parse(), Ok(Contents::Words(vec![1f32.to_bits()])));
        for bad in ["", "x", "12Q", "u32:-1", "f64:1"] {
            assert!(bad.parse::<Contents>().is_err(), "{bad}");
        }
    }

    #[test]
    fn grids_and_constants_are_read() {
        assert_eq!(grid("4"), Ok([4, 1, 1]));
        assert_eq!(grid("4,5,6"), Ok([4, 5, 6]));
        assert!(grid("1,2,3,4").is_err() && grid("-1").is_err());
        assert_eq!(constant("n=2.5"), Ok(("n".to_string(), 2.5)));
        assert!(constant("n").is_err());
    }

    #[test]
    fn random_floats_fill_their_range() {
        let floats: Vec<f32> = random(10_000, 3).into_iter().map(f32::from_bits).collect();
        assert!(floats.iter().all(|f| (-1.0..1.0).contains(f)));
        let mean = floats.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
    }
}
