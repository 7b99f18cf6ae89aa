//! How a value came about, and when that is let go. Whoever reads a sum of batches in each round holds the sum and not the
//! batches; but the sum's node holds its operands, so that a gradient can be asked for. Here it is found out whether anybody
//! still can:
//!
//! ```text
//!   batch 1   batch 2   batch 3         only graphs hold these: nobody can name them in `grad`
//!      │         │         │
//!   total 1 ─► total 2 ─► total 3       has a value, is held
//!      ✂         ✂                      nothing below that somebody holds: operands let go
//! ```
//!
//! The rule: a node that has a value keeps its operands for as long as somebody holds a float tensor below it. Below tensors
//! that no gradient was ever asked for, and that are not marked by [`Tensor::requires_grad`], it reaches back over at most
//! [`LEVELS`] values or [`LENGTH`] operations; a gradient that would go farther is an error. What was computed last keeps its
//! operands in any case, for whoever looks for a NaN. Under [`no_grad`] nothing is kept.
//!
//! Knows handles and operands, of operations only loops; runs nothing.

use crate::error::{Error, ErrorKind};
use crate::tensor::{Node, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, Weak};

/// Values in a row, each computed from the one before, over which an unmarked tensor is remembered. Reading a loss before its
/// gradient is asked for makes one, reading the gradient before it is differentiated again another.
const LEVELS: u32 = 32;

/// Operations in a row over which it is: a node takes about half a kilobyte.
const LENGTH: u32 = 4096;

/// What a node knows for this.
#[derive(Default)]
pub(crate) struct History {
    /// How many nodes have it as an operand.
    users: AtomicUsize,
    flags: AtomicU8,
}

/// A gradient was asked for, or will be.
const MARKED: u8 = 1;
/// Operands were let go.
const RELEASED: u8 = 2;
/// Operands were let go though somebody held a tensor below.
const CUT: u8 = 4;

impl History {
    pub(crate) fn new() -> History {
        History::default()
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    fn set(&self, flag: u8) {
        self.flags.fetch_or(flag, Relaxed);
    }
}

/// An operand of a node that is being made.
pub(crate) fn used(t: &Tensor) -> Tensor {
    t.0.history.users.fetch_add(1, Relaxed);
    t.clone()
}

/// An operand of a node that goes.
pub(crate) fn unused(t: &Tensor) {
    t.0.history.users.fetch_sub(1, Relaxed);
    // A thread that ends looks at nothing any more.
    let _ = GONE.try_with(|gone| gone.set(gone.get() + 1));
}

/// A gradient by this tensor is asked for: it will be again.
pub(crate) fn mark(t: &Tensor) {
    t.0.history.set(MARKED);
}

/// Whether its operands were let go.
pub(crate) fn is_released(t: &Tensor) -> bool {
    t.0.history.has(RELEASED)
}

/// The error of a gradient through a node that was cut off, if it was.
pub(crate) fn cut(t: &Tensor) -> Option<Error> {
    t.0.history.has(CUT).then(|| {
        let message = format!(
            "what {} at {} was computed from is not known any more: it was read under no_grad, or so many values ago that only \
             marked tensors are remembered; call requires_grad() on the tensor that the gradient is asked for, before it is used",
            t.op_name(),
            t.location()
        );
        Error::new(ErrorKind::Gradient, "grad", message)
    })
}

impl Tensor {
    /// Marks a tensor as one that gradients will be asked for: however much is computed and read from it, its gradient stays
    /// known while somebody holds it. Needed only for tensors that a gradient is asked for after more than 32 values in a row
    /// were read, each computed from the one before; asking for a gradient marks as well, so parameters of modules are.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor, grad};
    /// let x = Tensor::new(&[1.0f32], &Device::cpu()).requires_grad();
    /// let mut y = &x * 1.0;
    /// for _ in 0..100 {
    ///     y = &y * 0.99;
    ///     y.item::<f32>()?;
    /// }
    /// let dx = grad(&y.sum(), &[&x])?[0].item::<f32>()?;
    /// assert!((dx - 0.366).abs() < 1e-3);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn requires_grad(self) -> Tensor {
        mark(&self);
        self
    }
}

thread_local! {
    static NO_GRAD: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f`, in which what is computed is for its value alone: nothing that gets one keeps what it was computed from, whoever
/// holds that. For evaluation and generation with a model: `total = &total + loss` holds no batch.
/// A gradient through such a value is an error. What is recorded inside and read outside is as if recorded outside.
///
/// ```
/// use wgrad_graph::{Device, Tensor, grad, no_grad};
/// let w = Tensor::new(&[2.0f32], &Device::cpu());
/// let y = no_grad(|| {
///     let y = w.square().sum();
///     y.item::<f32>().map(|_| y)
/// })?;
/// assert!(y.operands().is_empty() && grad(&y, &[&w]).is_err());
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            NO_GRAD.set(NO_GRAD.get() - 1);
        }
    }
    NO_GRAD.set(NO_GRAD.get() + 1);
    let _ended = Ended;
    f()
}

/// Who reads operands of several nodes, and must find the same ones again.
static READERS: RwLock<()> = RwLock::new(());

/// Nothing is let go while the guard is there. Nobody waits for it: who would let go tries again later.
pub(crate) fn hold() -> RwLockReadGuard<'static, ()> {
    READERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// The right to let go, unless somebody reads for longer than it takes to look a few times: waiting could be for ever, where
/// that one waits for this thread.
fn alone() -> Option<RwLockWriteGuard<'static, ()>> {
    for _ in 0..256 {
        match READERS.try_write() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// Nodes with values and operands that a thread has computed. Each thread looks after its own, so that one with a large graph
/// does not make others wait.
#[derive(Default)]
struct Suspects {
    nodes: Vec<Weak<Node>>,
    /// The number of nodes ever when they were looked at.
    seen: u64,
    /// How many stayed then.
    stayed: u64,
}

thread_local! {
    static SUSPECTS: RefCell<Suspects> = RefCell::default();
    /// Operands of nodes that have gone since.
    static GONE: Cell<u64> = const { Cell::new(0) };
}

/// These have got values. Lets go of what nobody can ask for, now or when half as many nodes have been recorded as stayed
/// the last time and are still there: so the time it takes is in proportion to what is recorded, and a large graph that is
/// dropped does not put it off.
pub(crate) fn evaluated(tensors: &[&Tensor]) {
    if NO_GRAD.get() > 0 {
        let open = |t: &&&Tensor| !t.inputs().is_empty() && !is_remade(t);
        let Some(_alone) = alone() else { return };
        for t in tensors.iter().filter(open) {
            if t.forget_inputs() {
                t.0.history.set(RELEASED | CUT);
            }
        }
        return;
    }
    let mut suspects = SUSPECTS.take();
    let new = tensors.iter().filter(|t| !t.inputs().is_empty());
    suspects.nodes.extend(new.map(|t| Arc::downgrade(&t.0)));
    if suspects.is_due()
        && let Some(_alone) = alone()
    {
        suspects.examine(tensors);
    }
    SUSPECTS.set(suspects);
}

impl Suspects {
    fn is_due(&self) -> bool {
        let left = self.stayed.saturating_sub(GONE.get());
        crate::tensor::next_id() >= self.seen + left / 2
    }

    fn examine(&mut self, fresh: &[&Tensor]) {
        let nodes = std::mem::take(&mut self.nodes);
        let roots: Vec<Tensor> = nodes
            .iter()
            .filter_map(|w| w.upgrade().map(Tensor))
            .collect();
        drop(nodes);
        let fresh: FxHashSet<u64> = fresh.iter().map(|t| t.0.id).collect();
        let mut sight = Sight::of(roots, &fresh);
        sight.release(&fresh);
        let kept = sight.nodes.iter().filter(|t| !t.inputs().is_empty());
        self.stayed = kept.count() as u64;
        self.seen = crate::tensor::next_id();
        let left = sight.nodes.iter().filter(|t| sight.roots.contains(&t.0.id));
        let left = left.filter(|t| !t.inputs().is_empty());
        self.nodes = left.map(|t| Arc::downgrade(&t.0)).collect();
        drop(sight);
        GONE.set(0);
    }
}

/// Nodes at and below some, each with one handle here.
struct Sight {
    /// Operands first.
    nodes: Vec<Tensor>,
    place: FxHashMap<u64, usize>,
    roots: FxHashSet<u64>,
    /// From what is held down, the fewest values and operations in between.
    distance: Vec<(u32, u32)>,
}

impl Sight {
    fn of(roots: Vec<Tensor>, fresh: &FxHashSet<u64>) -> Sight {
        let ids: FxHashSet<u64> = roots.iter().map(|t| t.0.id).collect();
        let mut seen = FxHashSet::default();
        let (mut stack, mut nodes) = (roots, Vec::new());
        while let Some(t) = stack.pop() {
            if seen.insert(t.0.id) {
                stack.extend(t.inputs().iter().cloned());
                nodes.push(t);
            }
        }
        nodes.sort_unstable_by_key(|t| t.0.id);
        let place: FxHashMap<u64, usize> = nodes
            .iter()
            .enumerate()
            .map(|(at, t)| (t.0.id, at))
            .collect();
        const FAR: (u32, u32) = (u32::MAX, u32::MAX);
        let mut distance = vec![FAR; nodes.len()];
        for (at, t) in nodes.iter().enumerate().rev() {
            if distance[at] == FAR || is_held(t) || fresh.contains(&t.0.id) {
                distance[at] = (0, 0);
            }
            let (levels, length) = distance[at];
            for input in t.inputs().iter() {
                let valued = u32::from(input.0.value.get().is_some());
                let to = &mut distance[place[&input.0.id]];
                *to = (to.0.min(levels + valued), to.1.min(length + 1));
            }
        }
        Sight {
            nodes,
            place,
            roots: ids,
            distance,
        }
    }

    /// Lets go, from the operands up, so that what lies above sees what is gone.
    fn release(&mut self, fresh: &FxHashSet<u64>) {
        // By place: whether somebody holds a float at or below, and a marked one.
        let mut asked = vec![(false, false); self.nodes.len()];
        for (at, t) in self.nodes.iter().enumerate() {
            let (mut any, mut marked) = (false, false);
            for input in t.inputs().iter() {
                let below = asked[self.place[&input.0.id]];
                (any, marked) = (any || below.0, marked || below.1);
            }
            let (levels, length) = self.distance[at];
            let far = levels >= LEVELS || length >= LENGTH;
            let cut = any && !marked && far;
            let candidate = t.0.value.get().is_some() && !is_remade(t) && !fresh.contains(&t.0.id);
            if candidate && (!any || cut) && !t.inputs().is_empty() && self.forget(t) {
                t.0.history.set(RELEASED | if cut { CUT } else { 0 });
                (any, marked) = (false, false);
            }
            let held = t.dtype().is_float() && is_held(t);
            asked[at] = (any || held, marked || (held && t.0.history.has(MARKED)));
        }
    }

    /// Lets go of a node's operands. An optimiser knows a parameter by the mark of what it was recorded from.
    fn forget(&self, t: &Tensor) -> bool {
        if !crate::mark::Mark::is_marked(t) {
            let mut below: Vec<Tensor> = t.inputs().clone();
            let mut seen = FxHashSet::default();
            while let Some(of) = below.pop() {
                if of.shape() == t.shape() && crate::mark::Mark::is_marked(&of) {
                    crate::mark::Mark::pass_on(&of, t);
                    break;
                }
                if seen.len() < 64 && seen.insert(of.0.id) {
                    below.extend(of.inputs().iter().cloned());
                }
            }
        }
        t.forget_inputs()
    }
}

/// Whether it is computed anew from its operands though it has a value: a loop is, for results that nobody has asked for yet.
fn is_remade(t: &Tensor) -> bool {
    matches!(t.0.op, crate::ops::Op::Loop(_))
}

/// Whether somebody holds it beside nodes, and the one handle here.
fn is_held(t: &Tensor) -> bool {
    Arc::strong_count(&t.0) > t.0.history.users.load(Relaxed) + 1
}
