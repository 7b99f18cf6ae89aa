//! The course and its runner: lists its chapters, runs one, some or all of them, and writes an index page with every picture, figure
//! and source.
//!
//! ```sh
//! cargo run --release -p wgrad-course                       # what there is, and how long it takes
//! cargo run --release -p wgrad-course -- calculus           # a chapter
//! cargo run --release -p wgrad-course -- calculus/limit     # a lesson
//! cargo run --release -p wgrad-course -- --all --quick
//! ```
//!
//! A lesson is a function of a [`Lesson`]: what it prints, draws and checks goes through that. It uses the public library
//! and nothing of other lessons.

mod advertising;
mod attention;
mod autoencoders;
mod calculus;
mod capacity;
mod chapters;
mod classification;
mod convolution;
mod document;
mod feed_forward;
mod generative;
mod gradient_descent;
mod graphs;
mod index;
mod lesson;
mod linear_regression;
mod losses;
mod optimisation;
mod probability;
mod recurrent;
mod regularisation;
mod reinforcement;
mod results;
mod tensors;
mod text;
mod zoo;

use chapters::{CHAPTERS, Entry};
use clap::Parser;
use lesson::{Failure, Lesson, Record};
use results::Run;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use wgrad::Device;

/// Runs chapters or lessons of the course; without arguments, lists them.
#[derive(Parser)]
struct Options {
    /// Chapters (`calculus`) or lessons (`calculus/limit`).
    names: Vec<String>,
    /// Every lesson.
    #[arg(long)]
    all: bool,
    /// Seconds instead of minutes: smaller counts, with figures of their own.
    #[arg(long)]
    quick: bool,
    /// cpu, gpu, gpu:<part of the adapter's name>; the best there is by default.
    #[arg(long)]
    device: Option<String>,
    /// Of every random number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where pictures and the index page go.
    #[arg(long, default_value = "out/course")]
    out: PathBuf,
    /// Writes DIR/course.md of runs that have ended; the names are their folders.
    #[arg(long, value_name = "DIR")]
    document: Option<PathBuf>,
    /// The folder of another run, from whose figures this one's may differ by a twentieth.
    #[arg(long, value_name = "OUT")]
    beside: Option<PathBuf>,
    /// A folder with the course's data files; where it is absent, lessons use built-in generators or say what they lack.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// What the command line asks for.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(docs) = &options.document {
        let folders: Vec<PathBuf> = options.names.iter().map(PathBuf::from).collect();
        return match document::write(docs, &folders) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("error: {e}");
                ExitCode::FAILURE
            }
        };
    }
    if options.names.is_empty() && !options.all {
        list();
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} lessons failed or differ");
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo run --release -p wgrad-course -- NAME…, or --all; --quick takes seconds\n");
    for chapter in CHAPTERS {
        println!("{}: {}", chapter.name, chapter.title);
        for lesson in chapter.lessons {
            println!(
                "    {:<34} {:>4} s  {}",
                format!("{}/{}", chapter.name, lesson.name),
                lesson.seconds,
                lesson.title
            );
        }
    }
}

/// The lessons that the names mean, in the order of the course.
fn chosen(options: &Options) -> Result<Vec<(&'static str, &'static Entry)>, String> {
    let all = CHAPTERS
        .iter()
        .flat_map(|c| c.lessons.iter().map(move |l| (c.name, l)));
    let means = |name: &str, (chapter, lesson): (&str, &Entry)| {
        name.trim_end_matches('/') == chapter || name == format!("{chapter}/{}", lesson.name)
    };
    for name in &options.names {
        if !all.clone().any(|entry| means(name, entry)) {
            return Err(format!(
                "there is no chapter or lesson {name}; without arguments the course is listed"
            ));
        }
    }
    let wanted = |entry| options.all || options.names.iter().any(|name| means(name, entry));
    Ok(all.filter(|&entry| wanted(entry)).collect())
}

fn run(options: &Options) -> Result<usize, Box<dyn std::error::Error>> {
    let device = match &options.device {
        Some(name) => Device::open_blocking(name)?,
        None => Device::best_blocking()?,
    };
    let lessons = chosen(options)?;
    std::fs::create_dir_all(&options.out)?;
    let (began, count) = (Instant::now(), lessons.len());
    let mut records: Vec<Record> = Vec::with_capacity(count);
    for (at, (chapter, entry)) in lessons.into_iter().enumerate() {
        let elapsed = began.elapsed().as_secs_f64();
        println!(
            "\n[{}/{count}, {elapsed:.0} s] {chapter}/{}: {}",
            at + 1,
            entry.name,
            entry.title
        );
        let mut lesson = Lesson::new(options.into(), chapter, entry, &device)?;
        let outcome = (entry.run)(&mut lesson);
        let record = lesson.end(outcome.map_err(|e: Failure| e.to_string()));
        if let Some(error) = &record.error {
            eprintln!("    FAILED: {error}");
        }
        records.push(record);
    }
    let page = index::write(&options.out, &device, options.quick, options.seed, &records)?;
    println!("\n{}", page.display());
    results::write(&options.out, &device, options.quick, options.seed, &records)?;
    let held = records.iter().filter(|r| r.error.is_none()).count();
    println!(
        "test result: ok. {held} passed; {} failed",
        records.len() - held
    );
    let differences = match &options.beside {
        Some(other) => Run::read(&options.out)?.differences(&Run::read(other)?, 0.05),
        None => Vec::new(),
    };
    for line in &differences {
        eprintln!("differs: {line}");
    }
    Ok(records.len() - held + differences.len())
}

impl From<&Options> for lesson::Settings {
    fn from(options: &Options) -> lesson::Settings {
        lesson::Settings {
            quick: options.quick,
            seed: options.seed,
            out: options.out.clone(),
            data: options.data.clone(),
        }
    }
}
