//! Image files, through the `image` crate, and folders of them with a subfolder for each class. Files are untrusted: sizes
//! are judged from the header before pixels are decoded. Must not know formats.

use std::io::Cursor;
#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits, imageops::FilterType};
use wgrad_graph::{DType, Device, Tensor};

#[cfg(not(target_arch = "wasm32"))]
use crate::{Dataset, source::check_indices};
use crate::{Error, ImageDataset, Result};

/// The longest side of an image that is read.
pub const MAX_SIDE: u32 = 1 << 15;
/// The most memory that decoding an image may take.
pub const MAX_BYTES: u64 = 1 << 29;

/// How images are brought to one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// They must have it.
    #[default]
    Exact,
    /// Stretched.
    Stretch,
    /// Scaled until the shorter side fits, the middle cut out.
    CenterCrop,
}

/// What images become: channels, size, and how they get it.
///
/// ```
/// use wgrad_data::folder::{ImageOptions, Resize};
/// let options = ImageOptions::new(3, 32, 48).resize(Resize::CenterCrop);
/// let error = options.decode(b"no image at all", "cat.png").unwrap_err().to_string();
/// assert!(error.starts_with("cat.png: "), "{error}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    channels: usize,
    height: usize,
    width: usize,
    resize: Resize,
}

impl ImageOptions {
    /// Images of `channels` (1 for grey, 3 for red, green, blue) that have this size already.
    #[must_use]
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            resize: Resize::Exact,
        }
    }

    /// How images of other sizes are treated.
    #[must_use]
    pub fn resize(mut self, resize: Resize) -> Self {
        self.resize = resize;
        self
    }

    /// Pixels `[channels, height, width]` of an image file that lies in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Image`] for what is no image of a known format, is broken, too large or of another size;
    /// [`Error::Argument`] for options that ask for other than 1 or 3 channels or no pixels.
    pub fn decode(&self, bytes: &[u8], name: &str) -> Result<Vec<u8>> {
        if !matches!(self.channels, 1 | 3) || self.height == 0 || self.width == 0 {
            let (c, h, w) = (self.channels, self.height, self.width);
            return Err(Error::Argument {
                function: "ImageOptions",
                problem: format!("cannot make images of {c} channels, {h} x {w}"),
            });
        }
        let image = decoded(bytes, name)?;
        let image = self.resized(image, name)?;
        Ok(if self.channels == 1 {
            image.into_luma8().into_raw()
        } else {
            planes(&image.into_rgb8().into_raw())
        })
    }

    fn resized(&self, image: DynamicImage, name: &str) -> Result<DynamicImage> {
        let size = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let (w, h) = (size(self.width), size(self.height));
        if (image.width(), image.height()) == (w, h) {
            return Ok(image);
        }
        if w.max(h) > MAX_SIDE {
            return Err(fault(name, format!("cannot be made {w} x {h}")));
        }
        match self.resize {
            Resize::Exact => {
                let (iw, ih) = (image.width(), image.height());
                let problem = format!("is {iw} x {ih} (width x height), expected {w} x {h}");
                Err(fault(name, problem))
            }
            Resize::Stretch => Ok(image.resize_exact(w, h, FilterType::Triangle)),
            Resize::CenterCrop => Ok(image.resize_to_fill(w, h, FilterType::Triangle)),
        }
    }

    /// As [`ImageOptions::decode`], from a file.
    ///
    /// # Errors
    /// As [`ImageOptions::decode`]; [`Error::Io`] if it cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        self.decode(&read(path)?, &path.display().to_string())
    }
}

/// An image file as a tensor f32 `[channels, height, width]` of 0 to 1, in its own size; 1 channel if it is grey, else 3.
///
/// # Errors
/// As [`ImageOptions::decode`]; the device has no room.
pub fn decode_image(bytes: &[u8], name: &str, device: &Device) -> Result<Tensor> {
    let image = decoded(bytes, name)?;
    let (h, w) = (image.height() as usize, image.width() as usize);
    let (channels, pixels) = if image.color().has_color() {
        (3, planes(&image.into_rgb8().into_raw()))
    } else {
        (1, image.into_luma8().into_raw())
    };
    let tensor = Tensor::from_slice(&pixels, &[channels, h, w], device);
    tensor.check()?;
    Ok(tensor.cast(DType::F32) * (1.0 / 255.0))
}

/// As [`decode_image`], from a file.
///
/// # Errors
/// As [`decode_image`]; [`Error::Io`] if it cannot be read.
#[cfg(not(target_arch = "wasm32"))]
pub fn read_image(path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
    let path = path.as_ref();
    decode_image(&read(path)?, &path.display().to_string(), device)
}

fn decoded(bytes: &[u8], name: &str) -> Result<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| fault(name, error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    if reader.format().is_none() {
        let problem = "is no image of a format that is read here".to_owned();
        return Err(fault(name, problem));
    }
    reader
        .decode()
        .map_err(|error| fault(name, error.to_string()))
}

/// One plane after the other, from pixels of three bytes.
fn planes(pixels: &[u8]) -> Vec<u8> {
    let plane = |channel: usize| pixels.iter().skip(channel).step_by(3).copied();
    (0..3).flat_map(plane).collect()
}

fn fault(name: &str, problem: String) -> Error {
    Error::Image {
        file: name.to_owned(),
        problem,
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let io = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// A folder with a subfolder of images for each class, as torchvision's `ImageFolder`. Images are read and decoded when they
/// are asked for: give its loader threads with [`Loader::prefetch`](crate::Loader::prefetch), or keep it in memory with
/// [`ImageFolder::load`].
///
/// Classes are the subfolders' names, sorted; files are sorted within each; names that begin with a dot are left out.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub struct ImageFolder {
    dir: PathBuf,
    files: Vec<(PathBuf, u8)>,
    classes: Vec<String>,
    options: ImageOptions,
    device: Device,
}

#[cfg(not(target_arch = "wasm32"))]
impl ImageFolder {
    /// Lists the folder; batches will be on `device`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be listed; [`Error::Empty`] if there is no subfolder, or one without a file;
    /// [`Error::Argument`] for more than 256 classes.
    pub fn new(dir: impl AsRef<Path>, options: ImageOptions, device: &Device) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        let mut classes = Vec::new();
        let mut files = Vec::new();
        for (path, name) in listed(&dir)? {
            if !path.is_dir() {
                continue;
            }
            let class = u8::try_from(classes.len()).map_err(|_| Error::Argument {
                function: "ImageFolder::new",
                problem: format!("{} has more than 256 subfolders", dir.display()),
            })?;
            let inside = listed(&path)?
                .into_iter()
                .filter(|(file, _)| file.is_file());
            let before = files.len();
            files.extend(inside.map(|(file, _)| (file, class)));
            if files.len() == before {
                return Err(Error::Empty {
                    what: "a class's folder",
                    problem: format!("{} has no file", path.display()),
                });
            }
            classes.push(name);
        }
        if classes.is_empty() {
            return Err(Error::Empty {
                what: "the image folder",
                problem: format!("{} has no subfolder for a class", dir.display()),
            });
        }
        Ok(Self {
            dir,
            files,
            classes,
            options,
            device: device.clone(),
        })
    }

    /// The classes' names, by their numbers.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The label of each image.
    #[must_use]
    pub fn labels(&self) -> Vec<usize> {
        self.files
            .iter()
            .map(|(_, label)| (*label).into())
            .collect()
    }

    /// All images in memory.
    ///
    /// # Errors
    /// As [`ImageOptions::read`], for the first image that fails.
    pub fn load(&self) -> Result<ImageDataset> {
        let mut images = Vec::new();
        for (path, _) in &self.files {
            images.extend(self.options.read(path)?);
        }
        let labels = self.files.iter().map(|(_, label)| *label).collect();
        let ImageOptions {
            channels,
            height,
            width,
            ..
        } = self.options;
        let name = self.dir.display().to_string();
        let size = [channels, height, width];
        ImageDataset::with_channels(name, images, labels, size, self.classes.len())?
            .with_class_names(&self.classes)
    }
}

/// Images f32 `[batch, channels, height, width]` of 0 to 1 and labels i32 `[batch]`.
#[cfg(not(target_arch = "wasm32"))]
impl Dataset for ImageFolder {
    type Item = (Tensor, Tensor);

    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, indices: &[u32]) -> Result<Self::Item> {
        check_indices(indices, self.files.len())?;
        let mut pixels = Vec::new();
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let (path, label) = &self.files[index as usize];
            pixels.extend(self.options.read(path)?);
            labels.push(i32::from(*label));
        }
        let ImageOptions {
            channels,
            height,
            width,
            ..
        } = self.options;
        let shape = [indices.len(), channels, height, width];
        let bytes = Tensor::from_slice(&pixels, &shape, &self.device);
        bytes.check()?;
        let x = bytes.cast(DType::F32) * (1.0 / 255.0);
        Ok((x, Tensor::new(&labels, &self.device)))
    }
}

/// What lies in a folder, with names, sorted by them.
#[cfg(not(target_arch = "wasm32"))]
fn listed(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    let io = |source| Error::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((entry.path(), name));
        }
    }
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(entries)
}
