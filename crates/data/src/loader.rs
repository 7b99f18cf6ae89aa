//! Feeding a training loop: batches of a dataset in the order of a sampler, made where they are asked for or ahead of it on
//! threads. Its state is a few numbers: a loader resumed from them gives the same batches. Must not read files.

use std::sync::Arc;

use wgrad_graph::{Generator, Tensor};

use crate::batch::number;
#[cfg(not(target_arch = "wasm32"))]
use crate::prefetch::Prefetch;
use crate::{
    Batch, BatchSampler, Batches, Dataset, DeviceDataset, Error, Gather, LoaderState, Result,
    Sampler,
};

/// Batches of a [`Dataset`], shuffled anew in each epoch in an order that depends on seed and epoch alone.
///
/// ```
/// use wgrad_data::{Batches, Loader, TensorDataset};
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::arange(10, &device);
/// let mut loader = Loader::new(TensorDataset::new((x.clone(), x.square()))?, 4, 0)?;
/// let mut sizes = vec![];
/// for batch in loader.epoch() {
///     let (x, y) = batch?;
///     assert_eq!(x.square().to_vec::<i32>()?, y.to_vec::<i32>()?);
///     sizes.push(x.numel());
/// }
/// assert_eq!((sizes, loader.epochs_done()), (vec![4, 4, 2], 1));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub struct Loader<D: Dataset = DeviceDataset> {
    dataset: Arc<D>,
    batches: BatchSampler,
    #[cfg(not(target_arch = "wasm32"))]
    prefetch: Option<Prefetch<D::Item>>,
}

impl<D: Dataset> std::fmt::Debug for Loader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("batches", &self.batches.state())
            .finish_non_exhaustive()
    }
}

/// A loader that stands where this one does. It makes its batches without threads of its own.
impl<D: Dataset> Clone for Loader<D> {
    fn clone(&self) -> Self {
        Self {
            dataset: Arc::clone(&self.dataset),
            batches: self.batches.clone(),
            #[cfg(not(target_arch = "wasm32"))]
            prefetch: None,
        }
    }
}

impl<D: Dataset> Loader<D> {
    /// A loader at the start of epoch 0. The last batch of an epoch may be short.
    ///
    /// # Errors
    /// [`Error::Empty`] if the dataset has no sample; [`Error::Batches`] if the batch size is 0, or the dataset has more than
    /// 2^32 − 1 samples.
    pub fn new(dataset: D, batch_size: usize, seed: u64) -> Result<Self> {
        let batches = BatchSampler::new(dataset.len(), batch_size, seed)?;
        if dataset.is_empty() {
            return Err(Error::Empty {
                what: "the dataset",
                problem: "a loader needs at least one sample".to_owned(),
            });
        }
        Ok(Self {
            dataset: Arc::new(dataset),
            batches,
            #[cfg(not(target_arch = "wasm32"))]
            prefetch: None,
        })
    }

    /// With batches in another order or state.
    #[must_use]
    pub fn with_batches(mut self, batches: BatchSampler) -> Self {
        self.batches = batches;
        self.restart();
        self
    }

    /// Whether to shuffle each epoch (the default) or to go through the samples in their order.
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.batches = self.batches.shuffle(shuffle);
        self.restart();
        self
    }

    /// Whether to leave out a last batch that would be short; by default it is given.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.batches = self.batches.drop_last(drop_last);
        self.restart();
        self
    }

    /// In the order that `sampler` chooses for each epoch: [`WeightedSampler`](crate::WeightedSampler),
    /// [`StratifiedSampler`](crate::StratifiedSampler), or one's own. The loader begins at epoch 0.
    ///
    /// # Errors
    /// [`Error::Empty`] if the sampler gives nothing. Indices beyond the dataset are the error of their batch.
    ///
    /// ```
    /// use wgrad_data::{Batches, DeviceDataset, Loader, WeightedSampler, digits};
    /// use wgrad_graph::Device;
    /// let images = digits::generate(20, 0);
    /// let labels: Vec<usize> = images.labels().iter().map(|&l| l.into()).collect();
    /// let sampler = WeightedSampler::balanced(&labels, 100)?;
    /// let mut loader = Loader::new(DeviceDataset::new(&images, &Device::cpu())?, 10, 0)?.sampler(sampler)?;
    /// assert_eq!(Batches::batches_per_epoch(&loader), Some(10));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Result<Self> {
        if sampler.is_empty() {
            return Err(Error::Empty {
                what: "the sampler",
                problem: "an epoch has no sample".to_owned(),
            });
        }
        let state = self.batches.state();
        let size = state.batch_size as usize;
        self.batches = BatchSampler::with_sampler(Arc::new(sampler), size, state.seed)?
            .drop_last(state.drop_last);
        self.restart();
        Ok(self)
    }

    /// The batches that remain of the epoch under way: all of them, unless the loader was resumed or an earlier loop was
    /// left. See [`Loader::skip_epoch`] for leaving the rest out.
    pub fn epoch(&mut self) -> Epoch<'_, D> {
        Epoch {
            loader: self,
            done: false,
        }
    }

    /// Begins the next epoch, whatever remains of this one.
    pub fn skip_epoch(&mut self) {
        self.batches.skip_epoch();
        self.restart();
    }

    /// The number of epochs done, which is the epoch that the next batch belongs to, from 0.
    #[must_use]
    pub fn epochs_done(&self) -> u64 {
        self.batches.epoch()
    }

    /// Number of batches in an epoch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        self.batches.batches_per_epoch()
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Batches that are under way on threads belong to another order from here on.
    fn restart(&mut self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.restart(&self.batches);
        }
    }

    /// An epoch without a batch would be an endless loop of nothing.
    fn check_epoch(&self) -> Result<()> {
        if self.batches.batches_per_epoch() > 0 {
            return Ok(());
        }
        let state = self.batches.state();
        Err(Error::Empty {
            what: "the epoch",
            problem: format!(
                "`drop_last` leaves no batch of {} out of {} samples",
                state.batch_size, state.len
            ),
        })
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<D> Loader<D>
where
    D: Dataset + Send + Sync + 'static,
    D::Item: Send + 'static,
{
    /// Makes batches on `workers` threads, up to `ahead` batches before they are asked for. Order and content are those of
    /// a loader without threads. What fails or panics there is the error of its batch.
    ///
    /// # Errors
    /// [`Error::Argument`] if either number is 0; [`Error::Worker`] if no thread can be started.
    ///
    /// ```
    /// use wgrad_data::{Loader, dataset_fn};
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let slow = dataset_fn(8, move |indices: &[u32]| {
    ///     std::thread::sleep(std::time::Duration::from_millis(1));
    ///     Ok(Tensor::new(&indices.iter().map(|&i| i as f32).collect::<Vec<_>>(), &device))
    /// });
    /// let mut plain = Loader::new(slow.clone(), 3, 5)?;
    /// let mut ahead = Loader::new(slow, 3, 5)?.prefetch(2, 4)?;
    /// for (a, b) in plain.epoch().zip(ahead.epoch()) {
    ///     assert_eq!(a?.to_vec::<f32>()?, b?.to_vec::<f32>()?);
    /// }
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    pub fn prefetch(mut self, workers: usize, ahead: usize) -> Result<Self> {
        let dataset = Arc::clone(&self.dataset);
        let make = move |indices: &[u32]| batch_of(&*dataset, indices);
        self.prefetch = Some(Prefetch::new(make, workers, ahead, &self.batches)?);
        Ok(self)
    }
}

impl<D: Gather> Loader<D> {
    /// The next batch, or `None` once at the end of each epoch.
    #[track_caller]
    pub fn next_batch(&mut self) -> Option<D::Item> {
        let index = self.next_index()?;
        Some(self.dataset.gather(&index))
    }

    /// As [`Loader::next_batch`], the indices alone, for [`Gather::gather`] inside a compiled step.
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
        let index = self.dataset.index(indices);
        self.restart();
        Some(index)
    }

    /// The same batches as indices i32 `[batch]`, for a step that gathers them itself.
    ///
    /// ```
    /// use wgrad_data::{Batches, DeviceDataset, Loader, digits};
    /// use wgrad_graph::Device;
    /// let set = DeviceDataset::new(&digits::generate(10, 1), &Device::cpu())?;
    /// let mut indices = Loader::new(set, 4, 0)?.indices();
    /// assert_eq!(indices.next()?.expect("the first batch").shape(), [4]);
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    #[must_use]
    pub fn indices(self) -> Indices<D> {
        Indices { loader: self }
    }
}

impl<D: Dataset> Batches for Loader<D> {
    type Item = D::Item;

    fn next(&mut self) -> Result<Option<D::Item>> {
        self.check_epoch()?;
        let Some(indices) = self.batches.next_batch() else {
            return Ok(None);
        };
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(prefetch) = &mut self.prefetch {
            return prefetch.next().map(Some);
        }
        batch_of(&*self.dataset, indices).map(Some)
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.batches.batches_per_epoch())
    }

    fn state(&self) -> LoaderState {
        let state = self.batches.state();
        let fields = [
            ("len", u64::from(state.len)),
            ("batch_size", u64::from(state.batch_size)),
            ("seed", state.seed),
            ("epoch", state.epoch),
            ("position", u64::from(state.position)),
            ("shuffle", u64::from(state.shuffle)),
            ("drop_last", u64::from(state.drop_last)),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Seed, epoch and position are taken over. The number of samples and whether they are shuffled must be the same, for the
    /// position has no meaning otherwise; the batch size may be another.
    fn set_state(&mut self, state: LoaderState) -> Result<()> {
        let here = self.batches.state();
        let refuse = |problem: String| Err(Error::State { problem });
        let len = number(&state, "len")?;
        if len != u64::from(here.len) {
            return refuse(format!(
                "is of {len} samples an epoch, this loader has {}",
                here.len
            ));
        }
        let shuffle = number(&state, "shuffle")?;
        if shuffle != u64::from(here.shuffle) {
            let word = |shuffle| if shuffle { "" } else { "not " };
            return refuse(format!(
                "is of samples {}shuffled, here they are {}shuffled",
                word(shuffle != 0),
                word(here.shuffle)
            ));
        }
        let position = number(&state, "position")?;
        if position > u64::from(here.len) {
            return refuse(format!(
                "is at sample {position} of an epoch of {}",
                here.len
            ));
        }
        let (seed, epoch) = (number(&state, "seed")?, number(&state, "epoch")?);
        self.batches.seek(seed, epoch, position as u32);
        self.restart();
        Ok(())
    }
}

/// A batch, if there is anything to make it of.
fn batch_of<D: Dataset>(dataset: &D, indices: &[u32]) -> Result<D::Item> {
    if indices.is_empty() {
        return Err(Error::Empty {
            what: "a batch",
            problem: "the sampler gives fewer indices than it says".to_owned(),
        });
    }
    dataset.get(indices)
}

/// What remains of an epoch: see [`Loader::epoch`].
#[derive(Debug)]
pub struct Epoch<'a, D: Dataset> {
    loader: &'a mut Loader<D>,
    done: bool,
}

impl<D: Dataset> Iterator for Epoch<'_, D> {
    type Item = Result<D::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = Batches::next(self.loader);
        // An epoch that has no batch never ends by itself.
        self.done = matches!(next, Ok(None) | Err(Error::Empty { .. }));
        next.transpose()
    }
}

/// A loader's batches as indices: see [`Loader::indices`].
#[derive(Debug)]
pub struct Indices<D: Gather> {
    loader: Loader<D>,
}

impl<D: Gather> Batches for Indices<D> {
    type Item = Tensor;

    fn next(&mut self) -> Result<Option<Tensor>> {
        self.loader.check_epoch()?;
        let Some(indices) = self.loader.batches.next_batch() else {
            return Ok(None);
        };
        crate::source::check_indices(indices, self.loader.dataset.len())?;
        Ok(Some(self.loader.dataset.index(indices)))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.loader.batches.batches_per_epoch())
    }

    fn state(&self) -> LoaderState {
        self.loader.state()
    }

    fn set_state(&mut self, state: LoaderState) -> Result<()> {
        self.loader.set_state(state)
    }
}

/// Batches that go through a function with random numbers: see [`map_batches`].
#[derive(Clone, Debug)]
pub struct MapBatches<B, F> {
    batches: B,
    function: F,
    seed: u64,
    count: u64,
}

/// The batches of `batches` after `function`, which is given a random stream of each batch, for augmentation that is not
/// part of a compiled step. The stream depends on `seed` and the number of the batch, which is kept with the state.
///
/// ```
/// use wgrad_data::{Batches, Loader, TensorDataset, map_batches};
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let loader = Loader::new(TensorDataset::new(Tensor::new(&[1.0f32; 6], &device))?, 3, 0)?;
/// let mut noisy = map_batches(loader, 7, |x: Tensor, rng| &x + rng.normal(x.shape(), x.device()));
/// let state = noisy.state();
/// let first = noisy.next()?.expect("a batch").to_vec::<f32>()?;
/// assert_ne!(noisy.next()?.expect("a batch").to_vec::<f32>()?, first);
/// noisy.set_state(state)?;
/// assert_eq!(noisy.next()?.expect("a batch").to_vec::<f32>()?, first);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub fn map_batches<B, C, F>(batches: B, seed: u64, function: F) -> MapBatches<B, F>
where
    B: Batches,
    C: Batch,
    F: FnMut(B::Item, &mut Generator) -> C,
{
    MapBatches {
        batches,
        function,
        seed,
        count: 0,
    }
}

impl<B, C, F> Batches for MapBatches<B, F>
where
    B: Batches,
    C: Batch,
    F: FnMut(B::Item, &mut Generator) -> C,
{
    type Item = C;

    fn next(&mut self) -> Result<Option<C>> {
        let Some(batch) = self.batches.next()? else {
            return Ok(None);
        };
        let mut rng = Generator::from_state([self.seed, self.count, 0]);
        self.count += 1;
        Ok(Some((self.function)(batch, &mut rng)))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        self.batches.batches_per_epoch()
    }

    fn state(&self) -> LoaderState {
        let mut state = self.batches.state();
        state.insert("map.count".to_owned(), self.count);
        state.insert("map.seed".to_owned(), self.seed);
        state
    }

    fn set_state(&mut self, mut state: LoaderState) -> Result<()> {
        let (count, seed) = (number(&state, "map.count")?, number(&state, "map.seed")?);
        state.remove("map.count");
        state.remove("map.seed");
        self.batches.set_state(state)?;
        (self.count, self.seed) = (count, seed);
        Ok(())
    }
}
