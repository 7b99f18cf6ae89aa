//! Augmentation of images on their device, to stand inside a compiled step: every image of a batch gets draws of its own
//! from a [`Generator`]. Images are `[n, channels, height, width]`, colours are in 0 to 1. Must not read anything back.
//!
//! Each kind is there twice: a function that does what its tensors of parameters say (`crop`, `affine`, `brightness`, …),
//! and a step of [`Augment`] that draws the parameters.
//!
//! ```
//! use wgrad_data::augment::Augment;
//! use wgrad_data::{DeviceDataset, digits};
//! use wgrad_graph::{Device, Generator};
//! let set = DeviceDataset::new(&digits::generate(8, 0), &Device::cpu())?;
//! let augment = Augment::new().shift(2).rotate(10.0).scale(0.9, 1.1).erase(0.25);
//! let mut rng = Generator::new(1);
//! let (x, _) = set.batch(&[0, 1, 2, 3]);
//! let changed = augment.apply(&x, &mut rng);
//! assert_eq!(changed.shape(), x.shape());
//! assert_ne!(changed.to_vec::<f32>()?, x.to_vec::<f32>()?);
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod color;
mod geometry;
mod mix;

pub use color::{brightness, contrast, grayscale, hue, saturation};
pub use geometry::{Affine, affine, crop, erase, flip};
pub use mix::{Mixed, cutmix, cutmix_with, mixup, mixup_with};

use std::panic::Location;

use wgrad_graph::{DType, Error, ErrorKind, Generator, GridPadding, PadMode, Tensor};

/// Steps of augmentation, in the order in which they were added. Neighbouring shifts, rotations and scalings are one
/// resampling only where they are one [`Augment::affine`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Flip {
        dim: isize,
        p: f64,
    },
    Crop {
        padding: usize,
        size: Option<(usize, usize)>,
        mode: PadMode,
    },
    Affine(RandomAffine),
    Color {
        brightness: f64,
        contrast: f64,
        saturation: f64,
        hue: f64,
    },
    Erase {
        p: f64,
        area: (f64, f64),
        ratio: (f64, f64),
    },
    Noise {
        std: f64,
    },
}

/// The ranges of a random [`affine`] map: each image gets an angle, a shift, a factor and a shear within them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomAffine {
    /// The greatest angle either way, in degrees.
    pub degrees: f64,
    /// The greatest shift either way, across and down, as a part of width and height.
    pub translate: (f64, f64),
    /// The least and the greatest factor of size.
    pub scale: (f64, f64),
    /// The greatest shear either way, in degrees.
    pub shear: f64,
    /// What lies outside the image.
    pub padding: GridPadding,
}

impl Default for RandomAffine {
    fn default() -> Self {
        Self {
            degrees: 0.0,
            translate: (0.0, 0.0),
            scale: (1.0, 1.0),
            shear: 0.0,
            padding: GridPadding::Zeros,
        }
    }
}

impl Augment {
    /// No step yet: images stay as they are.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Mirrored left to right with probability `p`.
    #[must_use]
    pub fn horizontal_flip(self, p: f64) -> Self {
        self.with(Step::Flip { dim: 3, p })
    }

    /// Mirrored top to bottom with probability `p`.
    #[must_use]
    pub fn vertical_flip(self, p: f64) -> Self {
        self.with(Step::Flip { dim: 2, p })
    }

    /// Moved by up to `pixels` whole pixels each way; zeros come in.
    #[must_use]
    pub fn shift(self, pixels: usize) -> Self {
        self.crop(pixels, None, PadMode::Constant(0.0))
    }

    /// A random window of `size` (height, width) out of the image padded by `padding` on all sides; without a size one as
    /// large as the image.
    #[must_use]
    pub fn crop(self, padding: usize, size: Option<(usize, usize)>, mode: PadMode) -> Self {
        self.with(Step::Crop {
            padding,
            size,
            mode,
        })
    }

    /// Turned about the centre by up to `degrees` either way.
    #[must_use]
    pub fn rotate(self, degrees: f64) -> Self {
        self.affine(RandomAffine {
            degrees,
            ..RandomAffine::default()
        })
    }

    /// Made larger or smaller about the centre by a factor between these.
    #[must_use]
    pub fn scale(self, least: f64, greatest: f64) -> Self {
        self.affine(RandomAffine {
            scale: (least, greatest),
            ..RandomAffine::default()
        })
    }

    /// Turned, shifted, scaled and sheared at once.
    #[must_use]
    pub fn affine(self, ranges: RandomAffine) -> Self {
        self.with(Step::Affine(ranges))
    }

    /// Brightness, contrast and saturation changed by factors up to these away from 1, hue by up to this part of the colour
    /// wheel (at most 0.5), as PyTorch's `ColorJitter`, in this order. A number of 0 leaves its step out; saturation and hue
    /// need three channels.
    #[must_use]
    pub fn color(self, brightness: f64, contrast: f64, saturation: f64, hue: f64) -> Self {
        self.with(Step::Color {
            brightness,
            contrast,
            saturation,
            hue,
        })
    }

    /// A rectangle set to 0 with probability `p`: 2 to 33 % of the area, sides 0.3 to 3.3 to each other.
    #[must_use]
    pub fn erase(self, p: f64) -> Self {
        self.erase_with(p, (0.02, 0.33), (0.3, 3.3))
    }

    /// As [`Augment::erase`], with other ranges of area and of height over width.
    #[must_use]
    pub fn erase_with(self, p: f64, area: (f64, f64), ratio: (f64, f64)) -> Self {
        self.with(Step::Erase { p, area, ratio })
    }

    /// Normal noise added to each pixel.
    #[must_use]
    pub fn noise(self, std: f64) -> Self {
        self.with(Step::Noise { std })
    }

    /// The images after all steps.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, rng: &mut Generator) -> Tensor {
        if let Some(bad) = not_images("Augment::apply", x) {
            return bad;
        }
        let mut x = x.clone();
        for step in &self.steps {
            x = step.apply(&x, rng);
        }
        x
    }
}

impl Step {
    #[track_caller]
    fn apply(&self, x: &Tensor, rng: &mut Generator) -> Tensor {
        // What a step before made of wrong sizes.
        if x.shape().len() != 4 {
            return x.clone();
        }
        let (n, h, w) = (x.shape()[0], x.shape()[2], x.shape()[3]);
        let device = x.device().clone();
        match self {
            Self::Flip { dim, p } => flip(x, &rng.bernoulli(*p, &[n], &device), *dim),
            Self::Crop {
                padding,
                size,
                mode,
            } => {
                let p = *padding as isize;
                let padded = x.pad(&[p, p, p, p], *mode);
                let size = size.unwrap_or((h, w));
                let mut draw = |have: usize, want: usize| {
                    let most = (have + 2 * padding).saturating_sub(want) as i32;
                    rng.integers(0, most + 1, &[n], &device)
                };
                let (top, left) = (draw(h, size.0), draw(w, size.1));
                crop(&padded, &top, &left, size)
            }
            Self::Affine(ranges) => {
                let mut between = |least: f64, greatest: f64| {
                    (least != greatest || least != 0.0)
                        .then(|| uniform(rng, n, &device, least, greatest))
                };
                let (tx, ty) = ranges.translate;
                let (tx, ty) = (tx * w as f64, ty * h as f64);
                let parameters = Affine {
                    degrees: between(-ranges.degrees, ranges.degrees),
                    translate_x: between(-tx, tx),
                    translate_y: between(-ty, ty),
                    scale: between(ranges.scale.0, ranges.scale.1),
                    shear: between(-ranges.shear, ranges.shear),
                };
                affine(x, &parameters, ranges.padding)
            }
            Self::Color {
                brightness: b,
                contrast: c,
                saturation: s,
                hue: turn,
            } => {
                let mut x = x.clone();
                let mut factor =
                    |range: f64| uniform(rng, n, &device, (1.0 - range).max(0.0), 1.0 + range);
                if *b != 0.0 {
                    x = brightness(&x, &factor(*b));
                }
                if *c != 0.0 {
                    x = contrast(&x, &factor(*c));
                }
                if *s != 0.0 {
                    x = saturation(&x, &factor(*s));
                }
                if *turn != 0.0 {
                    x = hue(&x, &uniform(rng, n, &device, -turn, *turn));
                }
                x
            }
            Self::Erase { p, area, ratio } => random_erase(x, rng, *p, *area, *ratio),
            Self::Noise { std } => {
                let noise = rng.normal(x.shape(), &device);
                x + noise * *std
            }
        }
    }
}

#[track_caller]
fn random_erase(
    x: &Tensor,
    rng: &mut Generator,
    p: f64,
    area: (f64, f64),
    ratio: (f64, f64),
) -> Tensor {
    let (n, h, w) = (x.shape()[0], x.shape()[2], x.shape()[3]);
    let device = x.device().clone();
    let hit = rng.bernoulli(p, &[n], &device).cast(DType::F32);
    let area = uniform(rng, n, &device, area.0, area.1) * (h * w) as f64;
    let ratio = uniform(rng, n, &device, ratio.0.ln(), ratio.1.ln()).exp();
    let height = (&area * &ratio).sqrt().round().clamp(1.0, h as f64) * &hit;
    let width = (area / ratio).sqrt().round().clamp(1.0, w as f64);
    let mut place = |room: Tensor| {
        let u = rng.uniform(&[n], &device);
        (u * (room + 1.0)).floor()
    };
    let top = place(&height * -1.0 + h as f64);
    let left = place(&width * -1.0 + w as f64);
    erase(x, [&top, &left, &height, &width], 0.0)
}

/// `[n]` numbers between two.
#[track_caller]
fn uniform(
    rng: &mut Generator,
    n: usize,
    device: &wgrad_graph::Device,
    least: f64,
    greatest: f64,
) -> Tensor {
    rng.uniform(&[n], device) * (greatest - least) + least
}

/// The error of images that are none.
#[track_caller]
fn not_images(function: &'static str, x: &Tensor) -> Option<Tensor> {
    if x.check().is_err() {
        return Some(x.clone());
    }
    if x.shape().len() == 4 && x.dtype().is_float() {
        return None;
    }
    Some(fail(
        function,
        "needs float images [n, channels, height, width]",
        &[x],
    ))
}

/// The error of parameters that are not one for each image.
#[track_caller]
fn not_parameters(function: &'static str, x: &Tensor, parameters: &[&Tensor]) -> Option<Tensor> {
    if let Some(bad) = not_images(function, x) {
        return Some(bad);
    }
    if let Some(bad) = parameters.iter().find(|p| p.check().is_err()) {
        return Some((*bad).clone());
    }
    let bad = parameters
        .iter()
        .find(|p| p.shape() != [x.shape()[0]] || p.device() != x.device())?;
    Some(fail(
        function,
        "needs one parameter for each image, on the images' device",
        &[x, bad],
    ))
}

#[track_caller]
fn fail(function: &'static str, message: &str, operands: &[&Tensor]) -> Tensor {
    let list = operands.iter().map(|t| (t.shape().to_vec(), t.dtype()));
    let error = Error::new(ErrorKind::Shape, function, message)
        .with_operands(list.collect())
        .at(Location::caller());
    let first = operands[0];
    Tensor::invalid(error, first.shape(), DType::F32, first.device())
}

/// `[n]` as `[n, 1, 1, 1]`.
#[track_caller]
fn per_image(parameter: &Tensor) -> Tensor {
    parameter
        .cast(DType::F32)
        .reshape(&[parameter.numel() as isize, 1, 1, 1])
}
