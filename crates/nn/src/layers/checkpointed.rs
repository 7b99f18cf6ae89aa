//! A layer that is computed a second time in the backward pass, to save memory.

use crate::{Context, Layer, Module};
use wgrad_graph::{Tensor, checkpoint};

/// A layer, or a [`Sequential`](crate::Sequential) of some, whose intermediate results are not kept for the backward
/// pass but computed again there: see [`checkpoint`]. The values, gradients and random draws are the layer's own.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Checkpointed, Linear, Module, Relu, Sequential};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let block = Sequential::new().with("fc", Linear::new(8, 8, rng, &device)).with("relu", Relu);
/// let net = Sequential::new().with("block", Checkpointed::new(block));
/// assert_eq!(net.named_parameters()[0].0, "block.fc.weight");
/// ```
#[derive(Clone)]
pub struct Checkpointed<L> {
    /// The layer itself.
    pub layer: L,
}

impl<L: Layer> Checkpointed<L> {
    /// The layer, recomputed.
    pub fn new(layer: L) -> Checkpointed<L> {
        Checkpointed { layer }
    }
}

/// Names are the inner layer's: a checkpoint changes no parameter's path.
impl<L: Layer> Module for Checkpointed<L> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, crate::Kind, &Tensor)) {
        self.layer.visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, crate::Kind, &mut Tensor)) {
        self.layer.visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
        self.layer.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<Checkpointed<L>> {
        self.layer.duplicate().map(Checkpointed::new)
    }
}

impl<L: Layer> Layer for Checkpointed<L> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        checkpoint(|| self.layer.forward(x, cx))
    }

    fn kind(&self) -> String {
        format!("Checkpointed({})", self.layer.kind())
    }
}
