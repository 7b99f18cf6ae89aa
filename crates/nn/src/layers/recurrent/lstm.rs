//! The long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000), gates in the order
//! i, f, g, o of rows: `i, f, o = σ(…)`, `g = tanh(…)` of `W_ih x + b_ih + W_hh h + b_hh`,
//! `c' = f c + i g`, `h' = W_hr (o tanh c')`, without `W_hr` if nothing is projected (Sak et al. 2014). With peepholes
//! `w_ci c`, `w_cf c` and `w_co c'` are added to what i, f and o are taken of; with coupled gates `f = 1 − i`.

use super::{Input, Lengths, RecurrentOptions, Stack, Weights, gates, recurrent};
use crate::Context;
use wgrad_graph::{Device, Generator, Tensor};

/// LSTM layers; parameters `weight_ih_l0 [4 · hidden, input]`, `weight_hh_l0 [4 · hidden, hidden]`, `bias_ih_l0`,
/// `bias_hh_l0`, `weight_hr_l0 [proj, hidden]`, `weight_ci_l0`, `weight_cf_l0`, `weight_co_l0 [hidden]`, `…_l0_reverse`,
/// `…_l1` …. With coupled gates there are `3 · hidden` rows, i, g and o, and no `weight_cf_l0`.
#[derive(Clone)]
pub struct Lstm {
    stack: Stack,
}

impl Lstm {
    /// With parameters drawn from `U(±1/√hidden_size)`, PyTorch's default. `skip` has no effect.
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
        let options = options.skip(0);
        let (sizes, gates) = ([input_size, hidden_size], gate_count(&options));
        let extra = extra(hidden_size, &options);
        Lstm {
            stack: Stack::new("lstm", gates, sizes, &options, &extra, rng, device),
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
        self.run(x, None, state, cx)
    }

    /// As [`Lstm::forward`], of sequences with padding: see [`Rnn::forward_lengths`](crate::Rnn::forward_lengths).
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Lstm, RecurrentOptions};
    /// let device = Device::cpu();
    /// let options = RecurrentOptions::default().bidirectional(true);
    /// let lstm = Lstm::new(3, 5, &options, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[7, 2, 3], DType::F32, &device);
    /// let (y, _) = lstm.forward_lengths(&x, &Tensor::new(&[2, 7], &device), None, &mut Context::eval());
    /// assert_eq!(y.select(1, 0).narrow(0, 2, 5).to_vec::<f32>()?, [0.0; 50]);
    /// let (y, _) = lstm.forward_lengths(&x, &[0, 7], None, &mut Context::eval());
    /// assert!(y.check().unwrap_err().to_string().contains("length 0 of sequence 0"));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward_lengths(
        &self,
        x: &Tensor,
        lengths: impl Into<Lengths>,
        state: Option<(&Tensor, &Tensor)>,
        cx: &mut Context,
    ) -> (Tensor, (Tensor, Tensor)) {
        self.run(x, Some(&lengths.into()), state, cx)
    }

    #[track_caller]
    fn run(
        &self,
        x: &Tensor,
        lengths: Option<&Lengths>,
        state: Option<(&Tensor, &Tensor)>,
        cx: &mut Context,
    ) -> (Tensor, (Tensor, Tensor)) {
        let hidden = self.stack.hidden_size;
        let projected = self.stack.options.proj_size;
        let out = if projected > 0 { projected } else { hidden };
        let coupled = self.stack.options.coupled_gates;
        let input = Input {
            x,
            lengths,
            initial: &[state.map(|s| s.0.clone()), state.map(|s| s.1.clone())],
            sizes: &[out, hidden],
        };
        let cell = |w: &Weights, product: &Tensor, state: &[Tensor]| {
            let [h, c] = step(w, product, state, coupled);
            vec![h, c]
        };
        let (output, mut last) = self.stack.forward(&input, &cell, cx);
        let c = last.swap_remove(1);
        (output, (last.swap_remove(0), c))
    }
}

pub(super) fn gate_count(options: &RecurrentOptions) -> usize {
    4 - usize::from(options.coupled_gates)
}

/// Parameters beside the usual ones, with their shapes.
pub(super) fn extra(hidden: usize, options: &RecurrentOptions) -> Vec<(&'static str, Vec<usize>)> {
    let projection =
        (options.proj_size > 0).then(|| ("weight_hr", vec![options.proj_size, hidden]));
    let peepholes: &[&str] = match (options.peepholes, options.coupled_gates) {
        (false, _) => &[],
        (true, false) => &["weight_ci", "weight_cf", "weight_co"],
        (true, true) => &["weight_ci", "weight_co"],
    };
    let peepholes = peepholes.iter().map(|name| (*name, vec![hidden]));
    projection.into_iter().chain(peepholes).collect()
}

/// `h` and `c` after a step.
#[track_caller]
pub(super) fn step(w: &Weights, product: &Tensor, state: &[Tensor], coupled: bool) -> [Tensor; 2] {
    let sum = product + w.recur(&state[0]);
    let [i, f, g, o] = if coupled {
        let [i, g, o] = gates(&sum);
        [i.clone(), i, g, o]
    } else {
        gates(&sum)
    };
    let i = peep(i, w, "weight_ci", &state[1]).sigmoid();
    let f = match coupled {
        true => 1.0 - &i,
        false => peep(f, w, "weight_cf", &state[1]).sigmoid(),
    };
    let c = f * &state[1] + i * g.tanh();
    let h = peep(o, w, "weight_co", &c).sigmoid() * c.tanh();
    match w.extra("weight_hr") {
        Some(projection) => [h.linear(projection, None), c],
        None => [h, c],
    }
}

/// What a gate is taken of, with its view of the cells.
#[track_caller]
fn peep(gate: Tensor, w: &Weights, name: &str, c: &Tensor) -> Tensor {
    match w.extra(name) {
        Some(weight) => gate + weight * c,
        None => gate,
    }
}

recurrent!(Lstm);
