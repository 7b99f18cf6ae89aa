//! Loops: which results of each somebody needs, the plan of its body, and where its slices and results lie. A body is planned
//! as any graph is, once for all rounds. It must not know how a loop runs.

use super::{Graph, GraphNode, Limits, Site, plan};
use crate::dtype::DType;
use crate::ops::cast::Cast;
use crate::ops::concat::Concat;
use crate::ops::input::Input;
use crate::ops::loop_::{Loop, Output, Spec};
use crate::ops::pick::Pick;
use crate::ops::reshape::Reshape;
use crate::ops::slice::Slice;
use crate::ops::{Lowered, Op};
use crate::plan::{self, Kernel, LoopWrite, Place, Plan, Slot, Step};
use crate::shape::numel;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The body of a loop, planned.
pub(super) struct Body {
    pub(super) kernel: plan::Loop,
    /// The nodes of its results, in the order of the step's outputs.
    pub(super) picks: Vec<usize>,
}

/// By the loops' nodes.
pub(super) type Bodies = FxHashMap<usize, Body>;

/// The number of the first node of each loop's body, by the loop's own number: bodies are counted after the graph.
pub(super) fn first_numbers(graph: &Graph) -> FxHashMap<usize, usize> {
    let last = graph.nodes.iter().map(|n| n.location.node).max();
    let mut next = last.map_or(0, |last| last + 1);
    let mut numbers = FxHashMap::default();
    for node in &graph.nodes {
        if let Op::Loop(l) = &node.op {
            numbers.insert(node.location.node, next);
            next += l.body().size;
        }
    }
    numbers
}

/// The graph where loops are read by picks alone, and picks read loops alone. Whoever reads the value itself gets one that is
/// joined of all results.
pub(super) fn settled(graph: Graph) -> Graph {
    let is_loop = |n: usize| matches!(graph.nodes[n].op, Op::Loop(_));
    let strays = |node: &GraphNode| {
        let picks = matches!(node.op, Op::Pick(_));
        node.inputs.iter().any(|&i| is_loop(i) != picks)
    };
    let outputs = graph.outputs.iter().any(|&o| is_loop(o));
    if !outputs && !graph.nodes.iter().any(strays) {
        return graph;
    }
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    // Where each node is, and where its value is.
    let mut to: Vec<(usize, usize)> = Vec::with_capacity(graph.nodes.len());
    for mut node in graph.nodes {
        let reads_loop = |out: &Graph, i: usize| matches!(out.nodes[to[i].0].op, Op::Loop(_));
        let picks = matches!(node.op, Op::Pick(_));
        if let (Op::Pick(pick), false) = (&node.op, picks && reads_loop(&out, node.inputs[0])) {
            let (pick, from) = (pick.clone(), to[node.inputs[0]].1);
            let at = picked_from_flat(&mut out, &pick, from, node.location);
            to.push((at, at));
            continue;
        }
        let own = |&i: &usize| if picks { to[i].0 } else { to[i].1 };
        node.inputs = node.inputs.iter().map(own).collect();
        let (op, site) = (node.op.clone(), node.location);
        out.nodes.push(node);
        let at = out.nodes.len() - 1;
        let value = match op.as_loop() {
            Some(l) => joined(&mut out, l, at, site),
            None => at,
        };
        to.push((at, value));
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o].1);
    out
}

/// Part of a flat value that is no loop's.
fn picked_from_flat(graph: &mut Graph, pick: &Pick, from: usize, site: Site) -> usize {
    let slice = Slice {
        start: vec![pick.start],
        step: vec![1],
        size: vec![numel(&pick.shape)],
    };
    let part = graph.push(slice, vec![from], site);
    let shape = pick.shape.clone();
    let part = graph.push(Reshape { shape }, vec![part], site);
    cast(graph, part, pick.dtype)
}

/// All results of a loop in one.
fn joined(graph: &mut Graph, l: &Loop, node: usize, site: Site) -> usize {
    let mut parts = Vec::new();
    for output in l.outputs() {
        let (shape, dtype) = l.result(output);
        let n = numel(&shape);
        let pick = Pick {
            output,
            start: l.range(output).start,
            shape,
            dtype,
        };
        let part = graph.push(pick, vec![node], site);
        let part = cast(graph, part, DType::F32);
        parts.push(graph.push(Reshape { shape: vec![n] }, vec![part], site));
    }
    let shapes = parts.iter().map(|&p| graph.nodes[p].shape.clone());
    let shapes = shapes.collect();
    graph.push(Concat { dim: 0, shapes }, parts, site)
}

fn cast(graph: &mut Graph, n: usize, to: DType) -> usize {
    match graph.nodes[n].dtype == to {
        true => n,
        false => {
            let site = graph.nodes[n].location;
            graph.push(Cast { to }, vec![n], site)
        }
    }
}

/// The bodies of all loops that somebody picks from.
pub(super) fn planned(graph: &Graph, firsts: &FxHashMap<usize, usize>, limits: &Limits) -> Bodies {
    let mut bodies = Bodies::default();
    let mut picks: FxHashMap<usize, Vec<(usize, Output)>> = FxHashMap::default();
    for (n, node) in graph.nodes.iter().enumerate() {
        if let Lowered::Pick(output) = node.op.lower() {
            picks.entry(node.inputs[0]).or_default().push((n, output));
        }
    }
    for (n, picks) in picks {
        let node = &graph.nodes[n];
        if let Op::Loop(l) = &node.op {
            let first = firsts.get(&node.location.node).copied().unwrap_or(0);
            let scalar = node.scalar.unwrap_or(0);
            bodies.insert(n, body(l, &picks, (first, scalar), limits));
        }
    }
    bodies
}

fn body(
    l: &Loop,
    picks: &[(usize, Output)],
    (first, scalar): (usize, usize),
    limits: &Limits,
) -> Body {
    let spec = l.spec();
    let mut graph = graph_of(spec, first);
    let mut writes = Vec::with_capacity(picks.len());
    for &(_, output) in picks {
        let (shape, _) = l.part(output);
        let (len, pitch) = (numel(shape), l.pitch(shape));
        let node = match output {
            Output::Carry(carry) => {
                writes.push(LoopWrite::Last { carry });
                continue;
            }
            Output::Each(j) => spec.body.outputs[spec.carries + j],
            Output::Before(i) => i,
            Output::Kept(k) => spec.kept[k],
        };
        let result = graph.outputs.len();
        graph.outputs.push(node);
        writes.push(LoopWrite::Each { result, len, pitch });
    }
    let sizes = graph.outputs.iter().map(|&o| numel(&graph.nodes[o].shape));
    let sizes: Vec<usize> = sizes.collect();
    let mut plan = plan(&widened(graph, spec), limits);
    if !limits.host {
        own_results(&mut plan, &sizes);
    }
    let slices = &spec.body.nodes[spec.carries..spec.carries + spec.slices];
    Body {
        kernel: plan::Loop {
            body: Arc::new(plan),
            length: spec.length,
            reverse: spec.reverse,
            carries: sizes[..spec.carries].to_vec(),
            pitches: slices.iter().map(|n| l.pitch(&n.shape)).collect(),
            writes,
            scalar,
        },
        picks: picks.iter().map(|&(n, _)| n).collect(),
    }
}

/// The body as a graph whose leaves are its operands and whose results are the next carries.
fn graph_of(spec: &Spec, first: usize) -> Graph {
    let mut graph = Graph {
        outputs: spec.body.outputs[..spec.carries].to_vec(),
        n_leaves: spec.body.n_inputs,
        ..Graph::default()
    };
    for (n, node) in spec.body.nodes.iter().enumerate() {
        let is_operand = n < spec.body.n_inputs;
        let mut words = Vec::new();
        if let Some(l) = node.op.as_loop() {
            l.body().push_scalars(&mut words);
        } else if !is_operand && node.inputs.is_empty() {
            let number = matches!(node.op.lower(), Lowered::Constant { literal: None, .. });
            words.resize(usize::from(number), 0);
        }
        let scalars = words.len();
        graph.nodes.push(GraphNode {
            op: node.op.clone(),
            inputs: node.inputs.clone(),
            shape: node.shape.clone(),
            dtype: node.dtype,
            location: Site {
                line: node.location,
                node: first + n,
            },
            leaf: is_operand.then_some(n),
            scalar: (scalars > 0).then_some(graph.n_scalars),
        });
        graph.n_scalars += scalars;
    }
    graph
}

/// The same where operands and results are four bytes wide: so they are handed from round to round.
fn widened(graph: Graph, spec: &Spec) -> Graph {
    let wide = DType::widened;
    let n = spec.body.n_inputs;
    let mut nodes = graph.nodes;
    let rest = nodes.split_off(n);
    let narrow: Vec<DType> = nodes.iter().map(|node| node.dtype).collect();
    for node in &mut nodes {
        node.op = Op::Input(Input);
        node.dtype = wide(node.dtype);
    }
    let mut out = Graph { nodes, ..graph };
    // Casts follow the operands, which come first, so that nodes keep their order.
    let place: Vec<usize> = (0..n).map(|i| cast(&mut out, i, narrow[i])).collect();
    let shift = out.nodes.len() - n;
    let new = |i: usize| if i < n { place[i] } else { i + shift };
    for mut node in rest {
        node.inputs.iter_mut().for_each(|i| *i = new(*i));
        out.nodes.push(node);
    }
    for o in 0..out.outputs.len() {
        let at = new(out.outputs[o]);
        let to = wide(out.nodes[at].dtype);
        out.outputs[o] = cast(&mut out, at, to);
    }
    out
}

/// Gives every result a buffer of its own, which the executor may choose, of just so many elements.
fn own_results(plan: &mut Plan, sizes: &[usize]) {
    for at in 0..plan.outputs.len() {
        let slot = plan.outputs[at];
        let Slot { dtype, place, .. } = plan.slots[slot];
        let len = sizes[at];
        if place == Place::Output(at) && plan.slots[slot].len == len {
            continue;
        }
        plan.outputs[at] = plan.slots.len();
        plan.slots.push(Slot {
            dtype,
            len,
            place: Place::Output(at),
        });
        if len > 0 {
            let copy = copy(plan, slot, (at, len));
            plan.steps.push(copy);
        }
    }
}

/// A step that copies a slot into a result.
fn copy(plan: &Plan, from: usize, (result, len): (usize, usize)) -> Step {
    let dtype = plan.slots[from].dtype;
    let view = plan::View::contiguous(&[len]);
    let load = plan::Inst::Load {
        input: 0,
        view: view.clone(),
    };
    let origin = plan.steps.last().map(|step| step.origin.clone());
    Step {
        kernel: Kernel::Map(plan::Map {
            shape: vec![len],
            expr: plan::Expr {
                inputs: vec![dtype],
                insts: vec![load],
            },
            store: view,
        }),
        inputs: vec![from],
        output: plan.outputs[result],
        more_outputs: Vec::new(),
        then: None,
        check: 0,
        origin: plan::Origin {
            name: "copy".into(),
            ..origin.unwrap_or(plan::Origin {
                name: String::new(),
                location: std::panic::Location::caller(),
                node: 0,
            })
        },
    }
}
