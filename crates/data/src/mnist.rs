//! MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test images of handwritten digits,
//! 28x28, from its four IDX files. Fetches nothing; see `download` for that.

use crate::{Error, Idx, ImageDataset, Result};

/// The digits 0 to 9.
const CLASSES: usize = 10;

/// The file holding each part, without the `.gz` it may end in; the second spelling is what some
/// archives unpack to.
#[cfg(not(target_arch = "wasm32"))]
mod parts {
    pub(super) struct Part {
        pub(super) what: &'static str,
        pub(super) names: [&'static str; 2],
    }

    pub(super) const TRAIN_IMAGES: Part = Part {
        what: "MNIST training images",
        names: ["train-images-idx3-ubyte", "train-images.idx3-ubyte"],
    };
    pub(super) const TRAIN_LABELS: Part = Part {
        what: "MNIST training labels",
        names: ["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"],
    };
    pub(super) const TEST_IMAGES: Part = Part {
        what: "MNIST test images",
        names: ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"],
    };
    pub(super) const TEST_LABELS: Part = Part {
        what: "MNIST test labels",
        names: ["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"],
    };
}

/// The classes of Fashion-MNIST, in the order of their numbers.
pub const FASHION_MNIST_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// How to get at MNIST, and at the datasets that share its files' form (KMNIST).
#[derive(Clone, Copy, Debug)]
pub struct Mnist;

impl Mnist {
    /// The training and the test set from the four files in `dir`, each plain or `.gz`.
    ///
    /// # Errors
    /// [`Error::Missing`] naming the folder and the files looked for, else what is wrong with the
    /// file that was found. The number of images is what the files say, not checked to be 60,000.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(dir: impl AsRef<std::path::Path>) -> Result<(ImageDataset, ImageDataset)> {
        load("MNIST", dir.as_ref())
    }

    /// One set from the bytes of its two files, plain or gzip; `name` is what errors call it.
    ///
    /// # Errors
    /// What is wrong with the bytes, see [`Idx::from_bytes`] and [`ImageDataset::new`].
    pub fn from_bytes(name: &str, images: &[u8], labels: &[u8]) -> Result<ImageDataset> {
        let images_name = format!("{name} images");
        let labels_name = format!("{name} labels");
        let images = Idx::from_bytes(images, &images_name)?;
        let labels = Idx::from_bytes(labels, &labels_name)?;
        labelled(name, (images, images_name), (labels, labels_name))
    }
}

/// How to get at Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017): clothes in the form of MNIST.
#[derive(Clone, Copy, Debug)]
pub struct FashionMnist;

impl FashionMnist {
    /// The training and the test set from the four files in `dir`, which are called as MNIST's.
    ///
    /// # Errors
    /// As [`Mnist::load`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(dir: impl AsRef<std::path::Path>) -> Result<(ImageDataset, ImageDataset)> {
        let (train, test) = load("Fashion-MNIST", dir.as_ref())?;
        Ok((
            train.with_class_names(&FASHION_MNIST_CLASSES)?,
            test.with_class_names(&FASHION_MNIST_CLASSES)?,
        ))
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn load(name: &str, dir: &std::path::Path) -> Result<(ImageDataset, ImageDataset)> {
    let read = |part: &parts::Part| -> Result<(Idx, String)> {
        let path = find(dir, part)?;
        Ok((Idx::read(&path)?, path.display().to_string()))
    };
    let train = labelled(
        &format!("{name} train"),
        read(&parts::TRAIN_IMAGES)?,
        read(&parts::TRAIN_LABELS)?,
    )?;
    let test = labelled(
        &format!("{name} test"),
        read(&parts::TEST_IMAGES)?,
        read(&parts::TEST_LABELS)?,
    )?;
    Ok((train, test))
}

#[cfg(not(target_arch = "wasm32"))]
fn find(dir: &std::path::Path, part: &parts::Part) -> Result<std::path::PathBuf> {
    let candidates = part
        .names
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}.gz")]);
    let looked_for: Vec<String> = candidates.collect();
    let found = looked_for
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists());
    found.ok_or_else(|| Error::Missing {
        what: part.what,
        dir: dir.to_owned(),
        looked_for,
    })
}

/// Joins images `[n, height, width]` and labels `[n]`, each with the name of its file.
fn labelled(name: &str, images: (Idx, String), labels: (Idx, String)) -> Result<ImageDataset> {
    let (images, images_file) = images;
    let (labels, labels_file) = labels;
    let &[n_images, height, width] = images.shape.as_slice() else {
        return Err(rank_error(images_file, "images", 3, images.shape));
    };
    let &[n_labels] = labels.shape.as_slice() else {
        return Err(rank_error(labels_file, "labels", 1, labels.shape));
    };
    if n_labels != n_images {
        return Err(Error::Count {
            dataset: name.to_owned(),
            field: "labels for as many images",
            expected: n_images,
            actual: n_labels,
        });
    }
    ImageDataset::new(name, images.data, labels.data, (height, width), CLASSES)
}

fn rank_error(file: String, field: &'static str, expected: usize, actual: Vec<usize>) -> Error {
    Error::Rank {
        file,
        field,
        expected,
        actual,
    }
}
