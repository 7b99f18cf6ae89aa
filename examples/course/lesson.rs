//! What a lesson is given: a device, a seed, and where its words, figures and checks go. Teaches nothing.

use crate::chapters::Entry;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wgrad::Device;
use wgrad::data::{DeviceDataset, ImageDataset, Mnist, digits};
use wgrad::plot::{Figure, Grid};

/// Whatever may stop a lesson.
pub type Failure = Box<dyn std::error::Error>;

/// What a lesson's function returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// What was asked for on the command line.
#[derive(Clone)]
pub struct Settings {
    pub quick: bool,
    pub seed: u64,
    pub out: PathBuf,
    pub data: Option<PathBuf>,
}

/// A running lesson.
pub struct Lesson {
    pub device: Device,
    pub seed: u64,
    pub quick: bool,
    settings: Settings,
    record: Record,
    began: Instant,
}

/// What became of a lesson, for the index page.
pub struct Record {
    pub chapter: &'static str,
    pub entry: &'static Entry,
    /// Words and checks in order.
    pub lines: Vec<Line>,
    pub error: Option<String>,
    pub seconds: f64,
}

/// A part of a lesson's output.
pub enum Line {
    Said(String),
    Checked {
        what: String,
        got: f64,
        want: String,
        held: bool,
    },
    Drawn {
        file: String,
        title: String,
    },
}

impl Lesson {
    pub fn new(
        settings: Settings,
        chapter: &'static str,
        entry: &'static Entry,
        device: &Device,
    ) -> Result<Lesson> {
        std::fs::create_dir_all(settings.out.join(chapter))?;
        Ok(Lesson {
            device: device.clone(),
            seed: settings.seed,
            quick: settings.quick,
            settings,
            record: Record {
                chapter,
                entry,
                lines: Vec::new(),
                error: None,
                seconds: 0.0,
            },
            began: Instant::now(),
        })
    }

    /// `full`, or `quick` where seconds are asked for.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Words for the reader.
    pub fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("    {}", text.replace('\n', "\n    "));
        self.record.lines.push(Line::Said(text));
    }

    /// A figure, as `<out>/<chapter>/<lesson>-<name>.svg`.
    pub fn figure(&mut self, name: &str, title: &str, figure: &Figure) -> Result {
        let file = self.file(name);
        figure.save(self.settings.out.join(&file))?;
        self.drawn(file, title);
        Ok(())
    }

    /// Several figures side by side.
    pub fn grid(&mut self, name: &str, title: &str, grid: &Grid) -> Result {
        let file = self.file(name);
        grid.save(self.settings.out.join(&file))?;
        self.drawn(file, title);
        Ok(())
    }

    fn file(&self, name: &str) -> String {
        format!(
            "{}/{}-{name}.svg",
            self.record.chapter, self.record.entry.name
        )
    }

    fn drawn(&mut self, file: String, title: &str) {
        println!("    picture {}", self.settings.out.join(&file).display());
        self.record.lines.push(Line::Drawn {
            file,
            title: title.into(),
        });
    }

    /// `got` is within `tolerance` of `want`.
    pub fn close(&mut self, what: &str, got: f64, want: f64, tolerance: f64) -> Result {
        let held = (got - want).abs() <= tolerance;
        self.check(what, got, format!("{want} ± {tolerance}"), held)
    }

    /// `got` is `least` or more.
    pub fn at_least(&mut self, what: &str, got: f64, least: f64) -> Result {
        self.check(what, got, format!("at least {least}"), got >= least)
    }

    /// `got` is `most` or less.
    pub fn at_most(&mut self, what: &str, got: f64, most: f64) -> Result {
        self.check(what, got, format!("at most {most}"), got <= most)
    }

    fn check(&mut self, what: &str, got: f64, want: String, held: bool) -> Result {
        let mark = if held { "✓" } else { "✗" };
        println!("    {mark} {what}: {got:.6} ({want})");
        self.record.lines.push(Line::Checked {
            what: what.into(),
            got,
            want: want.clone(),
            held,
        });
        match held {
            true => Ok(()),
            false => Err(format!("{what} is {got}, not {want}").into()),
        }
    }

    /// A file of the course's data folder, if it is there.
    pub fn data(&mut self, path: &str) -> Option<PathBuf> {
        let given = self.settings.data.clone();
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let file = given.unwrap_or(beside).join(path);
        let there = file.exists();
        if !there {
            self.say(format!(
                "{path} is not there (--data DIR): a generator takes its place"
            ));
        }
        there.then_some(file)
    }

    /// Training and test digits: MNIST where its files are, else built-in ones that look handwritten.
    pub fn digits(&mut self) -> Result<(ImageDataset, ImageDataset)> {
        Ok(match self.data("mnist") {
            Some(folder) => Mnist::load(folder)?,
            None => digits::train_test(20_000, 2_000, self.seed),
        })
    }

    /// The first of them on the device, pixels from 0 to 1; as many built-in ones where MNIST is not there.
    pub fn some_digits(
        &mut self,
        train: usize,
        test: usize,
    ) -> Result<(DeviceDataset, DeviceDataset)> {
        let sets = match self.data("mnist") {
            Some(folder) => Mnist::load(folder)?,
            None => digits::train_test(train, test, self.seed),
        };
        let first = DeviceDataset::new(&sets.0.truncated(train), &self.device)?;
        Ok((
            first,
            DeviceDataset::new(&sets.1.truncated(test), &self.device)?,
        ))
    }

    pub fn end(mut self, outcome: std::result::Result<(), String>) -> Record {
        self.record.error = outcome.err();
        self.record.seconds = self.began.elapsed().as_secs_f64();
        self.record
    }
}
