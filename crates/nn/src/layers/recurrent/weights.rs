//! The parameters of one recurrent layer in one direction, or of one cell, and the products with them. Knows no time.

use crate::host::Host;
use crate::init::symmetric;
use crate::module::{Kind, Module, join};
use wgrad_graph::once::Wide;
use wgrad_graph::{Device, Generator, Tensor};

/// Rows of all gates stand below each other.
#[derive(Clone)]
pub(super) struct Weights {
    /// What follows the names: `_l0_reverse`.
    suffix: String,
    /// `[gates · hidden, input]`.
    pub(super) ih: Tensor,
    /// `[gates · hidden, state]`.
    pub(super) hh: Tensor,
    /// Of the inputs' product, `[gates · hidden]`.
    pub(super) bias_ih: Option<Tensor>,
    /// Of the state's product, `[gates · hidden]`.
    bias_hh: Option<Tensor>,
    /// What only some layers have.
    extra: Vec<(&'static str, Tensor)>,
}

/// Sizes of [`Weights`].
pub(super) struct Sizes<'a> {
    pub(super) gates: usize,
    pub(super) input: usize,
    pub(super) hidden: usize,
    /// Size of the state that steps on, the projected one if there is a projection.
    pub(super) state: usize,
    pub(super) bias: bool,
    pub(super) extra: &'a [(&'static str, Vec<usize>)],
}

impl Weights {
    /// Drawn from `U(±1/√hidden)`.
    #[track_caller]
    pub(super) fn new(
        suffix: String,
        sizes: &Sizes,
        rng: &mut Generator,
        device: &Device,
    ) -> Weights {
        let bound = 1.0 / (sizes.hidden.max(1) as f64).sqrt();
        let rows = sizes.hidden.saturating_mul(sizes.gates);
        let mut draw = |shape: &[usize]| symmetric(shape, bound, rng, device);
        Weights {
            suffix,
            ih: draw(&[rows, sizes.input]),
            hh: draw(&[rows, sizes.state]),
            bias_ih: sizes.bias.then(|| draw(&[rows])),
            bias_hh: sizes.bias.then(|| draw(&[rows])),
            extra: sizes
                .extra
                .iter()
                .map(|(name, shape)| (*name, draw(shape)))
                .collect(),
        }
    }

    /// With one bias, as Keras has it.
    pub(super) fn with_one_bias(self) -> Weights {
        Weights {
            bias_hh: None,
            ..self
        }
    }

    /// In f32.
    #[track_caller]
    pub(super) fn widened(&self) -> Weights {
        let extra = self.extra.iter();
        Weights {
            suffix: self.suffix.clone(),
            ih: (&self.ih).widened(),
            hh: (&self.hh).widened(),
            bias_ih: self.bias_ih.as_ref().widened(),
            bias_hh: self.bias_hh.as_ref().widened(),
            extra: extra.map(|(name, t)| (*name, t.widened())).collect(),
        }
    }

    /// The parameter of this name, where the layer has it.
    pub(super) fn extra(&self, name: &str) -> Option<&Tensor> {
        let found = self.extra.iter().find(|(n, _)| *n == name);
        found.map(|(_, t)| t)
    }

    /// The state's product.
    #[track_caller]
    pub(super) fn recur(&self, h: &Tensor) -> Tensor {
        h.linear(&self.hh, None)
    }

    /// The state's product and its bias.
    #[track_caller]
    pub(super) fn recur_apart(&self, h: &Tensor) -> Tensor {
        h.linear(&self.hh, self.bias_hh.as_ref())
    }

    /// The inputs' products and whatever bias need not stand `apart`.
    #[track_caller]
    pub(super) fn products(&self, sequence: &Tensor, apart: bool) -> Tensor {
        match (&self.bias_ih, &self.bias_hh) {
            (Some(ih), Some(hh)) if !apart => sequence.linear(&self.ih, Some(&(ih + hh))),
            (ih, _) => sequence.linear(&self.ih, ih.as_ref()),
        }
    }

    /// All of them, under their names.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let named = |kind: &str| format!("{kind}{}", self.suffix);
        let mut all = vec![
            (named("weight_ih"), &self.ih),
            (named("weight_hh"), &self.hh),
        ];
        all.extend(self.bias_ih.iter().map(|t| (named("bias_ih"), t)));
        all.extend(self.bias_hh.iter().map(|t| (named("bias_hh"), t)));
        all.extend(self.extra.iter().map(|(name, t)| (named(name), t)));
        all.into_iter()
    }

    fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        [&mut self.ih, &mut self.hh]
            .into_iter()
            .chain(&mut self.bias_ih)
            .chain(&mut self.bias_hh)
            .chain(self.extra.iter_mut().map(|(_, t)| t))
    }
}

/// `N` equal parts of the last dimension.
#[track_caller]
pub(super) fn gates<const N: usize>(x: &Tensor) -> [Tensor; N] {
    let size = x.size(-1) / N;
    std::array::from_fn(|i| x.narrow(-1, i * size, size))
}

impl Module for Weights {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, tensor) in self.names() {
            visitor(&join(path, &name), Kind::Parameter, tensor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        let names: Vec<String> = self
            .names()
            .map(|(name, _)| join(path, &name).into_owned())
            .collect();
        for (name, tensor) in names.iter().zip(self.tensors_mut()) {
            visitor(name, Kind::Parameter, tensor);
        }
    }

    fn visit_host(&mut self, _: &mut dyn FnMut(Host<'_>)) {}

    fn duplicate(&self) -> Option<Weights> {
        Some(self.clone())
    }
}
