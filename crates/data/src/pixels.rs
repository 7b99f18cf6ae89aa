//! Images as numbers: all pixels of a dataset in one tensor, and smaller images. Reads no files.

use crate::{Error, ImageDataset, Result};
use wgrad_graph::{DType, Device, Tensor};

impl ImageDataset {
    /// All pixels as f32 from 0 to 1, `[images, height · width]`, for datasets that fit the device as floats.
    ///
    /// ```
    /// let x = wgrad_data::digits::generate(10, 1).pixels(&wgrad_graph::Device::cpu())?;
    /// assert_eq!(x.shape(), [10, 784]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// The device has no room for it.
    pub fn pixels(&self, device: &Device) -> wgrad_graph::Result<Tensor> {
        let size = self.height() * self.width();
        let bytes = Tensor::from_slice(self.images(), &[self.len(), size], device);
        (bytes.cast(DType::F32) / 255.0).detach()
    }

    /// All labels, i32 `[images]`.
    ///
    /// ```
    /// let set = wgrad_data::digits::generate(10, 1);
    /// let y = set.classes_of(&wgrad_graph::Device::cpu());
    /// assert_eq!(y.get(3).item::<i32>()?, i32::from(set.labels()[3]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn classes_of(&self, device: &Device) -> Tensor {
        let labels: Vec<i32> = self.labels().iter().map(|&l| i32::from(l)).collect();
        Tensor::new(&labels, device)
    }

    /// With blocks of `factor` by `factor` pixels become one, their mean.
    ///
    /// ```
    /// let small = wgrad_data::digits::generate(10, 1).downsampled(2)?;
    /// assert_eq!((small.len(), small.height(), small.width()), (10, 14, 14));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// The factor does not divide height and width.
    pub fn downsampled(&self, factor: usize) -> Result<ImageDataset> {
        let (height, width) = (self.height(), self.width());
        if factor == 0 || height % factor > 0 || width % factor > 0 {
            return Err(Error::Io {
                action: "downsample",
                path: self.name().into(),
                source: std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    format!("images of {height} by {width} pixels by a factor of {factor}"),
                ),
            });
        }
        let (rows, columns) = (height / factor, width / factor);
        let area = (factor * factor) as u32;
        let mut all = Vec::with_capacity(self.len() * rows * columns);
        for image in self.images().chunks_exact((height * width).max(1)) {
            for at in 0..rows * columns {
                let corner = at / columns * factor * width + at % columns * factor;
                let line = |row: usize| &image[corner + row * width..][..factor];
                let pixels = (0..factor).flat_map(line);
                let sum: u32 = pixels.map(|&p| u32::from(p)).sum();
                all.push(((sum + area / 2) / area) as u8);
            }
        }
        let labels = self.labels().to_vec();
        ImageDataset::new(self.name(), all, labels, (rows, columns), self.classes())
    }
}
