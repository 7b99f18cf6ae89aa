//! An [`Expr`] made ready to be evaluated in blocks of lanes that stay in the first-level cache. Made once for a
//! plan and run many times: it holds no buffer, no scalar and nothing else of a run. Map, Reduce and Rows drive it;
//! it knows none of them.

use super::walk::{Nest, Walk};
use crate::dtype::{Class, DType};
use crate::plan::{BlockFn, Expr, Inst, View};

/// The most lanes of a block: 4 KiB, so that ten registers fit in the first-level cache.
pub(super) const LANES: usize = 1024;

/// An instruction ready to run.
#[derive(Debug)]
pub(super) enum Instr {
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
    },
    Index {
        walk: usize,
    },
    Random {
        walk: usize,
        scalar: usize,
    },
    Scalar(usize),
    Constant(u32),
    Apply {
        f: BlockFn,
        args: Vec<usize>,
    },
}

/// An expression ready to run over a merged loop nest.
#[derive(Debug)]
pub(super) struct Program {
    /// The loops.
    pub(super) nest: Nest,
    /// The walks of the operations, then those of the additional views.
    pub(super) walks: Vec<Walk>,
    /// One operation for each register.
    pub(super) ops: Vec<Instr>,
    /// Registers that hold the same value in every lane of every block.
    pub(super) still: Vec<bool>,
    /// The lane buffer of each register; registers whose lives do not overlap share one.
    pub(super) buffer: Vec<usize>,
    /// Number of lane buffers.
    pub(super) n_buffers: usize,
    /// Cost of one element, in about tenths of nanoseconds.
    pub(super) cost: usize,
}

impl Program {
    /// Prepares `expr` for the loop nest `shape` walked in the order `order` of its dimensions. The views `more`
    /// take part in merging. With `tiles` the nest may be cut into tiles where a load runs across its rows.
    pub(super) fn new(
        expr: &Expr,
        shape: &[usize],
        order: &[usize],
        more: &[&View],
        tiles: bool,
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
        let ops = lower(expr, &walks);
        let still = still_registers(&ops, &walks, &nest);
        let (buffer, n_buffers) = assign(&ops, &still);
        let cost = expr.insts.iter().map(cost_of).sum::<usize>() + 1;
        Program {
            nest,
            walks,
            ops,
            still,
            buffer,
            n_buffers,
            cost,
        }
    }

    /// The walk of the last of the additional views.
    pub(super) fn last_walk(&self) -> &Walk {
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
        Inst::Scalar { .. } | Inst::Literal { .. } => 0,
        Inst::Apply { op, .. } => op.cost.max(1) as usize,
    }
}

fn lower(expr: &Expr, walks: &[Walk]) -> Vec<Instr> {
    let mut next_walk = 0;
    let mut walk = || {
        next_walk += 1;
        next_walk - 1
    };
    // Registers with one value for each row of the nest.
    let mut by_row = Vec::with_capacity(expr.insts.len());
    let mut ops = Vec::with_capacity(expr.insts.len());
    for (reg, inst) in expr.insts.iter().enumerate() {
        let (op, same) = match inst {
            Inst::Load { input, .. } => {
                let walk = walk();
                (
                    Instr::Load {
                        input: *input,
                        dtype: expr.inputs[*input],
                        walk,
                    },
                    walks[walk].step() == 0,
                )
            }
            Inst::Gather {
                input,
                index,
                size,
                stride,
                ..
            } => {
                let dtype = expr.inputs[*input];
                let outside = if dtype.is_float() {
                    f32::NAN.to_bits()
                } else {
                    0
                };
                let (walk, by_row) = (walk(), by_row[*index]);
                let same = by_row && walks[walk].step() == 0;
                (
                    Instr::Gather {
                        input: *input,
                        dtype,
                        walk,
                        index: *index,
                        size: *size,
                        stride: *stride,
                        outside,
                        by_row,
                    },
                    same,
                )
            }
            Inst::Index { .. } => {
                let walk = walk();
                (Instr::Index { walk }, walks[walk].step() == 0)
            }
            Inst::Random { scalar, .. } => {
                let walk = walk();
                (
                    Instr::Random {
                        walk,
                        scalar: *scalar,
                    },
                    walks[walk].step() == 0,
                )
            }
            Inst::Scalar { scalar, .. } => (Instr::Scalar(*scalar), true),
            Inst::Literal { value, dtype } => {
                (Instr::Constant(literal(*value, dtype.class())), true)
            }
            Inst::Apply {
                op,
                args,
                input,
                dtype,
            } => {
                let f = (op.cpu)(input.class(), dtype.class());
                let f = f.unwrap_or_else(|| {
                    panic!(
                        "plan is invalid: {} is not defined for {input} (r{reg})",
                        op.name
                    )
                });
                (
                    Instr::Apply {
                        f,
                        args: args.clone(),
                    },
                    args.iter().all(|&a| by_row[a]),
                )
            }
        };
        by_row.push(same);
        ops.push(op);
    }
    ops
}

fn literal(value: i32, class: Class) -> u32 {
    match class {
        Class::F32 => (value as f32).to_bits(),
        Class::Bool => u32::from(value != 0),
        Class::I32 | Class::U32 => value as u32,
    }
}

fn still_registers(ops: &[Instr], walks: &[Walk], nest: &Nest) -> Vec<bool> {
    let mut still: Vec<bool> = Vec::with_capacity(ops.len());
    for op in ops {
        let same = match op {
            Instr::Load { walk, .. } | Instr::Index { walk } | Instr::Random { walk, .. } => {
                walks[*walk].is_still(nest)
            }
            Instr::Gather { walk, index, .. } => still[*index] && walks[*walk].is_still(nest),
            Instr::Scalar(_) | Instr::Constant(_) => true,
            Instr::Apply { args, .. } => args.iter().all(|&a| still[a]),
        };
        still.push(same);
    }
    still
}

/// Gives each register a lane buffer. A buffer is free again after the last use of its register; a result never
/// shares one with its operands, and still registers keep theirs.
fn assign(ops: &[Instr], still: &[bool]) -> (Vec<usize>, usize) {
    let mut last_use: Vec<usize> = (0..ops.len()).collect();
    for (at, op) in ops.iter().enumerate() {
        operands(op).for_each(|r| last_use[r] = at);
    }
    let mut free = Vec::new();
    let mut n_buffers = 0;
    let mut buffer = Vec::with_capacity(ops.len());
    for (at, op) in ops.iter().enumerate() {
        let reused = if still[at] { None } else { free.pop() };
        buffer.push(reused.unwrap_or_else(|| {
            n_buffers += 1;
            n_buffers - 1
        }));
        let mut dead: Vec<usize> = operands(op)
            .filter(|&r| last_use[r] == at && !still[r])
            .collect();
        dead.sort_unstable();
        dead.dedup();
        free.extend(dead.into_iter().map(|r| buffer[r]));
    }
    (buffer, n_buffers)
}

fn operands(op: &Instr) -> impl Iterator<Item = usize> + '_ {
    let (index, args): (Option<usize>, &[usize]) = match op {
        Instr::Gather { index, .. } => (Some(*index), &[]),
        Instr::Apply { args, .. } => (None, args),
        _ => (None, &[]),
    };
    index.into_iter().chain(args.iter().copied())
}
