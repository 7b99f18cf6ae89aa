//! What tells a model where a token stands: learned, sinusoidal and rotary positions.

use super::{fail, layer};
use crate::{Host, Kind, Module, Watched, init};
use std::hash::{Hash, Hasher};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};

/// A trained vector for each position, which is added (Gehring et al. 2017; GPT-2, BERT).
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct LearnedPositions {
    /// `[positions, features]`.
    pub weight: Tensor,
}

impl LearnedPositions {
    /// With normal values of standard deviation 0.02, GPT-2's.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let positions = wgrad_nn::LearnedPositions::new(16, 8, &mut Generator::new(0), &device);
    /// let y = positions.forward(&Tensor::zeros(&[2, 5, 8], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 5, 8]);
    /// assert!(positions.forward(&Tensor::zeros(&[2, 17, 8], DType::F32, &device)).check().is_err());
    /// ```
    #[track_caller]
    pub fn new(positions: usize, features: usize, rng: &mut Generator, device: &Device) -> Self {
        LearnedPositions {
            weight: init::normal(&[positions, features], 0.0, 0.02, rng, device),
        }
    }

    /// `x [batch, time, features]`, or without the batch, with its positions' vectors added.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let [most, features] = [self.weight.size(0), self.weight.size(1)];
        if x.rank() < 2 || x.size(-1) != features || x.size(-2) > most {
            let message = format!(
                "{:?} does not end in at most {most} positions of {features} features",
                x.shape()
            );
            return fail("learned_positions", ErrorKind::Shape, message, x);
        }
        x + self.weight.narrow(0, 0, x.size(-2))
    }
}

layer!(LearnedPositions, |p| format!(
    "LearnedPositions({}, {})",
    p.weight.size(0),
    p.weight.size(1)
));

/// Sines and cosines of falling frequency, `[positions, features]` (Vaswani et al. 2017): feature `2i` is
/// `sin(p / 10000^(2i / features))`, feature `2i + 1` the cosine.
///
/// ```
/// use wgrad_graph::Device;
/// let table = wgrad_nn::sinusoidal_positions(3, 4, &Device::cpu()).to_vec::<f32>()?;
/// assert_eq!(table[..4], [0.0, 1.0, 0.0, 1.0]);
/// assert!((table[4] - 1f32.sin()).abs() < 1e-6 && (table[7] - 0.01f32.cos()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn sinusoidal_positions(positions: usize, features: usize, device: &Device) -> Tensor {
    let half = features.div_ceil(2);
    let step = -(10_000f64.ln()) * 2.0 / features.max(1) as f64;
    let rate = (Tensor::arange(half, device).cast(DType::F32) * step).exp();
    let at = Tensor::arange(positions, device).cast(DType::F32);
    let angle = at.unsqueeze(1) * rate.unsqueeze(0);
    Tensor::stack(&[&angle.sin(), &angle.cos()], 2)
        .flatten(1, 2)
        .narrow(1, 0, features)
}

/// Adds [`sinusoidal_positions`]; no parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct SinusoidalPositions;

impl SinusoidalPositions {
    /// `x [batch, time, features]`, or without the batch, with its positions' vectors added.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// let x = Tensor::zeros(&[1, 2, 2], DType::F32, &Device::cpu());
    /// let y = wgrad_nn::SinusoidalPositions.forward(&x).to_vec::<f32>()?;
    /// assert_eq!(y[..2], [0.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.rank() < 2 {
            let message = "takes [batch, time, features] or [time, features]".to_string();
            return fail("sinusoidal_positions", ErrorKind::Shape, message, x);
        }
        x + sinusoidal_positions(x.size(-2), x.size(-1), x.device()).cast(x.dtype())
    }
}

layer!(SinusoidalPositions, |_p| "SinusoidalPositions".to_string());

/// Turns pairs of features by angles that grow with the position (Su et al. 2021), so that products of queries and keys
/// depend on their distance. No parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryEmbedding {
    /// The first pair turns by 1 for each position, the last by about `1 / base`; 10,000.
    pub base: f64,
    /// Pairs are neighbours, as in RoFormer and GPT-J, not the two halves, as in GPT-NeoX and Llama; false.
    pub interleaved: bool,
}

impl Default for RotaryEmbedding {
    fn default() -> RotaryEmbedding {
        RotaryEmbedding {
            base: 10_000.0,
            interleaved: false,
        }
    }
}

impl Hash for RotaryEmbedding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.base.to_bits(), self.interleaved).hash(state);
    }
}

impl Module for RotaryEmbedding {
    fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(&mut Watched(self)));
    }

    fn duplicate(&self) -> Option<RotaryEmbedding> {
        Some(self.clone())
    }
}

impl RotaryEmbedding {
    /// With another base.
    pub fn base(self, base: f64) -> RotaryEmbedding {
        RotaryEmbedding { base, ..self }
    }

    /// With pairs of neighbours.
    pub fn interleaved(self, interleaved: bool) -> RotaryEmbedding {
        RotaryEmbedding {
            interleaved,
            ..self
        }
    }

    /// `x […, time, features]`, turned; the first position is 0, or that of `first` (an integer, `[1]`).
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0], &[2, 2], &Device::cpu());
    /// let y = wgrad_nn::RotaryEmbedding::default().turn(&x, None).to_vec::<f32>()?;
    /// assert_eq!(y[..2], [1.0, 0.0]);
    /// assert!((y[2] - 1f32.cos()).abs() < 1e-6 && (y[3] - 1f32.sin()).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn turn(&self, x: &Tensor, first: Option<&Tensor>) -> Tensor {
        if x.rank() < 2 || !x.size(-1).is_multiple_of(2) {
            let message = format!("{:?} does not end in an even number of features", x.shape());
            return fail("rotary_embedding", ErrorKind::Shape, message, x);
        }
        let (features, half) = (x.size(-1), x.size(-1) / 2);
        let step = -self.base.ln() * 2.0 / features.max(1) as f64;
        let rate = (Tensor::arange(half, x.device()).cast(DType::F32) * step).exp();
        let at = Tensor::arange(x.size(-2), x.device());
        let at = match first {
            Some(first) => at + first,
            None => at,
        };
        let angle = at.cast(DType::F32).unsqueeze(1) * rate.unsqueeze(0);
        let (cos, sin) = (angle.cos(), angle.sin());
        let (a, b) = if self.interleaved {
            let pairs = x.unflatten(-1, &[half as isize, 2]);
            (pairs.select(-1, 0), pairs.select(-1, 1))
        } else {
            (x.narrow(-1, 0, half), x.narrow(-1, half, half))
        };
        let turned = [&a * &cos - &b * &sin, &b * &cos + &a * &sin];
        let turned = [&turned[0].cast(x.dtype()), &turned[1].cast(x.dtype())];
        match self.interleaved {
            true => Tensor::stack(&turned, -1).flatten(-2, -1),
            false => Tensor::cat(&turned, -1),
        }
    }
}
