//! Recurrent layers and their cells. Parameters, their names and the order of gates are PyTorch's. A layer is a
//! composition of steps; gradients run back through all of them. This page holds what the layers' interfaces share.

mod cells;
mod gru;
mod lengths;
mod lstm;
mod options;
mod rnn;
mod simple_rnn;
mod stack;
mod weights;

pub use cells::{GruCell, LstmCell, RnnCell};
pub use gru::Gru;
pub use lengths::Lengths;
pub use lstm::Lstm;
pub use options::RecurrentOptions;
pub use rnn::{Nonlinearity, Rnn};
pub use simple_rnn::SimpleRnn;

use super::fail;
use stack::{Input, Stack};
use weights::{Weights, gates};

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
