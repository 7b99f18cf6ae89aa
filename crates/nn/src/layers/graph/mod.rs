//! Layers on graphs that are given as lists of edges: message passing, graph convolution and graph attention, with the
//! names of PyTorch Geometric. Nodes are rows, an edge is a column of `[2, edges]`: from where, to where.

mod gat;
mod gcn;
mod message;

pub use gat::{GatConv, GatOptions};
pub use gcn::GcnConv;
pub use message::{Aggregate, propagate};

use message::{Edges, segment_max, segment_sum};
