//! Groups reductions over the same inner dimensions, and the maps before, between and after them, into Rows steps:
//! what is read several times is then read from the cache. Works on the plan alone, so it knows no operation: a
//! softmax, a normalisation or their gradients are found because they have this form.
//!
//! ```text
//!   a softmax, as steps                      as one Rows step
//!
//!   x ─► max  ─► m      over all rows        row 0:  x ─► max ─► e = exp(x - m) ─► sum ─► e / s ─► y
//!   x, m ─► exp ─► e    over all rows        row 1:  x ─► max ─► e = exp(x - m) ─► sum ─► e / s ─► y
//!   e ─► sum  ─► s      over all rows        …                   └── stages: `m` and `s` one number, `e` a row
//!   e, s ─► div ─► y    over all rows                                in the cache; only y is written
//! ```

use super::Limits;
use super::extent::Extent;
use super::flow::{Flow, Groups, Search, order, within};
use super::row_kernel::{Built, build};
use crate::plan::{Kernel, Origin, Plan, SlotId, Step};
use std::collections::BTreeSet;

/// How far from a group its next member may stand, so that planning takes a time in proportion to the steps.
pub(super) const NEAR: usize = 64;

/// Replaces groups of steps by Rows steps, before temporaries are assigned to memory.
pub(crate) fn fuse(plan: &mut Plan, limits: &Limits) {
    let flow = Flow::new(plan);
    let mut search = Search::new(&flow);
    let mut groups = Groups::new(plan.steps.len());
    let mut built: Vec<Built> = Vec::new();
    for (seed, extent) in seeds(plan, limits) {
        if groups.of[seed].is_some() {
            continue;
        }
        let mut grower = Grower {
            plan,
            flow: &flow,
            limits,
            extent,
            groups: &groups,
            search: &mut search,
        };
        let members = grower.grow(seed);
        if members.len() > 1
            && let Some(group) = attempt(plan, &flow, &members, extent, limits)
            && extent.is_worth(&group.rows)
        {
            groups.add(members);
            built.push(group);
        }
    }
    if groups.all.is_empty() {
        return;
    }
    let order = order(&flow, &groups);
    replace(plan, &groups, built, &order);
    drop_unused_slots(plan);
}

/// Steps that a group may grow around, the best first: reductions of rows in runs, all reductions, maps over rows, maps over one
/// loop.
fn seeds(plan: &Plan, limits: &Limits) -> Vec<(usize, Extent)> {
    let all = || plan.steps.iter().enumerate();
    let reductions = || all().map(|(at, step)| (at, Extent::of(step, limits)));
    let in_runs = reductions().filter_map(|(at, (_, in_runs))| Some((at, in_runs?)));
    let together = reductions().filter_map(|(at, (together, _))| Some((at, together?)));
    let mut seeds: Vec<(usize, Extent)> = in_runs.chain(together).collect();
    let flat = |step: &Step| matches!(&step.kernel, Kernel::Map(m) if m.shape.len() == 1);
    for last in [false, true] {
        let maps = all().filter(|(_, step)| flat(step) == last);
        seeds.extend(maps.filter_map(|(at, step)| Some((at, Extent::of_map(step)?))));
    }
    seeds
}

fn attempt(
    plan: &Plan,
    flow: &Flow,
    members: &[usize],
    extent: Extent,
    limits: &Limits,
) -> Option<Built> {
    let steps: Vec<&Step> = members.iter().map(|&m| &plan.steps[m]).collect();
    let kept = |slot: SlotId| {
        flow.results[slot] > 0 || flow.readers[slot].iter().any(|r| !members.contains(r))
    };
    build(plan, &steps, extent, kept, limits)
}

/// Grows one group.
struct Grower<'p> {
    plan: &'p Plan,
    flow: &'p Flow,
    limits: &'p Limits,
    extent: Extent,
    groups: &'p Groups,
    search: &'p mut Search,
}

impl Grower<'_> {
    /// The largest group around `seed` that adding one step after the other finds, in order of the steps.
    fn grow(&mut self, seed: usize) -> Vec<usize> {
        let mut members = vec![seed];
        loop {
            let before = members.len();
            for step in self.neighbours(&members) {
                let mut more = members.clone();
                more.push(step);
                more.sort_unstable();
                if self.may_join(step)
                    && self.search.is_convex(self.flow, self.groups, &more)
                    && attempt(self.plan, self.flow, &more, self.extent, self.limits).is_some()
                {
                    members = more;
                }
            }
            if members.len() == before {
                return members;
            }
        }
    }

    fn may_join(&self, step: usize) -> bool {
        let s = &self.plan.steps[step];
        let kind = match &s.kernel {
            Kernel::Reduce(_) => {
                self.extent.has(s, self.limits) || self.extent.is_across(s, self.limits)
            }
            Kernel::Map(_) => true,
            _ => false,
        };
        let written = self.flow.writers[s.output].len() == 1
            || (self.limits.host && self.flow.divided[s.output]);
        kind && written && self.groups.of[step].is_none()
    }

    /// Steps that write what members read or read what members write. Not what merely reads the same: what is
    /// computed a second time after a barrier must stay there.
    fn neighbours(&self, members: &[usize]) -> BTreeSet<usize> {
        let (first, last) = (members[0], members[members.len() - 1]);
        let range = (first + 1).saturating_sub(NEAR)..last + NEAR;
        let near = |list| within(list, range.clone());
        let mut found = BTreeSet::new();
        for &m in members {
            let step = &self.plan.steps[m];
            found.extend(near(&self.flow.readers[step.output]));
            if self.limits.host {
                found.extend(near(&self.flow.writers[step.output]));
            }
            for &slot in &step.inputs {
                found.extend(near(&self.flow.writers[slot]));
                // A sum over the rows reads what they read anyway.
                let across = |r: &&usize| self.extent.is_across(&self.plan.steps[**r], self.limits);
                let readers = near(&self.flow.readers[slot]);
                found.extend(readers.iter().filter(across));
            }
        }
        found.retain(|step| !members.contains(step));
        found
    }
}

fn replace(plan: &mut Plan, groups: &Groups, built: Vec<Built>, order: &[usize]) {
    let mut old: Vec<Option<Step>> = std::mem::take(&mut plan.steps)
        .into_iter()
        .map(Some)
        .collect();
    let mut built: Vec<Option<Built>> = built.into_iter().map(Some).collect();
    for &first in order {
        let step = match groups.of[first].and_then(|g| built[g].take().map(|b| (g, b))) {
            Some((g, b)) => {
                let steps: Vec<Step> = groups.all[g]
                    .iter()
                    .filter_map(|&m| old[m].take())
                    .collect();
                rows_step(steps, b)
            }
            None => old[first].take(),
        };
        plan.steps.extend(step);
    }
}

fn rows_step(members: Vec<Step>, built: Built) -> Option<Step> {
    let names: Vec<&str> = members.iter().map(|s| s.origin.name.as_str()).collect();
    let (&output, more) = built.outputs.split_first()?;
    Some(Step {
        origin: Origin {
            name: names.join("+"),
            location: members.last()?.origin.location,
            node: members.last()?.origin.node,
        },
        kernel: Kernel::Rows(built.rows),
        inputs: built.inputs,
        output,
        more_outputs: more.to_vec(),
        then: None,
        check: built.check,
    })
}

/// Slots that nothing reads or writes any more go; the others are numbered anew.
pub(super) fn drop_unused_slots(plan: &mut Plan) {
    let mut used = vec![false; plan.slots.len()];
    for step in &plan.steps {
        step.inputs
            .iter()
            .copied()
            .chain(step.outputs())
            .for_each(|s| used[s] = true);
    }
    plan.outputs.iter().for_each(|&s| used[s] = true);
    let mut to = vec![usize::MAX; used.len()];
    let kept = (0..used.len()).filter(|&s| used[s]);
    kept.enumerate().for_each(|(n, s)| to[s] = n);
    let mut keep = used.iter();
    plan.slots.retain(|_| keep.next().is_some_and(|&u| u));
    for step in &mut plan.steps {
        step.inputs.iter_mut().for_each(|s| *s = to[*s]);
        step.output = to[step.output];
        step.more_outputs.iter_mut().for_each(|s| *s = to[*s]);
    }
    plan.outputs.iter_mut().for_each(|s| *s = to[*s]);
}

#[cfg(test)]
mod tests {
    use super::super::tests::LIMITS;
    use super::super::{Limits, collect, plan};
    use crate::plan::{Kernel, Plan, Rows, StageKind};
    use crate::{Device, Tensor, grad};

    fn planned(outputs: &[&Tensor], fuse: bool) -> Plan {
        let limits = Limits { fuse, ..LIMITS };
        plan(&collect(outputs).graph(), &limits)
    }

    fn tensor(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i % 17) as f32 * 0.1).collect();
        Tensor::from_slice(&values, shape, &Device::cpu())
    }

    fn rows(plan: &Plan) -> Vec<&Rows> {
        let steps = plan.steps.iter();
        steps
            .filter_map(|s| match &s.kernel {
                Kernel::Rows(r) => Some(r),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_softmax_is_one_step_with_one_output() {
        let plan = planned(&[&tensor(&[3, 40, 50]).softmax(-1)], true);
        assert_eq!(
            (plan.steps.len(), plan.temps.len(), plan.slots.len()),
            (1, 0, 2)
        );
        let rows = rows(&plan);
        assert_eq!(
            (&rows[0].outer[..], &rows[0].inner[..]),
            (&[120][..], &[50][..])
        );
        assert_eq!(rows[0].stages.len(), 5);
        let without = planned(&[&tensor(&[3, 40, 50]).softmax(-1)], false);
        assert!(without.steps.len() >= 5 && self::rows(&without).is_empty());
    }

    #[test]
    fn a_normalisation_and_its_gradient_share_a_step() {
        let (x, w) = (tensor(&[64, 48]), tensor(&[48]));
        let y = x.layer_norm(&[48], Some(&w), None, 1e-5);
        let loss = (&y * tensor(&[64, 48]))
            .sum_dims(&[1], false)
            .square()
            .sum();
        let g = grad(&loss, &[&x, &w]).expect("gradients");
        let plan = planned(&[&y, &g[0], &g[1]], true);
        // The gradient of the weight is summed over the rows on the way.
        assert_eq!((rows(&plan).len(), plan.steps.len()), (1, 1));
    }

    #[test]
    fn channels_of_a_batch_are_rows_in_runs() {
        let (x, w) = (tensor(&[6, 20, 4, 8]), tensor(&[20]));
        let y = x.batch_norm_train(Some(&w), Some(&w), 1e-5).0;
        let loss = (&y * tensor(&[6, 20, 4, 8])).sum();
        let g = grad(&loss, &[&x, &w]).expect("gradients");
        let plan = planned(&[&y, &g[0], &g[1]], true);
        let all = rows(&plan);
        assert_eq!((all.len(), plan.steps.len()), (1, 1));
        let stored = all[0].stages.iter().filter_map(|s| s.region);
        let places: Vec<[usize; 4]> = stored
            .map(|r| [r.offset, r.pitch, r.run, r.apart])
            .collect();
        assert_eq!(places, [[0, 32, 32, 640]; 2]);
        // Short runs are rows too; those of less than a part of a vector stay apart, and so does what reads another row's runs.
        let norm = |x: &Tensor| x.batch_norm_train(None, None, 1e-5).0;
        let short = planned(&[&norm(&tensor(&[6, 20, 3, 5]))], true);
        assert_eq!((rows(&short).len(), short.steps.len()), (1, 1));
        assert!(planned(&[&norm(&tensor(&[6, 20, 3, 1]))], true).steps.len() > 1);
        let turned = norm(&x) + x.flip(&[1]) + x.flip(&[0]);
        assert_eq!(planned(&[&turned], true).steps.len(), 1);
        // What is gathered has to lie in memory.
        let (e, order) = (x.exp(), [5, 3, 1, 0, 2, 4]);
        let order = Tensor::from_slice(&order, &[6], x.device());
        let gathered = e.index_select(0, &order) - e.mean_dims(&[0, 2, 3], true);
        assert!(planned(&[&gathered], true).steps.len() > 1);
        let crossed = norm(&x) * norm(&x).flip(&[1]);
        assert!(planned(&[&crossed], true).steps.len() > 1);
    }

    #[test]
    fn what_has_to_run_in_between_keeps_steps_apart() {
        let x = tensor(&[32, 32]);
        let p = x.softmax(-1);
        // The product needs whole rows of `p`, and the second softmax needs the product.
        let y = p.matmul(&x) * &p;
        let plan = planned(&[&y.softmax(-1)], true);
        let kinds: Vec<bool> = plan
            .steps
            .iter()
            .map(|s| matches!(s.kernel, Kernel::Rows(_)))
            .collect();
        assert_eq!(kinds, [true, false, true]);
    }

    #[test]
    fn the_gates_of_a_recurrent_step_are_one_step() {
        let (product, c) = (tensor(&[32, 4 * 24]), tensor(&[32, 24]));
        let gate = |i: usize| product.narrow(1, i * 24, 24);
        let c = gate(1).sigmoid() * c + gate(0).sigmoid() * gate(2).tanh();
        let h = gate(3).sigmoid() * c.tanh();
        let plan = super::super::tests::planned(&[&h, &c]);
        assert_eq!((rows(&plan).len(), plan.steps.len()), (1, 1));
        // Their gradients are parts of one tensor, which the step writes.
        let loss = (&h * tensor(&[32, 24])).sum();
        let g = grad(&loss, &[&product]).expect("a gradient");
        let plan = super::super::tests::planned(&[&g[0]]);
        let regions = |r: &&Rows| r.stages.iter().filter(|s| s.region.is_some()).count();
        assert_eq!(rows(&plan).iter().map(regions).sum::<usize>(), 4);
        assert_eq!(plan.steps.len(), 1, "{plan:?}");
        // An update of a parameter and its moments.
        let (p, m, g) = (tensor(&[700]), tensor(&[700]), tensor(&[700]));
        let m = m * 0.9 + &g * 0.1;
        let plan = super::super::tests::planned(&[&(p - &m * 0.01), &m]);
        assert_eq!(plan.steps.len(), 1);
    }

    #[test]
    fn reductions_across_memory_and_of_few_long_rows_stay_as_they_are() {
        let reduces = |y: &Tensor| {
            let plan = planned(&[y], true);
            let mut stages = rows(&plan).into_iter().flat_map(|rows| &rows.stages);
            stages.any(|stage| matches!(stage.kind, StageKind::Reduce(_)))
        };
        assert!(reduces(&tensor(&[40, 50]).softmax(1)));
        assert!(!reduces(&tensor(&[40, 50]).softmax(0)));
        assert!(!reduces(&tensor(&[2, 40_000]).softmax(1)));
        // Another row's value is no value of a stage.
        let x = tensor(&[40, 40]);
        let s = x.sum_dims(&[1], true);
        let y = &x * s.flip(&[0]);
        assert!(!reduces(&y));
    }
}
