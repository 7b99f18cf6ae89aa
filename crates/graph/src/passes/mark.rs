//! Decides which nodes get a buffer of their own; all others are computed inside the kernels that use them.

use super::strided::Strided;
use super::{Graph, Limits};
use crate::ops::Lowered;
use crate::plan::{AttentionResult, Heads};
use crate::shape::numel;
use std::cell::RefCell;

/// Work repeated in this many multiplications' worth is still cheaper than a round trip through memory.
const REPEAT_BUDGET: u32 = 3;
/// A broadcast operand that costs more than this for each element is computed once, before.
const SPREAD_BUDGET: u32 = 3;
/// More kernels that use a node need not be told apart: any work at all is shared then.
const MANY_USERS: usize = REPEAT_BUDGET as usize + 2;

/// Large results that wait for one kernel, at most, and bytes of a large one.
const MOST_WAITING: usize = 8;
const LARGE: usize = 1 << 20;
/// Views above each other among which the lowest that fits is looked for.
const MOST_MOVES: usize = 8;
/// Of so many waiting results more are not told apart.
const MANY_WAITING: usize = 8 * MOST_WAITING;

/// A graph with what each node lowers to and where results are stored.
pub(crate) struct Marked<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) lowered: &'g [Lowered],
    /// Nodes with a buffer, leaves included.
    pub(crate) stored: Vec<bool>,
    resolved: RefCell<Resolved>,
}

/// What [`Marked::resolve`] has found.
struct Resolved {
    of: Vec<Option<Found>>,
    /// Grows whenever a view gets a buffer: what was found before may be otherwise then.
    version: u32,
}

#[derive(Clone)]
struct Found {
    version: u32,
    base: usize,
    view: Option<Strided>,
}

impl<'g> Marked<'g> {
    /// Marks `graph`, whose nodes lower to `lowered`; those that are `forced` are stored whatever the rules say.
    pub(crate) fn new(
        graph: &'g Graph,
        lowered: &'g [Lowered],
        limits: &Limits,
        forced: &[bool],
    ) -> Marked<'g> {
        let stored = lowered.iter().zip(forced);
        let stored =
            stored.map(|(l, &forced)| forced || is_kernel(l) || matches!(l, Lowered::Input));
        let mut marked = Marked {
            graph,
            stored: stored.collect(),
            resolved: RefCell::new(Resolved {
                of: vec![None; lowered.len()],
                version: 0,
            }),
            lowered,
        };
        if !limits.fuse {
            marked.store_every_elementwise();
        }
        for &o in &graph.outputs {
            marked.require_dense(o);
        }
        for n in (0..graph.nodes.len()).rev() {
            marked.require_operands(n);
        }
        marked.store_shared_work();
        marked.store_long_sums();
        marked
    }

    /// Gives a node a buffer.
    pub(super) fn store(&mut self, n: usize) {
        self.stored[n] = true;
        if matches!(self.lowered[n], Lowered::View(_) | Lowered::Identity) {
            self.resolved.get_mut().version += 1;
        }
    }

    fn store_every_elementwise(&mut self) {
        for n in 0..self.lowered.len() {
            self.stored[n] |= matches!(
                self.lowered[n],
                Lowered::Elementwise(_) | Lowered::Gather { .. } | Lowered::Random { .. }
            );
        }
    }

    /// The node below all views and identities, and the view from it up to `n`; no view where a reshape would copy.
    pub(crate) fn resolve(&self, n: usize) -> (usize, Option<Strided>) {
        let resolved = &mut *self.resolved.borrow_mut();
        let version = resolved.version;
        let passes = |n: usize| {
            let passes = matches!(self.lowered[n], Lowered::View(_) | Lowered::Identity);
            passes && !self.stored[n]
        };
        let mut chain = Vec::new();
        let mut base = n;
        let mut found = loop {
            match &resolved.of[base] {
                Some(found) if found.version == version => break found.clone(),
                _ if passes(base) => {
                    chain.push(base);
                    base = self.graph.nodes[base].inputs[0];
                }
                _ => {
                    let view = Some(Strided::dense(&self.graph.nodes[base].shape));
                    break Found {
                        version,
                        base,
                        view,
                    };
                }
            }
        };
        for &above in chain.iter().rev() {
            if let Lowered::View(m) = &self.lowered[above] {
                found.view = found.view.and_then(|s| s.moved(m));
            }
            resolved.of[above] = Some(found.clone());
        }
        (found.base, found.view)
    }

    /// `n` becomes readable as a whole dense buffer.
    fn require_dense(&mut self, n: usize) {
        self.require(n, |s| s.is_dense());
    }

    /// `n` becomes readable through a view that `fits`: of what it is a view of, or else of a copy. What is computed for
    /// the copy is stored as low as it can still be read, so that others that read the same otherwise (transposed, say)
    /// share it. A view of what has a buffer is copied where it is read: the copy need not be kept from the first reader to
    /// the last.
    fn require(&mut self, n: usize, fits: impl Fn(&Strided) -> bool) {
        let (base, view) = self.resolve(n);
        if view.is_some_and(|v| fits(&v)) {
            return self.store(base);
        }
        if self.stored[base] {
            return self.store(n);
        }
        let size = numel(&self.graph.nodes[n].shape);
        let (mut lowest, mut at) = (n, n);
        let mut moves = Vec::new();
        while at != base && !self.stored[at] && moves.len() < MOST_MOVES {
            if let Lowered::View(m) = &self.lowered[at] {
                moves.push(m);
            }
            at = self.graph.nodes[at].inputs[0];
            let shape = &self.graph.nodes[at].shape;
            let mut views = moves.iter().rev();
            let view = views.try_fold(Strided::dense(shape), |v, m| v.moved(m));
            if at != base && numel(shape) <= size && view.is_some_and(|v| fits(&v)) {
                lowest = at;
            }
        }
        self.store(lowest);
    }

    fn require_operands(&mut self, n: usize) {
        let graph = self.graph;
        let inputs = &graph.nodes[n].inputs;
        match self.lowered[n] {
            Lowered::Matmul => {
                self.require(inputs[0], |s| matrix(s).is_some());
                self.require(inputs[1], |s| matrix(s).is_some());
            }
            Lowered::Conv { .. } => {
                self.require_dense(inputs[0]);
                self.require_dense(inputs[1]);
            }
            Lowered::Window { .. } | Lowered::ArgSort { .. } => self.require_dense(inputs[0]),
            Lowered::Scan { .. } | Lowered::Custom(_) | Lowered::Loop => {
                inputs.iter().for_each(|&i| self.require_dense(i))
            }
            Lowered::Attention { result, .. } => {
                for (at, &i) in inputs.iter().enumerate() {
                    let mask = is_mask(result, at);
                    self.require(i, |s| heads(s, mask).is_some());
                }
            }
            Lowered::ScatterAdd { dim } => {
                self.require_dense(inputs[0]);
                self.require(inputs[1], |s| three(s, dim).is_some());
            }
            Lowered::Gather { .. } => self.require(inputs[0], |_| true),
            _ => {}
        }
    }

    /// Stores element-wise work that several kernels would repeat, or that a broadcast would.
    fn store_shared_work(&mut self) {
        let cost = self.inline_costs();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); self.lowered.len()];
        let mut spread: Vec<usize> = vec![0; self.lowered.len()];
        // Over how many points all users together would compute a node.
        let mut points: Vec<usize> = vec![0; self.lowered.len()];
        for n in (0..self.lowered.len()).rev() {
            let computes = matches!(
                self.lowered[n],
                Lowered::Elementwise(_) | Lowered::Gather { .. }
            );
            if computes && !self.stored[n] {
                // Users that read different parts repeat nothing.
                let size = numel(&self.graph.nodes[n].shape).max(1);
                let times = users[n].len().min(points[n].div_ceil(size)) as u32;
                let shared = times > 1 && cost[n] * (times - 1) > REPEAT_BUDGET;
                let spread =
                    spread[n] >= 8 * numel(&self.graph.nodes[n].shape) && cost[n] > SPREAD_BUDGET;
                self.stored[n] = shared || spread;
            }
            let root = self.stored[n];
            let (mine, reach) = if root {
                (vec![n], 0)
            } else {
                (std::mem::take(&mut users[n]), spread[n])
            };
            let reach = reach.max(numel(&self.graph.nodes[n].shape));
            for &i in self.inlined_inputs(n) {
                spread[i] = spread[i].max(reach);
                points[i] = points[i].saturating_add(match root {
                    true => numel(&self.graph.nodes[i].shape),
                    false => points[n],
                });
                for &u in &mine {
                    if users[i].len() < MANY_USERS && !users[i].contains(&u) {
                        users[i].push(u);
                    }
                }
            }
        }
    }

    /// Stores element-wise work for which many large results would have to be kept, as the sum of the gradients that the
    /// parts of a long computation contribute.
    fn store_long_sums(&mut self) {
        // Of each node the large results that its kernel reads, in order and each once.
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); self.lowered.len()];
        let large = |n: usize| {
            let node = &self.graph.nodes[n];
            node.leaf.is_none() && 4 * numel(&node.shape) >= LARGE
        };
        let alone = |n: usize| if large(n) { vec![n] } else { Vec::new() };
        for n in 0..waiting.len() {
            if self.stored[n] {
                waiting[n] = alone(n);
                continue;
            }
            let inputs = self.inlined_inputs(n);
            let all = |waiting: &[Vec<usize>]| {
                let mut all: Vec<usize> =
                    inputs.iter().flat_map(|&i| &waiting[i]).copied().collect();
                all.sort_unstable();
                all.dedup();
                all.truncate(MANY_WAITING);
                all
            };
            waiting[n] = all(&waiting);
            let most = inputs.iter().copied().max_by_key(|&i| waiting[i].len());
            if let (Lowered::Elementwise(_), Some(most)) = (&self.lowered[n], most)
                && waiting[n].len() > MOST_WAITING
                && matches!(self.lowered[most], Lowered::Elementwise(_))
            {
                self.stored[most] = true;
                waiting[most] = alone(most);
                waiting[n] = all(&waiting);
            }
        }
    }

    /// Operands that are computed inside the kernel of `n` unless they are stored.
    pub(super) fn inlined_inputs(&self, n: usize) -> &'g [usize] {
        let inputs = &self.graph.nodes[n].inputs;
        match self.lowered[n] {
            Lowered::Elementwise(_) | Lowered::View(_) | Lowered::Identity => inputs,
            Lowered::Reduce { .. } | Lowered::Regions { .. } => inputs,
            Lowered::Gather { .. } => &inputs[1..2],
            _ => &[],
        }
    }

    /// For each node, the arithmetic it takes to compute one element from stored nodes.
    fn inline_costs(&self) -> Vec<u32> {
        let mut cost = vec![0u32; self.lowered.len()];
        for n in 0..cost.len() {
            let own = match &self.lowered[n] {
                Lowered::Elementwise(op) => op.cost,
                Lowered::Gather { .. } => 2,
                Lowered::Random { .. } => 40,
                _ => 0,
            };
            let below: u32 = match self.lowered[n] {
                _ if is_kernel(&self.lowered[n]) => 0,
                _ => self
                    .inlined_inputs(n)
                    .iter()
                    .filter(|&&i| !self.stored[i])
                    .map(|&i| cost[i])
                    .sum(),
            };
            cost[n] = own.saturating_add(below).min(1 << 20);
        }
        cost
    }
}

/// Whether the node is always a kernel of its own.
fn is_kernel(l: &Lowered) -> bool {
    matches!(
        l,
        Lowered::Regions { .. }
            | Lowered::Reduce { .. }
            | Lowered::Matmul
            | Lowered::Conv { .. }
            | Lowered::Window { .. }
            | Lowered::ScatterAdd { .. }
            | Lowered::Scan { .. }
            | Lowered::ArgSort { .. }
            | Lowered::Attention { .. }
            | Lowered::Custom(_)
            | Lowered::Pick(_)
    )
}

/// `[…, rows, cols]` as a matrix operand: leading dimensions merge into one batch stride, no stride is negative.
pub(crate) fn matrix(s: &Strided) -> Option<crate::plan::Matrix> {
    let r = s.shape.len();
    let batch = merged(&s.shape[..r - 2], &s.strides[..r - 2])?;
    let stride = |d: usize| {
        if s.shape[d] == 1 {
            Some(0)
        } else {
            usize::try_from(s.strides[d]).ok()
        }
    };
    Some(crate::plan::Matrix {
        offset: usize::try_from(s.offset).ok()?,
        batch: usize::try_from(batch).ok()?,
        row: stride(r - 2)?,
        col: stride(r - 1)?,
    })
}

/// Whether operand `at` of what gives `result` is the mask of an attention.
pub(crate) fn is_mask(result: AttentionResult, at: usize) -> bool {
    match result {
        AttentionResult::Normalizer => at == 2,
        AttentionResult::Out => at == 3,
        _ => at == 5,
    }
}

/// `[a, b, rows, cols]` as an operand of an attention: rows that lie together, but for a mask.
pub(crate) fn heads(s: &Strided, mask: bool) -> Option<Heads> {
    let stride = |d: usize| match s.shape[d] {
        1 => Some(if d == 3 && !mask { 1 } else { 0 }),
        _ => usize::try_from(s.strides[d]).ok(),
    };
    let heads = Heads {
        offset: usize::try_from(s.offset).ok()?,
        batch: [stride(0)?, stride(1)?],
        row: stride(2)?,
        col: stride(3)?,
    };
    (mask || heads.col == 1 || s.shape.contains(&0)).then_some(heads)
}

/// Strides over `[outer, dim, inner]`, with outer and inner dimensions merged; offset 0.
pub(crate) fn three(s: &Strided, dim: usize) -> Option<[usize; 3]> {
    if s.offset != 0 {
        return None;
    }
    let outer = merged(&s.shape[..dim], &s.strides[..dim])?;
    let inner = merged(&s.shape[dim + 1..], &s.strides[dim + 1..])?;
    let middle = if s.shape[dim] == 1 { 0 } else { s.strides[dim] };
    let unsigned = |v: i64| usize::try_from(v).ok();
    Some([unsigned(outer)?, unsigned(middle)?, unsigned(inner)?])
}

/// The one stride that walks all of `shape`, if there is one; 0 for a single element.
fn merged(shape: &[usize], strides: &[i64]) -> Option<i64> {
    let mut innermost = None;
    let mut next = 0;
    for d in (0..shape.len()).rev() {
        if shape[d] == 1 {
            continue;
        }
        match innermost {
            None => innermost = Some(strides[d]),
            Some(_) if strides[d] == next => {}
            Some(_) => return None,
        }
        next = strides[d] * shape[d] as i64;
    }
    Some(innermost.unwrap_or(0))
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::Tensor;

    #[test]
    fn a_long_sum_of_large_results_is_cut_and_much_work_on_one_is_not() {
        let (x, w) = (tensor(&[512, 8]), tensor(&[8, 512]));
        let large = |i: usize| (&x * (i as f64 + 1.0)).matmul(&w);
        let sum = (0..20).map(large).reduce(|a, b| a + b).expect("terms");
        let plan = planned(&[&sum]);
        let reads = |s: &crate::plan::Step| s.inputs.len();
        let sums = plan.steps.iter().filter(|s| reads(s) > 2).map(reads);
        assert!(sums.max().is_none_or(|n| n <= super::MOST_WAITING));
        let product = large(0);
        let polynomial = (0..20).fold(product.clone(), |y: Tensor, _| y * &product + 1.0);
        // The product and one map.
        assert_eq!(planned(&[&polynomial]).steps.len(), 2);
    }

    #[test]
    fn products_that_read_heads_both_ways_share_their_copy() {
        use crate::plan::Kernel;
        let (x, b) = (tensor(&[2, 6, 12]), tensor(&[12]));
        let heads = (&x + &b).reshape(&[2, 6, 3, 4]).permute(&[0, 2, 1, 3]);
        let (weights, up) = (tensor(&[2, 3, 6, 6]), tensor(&[2, 3, 6, 4]));
        let both = [&weights.matmul(&heads), &up.matmul(&heads.t())];
        let plan = planned(&both);
        let copies = plan.steps.iter();
        let copies = copies.filter(|s| matches!(s.kernel, Kernel::Map(_)));
        assert_eq!(copies.count(), 1, "{plan:?}");
    }
}
