//! `y = x₁ᵀ A x₂ + b`, and distances between two inputs.

use super::fail;
use crate::Module;
use crate::init::symmetric;
use wgrad_graph::{Device, ErrorKind, Generator, Tensor};

/// A bilinear map of the last dimensions of two inputs.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Bilinear {
    /// `[out_features, in1_features, in2_features]`.
    pub weight: Tensor,
    /// `[out_features]`.
    pub bias: Option<Tensor>,
}

impl Bilinear {
    /// With weight and bias drawn from `U(±1/√in1_features)`, PyTorch's default.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let layer = wgrad_nn::Bilinear::new(3, 4, 2, &mut Generator::new(0), &device);
    /// let [a, b] = [3, 4].map(|n| Tensor::ones(&[5, n], DType::F32, &device));
    /// assert_eq!(layer.forward(&a, &b).shape(), [5, 2]);
    /// ```
    #[track_caller]
    pub fn new(
        in1_features: usize,
        in2_features: usize,
        out_features: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Bilinear {
        let bound = 1.0 / (in1_features.max(1) as f64).sqrt();
        let shape = [out_features, in1_features, in2_features];
        let weight = symmetric(&shape, bound, rng, device);
        let bias = symmetric(&[out_features], bound, rng, device);
        Bilinear {
            weight,
            bias: Some(bias),
        }
    }

    /// Without the bias.
    pub fn without_bias(self) -> Bilinear {
        Bilinear { bias: None, ..self }
    }

    /// `[…, in1_features]` and `[…, in2_features]` to `[…, out_features]`.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        let (op, rank) = ("bilinear", x1.rank());
        let &[out, in1, in2] = self.weight.shape() else {
            let message = format!("a weight of shape {:?}", self.weight.shape());
            return fail(op, ErrorKind::Shape, message, &self.weight);
        };
        let leads =
            rank > 0 && x1.rank() == x2.rank() && x1.shape()[..rank - 1] == x2.shape()[..rank - 1];
        if let Some(bad) = [x1, x2].into_iter().find(|x| x.check().is_err()) {
            return bad.clone();
        }
        if !leads || x1.size(-1) != in1 || x2.size(-1) != in2 {
            let shapes = (x1.shape(), x2.shape());
            let message = format!("takes […, {in1}] and […, {in2}], not {shapes:?}");
            return fail(op, ErrorKind::Shape, message, x1);
        }
        let lead: Vec<isize> = x1.shape()[..rank - 1].iter().map(|&n| n as isize).collect();
        // [n, in1] · [in1, out · in2], then the sum over in2.
        let matrix = self
            .weight
            .permute(&[1, 0, 2])
            .reshape(&[in1 as isize, (out * in2) as isize]);
        let half = x1.reshape(&[-1, in1 as isize]).matmul(&matrix);
        let half = half.reshape(&[-1, out as isize, in2 as isize]);
        let y = (half * x2.reshape(&[-1, 1, in2 as isize])).sum_dims(&[2], false);
        let y = match &self.bias {
            Some(b) => &y + b,
            None => y,
        };
        y.reshape(&[lead.as_slice(), &[out as isize]].concat())
    }
}
