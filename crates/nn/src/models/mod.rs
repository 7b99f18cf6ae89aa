//! Ready models, with the parameters' names, shapes and counts of the libraries that publish their weights. Each is a
//! composition of layers; none of them reads a file.

mod bert;
mod gpt2;
mod vit;

pub use bert::{Bert, BertConfig, BertOutput};
pub use gpt2::{Gpt2, Gpt2Config};
pub use vit::{VisionTransformer, VisionTransformerConfig};

/// Implements [`crate::Module`] for a struct whose parts have names that are no field's: `"self.query" => query`.
macro_rules! named {
    ($t:ty { $($name:literal => $field:ident),* $(,)? }) => {
        impl crate::Module for $t {
            fn visit(
                &self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &wgrad_graph::Tensor),
            ) {
                $(self.$field.visit(&crate::join(path, $name), visitor);)*
            }

            fn visit_mut(
                &mut self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &mut wgrad_graph::Tensor),
            ) {
                $(self.$field.visit_mut(&crate::join(path, $name), visitor);)*
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
                $(
                    visitor(crate::Host::Enter(&$name));
                    self.$field.visit_host(visitor);
                    visitor(crate::Host::Leave);
                )*
            }

            fn duplicate(&self) -> Option<$t> {
                Some(self.clone())
            }
        }
    };
}
use named;
