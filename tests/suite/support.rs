//! Devices, deterministic contents and comparisons shared by the tests.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use wgrad::ops::{Fill, SampleInput, Tolerance};
use wgrad::reference::{Array, Evaluator};
use wgrad::{DType, Device, DeviceClass, Settings, Tensor, bf16, f16};

/// A device under test.
pub struct Subject {
    pub name: &'static str,
    pub device: Device,
}

/// Whether the full cross product is asked for.
pub fn all() -> bool {
    std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1")
}

/// A GPU opened with these settings; `None`, said aloud, where there is none and none is required.
pub fn open_gpu(settings: &Settings) -> Option<Device> {
    match Device::gpu_blocking(None, settings) {
        Ok(device) => Some(device),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => {
            println!("skipped: no adapter ({e})");
            None
        }
    }
}

/// The GPU at its own limits, opened once.
pub fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| open_gpu(&Settings::default())).clone()
}

/// The GPU held to what every WebGPU adapter offers.
pub fn gpu_minimum() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| {
        open_gpu(&Settings {
            minimum_limits: true,
            ..Settings::default()
        })
    })
    .clone()
}

/// The GPU held to what every WebGPU adapter offers, with the kernels of a card.
pub fn gpu_as_card() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(own_gpu_as_card).clone()
}

/// The same, which no other test uses: for what counts submissions.
pub fn own_gpu_as_card() -> Option<Device> {
    open_gpu(&Settings {
        minimum_limits: true,
        class: Some(DeviceClass::Discrete),
        ..Settings::default()
    })
}

/// The GPU without fusion.
pub fn gpu_unfused() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| {
        open_gpu(&Settings {
            fuse: false,
            ..Settings::default()
        })
    })
    .clone()
}

/// The cpu without fusion, as a device of its own.
pub fn cpu_unfused() -> Device {
    static CPU: OnceLock<Device> = OnceLock::new();
    CPU.get_or_init(|| {
        Device::cpu_with(&Settings {
            fuse: false,
            ..Settings::default()
        })
    })
    .clone()
}

/// The cpu planned for the fewest buffers a WebGPU kernel may bind.
pub fn cpu_minimum() -> Device {
    static CPU: OnceLock<Device> = OnceLock::new();
    CPU.get_or_init(|| {
        Device::cpu_with(&Settings {
            minimum_limits: true,
            ..Settings::default()
        })
    })
    .clone()
}

/// cpu, and the GPU where there is one.
pub fn executors() -> Vec<Subject> {
    let mut list = vec![Subject {
        name: "cpu",
        device: Device::cpu(),
    }];
    list.extend(gpu().map(|device| Subject {
        name: "gpu",
        device,
    }));
    list
}

/// The variants beside the default: without fusion, at minimum limits, and there with the kernels of a card.
pub fn variants() -> Vec<Subject> {
    let mut list = vec![
        Subject {
            name: "cpu unfused",
            device: cpu_unfused(),
        },
        Subject {
            name: "cpu minimum",
            device: cpu_minimum(),
        },
    ];
    list.extend(gpu_unfused().map(|device| Subject {
        name: "gpu unfused",
        device,
    }));
    list.extend(gpu_minimum().map(|device| Subject {
        name: "gpu minimum",
        device,
    }));
    list.extend(gpu_as_card().map(|device| Subject {
        name: "gpu as a card",
        device,
    }));
    list
}

/// SplitMix64: enough for test data.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `lo..hi`.
    pub fn uniform(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }
}

/// The contents a sample asks for, rounded to its dtype.
pub fn contents(input: &SampleInput, rng: &mut Random) -> Vec<f64> {
    let n: usize = input.shape.iter().product();
    let mut out: Vec<f64> = match &input.fill {
        Fill::Uniform(lo, hi) => (0..n).map(|_| rng.uniform(*lo, *hi)).collect(),
        Fill::Integers(lo, hi) => (0..n)
            .map(|_| (*lo + rng.below((hi - lo) as usize) as i64) as f64)
            .collect(),
        Fill::Values(v) => (0..n).map(|i| v[i % v.len()]).collect(),
        Fill::Distinct => {
            let mut v: Vec<f64> = (0..n).map(|i| i as f64 / 8.0 - n as f64 / 16.0).collect();
            for i in (1..n).rev() {
                v.swap(i, rng.below(i + 1));
            }
            v
        }
        Fill::Indices(m) => (0..n).map(|_| rng.below(*m) as f64).collect(),
    };
    out.iter_mut().for_each(|v| *v = input.dtype.rounded(*v));
    out
}

/// A tensor from values in f64.
pub fn tensor(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    match dtype {
        DType::F32 => Tensor::from_slice(
            &values.iter().map(|&v| v as f32).collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::F16 => Tensor::from_slice(
            &values.iter().map(|&v| f16::from_f64(v)).collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::BF16 => Tensor::from_slice(
            // What `rounded` gives are halves already.
            &values
                .iter()
                .map(|&v| bf16::from_f64(DType::BF16.rounded(v)))
                .collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::I32 => Tensor::from_slice(
            &values.iter().map(|&v| v as i32).collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::U32 => Tensor::from_slice(
            &values.iter().map(|&v| v as u32).collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::U8 => Tensor::from_slice(
            &values.iter().map(|&v| v as u8).collect::<Vec<_>>(),
            shape,
            device,
        ),
        DType::Bool => Tensor::from_slice(
            &values.iter().map(|&v| v != 0.0).collect::<Vec<_>>(),
            shape,
            device,
        ),
    }
}

/// The values of a tensor as its device computes them.
pub fn values(t: &Tensor) -> wgrad::Result<Vec<f64>> {
    Ok(match t.dtype() {
        DType::F32 => t.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
        DType::F16 => t.to_vec::<f16>()?.into_iter().map(f16::to_f64).collect(),
        DType::BF16 => t.to_vec::<bf16>()?.into_iter().map(bf16::to_f64).collect(),
        DType::I32 => t.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U32 => t.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::U8 => t.to_vec::<u8>()?.into_iter().map(f64::from).collect(),
        DType::Bool => t
            .to_vec::<bool>()?
            .into_iter()
            .map(|b| f64::from(u8::from(b)))
            .collect(),
    })
}

/// The values of a tensor as the reference computes them from the recorded graph.
pub fn expected(t: &Tensor) -> wgrad::Result<Array> {
    Evaluator::rounding().evaluate(t)
}

/// The worst element, if it is beyond the tolerance. NaN equals NaN, equal infinities pass.
pub fn differs(got: &[f64], want: &[f64], tol: Tolerance) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("{} elements instead of {}", got.len(), want.len()));
    }
    let bad = |g: f64, w: f64| {
        !(g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tol.atol + tol.rtol * w.abs())
    };
    let worst = (0..got.len())
        .filter(|&i| bad(got[i], want[i]))
        .max_by(|&a, &b| {
            (got[a] - want[a])
                .abs()
                .total_cmp(&(got[b] - want[b]).abs())
        })?;
    let n = (0..got.len()).filter(|&i| bad(got[i], want[i])).count();
    Some(format!(
        "{n} of {} differ, worst at {worst}: got {}, want {}",
        got.len(),
        got[worst],
        want[worst]
    ))
}

/// Compares a tensor's run with the reference.
pub fn check(t: &Tensor, tol: Tolerance) -> Result<(), String> {
    let got = values(t).map_err(|e| e.to_string())?;
    let want = expected(t).map_err(|e| e.to_string())?;
    differs(&got, &want.data, tol).map_or(Ok(()), Err)
}

/// Fails with all collected messages.
pub fn report(what: &str, count: usize, failures: &[String]) {
    println!("{what}: {count} checked, {} failed", failures.len());
    assert!(
        failures.is_empty(),
        "{what}: {} of {count} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(count > 0, "{what}: nothing was checked");
}

/// An example's program of this build, built where it is missing or old: with the features of the whole workspace, as all
/// tests are, so that nothing is compiled again.
pub fn example(name: &str) -> PathBuf {
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let test = std::env::current_exe().expect("the path of this program");
    // <target>/<profile>/deps/<this program>
    let folder = test.ancestors().nth(2).expect("a profile's folder");
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = folder.join("examples").join(program);
    let mut built = BUILT.lock().unwrap_or_else(|e| e.into_inner());
    if built.iter().any(|b| b == name) {
        return program;
    }
    let profile = match folder.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--example", name])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().expect("the target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    match build {
        Ok(status) => assert!(status.success(), "{name} does not build: {status}"),
        Err(e) => assert!(program.exists(), "no cargo ({e}) and no {program:?}"),
    }
    assert!(program.exists(), "the build made no {program:?}");
    built.push(name.to_owned());
    program
}
