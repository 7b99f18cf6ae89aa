//! What a training loop is given: batches, and where they come from. Says nothing of datasets, orders or files.

use std::collections::BTreeMap;

use wgrad_graph::{DType, Device, Error as TensorError, ErrorKind, Tensor};

use crate::{Error, Result};

/// Samples of a step, as tensors in a fixed order, so that a compiled step can take them as its inputs.
///
/// ```
/// use wgrad_data::Batch;
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let batch = (Tensor::new(&[0.5f32, 1.5], &device), Tensor::new(&[0, 1], &device));
/// assert_eq!((batch.len(), batch.tensors().len()), (2, 2));
/// let again = <(Tensor, Tensor)>::from_tensors(&batch.tensors());
/// assert_eq!(again.1.to_vec::<i32>()?, [0, 1]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub trait Batch: Sized {
    /// The tensors, always as many and in the same order; the first dimension of each counts the samples.
    fn tensors(&self) -> Vec<Tensor>;

    /// The batch of these tensors, which are as many as [`Batch::tensors`] gives. One that is missing becomes an
    /// invalid tensor, whose reading is the error.
    fn from_tensors(tensors: &[Tensor]) -> Self;

    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples counted by the first dimension; a scalar is one sample.
fn samples(tensor: &Tensor) -> usize {
    tensor.shape().first().copied().unwrap_or(1)
}

/// Tensor `index` of `expected`, or one that says that it is missing.
fn tensor(tensors: &[Tensor], index: usize, expected: usize) -> Tensor {
    tensors.get(index).cloned().unwrap_or_else(|| {
        let message = format!("needs {expected} tensors, got {}", tensors.len());
        let error = TensorError::new(ErrorKind::Value, "Batch::from_tensors", message);
        let device = match tensors.first() {
            Some(tensor) => tensor.device().clone(),
            None => Device::reference(),
        };
        Tensor::invalid(error, &[], DType::F32, &device)
    })
}

impl Batch for Tensor {
    fn tensors(&self) -> Vec<Tensor> {
        vec![self.clone()]
    }

    fn from_tensors(tensors: &[Tensor]) -> Self {
        tensor(tensors, 0, 1)
    }

    fn len(&self) -> usize {
        samples(self)
    }
}

impl Batch for (Tensor, Tensor) {
    fn tensors(&self) -> Vec<Tensor> {
        vec![self.0.clone(), self.1.clone()]
    }

    fn from_tensors(tensors: &[Tensor]) -> Self {
        (tensor(tensors, 0, 2), tensor(tensors, 1, 2))
    }

    fn len(&self) -> usize {
        samples(&self.0)
    }
}

impl Batch for (Tensor, Tensor, Tensor) {
    fn tensors(&self) -> Vec<Tensor> {
        vec![self.0.clone(), self.1.clone(), self.2.clone()]
    }

    fn from_tensors(tensors: &[Tensor]) -> Self {
        (
            tensor(tensors, 0, 3),
            tensor(tensors, 1, 3),
            tensor(tensors, 2, 3),
        )
    }

    fn len(&self) -> usize {
        samples(&self.0)
    }
}

impl Batch for Vec<Tensor> {
    fn tensors(&self) -> Vec<Tensor> {
        self.clone()
    }

    fn from_tensors(tensors: &[Tensor]) -> Self {
        tensors.to_vec()
    }

    fn len(&self) -> usize {
        self.first().map_or(0, samples)
    }
}

/// Where a loader stands: named numbers, to be kept in a checkpoint.
pub type LoaderState = BTreeMap<String, u64>;

/// Batches, epoch after epoch.
///
/// Whoever implements it promises that a source given the state of another goes on with the batches that the other
/// would have given, bit for bit.
pub trait Batches {
    /// What a step is given.
    type Item: Batch;

    /// The next batch; `None` once at the end of each epoch, after which the next epoch begins.
    ///
    /// # Errors
    /// A sample cannot be read or made. The source may go on with the batch after it.
    fn next(&mut self) -> Result<Option<Self::Item>>;

    /// The batches of a whole epoch, where that is known.
    fn batches_per_epoch(&self) -> Option<usize>;

    /// Where the source stands.
    fn state(&self) -> LoaderState;

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`Error::State`] if the state is not of such a source; it then stays where it is.
    fn set_state(&mut self, state: LoaderState) -> Result<()>;
}

impl<B: Batches + ?Sized> Batches for &mut B {
    type Item = B::Item;

    fn next(&mut self) -> Result<Option<Self::Item>> {
        (**self).next()
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        (**self).batches_per_epoch()
    }

    fn state(&self) -> LoaderState {
        (**self).state()
    }

    fn set_state(&mut self, state: LoaderState) -> Result<()> {
        (**self).set_state(state)
    }
}

impl<B: Batches + ?Sized> Batches for Box<B> {
    type Item = B::Item;

    fn next(&mut self) -> Result<Option<Self::Item>> {
        (**self).next()
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        (**self).batches_per_epoch()
    }

    fn state(&self) -> LoaderState {
        (**self).state()
    }

    fn set_state(&mut self, state: LoaderState) -> Result<()> {
        (**self).set_state(state)
    }
}

/// A number of a saved state.
pub(crate) fn number(state: &LoaderState, name: &str) -> Result<u64> {
    state.get(name).copied().ok_or_else(|| Error::State {
        problem: format!("has no `{name}`"),
    })
}

/// Batches that a function makes from the numbers of epoch and batch, both from 0: see [`from_fn`].
#[derive(Clone, Debug)]
pub struct FromFn<F> {
    function: F,
    batches: u64,
    epoch: u64,
    batch: u64,
}

/// Batches without a dataset, for data that is made as it is needed. `function` is given the numbers of epoch and
/// batch, and should depend on nothing else, so that a resumed run sees the same batches.
///
/// ```
/// use wgrad_data::{Batches, from_fn};
/// use wgrad_graph::{Device, Generator, Tensor};
/// let device = Device::cpu();
/// let mut batches = from_fn(3, move |epoch, batch| {
///     let x = Generator::from_state([7, epoch, batch]).normal(&[16, 2], &device);
///     Ok((x.clone(), x.sum_dims(&[1], true)))
/// });
/// let mut seen = 0;
/// while let Some((x, y)) = batches.next()? {
///     assert_eq!((x.shape(), y.shape()), (&[16, 2][..], &[16, 1][..]));
///     seen += 1;
/// }
/// assert_eq!((seen, batches.state()["epoch"]), (3, 1));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub fn from_fn<B, F>(batches_per_epoch: usize, function: F) -> FromFn<F>
where
    B: Batch,
    F: FnMut(u64, u64) -> Result<B>,
{
    FromFn {
        function,
        batches: batches_per_epoch as u64,
        epoch: 0,
        batch: 0,
    }
}

impl<B: Batch, F: FnMut(u64, u64) -> Result<B>> Batches for FromFn<F> {
    type Item = B;

    fn next(&mut self) -> Result<Option<B>> {
        if self.batch >= self.batches {
            (self.epoch, self.batch) = (self.epoch.wrapping_add(1), 0);
            return Ok(None);
        }
        self.batch += 1;
        (self.function)(self.epoch, self.batch - 1).map(Some)
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.batches as usize)
    }

    fn state(&self) -> LoaderState {
        let fields = [("epoch", self.epoch), ("batch", self.batch)];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn set_state(&mut self, state: LoaderState) -> Result<()> {
        let (epoch, batch) = (number(&state, "epoch")?, number(&state, "batch")?);
        if batch > self.batches {
            let problem = format!(
                "is at batch {batch}, an epoch here has {} batches",
                self.batches
            );
            return Err(Error::State { problem });
        }
        (self.epoch, self.batch) = (epoch, batch);
        Ok(())
    }
}
