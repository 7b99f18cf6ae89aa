//! Builds the element-wise program of one kernel: walks from its root down to stored nodes, pushing views into loads.

use super::mark::Marked;
use super::strided::Strided;
use crate::ops::{Lowered, Movement};
use crate::plan::{Expr, Inst, Reg, View};
use rustc_hash::FxHashMap;

/// Why a program could not be built: this node needs a buffer of its own.
pub(crate) struct MustStore(pub(crate) usize);

/// A program under construction. Views cover the dimensions of the root, not merged yet.
pub(crate) struct Builder<'a> {
    marked: &'a Marked<'a>,
    /// Nodes whose buffers are read, in binding order.
    pub(crate) inputs: Vec<usize>,
    insts: Vec<Inst>,
    known: FxHashMap<(usize, Vec<usize>), Reg>,
    root: usize,
}

impl<'a> Builder<'a> {
    /// A program for the kernel of `root`.
    pub(crate) fn new(marked: &'a Marked<'a>, root: usize) -> Builder<'a> {
        Builder {
            marked,
            inputs: Vec::new(),
            insts: Vec::new(),
            known: FxHashMap::default(),
            root,
        }
    }

    /// The program that computes `node`, seen through `top` if the kernel permutes it.
    pub(crate) fn build(
        mut self,
        node: usize,
        top: Option<&Movement>,
    ) -> Result<(Expr, Vec<usize>), MustStore> {
        self.node(node, &mut Vec::new(), top)?;
        let inputs = self
            .inputs
            .iter()
            .map(|&n| self.marked.graph.nodes[n].dtype)
            .collect();
        Ok((
            Expr {
                inputs,
                insts: self.insts,
            },
            self.inputs,
        ))
    }

    fn push(&mut self, inst: Inst) -> Reg {
        self.insts.push(inst);
        self.insts.len() - 1
    }

    /// Emits `n` under the views in `chain` (nodes, outermost first); returns its register.
    fn node(
        &mut self,
        n: usize,
        chain: &mut Vec<usize>,
        top: Option<&Movement>,
    ) -> Result<Reg, MustStore> {
        if let Some(&reg) = self.known.get(&(n, chain.clone())) {
            return Ok(reg);
        }
        let reg = self.emit(n, chain, top)?;
        self.known.insert((n, chain.clone()), reg);
        Ok(reg)
    }

    fn emit(
        &mut self,
        n: usize,
        chain: &mut Vec<usize>,
        top: Option<&Movement>,
    ) -> Result<Reg, MustStore> {
        let marked = self.marked;
        let node = &marked.graph.nodes[n];
        if marked.stored[n] && n != self.root {
            let view = self.view(Strided::dense(&node.shape), chain, top)?.view();
            let input = self.input(n);
            return Ok(self.push(Inst::Load { input, view }));
        }
        match &marked.lowered[n] {
            Lowered::View(_) => {
                chain.push(n);
                let reg = self.node(node.inputs[0], chain, top);
                chain.pop();
                reg
            }
            Lowered::Identity => self.node(node.inputs[0], chain, top),
            Lowered::Constant {
                literal: Some(value),
                ..
            } => Ok(self.push(Inst::Literal {
                value: *value,
                dtype: node.dtype,
            })),
            Lowered::Constant { .. } => Ok(self.push(Inst::Scalar {
                scalar: node.scalar.unwrap_or(0),
                dtype: node.dtype,
            })),
            Lowered::Iota => {
                let view = self.view(Strided::dense(&node.shape), chain, top)?.view();
                Ok(self.push(Inst::Index { view }))
            }
            Lowered::Random { .. } => {
                let view = self.view(Strided::dense(&node.shape), chain, top)?.view();
                Ok(self.push(Inst::Random {
                    view,
                    scalar: node.scalar.unwrap_or(0),
                }))
            }
            Lowered::Gather { dim } => self.gather(n, *dim, chain, top),
            Lowered::Elementwise(op) => {
                let args = node
                    .inputs
                    .iter()
                    .map(|&i| self.node(i, chain, top))
                    .collect::<Result<Vec<_>, _>>()?;
                let input = node
                    .inputs
                    .last()
                    .map_or(node.dtype, |&i| marked.graph.nodes[i].dtype);
                Ok(self.push(Inst::Apply {
                    op,
                    args,
                    input,
                    dtype: node.dtype,
                }))
            }
            // Kernels and leaves are stored, so this is the root itself, which its kernel does not read.
            _ => Err(MustStore(n)),
        }
    }

    fn gather(
        &mut self,
        n: usize,
        dim: usize,
        chain: &mut Vec<usize>,
        top: Option<&Movement>,
    ) -> Result<Reg, MustStore> {
        let node = &self.marked.graph.nodes[n];
        let check = node.location.check();
        let index = self.node(node.inputs[1], chain, top)?;
        let (base, view) = self.marked.resolve(node.inputs[0]);
        let Some(mut x) = view else {
            return Err(MustStore(node.inputs[0]));
        };
        let (size, stride) = (x.shape[dim], x.strides[dim]);
        x.strides[dim] = 0;
        x.shape.clone_from(&node.shape);
        let view = self.view(x, chain, top)?.view();
        let input = self.input(base);
        Ok(self.push(Inst::Gather {
            input,
            view,
            index,
            size,
            stride,
            check,
        }))
    }

    fn input(&mut self, n: usize) -> usize {
        self.inputs.iter().position(|&i| i == n).unwrap_or_else(|| {
            self.inputs.push(n);
            self.inputs.len() - 1
        })
    }

    /// `base` moved by the chain, innermost view first. Where a reshape would copy, its operand must be stored.
    fn view(
        &self,
        base: Strided,
        chain: &[usize],
        top: Option<&Movement>,
    ) -> Result<Strided, MustStore> {
        let mut s = base;
        for &v in chain.iter().rev() {
            if let Lowered::View(m) = &self.marked.lowered[v] {
                s = s
                    .moved(m)
                    .ok_or(MustStore(self.marked.graph.nodes[v].inputs[0]))?;
            }
        }
        match top {
            Some(m) => s.moved(m).ok_or(MustStore(self.root)),
            None => Ok(s),
        }
    }
}

/// Every view of a program, to merge loop dimensions.
pub(crate) fn views(expr: &mut Expr) -> Vec<&mut View> {
    expr.insts
        .iter_mut()
        .filter_map(|i| match i {
            Inst::Load { view, .. }
            | Inst::Gather { view, .. }
            | Inst::Index { view }
            | Inst::Random { view, .. } => Some(view),
            _ => None,
        })
        .collect()
}
