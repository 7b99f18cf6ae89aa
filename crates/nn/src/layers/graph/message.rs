//! Messages along edges and what a node makes of those that arrive. Knows no parameters.

use crate::layers::fail;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

/// What a node makes of the messages that arrive; zeros where none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The greatest of each feature.
    Max,
}

/// One round of message passing (Gilmer et al. 2017): `message(from, to)` gives messages `[edges, …]` of the features at
/// both ends of the edges, `[edges, features]` each, and every node combines those that arrive, `[nodes, …]`.
///
/// A node number out of range makes the next reading an error.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Aggregate, propagate};
/// let d = Device::cpu();
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 4.0], &[3, 1], &d);
/// let edges = Tensor::from_slice(&[0, 1, 2, 2, 2, 0], &[2, 3], &d); // 0 → 2, 1 → 2, 2 → 0
/// let sum = propagate(&x, &edges, Aggregate::Sum, |from, _| from.clone());
/// assert_eq!(sum.to_vec::<f32>()?, [4.0, 0.0, 3.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn propagate(
    x: &Tensor,
    edge_index: &Tensor,
    aggregate: Aggregate,
    message: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let edges = match Edges::new("propagate", x, edge_index) {
        Ok(edges) => edges,
        Err(e) => return fail(e.op(), e.kind(), e.message().into(), x),
    };
    let (from, to) = (x.index_select(0, &edges.from), x.index_select(0, &edges.to));
    let messages = message(&from, &to);
    let count = edges.to.size(0);
    if messages.check().is_ok() && (messages.rank() == 0 || messages.size(0) != count) {
        let m = format!("{count} edges have messages {:?}", messages.shape());
        return fail("propagate", ErrorKind::Shape, m, x);
    }
    match aggregate {
        Aggregate::Sum => segment_sum(&messages, &edges.to, x.size(0)),
        Aggregate::Mean => {
            let sum = segment_sum(&messages, &edges.to, x.size(0));
            let one = Tensor::ones(&[count], DType::F32, x.device());
            let n = segment_sum(&one, &edges.to, x.size(0)).clamp_min(1.0);
            let mut shape = vec![1; sum.rank()];
            shape[0] = -1;
            sum / n.reshape(&shape)
        }
        Aggregate::Max => segment_max(&messages, &edges.to, x.size(0)),
    }
}

/// Ends of the edges, i32 each.
pub(super) struct Edges {
    pub(super) from: Tensor,
    pub(super) to: Tensor,
}

impl Edges {
    /// Of features `x [nodes, …]` and a list `[2, edges]` of integers.
    #[track_caller]
    pub(super) fn new(op: &str, x: &Tensor, edge_index: &Tensor) -> Result<Edges> {
        x.check()?;
        edge_index.check()?;
        let integers = !(edge_index.dtype().is_float() || edge_index.dtype() == DType::Bool);
        if x.rank() == 0 || edge_index.rank() != 2 || edge_index.size(0) != 2 || !integers {
            let (dtype, shape) = (edge_index.dtype(), edge_index.shape());
            let m = format!("edges are integers [2, edges], not {dtype}{shape:?}");
            return Err(Error::new(ErrorKind::Shape, op, m));
        }
        let ends = edge_index.cast(DType::I32);
        Ok(Edges {
            from: ends.select(0, 0),
            to: ends.select(0, 1),
        })
    }

    /// With an edge from every node to itself after the others.
    #[track_caller]
    pub(super) fn with_loops(self, nodes: usize) -> Edges {
        let own = Tensor::arange(nodes, self.from.device());
        Edges {
            from: Tensor::cat(&[&self.from, &own], 0),
            to: Tensor::cat(&[&self.to, &own], 0),
        }
    }
}

/// Rows of `values [edges, …]` summed by their `to [edges]`: `[nodes, …]`.
#[track_caller]
pub(super) fn segment_sum(values: &Tensor, to: &Tensor, nodes: usize) -> Tensor {
    if values.check().is_err() {
        return values.clone();
    }
    let mut shape = values.shape().to_vec();
    shape[0] = nodes;
    Tensor::zeros(&shape, values.dtype(), values.device()).index_add(0, to, values, 1.0)
}

/// The greatest of the rows of `values [edges, …]` with the same `to`; zeros where there is none. By two sorts, the last of
/// each node's values in order is its greatest.
#[track_caller]
pub(super) fn segment_max(values: &Tensor, to: &Tensor, nodes: usize) -> Tensor {
    let edges = to.size(0);
    let nothing = edges == 0 || nodes == 0 || values.numel() == 0;
    if nothing || values.check().is_err() || to.check().is_err() {
        return segment_sum(values, to, nodes);
    }
    let mut shape = values.shape().to_vec();
    shape[0] = nodes;
    let flat = values.reshape(&[edges as isize, -1]);
    let width = flat.size(1) as isize;
    let by_value = flat.stop_gradient().argsort(0, false);
    let targets = to.unsqueeze(1).expand(&[-1, width]).gather(0, &by_value);
    let order = by_value.gather(0, &targets.argsort(0, false));
    let count = segment_sum(&Tensor::ones(&[edges], DType::F32, to.device()), to, nodes);
    let last = (count.cumsum(0) - 1.0).clamp_min(0.0).cast(DType::I32);
    let row = order.gather(0, &last.unsqueeze(1).expand(&[-1, width]));
    let found = flat.gather(0, &row);
    let none = count.eq_scalar(0.0).unsqueeze(1);
    let sizes: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
    Tensor::where_(&none, &found.zeros_like(), &found).reshape(&sizes)
}
