//! Turns stored nodes into kernel calls, in order. What no kernel can hold is cut before (`fit`); where a view does not
//! exist for a kernel all the same, more nodes are stored and the lowering starts again.

use super::convolution::{conv, product, window};
use super::expression::{Builder, MustStore, views};
use super::loops::Bodies;
use super::mark::{Marked, heads, matrix, three};
use super::strided::{Strided, merge};
use super::{Graph, Limits, Site, attention, fit};
use crate::dtype::DType;
use crate::ops::{Lowered, Movement, Region};
use crate::plan::{
    ArgSort, ConvKind, Custom, CustomKernel, Expr, Inst, Kernel, Map, Matmul, Origin, Place, Plan,
    Reduce, Scan, ScatterAdd, Slot, SlotId, Step, View,
};
use crate::shape::numel;

/// How often nodes are marked anew, with what had to be cut before, until marks are only added.
const ROUNDS: usize = 4;

/// Lowers a widened graph. Temporaries are not assigned to memory yet: every slot but leaves and outputs has a
/// buffer of its own.
pub(crate) fn lower(graph: &Graph, limits: &Limits, bodies: &Bodies) -> Plan {
    let lowered: Vec<Lowered> = graph.nodes.iter().map(|n| n.op.lower()).collect();
    let attentions = attention::groups(graph, &lowered);
    let mut forced = vec![false; graph.nodes.len()];
    for round in 0.. {
        let mut marked = Marked::new(graph, &lowered, limits, &forced);
        let cuts = fit::cut(&mut marked, limits);
        cuts.iter().for_each(|&n| forced[n] = true);
        // What is stored now makes other work cheaper: some of what is shared need not be stored any more.
        if !cuts.is_empty() && round < ROUNDS {
            continue;
        }
        let mut lowering = Lowering {
            marked: &marked,
            limits,
            bodies,
            attentions: &attentions,
            plan: Plan::default(),
            slots: vec![None; graph.nodes.len()],
        };
        let missing = lowering.run();
        if missing.is_empty() {
            return lowering.plan;
        }
        if round >= ROUNDS {
            forced = marked.stored;
        }
        for MustStore(n) in missing {
            forced[n] = true;
        }
    }
    Plan::default()
}

/// What the step of a node's kernel may report.
fn check_of(kernel: &Kernel, site: Site) -> u32 {
    match kernel {
        Kernel::Map(m) => m.expr.check(),
        Kernel::Reduce(r) => r.expr.check(),
        Kernel::ScatterAdd(_) => site.check(),
        _ => 0,
    }
}

struct Lowering<'a> {
    marked: &'a Marked<'a>,
    limits: &'a Limits,
    bodies: &'a Bodies,
    attentions: &'a attention::Groups,
    plan: Plan,
    /// Of each stored node.
    slots: Vec<Option<SlotId>>,
}

impl Lowering<'_> {
    /// Fills the plan; what has to be stored before that can be done.
    fn run(&mut self) -> Vec<MustStore> {
        let graph = self.marked.graph;
        let mut missing = Vec::new();
        self.plan.n_leaves = graph.n_leaves;
        self.plan.n_scalars = graph.n_scalars;
        for n in 0..graph.nodes.len() {
            if let Lowered::Loop = self.marked.lowered[n] {
                missing.extend(self.looped(n).err());
            } else if self.slots[n].is_none() && self.marked.stored[n] {
                self.add_slot(n);
                missing.extend(self.node(n).err());
            }
        }
        for (at, &o) in graph.outputs.iter().enumerate() {
            match self.dense_slot(o) {
                Ok(slot) => {
                    self.plan.outputs.push(slot);
                    if matches!(self.plan.slots[slot].place, Place::Temp(_)) {
                        self.plan.slots[slot].place = Place::Output(at);
                    }
                }
                Err(node) => missing.push(node),
            }
        }
        missing
    }

    fn add_slot(&mut self, n: usize) {
        let node = &self.marked.graph.nodes[n];
        let place = match node.leaf {
            Some(leaf) => Place::Leaf(leaf),
            None => Place::Temp(self.plan.slots.len()),
        };
        self.slots[n] = Some(self.plan.slots.len());
        self.plan.slots.push(Slot {
            dtype: node.dtype,
            len: numel(&node.shape),
            place,
        });
    }

    /// The slot that holds all of `n`, dense.
    fn dense_slot(&self, n: usize) -> Result<SlotId, MustStore> {
        match self.marked.resolve(n) {
            (base, Some(view)) if view.is_dense() => self.slots[base].ok_or(MustStore(n)),
            _ => Err(MustStore(n)),
        }
    }

    /// The slot below `n` and what `fit` makes of the view.
    fn strided_slot<T>(
        &self,
        n: usize,
        fit: impl Fn(&Strided) -> Option<T>,
    ) -> Result<(SlotId, T), MustStore> {
        let (base, view) = self.marked.resolve(n);
        match (self.slots[base], view.and_then(|v| fit(&v))) {
            (Some(slot), Some(t)) => Ok((slot, t)),
            _ => Err(MustStore(n)),
        }
    }

    fn node(&mut self, n: usize) -> Result<(), MustStore> {
        let marked = self.marked;
        let graph = marked.graph;
        let node = &graph.nodes[n];
        match &marked.lowered[n] {
            Lowered::Input => Ok(()),
            Lowered::Regions { fill, regions } => self.regions(n, *fill, regions),
            Lowered::Reduce { kind, dims } => self.reduce(n, *kind, dims),
            Lowered::Matmul => self.matmul(n),
            Lowered::Conv { kind, geometry } => {
                let (a, b) = (
                    &graph.nodes[node.inputs[0]].shape,
                    &graph.nodes[node.inputs[1]].shape,
                );
                let conv = conv(*kind, geometry, a, b, &node.shape);
                let mut inputs = vec![
                    self.dense_slot(node.inputs[0])?,
                    self.dense_slot(node.inputs[1])?,
                ];
                let kernel = match product(&conv) {
                    Some(matmul) => {
                        // The gradient of the output is the left operand, and the input the right one.
                        if *kind == ConvKind::WeightGrad {
                            inputs.reverse();
                        }
                        Kernel::Matmul(matmul)
                    }
                    None => Kernel::Conv(conv),
                };
                self.step(n, kernel, inputs);
                Ok(())
            }
            Lowered::Window { kind, frame } => {
                let x = &graph.nodes[node.inputs[0]].shape;
                let kernel = Kernel::Window(window(*kind, frame, x, &node.shape));
                let inputs = vec![self.dense_slot(node.inputs[0])?];
                self.step(n, kernel, inputs);
                Ok(())
            }
            Lowered::ScatterAdd { dim } => self.scatter_add(n, *dim),
            Lowered::Scan { kind, dim, reverse } => {
                let kernel = Kernel::Scan(Scan {
                    kind: *kind,
                    outer: numel(&node.shape[..*dim]),
                    length: node.shape[*dim],
                    inner: numel(&node.shape[dim + 1..]),
                    reverse: *reverse,
                });
                let inputs: Result<Vec<_>, _> =
                    node.inputs.iter().map(|&i| self.dense_slot(i)).collect();
                self.step(n, kernel, inputs?);
                Ok(())
            }
            Lowered::Attention { .. } => self.attention(n),
            Lowered::Custom(kernel) => self.custom(n, kernel),
            Lowered::ArgSort { descending } => {
                let length = node.shape.last().copied().unwrap_or(1);
                let rows = numel(&node.shape[..node.shape.len() - 1]);
                let inputs = vec![self.dense_slot(node.inputs[0])?];
                self.step(
                    n,
                    Kernel::ArgSort(ArgSort {
                        rows,
                        length,
                        descending: *descending,
                    }),
                    inputs,
                );
                Ok(())
            }
            _ => self.map(n, n, View::contiguous(&node.shape)),
        }
    }

    fn custom(&mut self, n: usize, kernel: &CustomKernel) -> Result<(), MustStore> {
        let graph = self.marked.graph;
        let node = &graph.nodes[n];
        let shapes = node.inputs.iter().map(|&i| graph.nodes[i].shape.clone());
        let slots: Result<Vec<_>, _> = node.inputs.iter().map(|&i| self.dense_slot(i)).collect();
        let custom = Custom {
            kernel: kernel.clone(),
            inputs: shapes.collect(),
            output: node.shape.clone(),
        };
        self.step(n, Kernel::Custom(custom), slots?);
        if let Some(step) = self.plan.steps.last_mut() {
            step.origin.name.clone_from(&kernel.name);
        }
        Ok(())
    }

    /// The step of the first result of an attention, which writes all.
    fn attention(&mut self, n: usize) -> Result<(), MustStore> {
        let Some(group) = self.attentions.get(&n) else {
            return Ok(());
        };
        let operands = attention::operands(self.marked, group).into_iter();
        let inputs = operands.map(|(i, mask)| self.strided_slot(i, |s| heads(s, mask)));
        let (inputs, views) = inputs.collect::<Result<(Vec<_>, Vec<_>), _>>()?;
        for &(_, other) in group.iter().filter(|&&(_, other)| other != n) {
            self.add_slot(other);
        }
        let slots: Vec<_> = group.iter().filter_map(|&(_, o)| self.slots[o]).collect();
        let Some(kernel) = attention::kernel(self.marked, group, views) else {
            return Ok(());
        };
        self.step(n, Kernel::Attention(kernel), inputs);
        if let Some(step) = self.plan.steps.last_mut() {
            step.output = slots[0];
            step.more_outputs = slots[1..].to_vec();
        }
        Ok(())
    }

    /// The step of a loop, which writes all its results.
    fn looped(&mut self, n: usize) -> Result<(), MustStore> {
        let Some(body) = self.bodies.get(&n) else {
            return Ok(());
        };
        let node = &self.marked.graph.nodes[n];
        let inputs = node.inputs.iter().map(|&i| self.dense_slot(i));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        for &pick in &body.picks {
            self.add_slot(pick);
        }
        let mut outputs = body.picks.iter().filter_map(|&pick| self.slots[pick]);
        let Some(output) = outputs.next() else {
            return Ok(());
        };
        let step = Step {
            check: body.kernel.body.checks().first().copied().unwrap_or(0),
            kernel: Kernel::Loop(body.kernel.clone()),
            inputs,
            output,
            more_outputs: outputs.collect(),
            then: None,
            origin: Origin {
                name: node.op.name().to_string(),
                location: node.location.line,
                node: node.location.node,
            },
        };
        self.plan.steps.push(step);
        Ok(())
    }

    fn step(&mut self, n: usize, kernel: Kernel, inputs: Vec<SlotId>) {
        let node = &self.marked.graph.nodes[n];
        let origin = Origin {
            name: origin_name(&kernel, node.op.name()),
            location: node.location.line,
            node: node.location.node,
        };
        self.plan.steps.push(Step {
            check: check_of(&kernel, node.location),
            kernel,
            inputs,
            output: self.slots[n].unwrap_or_default(),
            more_outputs: Vec::new(),
            then: None,
            origin,
        });
    }

    /// A map that computes `value` into the slot of `n`.
    fn map(&mut self, n: usize, value: usize, store: View) -> Result<(), MustStore> {
        let mut shape = self.marked.graph.nodes[value].shape.clone();
        if shape.contains(&0) {
            return Ok(());
        }
        let (mut expr, inputs) = self.expr(n, value, None)?;
        let mut store = store;
        let mut all = views(&mut expr);
        all.push(&mut store);
        merge(&mut shape, &mut all, None);
        self.step(n, Kernel::Map(Map { shape, expr, store }), inputs);
        Ok(())
    }

    /// The program for `value` in the kernel of `n`, and its input slots.
    fn expr(
        &self,
        n: usize,
        value: usize,
        top: Option<&Movement>,
    ) -> Result<(Expr, Vec<SlotId>), MustStore> {
        let (expr, inputs) = Builder::new(self.marked, n).build(value, top)?;
        debug_assert!(
            inputs.len() <= self.limits.max_inputs && expr.insts.len() <= self.limits.max_insts,
            "node {n} was cut"
        );
        let slots = inputs.iter().map(|&i| self.slots[i].ok_or(MustStore(i)));
        Ok((expr, slots.collect::<Result<_, _>>()?))
    }

    fn regions(&mut self, n: usize, fill: bool, regions: &[Region]) -> Result<(), MustStore> {
        let node = &self.marked.graph.nodes[n];
        if fill && !node.shape.contains(&0) {
            let zero = Expr {
                inputs: Vec::new(),
                insts: vec![Inst::Literal {
                    value: 0,
                    dtype: node.dtype,
                }],
            };
            let len = numel(&node.shape);
            let map = Map {
                shape: vec![len],
                expr: zero,
                store: View::contiguous(&[len]),
            };
            self.step(n, Kernel::Map(map), Vec::new());
        }
        for (&operand, region) in node.inputs.iter().zip(regions) {
            let store = Strided::dense(&node.shape).moved(&Movement::Slice {
                start: region.start.clone(),
                step: region.step.iter().map(|&s| s as isize).collect(),
                size: self.marked.graph.nodes[operand].shape.clone(),
            });
            let store = store.ok_or(MustStore(operand))?.view();
            self.map(n, operand, store)?;
        }
        Ok(())
    }

    fn reduce(
        &mut self,
        n: usize,
        kind: crate::plan::ReduceKind,
        dims: &[usize],
    ) -> Result<(), MustStore> {
        let operand = self.marked.graph.nodes[n].inputs[0];
        let from = &self.marked.graph.nodes[operand].shape;
        let kept = (0..from.len()).filter(|d| !dims.contains(d));
        let perm: Vec<usize> = kept.chain(dims.iter().copied()).collect();
        let mut shape: Vec<usize> = perm.iter().map(|&d| from[d]).collect();
        let (mut expr, inputs) = self.expr(n, operand, Some(&Movement::Permute(perm)))?;
        // ArgMax counts positions over the reduced dimensions, which merging keeps in order.
        let outer = merge(
            &mut shape,
            &mut views(&mut expr),
            Some(from.len() - dims.len()),
        )
        .unwrap_or(0);
        let inner = shape.split_off(outer);
        self.step(
            n,
            Kernel::Reduce(Reduce {
                kind,
                outer: shape,
                inner,
                expr,
            }),
            inputs,
        );
        Ok(())
    }

    fn matmul(&mut self, n: usize) -> Result<(), MustStore> {
        let graph = self.marked.graph;
        let node = &graph.nodes[n];
        let r = node.shape.len();
        let k = graph.nodes[node.inputs[0]].shape[r - 1];
        let (a_slot, a) = self.strided_slot(node.inputs[0], matrix)?;
        let (b_slot, b) = self.strided_slot(node.inputs[1], matrix)?;
        let batch = numel(&node.shape[..r - 2]);
        let kernel = Kernel::Matmul(Matmul {
            batch,
            m: node.shape[r - 2],
            n: node.shape[r - 1],
            k,
            a,
            b,
        });
        self.step(n, kernel, vec![a_slot, b_slot]);
        Ok(())
    }

    fn scatter_add(&mut self, n: usize, dim: usize) -> Result<(), MustStore> {
        let graph = self.marked.graph;
        let node = &graph.nodes[n];
        let src = &graph.nodes[node.inputs[0]].shape;
        let src_slot = self.dense_slot(node.inputs[0])?;
        let (index_slot, index) = self.strided_slot(node.inputs[1], |s| three(s, dim))?;
        let kernel = Kernel::ScatterAdd(ScatterAdd {
            outer: numel(&src[..dim]),
            count: src[dim],
            size: node.shape[dim],
            inner: numel(&src[dim + 1..]),
            index,
        });
        self.step(n, kernel, vec![src_slot, index_slot]);
        Ok(())
    }
}

/// Names of the fused operations, without the machinery of indices.
fn origin_name(kernel: &Kernel, root: &'static str) -> String {
    let expr = match kernel {
        Kernel::Map(m) => &m.expr,
        Kernel::Reduce(r) => &r.expr,
        _ => return root.to_string(),
    };
    let mut names: Vec<&str> = expr
        .insts
        .iter()
        .filter_map(|i| match i {
            Inst::Apply { op, .. } => Some(op.name),
            Inst::Gather { .. } => Some("gather"),
            Inst::Random { .. } => Some("random"),
            _ => None,
        })
        .collect();
    if names.last() != Some(&root) {
        names.push(root);
    }
    names.join("+")
}

/// Bytes a slot takes, a whole number of words.
pub(crate) fn slot_bytes(len: usize, dtype: DType) -> usize {
    (len * dtype.size()).next_multiple_of(4)
}
