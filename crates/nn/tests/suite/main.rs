//! Modules, layers and optimisers against hand-computed numbers and plain f64 loops, on every device.
#![cfg(feature = "cpu")]

mod averages;
mod batch_norm;
mod compile;
mod course;
mod dropout;
mod effects;
mod gradients;
mod groups;
mod inside;
mod layers;
mod long;
mod models;
mod module;
mod optim;
mod pytorch;
mod pytorch_cases;
mod pytorch_training;
mod random_states;
mod recurrent;
mod rules;
mod schedules;
mod sequences;
mod sequential;
mod sharing;
mod state;
mod structure;
mod training;
mod warnings;

use wgrad_graph::{Device, Tensor};

/// The devices that every test runs on; a GPU where there is one.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu(), Device::reference()];
    devices.extend(gpu());
    devices
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Option<Device> {
    None
}

/// `None` without an adapter, unless `WGRAD_REQUIRE_GPU` is 1.
#[cfg(feature = "gpu")]
fn gpu() -> Option<Device> {
    static GPU: std::sync::OnceLock<Option<Device>> = std::sync::OnceLock::new();
    let open = || match Device::gpu_blocking(None, &wgrad_graph::Settings::default()) {
        Ok(device) => Some(device),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").as_deref() == Ok("1") => panic!("no GPU: {e}"),
        Err(e) => {
            eprintln!("skipped: no adapter ({e})");
            None
        }
    };
    GPU.get_or_init(open).clone()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_vec::<f32>()
        .expect("a float tensor that runs")
        .into_iter()
        .map(f64::from)
        .collect()
}

/// Asserts `|got − want| ≤ tolerance · (1 + |want|)` everywhere.
#[track_caller]
fn close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= tolerance * (1.0 + w.abs()),
            "element {i}: {g}, not {w}\n{got:?}\n{want:?}"
        );
    }
}

/// Numbers without pattern in [−1, 1], for inputs.
fn spread(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i as f32 * 12.9898 + 1.0).sin() * 43.758).fract())
        .collect()
}
