//! `wgrad bench`: runs the cases that a filter picks and shows what they reached. Each case measures one thing;
//! what it is measured with (`timing`), against (`roofline`) and how it is shown (`report`) are files of their own.

mod case;
mod chart;
mod compare;
pub mod first_step;
mod fit;
mod fma;
mod groups;
mod kernels;
mod memory;
mod planning;
mod report;
mod roofline;
mod shapes;
mod steps;
mod timing;
mod training;
mod user_kernel;

use crate::Result;
use case::{Case, Env, Work};
use clap::Args;
use report::Report;
use roofline::Roofline;
use std::path::PathBuf;
use wgrad::Device;

/// Options of `wgrad bench`.
#[derive(Args, Debug)]
pub struct Options {
    /// cpu, gpu, gpu:<part of the adapter's name>; the best there is if absent
    #[arg(long)]
    pub device: Option<String>,
    /// Cases whose name matches this regular expression, or contains it if it is none; all of them if absent
    #[arg(long)]
    pub filter: Option<String>,
    /// Only name the cases that would run
    #[arg(long)]
    pub list: bool,
    /// Write a JSON line for each case
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Compare with the JSON lines of an earlier run, and mark what got worse beyond noise
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Draw the roofline with the kernels under it
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Instead of the cases: train 10,000 steps and show that memory stays flat
    #[arg(long, conflicts_with = "kernel")]
    pub memory: bool,
    /// Instead of the cases: show what it takes to plan programs of up to 100,000 operations; --filter picks rows
    #[arg(long, conflicts_with_all = ["kernel", "memory"])]
    pub planning: bool,
    /// Instead of the cases: what parameter groups with clipping add to a step, in turns; --filter picks rows
    #[arg(long, conflicts_with_all = ["kernel", "memory", "planning"])]
    pub groups: bool,
    /// Instead of the cases: time the operations of a file of JSON lines, forward and with all gradients
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "memory", "planning", "groups"])]
    pub shapes: Option<PathBuf>,
    /// Another program's times of the same lines, to print and draw ratios
    #[arg(long, value_name = "FILE", requires = "shapes")]
    pub against: Option<PathBuf>,
    /// What the floats of --shapes are; to be set against times of f32, for one
    #[arg(long, value_enum, default_value_t, requires = "shapes")]
    pub dtype: shapes::Floats,
    /// Instead of the cases: measure the ways of convolutions of random shapes, and write what the cpu executor chooses by
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "memory", "planning", "groups", "shapes"])]
    pub fit: Option<PathBuf>,
    /// Where the random shapes of --fit begin, and how many are fitted; as many others show how good that is
    #[arg(long, num_args = 2, default_values_t = [1, 200], requires = "fit")]
    pub fit_shapes: Vec<u64>,
    #[command(flatten)]
    pub user: user_kernel::KernelOptions,
    /// Seconds a kernel is timed for, after warming up
    #[arg(long, default_value_t = 1.5)]
    pub seconds: f64,
    /// Seconds after which an epoch is cut short; the output then says at which step
    #[arg(long, default_value_t = 20.0)]
    pub epoch_seconds: f64,
    /// Record and evaluate kernels each time, instead of replaying a compiled function that keeps its buffers
    #[arg(long)]
    pub uncompiled: bool,
    /// Folder with MNIST's four IDX files; else WGRAD_DATA, else built-in digits of the same shape
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<()> {
    if options.planning {
        return planning::run(options);
    }
    if options.groups {
        return groups::run(options);
    }
    if let Some(file) = &options.shapes {
        return shapes::run(options, file);
    }
    if let (Some(file), &[seed, shapes]) = (&options.fit, &options.fit_shapes[..]) {
        return fit::run(file, [seed, shapes], options.filter.as_deref());
    }
    let cases = chosen(options.filter.as_deref())?;
    if options.list {
        for case in &cases {
            outln!("{}", case.name);
        }
        return Ok(());
    }
    let device = open(options)?;
    let env = Env::new(options, &device);
    if options.memory {
        return memory::run(&env);
    }
    if let Some(path) = &options.user.kernel {
        return user_kernel::run(&env, path, &options.user);
    }
    run_cases(&env, &cases)
}

fn open(options: &Options) -> Result<Device> {
    Ok(match &options.device {
        Some(name) => Device::open_blocking(name)?,
        None => Device::best_blocking()?,
    })
}

/// Whether a name matches a regular expression, or contains the text if it is none.
fn picks(filter: &str, name: &str) -> bool {
    match regex_lite::Regex::new(filter) {
        Ok(pattern) => pattern.is_match(name),
        Err(_) => name.contains(filter),
    }
}

fn run_cases(env: &Env, cases: &[Case]) -> Result<()> {
    let (options, device) = (env.options, env.device);
    let mut report = Report::new(options, device)?;
    let on_roofline = |case: &Case| matches!(case.work, Work::Kernel { .. });
    if cases.iter().any(on_roofline) {
        report.begin("roofline", [0, cases.len()]);
        report.roofline(Roofline::measure(env)?)?;
    }
    let mut failed = 0;
    for (i, case) in cases.iter().enumerate() {
        report.begin(case.name, [i + 1, cases.len()]);
        match case.measure(env) {
            Ok(measured) => report.show(case, &measured)?,
            Err(e) => {
                failed += 1;
                report.failed(case, &*e);
            }
        }
    }
    report.finish(options.svg.as_deref())?;
    match failed {
        0 => Ok(()),
        n => Err(format!("{n} of {} cases failed", cases.len()).into()),
    }
}

/// The cases whose names match.
fn chosen(filter: Option<&str>) -> Result<Vec<Case>> {
    let mut cases = kernels::cases();
    cases.extend(training::cases());
    cases.extend(steps::cases());
    if let Some(filter) = filter {
        cases.retain(|case| picks(filter, case.name));
    }
    if cases.is_empty() {
        return Err("no case has such a name; --list shows all of them".into());
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_pattern_or_a_part_of_the_name() {
        let names = |filter| -> Vec<&str> {
            chosen(Some(filter))
                .unwrap()
                .iter()
                .map(|c| c.name)
                .collect()
        };
        assert_eq!(
            names("f32_(256|512)$"),
            ["matmul_f32_256", "matmul_f32_512"]
        );
        assert_eq!(names("char"), ["char_lstm_b32_t64_h128_adam"]);
        assert!(chosen(Some("f32_(")).is_err(), "no name contains it");
        assert_eq!(
            names("_b(4|12|16|64)$"),
            [
                "gpt_l4_d128_t64_b12",
                "resnet18_32_b16",
                "mobilenetv2_32_b16",
                "unet_64_b4",
                "vit_32_b16",
                "dcgan_28_b64"
            ]
        );
        assert_eq!(chosen(None).unwrap().len(), 29);
    }
}
