//! Cuts programs that no kernel can hold: where a kernel would read more buffers than the device binds or run more
//! instructions than one program may have, a part of it gets a buffer of its own, and so does what a reshape would have to
//! copy. One pass from the operands up, so that whatever lies below a node fits already: the time is in proportion to the
//! nodes, however long a chain is.

use super::Limits;
use super::expression::{Builder, Chain, Chains};
use super::mark::Marked;
use super::strided::Strided;
use crate::ops::{Lowered, Movement};
use rustc_hash::FxHashSet;

/// Stores what has to be stored beside what `marked` stores already, and returns it.
pub(super) fn cut(marked: &mut Marked, limits: &Limits) -> Vec<usize> {
    let n = marked.lowered.len();
    let needed = needed(marked);
    let mut fit = Fit {
        limits,
        sizes: vec![Size::default(); n],
        forms: vec![Forms::default(); n],
        counter: Counter::default(),
        cuts: Vec::new(),
        marked,
    };
    for n in 0..n {
        if needed[n] {
            fit.node(n);
        }
    }
    fit.cuts
}

/// Whether each node is computed by a program, alone or inside another one.
fn needed(marked: &Marked) -> Vec<bool> {
    let mut needed = vec![false; marked.lowered.len()];
    for n in (0..needed.len()).rev() {
        needed[n] |= marked.stored[n];
        if needed[n] {
            for &i in marked.inlined_inputs(n) {
                needed[i] = true;
            }
        }
    }
    needed
}

/// Instructions of a program and buffers that it reads: at most so many.
#[derive(Clone, Copy, Default)]
struct Size {
    insts: usize,
    inputs: usize,
}

impl Size {
    const LOAD: Size = Size {
        insts: 1,
        inputs: 1,
    };

    fn and(self, other: Size) -> Size {
        Size {
            insts: self.insts + other.insts,
            inputs: self.inputs + other.inputs,
        }
    }

    fn fits(self, limits: &Limits) -> bool {
        self.insts <= limits.max_insts && self.inputs <= limits.max_inputs
    }
}

/// How a program's loads walk their buffers. What is the same everywhere is left out: any view of it exists.
#[derive(Clone, Default)]
struct Forms {
    /// Some are dense.
    dense: bool,
    /// Other walks.
    others: Vec<Strided>,
    /// There are more than are worth a list.
    many: bool,
}

/// Walks that are worth a list.
const FEW: usize = 16;

impl Forms {
    fn dense() -> Forms {
        Forms {
            dense: true,
            ..Forms::default()
        }
    }

    fn add(&mut self, walk: Strided) {
        let mut dims = walk.shape.iter().zip(&walk.strides);
        if dims.all(|(&n, &stride)| n == 1 || stride == 0) {
            return;
        }
        if walk.is_dense() {
            self.dense = true;
        } else if !self.many && !self.others.contains(&walk) {
            self.others.push(walk);
            self.many = self.others.len() > FEW;
        }
    }

    fn join(&mut self, other: &Forms) {
        self.dense |= other.dense;
        self.many |= other.many;
        other.others.iter().for_each(|walk| self.add(walk.clone()));
    }

    /// The same after a movement of what has this shape; none where one of them would have to be copied.
    fn moved(&self, shape: &[usize], m: &Movement) -> Option<Forms> {
        let mut moved = Forms {
            many: self.many,
            ..Forms::default()
        };
        if self.dense {
            moved.add(Strided::dense(shape).moved(m)?);
        }
        for walk in &self.others {
            moved.add(walk.clone().moved(m)?);
        }
        Some(moved)
    }
}

struct Fit<'m, 'g> {
    marked: &'m mut Marked<'g>,
    limits: &'m Limits,
    sizes: Vec<Size>,
    forms: Vec<Forms>,
    counter: Counter,
    cuts: Vec<usize>,
}

impl Fit<'_, '_> {
    fn store(&mut self, n: usize) {
        self.marked.store(n);
        self.cuts.push(n);
    }

    /// The size of `n` as an operand.
    fn size(&self, n: usize) -> Size {
        match self.marked.stored[n] {
            true => Size::LOAD,
            false => self.sizes[n],
        }
    }

    /// Makes the program of `n` one that a kernel can hold.
    fn node(&mut self, n: usize) {
        let graph = self.marked.graph;
        let inputs = &graph.nodes[n].inputs;
        let one = Size {
            insts: 1,
            inputs: 0,
        };
        self.sizes[n] = match &self.marked.lowered[n] {
            Lowered::Constant { .. } => one,
            Lowered::Iota | Lowered::Random { .. } => {
                self.forms[n] = Forms::dense();
                one
            }
            Lowered::View(_) => {
                self.view(n);
                self.size(inputs[0])
            }
            Lowered::Identity => {
                self.forms[n] = self.below(inputs[0]);
                self.size(inputs[0])
            }
            Lowered::Gather { dim } => {
                self.gather(n, *dim);
                Size::LOAD.and(self.size(inputs[1]))
            }
            Lowered::Elementwise(_) => {
                let mut forms = self.below(inputs[0]);
                let mut size = one.and(self.size(inputs[0]));
                for (at, &i) in inputs.iter().enumerate().skip(1) {
                    if !inputs[..at].contains(&i) {
                        size = size.and(self.size(i));
                        match self.marked.stored[i] {
                            true => forms.dense = true,
                            false => forms.join(&self.forms[i]),
                        }
                    }
                }
                self.forms[n] = forms;
                size
            }
            // Kernels and leaves: programs for their operands fit where those do.
            _ => return,
        };
        if !self.sizes[n].fits(self.limits) {
            self.shorten(n);
        }
    }

    /// How the loads of `n` as an operand walk.
    fn below(&self, n: usize) -> Forms {
        match self.marked.stored[n] {
            true => Forms::dense(),
            false => self.forms[n].clone(),
        }
    }

    fn view(&mut self, n: usize) {
        let operand = self.marked.graph.nodes[n].inputs[0];
        let shape = &self.marked.graph.nodes[operand].shape;
        let Lowered::View(m) = &self.marked.lowered[n] else {
            return;
        };
        let whole = Forms::dense();
        let moved = match self.marked.stored[operand] {
            true => whole.moved(shape, m),
            false => self.forms[operand].moved(shape, m),
        };
        // Walks that are not in the list are looked at one by one.
        let exists = |forms: &Forms| {
            !forms.many
                || !matches!(m, Movement::Reshape(_))
                || Builder::new(self.marked, n).build(n, None).is_ok()
        };
        let after = whole.moved(shape, m);
        match moved.filter(exists) {
            Some(forms) => self.forms[n] = forms,
            None => {
                self.store(operand);
                self.forms[n] = after.unwrap_or_default();
            }
        }
    }

    fn gather(&mut self, n: usize, dim: usize) {
        let node = &self.marked.graph.nodes[n];
        let mut forms = self.below(node.inputs[1]);
        let walk = match self.marked.resolve(node.inputs[0]).1 {
            Some(walk) => walk,
            None => {
                self.store(node.inputs[0]);
                Strided::dense(&self.marked.graph.nodes[node.inputs[0]].shape)
            }
        };
        let mut strides = walk.strides;
        strides[dim] = 0;
        forms.add(Strided {
            strides,
            shape: node.shape.clone(),
            offset: walk.offset,
        });
        self.forms[n] = forms;
    }

    /// Stores the largest operands of `n` until its program fits.
    fn shorten(&mut self, n: usize) {
        loop {
            let size = self.counter.count(self.marked, n, self.limits);
            self.sizes[n] = size;
            if size.fits(self.limits) {
                return;
            }
            let parts = parts(self.marked, n);
            let (marked, limits) = (&*self.marked, self.limits);
            let counter = &mut self.counter;
            let sizes = parts
                .iter()
                .map(|&v| counter.count(marked, v, limits).insts);
            // The last of several that are as large, where the order of registers puts it next.
            let Some((_, largest)) = sizes.zip(parts.iter().copied()).max_by_key(|(s, _)| *s)
            else {
                return;
            };
            self.store(largest);
        }
    }
}

/// The nearest parts of the program of `n` that can be kernels, below views.
fn parts(marked: &Marked, n: usize) -> Vec<usize> {
    let operands = |n: usize| match marked.lowered[n] {
        Lowered::Gather { .. } => &marked.graph.nodes[n].inputs[1..],
        _ => &marked.graph.nodes[n].inputs[..],
    };
    let mut stack: Vec<usize> = operands(n).iter().rev().copied().collect();
    let mut parts = Vec::new();
    while let Some(v) = stack.pop() {
        if marked.stored[v] {
            continue;
        }
        match marked.lowered[v] {
            Lowered::View(_) | Lowered::Identity => stack.extend(operands(v)),
            Lowered::Elementwise(_) | Lowered::Gather { .. } => parts.push(v),
            _ => {}
        }
    }
    parts
}

/// Counts programs as [`Builder`] builds them.
#[derive(Default)]
struct Counter {
    chains: Chains,
    seen: FxHashSet<(usize, Chain)>,
    inputs: FxHashSet<usize>,
    stack: Vec<(usize, Chain)>,
}

impl Counter {
    /// The size of the program of `root`, or a larger one than fits.
    fn count(&mut self, marked: &Marked, root: usize, limits: &Limits) -> Size {
        self.chains.clear();
        self.seen.clear();
        self.inputs.clear();
        self.stack.clear();
        self.stack.push((root, Chains::NONE));
        let mut insts = 0;
        while let Some((n, chain)) = self.stack.pop() {
            if !self.seen.insert((n, chain)) {
                continue;
            }
            let inputs = &marked.graph.nodes[n].inputs;
            match &marked.lowered[n] {
                _ if marked.stored[n] && n != root => {
                    insts += 1;
                    self.inputs.insert(n);
                }
                Lowered::View(_) => match marked.resolve(n).0 {
                    base if marked.stored[base] && base != root => {
                        insts += 1;
                        self.inputs.insert(base);
                    }
                    _ => {
                        let chain = self.chains.longer(chain, n);
                        self.stack.push((inputs[0], chain));
                    }
                },
                Lowered::Identity => self.stack.push((inputs[0], chain)),
                Lowered::Gather { .. } => {
                    insts += 1;
                    self.inputs.insert(marked.resolve(inputs[0]).0);
                    self.stack.push((inputs[1], chain));
                }
                Lowered::Elementwise(_) => {
                    insts += 1;
                    self.stack.extend(inputs.iter().map(|&i| (i, chain)));
                }
                _ => insts += 1,
            }
            let size = Size {
                insts,
                inputs: self.inputs.len(),
            };
            if !size.fits(limits) {
                return size;
            }
        }
        Size {
            insts,
            inputs: self.inputs.len(),
        }
    }
}
