//! Builds the element-wise program of one kernel: walks from its root down to stored nodes, pushing views into loads.
//! Walks without recursion: programs are short, but the views between their instructions may be many.

use super::mark::Marked;
use super::strided::Strided;
use crate::ops::{Lowered, Movement};
use crate::plan::{Expr, Inst, Reg, View};
use rustc_hash::FxHashMap;

/// Why a program could not be built: this node needs a buffer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MustStore(pub(crate) usize);

/// A list of views, outermost first, by number; [`Chains::NONE`] is that of none.
pub(super) type Chain = u32;

/// Lists of views: each is another one and a view below it.
#[derive(Default)]
pub(super) struct Chains {
    links: Vec<(Chain, usize)>,
    known: FxHashMap<(Chain, usize), Chain>,
}

impl Chains {
    /// No view.
    pub(super) const NONE: Chain = 0;

    /// `chain` and then `view`, a node.
    pub(super) fn longer(&mut self, chain: Chain, view: usize) -> Chain {
        let links = &mut self.links;
        *self.known.entry((chain, view)).or_insert_with(|| {
            links.push((chain, view));
            links.len() as Chain
        })
    }

    /// Forgets all lists.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.known.clear();
    }

    /// The views of a list, innermost first.
    fn views(&self, mut chain: Chain) -> impl Iterator<Item = usize> + '_ {
        std::iter::from_fn(move || {
            let (before, view) = *self.links.get((chain as usize).checked_sub(1)?)?;
            chain = before;
            Some(view)
        })
    }
}

/// A program under construction. Views cover the dimensions of the root, not merged yet.
pub(crate) struct Builder<'a> {
    marked: &'a Marked<'a>,
    /// Nodes whose buffers are read, in binding order.
    inputs: Vec<usize>,
    insts: Vec<Inst>,
    known: FxHashMap<(usize, Chain), Reg>,
    chains: Chains,
    root: usize,
    top: Option<&'a Movement>,
}

/// What is to be done for a node under some views.
enum Task {
    /// Emit it, unless it has been.
    Emit(usize, Chain),
    /// Emit the node's own instruction: its operands are there.
    Finish(usize, Chain),
    /// The first has the register of the second.
    Alias((usize, Chain), (usize, Chain)),
}

impl<'a> Builder<'a> {
    /// A program for the kernel of `root`.
    pub(crate) fn new(marked: &'a Marked<'a>, root: usize) -> Builder<'a> {
        Builder {
            marked,
            inputs: Vec::new(),
            insts: Vec::new(),
            known: FxHashMap::default(),
            chains: Chains::default(),
            root,
            top: None,
        }
    }

    /// The program that computes `node`, seen through `top` if the kernel permutes it.
    pub(crate) fn build(
        mut self,
        node: usize,
        top: Option<&'a Movement>,
    ) -> Result<(Expr, Vec<usize>), MustStore> {
        self.top = top;
        let mut tasks = vec![Task::Emit(node, Chains::NONE)];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Emit(n, chain) => {
                    if !self.known.contains_key(&(n, chain)) {
                        self.emit(n, chain, &mut tasks)?;
                    }
                }
                Task::Finish(n, chain) => {
                    let inst = self.finish(n, chain)?;
                    self.push((n, chain), inst);
                }
                Task::Alias(to, from) => {
                    let reg = self.known[&from];
                    self.known.insert(to, reg);
                }
            }
        }
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

    fn push(&mut self, at: (usize, Chain), inst: Inst) {
        self.known.insert(at, self.insts.len());
        self.insts.push(inst);
    }

    /// Emits `n` if it has no operands, else lists what has to be done for it.
    fn emit(&mut self, n: usize, chain: Chain, tasks: &mut Vec<Task>) -> Result<(), MustStore> {
        let marked = self.marked;
        let node = &marked.graph.nodes[n];
        if marked.stored[n] && n != self.root {
            let view = self.view(Strided::dense(&node.shape), chain)?;
            let input = self.input(n);
            self.push((n, chain), Inst::Load { input, view });
            return Ok(());
        }
        let inst = match &marked.lowered[n] {
            Lowered::View(_) => {
                // Views of a buffer are known as one, however many there are.
                if let (base, Some(view)) = marked.resolve(n)
                    && marked.stored[base]
                    && base != self.root
                {
                    let view = self.view(view, chain)?;
                    let input = self.input(base);
                    self.push((n, chain), Inst::Load { input, view });
                    return Ok(());
                }
                let below = (node.inputs[0], self.chains.longer(chain, n));
                tasks.push(Task::Alias((n, chain), below));
                tasks.push(Task::Emit(below.0, below.1));
                return Ok(());
            }
            Lowered::Identity => {
                let below = (node.inputs[0], chain);
                tasks.push(Task::Alias((n, chain), below));
                tasks.push(Task::Emit(below.0, below.1));
                return Ok(());
            }
            Lowered::Gather { .. } => {
                tasks.push(Task::Finish(n, chain));
                tasks.push(Task::Emit(node.inputs[1], chain));
                return Ok(());
            }
            Lowered::Elementwise(_) => {
                tasks.push(Task::Finish(n, chain));
                let operands = node.inputs.iter().rev();
                tasks.extend(operands.map(|&i| Task::Emit(i, chain)));
                return Ok(());
            }
            Lowered::Constant {
                literal: Some(value),
                ..
            } => Inst::Literal {
                value: *value,
                dtype: node.dtype,
            },
            Lowered::Constant { .. } => Inst::Scalar {
                scalar: node.scalar.unwrap_or(0),
                dtype: node.dtype,
            },
            Lowered::Iota => Inst::Index {
                view: self.view(Strided::dense(&node.shape), chain)?,
            },
            Lowered::Random { .. } => Inst::Random {
                view: self.view(Strided::dense(&node.shape), chain)?,
                scalar: node.scalar.unwrap_or(0),
            },
            // Kernels and leaves are stored, so this is the root itself, which its kernel does not read.
            _ => return Err(MustStore(n)),
        };
        self.push((n, chain), inst);
        Ok(())
    }

    /// The instruction of a node whose operands are there.
    fn finish(&mut self, n: usize, chain: Chain) -> Result<Inst, MustStore> {
        let marked = self.marked;
        let node = &marked.graph.nodes[n];
        match &marked.lowered[n] {
            Lowered::Gather { dim } => self.gather(n, *dim, chain),
            Lowered::Elementwise(op) => {
                let operands = node.inputs.iter();
                let last = node.inputs.last();
                Ok(Inst::Apply {
                    op,
                    args: operands.map(|&i| self.known[&(i, chain)]).collect(),
                    input: last.map_or(node.dtype, |&i| marked.graph.nodes[i].dtype),
                    dtype: node.dtype,
                })
            }
            _ => Err(MustStore(n)),
        }
    }

    fn gather(&mut self, n: usize, dim: usize, chain: Chain) -> Result<Inst, MustStore> {
        let node = &self.marked.graph.nodes[n];
        let check = node.location.check();
        let index = self.known[&(node.inputs[1], chain)];
        let (base, view) = self.marked.resolve(node.inputs[0]);
        let Some(mut x) = view else {
            return Err(MustStore(node.inputs[0]));
        };
        let (size, stride) = (x.shape[dim], x.strides[dim]);
        x.strides[dim] = 0;
        x.shape.clone_from(&node.shape);
        let view = self.view(x, chain)?;
        let input = self.input(base);
        Ok(Inst::Gather {
            input,
            view,
            index,
            size,
            stride,
            check,
        })
    }

    fn input(&mut self, n: usize) -> usize {
        self.inputs.iter().position(|&i| i == n).unwrap_or_else(|| {
            self.inputs.push(n);
            self.inputs.len() - 1
        })
    }

    /// `base` moved by the chain, innermost view first. Where a reshape would copy, its operand must be stored.
    fn view(&self, base: Strided, chain: Chain) -> Result<View, MustStore> {
        let mut s = base;
        for v in self.chains.views(chain) {
            if let Lowered::View(m) = &self.marked.lowered[v] {
                let copies = MustStore(self.marked.graph.nodes[v].inputs[0]);
                s = s.moved(m).ok_or(copies)?;
            }
        }
        if let Some(m) = self.top {
            s = s.moved(m).ok_or(MustStore(self.root))?;
        }
        Ok(s.view())
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
