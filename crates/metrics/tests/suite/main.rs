//! The suites of the metrics: against other libraries' numbers, against plain definitions on random data, on every device.

mod device;
mod reference;
mod sweeps;

use wgrad_graph::Device;
use wgrad_metrics::Metric;

/// The cpu, and a GPU where there is one.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match Device::open_blocking("gpu") {
        Ok(gpu) => devices.push(gpu),
        Err(e) if std::env::var_os("WGRAD_REQUIRE_GPU").is_some() => panic!("no GPU: {e}"),
        Err(e) => println!("no GPU, the cpu only: {e}"),
    }
    devices
}

/// One result of a metric.
fn result(metric: &dyn Metric, name: &str) -> f64 {
    let values = metric.value().unwrap();
    let found = values.iter().find(|(n, _)| n == name);
    found
        .unwrap_or_else(|| panic!("no {name} among {values:?}"))
        .1
}

fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let same = found == expected
        || (found.is_nan() && expected.is_nan())
        || (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    assert!(same, "{what}: {found} instead of {expected}");
}
