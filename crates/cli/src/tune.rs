//! `wgrad tune`: measures which kernels are fastest on a device and keeps the result for its next opening. Only asks and
//! prints: what is measured, and where it is kept, is `Device::tune`'s matter.

use crate::Result;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use wgrad::{Device, TuneOptions, TuneShape};

/// Options of `wgrad tune`.
#[derive(Args, Debug)]
pub struct Options {
    /// gpu, gpu:<part of the adapter's name or its number>; the best there is if absent
    #[arg(long)]
    pub device: Option<String>,
    /// Products to measure, separated by commas: MxNxK, BATCHxMxNxK, conv:BATCHxINxOUTxSIZExKERNEL; the usual ones if
    /// absent
    #[arg(long, value_delimiter = ',')]
    pub shapes: Vec<TuneShape>,
    /// How long each candidate is timed
    #[arg(long, default_value_t = 100)]
    pub milliseconds: u64,
    /// Where the result is written; else WGRAD_TUNE_CACHE, else the user's cache directory
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<()> {
    let device = match &options.device {
        Some(name) => Device::open_blocking(name)?,
        None => Device::best_blocking()?,
    };
    outln!("device {device}");
    let mut tune = TuneOptions {
        time: Duration::from_millis(options.milliseconds),
        directory: options.directory.clone(),
        ..TuneOptions::default()
    };
    if !options.shapes.is_empty() {
        tune.shapes.clone_from(&options.shapes);
    }
    let report = device.tune(&tune, &mut |event| {
        outln!("[{}/{}] {}", event.done, event.of, event.tuned);
    })?;
    outln!(
        "{} choices differ from the rules; read at the next opening from {}",
        report.choices,
        report.path.display()
    );
    Ok(())
}
