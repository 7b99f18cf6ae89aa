//! The one interface of metrics that sum on the device. Knows no metric.

use std::any::Any;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor, eval};
use wgrad_nn::Module;

/// A metric that is fed batch by batch and read seldom. What it sums lies on the device and has a fixed size; an update
/// records and runs, and reads nothing back.
///
/// A metric is a [`Module`] whose tensors are buffers, so it may be part of the state of a compiled step:
///
/// ```
/// use wgrad_graph::{Device, Reduction, Tensor};
/// use wgrad_metrics::{Accuracy, Metric};
/// use wgrad_nn::compile;
/// let device = Device::cpu();
/// let mut metrics: Vec<Box<dyn Metric>> = vec![Box::new(Accuracy::new(3, &device))];
/// let mut step = compile(|metrics: &mut Vec<Box<dyn Metric>>, x: &[Tensor]| {
///     for metric in metrics {
///         metric.update(&x[0], &x[1], None)?;
///     }
///     Ok(x[0].cross_entropy(&x[1], Reduction::Mean))
/// });
/// let scores = Tensor::from_slice(&[0.1f32, 0.9, 0.0, 0.8, 0.1, 0.1], &[2, 3], &device);
/// for _ in 0..4 {
///     step.call(&mut metrics, &[&scores, &Tensor::new(&[1, 2], &device)])?;
/// }
/// assert_eq!(metrics[0].value()?, [("accuracy".to_string(), 0.5)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// Labels out of range, NaN and bad weights are found on the device: such samples do not count, and the next
/// [`value`](Metric::value) is an error that says how many there were. A sample of weight 0 is left out whatever it holds.
pub trait Metric: Module {
    /// What it measures, as a short name.
    fn name(&self) -> &str;

    /// Adds a batch: predictions, targets, and a weight for each sample, or 1.
    ///
    /// # Errors
    /// Shapes, dtypes or devices do not fit; the batch cannot be computed. The metric is as it was then.
    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()>;

    /// Adds what another metric of the same kind and options has summed, on any device.
    ///
    /// # Errors
    /// It is of another kind or has other options; its state cannot be copied.
    fn merge(&mut self, other: &dyn Metric) -> Result<()>;

    /// Back to no samples.
    fn reset(&mut self);

    /// The named results of a state that was read: every tensor of [`Module::buffers`] in order, its elements in f64.
    ///
    /// # Errors
    /// No samples, unless the metric says otherwise; samples that could not be used.
    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>>;

    /// For [`merge`](Metric::merge).
    fn as_any(&self) -> &dyn Any;

    /// Reads the state and gives the named results. Not in a browser: see [`value_async`].
    ///
    /// # Errors
    /// As [`results`](Metric::results), or what was recorded cannot be computed.
    #[cfg(not(target_arch = "wasm32"))]
    fn value(&self) -> Result<Vec<(String, f64)>> {
        self.results(&read(&self.buffers())?)
    }
}

/// [`Metric::value`] without blocking.
///
/// ```
/// use wgrad_graph::{Device, Tensor, block_on};
/// use wgrad_metrics::{Metric, Regression, RegressionScore, value_async};
/// let device = Device::cpu();
/// let mut metric = Regression::new(&[RegressionScore::Mse], &device);
/// metric.update(&Tensor::new(&[1.0f32, 3.0], &device), &Tensor::new(&[1.0f32, 1.0], &device), None)?;
/// assert_eq!(block_on(value_async(&metric))?, [("mse".to_string(), 2.0)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`Metric::value`].
pub async fn value_async(metric: &dyn Metric) -> Result<Vec<(String, f64)>> {
    let state = metric.buffers();
    eval(&state.iter().map(|(_, t)| t).collect::<Vec<_>>())?;
    let mut read = Vec::with_capacity(state.len());
    for (_, tensor) in &state {
        read.push(match tensor.dtype() {
            DType::F32 => f64s(tensor.to_vec_async::<f32>().await?),
            _ => f64s(tensor.to_vec_async::<i32>().await?),
        });
    }
    metric.results(&read)
}

fn f64s<T: Into<f64>>(values: Vec<T>) -> Vec<f64> {
    values.into_iter().map(Into::into).collect()
}

/// The elements of tensors in f64.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read(state: &[(String, Tensor)]) -> Result<Vec<Vec<f64>>> {
    eval(&state.iter().map(|(_, t)| t).collect::<Vec<_>>())?;
    let one = |(_, tensor): &(String, Tensor)| match tensor.dtype() {
        DType::F32 => Ok(f64s(tensor.to_vec::<f32>()?)),
        _ => Ok(f64s(tensor.to_vec::<i32>()?)),
    };
    state.iter().map(one).collect()
}

/// `other` as the same type, or the error of merging.
pub(crate) fn alike<'a, M: Metric + 'static>(own: &M, other: &'a dyn Metric) -> Result<&'a M> {
    other.as_any().downcast_ref().ok_or_else(|| {
        let message = format!("cannot merge with {}", other.name());
        Error::new(ErrorKind::Value, own.name(), message)
    })
}

/// The error of merging metrics with other options.
pub(crate) fn other_options(op: &str) -> Error {
    Error::new(ErrorKind::Value, op, "cannot merge: the options differ")
}
