//! A training run around a step that is the user's: any number of networks, losses and optimisers in a state of the
//! user's own, and everything else done. The loop is in `fit`; what takes part in it are callbacks (`event`), and none of
//! those that come with it can do more than a user's. Must not know layers, update rules or datasets.

mod callbacks;
mod checkpoints;
mod checks;
mod describe;
mod error;
mod event;
mod few;
mod fit;
mod guard;
mod interrupt;
mod logs;
mod norms;
mod rates;
mod save;
mod show;
mod step;
mod stopping;
mod supervised;
mod validate;

pub use checks::{DeterminismError, RateRange, RateSearch};
pub use describe::{Description, LayerRow};
pub use error::{Result, TrainError};
pub use event::{At, Callback, Due, EpochScores, Event, Every, Fitted, StepRecord};
pub use logs::RunFolder;
pub use norms::gradient_norms;
pub use step::Scalars;
pub use stopping::{EarlyStopping, Stopped};
pub use supervised::{Fit, Supervised, SupervisedWith};

use guard::Guarded;
use save::Progress;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::rc::Rc;
use step::{Pending, Stepper};
use validate::Evaluator;
use wgrad_data::Batch;
use wgrad_graph::Tensor;
use wgrad_nn::Module;
use wgrad_report::View;
use wgrad_report::view::Nothing;

/// Trains a state with a step.
///
/// The step is compiled ([`wgrad_nn::compile`]): it is a function of the state, which holds all that training changes, and a
/// batch, and gives named scalars. How many networks, losses and optimisers it has is its own affair.
///
/// ```
/// use wgrad_data::from_fn;
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Adam, Linear, Module, Optimizer, gradients};
/// use wgrad_train::{Every, Trainer};
///
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)] // not needed where the crate `wgrad` is used
/// struct State {
///     net: Linear,
///     adam: Adam,
/// }
///
/// let device = Device::cpu();
/// let state = State {
///     net: Linear::new(1, 1, &mut Generator::new(0), &device),
///     adam: Adam::new(0.1),
/// };
/// let mut trainer = Trainer::new(state, |s: &mut State, (x, y): (Tensor, Tensor)| {
///     let loss = (s.net.forward(&x) - y).square().mean();
///     let gradients = gradients(&loss, &s.net)?;
///     s.adam.step(&mut s.net, &gradients)?;
///     Ok([("loss", loss)])
/// })
/// .rate(|s| &mut s.adam, |step| 0.1 / (1.0 + 0.01 * step as f64))
/// .every(Every::Epochs(5), |s, at| {
///     at.message(format!("bias {:?}", s.net.bias));
///     Ok(())
/// })
/// .quiet();
/// let mut batches = from_fn(20, move |epoch, batch| {
///     let x = Generator::from_state([1, epoch, batch]).normal(&[8, 1], &device);
///     Ok((x.clone(), &x * 3.0 - 1.0))
/// });
/// let fitted = trainer.fit(&mut batches, 10)?;
/// assert_eq!(fitted.steps, 200);
/// assert!(fitted.get("train_loss").unwrap() < 1e-2);
/// assert!((trainer.state.net.weight.item::<f32>()? - 3.0).abs() < 0.2); // the state is the user's at any time
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
pub struct Trainer<'a, S: Module, B> {
    /// What training changes. It is the user's at any time; whatever is put into it is trained from then on.
    pub state: S,
    step: Stepper<'a, S>,
    evaluator: Rc<RefCell<Option<Evaluator<'a, S>>>>,
    predictor: Option<Predictor<'a, S>>,
    /// Losses and metrics of a supervised trainer.
    terms: Option<Rc<RefCell<supervised::Terms<'a>>>>,
    callbacks: Vec<Box<dyn Callback<S> + 'a>>,
    progress: Progress,
    at: At,
    pending: Pending,
    /// Sums of the step's scalars over the epoch's samples.
    sums: Vec<(String, f64)>,
    guard: Option<Guarded>,
    /// Whether the guard's state has been put back.
    at_good: bool,
    /// Whether an epoch has ended and the next has not begun.
    between: bool,
    /// Whether it has been told that a loss is not finite.
    told: bool,
    /// Whether a run has been put back, whose loader has not.
    loaded: bool,
    /// Why the run ends early.
    stopped: Option<String>,
    /// The last checkpoint.
    saved: Option<PathBuf>,
    /// Why the last checkpoint could not be written.
    unsaved: Option<TrainError>,
    /// The most memory that the step will take.
    predicted: Option<u64>,
    options: Options,
    batch: PhantomData<fn(B)>,
}

/// Compiled: what the network says of a batch.
type Predict<'a, S> = Box<dyn FnMut(&mut S, &[Tensor]) -> wgrad_graph::Result<Tensor> + 'a>;
type Predictor<'a, S> = wgrad_nn::Compiled<S, Tensor, Predict<'a, S>>;

/// What has been asked of a trainer.
#[derive(Clone, Debug)]
struct Options {
    max_steps: Option<u64>,
    limit_batches: Option<u64>,
    overfit: Option<usize>,
    dev_run: bool,
    validate_first: u64,
    keep_good: bool,
    resume: Resume,
    folder: Option<PathBuf>,
}

#[derive(Clone, Debug, Default)]
enum Resume {
    #[default]
    No,
    /// From the folder's last checkpoint, if there is one.
    Last,
    From(PathBuf),
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Trains `state` with `step(&mut state, batch)`, which gives scalars of its step by name: see [`Scalars`].
    ///
    /// Losses are those named `loss` or `…_loss`, or the first scalar if none is: a loss that is no finite number ends the run
    /// (see [`Trainer::keep_good`]).
    pub fn new<R: Scalars>(
        state: S,
        step: impl FnMut(&mut S, B) -> wgrad_graph::Result<R> + 'a,
    ) -> Trainer<'a, S, B> {
        let mut trainer = Trainer {
            state,
            step: Stepper::new("step", step),
            evaluator: Rc::default(),
            predictor: None,
            terms: None,
            callbacks: Vec::new(),
            progress: Progress::default(),
            at: At::default(),
            pending: Pending::default(),
            sums: Vec::new(),
            guard: None,
            at_good: false,
            between: false,
            told: false,
            loaded: false,
            stopped: None,
            saved: None,
            unsaved: None,
            predicted: None,
            options: Options {
                max_steps: None,
                limit_batches: None,
                overfit: None,
                dev_run: false,
                validate_first: 0,
                keep_good: true,
                resume: Resume::No,
                folder: None,
            },
            batch: PhantomData,
        };
        let show = show::Show::new(<dyn View>::automatic());
        trainer.callbacks.push(Box::new(show));
        trainer
    }

    /// With something that takes part in the run: a [`Callback`], or a closure `|event, state, at|`.
    pub fn callback(mut self, callback: impl Callback<S> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Shows the run in this view; [`View::automatic`](wgrad_report::View) is there from the beginning.
    pub fn view(mut self, view: impl View + Send + 'static) -> Self {
        // What shows is the first, from the beginning.
        self.callbacks[0] = Box::new(show::Show::new(Box::new(view)));
        self
    }

    /// Shows nothing: neither progress nor a line for each epoch.
    pub fn quiet(self) -> Self {
        self.view(Nothing)
    }

    /// Ends the run after so many steps in all.
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.options.max_steps = Some(steps);
        self
    }

    /// Lets an epoch, and a validation, have so many batches at most.
    pub fn limit_batches(mut self, batches: u64) -> Self {
        self.options.limit_batches = Some(batches);
        self
    }

    /// Runs everything once to see that it works: `steps` steps in one epoch, as many batches of validation, and nothing
    /// is written or resumed.
    pub fn dev_run(mut self, steps: u64) -> Self {
        self.options.dev_run = true;
        self.options.limit_batches = Some(steps);
        self.options.max_steps = Some(steps);
        self
    }

    /// Evaluates the first `batches` batches of the validation before training, so that a mistake there shows at once. That
    /// their shapes fit is seen without it.
    pub fn validate_first(mut self, batches: u64) -> Self {
        self.options.validate_first = batches;
        self
    }

    /// Trains on the first `batches` batches again and again: a network that cannot learn those by heart has a mistake.
    pub fn overfit(mut self, batches: usize) -> Self {
        self.options.overfit = Some(batches);
        self
    }

    /// Whether a copy of the state is kept on the device, from which a run that meets a NaN repeats its last steps: it then
    /// ends with the operation named, and with the weights of before. On from the beginning; it takes the memory of one more
    /// state. Off, such a run ends with the step named and its weights as they are.
    pub fn keep_good(mut self, keep: bool) -> Self {
        self.options.keep_good = keep;
        self
    }

    /// With what [`Trainer::validate`] and [`Trainer::evaluate`] compute for a batch: scalars by name, each a mean over the
    /// batch's samples. It is compiled, and must not change the state.
    pub fn evaluation<R: Scalars>(
        self,
        evaluation: impl FnMut(&mut S, B) -> wgrad_graph::Result<R> + 'a,
    ) -> Self {
        *self.evaluator.borrow_mut() = Some(Evaluator::new(evaluation));
        self
    }

    /// With what [`Trainer::predict`] computes for a batch: a tensor whose first dimension counts samples. It is compiled,
    /// and must not change the state.
    pub fn prediction(
        mut self,
        mut prediction: impl FnMut(&mut S, B) -> wgrad_graph::Result<Tensor> + 'a,
    ) -> Self {
        let function: Predict<'a, S> =
            Box::new(move |state, inputs| prediction(state, B::from_tensors(inputs)));
        self.predictor = Some(wgrad_nn::compile(function));
        self
    }

    /// Steps since the beginning of training, also of those before a resume.
    pub fn steps(&self) -> u64 {
        self.progress.step
    }

    /// Epochs since the beginning of training.
    pub fn epochs(&self) -> u64 {
        self.progress.epoch
    }

    /// The step's layers, their shapes and multiply-adds, once it has been traced: from [`Event::Begin`] on.
    pub fn description(&self) -> Option<Description> {
        let description = self.step.description()?;
        Some(Description {
            predicted_peak_bytes: self.predicted,
            ..description
        })
    }
}
