//! Gradients made of others: mapped, parted, added up over micro-batches, or given by name. Runs nothing.

use super::Gradients;
use crate::module::{by_name, mismatch};
use std::collections::HashSet;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

impl Gradients {
    /// Gradients that come from elsewhere, by the names of their parameters: an optimiser leaves all other parameters as
    /// they are. `loss` is computed with the step.
    ///
    /// # Errors
    /// A name is given twice, or a tensor is invalid.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// use wgrad_nn::{Gradients, Linear, Optimizer, Sgd};
    /// let device = Device::cpu();
    /// let mut model = Linear::new(2, 1, &mut Generator::new(0), &device);
    /// let before = model.bias.as_ref().map_or(Ok(0.0), |b| b.item::<f32>())?;
    /// let loss = Tensor::new(&[0.0f32], &device);
    /// let g = Gradients::from_named(&loss, vec![("bias".to_string(), Tensor::new(&[2.0f32], &device))])?;
    /// Sgd::new(0.5).step(&mut model, &g)?;
    /// let after = model.bias.as_ref().map_or(Ok(0.0), |b| b.item::<f32>())?;
    /// assert_eq!(after, before - 1.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn from_named(loss: &Tensor, named: Vec<(String, Tensor)>) -> Result<Gradients> {
        by_name("from_named", &named)?;
        for (_, tensor) in &named {
            tensor.check()?;
        }
        let first = (0..named.len()).collect();
        let (names, of) = named.into_iter().unzip();
        Ok(Gradients {
            loss: loss.clone(),
            of,
            names,
            first,
            parameters: None,
            also: Vec::new(),
            skip: None,
        })
    }

    /// Each gradient as `f(name, gradient)` makes it; it is called once for each parameter.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::gradients;
    /// let p = Tensor::new(&[3.0f32, -0.5], &Device::cpu());
    /// let g = gradients(&p.square().sum(), &p)?.map(|_, g| g.sign());
    /// assert_eq!(g[0].to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn map(mut self, mut f: impl FnMut(&str, &Tensor) -> Tensor) -> Gradients {
        for at in 0..self.of.len() {
            let first = self.first[at];
            self.of[at] = if first == at {
                f(&self.names[at], &self.of[at])
            } else {
                self.of[first].clone()
            };
        }
        self
    }

    /// All gradients times a number.
    #[track_caller]
    pub fn scale(self, factor: f64) -> Gradients {
        self.map(|_, g| g * factor)
    }

    /// All gradients divided by a tensor of one element, in f32: those of a loss that was multiplied by it become those of
    /// the loss itself. The loss is divided too.
    #[track_caller]
    pub fn unscale(self, scale: &Tensor) -> Gradients {
        let inverse = scale.cast(DType::F32).recip();
        let loss = &self.loss * inverse.cast(self.loss.dtype());
        let unscaled = self.map(|_, g| g.cast(DType::F32) * &inverse);
        Gradients { loss, ..unscaled }
    }

    /// Those for which `f(name, gradient)` is true, and the others; each part is an optimiser's to step with. Both have the
    /// loss, the first has the extras.
    #[track_caller]
    pub fn split(self, mut f: impl FnMut(&str, &Tensor) -> bool) -> (Gradients, Gradients) {
        let own: Vec<bool> = (0..self.of.len())
            .map(|at| self.first[at] == at && f(&self.names[at], &self.of[at]))
            .collect();
        let rest = Gradients {
            also: Vec::new(),
            ..self.part(|first| !own[first])
        };
        (self.part(|first| own[first]), rest)
    }

    /// Without the gradients of the parameters whose name `frozen` accepts, which an optimiser then leaves as they are, and
    /// their moments too. What only they need is not computed. A parameter that stands in two places is frozen by either
    /// name.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Optimizer, Sgd, gradients};
    /// let mut model = [Tensor::new(&[1.0f32], &Device::cpu()), Tensor::new(&[1.0f32], &Device::cpu())];
    /// let g = gradients(&(&model[0] * &model[1]).sum(), &model)?.freeze(|name| name == "0");
    /// Sgd::new(0.5).step(&mut model, &g)?;
    /// assert_eq!((model[0].item::<f32>()?, model[1].item::<f32>()?), (1.0, 0.5));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn freeze(self, frozen: impl Fn(&str) -> bool) -> Gradients {
        let places = self.names.iter().zip(&self.first);
        let out: HashSet<usize> = places
            .filter(|(name, _)| frozen(name))
            .map(|(_, &first)| first)
            .collect();
        self.part(|first| !out.contains(&first))
    }

    /// The gradients of those parameters whose first place `keep` accepts.
    fn part(&self, keep: impl Fn(usize) -> bool) -> Gradients {
        let mut part = Gradients {
            of: Vec::new(),
            names: Vec::new(),
            first: Vec::new(),
            ..self.clone()
        };
        let mut to = vec![0; self.of.len()];
        for at in 0..self.of.len() {
            if keep(self.first[at]) {
                to[at] = part.of.len();
                part.first.push(to[self.first[at]]);
                part.names.push(self.names[at].clone());
                part.of.push(self.of[at].clone());
            }
        }
        part
    }

    /// The sums with other gradients of the same parameters, and of the losses: accumulation over micro-batches. The
    /// extras are those of both.
    ///
    /// # Errors
    /// The parameters are others, or a gradient has another shape or dtype: the error names it.
    #[track_caller]
    pub fn add(mut self, other: &Gradients) -> Result<Gradients> {
        let fail = |message: String| Err(Error::new(ErrorKind::Value, "add", message));
        if self.names != other.names {
            let (a, b) = (self.names.join(", "), other.names.join(", "));
            return fail(format!("gradients by {b} cannot be added to those by {a}"));
        }
        for ((name, a), b) in self.names.iter().zip(&self.of).zip(&other.of) {
            if let Some(problem) = mismatch(&format!("the gradient of {name}"), a, b) {
                return fail(problem);
            }
        }
        let mut others = other
            .of
            .iter()
            .enumerate()
            .filter(|(at, _)| self.first[*at] == *at);
        let loss = &self.loss + &other.loss;
        self.also.extend(other.also.iter().cloned());
        self.skip = match (self.skip.take(), &other.skip) {
            (Some(a), Some(b)) => Some(a.logical_or(b)),
            (a, b) => a.or_else(|| b.clone()),
        };
        let sum = self.clone().map(|_, g| match others.next() {
            Some((_, other)) => g + other,
            None => g.clone(),
        });
        Ok(Gradients { loss, ..sum })
    }

    /// The means of gradients of the same parameters, and of their losses: of micro-batches of one size, what the whole
    /// batch has, where the loss is a mean over samples.
    ///
    /// # Errors
    /// As [`Gradients::add`], or there are none.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Gradients, gradients};
    /// let p = Tensor::new(&[1.0f32], &Device::cpu());
    /// let parts = [2.0, 6.0].map(|x| gradients(&(&p * x).sum(), &p));
    /// let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    /// let g = Gradients::mean(&parts)?;
    /// assert_eq!((g[0].item::<f32>()?, g.loss().item::<f32>()?), (4.0, 4.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(parts: &[Gradients]) -> Result<Gradients> {
        let Some((first, rest)) = parts.split_first() else {
            return Err(Error::new(
                ErrorKind::Value,
                "mean",
                "there are no gradients to take the mean of",
            ));
        };
        let mut sum = first.clone();
        for part in rest {
            sum = sum.add(part)?;
        }
        let share = 1.0 / parts.len() as f64;
        let loss = &sum.loss * share;
        let sum = sum.scale(share);
        Ok(Gradients { loss, ..sum })
    }
}
