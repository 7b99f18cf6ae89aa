//! How long a graph may grow that nobody reads. A loop that only records would keep every operand that it ever had: so a
//! chain that has got very long is run, and with it all of the graph that somebody still holds, for what has no value then
//! will not be asked for again. Decides what is run; runs it by `eval`.

use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::sync::Arc;

/// The longest chain of nodes without values. Planning takes a time in proportion to the nodes, so a longer one would do
/// as well: what counts is the memory that nodes and their operands take.
const MAX_DEPTH: u32 = 1 << 15;

thread_local! {
    /// How many transformations record on this thread. What they hold is not what the user holds.
    static PAUSED: Cell<usize> = const { Cell::new(0) };
}

/// Lets chains of this thread grow on until it is dropped.
pub(crate) struct Pause(());

impl Pause {
    pub(crate) fn new() -> Pause {
        PAUSED.set(PAUSED.get() + 1);
        Pause(())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        PAUSED.set(PAUSED.get() - 1);
    }
}

/// The depth of a node with these operands. Runs their graph where it is too deep.
pub(crate) fn above(inputs: &[&Tensor]) -> u32 {
    let depth = inputs.iter().map(|t| depth(t)).max();
    let depth = depth.map_or(0, |d| d.saturating_add(1));
    let symbolic = inputs.iter().any(|t| t.0.symbolic);
    if depth < MAX_DEPTH || symbolic || PAUSED.get() > 0 || crate::trace::is_tracing() {
        return depth;
    }
    let graph = Unread::below(inputs);
    match graph.depth() + 1 {
        // Some of what lies below has been run since it was recorded.
        depth if depth < MAX_DEPTH => depth,
        _ => {
            // A failure shows again when somebody reads what failed; until then the chain may grow as long once more.
            let _ = crate::eval::eval(&graph.held());
            1
        }
    }
}

fn depth(t: &Tensor) -> u32 {
    match t.0.value.get() {
        Some(_) => 0,
        None => t.0.depth,
    }
}

/// Nodes without a value.
struct Unread {
    /// In order of recording.
    nodes: Vec<Tensor>,
    /// By id, how many operands each node is.
    uses: FxHashMap<u64, usize>,
}

impl Unread {
    fn below(tensors: &[&Tensor]) -> Unread {
        let mut uses: FxHashMap<u64, usize> = FxHashMap::default();
        let mut nodes = Vec::new();
        let mut stack: Vec<Tensor> = Vec::new();
        let missing = |t: &Tensor| t.0.value.get().is_none();
        for &t in tensors.iter().filter(|t| missing(t)) {
            if let std::collections::hash_map::Entry::Vacant(new) = uses.entry(t.0.id) {
                new.insert(0);
                stack.push(t.clone());
            }
        }
        while let Some(t) = stack.pop() {
            for i in t.inputs().iter().filter(|i| missing(i)) {
                let uses = uses.entry(i.0.id).or_insert_with(|| {
                    stack.push(i.clone());
                    0
                });
                *uses += 1;
            }
            nodes.push(t);
        }
        nodes.sort_unstable_by_key(|t| t.0.id);
        Unread { nodes, uses }
    }

    /// The length of the longest chain.
    fn depth(&self) -> u32 {
        let mut depths: FxHashMap<u64, u32> = FxHashMap::default();
        let mut most = 0;
        for t in &self.nodes {
            let below = t.inputs().iter().filter_map(|i| depths.get(&i.0.id)).max();
            let depth = below.map_or(0, |d| d + 1);
            most = most.max(depth);
            depths.insert(t.0.id, depth);
        }
        most
    }

    /// Nodes that something holds beside the other nodes: what may be used again.
    fn held(&self) -> Vec<&Tensor> {
        let held = |t: &&Tensor| Arc::strong_count(&t.0) > self.uses[&t.0.id] + 1;
        self.nodes.iter().filter(held).collect()
    }
}
