//! From the recorded graph to a plan: collect ► simplify ► scattered ► assemble ► transpose ► widen ► lower (fuse) ►
//! place ► maps to their readers ► rows ► epilogue ► order ► donate ► memory. Each pass is a pure function on plain data; nothing here
//! runs anything.

mod assemble;
mod attention;
mod collect;
mod convolution;
mod donate;
mod dump;
mod epilogue;
mod expression;
mod extent;
mod fit;
mod flow;
mod loops;
mod lower;
mod mark;
mod memory;
mod order;
mod place;
mod row_kernel;
mod rows;
#[cfg(test)]
mod scaling;
mod scattered;
mod simplify;
mod strided;
mod transpose;
mod verify;
mod widen;

pub(crate) use collect::{Collected, Leaf, collect, collect_traced};
pub(crate) use dump::{graph_text, plan_text};
pub(crate) use verify::{verify_graph, verify_plan};

use crate::ops::{Op, Operand};
use crate::plan::Plan;
use std::panic::Location;

/// What a node of a plan's graph stands for. Passes hand it on, so that an error can name who recorded the node, also
/// where another recording of the same structure runs by the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Where it was recorded.
    pub(crate) line: &'static Location<'static>,
    /// Its number in the graph as collected.
    pub(crate) node: usize,
}

impl Site {
    /// What a kernel writes to the status word when an index of this node is out of range: never 0.
    pub(crate) fn check(self) -> u32 {
        self.node as u32 + 1
    }
}

/// A node of a collected graph; operands are positions of earlier nodes.
#[derive(Clone, Debug)]
pub(crate) struct GraphNode {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: crate::dtype::DType,
    pub(crate) location: Site,
    /// Position among the leaves of a run, for nodes that have a value.
    pub(crate) leaf: Option<usize>,
    /// First of the node's run-time scalars.
    pub(crate) scalar: Option<usize>,
}

/// The part of the recorded graph that a plan computes, in topological order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) n_leaves: usize,
    pub(crate) n_scalars: usize,
}

impl Graph {
    /// How often each node is read, outputs included.
    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        let reads = self.nodes.iter().flat_map(|n| &n.inputs);
        reads.chain(&self.outputs).for_each(|&n| uses[n] += 1);
        uses
    }

    /// Name and place of a node by its number, those of loops' bodies after its own.
    pub(crate) fn site(&self, node: usize) -> Option<(&'static str, &'static Location<'static>)> {
        match self.nodes.get(node) {
            Some(own) => Some((own.op.name(), own.location.line)),
            None => {
                let ops = self.nodes.iter().map(|n| &n.op);
                crate::loops::site_in(ops, node - self.nodes.len())
            }
        }
    }

    /// Appends a node whose operands fit it.
    fn push(&mut self, op: impl Into<Op>, inputs: Vec<usize>, location: Site) -> usize {
        let op = op.into();
        let operands: Vec<Operand> = inputs
            .iter()
            .map(|&i| Operand {
                shape: &self.nodes[i].shape,
                dtype: self.nodes[i].dtype,
            })
            .collect();
        // The verifier shows a node that does not fit.
        let shape = op.shape(&operands).unwrap_or_default();
        let dtype = op.dtype(&operands).unwrap_or(self.nodes[inputs[0]].dtype);
        self.nodes.push(GraphNode {
            op,
            inputs,
            shape,
            dtype,
            location,
            leaf: None,
            scalar: None,
        });
        self.nodes.len() - 1
    }
}

/// What the planner has to respect and may do. Executors differ in no more than this table says:
///
/// | | cpu | software GPU | card | why |
/// |---|---|---|---|---|
/// | `max_inputs` | 32 | 6 to 32 | 6 to 32 | storage buffers that the adapter binds, less output and status word |
/// | `host`: Rows sum over the rows | yes | no | no | the cpu's threads wait for each other inside a step, workgroups cannot |
/// | rows of up to | 2^20 points | 2^16 | 2^16 | what a row keeps stays in a cache; a workgroup would be alone with it for long |
/// | `host`: Rows write parts of a concatenation | yes | no | no | each part is one more binding on a GPU |
/// | not `host`: Rows, scans, windows, reductions store f16 and bf16 | no | yes | yes | the cpu's loops over rows and lines are of words |
/// | `host`: weight gradients after the input's | yes | no | no | their operands are in no cache of a GPU; there the order saves nothing |
/// | `align` | 1 | 4 to 64 | 4 to 64 | where a binding may begin; a loop's slices lie so |
/// | `epilogues` | no | no | yes | a card is spared a pass over the result. On the cpu it finds the result in its cache; llvmpipe compiles one more kernel, which makes a first step take 2.3 s instead of 1.2 |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    /// Buffers one kernel may read.
    pub(crate) max_inputs: usize,
    /// Instructions of one fused expression: beyond it shader compilers take seconds.
    pub(crate) max_insts: usize,
    /// Whether element-wise chains are fused at all.
    pub(crate) fuse: bool,
    /// Whether the plan runs on the host's threads.
    pub(crate) host: bool,
    /// Products may go on with an element-wise program where they store.
    pub(crate) epilogues: bool,
    /// Slices of a buffer that a kernel is given begin at multiples of so many elements of four bytes.
    pub(crate) align: usize,
}

/// Plans `graph`. A step that meets an index out of range writes its node's [`Site::check`].
pub(crate) fn plan(graph: &Graph, limits: &Limits) -> Plan {
    plan_replacing(graph, &[], limits)
}

/// As [`plan`]; result `r` may take the place of leaf `replaced[r]`, which nobody else needs after the run.
pub(crate) fn plan_replacing(graph: &Graph, replaced: &[Option<usize>], limits: &Limits) -> Plan {
    if cfg!(debug_assertions) {
        timed("verify", || verify_graph(graph));
    }
    let firsts = loops::first_numbers(graph);
    let graph = rewritten(graph, limits);
    let bodies = loops::planned(&graph, &firsts, limits);
    let mut plan = timed("lower", || lower::lower(&graph, limits, &bodies));
    if limits.fuse {
        timed("place", || place::in_place(&mut plan));
    }
    if limits.fuse {
        timed("readers", || order::maps_to_readers(&mut plan, limits));
        timed("rows", || rows::fuse(&mut plan, limits));
    }
    if limits.fuse && limits.epilogues {
        timed("epilogue", || epilogue::fuse(&mut plan, limits));
    }
    if limits.host {
        timed("order", || order::weight_gradients_last(&mut plan));
    }
    timed("donate", || donate::leaves(&mut plan, replaced, limits));
    timed("memory", || memory::assign(&mut plan));
    if cfg!(debug_assertions) {
        timed("verify the plan", || verify_plan(&plan, limits));
    }
    plan
}

/// The graph that is lowered: what stands between collecting and plans.
fn rewritten(graph: &Graph, limits: &Limits) -> Graph {
    let graph = loops::settled(graph.clone());
    let mut graph = timed("simplify", || simplify::merge(graph));
    if limits.fuse {
        graph = timed("scattered", || scattered::first(graph));
        graph = timed("assemble", || assemble::assemble(graph));
        graph = timed("transpose", || transpose::products(graph));
        graph = timed("simplify again", || simplify::merge(graph));
    }
    timed("widen", || {
        widen::widen(simplify::without_barriers(graph), limits.host)
    })
}

/// What `pass` gives, with the time that it takes in the profile, if one is written.
pub(crate) fn timed<T>(name: &'static str, pass: impl FnOnce() -> T) -> T {
    let began = crate::profile::begin();
    #[cfg(test)]
    let clock = scaling::clock();
    let result = pass();
    #[cfg(test)]
    scaling::took(name, clock);
    crate::profile::planning(began, name);
    result
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{collect, plan_replacing};
    use crate::plan::Plan;
    use crate::{Device, Tensor};

    pub(crate) use crate::device::CPU_LIMITS as LIMITS;

    /// The plan that a cpu runs.
    pub(crate) fn planned(outputs: &[&Tensor]) -> Plan {
        planned_replacing(outputs, &[])
    }

    /// The same, with the leaves that results may take the place of.
    pub(crate) fn planned_replacing(outputs: &[&Tensor], replaced: &[Option<&Tensor>]) -> Plan {
        let collected = collect(outputs);
        let leaf = |t: &Tensor| collected.leaves.iter().position(|l| l.tensor.same(t));
        let replaced: Vec<_> = replaced.iter().map(|t| t.and_then(leaf)).collect();
        plan_replacing(&collected.graph(), &replaced, &LIMITS)
    }

    pub(super) fn tensor(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i % 17) as f32 * 0.1).collect();
        Tensor::from_slice(&values, shape, &Device::cpu())
    }
}
