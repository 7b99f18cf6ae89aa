//! The plain recurrent layer (Elman 1990): `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, or relu; leaky if asked,
//! `h' = (1 − leak) h + leak · tanh(…)` (Jaeger et al. 2007), and with connections that skip time.

use super::{Input, Lengths, RecurrentOptions, Stack, Weights, recurrent};
use crate::Context;
use crate::host::{Saved, Value, put_back, shown, values};
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

values! {
    {} Nonlinearity |x| *x as u64;
}

impl Nonlinearity {
    #[track_caller]
    pub(super) fn of(self, x: &Tensor) -> Tensor {
        match self {
            Nonlinearity::Tanh => x.tanh(),
            Nonlinearity::Relu => x.relu(),
        }
    }
}

/// Plain recurrent layers; parameters `weight_ih_l0 [hidden, input]`, `weight_hh_l0 [hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `weight_skip_l0 [hidden, hidden]`, `…_l0_reverse`, `…_l1` ….
#[derive(Clone)]
pub struct Rnn {
    nonlinearity: Nonlinearity,
    leak: f64,
    pub(super) stack: Stack,
}

impl Rnn {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default. Options of the LSTM have no effect.
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
        let options = options.without_lstm();
        let extra = match options.skip {
            0 => vec![],
            _ => vec![("weight_skip", vec![hidden_size, hidden_size])],
        };
        let sizes = [input_size, hidden_size];
        Rnn {
            nonlinearity: Nonlinearity::Tanh,
            leak: 1.0,
            stack: Stack::new("rnn", 1, sizes, &options, &extra, rng, device),
        }
    }

    /// With another nonlinearity.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Rnn {
        Rnn {
            nonlinearity,
            ..self
        }
    }

    /// With leaky units: `leak` of the new value and `1 − leak` of the old one; 1 is none.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, RecurrentOptions, Rnn};
    /// let (device, cx) = (Device::cpu(), &mut Context::eval());
    /// let rnn = Rnn::new(3, 5, &RecurrentOptions::default(), &mut Generator::new(0), &device).leak(0.0);
    /// let (x, h) = (Tensor::ones(&[7, 3], DType::F32, &device), Tensor::ones(&[1, 5], DType::F32, &device));
    /// assert_eq!(rnn.forward(&x, Some(&h), cx).1.to_vec::<f32>()?, [1.0; 5]); // forgets nothing
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn leak(self, leak: f64) -> Rnn {
        Rnn { leak, ..self }
    }

    /// Outputs `[time, batch, directions · hidden]` and the last state `[layers · directions, batch, hidden]` from a
    /// sequence `[time, batch, input]` and a first state, zeros if absent; `[batch, time, …]` of sequences if
    /// `batch_first`, and no batch dimension anywhere if the sequence has none. With `skip` above 1 a state is
    /// `[layers · directions, batch, skip · hidden]`: the last steps, the newest first.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>, cx: &mut Context) -> (Tensor, Tensor) {
        self.run(x, None, h0, cx)
    }

    /// As [`Rnn::forward`], of sequences with padding at their ends, as PyTorch's packed sequences: what the padding holds
    /// has no influence, outputs there are 0, and the last states are those at the ends of the sequences.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, RecurrentOptions, Rnn};
    /// let (device, cx) = (Device::cpu(), &mut Context::eval());
    /// let options = RecurrentOptions::default().batch_first(true);
    /// let rnn = Rnn::new(3, 5, &options, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[2, 7, 3], DType::F32, &device);
    /// let (outputs, h) = rnn.forward_lengths(&x, &[4, 7], None, cx);
    /// let (short, h4) = rnn.forward(&x.narrow(1, 0, 4), None, cx);
    /// assert_eq!(h.select(1, 0).to_vec::<f32>()?, h4.select(1, 0).to_vec::<f32>()?);
    /// assert_eq!(outputs.select(0, 0).narrow(0, 4, 3).to_vec::<f32>()?, [0.0; 15]);
    /// # assert_eq!(short.shape(), [2, 4, 5]);
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
        let (hidden, back) = (self.stack.hidden_size, self.stack.options.skip.max(1));
        let part = |h: &Tensor, i: usize| match back {
            1 => h.clone(),
            _ => h.narrow(-1, i * hidden, hidden),
        };
        let mut initial = Vec::with_capacity(back);
        for i in 0..back {
            initial.push(h0.map(|h| part(h, i)));
        }
        let input = Input {
            x,
            lengths,
            initial: &initial,
            sizes: &vec![hidden; back],
        };
        let (output, mut last) = self.stack.forward(
            &input,
            &|w, product, state| {
                let mut next = vec![step(w, product, state, self.nonlinearity, self.leak)];
                next.extend_from_slice(&state[..back - 1]);
                next
            },
            cx,
        );
        let h = match back {
            1 => last.swap_remove(0),
            _ => Tensor::cat(&last.iter().collect::<Vec<_>>(), -1),
        };
        (output, h)
    }
}

/// The state after a step; `state` holds the newest first.
#[track_caller]
pub(super) fn step(
    w: &Weights,
    product: &Tensor,
    state: &[Tensor],
    nonlinearity: Nonlinearity,
    leak: f64,
) -> Tensor {
    let mut sum = product + w.recur(&state[0]);
    if let (Some(skip), Some(before)) = (w.extra("weight_skip"), state.last()) {
        sum = sum + before.linear(skip, None);
    }
    let new = nonlinearity.of(&sum);
    if leak == 1.0 {
        return new;
    }
    &state[0] * (1.0 - leak) + new * leak
}

recurrent!(Rnn, nonlinearity, leak);
