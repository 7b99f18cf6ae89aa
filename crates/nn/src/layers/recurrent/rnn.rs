//! The plain recurrent layer (Elman 1990): `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, or relu.

use super::{RecurrentOptions, Stack, recurrent};
use crate::Context;
use wgrad_graph::{Device, Generator, Tensor};

/// What is applied to the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// Plain recurrent layers; parameters `weight_ih_l0 [hidden, input]`, `weight_hh_l0 [hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `…_l0_reverse`, `…_l1` ….
#[derive(Clone)]
pub struct Rnn {
    nonlinearity: Nonlinearity,
    stack: Stack,
}

impl Rnn {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default; `proj_size` has no effect.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, RecurrentOptions, Rnn};
    /// let device = Device::cpu();
    /// let options = RecurrentOptions::default().num_layers(2).bidirectional(true);
    /// let rnn = Rnn::new(3, 5, &options, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[7, 2, 3], DType::F32, &device);
    /// let (outputs, h) = rnn.forward(&x, None, &mut Context::eval());
    /// assert_eq!((outputs.shape(), h.shape()), ([7, 2, 10].as_slice(), [4, 2, 5].as_slice()));
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> Rnn {
        let options = options.proj_size(0);
        let stack = Stack::new("rnn", 1, [input_size, hidden_size], &options, rng, device);
        Rnn {
            nonlinearity: Nonlinearity::Tanh,
            stack,
        }
    }

    /// With another nonlinearity.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Rnn {
        Rnn {
            nonlinearity,
            ..self
        }
    }

    /// Outputs `[time, batch, directions · hidden]` and the last state `[layers · directions, batch, hidden]` from a
    /// sequence `[time, batch, input]` and a first state, zeros if absent; `[batch, time, …]` of sequences if
    /// `batch_first`, and no batch dimension anywhere if the sequence has none.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>, cx: &mut Context) -> (Tensor, Tensor) {
        let (output, mut last) = self.stack.forward(
            x,
            &[h0],
            &[self.stack.hidden_size],
            &|w, product, state| {
                let sum = product + w.recur(&state[0]);
                vec![match self.nonlinearity {
                    Nonlinearity::Tanh => sum.tanh(),
                    Nonlinearity::Relu => sum.relu(),
                }]
            },
            cx,
        );
        (output, last.swap_remove(0))
    }
}

recurrent!(Rnn, nonlinearity);
