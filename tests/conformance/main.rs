//! The conformance cases, computed by PyTorch, through the public API on every executor: outputs, gradients and
//! Hessian-vector products. Reads the directories in `WGRAD_CONFORMANCE`, separated as in `PATH` (default
//! `../shared/conformance`, whose README defines the form, and `../shared/conformance-edges`). `exact` is the reference
//! without rounding between operations, so it judges the compositions themselves. Each executor also runs without
//! fusion (and so without kernels over rows), and planned for what every WebGPU adapter offers, the GPU opened with no
//! more than that, once with the kernels that a card would run: all cases of a small directory, a fixed tenth of a large
//! one, all of them with `WGRAD_TEST_ALL=1`. `--device NAME`, which then runs all cases, and `--filter TEXT` narrow the
//! run; the last line counts cases.

mod brain;
mod case;
mod compare;
mod contract;
mod elementwise;
mod index;
mod linalg;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod recurrent;
mod reduce;
mod schedule;
mod selftest;
mod views;

use case::{Case, Store};
use compare::{Checked, Counts};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use wgrad::{Device, DeviceClass, Settings};

/// A group of operations: the outputs of a case, or `None` if the case is not of this group.
type Group = fn(&Case) -> Option<Result<Vec<wgrad::Tensor>, String>>;

const GROUPS: &[Group] = &[
    elementwise::run,
    reduce::run,
    contract::run,
    pool::run,
    views::run,
    index::run,
    norm::run,
    loss::run,
    linalg::run,
    recurrent::run,
    optimizer::run,
    schedule::run,
];

/// The outputs of a case.
fn outputs(case: &Case) -> Result<Vec<wgrad::Tensor>, String> {
    GROUPS
        .iter()
        .find_map(|group| group(case))
        .unwrap_or_else(|| Err(format!("{} is unsupported", case.op)))
}

/// A device under test.
struct Subject {
    name: &'static str,
    device: Device,
    /// One of so many cases is run.
    every: usize,
}

/// One case of so many runs on the variants, unless all are asked for.
const EVERY: usize = 10;

/// A directory of no more cases than this runs on the variants in full.
const SMALL: usize = 250;

/// Paths begin at the root of the repository, where cargo is called.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What is read if no directory is named.
const DEFAULT: [&str; 2] = ["../shared/conformance", "../shared/conformance-edges"];

fn open_gpu(settings: &Settings) -> Option<Device> {
    match Device::gpu_blocking(None, settings) {
        Ok(gpu) => Some(gpu),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => {
            println!("skipped: no adapter ({e})");
            None
        }
    }
}

fn subjects(wanted: Option<&str>) -> Vec<Subject> {
    let all = std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1");
    let every = if all || wanted.is_some() { 1 } else { EVERY };
    let default = Settings::default();
    let unfused = Settings {
        fuse: false,
        ..Settings::default()
    };
    let minimum = Settings {
        minimum_limits: true,
        ..Settings::default()
    };
    let card = Settings {
        class: Some(DeviceClass::Discrete),
        ..minimum.clone()
    };
    type Open<'a> = &'a dyn Fn() -> Option<Device>;
    let list: [(&'static str, usize, Open<'_>); 9] = [
        ("cpu", 1, &|| Some(Device::cpu())),
        ("reference", 1, &|| Some(Device::reference())),
        ("exact", 1, &|| Some(Device::exact())),
        ("gpu", 1, &|| open_gpu(&default)),
        ("cpu unfused", every, &|| Some(Device::cpu_with(&unfused))),
        ("cpu minimum", every, &|| Some(Device::cpu_with(&minimum))),
        ("gpu unfused", every, &|| open_gpu(&unfused)),
        ("gpu minimum", every, &|| open_gpu(&minimum)),
        ("gpu as a card", every, &|| open_gpu(&card)),
    ];
    list.into_iter()
        .filter(|(name, ..)| wanted.is_none_or(|w| w == *name))
        .filter_map(|(name, every, open)| {
            Some(Subject {
                name,
                device: open()?,
                every,
            })
        })
        .collect()
}

fn option(name: &str) -> Option<String> {
    let args: Vec<String> = std::env::args().collect();
    args.iter()
        .position(|a| a == name)
        .and_then(|at| args.get(at + 1).cloned())
}

/// The directories asked for, by their last names; of the defaults those that are there.
fn stores() -> Result<Vec<(String, Store)>, String> {
    let asked = std::env::var_os("WGRAD_CONFORMANCE");
    let list: Vec<PathBuf> = match &asked {
        Some(paths) => std::env::split_paths(paths).collect(),
        None => DEFAULT.map(PathBuf::from).to_vec(),
    };
    let mut stores = Vec::new();
    for directory in list {
        let shown = directory.display();
        let directory = Path::new(ROOT).join(&directory);
        if !directory.exists() {
            let absent = format!("absent: {shown}; its conformance cases were not run");
            if asked.is_some() {
                return Err(absent);
            }
            println!("{absent}");
            continue;
        }
        let store = Store::open(&directory).map_err(|e| format!("{shown}: {e}"))?;
        let name = directory.file_name().unwrap_or(directory.as_os_str());
        stores.push((name.to_string_lossy().into_owned(), store));
    }
    Ok(stores)
}

fn main() -> ExitCode {
    // Test runners ask for a list first.
    if std::env::args().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    let stores = match stores() {
        Ok(stores) if stores.is_empty() => return ExitCode::SUCCESS,
        Ok(stores) => stores,
        Err(e) => {
            println!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let filter = option("--filter").unwrap_or_default();
    let mut total = Counts::default();
    for subject in subjects(option("--device").as_deref()) {
        for (name, store) in &stores {
            let (start, mut counts) = (Instant::now(), Counts::default());
            let every = match store.ids().count() {
                n if n <= SMALL => 1,
                _ => subject.every,
            };
            for id in store.ids().step_by(every) {
                if id.contains(&filter) {
                    counts.add(&run_case(store, id, subject.name, &subject.device));
                }
            }
            let seconds = start.elapsed().as_secs_f64();
            println!("{}, {name}: {counts}; {seconds:.1} s", subject.name);
            total.merge(&counts);
        }
    }
    if filter.is_empty() {
        total.failed += stores.iter().map(|(_, s)| selftest::run(s)).sum::<usize>();
    }
    // Its tolerances are those of the cases of the first directory.
    let asked = std::env::var_os("WGRAD_CONFORMANCE").is_some() || option("--device").is_some();
    if let Some((_, store)) = stores
        .iter()
        .find(|(name, _)| !asked && name == "conformance")
    {
        total.failed += brain::run(store, &filter);
    }
    println!("compared {}", total.kinds());
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 && total.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one case on one device and prints a line if it fails. A panic is a failure.
fn run_case(store: &Store, id: &str, name: &str, device: &Device) -> Checked {
    let run = || match store.case(id, device) {
        Ok(case) => compare::check(&case, outputs(&case)),
        Err(e) => Checked::failure(e),
    };
    let checked = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Checked::failure("panics".to_string()));
    if let Some(line) = checked.line() {
        println!("{name} {id}: {line}");
    }
    checked
}
