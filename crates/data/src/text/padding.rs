//! Sequences of different lengths as rectangles, sets as vectors of 0 and 1. Must not know tokens.

use wgrad_graph::{Device, Tensor};

use crate::source::check_indices;
use crate::{Dataset, Error, Result};

/// A side of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The end.
    #[default]
    Right,
    /// The beginning.
    Left,
}

/// How sequences are brought to one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    value: i32,
    width: Option<usize>,
    max: Option<usize>,
    multiple: usize,
    side: Side,
    truncate: Side,
}

impl Pad {
    /// Filled with `value` at the end, to the longest one.
    #[must_use]
    pub fn new(value: i32) -> Self {
        Self {
            value,
            width: None,
            max: None,
            multiple: 1,
            side: Side::Right,
            truncate: Side::Right,
        }
    }

    /// To this length whatever they are: longer ones are cut. A compiled step then has one shape.
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// At most this length: longer ones are cut.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.max = Some(max);
        self
    }

    /// To a multiple of this, so that a compiled step has few shapes. The greatest length goes first.
    #[must_use]
    pub fn multiple(mut self, multiple: usize) -> Self {
        self.multiple = multiple.max(1);
        self
    }

    /// On which side they are filled.
    #[must_use]
    pub fn side(mut self, side: Side) -> Self {
        self.side = side;
        self
    }

    /// On which side they are cut.
    #[must_use]
    pub fn truncate(mut self, truncate: Side) -> Self {
        self.truncate = truncate;
        self
    }
}

/// Sequences of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Padded {
    ids: Vec<i32>,
    mask: Vec<bool>,
    lengths: Vec<i32>,
    width: usize,
}

impl Padded {
    /// The numbers, `[sequences, width]`.
    #[must_use]
    pub fn ids(&self) -> &[i32] {
        &self.ids
    }

    /// Where they are not filled in, `[sequences, width]`.
    #[must_use]
    pub fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// How long each was, after it was cut.
    #[must_use]
    pub fn lengths(&self) -> &[i32] {
        &self.lengths
    }

    /// The length of all.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers i32 `[sequences, width]`, mask bool of the same shape and lengths i32 `[sequences]` on a device.
    #[track_caller]
    #[must_use]
    pub fn tensors(&self, device: &Device) -> (Tensor, Tensor, Tensor) {
        let shape = [self.lengths.len(), self.width];
        (
            Tensor::from_slice(&self.ids, &shape, device),
            Tensor::from_slice(&self.mask, &shape, device),
            Tensor::new(&self.lengths, device),
        )
    }
}

/// Brings sequences to one length.
///
/// ```
/// use wgrad_data::text::{Pad, Side, pad};
/// let sequences = [vec![1, 2, 3], vec![4]];
/// let padded = pad(&sequences, &Pad::new(0).max(2).side(Side::Left));
/// assert_eq!(padded.ids(), [1, 2, 0, 4]);
/// assert_eq!((padded.mask(), padded.lengths()), (&[true, true, false, true][..], &[2, 1][..]));
/// ```
#[must_use]
pub fn pad<S: AsRef<[i32]>>(sequences: &[S], options: &Pad) -> Padded {
    let longest = sequences.iter().map(|s| s.as_ref().len()).max();
    let longest = longest.unwrap_or(0).min(options.max.unwrap_or(usize::MAX));
    let width = options.width.unwrap_or_else(|| {
        let most = options.max.unwrap_or(usize::MAX);
        longest.next_multiple_of(options.multiple).min(most)
    });
    let mut padded = Padded {
        ids: Vec::with_capacity(sequences.len() * width),
        mask: Vec::with_capacity(sequences.len() * width),
        lengths: Vec::with_capacity(sequences.len()),
        width,
    };
    for sequence in sequences {
        let sequence = sequence.as_ref();
        let length = sequence.len().min(width);
        let part = match options.truncate {
            Side::Right => &sequence[..length],
            Side::Left => &sequence[sequence.len() - length..],
        };
        let missing = width - length;
        let before = if options.side == Side::Left {
            missing
        } else {
            0
        };
        padded
            .ids
            .extend(std::iter::repeat_n(options.value, before));
        padded.ids.extend_from_slice(part);
        padded
            .ids
            .extend(std::iter::repeat_n(options.value, missing - before));
        padded
            .mask
            .extend((0..width).map(|at| at >= before && at < before + length));
        padded.lengths.push(length as i32);
    }
    padded
}

/// Sequences of different lengths: batches are numbers i32 `[batch, longest]` and lengths i32 `[batch]`. With labels, or
/// with a second sequence for each, through [`Dataset::zip`].
///
/// ```
/// use wgrad_data::text::{Pad, SequenceDataset};
/// use wgrad_data::{Dataset, TensorDataset};
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let sequences = vec![vec![1, 2, 3], vec![4], vec![5, 6]];
/// let labels = TensorDataset::new(Tensor::new(&[0, 1, 1], &device))?;
/// let set = SequenceDataset::new(sequences, Pad::new(0), &device).zip(labels)?;
/// let batch = set.get(&[1, 2])?; // ids, lengths, labels
/// assert_eq!(batch[0].to_vec::<i32>()?, [4, 0, 5, 6]);
/// assert_eq!(batch[1].to_vec::<i32>()?, [1, 2]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SequenceDataset {
    sequences: Vec<Vec<i32>>,
    options: Pad,
    device: Device,
}

impl SequenceDataset {
    /// The sequences, padded for each batch as `options` say.
    #[must_use]
    pub fn new(sequences: Vec<Vec<i32>>, options: Pad, device: &Device) -> Self {
        Self {
            sequences,
            options,
            device: device.clone(),
        }
    }
}

impl Dataset for SequenceDataset {
    type Item = (Tensor, Tensor);

    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn get(&self, indices: &[u32]) -> Result<Self::Item> {
        check_indices(indices, self.sequences.len())?;
        let list: Vec<&Vec<i32>> = indices
            .iter()
            .map(|&index| &self.sequences[index as usize])
            .collect();
        let (ids, _, lengths) = pad(&list, &self.options).tensors(&self.device);
        Ok((ids, lengths))
    }
}

/// Each number as a row of zeros and a one, `[numbers, classes]`.
///
/// ```
/// assert_eq!(wgrad_data::text::one_hot(&[2, 0], 3)?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a number that is no class.
pub fn one_hot(ids: &[i32], classes: usize) -> Result<Vec<f32>> {
    let rows: Vec<&[i32]> = ids.chunks(1).collect();
    multi_hot(&rows, classes)
}

/// Each set of numbers as a row with ones in their places, `[sets, classes]`: a bag of words, several labels.
///
/// ```
/// let rows = wgrad_data::text::multi_hot(&[vec![0, 2, 2], vec![]], 3)?;
/// assert_eq!(rows, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a number that is no class.
pub fn multi_hot<S: AsRef<[i32]>>(sets: &[S], classes: usize) -> Result<Vec<f32>> {
    let mut rows = vec![0.0; sets.len() * classes];
    for (row, set) in sets.iter().enumerate() {
        for &id in set.as_ref() {
            let class = usize::try_from(id).ok().filter(|&class| class < classes);
            let class = class.ok_or_else(|| Error::Argument {
                function: "multi_hot",
                problem: format!("number {id} of row {row} is not below the {classes} classes"),
            })?;
            rows[row * classes + class] = 1.0;
        }
    }
    Ok(rows)
}
