//! Feeding a training loop: the dataset lives on the device as bytes, and a batch is gathered there by index, so
//! that a step uploads a few hundred bytes and not a batch of floats. Must not read files.

use crate::{BatchSampler, BatchSamplerState, ImageDataset};
use wgrad_graph::{DType, Device, Result, Tensor};

/// Images and labels on a device: `images [n, height * width]` as u8, `labels [n]` as i32.
///
/// 60,000 MNIST images take 47 MB this way; as f32 they would take 188 MB and exceed the 128 MiB that WebGPU binds
/// by default.
#[derive(Clone, Debug)]
pub struct DeviceDataset {
    images: Tensor,
    labels: Tensor,
    size: (usize, usize),
    mean: f64,
    std: f64,
}

impl DeviceDataset {
    /// Puts a dataset on a device. Pixels will be delivered as `(pixel / 255 − mean) / std`, here with mean 0 and
    /// standard deviation 1: see [`DeviceDataset::normalized`].
    ///
    /// # Errors
    /// The device has no room for it, or cannot bind a buffer so large.
    pub fn new(dataset: &ImageDataset, device: &Device) -> Result<DeviceDataset> {
        let size = (dataset.height(), dataset.width());
        let images =
            Tensor::from_slice(dataset.images(), &[dataset.len(), size.0 * size.1], device);
        let labels: Vec<i32> = dataset.labels().iter().map(|&l| i32::from(l)).collect();
        let labels = Tensor::new(&labels, device);
        images.check()?;
        labels.check()?;
        Ok(DeviceDataset {
            images,
            labels,
            size,
            mean: 0.0,
            std: 1.0,
        })
    }

    /// With pixels shifted by `mean` and divided by `std`, both in units of 255.
    pub fn normalized(self, mean: f64, std: f64) -> DeviceDataset {
        DeviceDataset { mean, std, ..self }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images and labels with these indices: `[batch, 1, height, width]` as f32 and `[batch]` as i32.
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
        let list: Vec<i32> = indices
            .iter()
            .map(|&i| i32::try_from(i).unwrap_or(-1))
            .collect();
        Tensor::new(&list, self.images.device())
    }

    /// As [`DeviceDataset::batch`], by indices that are a tensor, i32 `[batch]`: the form for a compiled step, whose
    /// input is the index, so that gathering is part of its plan.
    #[track_caller]
    pub fn gather(&self, index: &Tensor) -> (Tensor, Tensor) {
        let pixels = self.images.index_select(0, index).cast(DType::F32);
        let scaled = pixels * (1.0 / (255.0 * self.std)) - self.mean / self.std;
        let (h, w) = self.size;
        let x = scaled.reshape(&[index.numel() as isize, 1, h as isize, w as isize]);
        (x, self.labels.index_select(0, index))
    }
}

/// Shuffled batches of a [`DeviceDataset`], in an order that depends on seed and epoch alone. Its state is a few
/// numbers: a run resumed from them sees the same batches.
#[derive(Clone, Debug)]
pub struct Loader {
    dataset: DeviceDataset,
    batches: BatchSampler,
}

impl Loader {
    /// A loader at the start of epoch 0. The last batch of an epoch may be short.
    ///
    /// # Errors
    /// The batch size is 0, or the dataset has more than 2^32 − 1 images.
    pub fn new(dataset: DeviceDataset, batch_size: usize, seed: u64) -> crate::Result<Loader> {
        let batches = BatchSampler::new(dataset.len(), batch_size, seed)?;
        Ok(Loader { dataset, batches })
    }

    /// With batches in another order or state.
    pub fn with_batches(self, batches: BatchSampler) -> Loader {
        Loader { batches, ..self }
    }

    /// The next batch, or `None` once at the end of each epoch.
    #[track_caller]
    pub fn next_batch(&mut self) -> Option<(Tensor, Tensor)> {
        self.batches
            .next_batch()
            .map(|indices| self.dataset.batch(indices))
    }

    /// As [`Loader::next_batch`], the indices alone, for [`DeviceDataset::gather`].
    ///
    /// ```
    /// use wgrad_data::{DeviceDataset, Loader, digits};
    /// use wgrad_graph::Device;
    /// let set = DeviceDataset::new(&digits::generate(10, 1), &Device::cpu())?;
    /// let mut loader = Loader::new(set.clone(), 4, 0)?;
    /// let index = loader.next_index().expect("the first batch");
    /// let (x, y) = set.gather(&index);
    /// assert_eq!((x.shape(), y.shape()), (&[4, 1, 28, 28][..], &[4][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn next_index(&mut self) -> Option<Tensor> {
        let indices = self.batches.next_batch()?;
        Some(self.dataset.index(indices))
    }

    /// The epoch that the next batch belongs to, from 0.
    pub fn epoch(&self) -> u64 {
        self.batches.epoch()
    }

    /// Number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches.batches_per_epoch()
    }

    /// The dataset.
    pub fn dataset(&self) -> &DeviceDataset {
        &self.dataset
    }

    /// Where the loader stands.
    pub fn state(&self) -> BatchSamplerState {
        self.batches.state()
    }
}
