//! Layers and directions of a recurrent layer, and the run over time: what the plain, LSTM and GRU layers share. Knows
//! no formula of a step.

use super::weights::Sizes;
use super::{Lengths, RecurrentOptions, Weights, fail};
use crate::host::Host;
use crate::module::{Kind, Module};
use crate::{Context, Dropout};
use wgrad_graph::once::{Once, Wide};
use wgrad_graph::{Device, ErrorKind, Generator, ScanOptions, Tensor, scan};

/// Sequences of so many steps are loops in the graph; shorter ones are recorded step by step.
const LOOPED: usize = 128;

/// Elements that the products of all steps of a loop may have to be kept for the gradient, which is faster then: 64 MiB.
const KEPT: usize = 1 << 24;

/// The most layers, so that a nonsensical number is refused rather than tried.
const MAX_LAYERS: usize = 1 << 16;

/// All layers, in all directions.
#[derive(Clone)]
pub(super) struct Stack {
    op: &'static str,
    /// Whether the state's product is used with its bias before the input's product is added, as the GRU's.
    apart: bool,
    pub(super) hidden_size: usize,
    pub(super) options: RecurrentOptions,
    /// Layer by layer, forwards before backwards.
    pub(super) weights: Vec<Weights>,
}

/// One step: weights, the input's product, the state before, and the state after, whose first tensor is the output.
pub(super) type Cell<'a> = dyn Fn(&Weights, &Tensor, &[Tensor]) -> Vec<Tensor> + 'a;

/// What a layer is given.
pub(super) struct Input<'a> {
    pub(super) x: &'a Tensor,
    /// Steps of each sequence, if there is padding.
    pub(super) lengths: Option<&'a Lengths>,
    /// The first state of each kind.
    pub(super) initial: &'a [Option<Tensor>],
    /// Sizes of the states' last dimensions.
    pub(super) sizes: &'a [usize],
}

impl Stack {
    /// `extra` are parameters beside the usual ones.
    #[track_caller]
    pub(super) fn new(
        op: &'static str,
        gates: usize,
        [input_size, hidden_size]: [usize; 2],
        options: &RecurrentOptions,
        extra: &[(&'static str, Vec<usize>)],
        rng: &mut Generator,
        device: &Device,
    ) -> Stack {
        let state = match options.proj_size {
            0 => hidden_size,
            projected => projected,
        };
        let mut weights = Vec::new();
        // More than these make a layer without weights, whose results are invalid.
        let layers = (0..options.num_layers).take_while(|_| options.num_layers <= MAX_LAYERS);
        for layer in layers {
            let sizes = Sizes {
                gates,
                input: match layer {
                    0 => input_size,
                    _ => state.saturating_mul(options.directions()),
                },
                hidden: hidden_size,
                state,
                bias: options.bias,
                extra,
            };
            for suffix in &["", "_reverse"][..options.directions()] {
                let suffix = format!("_l{layer}{suffix}");
                weights.push(Weights::new(suffix, &sizes, rng, device));
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

    /// With products of state and input that are not added at once.
    pub(super) fn apart(self) -> Stack {
        Stack {
            apart: true,
            ..self
        }
    }

    pub(super) fn kind(&self, name: &str) -> String {
        let inputs = self.weights.first().map_or(0, |w| w.ih.size(1));
        format!(
            "{name}({inputs}, {}, {} layers)",
            self.hidden_size, self.options.num_layers
        )
    }

    /// Outputs, and the final states of each kind, all in the caller's form.
    #[track_caller]
    pub(super) fn forward(
        &self,
        input: &Input,
        cell: &Cell,
        cx: &mut Context,
    ) -> (Tensor, Vec<Tensor>) {
        let Input { x, sizes, .. } = *input;
        let all = |t: Tensor| (t.clone(), vec![t; sizes.len()]);
        if !(2..=3).contains(&x.rank()) || self.weights.is_empty() {
            let message = format!(
                "takes 2 or 3 dimensions and 1 to {MAX_LAYERS} layers, not {}",
                self.options.num_layers
            );
            return all(fail(self.op, ErrorKind::Shape, message, x));
        }
        // Shapes of invalid tensors are only what was asked for: nothing is sized by them.
        let parameters = || self.weights.iter().flat_map(|w| w.names().map(|(_, t)| t));
        let mut operands = std::iter::once(x).chain(parameters());
        if let Some(bad) = operands.find(|t| t.check().is_err()) {
            return all(bad.clone());
        }
        // All steps are computed in f32, and what comes out is rounded.
        let kinds = parameters().map(|t| t.half()).chain([x.half()]);
        let kinds = kinds.chain(input.initial.iter().map(|t| t.as_ref().half()));
        if let Some(once) = Once::of(&kinds.collect::<Vec<_>>()) {
            return once.round(self.forward_widened(input, cell, cx));
        }
        match self.prepared(input) {
            Ok((sequence, steps, states)) => {
                let (output, finals) = self.run(sequence, steps.as_ref(), &states, cell, cx);
                let batched = x.rank() == 3;
                let output = match (batched, self.options.batch_first) {
                    (false, _) => output.squeeze(1),
                    (true, true) => output.transpose(0, 1),
                    (true, false) => output,
                };
                let finals = finals.into_iter();
                let finals = finals.map(|t| if batched { t } else { t.squeeze(1) });
                (output, finals.collect())
            }
            Err(bad) => all(bad),
        }
    }

    /// The same in f32.
    #[track_caller]
    fn forward_widened(
        &self,
        input: &Input,
        cell: &Cell,
        cx: &mut Context,
    ) -> (Tensor, Vec<Tensor>) {
        let mut wide = self.clone();
        for w in &mut wide.weights {
            *w = w.widened();
        }
        let mut initial = Vec::with_capacity(input.initial.len());
        for state in input.initial {
            initial.push(state.as_ref().widened());
        }
        let input = Input {
            x: &input.x.widened(),
            initial: &initial,
            ..*input
        };
        wide.forward(&input, cell, cx)
    }

    /// The sequence `[time, batch, features]`, without what its padding holds, what is a step of it, and the first states;
    /// or the invalid result.
    #[track_caller]
    fn prepared(&self, input: &Input) -> Result<(Tensor, Option<Tensor>, Vec<Tensor>), Tensor> {
        let x = input.x;
        let batched = x.rank() == 3;
        let mut sequence = match (batched, self.options.batch_first) {
            (false, _) => x.unsqueeze(1),
            (true, true) => x.transpose(0, 1),
            (true, false) => x.clone(),
        };
        let invalid = |message: String| fail(self.op, ErrorKind::Shape, message, x);
        if sequence.size(0) == 0 {
            return Err(invalid("takes at least one step".into()));
        }
        let steps = match input.lengths.map(|l| l.steps(&sequence)) {
            None => None,
            Some(Ok(steps)) => Some(steps),
            Some(Err(e)) => return Err(fail(self.op, e.kind(), e.message().into(), x)),
        };
        if let Some(steps) = &steps {
            // Whatever stands there, a NaN even, must not meet a derivative.
            sequence = Tensor::where_(steps, &sequence, &sequence.zeros_like());
        }
        let mut states = Vec::with_capacity(input.sizes.len());
        for (given, &size) in input.initial.iter().zip(input.sizes) {
            let shape = [self.weights.len(), sequence.size(1), size];
            states.push(match given {
                None => Tensor::zeros(&shape, x.dtype(), x.device()),
                Some(t) => {
                    let t = if batched { t.clone() } else { t.unsqueeze(1) };
                    if t.check().is_ok() && t.shape() != shape {
                        let have = t.shape();
                        return Err(invalid(format!(
                            "an initial state of shape {have:?} instead of {shape:?}"
                        )));
                    }
                    t
                }
            });
        }
        Ok((sequence, steps, states))
    }

    /// `sequence [time, batch, features]`, states `[layers · directions, batch, size]`.
    #[track_caller]
    fn run(
        &self,
        mut sequence: Tensor,
        steps: Option<&Tensor>,
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
                let products = w.products(&sequence, self.apart);
                let (output, last) =
                    one_direction(products, steps, w, before, direction == 1, cell);
                outputs.push(output);
                finals
                    .iter_mut()
                    .zip(last)
                    .for_each(|(list, t)| list.push(t));
            }
            sequence = Tensor::cat(&outputs.iter().collect::<Vec<_>>(), -1);
            if let Some(steps) = steps {
                sequence = Tensor::where_(steps, &sequence, &sequence.zeros_like());
            }
        }
        let stacked = finals
            .iter()
            .map(|list| Tensor::stack(&list.iter().collect::<Vec<_>>(), 0));
        (sequence, stacked.collect())
    }
}

/// Outputs `[time, batch, size]` in order of time, and the state after the last step, from the inputs' products. A state
/// stands still where there is no step: forwards after a sequence's end, backwards before it.
#[track_caller]
fn one_direction(
    products: Tensor,
    is_step: Option<&Tensor>,
    weights: &Weights,
    mut state: Vec<Tensor>,
    reverse: bool,
    cell: &Cell,
) -> (Tensor, Vec<Tensor>) {
    if products.size(0) >= LOOPED {
        return looped(products, is_step, weights, state, reverse, cell);
    }
    let mut steps = Vec::with_capacity(products.size(0));
    steps_of(&products, &mut steps);
    let mut masks = Vec::new();
    if let Some(is_step) = is_step {
        steps_of(is_step, &mut masks);
    }
    if reverse {
        steps.reverse();
        masks.reverse();
    }
    let mut outputs = Vec::with_capacity(steps.len());
    for (at, product) in steps.iter().enumerate() {
        let mut next = cell(weights, product, &state);
        if let Some(mask) = masks.get(at) {
            for (new, old) in next.iter_mut().zip(&state) {
                *new = Tensor::where_(mask, new, old);
            }
        }
        outputs.push(next[0].clone());
        state = next;
    }
    if reverse {
        outputs.reverse();
    }
    (Tensor::stack(&outputs.iter().collect::<Vec<_>>(), 0), state)
}

/// The same as a loop in the graph.
#[track_caller]
fn looped(
    products: Tensor,
    is_step: Option<&Tensor>,
    weights: &Weights,
    state: Vec<Tensor>,
    reverse: bool,
    cell: &Cell,
) -> (Tensor, Vec<Tensor>) {
    let options = ScanOptions {
        reverse,
        // The state's products have the size of the inputs'.
        keep_products: products.numel() <= KEPT,
        ..ScanOptions::default()
    };
    let inputs = (products, is_step.cloned());
    let step = |state: Vec<Tensor>, (product, mask): (Tensor, Option<Tensor>)| {
        let mut next = cell(weights, &product, &state);
        if let Some(mask) = mask {
            for (new, old) in next.iter_mut().zip(&state) {
                *new = Tensor::where_(&mask, new, old);
            }
        }
        let output = next[0].clone();
        (next, output)
    };
    let (last, output) = scan(state, inputs, &options, step);
    (output, last)
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

impl Module for Stack {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for weights in &self.weights {
            weights.visit(path, visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for weights in &mut self.weights {
            weights.visit_mut(path, visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Enter(&"options"));
        visitor(Host::Value(&mut self.options));
        visitor(Host::Leave);
    }
}
