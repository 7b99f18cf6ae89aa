//! Norms of gradients, and bounding them, as PyTorch's `clip_grad_norm_` and `clip_grad_value_` do. Runs nothing.

use super::Gradients;
use wgrad_graph::{DType, Tensor};

impl Gradients {
    /// `√Σ g²` over all elements of all gradients; f32, rank 0. The gradient of a parameter that stands in two places
    /// counts once.
    #[track_caller]
    pub fn global_norm(&self) -> Tensor {
        norm_of([self])
    }

    /// All gradients times `min(1, max / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_`.
    #[track_caller]
    pub fn clip_norm(self, max: f64) -> Gradients {
        self.clip_grad_norm(max).0
    }

    /// As [`Gradients::clip_norm`], with the norm before clipping. Give it to [`Gradients::also`] to have it computed with
    /// the step.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::gradients;
    /// let p = Tensor::new(&[3.0f32, 4.0], &Device::cpu());
    /// let (g, norm) = gradients(&(p.square() * 0.5).sum(), &p)?.clip_grad_norm(1.0);
    /// assert_eq!(norm.item::<f32>()?, 5.0);
    /// assert!((g[0].to_vec::<f32>()?[0] - 0.6).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn clip_grad_norm(self, max: f64) -> (Gradients, Tensor) {
        let ([clipped], norm) = Gradients::clip_grad_norms([self], max);
        (clipped, norm)
    }

    /// Clips several gradients by one norm over all of them, which is given too: as [`Gradients::clip_grad_norm`] of what
    /// they are parts of. The same parameter must not stand in two of them.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Gradients, gradients};
    /// let model = [Tensor::new(&[3.0f32], &Device::cpu()), Tensor::new(&[4.0f32], &Device::cpu())];
    /// let loss = (model[0].square().sum() + model[1].square().sum()) * 0.5;
    /// let (a, b) = gradients(&loss, &model)?.split(|name, _| name == "0");
    /// let ([a, _], norm) = Gradients::clip_grad_norms([a, b], 1.0);
    /// assert_eq!(norm.item::<f32>()?, 5.0);
    /// assert!((a[0].item::<f32>()? - 0.6).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn clip_grad_norms<const N: usize>(
        all: [Gradients; N],
        max: f64,
    ) -> ([Gradients; N], Tensor) {
        let norm = norm_of(&all);
        let factor = (max / (&norm + 1e-6)).clamp(0.0, 1.0);
        let clipped = all.map(|g| g.map(|_, g| (g * &factor).cast(g.dtype())));
        (clipped, norm)
    }

    /// Whether an element is infinite or no number; bool, rank 0.
    #[track_caller]
    pub(crate) fn overflow(&self) -> Tensor {
        let mut any: Option<Tensor> = None;
        for g in self.each() {
            let odd = g.isfinite().logical_not().cast(DType::F32).sum();
            any = Some(match any {
                Some(before) => before + odd,
                None => odd,
            });
        }
        let none = || Tensor::scalar(0.0, DType::F32, self.loss().device());
        any.unwrap_or_else(none).gt_scalar(0.0)
    }

    /// Every element in `[−max, max]`, as PyTorch's `clip_grad_value_`.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::gradients;
    /// let p = Tensor::new(&[3.0f32, -0.5], &Device::cpu());
    /// let g = gradients(&p.square().sum(), &p)?.clip_grad_value(2.0);
    /// assert_eq!(g[0].to_vec::<f32>()?, [2.0, -1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn clip_grad_value(self, max: f64) -> Gradients {
        self.map(|_, g| g.clamp(-max, max))
    }
}

/// The norm of all, in f32.
#[track_caller]
fn norm_of<'a>(all: impl IntoIterator<Item = &'a Gradients>) -> Tensor {
    let mut sum: Option<Tensor> = None;
    let mut loss = None;
    for gradients in all {
        loss.get_or_insert(gradients.loss());
        for g in gradients.each() {
            let square = g.cast(DType::F32).square().sum();
            sum = Some(match sum {
                Some(before) => before + square,
                None => square,
            });
        }
    }
    match (sum, loss) {
        (Some(sum), _) => sum.sqrt(),
        (None, Some(loss)) => Tensor::scalar(0.0, DType::F32, loss.device()),
        (None, None) => {
            let message = "there are no gradients whose norm could be taken";
            let error = wgrad_graph::Error::new(wgrad_graph::ErrorKind::Value, "norm", message);
            // No gradients, no device: any will do for what is invalid.
            Tensor::invalid(error, &[], DType::F32, &wgrad_graph::Device::reference())
        }
    }
}
