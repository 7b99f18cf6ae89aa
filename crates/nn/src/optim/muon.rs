//! Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>), as PyTorch's `torch.optim.Muon` has it:
//! `b ← momentum · b + (1 − momentum) · g`, `u = (1 − momentum) g + momentum b` if nesterov, else `b`;
//! `o` is `u` with its singular values near 1, by five steps of `x ← a x + (b x xᵀ + c (x xᵀ)²) x` from `u / ‖u‖`;
//! `p ← (1 − lr · weight_decay) · p − lr · ratio · o`. PyTorch iterates in bf16, this in the parameter's dtype, at least f32.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Error, ErrorKind, Result, Tensor};

/// How Muon's learning rate goes with the shape `[rows, columns]` of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustLr {
    /// `√max(1, rows / columns)`.
    Original,
    /// `0.2 √max(rows, columns)`: steps as long as AdamW's, so that its learning rates fit.
    MatchRmsAdamW,
    /// `√(rows / columns)`.
    SpectralUnclamped,
}

impl AdjustLr {
    fn ratio(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            AdjustLr::Original => (rows / columns).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamW => 0.2 * rows.max(columns).sqrt(),
            AdjustLr::SpectralUnclamped => (rows / columns).sqrt(),
        }
    }
}

/// Muon: momentum whose steps are made orthogonal, for the matrices of hidden layers. All else (biases, embeddings, the
/// last layer) is another optimiser's: [`Gradients::split`](crate::Gradients::split) parts the gradients.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{AdamW, Linear, Muon, Optimizer, gradients};
/// let device = Device::cpu();
/// let mut net = Linear::new(3, 4, &mut Generator::new(0), &device);
/// let (mut muon, mut adamw) = (Muon::new(0.02), AdamW::new(1e-3));
/// let x = Generator::new(1).normal(&[8, 3], &device);
/// let (matrices, rest) = gradients(&net.forward(&x).square().mean(), &net)?.split(|_, g| g.rank() == 2);
/// muon.step(&mut net, &matrices)?;
/// adamw.step(&mut net, &rest)?;
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Muon {
    /// Learning rate.
    pub lr: f64,
    /// Share of the parameter, times the learning rate, that is taken off in each step; 0.1.
    pub weight_decay: f64,
    /// Decay of the momentum; 0.95.
    pub momentum: f64,
    /// Looks one moment ahead; true.
    pub nesterov: bool,
    /// The coefficients `a`, `b` and `c` of the iteration; (3.4445, −4.775, 2.0315).
    pub ns_coefficients: (f64, f64, f64),
    /// The least norm that is divided by; 1e-7.
    pub eps: f64,
    /// Iterations, at most 99; 5.
    pub ns_steps: usize,
    /// How the learning rate goes with a matrix's shape.
    pub adjust_lr: AdjustLr,
    groups: Groups,
    state: State,
}

impl Muon {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> Muon {
        Muon {
            lr,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            ns_coefficients: (3.4445, -4.7750, 2.0315),
            eps: 1e-7,
            ns_steps: 5,
            adjust_lr: AdjustLr::Original,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Muon {
        Muon {
            weight_decay,
            ..self
        }
    }

    /// With another momentum.
    pub fn momentum(self, momentum: f64) -> Muon {
        Muon { momentum, ..self }
    }

    /// With Nesterov's momentum or without.
    pub fn nesterov(self, nesterov: bool) -> Muon {
        Muon { nesterov, ..self }
    }

    /// With other coefficients of the iteration.
    pub fn ns_coefficients(self, a: f64, b: f64, c: f64) -> Muon {
        Muon {
            ns_coefficients: (a, b, c),
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> Muon {
        Muon { eps, ..self }
    }

    /// With another number of iterations.
    pub fn ns_steps(self, ns_steps: usize) -> Muon {
        Muon { ns_steps, ..self }
    }

    /// With another dependence of the learning rate on a matrix's shape.
    pub fn adjust_lr(self, adjust_lr: AdjustLr) -> Muon {
        Muon { adjust_lr, ..self }
    }

    fn validate(&self) -> Result<()> {
        let (a, b, c) = self.ns_coefficients;
        let numbers = [self.lr, self.weight_decay, self.momentum, self.eps];
        let fine = numbers.iter().all(|&v| fits(v))
            && [a, b, c].iter().all(|v| v.is_finite())
            && self.ns_steps < 100;
        require(fine, || {
            format!(
                "lr {}, weight decay {}, momentum {}, eps {}, coefficients {:?}, {} iterations",
                self.lr,
                self.weight_decay,
                self.momentum,
                self.eps,
                self.ns_coefficients,
                self.ns_steps
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("momentum_buffer", 0.0)]
    }

    /// The learning rate, and what weight decay leaves of a parameter.
    fn numbers(&self, _: u64) -> Vec<f64> {
        vec![self.lr, 1.0 - self.lr * self.weight_decay]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let (a, b, c) = self.ns_coefficients;
        vec![
            ("weight_decay", self.weight_decay),
            ("momentum", self.momentum),
            ("nesterov", f64::from(u8::from(self.nesterov))),
            ("a", a),
            ("b", b),
            ("c", c),
            ("eps", self.eps),
            ("ns_steps", self.ns_steps as f64),
            ("adjust_lr", self.adjust_lr as u8 as f64),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.gradient;
        let &[rows, columns] = g.shape() else {
            let message = format!(
                "Muon updates matrices, and a parameter is {:?}: part the gradients (Gradients::split) and give this one \
                 to another optimiser",
                g.shape()
            );
            let error = Error::new(ErrorKind::Shape, "step", message);
            let invalid = Tensor::invalid(error, g.shape(), g.dtype(), g.device());
            return (invalid.clone(), vec![invalid]);
        };
        let mixed = |a: &Tensor, b: &Tensor| a * (1.0 - self.momentum) + b * self.momentum;
        let buffer = mixed(g, &u.moments[0]);
        let direction = match self.nesterov {
            true => mixed(g, &buffer),
            false => buffer.clone(),
        };
        let step = self.orthogonal(&direction) * self.adjust_lr.ratio(rows, columns);
        let p = u.shrunk(1, self.weight_decay);
        (p - step * u.number(0), vec![buffer])
    }

    /// A matrix of about the same singular vectors whose singular values are about 1.
    #[track_caller]
    fn orthogonal(&self, g: &Tensor) -> Tensor {
        let (a, b, c) = self.ns_coefficients;
        let tall = g.size(0) > g.size(1);
        let wide = if tall { g.t() } else { g.clone() };
        let norm = wide.square().sum().sqrt();
        let mut x = wide / norm.clamp(self.eps, f64::INFINITY);
        for _ in 0..self.ns_steps {
            let gram = x.matmul(&x.t());
            let update = &gram * b + gram.matmul(&gram) * c;
            x = &x * a + update.matmul(&x);
        }
        if tall { x.t() } else { x }
    }
}

optimizer!(Muon);
