//! An [`Expr`] made ready to be evaluated in blocks of lanes that stay in the first-level cache. Made once for a
//! plan and run many times: it holds no buffer, no scalar and nothing else of a run. Map, Reduce and Rows drive it;
//! it knows none of them.

pub(crate) mod fusion;
mod gather;
pub(crate) mod lanes;
pub(crate) mod load;
pub(crate) mod optimizer_steps;
pub(crate) mod philox;
pub(crate) mod store;
pub(crate) mod walk;
pub(crate) mod worker;

use crate::dtype::{Class, DType};
use crate::plan::{BlockFn, Expr, Held, Inst, View};
use crate::program::fusion::{Fused, Op};
use crate::program::walk::{Nest, Walk};

/// The most lanes of a block: 4 KiB, so that ten registers fit in the first-level cache.
pub(crate) const LANES: usize = 1024;

/// An instruction ready to run.
#[derive(Debug)]
pub(crate) enum Instr {
    Load {
        input: usize,
        dtype: DType,
        walk: usize,
    },
    Gather {
        input: usize,
        dtype: DType,
        walk: usize,
        index: usize,
        size: usize,
        stride: i64,
        outside: u32,
        by_row: bool,
        check: u32,
    },
    Index {
        walk: usize,
    },
    Random {
        walk: usize,
        scalar: usize,
    },
    /// What this output of the step holds before; the worker is given it.
    Before(usize),
    /// The value of a stage of Rows, for each point of the nest or for its row.
    Stage {
        stage: usize,
        each: bool,
    },
    Scalar(usize),
    Constant(u32),
    Apply {
        f: BlockFn,
        args: Vec<usize>,
    },
    /// Several operations as one loop, which knows itself which of its operands are lanes.
    Fused {
        f: BlockFn,
        args: Vec<usize>,
    },
}

/// Over which lanes a register holds one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Span {
    /// Lanes differ.
    Lane,
    /// One for each row of the nest.
    Row,
    /// The same in every block.
    All,
}

/// Something that is read point after point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// An input.
    Input(usize),
    /// What an output holds before.
    Output(usize),
}

/// What a program has to know of its step.
#[derive(Clone, Copy)]
pub(crate) struct Around<'s> {
    /// Which stages have a value for each point of the nest.
    pub(crate) each: &'s dyn Fn(usize) -> bool,
    /// Inputs that are what an output holds before.
    pub(crate) held: &'s [Held],
}

/// An expression ready to run over a merged loop nest.
#[derive(Debug)]
pub(crate) struct Program {
    /// The loops.
    pub(crate) nest: Nest,
    /// The walks of the operations, then those of the additional views.
    pub(crate) walks: Vec<Walk>,
    /// One operation for each register.
    pub(crate) ops: Vec<Instr>,
    /// Over what each register holds one value.
    pub(crate) span: Vec<Span>,
    /// The factors, if the result is a product of f32 lanes.
    pub(crate) factors: Option<[usize; 2]>,
    /// Loads of the same points in every row. A block that begins with a row finds in their buffers what the block before left.
    pub(crate) same_rows: Vec<bool>,
    /// The lane buffer of each register; registers whose lives do not overlap share one.
    pub(crate) buffer: Vec<usize>,
    /// Number of lane buffers.
    pub(crate) n_buffers: usize,
    /// Cost of one element, in about tenths of nanoseconds.
    pub(crate) cost: usize,
}

impl Program {
    /// Prepares `expr` for the loop nest `shape` walked in the order `order` of its dimensions. The views `more`
    /// take part in merging. With `tiles` the nest may be cut into tiles where a load runs across its rows.
    pub(crate) fn new(
        expr: &Expr,
        shape: &[usize],
        order: &[usize],
        more: &[&View],
        tiles: bool,
    ) -> Self {
        let around = Around {
            each: &|_| false,
            held: &[],
        };
        Program::within(expr, shape, order, more, (tiles, around))
    }

    /// As [`Program::new`], in a step with more to it than one expression.
    pub(crate) fn within(
        expr: &Expr,
        shape: &[usize],
        order: &[usize],
        more: &[&View],
        (tiles, around): (bool, Around<'_>),
    ) -> Self {
        let views: Vec<&View> = expr
            .insts
            .iter()
            .filter_map(view_of)
            .chain(more.iter().copied())
            .collect();
        let (mut nest, mut walks) = Nest::new(shape, order, &views);
        if tiles {
            nest.cut_tiles(&mut walks, LANES);
        }
        let Fused { ops, span, factors } = lower(expr, &walks, &nest, around);
        let same_rows: Vec<bool> = ops.iter().map(|op| same_rows(op, &walks)).collect();
        let (buffer, n_buffers) = assign(&ops, &span, &same_rows);
        let cost = expr.insts.iter().map(cost_of).sum::<usize>() + 1;
        Program {
            nest,
            walks,
            ops,
            span,
            factors,
            same_rows,
            buffer,
            n_buffers,
            cost,
        }
    }

    /// The outputs of which it reads what they hold before.
    pub(crate) fn before(&self) -> impl Iterator<Item = usize> + '_ {
        self.ops.iter().filter_map(|op| match op {
            Instr::Before(output) => Some(*output),
            _ => None,
        })
    }

    /// What of 4-byte elements is read point after point, and the element of the first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Line, usize)> + '_ {
        self.ops.iter().filter_map(|op| match op {
            Instr::Load { input, dtype, walk } if dtype.size() == 4 => {
                let walk = &self.walks[*walk];
                let line = (Line::Input(*input), walk.offset as usize);
                walk.flat.then_some(line)
            }
            Instr::Before(output) => Some((Line::Output(*output), 0)),
            _ => None,
        })
    }

    /// The walk of the last of the additional views.
    pub(crate) fn last_walk(&self) -> &Walk {
        &self.walks[self.walks.len() - 1]
    }
}

fn view_of(inst: &Inst) -> Option<&View> {
    match inst {
        Inst::Load { view, .. }
        | Inst::Gather { view, .. }
        | Inst::Index { view }
        | Inst::Random { view, .. } => Some(view),
        _ => None,
    }
}

fn cost_of(inst: &Inst) -> usize {
    match inst {
        Inst::Load { .. } | Inst::Index { .. } => 1,
        Inst::Gather { .. } | Inst::Random { .. } => 10,
        Inst::Scalar { .. } | Inst::Literal { .. } | Inst::Stage { .. } => 0,
        Inst::Apply { op, .. } => op.cost.max(1) as usize,
    }
}

/// The operations of `expr`, paired where they run as one loop. Whatever has a view takes the next walk.
fn lower(expr: &Expr, walks: &[Walk], nest: &Nest, around: Around<'_>) -> Fused {
    let mut lowering = Lowering {
        expr,
        walks,
        nest,
        around,
        next_walk: 0,
        spans: Vec::with_capacity(expr.insts.len()),
    };
    let mut names = vec![None; expr.insts.len()];
    let mut ops = Vec::with_capacity(expr.insts.len());
    for (reg, inst) in expr.insts.iter().enumerate() {
        if let Inst::Apply {
            op, input, dtype, ..
        } = inst
            && input.class() == Class::F32
        {
            names[reg] = Op::of(op.function, dtype.class());
        }
        let (op, span) = lowering.op(reg, inst);
        lowering.spans.push(span);
        ops.push(op);
    }
    fusion::fuse(ops, lowering.spans, names)
}

/// An expression while it becomes operations.
struct Lowering<'s> {
    expr: &'s Expr,
    walks: &'s [Walk],
    nest: &'s Nest,
    around: Around<'s>,
    next_walk: usize,
    /// Over what each register so far holds one value.
    spans: Vec<Span>,
}

impl Lowering<'_> {
    /// The next walk, and over what a register that follows it holds one value.
    fn walk(&mut self) -> (usize, Span) {
        let walk = self.next_walk;
        self.next_walk += 1;
        let span = match &self.walks[walk] {
            w if w.is_still(self.nest) => Span::All,
            w if w.step() == 0 => Span::Row,
            _ => Span::Lane,
        };
        (walk, span)
    }

    fn op(&mut self, reg: usize, inst: &Inst) -> (Instr, Span) {
        match inst {
            Inst::Load { input, .. } => {
                let (input, dtype, (walk, span)) = (*input, self.expr.inputs[*input], self.walk());
                match self.around.held.iter().find(|h| h.input == input) {
                    Some(held) => (Instr::Before(held.output), Span::Lane),
                    None => (Instr::Load { input, dtype, walk }, span),
                }
            }
            Inst::Gather {
                input,
                index,
                size,
                stride,
                check,
                ..
            } => {
                let ((walk, span), dtype) = (self.walk(), self.expr.inputs[*input]);
                let nan = f32::NAN.to_bits();
                let op = Instr::Gather {
                    input: *input,
                    dtype,
                    walk,
                    index: *index,
                    size: *size,
                    stride: *stride,
                    outside: if dtype.is_float() { nan } else { 0 },
                    by_row: self.spans[*index] != Span::Lane,
                    check: *check,
                };
                (op, span.min(self.spans[*index]))
            }
            Inst::Index { .. } => {
                let (walk, span) = self.walk();
                (Instr::Index { walk }, span)
            }
            Inst::Random { scalar, .. } => {
                let ((walk, span), scalar) = (self.walk(), *scalar);
                (Instr::Random { walk, scalar }, span)
            }
            Inst::Stage { stage, .. } => {
                let (stage, each) = (*stage, (self.around.each)(*stage));
                let span = if each { Span::Lane } else { Span::Row };
                (Instr::Stage { stage, each }, span)
            }
            Inst::Scalar { scalar, .. } => (Instr::Scalar(*scalar), Span::All),
            Inst::Literal { value, dtype } => {
                (Instr::Constant(literal(*value, dtype.class())), Span::All)
            }
            Inst::Apply {
                op,
                args,
                input,
                dtype,
            } => {
                let f = (op.cpu)(input.class(), dtype.class()).unwrap_or_else(|| {
                    panic!(
                        "plan is invalid: {} is not defined for {input} (r{reg})",
                        op.name
                    )
                });
                let span = args.iter().map(|&a| self.spans[a]).min();
                let args = args.clone();
                (Instr::Apply { f, args }, span.unwrap_or(Span::All))
            }
        }
    }
}

fn literal(value: i32, class: Class) -> u32 {
    match class {
        Class::F32 => (value as f32).to_bits(),
        Class::Bool => u32::from(value != 0),
        Class::I32 | Class::U32 => value as u32,
    }
}

/// Whether an operation loads the same points in every row.
fn same_rows(op: &Instr, walks: &[Walk]) -> bool {
    let Instr::Load { walk, .. } = op else {
        return false;
    };
    match walks[*walk].strides.split_last() {
        Some((1, above)) => !above.is_empty() && above.iter().all(|&s| s == 0),
        _ => false,
    }
}

/// Gives each register a lane buffer. A buffer is free again after the last use of its register; a result never
/// shares one with its operands, and registers that are computed once, or that `keeps` names, keep theirs.
fn assign(ops: &[Instr], span: &[Span], keeps: &[bool]) -> (Vec<usize>, usize) {
    let mut last_use: Vec<usize> = (0..ops.len()).collect();
    for (at, op) in ops.iter().enumerate() {
        operands(op).for_each(|r| last_use[r] = at);
    }
    let mut free = Vec::new();
    let mut n_buffers = 0;
    let mut buffer = Vec::with_capacity(ops.len());
    for (at, op) in ops.iter().enumerate() {
        // What was there before is put into its buffer ahead of all others.
        let own = span[at] == Span::All || keeps[at] || matches!(op, Instr::Before(_));
        let reused = if own { None } else { free.pop() };
        buffer.push(reused.unwrap_or_else(|| {
            n_buffers += 1;
            n_buffers - 1
        }));
        let mut dead: Vec<usize> = operands(op)
            .filter(|&r| last_use[r] == at && span[r] != Span::All && !keeps[r])
            .collect();
        dead.sort_unstable();
        dead.dedup();
        free.extend(dead.into_iter().map(|r| buffer[r]));
    }
    (buffer, n_buffers)
}

/// The registers that an instruction reads.
pub(crate) fn operands(op: &Instr) -> impl Iterator<Item = usize> + '_ {
    let (index, args): (Option<usize>, &[usize]) = match op {
        Instr::Gather { index, .. } => (Some(*index), &[]),
        Instr::Apply { args, .. } | Instr::Fused { args, .. } => (None, args),
        _ => (None, &[]),
    };
    index.into_iter().chain(args.iter().copied())
}
