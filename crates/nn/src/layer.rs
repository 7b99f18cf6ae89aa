//! Modules that map one tensor to one, and their composition in order. Runs nothing.

use crate::context::Context;
use crate::host::Host;
use crate::module::{Kind, Module, join};
use std::panic::Location;
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor, place};

/// Where this library is written: what its layers record belongs to whoever called them.
const LIBRARY: &str = file!().split_at(file!().len() - "layer.rs".len()).0;

/// Runs a layer that stands behind a `dyn`, through which no place of a caller passes.
pub(crate) fn called_from<T>(place: &'static Location<'static>, f: impl FnOnce() -> T) -> T {
    place::within(place, LIBRARY, f)
}

/// A module that maps a tensor to a tensor.
pub trait Layer: Module {
    /// The layer's value at `x`. Bad shapes give an invalid tensor. May replace buffers of its own in training.
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor;

    /// The layer's type and sizes in one line: `Linear(784, 10)`.
    fn kind(&self) -> String;
}

impl<L: Layer + ?Sized + 'static> Layer for Box<L> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        called_from(Location::caller(), || (**self).forward(x, cx))
    }

    fn kind(&self) -> String {
        (**self).kind()
    }
}

impl<L: Layer + ?Sized> Layer for &mut L {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let place = Location::caller();
        called_from(place, || (**self).forward(x, cx))
    }

    fn kind(&self) -> String {
        (**self).kind()
    }
}

/// One line of [`Sequential::summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// The name it was given.
    pub name: String,
    /// Its type and sizes.
    pub kind: String,
    /// Shape of its output.
    pub output_shape: Vec<usize>,
    /// Elements of its parameters.
    pub parameters: usize,
}

/// Named layers, one after the other.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, Module, Relu, Sequential};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut net = Sequential::new()
///     .with("hidden", Linear::new(4, 8, rng, &device))
///     .with("relu", Relu)
///     .with("out", Linear::new(8, 2, rng, &device));
/// assert_eq!(net.named_parameters()[2].0, "out.weight");
/// let rows = net.summary(&[16, 4], &device)?;
/// assert_eq!((rows[2].output_shape.as_slice(), rows[2].parameters), ([16, 2].as_slice(), 18));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
    /// A name that was given twice: its error is every output.
    error: Option<Error>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// With one more layer. A name used before makes every output invalid.
    pub fn with(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Sequential {
        let name = name.into();
        if self.error.is_none() && self.layers.iter().any(|(n, _)| *n == name) {
            self.error = Some(Error::new(
                ErrorKind::Value,
                "sequential",
                format!("two layers are named {name:?}"),
            ));
        }
        self.layers.push((name, Box::new(layer)));
        self
    }

    /// With one more layer, named by its number as in PyTorch's `Sequential`: `0`, `1`, …
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{Linear, Module, Relu, Sequential};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let net = Sequential::new().push(Linear::new(4, 8, rng, &device)).push(Relu).push(Linear::new(8, 2, rng, &device));
    /// assert_eq!(net.named_parameters()[2].0, "2.weight");
    /// ```
    pub fn push(self, layer: impl Layer + 'static) -> Sequential {
        let name = self.layers.len().to_string();
        self.with(name, layer)
    }

    /// The output of the last layer. An error in a layer names it, and the line of this call.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Linear, Sequential};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let mut net = Sequential::new().with("fc", Linear::new(4, 8, rng, &device));
    /// let x = Tensor::ones(&[2, 5], DType::F32, &device);
    /// let error = net.forward(&x, &mut Context::eval()).check().unwrap_err();
    /// assert!(error.to_string().contains("in layer \"fc\""));
    /// assert_eq!(error.location().unwrap().file(), file!());
    /// ```
    #[track_caller]
    pub fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        self.run(x, cx, &mut |_, _, _| {})
    }

    /// The layer of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Layer> {
        let found = self.layers.iter().find(|(n, _)| n == name);
        found.map(|(_, layer)| layer.as_ref())
    }

    /// Names and layers in order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Box<dyn Layer>)> {
        self.layers.iter_mut().map(|(n, layer)| (n.as_str(), layer))
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Names and layers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Layer)> {
        self.layers
            .iter()
            .map(|(name, layer)| (name.as_str(), layer.as_ref()))
    }

    /// Shapes and parameter counts for an f32 input of this shape, from recording alone: nothing is run.
    ///
    /// # Errors
    /// A layer does not fit its input: the error names it.
    #[track_caller]
    pub fn summary(&mut self, input_shape: &[usize], device: &Device) -> Result<Vec<LayerInfo>> {
        self.summary_of(&Tensor::zeros(input_shape, DType::F32, device))
    }

    /// As [`Sequential::summary`], for an input of any dtype (word numbers, bytes).
    ///
    /// # Errors
    /// As [`Sequential::summary`].
    #[track_caller]
    pub fn summary_of(&mut self, input: &Tensor) -> Result<Vec<LayerInfo>> {
        let mut rows = Vec::with_capacity(self.layers.len());
        let out = self.run(input, &mut Context::eval(), &mut |name, layer, out| {
            rows.push(LayerInfo {
                name: name.to_string(),
                kind: layer.kind(),
                output_shape: out.shape().to_vec(),
                parameters: layer.num_parameters(),
            });
        });
        out.check().map(|_| rows)
    }

    #[track_caller]
    fn run(
        &mut self,
        x: &Tensor,
        cx: &mut Context,
        seen: &mut dyn FnMut(&str, &dyn Layer, &Tensor),
    ) -> Tensor {
        if let Some(e) = &self.error {
            return Tensor::invalid(e.clone(), &[], x.dtype(), x.device());
        }
        let caller = Location::caller();
        let mut x = x.clone();
        for (name, layer) in &mut self.layers {
            let out = called_from(caller, || layer.forward(&x, cx));
            x = if x.check().is_ok() {
                located(out, name)
            } else {
                out
            };
            seen(name, layer.as_ref(), &x);
        }
        x
    }
}

/// An output that became invalid in this layer says so.
pub(crate) fn located(out: Tensor, layer: &str) -> Tensor {
    let Err(e) = out.check() else { return out };
    let message = format!("{} (in layer {layer:?})", e.message());
    let named = Error::new(e.kind(), e.op(), message).with_operands(e.operands().to_vec());
    let named = match e.location() {
        Some(place) => named.at(place),
        None => named,
    };
    Tensor::invalid(named, out.shape(), out.dtype(), out.device())
}

impl Module for Sequential {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, layer) in &self.layers {
            layer.visit(&join(path, name), visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for (name, layer) in &mut self.layers {
            layer.visit_mut(&join(path, name), visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Number(self.layers.len() as u64));
        for (name, layer) in &mut self.layers {
            visitor(Host::Enter(&*name));
            layer.visit_host(visitor);
            visitor(Host::Leave);
        }
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        Sequential::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("Sequential({})", self.len())
    }
}
