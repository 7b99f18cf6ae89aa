//! Gradients that are added up from step to step, in the state of a training step, so that a checkpoint between two updates
//! keeps them. Runs nothing.

use super::Gradients;
use crate::Module;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

/// Sums of gradients over several calls of a step, for batches that do not fit into memory at once: PyTorch's gradients
/// between two calls of `zero_grad`. As a module it is buffers, so that it can be part of the state of a compiled step.
///
/// Whether a call ends with an update is a flag in the state, which is set outside of the step: a compiled step then has one
/// plan for each.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Accumulated, Linear, Module, Optimizer, Sgd, compile, gradients};
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)]
/// struct State { net: Linear, sgd: Sgd, sums: Accumulated, update: bool }
/// let device = Device::cpu();
/// let net = Linear::new(2, 1, &mut Generator::new(0), &device);
/// let mut state = State { sums: Accumulated::new(&net), net, sgd: Sgd::new(0.1), update: false };
/// let mut step = compile(|s: &mut State, x: &[Tensor]| {
///     let loss = s.net.forward(&x[0]).square().mean();
///     s.sums.add(&gradients(&loss, &s.net)?)?;
///     if s.update {
///         s.sgd.step(&mut s.net, &s.sums.mean(&loss)?)?;
///         s.sums.reset();
///     }
///     Ok(loss)
/// });
/// let mut rng = Generator::new(1);
/// for call in 0..6 {
///     state.update = call % 3 == 2;
///     step.call(&mut state, &[&rng.normal(&[4, 2], &device)])?;
/// }
/// assert_eq!((state.sgd.steps(), step.traces()), (2, 2));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Accumulated {
    /// The parameters' names.
    names: Vec<String>,
    /// The sums, in the same order.
    #[module(buffer)]
    sums: Vec<Tensor>,
    /// Calls of [`Accumulated::add`] since the last reset; i32, rank 0.
    #[module(buffer)]
    count: Tensor,
}

impl Accumulated {
    /// Zeros for every parameter of a module.
    pub fn new(model: &dyn Module) -> Accumulated {
        let named = model.named_parameters();
        let sums: Vec<Tensor> = named.iter().map(|(_, t)| t.zeros_like()).collect();
        // A module without parameters has no device, and nothing is computed for it.
        let device = sums
            .first()
            .map_or_else(wgrad_graph::Device::reference, |t| t.device().clone());
        Accumulated {
            names: named.into_iter().map(|(name, _)| name).collect(),
            sums,
            count: Tensor::from_slice(&[0i32], &[], &device),
        }
    }

    /// Adds gradients by all parameters of the module.
    ///
    /// # Errors
    /// They are by other parameters, or one has another shape.
    #[track_caller]
    pub fn add(&mut self, gradients: &Gradients) -> Result<()> {
        let of = gradients.of();
        let shapes = |(g, sum): (&Tensor, &Tensor)| g.shape() == sum.shape();
        if gradients.names() != self.names || !of.iter().zip(&self.sums).all(shapes) {
            let message = format!(
                "gradients by {} do not fit sums by {}",
                gradients.names().join(", "),
                self.names.join(", ")
            );
            return Err(Error::new(ErrorKind::Value, "add", message));
        }
        for (sum, g) in self.sums.iter_mut().zip(of) {
            *sum = &*sum + g.cast(sum.dtype());
        }
        self.count = &self.count + self.count.ones_like();
        Ok(())
    }

    /// The means of what has been added since the last reset, for an optimiser to step with; `loss` is computed with the
    /// step.
    ///
    /// # Errors
    /// A sum is invalid.
    #[track_caller]
    pub fn mean(&self, loss: &Tensor) -> Result<Gradients> {
        let count = self.count.cast(DType::F32);
        let mean = |sum: &Tensor| (sum / count.cast(sum.dtype())).cast(sum.dtype());
        let named = self.names.iter().zip(&self.sums);
        let named = named.map(|(name, sum)| (name.clone(), mean(sum)));
        Gradients::from_named(loss, named.collect())
    }

    /// The sums themselves, as [`Accumulated::mean`] gives the means.
    ///
    /// # Errors
    /// A sum is invalid.
    #[track_caller]
    pub fn sum(&self, loss: &Tensor) -> Result<Gradients> {
        let named = self.names.iter().cloned().zip(self.sums.iter().cloned());
        Gradients::from_named(loss, named.collect())
    }

    /// Begins anew.
    #[track_caller]
    pub fn reset(&mut self) {
        for sum in &mut self.sums {
            *sum = sum.zeros_like();
        }
        self.count = self.count.zeros_like();
    }
}
