//! The gated recurrent unit (Cho et al. 2014) as PyTorch has it, gates in the order r, z, n of rows:
//! `r, z = σ(W_ih x + b_ih + W_hh h + b_hh)`, `n = tanh(W_ih x + b_ih + r (W_hh h + b_hh))`,
//! `h' = (1 − z) n + z h`.

use super::{Input, Lengths, RecurrentOptions, Stack, Weights, gates, recurrent};
use crate::Context;
use wgrad_graph::{Device, Generator, Tensor};

/// GRU layers; parameters `weight_ih_l0 [3 · hidden, input]`, `weight_hh_l0 [3 · hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `…_l0_reverse`, `…_l1` ….
#[derive(Clone)]
pub struct Gru {
    stack: Stack,
}

impl Gru {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default. Options of the other layers have no effect.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Gru, RecurrentOptions};
    /// let device = Device::cpu();
    /// let gru = Gru::new(3, 5, &RecurrentOptions::default(), &mut Generator::new(0), &device);
    /// let (outputs, h) = gru.forward(&Tensor::ones(&[7, 3], DType::F32, &device), None, &mut Context::eval());
    /// assert_eq!((outputs.shape(), h.shape()), ([7, 5].as_slice(), [1, 5].as_slice()));
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> Gru {
        let options = options.without_lstm().skip(0);
        let sizes = [input_size, hidden_size];
        Gru {
            stack: Stack::new("gru", 3, sizes, &options, &[], rng, device).apart(),
        }
    }

    /// As [`Rnn::forward`](crate::Rnn::forward).
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>, cx: &mut Context) -> (Tensor, Tensor) {
        self.run(x, None, h0, cx)
    }

    /// As [`Gru::forward`], of sequences with padding: see [`Rnn::forward_lengths`](crate::Rnn::forward_lengths).
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Gru, RecurrentOptions};
    /// let device = Device::cpu();
    /// let gru = Gru::new(3, 5, &RecurrentOptions::default(), &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[7, 2, 3], DType::F32, &device);
    /// let (y, h) = gru.forward_lengths(&x, &[2, 7], None, &mut Context::eval());
    /// assert_eq!(y.select(1, 0).select(0, 1).to_vec::<f32>()?, h.select(1, 0).to_vec::<f32>()?);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward_lengths(
        &self,
        x: &Tensor,
        lengths: impl Into<Lengths>,
        h0: Option<&Tensor>,
        cx: &mut Context,
    ) -> (Tensor, Tensor) {
        self.run(x, Some(&lengths.into()), h0, cx)
    }

    #[track_caller]
    fn run(
        &self,
        x: &Tensor,
        lengths: Option<&Lengths>,
        h0: Option<&Tensor>,
        cx: &mut Context,
    ) -> (Tensor, Tensor) {
        let input = Input {
            x,
            lengths,
            initial: &[h0.cloned()],
            sizes: &[self.stack.hidden_size],
        };
        let cell =
            |w: &Weights, product: &Tensor, state: &[Tensor]| vec![step(w, product, &state[0])];
        let (output, mut last) = self.stack.forward(&input, &cell, cx);
        (output, last.swap_remove(0))
    }
}

/// `h` after a step.
#[track_caller]
pub(super) fn step(w: &Weights, product: &Tensor, h: &Tensor) -> Tensor {
    let ([ir, iz, inew], [hr, hz, hnew]) = (gates(product), gates(&w.recur_apart(h)));
    let (r, z) = ((ir + hr).sigmoid(), (iz + hz).sigmoid());
    let n = (inew + r * hnew).tanh();
    &n + z * (h - &n)
}

recurrent!(Gru);
