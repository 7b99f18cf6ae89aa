//! The command line, and where the data comes from.

use crate::Result;
use crate::model::Kind;
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use wgrad::data::{ImageDataset, Mnist, digits};

/// What becomes of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Decay {
    /// It stays.
    None,
    /// It stays for half the run, then falls in a straight line to zero.
    Linear,
}

/// Trains on MNIST, or on built-in digits.
#[derive(Parser, Debug)]
pub struct Options {
    /// The network: mlp (784-256-128-10) or cnn (two convolutions, two linear layers)
    #[arg(long, value_enum, default_value = "cnn")]
    pub model: Kind,
    /// cpu, gpu, gpu:<part of the adapter's name> or reference; the best there is if absent
    #[arg(long)]
    pub device: Option<String>,
    /// Passes over the training images
    #[arg(long, default_value_t = 2)]
    pub epochs: u64,
    /// Images in a step; 64 for the cnn, 128 for the mlp
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate of Adam at the first step
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// How the learning rate falls over the whole run
    #[arg(long, value_enum, default_value = "linear")]
    pub decay: Decay,
    /// Seed of the initial weights, the order of the images and the built-in digits
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder with MNIST's four IDX files, plain or gzip; WGRAD_DATA if absent
    #[arg(long)]
    data: Option<PathBuf>,
    /// Fetch MNIST into the user's cache folder (needs the feature `download`)
    #[arg(long)]
    download: bool,
    /// Training images to use; all of them if absent (24,000 of the built-in digits)
    #[arg(long)]
    train_images: Option<usize>,
    /// Test images to use; all of them if absent (4,000 of the built-in digits)
    #[arg(long)]
    test_images: Option<usize>,
    /// Stop after this many steps in all
    #[arg(long)]
    pub steps: Option<u64>,
    /// Write the run to this file after each epoch, and every so many steps
    #[arg(long)]
    pub checkpoint: Option<PathBuf>,
    /// Steps between checkpoints; 0: only after epochs
    #[arg(long, default_value_t = 0)]
    pub checkpoint_every: u64,
    /// Go on from the checkpoint if it is there
    #[arg(long)]
    resume: bool,
    /// Write JSON lines: one for each step and epoch, and one at the end
    #[arg(long)]
    pub metrics: Option<PathBuf>,
    /// Where the picture of the run goes
    #[arg(long, default_value = "out/mnist.svg")]
    pub picture: Option<PathBuf>,
}

impl Options {
    pub fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(match self.model {
            Kind::Mlp => 128,
            Kind::Cnn => 64,
        })
    }

    /// The learning rate of a step, of so many in the whole run.
    pub fn lr_at(&self, step: u64, steps: u64) -> f64 {
        match self.decay {
            Decay::None => self.lr,
            Decay::Linear => self.lr * (2.0 - 2.0 * step as f64 / steps.max(1) as f64).min(1.0),
        }
    }

    /// The checkpoint to go on from, if that is asked for and it exists.
    pub fn resumed(&self) -> Option<&Path> {
        self.checkpoint
            .as_deref()
            .filter(|path| self.resume && path.exists())
    }

    /// Training images, test images, and their name.
    pub fn dataset(&self) -> Result<(ImageDataset, ImageDataset, String)> {
        let (train, test, name) = match self.folder()? {
            Some(dir) => {
                let (train, test) = Mnist::load(&dir)?;
                (train, test, format!("MNIST from {}", dir.display()))
            }
            None => {
                let (n_train, n_test) = (
                    self.train_images.unwrap_or(24_000),
                    self.test_images.unwrap_or(4_000),
                );
                let (train, test) = digits::train_test(n_train, n_test, self.seed);
                (
                    train,
                    test,
                    "built-in digits (drawn by code; give --data DIR or --download for MNIST)"
                        .to_string(),
                )
            }
        };
        let train = train.truncated(self.train_images.unwrap_or(usize::MAX));
        let test = test.truncated(self.test_images.unwrap_or(usize::MAX));
        if train.is_empty() || test.is_empty() {
            return Err("training needs at least one training and one test image".into());
        }
        Ok((train, test, name))
    }

    fn folder(&self) -> Result<Option<PathBuf>> {
        if let Some(dir) = &self.data {
            return Ok(Some(dir.clone()));
        }
        if self.download {
            return fetch().map(Some);
        }
        Ok(std::env::var_os("WGRAD_DATA")
            .filter(|d| !d.is_empty())
            .map(PathBuf::from))
    }
}

#[cfg(feature = "download")]
fn fetch() -> Result<PathBuf> {
    let show = |p: wgrad::data::download::Progress<'_>| {
        let total = p.total.map_or(String::new(), |t| format!(" of {t}"));
        eprint!("\r{} {}{total} bytes", p.file, p.bytes);
    };
    let dir = wgrad::data::download::mnist(show)?;
    eprintln!();
    Ok(dir)
}

#[cfg(not(feature = "download"))]
fn fetch() -> Result<PathBuf> {
    Err("--download needs the feature: cargo run --release --features download --example mnist -- --download".into())
}
