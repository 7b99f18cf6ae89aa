//! Builds one Rows kernel out of the steps of a group, or finds that they do not fit one. Which steps are tried, and
//! in what order steps run, is decided in `rows`.

use super::Limits;
use super::extent::{Extent, Role, is_whole};
use crate::dtype::DType;
use crate::plan::{
    Expr, Inst, Kernel, Plan, RowRegion, Rows, SlotId, Stage, StageKind, Step, View,
};
use rustc_hash::FxHashMap;

/// Values for each point that only later stages read, in elements. On the cpu they stay in a last-level cache, where they are not
/// in registers all along.
const MAX_OWN: usize = 1 << 17;
const MAX_OWN_ON_HOST: usize = 1 << 21;

/// A step made of several.
pub(super) struct Built {
    pub(super) rows: Rows,
    pub(super) inputs: Vec<SlotId>,
    pub(super) outputs: Vec<SlotId>,
    pub(super) check: u32,
}

/// The members `steps` (in order) as one kernel; `kept` tells which slots somebody else reads.
pub(super) fn build(
    plan: &Plan,
    steps: &[&Step],
    extent: Extent,
    kept: impl Fn(SlotId) -> bool,
    limits: &Limits,
) -> Option<Built> {
    let n_insts = |step: &&Step| match &step.kernel {
        Kernel::Map(m) => m.expr.insts.len(),
        Kernel::Reduce(r) => r.expr.insts.len(),
        _ => 0,
    };
    let too_many = steps.iter().map(n_insts).sum::<usize>() > limits.max_insts;
    if too_many || steps.len() > Rows::MAX_STAGES {
        return None;
    }
    let (roles, nest) = roles(plan, steps, extent, limits)?;
    let mut builder = Builder {
        plan,
        nest,
        stage_of: FxHashMap::default(),
        kinds: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        regions: Vec::new(),
    };
    let mut stages = Vec::with_capacity(steps.len());
    for (step, role) in steps.iter().zip(&roles) {
        stages.push(builder.stage(step, role, kept(step.output))?);
    }
    let checks: Vec<u32> = steps.iter().map(|s| s.check).filter(|&c| c != 0).collect();
    if checks.len() > 1 || !builder.fits(&stages, extent, limits) {
        return None;
    }
    let dtypes: Vec<_> = builder
        .inputs
        .iter()
        .map(|&i| plan.slots[i].dtype)
        .collect();
    stages
        .iter_mut()
        .for_each(|s| s.expr.inputs.clone_from(&dtypes));
    Some(Built {
        rows: merged(builder.nest, stages),
        inputs: builder.inputs,
        outputs: builder.outputs,
        check: checks.first().copied().unwrap_or(0),
    })
}

/// What each member computes, and the loops that all of theirs can be cut into.
fn roles<'s>(
    plan: &Plan,
    steps: &[&'s Step],
    extent: Extent,
    limits: &Limits,
) -> Option<(Vec<Role<'s>>, Nest)> {
    let mut roles = Vec::with_capacity(steps.len());
    let mut cuts = vec![1, extent.inner, extent.inner * extent.outer];
    for step in steps {
        let role = extent.role(plan, step, limits)?;
        let base = if role.kind == StageKind::Once {
            extent.inner
        } else {
            1
        };
        add_cuts(&mut cuts, &role.shape, base);
        roles.push(role);
    }
    cuts.sort_unstable();
    cuts.dedup();
    let nested = cuts.windows(2).all(|c| c[1].is_multiple_of(c[0]));
    nested.then(|| (roles, Nest::new(&cuts, extent)))
}

/// Adds where the loops `shape` begin and end, counted in points from the innermost on.
fn add_cuts(cuts: &mut Vec<usize>, shape: &[usize], base: usize) {
    let mut at = base;
    for &n in shape.iter().rev() {
        at *= n;
        cuts.push(at);
    }
}

/// The loops that all members' loops can be cut into, innermost first: size and points below.
struct Nest {
    loops: Vec<(usize, usize)>,
    extent: Extent,
}

impl Nest {
    fn new(cuts: &[usize], extent: Extent) -> Nest {
        let loops = cuts.windows(2).map(|c| (c[1] / c[0], c[0])).collect();
        Nest { loops, extent }
    }

    /// Strides over the nest, outermost first, of a view over `shape` whose innermost loop has `base` points below.
    fn strides(&self, view: &View, shape: &[usize], base: usize) -> Vec<i64> {
        let mut low = base;
        let mut dims = shape
            .iter()
            .copied()
            .zip(view.strides.iter().copied())
            .rev()
            .peekable();
        let mut strides = Vec::with_capacity(self.loops.len());
        for &(_, points) in self.loops.iter().filter(|l| l.1 >= base) {
            while let Some(&(n, _)) = dims.peek()
                && points >= low * n
            {
                low *= n;
                dims.next();
            }
            let stride = dims.peek().map_or(0, |&(_, s)| s);
            strides.push(stride * (points / low) as i64);
        }
        strides.reverse();
        strides
    }

    /// The rows that a walk over the nest visits, if each row lies together, or in runs, and they are evenly apart.
    fn region(&self, view: &View) -> Option<RowRegion> {
        let Extent { outer, inner, .. } = self.extent;
        let (mut run, mut apart, mut pitch) = (1, None, None);
        // From the innermost loop on.
        for (&(n, points), &stride) in self.loops.iter().zip(view.strides.iter().rev()) {
            let stride = usize::try_from(stride).ok()?;
            if n == 1 {
                continue;
            }
            let inside = points < inner;
            if inside && apart.is_none() && stride == points {
                run = points * n;
                continue;
            }
            let (below, step) = match inside {
                true => (points / run, &mut apart),
                false => (points / inner, &mut pitch),
            };
            if !stride.is_multiple_of(below)
                || *step.get_or_insert(stride / below) != stride / below
            {
                return None;
            }
        }
        let region = RowRegion {
            offset: usize::try_from(view.offset).ok()?,
            pitch: pitch.unwrap_or(run),
            run,
            apart: apart.unwrap_or(0),
        };
        region.end(outer, inner).is_some().then_some(region)
    }

    /// Whether strides read the value of the same row (and point).
    fn is_local(&self, view: &View, each: bool) -> bool {
        let inner = self.extent.inner;
        let wanted = |points: usize| match points {
            p if each => p as i64,
            p if p >= inner => (p / inner) as i64,
            _ => 0,
        };
        let loops = self.loops.iter().rev();
        view.offset == 0
            && loops
                .zip(&view.strides)
                .all(|(&(n, points), &s)| n == 1 || s == wanted(points))
    }
}

struct Builder<'p> {
    plan: &'p Plan,
    nest: Nest,
    stage_of: FxHashMap<SlotId, usize>,
    kinds: Vec<StageKind>,
    inputs: Vec<SlotId>,
    outputs: Vec<SlotId>,
    /// Parts of outputs, and the stages that compute them.
    regions: Vec<(SlotId, RowRegion, usize)>,
}

impl Builder<'_> {
    /// The next member as a stage; `kept` if somebody else reads its slot.
    fn stage(&mut self, step: &Step, role: &Role<'_>, kept: bool) -> Option<Stage> {
        let Role {
            kind,
            expr,
            shape,
            store,
        } = role;
        // A thread goes through many points of a row.
        let long = |inst: &Inst| matches!(inst, Inst::Apply { op, .. } if op.is_long());
        if expr.insts.iter().any(long) {
            return None;
        }
        let expr = self.expr(step, *kind, expr, shape)?;
        let region = match store {
            Some(store) => {
                let strides = self.nest.strides(store, shape, 1);
                let offset = store.offset;
                Some(self.nest.region(&View { offset, strides })?)
            }
            None => None,
        };
        let part = !is_whole(self.plan, step);
        let stored = *kind == StageKind::Across || part || kept;
        let stage = Stage {
            kind: *kind,
            expr,
            dtype: self.plan.slots[step.output].dtype,
            output: stored.then(|| self.output(step.output)),
            region: region.filter(|_| stored),
        };
        let at = self.kinds.len();
        match region {
            Some(region) => self.regions.push((step.output, region, at)),
            None => {
                self.stage_of.insert(step.output, at);
            }
        }
        self.kinds.push(*kind);
        Some(stage)
    }

    /// Whether the whole keeps within the limits, and reads nothing that it writes.
    fn fits(&self, stages: &[Stage], extent: Extent, limits: &Limits) -> bool {
        // What is stored in parts may be read by later stages too, which then find it beside.
        let own =
            |s: &&Stage| s.kind == StageKind::Each && (s.output.is_none() || s.region.is_some());
        let insts: usize = stages.iter().map(|s| s.expr.insts.len()).sum();
        let apart = |i: &SlotId| !self.outputs.contains(i);
        let most_own = match limits.host {
            true => MAX_OWN_ON_HOST,
            false => MAX_OWN,
        };
        stages.len() <= Rows::MAX_STAGES
            && self.inputs.iter().all(apart)
            && (1..=Rows::MAX_OUTPUTS).contains(&self.outputs.len())
            && self.inputs.len() <= limits.max_inputs
            && insts <= limits.max_insts
            && stages.iter().filter(own).count() * extent.inner <= most_own
    }

    /// The program of a member over the common nest.
    fn expr(&mut self, step: &Step, kind: StageKind, expr: &Expr, shape: &[usize]) -> Option<Expr> {
        let base = if kind == StageKind::Once {
            self.nest.extent.inner
        } else {
            1
        };
        let mut insts = Vec::with_capacity(expr.insts.len());
        for inst in &expr.insts {
            let moved = |view: &View| View {
                offset: view.offset,
                strides: self.nest.strides(view, shape, base),
            };
            insts.push(match inst {
                Inst::Load { input, view } => {
                    let view = moved(view);
                    self.load(step.inputs[*input], view, kind, expr.inputs[*input])?
                }
                Inst::Gather {
                    input,
                    view,
                    index,
                    size,
                    stride,
                    check,
                } => {
                    let view = moved(view);
                    Inst::Gather {
                        input: self.gathered(step.inputs[*input])?,
                        view,
                        index: *index,
                        size: *size,
                        stride: *stride,
                        check: *check,
                    }
                }
                Inst::Index { view } => Inst::Index { view: moved(view) },
                Inst::Random { view, scalar } => Inst::Random {
                    view: moved(view),
                    scalar: *scalar,
                },
                other => other.clone(),
            });
        }
        Some(Expr {
            inputs: Vec::new(),
            insts,
        })
    }

    fn load(&mut self, slot: SlotId, view: View, kind: StageKind, dtype: DType) -> Option<Inst> {
        if self.regions.iter().any(|r| r.0 == slot) {
            let region = (kind != StageKind::Once).then(|| self.nest.region(&view))??;
            let of = |r: &&(SlotId, RowRegion, usize)| (r.0, r.1) == (slot, region);
            let stage = self.regions.iter().find(of)?.2;
            return Some(Inst::Stage { stage, dtype });
        }
        let Some(&stage) = self.stage_of.get(&slot) else {
            let along = view.strides.last().is_none_or(|s| s.abs() <= 1);
            let input = self.input(slot);
            return (along || kind == StageKind::Once).then_some(Inst::Load { input, view });
        };
        if self.kinds[stage] == StageKind::Across {
            return None;
        }
        let each = self.kinds[stage] == StageKind::Each;
        let local = self.nest.is_local(&view, each);
        (local && !(each && kind == StageKind::Once)).then_some(Inst::Stage { stage, dtype })
    }

    /// Whatever is gathered may lie in any row.
    fn gathered(&mut self, slot: SlotId) -> Option<usize> {
        let in_runs = self.regions.iter().any(|r| r.0 == slot);
        (!in_runs && !self.stage_of.contains_key(&slot)).then(|| self.input(slot))
    }

    fn output(&mut self, slot: SlotId) -> usize {
        let known = self.outputs.iter().position(|&o| o == slot);
        known.unwrap_or_else(|| {
            self.outputs.push(slot);
            self.outputs.len() - 1
        })
    }

    fn input(&mut self, slot: SlotId) -> usize {
        let known = self.inputs.iter().position(|&i| i == slot);
        known.unwrap_or_else(|| {
            self.inputs.push(slot);
            self.inputs.len() - 1
        })
    }
}

/// Merges loops where every view allows it.
fn merged(nest: Nest, mut stages: Vec<Stage>) -> Rows {
    let sizes = |inside: bool| {
        let of = nest.loops.iter().rev();
        of.filter(move |l| (l.1 < nest.extent.inner) == inside)
            .map(|l| l.0)
    };
    let outer = sizes(false).count();
    let mut shape: Vec<usize> = sizes(false).chain(sizes(true)).collect();
    let rank = shape.len();
    let mut views = Vec::new();
    for stage in &mut stages {
        for view in super::expression::views(&mut stage.expr) {
            view.strides.resize(rank, 0);
            views.push(view);
        }
    }
    let outer = super::strided::merge(&mut shape, &mut views, Some(outer)).unwrap_or(0);
    for stage in stages.iter_mut().filter(|s| s.kind == StageKind::Once) {
        for view in super::expression::views(&mut stage.expr) {
            view.strides.truncate(outer);
        }
    }
    let inner = shape.split_off(outer);
    Rows {
        outer: shape,
        inner,
        stages,
    }
}
