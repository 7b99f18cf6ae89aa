//! The common case, one network, one optimiser, one loss of outputs and targets, on a trainer: sugar over a step.

use super::Trainer;
use super::norms::gradient_norms;
use std::cell::RefCell;
use std::rc::Rc;
use wgrad_graph::Tensor;
use wgrad_nn::{Context, Layer, Module, Optimizer, gradients};

/// What a supervised trainer trains.
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct Fit<M, O> {
    /// The network.
    pub model: M,
    /// Its optimiser.
    pub optimizer: O,
    /// What the network's layers draw from.
    pub context: Context,
}

/// A network without an optimiser yet: see [`Trainer::supervised`].
pub struct Supervised<M>(M);

/// A network and its optimiser, without a loss yet: see [`Trainer::supervised`].
pub struct SupervisedWith<M, O> {
    model: M,
    optimizer: O,
    seed: u64,
}

/// A function of outputs and targets.
type Term<'a> = Box<dyn Fn(&Tensor, &Tensor) -> Tensor + 'a>;

/// Loss and metrics, shared by the training step and the evaluation.
pub(super) struct Terms<'a> {
    loss: Term<'a>,
    metrics: Vec<(String, Term<'a>)>,
    norms: bool,
}

impl Terms<'_> {
    fn of(&self, output: &Tensor, target: &Tensor) -> Vec<(String, Tensor)> {
        let loss = ("loss".to_string(), (self.loss)(output, target));
        let metrics = self.metrics.iter();
        let metrics = metrics.map(|(name, f)| (name.clone(), f(output, target)));
        [loss].into_iter().chain(metrics).collect()
    }
}

impl Trainer<'_, (), ()> {
    /// Trains one network with one optimiser on pairs of inputs and targets.
    ///
    /// ```
    /// use wgrad_data::from_fn;
    /// use wgrad_graph::{Device, Generator, Reduction};
    /// use wgrad_nn::{Adam, Linear, Relu, Sequential};
    /// use wgrad_train::Trainer;
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let net = Sequential::new()
    ///     .with("hidden", Linear::new(2, 16, rng, &device))
    ///     .with("relu", Relu)
    ///     .with("out", Linear::new(16, 2, rng, &device));
    /// let mut batches = || {
    ///     let device = device.clone();
    ///     from_fn(30, move |epoch, batch| {
    ///         let x = Generator::from_state([1, epoch, batch]).normal(&[32, 2], &device);
    ///         let y = x.square().sum_dims(&[1], false).gt_scalar(1.0).cast(wgrad_graph::DType::I32);
    ///         Ok((x, y))
    ///     })
    /// };
    /// let mut trainer = Trainer::supervised(net)
    ///     .optimizer(Adam::new(0.01))
    ///     .loss(|output, target| output.cross_entropy(target, Reduction::Mean))
    ///     .metric("accuracy", |output, target| output.argmax(1, false).eq(target).cast(wgrad_graph::DType::F32).mean())
    ///     .validate(batches())
    ///     .quiet();
    /// let fitted = trainer.fit(batches(), 4)?;
    /// assert!(fitted.get("validation_accuracy").unwrap() > 0.8);
    /// assert!(trainer.evaluate(batches())?[0].1 < 0.5);
    /// assert_eq!(trainer.predict(batches())?.shape(), [960, 2]);
    /// # Ok::<(), wgrad_train::TrainError>(())
    /// ```
    pub fn supervised<M: Layer>(model: M) -> Supervised<M> {
        Supervised(model)
    }
}

impl<M: Layer> Supervised<M> {
    /// With an optimiser.
    pub fn optimizer<O: Optimizer>(self, optimizer: O) -> SupervisedWith<M, O> {
        SupervisedWith {
            model: self.0,
            optimizer,
            seed: 0,
        }
    }
}

impl<M: Layer + 'static, O: Optimizer + 'static> SupervisedWith<M, O> {
    /// With another seed for what layers draw in training; 0.
    pub fn seed(self, seed: u64) -> SupervisedWith<M, O> {
        SupervisedWith { seed, ..self }
    }

    /// With a loss of outputs and targets, the mean over samples: the trainer. Evaluation, too, gives it and the metrics,
    /// and prediction the outputs.
    pub fn loss<'a>(
        self,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor + 'a,
    ) -> Trainer<'a, Fit<M, O>, (Tensor, Tensor)> {
        let state = Fit {
            model: self.model,
            optimizer: self.optimizer,
            context: Context::train(self.seed),
        };
        let terms = Rc::new(RefCell::new(Terms {
            loss: Box::new(loss),
            metrics: Vec::new(),
            norms: false,
        }));
        let (in_step, in_evaluation) = (terms.clone(), terms.clone());
        let mut trainer =
            Trainer::new(state, move |s: &mut Fit<M, O>, (x, y): (Tensor, Tensor)| {
                let terms = in_step.borrow();
                let output = s.model.forward(&x, &mut s.context);
                let mut scalars = terms.of(&output, &y);
                let mut gradients = gradients(&scalars[0].1, &s.model)?;
                if terms.norms {
                    scalars.extend(gradient_norms(&gradients));
                }
                for (_, scalar) in &scalars[1..] {
                    gradients = gradients.also(scalar);
                }
                s.optimizer.step(&mut s.model, &gradients)?;
                s.context.next_step();
                Ok(scalars)
            })
            .evaluation(move |s, (x, y)| {
                let output = s.model.forward(&x, &mut Context::eval());
                Ok(in_evaluation.borrow().of(&output, &y))
            })
            .prediction(|s, (x, _)| Ok(s.model.forward(&x, &mut Context::eval())));
        trainer.terms = Some(terms);
        trainer
    }
}

impl<'a, M: Layer + 'static, O: Optimizer + 'static> Trainer<'a, Fit<M, O>, (Tensor, Tensor)> {
    /// With a metric of outputs and targets, the mean over samples; before the first step.
    pub fn metric(self, name: &str, metric: impl Fn(&Tensor, &Tensor) -> Tensor + 'a) -> Self {
        if let Some(terms) = &self.terms {
            let metric: Term<'a> = Box::new(metric);
            terms.borrow_mut().metrics.push((name.to_owned(), metric));
        }
        self
    }

    /// Has each step give the norms of its gradients, over all and by layer: see [`gradient_norms`].
    pub fn gradient_norms(self) -> Self {
        if let Some(terms) = &self.terms {
            terms.borrow_mut().norms = true;
        }
        self
    }
}
