//! What patterns of stages are recognised by, and whether this processor has a way of its own for them. Knows no pattern.

use crate::plan::{Expr, Function, Inst};

/// Whether the ways of their own, which are written for AVX-512, can be taken.
pub(super) fn usable() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::simd::level() == crate::simd::Level::Avx512;
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether a program is this one.
pub(super) fn same(expr: &Expr, want: &[Known<'_>]) -> bool {
    expr.insts.iter().map(known).eq(want.iter().copied())
}

/// An instruction, as far as patterns have it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Known<'e> {
    Load,
    Stage(usize),
    Apply(Function, &'e [usize]),
    Other,
}

fn known(inst: &Inst) -> Known<'_> {
    match inst {
        Inst::Load { .. } => Known::Load,
        Inst::Stage { stage, .. } => Known::Stage(*stage),
        Inst::Apply { op, args, .. } => Known::Apply(op.function, args),
        _ => Known::Other,
    }
}

/// The Rows of a plan for `y`.
#[cfg(test)]
pub(super) fn planned(y: &wgrad_graph::Tensor) -> Option<crate::plan::Rows> {
    let plan = wgrad_graph::planning::planned(&[y], &[]).ok()?.plan;
    plan.steps.into_iter().find_map(|s| match s.kernel {
        crate::plan::Kernel::Rows(rows) => Some(rows),
        _ => None,
    })
}
