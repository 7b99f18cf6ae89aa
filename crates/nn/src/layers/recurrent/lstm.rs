//! The long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000), gates in the order
//! i, f, g, o of rows: `i, f, o = σ(…)`, `g = tanh(…)` of `W_ih x + b_ih + W_hh h + b_hh`,
//! `c' = f c + i g`, `h' = W_hr (o tanh c')`, without `W_hr` if nothing is projected (Sak et al. 2014).

use super::{RecurrentOptions, Stack, gates, recurrent};
use crate::Context;
use wgrad_graph::{Device, Generator, Tensor};

/// LSTM layers; parameters `weight_ih_l0 [4 · hidden, input]`, `weight_hh_l0 [4 · hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `weight_hr_l0 [proj, hidden]`, `…_l0_reverse`, `…_l1` ….
#[derive(Clone)]
pub struct Lstm {
    stack: Stack,
}

impl Lstm {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Lstm, RecurrentOptions};
    /// let device = Device::cpu();
    /// let options = RecurrentOptions::default().batch_first(true);
    /// let lstm = Lstm::new(3, 5, &options, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[2, 7, 3], DType::F32, &device);
    /// let (outputs, (h, c)) = lstm.forward(&x, None, &mut Context::eval());
    /// assert_eq!(outputs.shape(), [2, 7, 5]);
    /// assert_eq!((h.shape(), c.shape()), ([1, 2, 5].as_slice(), [1, 2, 5].as_slice()));
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> Lstm {
        Lstm {
            stack: Stack::new("lstm", 4, [input_size, hidden_size], options, rng, device),
        }
    }

    /// As [`Rnn::forward`](crate::Rnn::forward), with two states: `h [layers · directions, batch, proj or hidden]` and
    /// `c [layers · directions, batch, hidden]`.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        state: Option<(&Tensor, &Tensor)>,
        cx: &mut Context,
    ) -> (Tensor, (Tensor, Tensor)) {
        let hidden = self.stack.hidden_size;
        let projected = self.stack.options.proj_size;
        let out = if projected > 0 { projected } else { hidden };
        let (output, mut last) = self.stack.forward(
            x,
            &[state.map(|s| s.0), state.map(|s| s.1)],
            &[out, hidden],
            &|w, product, state| {
                let [i, f, g, o] = gates(&(product + w.recur(&state[0])));
                let c = f.sigmoid() * &state[1] + i.sigmoid() * g.tanh();
                let h = o.sigmoid() * c.tanh();
                vec![
                    w.hr.as_ref()
                        .map_or_else(|| h.clone(), |hr| h.linear(hr, None)),
                    c,
                ]
            },
            cx,
        );
        let c = last.swap_remove(1);
        (output, (last.swap_remove(0), c))
    }
}

recurrent!(Lstm);
