//! Layers whose weight is computed from other parameters in each forward pass: weight normalisation (Salimans and Kingma
//! 2016) and spectral normalisation (Miyato et al. 2018). Names are those of PyTorch's `parametrizations`.

use super::{
    Bilinear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Embedding,
    Linear, fail,
};
use crate::module::identity;
use crate::{Context, Host, Kind, Layer, Module, init, join};
use wgrad_graph::{ErrorKind, Generator, Tensor};

/// A module with a weight that may be computed from something else.
pub trait Weighted: Module {
    /// The dimension of the weight that counts outputs.
    const OUT: usize = 0;

    /// The weight.
    fn weight(&self) -> &Tensor;

    /// The weight, to be replaced.
    fn weight_mut(&mut self) -> &mut Tensor;
}

macro_rules! weighted {
    ($($name:ident $out:literal;)*) => {$(
        impl Weighted for $name {
            const OUT: usize = $out;

            fn weight(&self) -> &Tensor {
                &self.weight
            }

            fn weight_mut(&mut self) -> &mut Tensor {
                &mut self.weight
            }
        }
    )*};
}

weighted! {
    Bilinear 0;
    Conv1d 0;
    Conv2d 0;
    Conv3d 0;
    ConvTranspose1d 1;
    ConvTranspose2d 1;
    ConvTranspose3d 1;
    Embedding 0;
    Linear 0;
}

/// Shows all tensors of a module but its weight, which is computed.
fn visit_rest(layer: &impl Weighted, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
    let weight = identity(layer.weight());
    layer.visit(path, &mut |name, kind, tensor| {
        if identity(tensor) != weight {
            visitor(name, kind, tensor);
        }
    });
}

/// As [`visit_rest`], for replacing.
fn visit_rest_mut(
    layer: &mut impl Weighted,
    path: &str,
    visitor: &mut dyn FnMut(&str, Kind, &mut Tensor),
) {
    let weight = identity(layer.weight());
    layer.visit_mut(path, &mut |name, kind, tensor| {
        if identity(tensor) != weight {
            visitor(name, kind, tensor);
        }
    });
}

/// A tensor that nothing reads, where the weight stood.
fn vacate(layer: &mut impl Weighted) -> Tensor {
    let nothing = layer.weight().zeros_like();
    std::mem::replace(layer.weight_mut(), nothing)
}

/// The layer's output with another weight.
#[track_caller]
fn with_weight<L: Weighted + Layer>(
    layer: &mut L,
    weight: Tensor,
    x: &Tensor,
    cx: &mut Context,
) -> Tensor {
    let vacant = std::mem::replace(layer.weight_mut(), weight);
    let y = layer.forward(x, cx);
    *layer.weight_mut() = vacant;
    y
}

/// A layer whose weight is `g · v / ‖v‖`: length and direction are learned apart.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Context, Layer, Linear, Module, WeightNorm};
/// let device = Device::cpu();
/// let plain = Linear::new(2, 3, &mut Generator::new(0), &device);
/// let mut layer = WeightNorm::new(plain.clone());
/// let names: Vec<String> = layer.state().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]);
/// let x = Tensor::from_slice(&[1.0f32, 2.0], &[1, 2], &device);
/// let y = Layer::forward(&mut layer, &x, &mut Context::eval());
/// assert!((y - plain.forward(&x)).abs().amax().item::<f32>()? < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct WeightNorm<L> {
    layer: L,
    /// The lengths, of the weight's shape with 1 in all dimensions but the one that is kept.
    pub g: Tensor,
    /// The directions, of the weight's shape.
    pub v: Tensor,
    dim: Option<usize>,
}

impl<L: Weighted> WeightNorm<L> {
    /// With a length for each slice of dimension 0, and the layer's weight to begin with.
    #[track_caller]
    pub fn new(layer: L) -> WeightNorm<L> {
        WeightNorm::over(layer, Some(0))
    }

    /// With a length for each slice of a dimension, or with `None` one for the whole weight.
    #[track_caller]
    pub fn over(mut layer: L, dim: Option<usize>) -> WeightNorm<L> {
        let v = vacate(&mut layer);
        let g = lengths(&v, dim);
        WeightNorm { layer, g, v, dim }
    }

    /// The weight that `g` and `v` give.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        &self.v * (&self.g / lengths(&self.v, self.dim))
    }

    /// The layer with its weight as it is now.
    #[track_caller]
    pub fn into_layer(mut self) -> L {
        *self.layer.weight_mut() = self.weight();
        self.layer
    }
}

/// `‖v‖` over all dimensions but one.
#[track_caller]
fn lengths(v: &Tensor, dim: Option<usize>) -> Tensor {
    if let Some(d) = dim.filter(|&d| d >= v.rank()) {
        let message = format!("a weight of shape {:?} has no dimension {d}", v.shape());
        return fail("weight_norm", ErrorKind::Shape, message, v);
    }
    match dim {
        Some(dim) => {
            let over: Vec<isize> = (0..v.rank())
                .filter(|&d| d != dim)
                .map(|d| d as isize)
                .collect();
            v.square().sum_dims(&over, true).sqrt()
        }
        None => v.square().sum().sqrt(),
    }
}

const FIRST: &str = "parametrizations.weight.original0";
const SECOND: &str = "parametrizations.weight.original1";

impl<L: Weighted> Module for WeightNorm<L> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        visit_rest(&self.layer, path, visitor);
        visitor(&join(path, FIRST), Kind::Parameter, &self.g);
        visitor(&join(path, SECOND), Kind::Parameter, &self.v);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        visit_rest_mut(&mut self.layer, path, visitor);
        visitor(&join(path, FIRST), Kind::Parameter, &mut self.g);
        visitor(&join(path, SECOND), Kind::Parameter, &mut self.v);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        self.layer.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<WeightNorm<L>> {
        Some(WeightNorm {
            layer: self.layer.duplicate()?,
            g: self.g.clone(),
            v: self.v.clone(),
            dim: self.dim,
        })
    }
}

impl<L: Weighted + Layer> Layer for WeightNorm<L> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let weight = self.weight();
        with_weight(&mut self.layer, weight, x, cx)
    }

    fn kind(&self) -> String {
        format!("WeightNorm({})", self.layer.kind())
    }
}

/// A layer whose weight is divided by its largest singular value, as power iteration finds it: one or a few rounds in each
/// training pass, from where the last one ended.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Linear, SpectralNorm};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut plain = Linear::new(2, 2, rng, &device);
/// plain.weight = Tensor::from_slice(&[3.0f32, 0.0, 0.0, 1.0], &[2, 2], &device);
/// let layer = SpectralNorm::new(plain, rng);
/// assert!((layer.weight().amax().item::<f32>()? - 1.0).abs() < 1e-5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct SpectralNorm<L> {
    layer: L,
    /// The weight before the division.
    pub original: Tensor,
    /// The left singular vector, of as many elements as outputs.
    pub u: Tensor,
    /// The right singular vector.
    pub v: Tensor,
    /// Rounds in a training pass; 1.
    pub n_power_iterations: usize,
    /// The least length that a vector is divided by; 1e-12.
    pub eps: f64,
}

/// Rounds before the first pass.
const START: usize = 15;

impl<L: Weighted> SpectralNorm<L> {
    /// With one round in a training pass. Singular vectors are drawn, and improved 15 times.
    #[track_caller]
    pub fn new(mut layer: L, rng: &mut Generator) -> SpectralNorm<L> {
        let original = vacate(&mut layer);
        let matrix = matrix::<L>(&original);
        let [u, v] =
            [0, 1].map(|d| init::normal(&[matrix.size(d)], 0.0, 1.0, rng, original.device()));
        let eps = 1e-12;
        let (u, v) = (unit(&u, eps), unit(&v, eps));
        let (u, v) = iterate(&matrix, u, v, START, eps);
        SpectralNorm {
            layer,
            original,
            u,
            v,
            n_power_iterations: 1,
            eps,
        }
    }

    /// With more rounds in a training pass.
    pub fn n_power_iterations(self, n_power_iterations: usize) -> SpectralNorm<L> {
        SpectralNorm {
            n_power_iterations,
            ..self
        }
    }

    /// The weight, divided by its largest singular value as `u` and `v` have it.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        if self.original.rank() < 2 {
            return unit(&self.original, self.eps);
        }
        let matrix = matrix::<L>(&self.original);
        let (u, v) = (self.u.stop_gradient(), self.v.stop_gradient());
        &self.original / u.dot(&matrix.mv(&v))
    }

    /// The layer with its weight as it is now.
    #[track_caller]
    pub fn into_layer(mut self) -> L {
        *self.layer.weight_mut() = self.weight();
        self.layer
    }
}

/// The weight as a matrix of outputs by all else.
#[track_caller]
fn matrix<L: Weighted>(weight: &Tensor) -> Tensor {
    if weight.rank() < 2 {
        let message = format!("a weight of shape {:?} is no matrix", weight.shape());
        return fail("spectral_norm", ErrorKind::Shape, message, weight);
    }
    weight.movedim(L::OUT as isize, 0).flatten(1, -1)
}

/// A vector of length 1.
#[track_caller]
fn unit(x: &Tensor, eps: f64) -> Tensor {
    x / x.square().sum().sqrt().clamp_min(eps)
}

/// Rounds of power iteration, through which no gradient flows.
#[track_caller]
fn iterate(matrix: &Tensor, u: Tensor, v: Tensor, rounds: usize, eps: f64) -> (Tensor, Tensor) {
    let matrix = matrix.stop_gradient();
    let (mut u, mut v) = (u, v);
    for _ in 0..rounds {
        u = unit(&matrix.mv(&v), eps);
        v = unit(&matrix.t().mv(&u), eps);
    }
    (u, v)
}

const ORIGINAL: &str = "parametrizations.weight.original";
const LEFT: &str = "parametrizations.weight.0._u";
const RIGHT: &str = "parametrizations.weight.0._v";

impl<L: Weighted> Module for SpectralNorm<L> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        visit_rest(&self.layer, path, visitor);
        visitor(&join(path, ORIGINAL), Kind::Parameter, &self.original);
        visitor(&join(path, LEFT), Kind::Buffer, &self.u);
        visitor(&join(path, RIGHT), Kind::Buffer, &self.v);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        visit_rest_mut(&mut self.layer, path, visitor);
        visitor(&join(path, ORIGINAL), Kind::Parameter, &mut self.original);
        visitor(&join(path, LEFT), Kind::Buffer, &mut self.u);
        visitor(&join(path, RIGHT), Kind::Buffer, &mut self.v);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        self.layer.visit_host(visitor);
        self.n_power_iterations.visit_host(visitor);
        self.eps.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<SpectralNorm<L>> {
        Some(SpectralNorm {
            layer: self.layer.duplicate()?,
            original: self.original.clone(),
            u: self.u.clone(),
            v: self.v.clone(),
            ..*self
        })
    }
}

impl<L: Weighted + Layer> Layer for SpectralNorm<L> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        if cx.training && self.original.rank() >= 2 {
            let matrix = matrix::<L>(&self.original);
            let (u, v) = (self.u.clone(), self.v.clone());
            let (u, v) = iterate(&matrix, u, v, self.n_power_iterations, self.eps);
            if u.check().is_ok() && v.check().is_ok() {
                (self.u, self.v) = (u, v);
            }
        }
        let weight = self.weight();
        with_weight(&mut self.layer, weight, x, cx)
    }

    fn kind(&self) -> String {
        format!("SpectralNorm({})", self.layer.kind())
    }
}
