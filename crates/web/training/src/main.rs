//! Computes on the native cpu executor what the page is to see, and writes it as JSON:
//! `{"digits": "<checksum>", "<run>": [loss, ...]}`. It must compute with nothing but the cpu.
//!
//! ```text
//! wgrad-web-expected <expected.json>
//! ```

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Map, json};
use wgrad_graph::{Device, block_on};
use wgrad_web_training::{RUNS, checksum, training_digits};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: wgrad-web-expected <expected.json>");
        return ExitCode::FAILURE;
    };
    match write(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wgrad-web-expected: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(path: &str) -> Result<(), Box<dyn Error>> {
    let dataset = training_digits();
    let mut expected = Map::new();
    let digits = format!("{:016x}", checksum(&dataset));
    expected.insert("digits".to_owned(), json!(digits));
    for run in RUNS {
        let losses = block_on(run.losses(&dataset, &Device::cpu()))?;
        expected.insert(run.name.to_owned(), json!(losses));
    }
    std::fs::write(path, serde_json::to_string_pretty(&expected)?)?;
    Ok(())
}
