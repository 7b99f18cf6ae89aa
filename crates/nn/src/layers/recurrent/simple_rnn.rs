//! The plain recurrent layer as Keras has it: one bias, and Keras' first values. `h' = tanh(W_ih x + b + W_hh h)`.

use super::{Lengths, Nonlinearity, RecurrentOptions, Rnn};
use crate::{Context, Host, Kind, Layer, Module, init};
use wgrad_graph::{Device, Generator, Tensor};

/// As [`Rnn`], but for its bias: `weight_ih_l0 [hidden, input]`, `weight_hh_l0 [hidden, hidden]`, `bias_ih_l0`.
#[derive(Clone)]
pub struct SimpleRnn(Rnn);

impl SimpleRnn {
    /// With Keras' defaults: weights of inputs Xavier uniform, those of the state orthogonal, biases 0.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{Embedding, Module, RecurrentOptions, Rnn, SimpleRnn};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let embedding = Embedding::new(10_000, 32, rng, &device);
    /// let rnn = SimpleRnn::new(32, 32, &RecurrentOptions::default(), rng, &device);
    /// assert_eq!(embedding.num_parameters() + rnn.num_parameters(), 322_080);
    /// let two = Rnn::new(32, 32, &RecurrentOptions::default(), rng, &device); // PyTorch's two biases
    /// assert_eq!(embedding.num_parameters() + two.num_parameters(), 322_112);
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> SimpleRnn {
        let mut rnn = Rnn::new(input_size, hidden_size, options, rng, device);
        for w in &mut rnn.stack.weights {
            *w = w.clone().with_one_bias();
            w.ih = init::xavier_uniform(w.ih.shape(), 1.0, rng, device);
            w.hh = orthogonal(hidden_size, rng, device);
            w.bias_ih = w.bias_ih.as_ref().map(|b| init::zeros(b.shape(), device));
        }
        SimpleRnn(rnn)
    }

    /// With another nonlinearity.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> SimpleRnn {
        SimpleRnn(self.0.nonlinearity(nonlinearity))
    }

    /// As [`Rnn::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>, cx: &mut Context) -> (Tensor, Tensor) {
        self.0.forward(x, h0, cx)
    }

    /// As [`Rnn::forward_lengths`].
    #[track_caller]
    pub fn forward_lengths(
        &self,
        x: &Tensor,
        lengths: impl Into<Lengths>,
        h0: Option<&Tensor>,
        cx: &mut Context,
    ) -> (Tensor, Tensor) {
        self.0.forward_lengths(x, lengths, h0, cx)
    }
}

impl Module for SimpleRnn {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        self.0.visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        self.0.visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        self.0.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<SimpleRnn> {
        Some(self.clone())
    }
}

impl Layer for SimpleRnn {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        self.0.forward(x, None, cx).0
    }

    fn kind(&self) -> String {
        self.0.stack.kind("SimpleRnn")
    }
}

/// A random orthogonal matrix: the orthogonal factor of a normal one, by Newton and Schulz.
#[track_caller]
fn orthogonal(n: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let normal = rng.normal(&[n, n], device);
    // Singular values end at 1; each step makes a small one half as large again.
    let mut q = &normal / (normal.square().sum() + f64::from(f32::MIN_POSITIVE)).sqrt();
    for _ in 0..40 {
        q = &q * 1.5 - q.matmul(&q.t()).matmul(&q) * 0.5;
    }
    q
}
