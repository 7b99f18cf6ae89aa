//! `wgrad devices`: what there is to run on. Opens each adapter once, to see what it does that its limits do not say.

use crate::processor;
use wgrad::device::{
    AdapterInfo, Features, Gpu, Limits, MatrixShape, OpenOptions, adapters_blocking,
};

/// Prints the cpu and every adapter.
pub fn run() {
    outln!("cpu: {}", processor::description());
    let adapters = adapters_blocking();
    if adapters.is_empty() {
        outln!("no GPU adapter: is a driver installed, and on Linux the Vulkan loader?");
    }
    for (number, adapter) in adapters.iter().enumerate() {
        print(number, adapter);
    }
}

fn print(number: usize, adapter: &AdapterInfo) {
    outln!(
        "\ngpu:{number} gpu:{} ({}, {:?})",
        adapter.name,
        adapter.backend,
        adapter.kind
    );
    outln!("  driver    {}", adapter.driver);
    outln!("  features  {}", features(&adapter.features));
    for line in limits(&adapter.limits) {
        outln!("  {line}");
    }
    outln!("  loops     {}", loops(adapter));
    let matrices: Vec<String> = adapter.matrices.iter().map(matrix).collect();
    if !matrices.is_empty() {
        outln!("  matrices  {}", matrices.join(", "));
    }
}

/// Whether loops run to their end there.
fn loops(adapter: &AdapterInfo) -> String {
    let options = OpenOptions {
        name: Some(adapter.name.clone()),
        allow_software: true,
        ..OpenOptions::default()
    };
    let probed = Gpu::open_blocking(options).and_then(|gpu| gpu.loop_limit_blocking());
    match probed {
        Ok(None) => "of 200,000 rounds run to their end".to_owned(),
        Ok(Some(rounds)) => {
            format!(
                "end without a word after {rounds} rounds of an invocation; no kernel of wgrad takes so many"
            )
        }
        Err(error) => format!("not probed: {error}"),
    }
}

fn features(features: &Features) -> String {
    let named = [
        ("f16", features.f16),
        ("subgroups", features.subgroups),
        ("subgroup barriers", features.subgroup_barrier),
        ("timestamps", features.timestamps),
        ("f32 atomics", features.f32_atomics),
        ("cooperative matrices", features.cooperative_matrix),
    ];
    let present: Vec<&str> = named
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    if present.is_empty() {
        "none that are optional".to_string()
    } else {
        present.join(", ")
    }
}

fn limits(l: &Limits) -> Vec<String> {
    let [x, y, z] = l.max_workgroup_size;
    vec![
        format!(
            "bindings  {} storage, {} uniform",
            l.max_storage_buffers, l.max_uniform_buffers
        ),
        format!(
            "workgroup {} invocations, at most {x} x {y} x {z}, {} bytes of memory; {} groups a dimension",
            l.max_invocations, l.workgroup_memory, l.max_groups
        ),
        format!(
            "subgroup  {} to {} invocations",
            l.min_subgroup_size, l.max_subgroup_size
        ),
        format!(
            "bytes     buffer {}, storage binding {}, uniform binding {}",
            bytes(l.max_buffer_bytes),
            bytes(l.max_binding_bytes),
            bytes(l.max_uniform_bytes)
        ),
        format!(
            "alignment {} for storage, {} for uniform bindings",
            l.storage_alignment, l.uniform_alignment
        ),
    ]
}

fn matrix(shape: &MatrixShape) -> String {
    let MatrixShape { m, n, k, .. } = shape;
    format!("{m}x{n}x{k} {:?} in {:?}", shape.operand, shape.accumulator)
}

/// In the largest unit that leaves at least one.
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (n.max(1).ilog2() / 10).min(units.len() as u32 - 1);
    let value = n as f64 / 1024f64.powi(power as i32);
    let digits = usize::from(value.fract() != 0.0);
    format!("{value:.digits$} {}", units[power as usize])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_take_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(128 << 20), "128 MiB");
        assert_eq!(bytes((2 << 30) - 4), "2.0 GiB");
        assert_eq!(bytes(1536), "1.5 KiB");
    }
}
