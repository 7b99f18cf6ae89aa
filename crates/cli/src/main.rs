//! The `wgrad` command. `bench` times kernels and training steps, `devices` lists what there is to run on, `tune`
//! chooses kernels by measuring, `report` and `compare` make pages of runs, `inspect` tells what a file holds. Only measures and prints: whatever is measured lives in the crates below, and uses their
//! public interfaces.

#[macro_use]
mod output;

mod bench;
mod devices;
mod inspect;
mod model;
mod processor;
mod runs;
mod tune;

use clap::{Parser, Subcommand};

/// What a command ends with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Deep learning on WebGPU, from the command line
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Time kernels and whole training steps, beside a roofline measured in the same run
    Bench(Box<bench::Options>),
    /// Make one page of the curves of several runs, and how their settings differ
    Compare(runs::CompareOptions),
    /// List the cpu and the GPU adapters, with limits and features
    Devices,
    /// Tell what a file of weights or data holds: names, shapes, types and statistics
    Inspect(inspect::Options),
    /// Write report.html into run folders
    Report(runs::ReportOptions),
    /// Measure which kernels of matrix products and convolutions are fastest on a GPU, for its next opening
    Tune(tune::Options),
    /// Run the first steps of a small network in this process and tell when they were done
    #[command(hide = true)]
    FirstStep {
        /// Device to run on
        device: String,
    },
}

fn main() {
    let outcome = match Cli::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Compare(options) => runs::compare_runs(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Report(options) => runs::report(&options),
        Command::Devices => {
            devices::run();
            Ok(())
        }
        Command::Tune(options) => tune::run(&options),
        Command::FirstStep { device } => bench::first_step::child(&device),
    };
    if let Err(e) = outcome {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}
