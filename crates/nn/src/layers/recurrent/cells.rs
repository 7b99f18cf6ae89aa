//! Single steps of the recurrent layers, for loops of one's own. Parameters and names are those of PyTorch's cells.

use super::weights::Sizes;
use super::{Nonlinearity, RecurrentOptions, Weights, fail, gru, lstm, rnn};
use crate::Module;
use wgrad_graph::{Device, ErrorKind, Generator, Tensor, in_f32};

/// A step of [`Rnn`](crate::Rnn): `weight_ih [hidden, input]`, `weight_hh [hidden, hidden]`, `bias_ih`, `bias_hh`.
#[derive(Clone)]
pub struct RnnCell {
    nonlinearity: Nonlinearity,
    weights: Weights,
}

/// A step of [`Lstm`](crate::Lstm): `weight_ih [4 · hidden, input]`, `weight_hh [4 · hidden, hidden]`, `bias_ih`, `bias_hh`,
/// and what the options add.
#[derive(Clone)]
pub struct LstmCell {
    coupled: bool,
    weights: Weights,
}

/// A step of [`Gru`](crate::Gru): `weight_ih [3 · hidden, input]`, `weight_hh [3 · hidden, hidden]`, `bias_ih`, `bias_hh`.
#[derive(Clone)]
pub struct GruCell {
    weights: Weights,
}

/// Parameters of a cell; of the options only those count that change a step.
#[track_caller]
fn weights(
    gates: usize,
    [input, hidden]: [usize; 2],
    options: &RecurrentOptions,
    rng: &mut Generator,
    device: &Device,
) -> Weights {
    let sizes = Sizes {
        gates,
        input,
        hidden,
        state: match options.proj_size {
            0 => hidden,
            projected => projected,
        },
        bias: options.bias,
        extra: &lstm::extra(hidden, options),
    };
    Weights::new(String::new(), &sizes, rng, device)
}

/// The given states, or zeros, after checking shapes: `x [batch, input]` or `[input]`, states alike.
#[track_caller]
fn states(
    op: &str,
    x: &Tensor,
    given: &[Option<&Tensor>],
    sizes: &[usize],
) -> Result<Vec<Tensor>, Tensor> {
    if !(1..=2).contains(&x.rank()) {
        let message = "takes [batch, features] or [features]".to_string();
        return Err(fail(op, ErrorKind::Shape, message, x));
    }
    let mut all = Vec::with_capacity(sizes.len());
    for (given, &size) in given.iter().zip(sizes) {
        let mut shape = x.shape().to_vec();
        shape[x.rank() - 1] = size;
        all.push(match given {
            None if x.check().is_err() => x.clone(),
            None => Tensor::zeros(&shape, x.dtype(), x.device()),
            Some(t) if t.check().is_ok() && t.shape() != shape => {
                let message = format!("a state of shape {:?} instead of {shape:?}", t.shape());
                return Err(fail(op, ErrorKind::Shape, message, x));
            }
            Some(t) => (*t).clone(),
        });
    }
    Ok(all)
}

impl RnnCell {
    /// With parameters drawn from `U(±1/√hidden_size)`.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Nonlinearity, RnnCell};
    /// let device = Device::cpu();
    /// let cell = RnnCell::new(3, 5, true, &mut Generator::new(0), &device).nonlinearity(Nonlinearity::Relu);
    /// let h = cell.forward(&Tensor::ones(&[2, 3], DType::F32, &device), None);
    /// assert_eq!(h.shape(), [2, 5]);
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        bias: bool,
        rng: &mut Generator,
        device: &Device,
    ) -> RnnCell {
        let options = RecurrentOptions::default().bias(bias);
        RnnCell {
            nonlinearity: Nonlinearity::Tanh,
            weights: weights(1, [input_size, hidden_size], &options, rng, device),
        }
    }

    /// With another nonlinearity.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> RnnCell {
        RnnCell {
            nonlinearity,
            ..self
        }
    }

    /// The state `[batch, hidden]` after input `[batch, input]`, from a state before, zeros if absent.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Tensor {
        in_f32!([x, h, &self.weights.ih] => |x, h, _w| {
            let wide = RnnCell { weights: self.weights.widened(), ..self.clone() };
            wide.forward(x, h.as_ref())
        });
        match states("rnn_cell", x, &[h], &[self.weights.hh.size(1)]) {
            Ok(h) => {
                let product = self.weights.products(x, false);
                rnn::step(&self.weights, &product, &h, self.nonlinearity, 1.0)
            }
            Err(bad) => bad,
        }
    }
}

impl LstmCell {
    /// With parameters drawn from `U(±1/√hidden_size)`. Of the options, `bias`, `proj_size`, `peepholes` and
    /// `coupled_gates` count.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{LstmCell, RecurrentOptions};
    /// let device = Device::cpu();
    /// let cell = LstmCell::new(3, 5, &RecurrentOptions::default(), &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[2, 3], DType::F32, &device);
    /// let (h, c) = cell.forward(&x, None);
    /// let (h, _) = cell.forward(&x, Some((&h, &c)));
    /// assert_eq!(h.shape(), [2, 5]);
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> LstmCell {
        let (sizes, gates) = ([input_size, hidden_size], lstm::gate_count(options));
        LstmCell {
            coupled: options.coupled_gates,
            weights: weights(gates, sizes, options, rng, device),
        }
    }

    /// `(h, c)` after input `[batch, input]`, from a state before, zeros if absent.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let (h, c) = (state.map(|s| s.0), state.map(|s| s.1));
        in_f32!([x, h, c, &self.weights.ih] => |x, h, c, _w| {
            let wide = LstmCell { weights: self.weights.widened(), ..self.clone() };
            let state = h.as_ref().zip(c.as_ref());
            wide.forward(x, state)
        });
        let hidden = self.weights.ih.size(0) / (4 - usize::from(self.coupled));
        let sizes = [self.weights.hh.size(1), hidden];
        match states("lstm_cell", x, &[h, c], &sizes) {
            Ok(state) => {
                let product = self.weights.products(x, false);
                let [h, c] = lstm::step(&self.weights, &product, &state, self.coupled);
                (h, c)
            }
            Err(bad) => (bad.clone(), bad),
        }
    }
}

impl GruCell {
    /// With parameters drawn from `U(±1/√hidden_size)`.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let cell = wgrad_nn::GruCell::new(3, 5, true, &mut Generator::new(0), &device);
    /// assert_eq!(cell.forward(&Tensor::ones(&[2, 3], DType::F32, &device), None).shape(), [2, 5]);
    /// ```
    #[track_caller]
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        bias: bool,
        rng: &mut Generator,
        device: &Device,
    ) -> GruCell {
        let options = RecurrentOptions::default().bias(bias);
        GruCell {
            weights: weights(3, [input_size, hidden_size], &options, rng, device),
        }
    }

    /// As [`RnnCell::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Tensor {
        in_f32!([x, h, &self.weights.ih] => |x, h, _w| {
            let wide = GruCell { weights: self.weights.widened() };
            wide.forward(x, h.as_ref())
        });
        match states("gru_cell", x, &[h], &[self.weights.hh.size(1)]) {
            Ok(h) => gru::step(&self.weights, &self.weights.products(x, true), &h[0]),
            Err(bad) => bad,
        }
    }
}

/// Implements `Module` for a struct with a field `weights`.
macro_rules! cell {
    ($t:ident $(, $field:ident)*) => {
        impl Module for $t {
            fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, crate::Kind, &Tensor)) {
                self.weights.visit(path, visitor);
            }

            fn visit_mut(
                &mut self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &mut Tensor),
            ) {
                self.weights.visit_mut(path, visitor);
            }

            #[allow(unused_variables, reason = "not every cell has numbers")]
            fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
                $(
                    visitor(crate::Host::Enter(&stringify!($field)));
                    visitor(crate::Host::Value(&mut self.$field));
                    visitor(crate::Host::Leave);
                )*
            }

            fn duplicate(&self) -> Option<$t> {
                Some(self.clone())
            }
        }
    };
}

cell!(RnnCell, nonlinearity);
cell!(LstmCell, coupled);
cell!(GruCell);
