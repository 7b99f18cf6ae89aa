//! Adaptive softmax (Grave et al. 2017): classes by how often they come, the frequent ones in a head, the others in clusters
//! of ever fewer features. Shapes are fixed, so every row goes through every cluster: parameters are saved, not products.

use super::fail;
use crate::{Linear, Module};
use wgrad_graph::{DType, Device, Error, ErrorKind, Generator, Tensor};

/// Log-probabilities of many classes, which are sorted from frequent to rare. PyTorch's `AdaptiveLogSoftmaxWithLoss`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct AdaptiveLogSoftmax {
    /// Scores of the frequent classes, then of the clusters.
    pub head: Linear,
    /// For each cluster a map to fewer features, and one to its classes.
    pub tail: Vec<(Linear, Linear)>,
    /// The first class of each cluster, then the number of classes.
    cutoffs: Vec<usize>,
}

impl AdaptiveLogSoftmax {
    /// Of `n_classes`, of which those before the first of `cutoffs` are in the head and a cluster begins at each. Cluster `i`,
    /// from 0, has `in_features / div_value^(i + 1)` features (4 in the paper). The head has no bias. Cutoffs that are not
    /// positive, rising and below `n_classes` make the weights invalid.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AdaptiveLogSoftmax, Module};
    /// let device = Device::cpu();
    /// let layer = AdaptiveLogSoftmax::new(16, 100, &[10, 40], 4.0, &mut Generator::new(0), &device);
    /// assert_eq!(layer.num_parameters(), 16 * 12 + (16 * 4 + 4 * 30) + (16 + 60));
    /// let x = Tensor::ones(&[3, 16], DType::F32, &device);
    /// let total = layer.log_prob(&x).exp().sum_dims(&[1], false).to_vec::<f32>()?;
    /// assert!(total.iter().all(|p| (p - 1.0).abs() < 1e-5));
    /// let (of_target, loss) = layer.forward(&x, &Tensor::new(&[5, 20, 99], &device));
    /// assert_eq!((of_target.shape(), loss.shape()), (&[3][..], &[][..]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(
        in_features: usize,
        n_classes: usize,
        cutoffs: &[usize],
        div_value: f64,
        rng: &mut Generator,
        device: &Device,
    ) -> AdaptiveLogSoftmax {
        let cutoffs: Vec<usize> = cutoffs.iter().copied().chain([n_classes]).collect();
        let fits = cutoffs.len() > 1 && cutoffs[0] > 0 && cutoffs.windows(2).all(|w| w[0] < w[1]);
        if !(fits && div_value.is_finite() && div_value > 0.0) {
            let message = format!(
                "cutoffs {:?} of {n_classes} classes, div_value {div_value}",
                &cutoffs[..cutoffs.len() - 1]
            );
            let error = Error::new(ErrorKind::Value, "adaptive_log_softmax", message);
            let weight = Tensor::invalid(error, &[n_classes, in_features], DType::F32, device);
            let head = Linear { weight, bias: None };
            let tail = Vec::new();
            return AdaptiveLogSoftmax {
                head,
                tail,
                cutoffs,
            };
        }
        let mut linear = |from, to| Linear::new(from, to, rng, device).without_bias();
        let head = linear(in_features, cutoffs[0] + cutoffs.len() - 1);
        let mut tail = Vec::new();
        for (i, pair) in cutoffs.windows(2).enumerate() {
            let features = in_features as f64 / div_value.powi(i as i32 + 1);
            let features = features as usize;
            tail.push((
                linear(in_features, features),
                linear(features, pair[1] - pair[0]),
            ));
        }
        AdaptiveLogSoftmax {
            head,
            tail,
            cutoffs,
        }
    }

    /// Log-probabilities `[rows, n_classes]` of `x [rows, in_features]`.
    #[track_caller]
    pub fn log_prob(&self, x: &Tensor) -> Tensor {
        if let Some(bad) = self.misfit(x) {
            return bad;
        }
        let head = self.head.forward(x).log_softmax(-1);
        let mut parts = vec![head.narrow(1, 0, self.cutoffs[0])];
        for (i, (to, from)) in self.tail.iter().enumerate() {
            let cluster = head.narrow(1, self.cutoffs[0] + i, 1);
            let inside = from.forward(&to.forward(x)).log_softmax(-1);
            parts.push(inside + cluster);
        }
        Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1)
    }

    /// The log-probability of each row's target `[rows]` (integers), and the mean loss, which is its negative.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
        if target.rank() != 1 || (x.rank() == 2 && target.size(0) != x.size(0)) {
            let message = format!(
                "takes a target [rows] for each row of {:?}, not {:?}",
                x.shape(),
                target.shape()
            );
            let bad = fail("adaptive_log_softmax", ErrorKind::Shape, message, x);
            return (bad.clone(), bad);
        }
        let of_target = self.log_prob(x).gather(1, &target.unsqueeze(1));
        let of_target = of_target.squeeze(1);
        let loss = -of_target.mean();
        (of_target, loss)
    }

    /// The class of the greatest probability of each row; i32 `[rows]`.
    #[track_caller]
    pub fn predict(&self, x: &Tensor) -> Tensor {
        self.log_prob(x).argmax(1, false)
    }

    #[track_caller]
    fn misfit(&self, x: &Tensor) -> Option<Tensor> {
        if let Err(e) = self.head.weight.check() {
            return Some(Tensor::invalid(e, x.shape(), x.dtype(), x.device()));
        }
        let features = self.head.weight.size(1);
        if x.rank() == 2 && x.size(1) == features {
            return None;
        }
        let message = format!("takes [rows, {features}], not {:?}", x.shape());
        Some(fail("adaptive_log_softmax", ErrorKind::Shape, message, x))
    }
}
