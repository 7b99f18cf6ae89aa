//! The roofline that cases are set beside, measured in the same run: the rate of a large copy, and of a loop of
//! multiply-adds that touches no memory.

use super::case::Env;
use super::{fma, timing};
use crate::Result;
use crate::processor::threads;
use wgrad::device::{Gpu, KernelSource, fold_groups};

/// What the device can do at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Operations a second.
    pub flops: f64,
    /// Bytes read and written a second.
    pub bytes: f64,
}

impl Roofline {
    /// Measures it.
    pub fn measure(env: &Env) -> Result<Roofline> {
        match env.device.as_gpu() {
            Some(gpu) => on_gpu(gpu, env),
            None => on_cpu(),
        }
    }

    /// Operations a second that are possible at so many operations a byte.
    pub fn limit(&self, intensity: f64) -> f64 {
        self.flops.min(intensity * self.bytes)
    }
}

/// Seconds each of the two is measured for.
const SECONDS: f64 = 0.5;

fn on_cpu() -> Result<Roofline> {
    const ROUNDS: usize = 1 << 18;
    let threads = threads();
    let mut compute = || {
        std::thread::scope(|scope| {
            (0..threads).for_each(|_| {
                scope.spawn(|| fma::rounds(ROUNDS));
            });
        });
        Ok(())
    };
    let fastest = timing::measure(SECONDS, &mut compute, &|| Ok(()))?.best;
    // Larger than any cache.
    let from = vec![1.0f32; 32 << 20];
    let mut to = vec![0.0f32; from.len()];
    let part = from.len().div_ceil(threads);
    let mut copy = || {
        std::thread::scope(|scope| {
            for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                scope.spawn(|| to.copy_from_slice(from));
            }
        });
        Ok(())
    };
    let moved = timing::measure(SECONDS, &mut copy, &|| Ok(()))?.median;
    Ok(Roofline {
        flops: threads as f64 * fma::operations(ROUNDS) / fastest,
        bytes: 8.0 * from.len() as f64 / moved,
    })
}

const COPY: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out_y: array<vec4f>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.x + id.y * groups.x * 256u;
    if i < arrayLength(&in_x) { out_y[i] = in_x[i]; }
}";

/// Eight sums of four lanes for each invocation, unrolled eight times.
fn compute_text() -> String {
    let names: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    let declare: String = names
        .iter()
        .map(|s| format!("var {s} = b + vec4f(f32(id.x));\n"))
        .collect();
    let round: String = names
        .iter()
        .map(|s| format!("{s} = fma({s}, a, b);\n"))
        .collect();
    format!(
        "@group(0) @binding(0) var<storage, read_write> out_y: array<vec4f>;
override rounds: u32;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {{
    let a = vec4f(0.999) + out_y[0];
    let b = vec4f(0.001);
    {declare}
    for (var i = 0u; i < rounds; i++) {{
        {}
    }}
    if s0.x == 12345.0 {{ out_y[1] = {}; }}
}}",
        round.repeat(8),
        names.join(" + ")
    )
}

fn on_gpu(gpu: &Gpu, env: &Env) -> Result<Roofline> {
    let software = env.device.is_software();
    let (groups, rounds) = if software { (64, 16) } else { (1 << 13, 128) };
    let text = compute_text();
    let constants = [("rounds", f64::from(rounds))];
    let source = KernelSource::new("roofline fma", &text).constants(&constants);
    let compute = gpu.kernel(source)?;
    let out = gpu.zeros::<[f32; 4]>(2)?;
    let mut run = || Ok(gpu.run(&compute, &[&out], [groups, 1, 1]).map(|_| ())?);
    let computed = timing::measure(SECONDS, &mut run, &|| env.wait())?.best;
    let flops = 2.0 * 4.0 * 8.0 * 8.0 * f64::from(rounds) * 256.0 * f64::from(groups);

    let wanted: u64 = if software { 64 << 20 } else { 512 << 20 };
    let bytes = wanted.min(gpu.limits().max_binding_bytes & !15);
    let copy = gpu.kernel(KernelSource::new("roofline copy", COPY))?;
    let (from, to) = (gpu.alloc_zeroed(bytes)?, gpu.alloc_zeroed(bytes)?);
    let grid = fold_groups(bytes / 16 / 256, gpu.limits().max_groups);
    let mut run = || Ok(gpu.run(&copy, &[&from, &to], grid).map(|_| ())?);
    let moved = timing::measure(SECONDS, &mut run, &|| env.wait())?.median;
    Ok(Roofline {
        flops: flops / computed,
        bytes: 2.0 * bytes as f64 / moved,
    })
}
