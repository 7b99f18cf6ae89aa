//! What a dataset is: anything that has a length and gives the samples of any indices as one batch. Says nothing of the
//! order in which they are asked for.

use wgrad_graph::{DType, Device, Error as TensorError, ErrorKind, Tensor};

use crate::{Batch, Error, Result};

/// Samples by index.
///
/// A loader asks for a batch at once and not for sample after sample, so that a dataset on a device gathers it with one
/// operation.
pub trait Dataset {
    /// What a batch of samples is.
    type Item: Batch;

    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples of these indices, in this order, as one batch.
    ///
    /// # Errors
    /// [`Error::Index`] for an index beyond the samples; whatever reading a sample can fail with.
    fn get(&self, indices: &[u32]) -> Result<Self::Item>;

    /// The dataset whose batches went through `function`.
    ///
    /// ```
    /// use wgrad_data::{Dataset, TensorDataset};
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let set = TensorDataset::new(Tensor::new(&[1.0f32, 2.0, 3.0], &device))?;
    /// let squares = set.map(|x| (x.clone(), x.square()));
    /// assert_eq!(squares.get(&[2, 0])?.1.to_vec::<f32>()?, [9.0, 1.0]);
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    fn map<B: Batch, F: Fn(Self::Item) -> B>(self, function: F) -> Map<Self, F>
    where
        Self: Sized,
    {
        Map {
            dataset: self,
            function,
        }
    }

    /// The samples of `indices` alone, in this order; an index may stand there more than once. With what the functions
    /// of [`split`](crate::split) give, a part of a split.
    ///
    /// # Errors
    /// [`Error::Index`] for an index beyond the samples.
    fn subset(self, indices: &[u32]) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        check_indices(indices, self.len())?;
        Ok(Subset {
            dataset: self,
            indices: indices.to_vec(),
        })
    }

    /// The pairs of samples of the same index of both datasets, as the tensors of both.
    ///
    /// # Errors
    /// [`Error::Count`] if they are not of the same length.
    fn zip<D: Dataset>(self, other: D) -> Result<Zip<Self, D>>
    where
        Self: Sized,
    {
        if self.len() != other.len() {
            return Err(Error::Count {
                dataset: "zip".to_owned(),
                field: "samples of the second dataset",
                expected: self.len(),
                actual: other.len(),
            });
        }
        Ok(Zip {
            first: self,
            second: other,
        })
    }
}

/// A dataset that lies on a device, so that a compiled step can gather a batch itself: its input is the index alone, and
/// gathering is part of its plan.
pub trait Gather: Dataset {
    /// Where the samples lie.
    fn device(&self) -> &Device;

    /// The samples of these indices, i32 `[batch]`. An index out of range makes the next read an error.
    fn gather(&self, index: &Tensor) -> Self::Item;

    /// Indices as a tensor on the dataset's device, for [`Gather::gather`].
    fn index(&self, indices: &[u32]) -> Tensor {
        index_tensor(indices, self.device())
    }
}

/// Indices as i32 `[n]`; one beyond that dtype becomes −1, which no dataset has.
#[track_caller]
pub(crate) fn index_tensor(indices: &[u32], device: &Device) -> Tensor {
    let list: Vec<i32> = indices
        .iter()
        .map(|&i| i32::try_from(i).unwrap_or(-1))
        .collect();
    Tensor::new(&list, device)
}

/// Every index lies below `len`.
pub(crate) fn check_indices(indices: &[u32], len: usize) -> Result<()> {
    match indices.iter().position(|&index| index as usize >= len) {
        None => Ok(()),
        Some(position) => Err(Error::Index {
            position,
            index: u64::from(indices[position]),
            len,
        }),
    }
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, indices: &[u32]) -> Result<Self::Item> {
        (**self).get(indices)
    }
}

impl<D: Gather + ?Sized> Gather for std::sync::Arc<D> {
    fn device(&self) -> &Device {
        (**self).device()
    }

    fn gather(&self, index: &Tensor) -> Self::Item {
        (**self).gather(index)
    }
}

/// Tensors whose first dimension counts the samples: `(x, y)`, rows of a table, pairs.
///
/// ```
/// use wgrad_data::{Dataset, Gather, TensorDataset};
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], &device);
/// let y = Tensor::new(&[0, 1, 0], &device);
/// let set = TensorDataset::new((x, y))?;
/// let (x, y) = set.get(&[2, 1])?;
/// assert_eq!(x.to_vec::<f32>()?, [5.0, 6.0, 3.0, 4.0]);
/// assert_eq!(y.to_vec::<i32>()?, [0, 1]);
/// let (again, _) = set.gather(&Tensor::new(&[2, 1], &device));
/// assert_eq!(again.to_vec::<f32>()?, x.to_vec::<f32>()?);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorDataset<B> {
    tensors: Vec<Tensor>,
    len: usize,
    device: Device,
    batch: std::marker::PhantomData<fn() -> B>,
}

impl<B: Batch> TensorDataset<B> {
    /// The dataset of these tensors.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no tensor, one has no dimension, or they lie on different devices;
    /// [`Error::Count`] if their first dimensions differ; the error of an invalid tensor.
    pub fn new(tensors: B) -> Result<Self> {
        let tensors = tensors.tensors();
        let problem = |problem: String| Error::Argument {
            function: "TensorDataset::new",
            problem,
        };
        let Some(first) = tensors.first() else {
            return Err(problem("needs at least one tensor".to_owned()));
        };
        let (len, device) = (B::from_tensors(&tensors).len(), first.device().clone());
        for (number, tensor) in tensors.iter().enumerate() {
            tensor.check()?;
            let Some(&samples) = tensor.shape().first() else {
                return Err(problem(format!(
                    "tensor {number} is a scalar and has no samples"
                )));
            };
            if tensor.device() != &device {
                let place = tensor.device();
                return Err(problem(format!(
                    "tensor {number} is on {place}, the first on {device}"
                )));
            }
            if samples != first.shape()[0] {
                return Err(Error::Count {
                    dataset: format!("tensor {number} of a dataset"),
                    field: "samples in the first dimension",
                    expected: len,
                    actual: samples,
                });
            }
        }
        Ok(Self {
            tensors,
            len,
            device,
            batch: std::marker::PhantomData,
        })
    }

    /// The tensors, as they were given.
    #[must_use]
    pub fn tensors(&self) -> B {
        B::from_tensors(&self.tensors)
    }
}

impl<B: Batch> Dataset for TensorDataset<B> {
    type Item = B;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, indices: &[u32]) -> Result<B> {
        check_indices(indices, self.len)?;
        Ok(self.gather(&self.index(indices)))
    }
}

impl<B: Batch> Gather for TensorDataset<B> {
    fn device(&self) -> &Device {
        &self.device
    }

    fn gather(&self, index: &Tensor) -> B {
        let parts: Vec<Tensor> = self
            .tensors
            .iter()
            .map(|tensor| tensor.index_select(0, index))
            .collect();
        B::from_tensors(&parts)
    }
}

/// A dataset whose batches go through a function: see [`Dataset::map`].
#[derive(Clone, Debug)]
pub struct Map<D, F> {
    dataset: D,
    function: F,
}

impl<D: Dataset, B: Batch, F: Fn(D::Item) -> B> Dataset for Map<D, F> {
    type Item = B;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, indices: &[u32]) -> Result<B> {
        self.dataset.get(indices).map(&self.function)
    }
}

impl<D: Gather, B: Batch, F: Fn(D::Item) -> B> Gather for Map<D, F> {
    fn device(&self) -> &Device {
        self.dataset.device()
    }

    fn gather(&self, index: &Tensor) -> B {
        (self.function)(self.dataset.gather(index))
    }
}

/// Some samples of a dataset: see [`Dataset::subset`].
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<u32>,
}

impl<D> Subset<D> {
    /// The whole dataset.
    #[must_use]
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The indices into the whole dataset.
    #[must_use]
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, indices: &[u32]) -> Result<D::Item> {
        check_indices(indices, self.len())?;
        let list: Vec<u32> = indices.iter().map(|&i| self.indices[i as usize]).collect();
        self.dataset.get(&list)
    }
}

impl<D: Gather> Gather for Subset<D> {
    fn device(&self) -> &Device {
        self.dataset.device()
    }

    fn gather(&self, index: &Tensor) -> D::Item {
        let list = self.dataset.index(&self.indices);
        self.dataset.gather(&list.index_select(0, index))
    }
}

/// Two datasets side by side: see [`Dataset::zip`].
#[derive(Clone, Debug)]
pub struct Zip<A, B> {
    first: A,
    second: B,
}

fn joined(first: &impl Batch, second: &impl Batch) -> Vec<Tensor> {
    let mut tensors = first.tensors();
    tensors.extend(second.tensors());
    tensors
}

impl<A: Dataset, B: Dataset> Dataset for Zip<A, B> {
    type Item = Vec<Tensor>;

    fn len(&self) -> usize {
        self.first.len()
    }

    fn get(&self, indices: &[u32]) -> Result<Vec<Tensor>> {
        Ok(joined(
            &self.first.get(indices)?,
            &self.second.get(indices)?,
        ))
    }
}

impl<A: Gather, B: Gather> Gather for Zip<A, B> {
    fn device(&self) -> &Device {
        self.first.device()
    }

    fn gather(&self, index: &Tensor) -> Vec<Tensor> {
        joined(&self.first.gather(index), &self.second.gather(index))
    }
}

/// A dataset that a function reads: see [`dataset_fn`].
#[derive(Clone, Debug)]
pub struct FnDataset<F> {
    len: usize,
    function: F,
}

/// A dataset of `len` samples whose batches `function` makes from their indices: from files, from a database, from
/// nothing. With [`Loader::prefetch`](crate::Loader::prefetch) it is called on threads of its own.
///
/// ```
/// use wgrad_data::{Dataset, dataset_fn};
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let set = dataset_fn(100, move |indices: &[u32]| {
///     let squares: Vec<f32> = indices.iter().map(|&i| (i * i) as f32).collect();
///     Ok(Tensor::new(&squares, &device))
/// });
/// assert_eq!(set.get(&[3, 99])?.to_vec::<f32>()?, [9.0, 9801.0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub fn dataset_fn<B, F>(len: usize, function: F) -> FnDataset<F>
where
    B: Batch,
    F: Fn(&[u32]) -> Result<B>,
{
    FnDataset { len, function }
}

impl<B: Batch, F: Fn(&[u32]) -> Result<B>> Dataset for FnDataset<F> {
    type Item = B;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, indices: &[u32]) -> Result<B> {
        check_indices(indices, self.len)?;
        (self.function)(indices)
    }
}

/// Single samples as one batch: each tensor stacked along a new first dimension. For functions that read sample by sample.
///
/// ```
/// use wgrad_data::stack;
/// use wgrad_graph::{DType, Device, Tensor};
/// let device = Device::cpu();
/// let sample = |v: f32| (Tensor::new(&[v, v], &device), Tensor::scalar(1.0, DType::I32, &device));
/// let (x, y) = stack(&[sample(1.0), sample(2.0)])?;
/// assert_eq!((x.shape(), y.shape()), (&[2, 2][..], &[2][..]));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if there is no sample; samples of different shapes or numbers of tensors.
pub fn stack<B: Batch>(samples: &[B]) -> Result<B> {
    let problem = |problem: String| Error::Argument {
        function: "stack",
        problem,
    };
    let samples: Vec<Vec<Tensor>> = samples.iter().map(Batch::tensors).collect();
    let Some(first) = samples.first() else {
        return Err(problem("needs at least one sample".to_owned()));
    };
    if let Some(at) = samples.iter().position(|s| s.len() != first.len()) {
        let (expected, actual) = (first.len(), samples[at].len());
        return Err(problem(format!(
            "sample {at} has {actual} tensors, the first has {expected}"
        )));
    }
    let stacked = (0..first.len()).map(|part| {
        let parts: Vec<&Tensor> = samples.iter().map(|sample| &sample[part]).collect();
        let tensor = Tensor::stack(&parts, 0);
        tensor.check()?;
        Ok(tensor)
    });
    Ok(B::from_tensors(&stacked.collect::<Result<Vec<_>>>()?))
}

/// Windows of a long sequence: inputs `[batch, length]` and, one further, targets `[batch, length]`, as a language model
/// is trained on them. Works on texts, on time series `[n, features]`, on anything with a first dimension.
///
/// ```
/// use wgrad_data::{Dataset, Windows};
/// use wgrad_graph::{Device, Tensor};
/// let text = Tensor::new(&[0, 1, 2, 3, 4, 5, 6, 7], &Device::cpu());
/// let set = Windows::new(text, 3, 2)?;
/// assert_eq!(set.len(), 3); // at 0, 2 and 4; at 6 the targets would end beyond the text
/// let (x, y) = set.get(&[1])?;
/// assert_eq!((x.to_vec::<i32>()?, y.to_vec::<i32>()?), (vec![2, 3, 4], vec![3, 4, 5]));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windows {
    sequence: Tensor,
    length: usize,
    stride: usize,
    len: usize,
}

impl Windows {
    /// Windows of `length` steps that begin every `stride` steps; each has the targets that follow.
    ///
    /// # Errors
    /// [`Error::Argument`] if `length` or `stride` is 0, or the sequence is shorter than a window and its last target.
    pub fn new(sequence: Tensor, length: usize, stride: usize) -> Result<Self> {
        let problem = |problem: String| Error::Argument {
            function: "Windows::new",
            problem,
        };
        sequence.check()?;
        let Some(&steps) = sequence.shape().first() else {
            return Err(problem("the sequence is a scalar".to_owned()));
        };
        if length == 0 || stride == 0 {
            return Err(problem(format!(
                "length {length} and stride {stride} must be at least 1"
            )));
        }
        if steps <= length || i32::try_from(steps).is_err() {
            return Err(problem(format!(
                "a window of {length} steps and the target after it do not fit a sequence of {steps}"
            )));
        }
        let len = (steps - length - 1) / stride + 1;
        Ok(Self {
            sequence,
            length,
            stride,
            len,
        })
    }
}

impl Dataset for Windows {
    type Item = (Tensor, Tensor);

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, indices: &[u32]) -> Result<Self::Item> {
        check_indices(indices, self.len)?;
        Ok(self.gather(&self.index(indices)))
    }
}

impl Gather for Windows {
    fn device(&self) -> &Device {
        self.sequence.device()
    }

    fn gather(&self, index: &Tensor) -> Self::Item {
        if index.shape().len() != 1 {
            let error = TensorError::new(ErrorKind::Shape, "Windows::gather", "needs indices [n]")
                .with_operands(vec![(index.shape().to_vec(), index.dtype())]);
            let bad = Tensor::invalid(error, &[], self.sequence.dtype(), self.device());
            return (bad.clone(), bad);
        }
        let samples = index.numel();
        let start = index.cast(DType::I32) * self.stride as f64;
        let steps = Tensor::arange(self.length, self.device()).unsqueeze(0);
        let place = (start.unsqueeze(1) + steps).reshape(&[-1]);
        let mut shape = vec![samples as isize, self.length as isize];
        shape.extend(self.sequence.shape()[1..].iter().map(|&size| size as isize));
        let inputs = self.sequence.index_select(0, &place).reshape(&shape);
        let targets = self.sequence.index_select(0, &(&place + 1));
        (inputs, targets.reshape(&shape))
    }
}
