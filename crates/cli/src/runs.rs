//! `wgrad report` and `wgrad compare`: pages of run folders that training left behind. Must not know what a page holds.

use crate::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use wgrad::report::{Run, compare};

/// Options of `wgrad report`.
#[derive(Args, Debug)]
pub struct ReportOptions {
    /// Run folders: those that hold run.json or metrics.jsonl
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Also write every logged number into metrics.csv
    #[arg(long)]
    pub csv: bool,
    /// Also write a TensorBoard event file into this folder, below the run's name if there are several
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

/// Options of `wgrad compare`.
#[derive(Args, Debug)]
pub struct CompareOptions {
    /// Run folders, two or more
    #[arg(required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    pub out: PathBuf,
}

fn read(folder: &Path) -> Result<Run> {
    let run = Run::read(folder)?;
    for warning in &run.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(run)
}

/// Writes `report.html` into each run folder.
pub fn report(options: &ReportOptions) -> Result<()> {
    for folder in &options.runs {
        let run = read(folder)?;
        outln!("{}", run.write_html()?.display());
        if options.csv {
            let path = folder.join("metrics.csv");
            std::fs::write(&path, run.to_csv())
                .map_err(|error| format!("{}: cannot write: {error}", path.display()))?;
            outln!("{}", path.display());
        }
        if let Some(board) = &options.tensorboard {
            let board = match options.runs.len() {
                1 => board.clone(),
                _ => board.join(folder.file_name().unwrap_or_default()),
            };
            outln!("{}", run.write_tensorboard(board)?.display());
        }
    }
    Ok(())
}

/// Writes one page with the curves of all runs and how their settings differ.
pub fn compare_runs(options: &CompareOptions) -> Result<()> {
    let runs: Vec<Run> = options
        .runs
        .iter()
        .map(|folder| read(folder))
        .collect::<Result<_>>()?;
    compare(&runs.iter().collect::<Vec<_>>(), &options.out)?;
    outln!("{}", options.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_runs_are_written() {
        let folder = std::env::temp_dir().join(format!("wgrad-cli-runs-{}", std::process::id()));
        let runs: Vec<PathBuf> = ["one", "two"].map(|name| folder.join(name)).to_vec();
        for run in &runs {
            std::fs::create_dir_all(run).unwrap();
            let line = "{\"event\":\"step\",\"step\":1,\"loss\":0.5}\n";
            std::fs::write(run.join("metrics.jsonl"), line).unwrap();
        }
        let options = ReportOptions {
            runs: runs.clone(),
            csv: true,
            tensorboard: Some(folder.join("board")),
        };
        report(&options).unwrap();
        for (run, name) in runs.iter().zip(["one", "two"]) {
            assert!(run.join("report.html").exists());
            assert!(
                std::fs::read_to_string(run.join("metrics.csv"))
                    .unwrap()
                    .contains("loss,0.5")
            );
            assert_eq!(
                std::fs::read_dir(folder.join("board").join(name))
                    .unwrap()
                    .count(),
                1
            );
        }
        let out = folder.join("both.html");
        compare_runs(&CompareOptions {
            runs,
            out: out.clone(),
        })
        .unwrap();
        assert!(out.exists());
        let absent = ReportOptions {
            runs: vec![folder.join("absent")],
            csv: false,
            tensorboard: None,
        };
        assert!(report(&absent).unwrap_err().to_string().contains("absent"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
