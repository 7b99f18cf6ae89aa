//! Labelled images in memory, grey or coloured. Says what a dataset is, not where it comes from.

use crate::{Error, Result};

/// Images with one class label each, as bytes.
///
/// Built only by [`ImageDataset::new`] and [`ImageDataset::with_channels`], so the counts agree and every label is a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDataset {
    name: String,
    images: Vec<u8>,
    labels: Vec<u8>,
    channels: usize,
    height: usize,
    width: usize,
    classes: usize,
    class_names: Vec<String>,
}

impl ImageDataset {
    /// A dataset of `labels.len()` grey images of `height` x `width` bytes.
    ///
    /// `images` is `[n, height, width]`, last dimension fastest, 0 is background; `labels` is `[n]`.
    ///
    /// # Errors
    /// [`Error::Count`] if the images are not as many as the labels, [`Error::Label`] if a label is
    /// not below `classes`.
    pub fn new(
        name: impl Into<String>,
        images: Vec<u8>,
        labels: Vec<u8>,
        (height, width): (usize, usize),
        classes: usize,
    ) -> Result<Self> {
        Self::with_channels(name, images, labels, [1, height, width], classes)
    }

    /// A dataset of `labels.len()` images of `channels` x `height` x `width` bytes, one channel after the other: red, green
    /// and blue for colour.
    ///
    /// # Errors
    /// As [`ImageDataset::new`].
    ///
    /// ```
    /// use wgrad_data::ImageDataset;
    /// let set = ImageDataset::with_channels("red", vec![255, 0, 0], vec![0], [3, 1, 1], 2)?;
    /// assert_eq!((set.channels(), set.height(), set.width()), (3, 1, 1));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    pub fn with_channels(
        name: impl Into<String>,
        images: Vec<u8>,
        labels: Vec<u8>,
        [channels, height, width]: [usize; 3],
        classes: usize,
    ) -> Result<Self> {
        let name = name.into();
        let expected = channels
            .checked_mul(height)
            .and_then(|size| size.checked_mul(width))
            .and_then(|size| size.checked_mul(labels.len()));
        if expected != Some(images.len()) {
            let expected = expected.unwrap_or(usize::MAX);
            let field = "bytes of images for as many labels";
            return Err(Error::Count {
                dataset: name,
                field,
                expected,
                actual: images.len(),
            });
        }
        let stray = labels
            .iter()
            .position(|&label| usize::from(label) >= classes);
        if let Some(index) = stray {
            return Err(Error::Label {
                dataset: name,
                index,
                label: labels[index],
                classes,
            });
        }
        Ok(Self {
            name,
            images,
            labels,
            channels,
            height,
            width,
            classes,
            class_names: Vec::new(),
        })
    }

    /// With a name for each class.
    ///
    /// # Errors
    /// [`Error::Count`] if there are not as many names as classes.
    pub fn with_class_names(mut self, names: &[impl AsRef<str>]) -> Result<Self> {
        if names.len() != self.classes {
            return Err(Error::Count {
                dataset: self.name,
                field: "names of classes",
                expected: self.classes,
                actual: names.len(),
            });
        }
        self.class_names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Ok(self)
    }

    /// The classes' names; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The images of these indices, in this order: a part of a split.
    ///
    /// # Errors
    /// [`Error::Index`] for an index beyond the images.
    ///
    /// ```
    /// use wgrad_data::digits;
    /// let set = digits::generate(10, 0);
    /// assert_eq!(set.select(&[7, 2])?.get(1), set.get(2));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    pub fn select(&self, indices: &[u32]) -> Result<Self> {
        crate::source::check_indices(indices, self.len())?;
        let size = self.image_bytes();
        let image = |&i: &u32| &self.images[i as usize * size..(i as usize + 1) * size];
        Ok(Self {
            name: self.name.clone(),
            images: indices.iter().flat_map(image).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i as usize]).collect(),
            class_names: self.class_names.clone(),
            ..*self
        })
    }

    fn image_bytes(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// What the dataset is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels of an image: 1 for grey, 3 for red, green and blue.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of an image.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of an image.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of classes; every label is below it.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All pixels, `[len, channels, height, width]`; in grey images 0 is background.
    #[must_use]
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[len]`.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The pixels `[channels, height, width]` and the label of image `index`, `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], u8)> {
        let label = *self.labels.get(index)?;
        let size = self.image_bytes();
        Some((&self.images[index * size..(index + 1) * size], label))
    }

    /// Keeps the first `len` images; all of them if there are no more than that.
    #[must_use]
    pub fn truncated(mut self, len: usize) -> Self {
        self.labels.truncate(len);
        self.images.truncate(self.labels.len() * self.image_bytes());
        self
    }

    /// The images `[len, channels, height, width]` and the labels `[len]`, given away.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.images, self.labels)
    }

    /// The mean and the standard deviation over all pixels, as fractions of 255; zeros if empty.
    #[must_use]
    pub fn mean_std(&self) -> (f32, f32) {
        mean_std(self.images.iter().copied())
    }

    /// The mean and the standard deviation of each channel, as fractions of 255; zeros if empty.
    #[must_use]
    pub fn channel_mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let plane = self.height * self.width;
        let channel = |channel: usize| {
            let planes = self.images.chunks(plane.max(1)).skip(channel);
            mean_std(planes.step_by(self.channels.max(1)).flatten().copied())
        };
        (0..self.channels).map(channel).unzip()
    }
}

fn mean_std(pixels: impl Iterator<Item = u8>) -> (f32, f32) {
    // Exact: a u64 holds the squares of more bytes than memory does.
    let (mut n, mut sum, mut squares) = (0_u64, 0_u64, 0_u64);
    for pixel in pixels.map(u64::from) {
        (n, sum, squares) = (n + 1, sum + pixel, squares + pixel * pixel);
    }
    if n == 0 {
        return (0.0, 0.0);
    }
    let mean = sum as f64 / n as f64;
    let variance = (squares as f64 / n as f64 - mean * mean).max(0.0);
    ((mean / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> ImageDataset {
        ImageDataset::new("tiny", vec![0, 255, 255, 0, 9, 8], vec![1, 0, 2], (1, 2), 3).unwrap()
    }

    #[test]
    fn gives_images_by_index() {
        let set = tiny();
        assert_eq!(set.get(1), Some(([255, 0].as_slice(), 0)));
        assert_eq!(set.get(3), None);
        assert_eq!(set.truncated(1).images(), [0, 255]);
    }

    #[test]
    fn mean_and_deviation_of_black_and_white() {
        let (mean, std) = tiny().truncated(2).mean_std();
        assert_eq!((mean, std), (0.5, 0.5));
        assert_eq!(tiny().truncated(0).mean_std(), (0.0, 0.0));
    }

    #[test]
    fn refuses_counts_that_disagree() {
        let error = ImageDataset::new("x", vec![0; 5], vec![0; 3], (1, 2), 1).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Count {
                    expected: 6,
                    actual: 5,
                    ..
                }
            ),
            "{error}"
        );
        let error = ImageDataset::new("x", vec![], vec![0; 3], (usize::MAX, 2), 1).unwrap_err();
        assert!(matches!(error, Error::Count { actual: 0, .. }), "{error}");
    }

    #[test]
    fn refuses_labels_beyond_the_classes() {
        let error = ImageDataset::new("x", vec![0; 3], vec![0, 3, 1], (1, 1), 3).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Label {
                    index: 1,
                    label: 3,
                    classes: 3,
                    ..
                }
            ),
            "{error}"
        );
    }
}
