//! CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009): 50,000 training and
//! 10,000 test images of 32x32 in colour, from the binary archives or the files in them. Fetches nothing; see `download` for
//! that. Files are untrusted.

use std::io::BufRead;

use crate::{Error, ImageDataset, Result, archive};

/// Rows and columns of an image.
pub const SIZE: usize = 32;
const PIXELS: usize = 3 * SIZE * SIZE;

/// The classes of CIFAR-10, in the order of their numbers.
pub const CIFAR10_CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

const CIFAR10_TRAIN: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];
const CIFAR10_TEST: &str = "test_batch.bin";

/// Which labels of CIFAR-100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// The 100 classes.
    #[default]
    Fine,
    /// The 20 superclasses.
    Coarse,
}

/// How to get at CIFAR-10.
#[derive(Clone, Copy, Debug)]
pub struct Cifar10;

/// How to get at CIFAR-100.
#[derive(Clone, Copy, Debug)]
pub struct Cifar100;

impl Cifar10 {
    /// The training and the test set from `cifar-10-binary.tar.gz`, or from the files of that archive, in `dir`.
    ///
    /// # Errors
    /// [`Error::Missing`] naming what was looked for, else what is wrong with the file that was found. The number of images
    /// is what the files say, not checked to be 60,000.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(dir: impl AsRef<std::path::Path>) -> Result<(ImageDataset, ImageDataset)> {
        let names: Vec<&str> = CIFAR10_TRAIN.into_iter().chain([CIFAR10_TEST]).collect();
        let files = find(
            dir.as_ref(),
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-bin",
            &names,
        )?;
        Self::of_files(files)
    }

    /// As [`Cifar10::load`], from a reader of the archive; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Cifar10::load`].
    pub fn from_archive(reader: impl BufRead, name: &str) -> Result<(ImageDataset, ImageDataset)> {
        let names: Vec<&str> = CIFAR10_TRAIN.into_iter().chain([CIFAR10_TEST]).collect();
        let contents = archive::members(reader, name, &names)?;
        let files = names.iter().zip(contents);
        Self::of_files(
            files
                .map(|(of, bytes)| (format!("{name}: {of}"), bytes))
                .collect(),
        )
    }

    fn of_files(mut files: Vec<(String, Vec<u8>)>) -> Result<(ImageDataset, ImageDataset)> {
        let test = files.split_off(files.len().saturating_sub(1));
        let set = |name: &str, files: &[(String, Vec<u8>)]| {
            let (images, labels) = records(files, 1, 0, CIFAR10_CLASSES.len())?;
            ImageDataset::with_channels(name, images, labels, [3, SIZE, SIZE], 10)?
                .with_class_names(&CIFAR10_CLASSES)
        };
        Ok((set("CIFAR-10 train", &files)?, set("CIFAR-10 test", &test)?))
    }
}

impl Cifar100 {
    /// The training and the test set from `cifar-100-binary.tar.gz`, or from the files of that archive, in `dir`.
    ///
    /// # Errors
    /// As [`Cifar10::load`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(
        dir: impl AsRef<std::path::Path>,
        labels: Labels,
    ) -> Result<(ImageDataset, ImageDataset)> {
        let files = find(
            dir.as_ref(),
            "cifar-100-binary.tar.gz",
            "cifar-100-binary",
            &Self::names(labels),
        )?;
        Self::of_files(files, labels)
    }

    /// As [`Cifar100::load`], from a reader of the archive; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Cifar10::load`].
    pub fn from_archive(
        reader: impl BufRead,
        name: &str,
        labels: Labels,
    ) -> Result<(ImageDataset, ImageDataset)> {
        let names = Self::names(labels);
        let contents = archive::members(reader, name, &names)?;
        let files = names.iter().zip(contents);
        let files = files.map(|(of, bytes)| (format!("{name}: {of}"), bytes));
        Self::of_files(files.collect(), labels)
    }

    fn names(labels: Labels) -> [&'static str; 3] {
        let names = match labels {
            Labels::Fine => "fine_label_names.txt",
            Labels::Coarse => "coarse_label_names.txt",
        };
        ["train.bin", "test.bin", names]
    }

    fn of_files(
        files: Vec<(String, Vec<u8>)>,
        labels: Labels,
    ) -> Result<(ImageDataset, ImageDataset)> {
        let (at, classes) = match labels {
            Labels::Coarse => (0, 20),
            Labels::Fine => (1, 100),
        };
        let (file, text) = &files[2];
        let text = std::str::from_utf8(text).map_err(|error| Error::Format {
            file: file.clone(),
            offset: error.valid_up_to() as u64,
            problem: "the names are not UTF-8".to_owned(),
        })?;
        let names: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .collect();
        let set = |name: &str, file: &(String, Vec<u8>)| {
            let (images, labels) = records(std::slice::from_ref(file), 2, at, classes)?;
            ImageDataset::with_channels(name, images, labels, [3, SIZE, SIZE], classes)?
                .with_class_names(&names)
        };
        Ok((
            set("CIFAR-100 train", &files[0])?,
            set("CIFAR-100 test", &files[1])?,
        ))
    }
}

/// Images and labels of records of `labels` bytes, of which number `at` counts, and then an image's red, green and blue.
fn records(
    files: &[(String, Vec<u8>)],
    labels: usize,
    at: usize,
    classes: usize,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let size = labels + PIXELS;
    let mut images = Vec::new();
    let mut classes_of = Vec::new();
    for (file, bytes) in files {
        let fault = |offset: usize, problem: String| Error::Format {
            file: file.clone(),
            offset: offset as u64,
            problem,
        };
        if bytes.is_empty() || !bytes.len().is_multiple_of(size) {
            let len = bytes.len();
            let problem = format!("{len} bytes are no whole number of records of {size}");
            return Err(fault(len - len % size, problem));
        }
        for (number, record) in bytes.chunks_exact(size).enumerate() {
            let label = record[at];
            if usize::from(label) >= classes {
                let problem = format!("label {label} is not below the {classes} classes");
                return Err(fault(number * size + at, problem));
            }
            classes_of.push(label);
            images.extend_from_slice(&record[labels..]);
        }
    }
    Ok((images, classes_of))
}

/// The contents of `names`, each with what errors call it: from the archive, or from files in `dir` or its `folder`.
#[cfg(not(target_arch = "wasm32"))]
fn find(
    dir: &std::path::Path,
    archive_name: &str,
    folder: &str,
    names: &[&str],
) -> Result<Vec<(String, Vec<u8>)>> {
    use std::io::Read;

    let io = |action: &'static str, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    };
    let packed = dir.join(archive_name);
    if packed.exists() {
        let file = std::fs::File::open(&packed).map_err(io("open", &packed))?;
        let shown = packed.display().to_string();
        let contents = archive::members(std::io::BufReader::new(file), &shown, names)?;
        let files = names.iter().zip(contents);
        return Ok(files
            .map(|(name, bytes)| (format!("{shown}: {name}"), bytes))
            .collect());
    }
    let mut files = Vec::new();
    for name in names {
        let places = [dir.join(name), dir.join(folder).join(name)];
        let Some(path) = places.iter().find(|path| path.exists()) else {
            return Err(Error::Missing {
                what: "CIFAR",
                dir: dir.to_owned(),
                looked_for: vec![
                    archive_name.to_owned(),
                    (*name).to_owned(),
                    format!("{folder}/{name}"),
                ],
            });
        };
        let file = std::fs::File::open(path).map_err(io("open", path))?;
        let mut bytes = Vec::new();
        let limit = archive::MAX_MEMBER_BYTES;
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(io("read", path))?;
        let shown = path.display().to_string();
        if bytes.len() as u64 > limit {
            return Err(Error::Format {
                file: shown,
                offset: limit,
                problem: format!("longer than {limit} bytes"),
            });
        }
        files.push((shown, bytes));
    }
    Ok(files)
}
