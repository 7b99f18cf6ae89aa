//! Labelled grey images in memory. Says what a dataset is, not where it comes from.

use crate::{Error, Result};

/// Grey images with one class label each, as bytes.
///
/// Built only by [`ImageDataset::new`], so the counts agree and every label is a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDataset {
    name: String,
    images: Vec<u8>,
    labels: Vec<u8>,
    height: usize,
    width: usize,
    classes: usize,
}

impl ImageDataset {
    /// A dataset of `labels.len()` images of `height` x `width` bytes.
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
        let name = name.into();
        let expected = height
            .checked_mul(width)
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
            height,
            width,
            classes,
        })
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

    /// All pixels, `[len, height, width]`, 0 is background.
    #[must_use]
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[len]`.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The pixels `[height, width]` and the label of image `index`, `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], u8)> {
        let label = *self.labels.get(index)?;
        let size = self.height * self.width;
        Some((&self.images[index * size..(index + 1) * size], label))
    }

    /// Keeps the first `len` images; all of them if there are no more than that.
    #[must_use]
    pub fn truncated(mut self, len: usize) -> Self {
        self.labels.truncate(len);
        self.images
            .truncate(self.labels.len() * self.height * self.width);
        self
    }

    /// The images `[len, height, width]` and the labels `[len]`, given away.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.images, self.labels)
    }

    /// The mean and the standard deviation over all pixels, as fractions of 255; zeros if empty.
    #[must_use]
    pub fn mean_std(&self) -> (f32, f32) {
        if self.images.is_empty() {
            return (0.0, 0.0);
        }
        // Exact: a u64 holds the squares of more bytes than memory does.
        let sum: u64 = self.images.iter().map(|&p| u64::from(p)).sum();
        let squares: u64 = self
            .images
            .iter()
            .map(|&p| u64::from(p) * u64::from(p))
            .sum();
        let n = self.images.len() as f64;
        let mean = sum as f64 / n;
        let variance = (squares as f64 / n - mean * mean).max(0.0);
        ((mean / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
    }
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
