//! The gated recurrent unit (Cho et al. 2014) as PyTorch has it, gates in the order r, z, n of rows:
//! `r, z = σ(W_ih x + b_ih + W_hh h + b_hh)`, `n = tanh(W_ih x + b_ih + r (W_hh h + b_hh))`,
//! `h' = (1 − z) n + z h`.

use super::{RecurrentOptions, Stack, gates, recurrent};
use crate::Context;
use wgrad_graph::{Device, Generator, Tensor};

/// GRU layers; parameters `weight_ih_l0 [3 · hidden, input]`, `weight_hh_l0 [3 · hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `…_l0_reverse`, `…_l1` ….
#[derive(Clone)]
pub struct Gru {
    stack: Stack,
}

impl Gru {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default; `proj_size` has no effect.
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
        let options = options.proj_size(0);
        let stack = Stack::new("gru", 3, [input_size, hidden_size], &options, rng, device);
        Gru {
            stack: Stack {
                apart: true,
                ..stack
            },
        }
    }

    /// As [`Rnn::forward`](crate::Rnn::forward).
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>, cx: &mut Context) -> (Tensor, Tensor) {
        let (output, mut last) = self.stack.forward(
            x,
            &[h0],
            &[self.stack.hidden_size],
            &|w, product, state| {
                let ([ir, iz, inew], [hr, hz, hnew]) =
                    (gates(product), gates(&w.recur_apart(&state[0])));
                let (r, z) = ((ir + hr).sigmoid(), (iz + hz).sigmoid());
                let n = (inew + r * hnew).tanh();
                vec![&n + z * (&state[0] - &n)]
            },
            cx,
        );
        (output, last.swap_remove(0))
    }
}

recurrent!(Gru);
