//! Averages of weights over a training run: exponential (Polyak and Juditsky 1992; Tarvainen and Valpola 2017) and stochastic
//! (Izmailov et al. 2018), as PyTorch's `AveragedModel`. Trains nothing: what it holds are buffers.

use crate::host::Host;
use crate::module::{Kind, Module, join, mismatch, replace};
use std::collections::HashMap;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor, eval};

/// A module whose parameters are averages of those that another one of its kind had.
///
/// With `n` updates so far, the first of which copies: [`Average::ema`] has `a ← decay · a + (1 − decay) · p`, and
/// [`Average::swa`] the mean, `a ← a + (p − a) / (n + 1)`. Buffers (running statistics) are copied by each update.
///
/// As a module its tensors are buffers, `module.…` and `n_averaged`, so that it can stand beside the network in the state of
/// a compiled step, and no optimiser trains it.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Average, Linear, Optimizer, Sgd, gradients};
/// let device = Device::cpu();
/// let mut net = Linear::new(2, 1, &mut Generator::new(0), &device);
/// let mut ema = Average::ema(net.clone(), 0.99);
/// let (mut sgd, x) = (Sgd::new(0.1), Generator::new(1).normal(&[4, 2], &device));
/// for _ in 0..3 {
///     let g = gradients(&net.forward(&x).square().mean(), &net)?;
///     sgd.step(&mut net, &g)?;
///     ema.update(&net)?;
/// }
/// assert_eq!((ema.n_averaged()?, ema.module.forward(&x).shape()), (3, &[4, 1][..]));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Average<M> {
    /// The averages.
    pub module: M,
    /// Decay of an exponential average; `None` for the mean.
    decay: Option<f64>,
    n_averaged: Tensor,
}

impl<M: Module> Average<M> {
    /// The exponential average; `module` is a clone of what is trained.
    pub fn ema(module: M, decay: f64) -> Average<M> {
        Average::with(module, Some(decay))
    }

    /// The mean of all updates, each of which counts the same.
    pub fn swa(module: M) -> Average<M> {
        Average::with(module, None)
    }

    fn with(module: M, decay: Option<f64>) -> Average<M> {
        let mut device = None;
        module.visit("", &mut |_, _, t| {
            device.get_or_insert_with(|| t.device().clone());
        });
        // A module without tensors has no device, and nothing is computed for it.
        let device = device.unwrap_or_else(wgrad_graph::Device::reference);
        Average {
            module,
            decay,
            n_averaged: Tensor::from_slice(&[0i32], &[], &device),
        }
    }

    /// The number of updates so far.
    ///
    /// # Errors
    /// As [`Tensor::item`]. Not in a browser, where this does not exist.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn n_averaged(&self) -> Result<u64> {
        Ok(u64::from(self.n_averaged.item::<i32>()?.unsigned_abs()))
    }

    /// Takes in the parameters that `model` has now, and its buffers, in one run.
    ///
    /// # Errors
    /// The decay is not in `[0, 1]`; `model` has other tensors than the average: the error names one; running fails.
    /// Nothing is changed then.
    #[track_caller]
    pub fn update(&mut self, model: &M) -> Result<()> {
        let fail = |kind, message: String| Err(Error::new(kind, "update", message));
        if let Some(decay) = self.decay.filter(|d| !(0.0..=1.0).contains(d)) {
            return fail(
                ErrorKind::Value,
                format!("a decay of {decay} is not in [0, 1]"),
            );
        }
        let mut new: HashMap<String, (Kind, Tensor)> = HashMap::new();
        model.visit("", &mut |name, kind, t| {
            new.insert(name.to_string(), (kind, t.clone()));
        });
        let old = self.module.state();
        let first = self.n_averaged.cast(DType::F32).lt_scalar(0.5);
        let share = (self.n_averaged.cast(DType::F32) + 1.0).recip();
        let mut next: HashMap<String, Tensor> = HashMap::new();
        for (name, average) in &old {
            let Some((kind, now)) = new.remove(name) else {
                return fail(ErrorKind::Value, format!("the model has no {name}"));
            };
            if let Some(problem) = mismatch(name, average, &now) {
                return fail(ErrorKind::Shape, problem);
            }
            let mixed = match (kind, self.decay) {
                _ if !now.dtype().is_float() => now,
                (Kind::Buffer, _) => now,
                (Kind::Parameter, decay) => moved(average, &now, &first, decay, &share),
            };
            next.insert(name.clone(), mixed);
        }
        if let Some(name) = new.keys().min() {
            return fail(ErrorKind::Value, format!("the average has no {name}"));
        }
        let count = &self.n_averaged + &self.n_averaged.ones_like();
        eval(&next.values().chain([&count]).collect::<Vec<_>>())?;
        for t in next.values_mut() {
            *t = t.detach()?;
        }
        self.n_averaged = count.detach()?;
        replace(&mut self.module, &mut |name, _| next.remove(name));
        Ok(())
    }
}

/// The average with one more value, in f32; the value itself if it is the first.
#[track_caller]
fn moved(
    average: &Tensor,
    now: &Tensor,
    first: &Tensor,
    decay: Option<f64>,
    share: &Tensor,
) -> Tensor {
    let (a, p) = (average.cast(DType::F32), now.cast(DType::F32));
    let mixed = match decay {
        Some(decay) => &a * decay + &p * (1.0 - decay),
        None => &a + (&p - &a) * share,
    };
    Tensor::where_(first, &p, &mixed).cast(average.dtype())
}

impl<M: Module> Module for Average<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        let below = join(path, "module");
        self.module
            .visit(&below, &mut |name, _, t| visitor(name, Kind::Buffer, t));
        visitor(&join(path, "n_averaged"), Kind::Buffer, &self.n_averaged);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        let below = join(path, "module");
        self.module
            .visit_mut(&below, &mut |name, _, t| visitor(name, Kind::Buffer, t));
        visitor(
            &join(path, "n_averaged"),
            Kind::Buffer,
            &mut self.n_averaged,
        );
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Number(self.decay.map_or(u64::MAX, f64::to_bits)));
        visitor(Host::Enter(&"module"));
        self.module.visit_host(visitor);
        visitor(Host::Leave);
    }

    fn duplicate(&self) -> Option<Average<M>> {
        Some(Average {
            module: self.module.duplicate()?,
            decay: self.decay,
            n_averaged: self.n_averaged.clone(),
        })
    }
}
