//! Recurrent layers: what the plain, LSTM and GRU layers share. Parameters, their names and the order of gates are
//! PyTorch's. A layer is a composition of steps; gradients run back through all of them.

mod gru;
mod lstm;
mod rnn;

pub use gru::Gru;
pub use lstm::Lstm;
pub use rnn::{Nonlinearity, Rnn};

use super::fail;
use crate::host::{Host, Saved, Value, hashed, put_back, shown, values};
use crate::init::symmetric;
use crate::module::{Kind, Module, join};
use crate::{Context, Dropout};
use std::hash::{Hash, Hasher};
use wgrad_graph::once::{Once, Wide};
use wgrad_graph::{Device, ErrorKind, Generator, Tensor};

/// The most layers, so that a nonsensical number is refused rather than tried.
const MAX_LAYERS: usize = 1 << 16;

/// Optional arguments of recurrent layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions {
    /// Layers, each on the outputs of the one before; 1.
    pub num_layers: usize,
    /// Adds biases; true.
    pub bias: bool,
    /// Sequences are `[batch, time, features]`, not `[time, batch, features]`; false.
    pub batch_first: bool,
    /// Dropout on the outputs of all layers but the last; 0.
    pub dropout: f64,
    /// Every layer also runs backwards, and outputs of both directions stand side by side; false.
    pub bidirectional: bool,
    /// Size the LSTM's hidden state is projected to; 0 is none. Other layers have none.
    pub proj_size: usize,
}

impl Default for RecurrentOptions {
    fn default() -> RecurrentOptions {
        RecurrentOptions {
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
            proj_size: 0,
        }
    }
}

impl RecurrentOptions {
    /// With several layers.
    pub fn num_layers(self, num_layers: usize) -> RecurrentOptions {
        RecurrentOptions { num_layers, ..self }
    }

    /// With or without biases.
    pub fn bias(self, bias: bool) -> RecurrentOptions {
        RecurrentOptions { bias, ..self }
    }

    /// Sequences are `[batch, time, features]`.
    pub fn batch_first(self, batch_first: bool) -> RecurrentOptions {
        RecurrentOptions {
            batch_first,
            ..self
        }
    }

    /// With dropout between layers.
    pub fn dropout(self, dropout: f64) -> RecurrentOptions {
        RecurrentOptions { dropout, ..self }
    }

    /// In both directions.
    pub fn bidirectional(self, bidirectional: bool) -> RecurrentOptions {
        RecurrentOptions {
            bidirectional,
            ..self
        }
    }

    /// With a projected hidden state.
    pub fn proj_size(self, proj_size: usize) -> RecurrentOptions {
        RecurrentOptions { proj_size, ..self }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }
}

/// Parameters of one layer in one direction; rows of all gates stand below each other.
#[derive(Clone)]
struct Weights {
    suffix: String,
    /// `[gates · hidden, input]`.
    ih: Tensor,
    /// `[gates · hidden, state]`.
    hh: Tensor,
    /// Of both products, `[gates · hidden]`.
    bias: Option<[Tensor; 2]>,
    /// `[proj, hidden]`.
    hr: Option<Tensor>,
}

/// Layers and directions of a recurrent layer.
#[derive(Clone)]
struct Stack {
    op: &'static str,
    /// Whether the state's product is used with its bias before the input's product is added, as the GRU's.
    apart: bool,
    hidden_size: usize,
    options: RecurrentOptions,
    /// Layer by layer, forwards before backwards.
    weights: Vec<Weights>,
}

/// One step: weights, the input's product, the state before, and the state after, whose first tensor is the output.
type Cell<'a> = dyn Fn(&Weights, &Tensor, &[Tensor]) -> Vec<Tensor> + 'a;

impl Weights {
    /// In f32.
    #[track_caller]
    fn widened(&self) -> Weights {
        let bias = self.bias.as_ref();
        let bias = bias.map(|both| both.each_ref().map(|t| t.widened()));
        Weights {
            suffix: self.suffix.clone(),
            ih: (&self.ih).widened(),
            hh: (&self.hh).widened(),
            bias,
            hr: self.hr.as_ref().widened(),
        }
    }

    /// The state's product.
    #[track_caller]
    fn recur(&self, h: &Tensor) -> Tensor {
        h.linear(&self.hh, None)
    }

    /// The state's product and its bias.
    #[track_caller]
    fn recur_apart(&self, h: &Tensor) -> Tensor {
        h.linear(&self.hh, self.bias.as_ref().map(|b| &b[1]))
    }

    /// The inputs' products and whatever bias need not stand `apart`.
    #[track_caller]
    fn products(&self, sequence: &Tensor, apart: bool) -> Tensor {
        let bias = self.bias.as_ref().map(|[ih, hh]| match apart {
            true => ih.clone(),
            false => ih + hh,
        });
        sequence.linear(&self.ih, bias.as_ref())
    }

    fn names(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let named = |kind: &str| format!("{kind}_{}", self.suffix);
        let mut all = vec![
            (named("weight_ih"), &self.ih),
            (named("weight_hh"), &self.hh),
        ];
        if let Some([ih, hh]) = &self.bias {
            all.extend([(named("bias_ih"), ih), (named("bias_hh"), hh)]);
        }
        all.extend(self.hr.iter().map(|t| (named("weight_hr"), t)));
        all.into_iter()
    }

    fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        [&mut self.ih, &mut self.hh]
            .into_iter()
            .chain(self.bias.iter_mut().flatten())
            .chain(&mut self.hr)
    }
}

impl Stack {
    #[track_caller]
    fn new(
        op: &'static str,
        gates: usize,
        [input_size, hidden_size]: [usize; 2],
        options: &RecurrentOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> Stack {
        let bound = 1.0 / (hidden_size.max(1) as f64).sqrt();
        let out = if options.proj_size > 0 {
            options.proj_size
        } else {
            hidden_size
        };
        let rows = hidden_size.saturating_mul(gates);
        let mut weights = Vec::new();
        // More than these make a layer without weights, whose results are invalid.
        let layers = (0..options.num_layers).take_while(|_| options.num_layers <= MAX_LAYERS);
        for layer in layers {
            for direction in 0..options.directions() {
                let input = if layer == 0 {
                    input_size
                } else {
                    out.saturating_mul(options.directions())
                };
                let mut draw = |shape: &[usize]| symmetric(shape, bound, rng, device);
                weights.push(Weights {
                    suffix: format!("l{layer}{}", if direction == 1 { "_reverse" } else { "" }),
                    ih: draw(&[rows, input]),
                    hh: draw(&[rows, out]),
                    bias: options.bias.then(|| [draw(&[rows]), draw(&[rows])]),
                    hr: (options.proj_size > 0).then(|| draw(&[out, hidden_size])),
                });
            }
        }
        Stack {
            op,
            apart: false,
            hidden_size,
            options: *options,
            weights,
        }
    }

    fn kind(&self, name: &str) -> String {
        let inputs = self.weights.first().map_or(0, |w| w.ih.size(1));
        format!(
            "{name}({inputs}, {}, {} layers)",
            self.hidden_size, self.options.num_layers
        )
    }

    /// Outputs, and the final states of each kind, all in the caller's form. `sizes` are those of the state's tensors.
    #[track_caller]
    fn forward(
        &self,
        x: &Tensor,
        initial: &[Option<&Tensor>],
        sizes: &[usize],
        cell: &Cell,
        cx: &mut Context,
    ) -> (Tensor, Vec<Tensor>) {
        let all_invalid = |message: String| {
            let t = fail(self.op, ErrorKind::Shape, message, x);
            (t.clone(), vec![t; sizes.len()])
        };
        if !(2..=3).contains(&x.rank()) || self.weights.is_empty() {
            return all_invalid(format!(
                "takes 2 or 3 dimensions and 1 to {MAX_LAYERS} layers, not {}",
                self.options.num_layers
            ));
        }
        // Shapes of invalid tensors are only what was asked for: nothing is sized by them.
        let parameters = self.weights.iter().flat_map(|w| w.names().map(|(_, t)| t));
        if let Some(bad) = std::iter::once(x)
            .chain(parameters)
            .find(|t| t.check().is_err())
        {
            return (bad.clone(), vec![bad.clone(); sizes.len()]);
        }
        // All steps are computed in f32, and what comes out is rounded.
        let parameters = self.weights.iter().flat_map(|w| w.names().map(|(_, t)| t));
        let kinds = parameters.map(|t| t.half()).chain([x.half()]);
        let kinds = kinds.chain(initial.iter().map(Wide::half));
        if let Some(once) = Once::of(&kinds.collect::<Vec<_>>()) {
            let mut wide = self.clone();
            for w in &mut wide.weights {
                *w = w.widened();
            }
            let mut states = Vec::with_capacity(initial.len());
            for state in initial {
                states.push(state.widened());
            }
            let states: Vec<Option<&Tensor>> = states.iter().map(Option::as_ref).collect();
            return once.round(wide.forward(&x.widened(), &states, sizes, cell, cx));
        }
        let batched = x.rank() == 3;
        let sequence = match (batched, self.options.batch_first) {
            (false, _) => x.unsqueeze(1),
            (true, true) => x.transpose(0, 1),
            (true, false) => x.clone(),
        };
        if sequence.size(0) == 0 {
            return all_invalid("takes at least one step".into());
        }
        let states = match self.initial(&sequence, batched, initial, sizes) {
            Ok(states) => states,
            Err(message) => return all_invalid(message),
        };
        let (output, finals) = self.run(sequence, &states, cell, cx);
        let output = match (batched, self.options.batch_first) {
            (false, _) => output.squeeze(1),
            (true, true) => output.transpose(0, 1),
            (true, false) => output,
        };
        (
            output,
            finals
                .into_iter()
                .map(|t| if batched { t } else { t.squeeze(1) })
                .collect(),
        )
    }

    /// The states before the first step, `[layers · directions, batch, size]`: those given, or zeros.
    #[track_caller]
    fn initial(
        &self,
        sequence: &Tensor,
        batched: bool,
        given: &[Option<&Tensor>],
        sizes: &[usize],
    ) -> Result<Vec<Tensor>, String> {
        let mut states = Vec::with_capacity(sizes.len());
        for (given, &size) in given.iter().zip(sizes) {
            let shape = [self.weights.len(), sequence.size(1), size];
            states.push(match given {
                None => Tensor::zeros(&shape, sequence.dtype(), sequence.device()),
                Some(t) => {
                    let t = match batched {
                        true => (*t).clone(),
                        false => t.unsqueeze(1),
                    };
                    if t.check().is_ok() && t.shape() != shape {
                        let got = t.shape();
                        return Err(format!(
                            "an initial state of shape {got:?} instead of {shape:?}"
                        ));
                    }
                    t
                }
            });
        }
        Ok(states)
    }

    /// `sequence [time, batch, features]`, states `[layers · directions, batch, size]`.
    #[track_caller]
    fn run(
        &self,
        mut sequence: Tensor,
        states: &[Tensor],
        cell: &Cell,
        cx: &mut Context,
    ) -> (Tensor, Vec<Tensor>) {
        let directions = self.options.directions();
        let mut finals: Vec<Vec<Tensor>> = vec![Vec::new(); states.len()];
        for (layer, weights) in self.weights.chunks(directions).enumerate() {
            if layer > 0 {
                sequence = Dropout::new(self.options.dropout).forward(&sequence, cx);
            }
            let mut outputs = Vec::with_capacity(directions);
            for (direction, w) in weights.iter().enumerate() {
                let at = (layer * directions + direction) as isize;
                let before = states.iter().map(|s| s.select(0, at)).collect();
                let (output, last) = one_direction(
                    w.products(&sequence, self.apart),
                    w,
                    before,
                    direction == 1,
                    cell,
                );
                outputs.push(output);
                finals
                    .iter_mut()
                    .zip(last)
                    .for_each(|(list, t)| list.push(t));
            }
            sequence = Tensor::cat(&outputs.iter().collect::<Vec<_>>(), -1);
        }
        let stacked = finals
            .iter()
            .map(|list| Tensor::stack(&list.iter().collect::<Vec<_>>(), 0));
        (sequence, stacked.collect())
    }
}

/// Outputs `[time, batch, size]` in order of time, and the state after the last step, from the inputs' products.
#[track_caller]
fn one_direction(
    products: Tensor,
    weights: &Weights,
    mut state: Vec<Tensor>,
    reverse: bool,
    cell: &Cell,
) -> (Tensor, Vec<Tensor>) {
    let mut steps = Vec::with_capacity(products.size(0));
    steps_of(&products, &mut steps);
    if reverse {
        steps.reverse();
    }
    let mut outputs = Vec::with_capacity(steps.len());
    for product in &steps {
        state = cell(weights, product, &state);
        outputs.push(state[0].clone());
    }
    if reverse {
        outputs.reverse();
    }
    (Tensor::stack(&outputs.iter().collect::<Vec<_>>(), 0), state)
}

/// The elements of dimension 0, by halving: gradients of single slices would each be as long as the sequence.
#[track_caller]
fn steps_of(x: &Tensor, out: &mut Vec<Tensor>) {
    let n = x.size(0);
    if n <= 1 {
        out.push(x.squeeze(0));
        return;
    }
    steps_of(&x.narrow(0, 0, n / 2), out);
    steps_of(&x.narrow(0, n / 2, n - n / 2), out);
}

/// `count` equal parts of the last dimension.
#[track_caller]
fn gates<const N: usize>(x: &Tensor) -> [Tensor; N] {
    let size = x.size(-1) / N;
    std::array::from_fn(|i| x.narrow(-1, i * size, size))
}

impl Module for Stack {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, tensor) in self.weights.iter().flat_map(Weights::names) {
            visitor(&join(path, &name), Kind::Parameter, tensor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for weights in &mut self.weights {
            let names: Vec<String> = weights
                .names()
                .map(|(name, _)| join(path, &name).into_owned())
                .collect();
            for (name, tensor) in names.iter().zip(weights.tensors_mut()) {
                visitor(name, Kind::Parameter, tensor);
            }
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Enter(&"options"));
        visitor(Host::Value(&mut self.options));
        visitor(Host::Leave);
    }
}

impl Hash for RecurrentOptions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let sizes = [self.num_layers, self.proj_size];
        let flags = [self.bias, self.batch_first, self.bidirectional];
        (sizes, flags, self.dropout.to_bits()).hash(state);
    }
}

values! {
    {} RecurrentOptions |x| hashed(x);
    {} Nonlinearity |x| *x as u64;
}

/// Implements `Module` and `Layer` for a struct with a field `stack`: the layer's value is the sequence of outputs.
macro_rules! recurrent {
    ($t:ident $(, $field:ident)*) => {
        impl crate::Module for $t {
            fn visit(
                &self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &wgrad_graph::Tensor),
            ) {
                self.stack.visit(path, visitor);
            }

            fn visit_mut(
                &mut self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &mut wgrad_graph::Tensor),
            ) {
                self.stack.visit_mut(path, visitor);
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
                self.stack.visit_host(visitor);
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

        impl crate::Layer for $t {
            #[track_caller]
            fn forward(
                &mut self,
                x: &wgrad_graph::Tensor,
                cx: &mut crate::Context,
            ) -> wgrad_graph::Tensor {
                $t::forward(self, x, None, cx).0
            }

            fn kind(&self) -> String {
                self.stack.kind(stringify!($t))
            }
        }
    };
}
use recurrent;
