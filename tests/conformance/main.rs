//! The conformance cases, computed by PyTorch, through the public API on every executor: outputs, gradients and
//! Hessian-vector products. Reads the directory in `WGRAD_CONFORMANCE` (default `../shared/conformance`, whose README
//! defines the form). `--device NAME` and `--filter TEXT` narrow the run; the last line counts cases and devices.

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
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::{Device, Settings};

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

fn devices(wanted: Option<&str>) -> Vec<(String, Device)> {
    let mut list = vec![
        ("cpu".to_string(), Device::cpu()),
        ("reference".to_string(), Device::reference()),
    ];
    match Device::gpu_blocking(None, &Settings::default()) {
        Ok(gpu) => list.push(("gpu".to_string(), gpu)),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => println!("skipped: no adapter ({e})"),
    }
    list.retain(|(name, _)| wanted.is_none_or(|w| w == name));
    list
}

fn option(name: &str) -> Option<String> {
    let args: Vec<String> = std::env::args().collect();
    args.iter()
        .position(|a| a == name)
        .and_then(|at| args.get(at + 1).cloned())
}

fn main() -> ExitCode {
    // Test runners ask for a list first.
    if std::env::args().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    let directory = std::env::var_os("WGRAD_CONFORMANCE")
        .map_or_else(|| PathBuf::from("../shared/conformance"), PathBuf::from);
    if !directory.exists() {
        println!(
            "absent: {}; no conformance case was run",
            directory.display()
        );
        return if std::env::var_os("WGRAD_CONFORMANCE").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let store = match Store::open(&directory) {
        Ok(store) => store,
        Err(e) => {
            println!("{}: {e}", directory.display());
            return ExitCode::FAILURE;
        }
    };
    let filter = option("--filter").unwrap_or_default();
    let mut total = Counts::default();
    for (name, device) in devices(option("--device").as_deref()) {
        let mut counts = Counts::default();
        for id in store.ids().filter(|id| id.contains(&filter)) {
            counts.add(&run_case(&store, id, &name, &device));
        }
        println!("{name}: {counts}");
        total.merge(&counts);
    }
    if filter.is_empty() {
        total.failed += selftest::run(&store);
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
