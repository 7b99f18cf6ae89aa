//! Images on a device: they lie there as bytes, and a batch is gathered there by index, so that a step uploads a few
//! hundred bytes and not a batch of floats. Must not read files.

use crate::source::{check_indices, index_tensor};
use crate::{Dataset, Gather, ImageDataset};
use wgrad_graph::{DType, Device, Result, Tensor};

/// Images and labels on a device: `images [n, channels * height * width]` as u8, `labels [n]` as i32.
///
/// 60,000 MNIST images take 47 MB this way; as f32 they would take 188 MB and exceed the 128 MiB that WebGPU binds
/// by default.
#[derive(Clone, Debug)]
pub struct DeviceDataset {
    images: Tensor,
    labels: Tensor,
    /// Channels, rows, columns.
    size: [usize; 3],
    scale: Scale,
}

/// By what pixels are shifted and divided, in units of 255.
#[derive(Clone, Debug)]
enum Scale {
    All { mean: f64, std: f64 },
    Channels { mean: Vec<f64>, std: Vec<f64> },
}

impl DeviceDataset {
    /// Puts a dataset on a device. Pixels will be delivered as `(pixel / 255 − mean) / std`, here with mean 0 and
    /// standard deviation 1: see [`DeviceDataset::normalized`].
    ///
    /// # Errors
    /// The device has no room for it, or cannot bind a buffer so large.
    pub fn new(dataset: &ImageDataset, device: &Device) -> Result<DeviceDataset> {
        let size = [dataset.channels(), dataset.height(), dataset.width()];
        let bytes = size.iter().product();
        let images = Tensor::from_slice(dataset.images(), &[dataset.len(), bytes], device);
        let labels: Vec<i32> = dataset.labels().iter().map(|&l| i32::from(l)).collect();
        let labels = Tensor::new(&labels, device);
        images.check()?;
        labels.check()?;
        Ok(DeviceDataset {
            images,
            labels,
            size,
            scale: Scale::All {
                mean: 0.0,
                std: 1.0,
            },
        })
    }

    /// With pixels shifted by `mean` and divided by `std`, both in units of 255. A standard deviation of 0, which images
    /// of one grey have, counts as 1.
    pub fn normalized(self, mean: f64, std: f64) -> DeviceDataset {
        let std = if std == 0.0 { 1.0 } else { std };
        let scale = Scale::All { mean, std };
        DeviceDataset { scale, ..self }
    }

    /// With each channel shifted and divided by numbers of its own, in units of 255: see
    /// [`ImageDataset::channel_mean_std`].
    ///
    /// # Errors
    /// There are not as many numbers as channels.
    ///
    /// ```
    /// use wgrad_data::{DeviceDataset, ImageDataset};
    /// use wgrad_graph::Device;
    /// let images = ImageDataset::with_channels("two", vec![0, 255, 255, 255], vec![0], [2, 1, 2], 1)?;
    /// let (mean, std) = images.channel_mean_std();
    /// let set = DeviceDataset::new(&images, &Device::cpu())?.normalized_channels(&mean, &std)?;
    /// assert_eq!(set.batch(&[0]).0.to_vec::<f32>()?, [-1.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    pub fn normalized_channels(self, mean: &[f32], std: &[f32]) -> crate::Result<DeviceDataset> {
        let channels = self.size[0];
        if mean.len() != channels || std.len() != channels {
            return Err(crate::Error::Argument {
                function: "DeviceDataset::normalized_channels",
                problem: format!(
                    "{} means and {} standard deviations for images of {channels} channels",
                    mean.len(),
                    std.len()
                ),
            });
        }
        let one_for_zero = |&s: &f32| if s == 0.0 { 1.0 } else { f64::from(s) };
        let scale = Scale::Channels {
            mean: mean.iter().copied().map(f64::from).collect(),
            std: std.iter().map(one_for_zero).collect(),
        };
        Ok(DeviceDataset { scale, ..self })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images and labels with these indices: `[batch, channels, height, width]` as f32 and `[batch]` as i32.
    /// An index out of range makes the next read an error.
    ///
    /// ```
    /// use wgrad_data::{DeviceDataset, digits};
    /// use wgrad_graph::Device;
    /// let set = DeviceDataset::new(&digits::generate(10, 1), &Device::cpu())?;
    /// let (x, y) = set.batch(&[3, 1]);
    /// assert_eq!((x.shape(), y.shape()), (&[2, 1, 28, 28][..], &[2][..]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn batch(&self, indices: &[u32]) -> (Tensor, Tensor) {
        self.gather(&self.index(indices))
    }

    /// Indices as a tensor on the dataset's device, for [`DeviceDataset::gather`].
    #[track_caller]
    pub fn index(&self, indices: &[u32]) -> Tensor {
        index_tensor(indices, self.images.device())
    }

    /// As [`DeviceDataset::batch`], by indices that are a tensor, i32 `[batch]`: the form for a compiled step, whose
    /// input is the index, so that gathering is part of its plan.
    #[track_caller]
    pub fn gather(&self, index: &Tensor) -> (Tensor, Tensor) {
        let pixels = self.images.index_select(0, index).cast(DType::F32);
        let shape = [index.numel(), self.size[0], self.size[1], self.size[2]];
        let shape = shape.map(|size| size as isize);
        let x = match &self.scale {
            Scale::All { mean, std } => {
                (pixels * (1.0 / (255.0 * std)) - mean / std).reshape(&shape)
            }
            Scale::Channels { mean, std } => {
                let device = self.images.device();
                let row = |value: &dyn Fn(usize) -> f64| {
                    let values: Vec<f32> = (0..mean.len()).map(|c| value(c) as f32).collect();
                    Tensor::from_slice(&values, &[mean.len(), 1, 1], device)
                };
                let factor = row(&|c| 1.0 / (255.0 * std[c]));
                pixels.reshape(&shape) * factor - row(&|c| mean[c] / std[c])
            }
        };
        (x, self.labels.index_select(0, index))
    }
}

impl Dataset for DeviceDataset {
    type Item = (Tensor, Tensor);

    fn len(&self) -> usize {
        self.labels.numel()
    }

    fn get(&self, indices: &[u32]) -> crate::Result<Self::Item> {
        check_indices(indices, self.labels.numel())?;
        Ok(self.batch(indices))
    }
}

impl Gather for DeviceDataset {
    fn device(&self) -> &Device {
        self.images.device()
    }

    fn gather(&self, index: &Tensor) -> Self::Item {
        DeviceDataset::gather(self, index)
    }
}
