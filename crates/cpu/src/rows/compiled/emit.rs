//! A schedule as machine code: a loop over rows, in it what is computed once for a row and loops over its points, sixteen at a time and
//! four times sixteen for each round, so that sums run in 64 chains. Knows no plan.
//!
//! ```text
//!   registers   rdi frame · rcx place in the run · rsi rounds · others where streams are
//!               zmm: sums and maxima from the top, then numbers that are the same for all points, then what comes and goes
//!   masks       k1 the points at the end of a run · others comparisons, and whether a maximum has met NaN
//!   frame       rows left · counters · where each stream's row begins · sums in f64 · numbers
//! ```

use super::body::{Body, Points};
use super::emitter::{Emitter, at, bytes, number, word};
use super::frame::Frame;
use super::schedule::{Node, One, Part, Schedule, Sink};
use crate::native::assembler::{
    Assembler, General, Mask, Masks, Operand, RAX, RBP, RBX, RCX, RDX, RSI, UNORDERED, Vector,
    When, Width, op,
};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// Floats in a vector.
const N: usize = 16;

/// Vectors in a round.
const ROUND: usize = 4;

/// Rounds whose values are added in f32 before sums move on to f64.
const CHAIN: usize = 16;

/// The instructions of a schedule whose streams move so many words from row to row, and their frame. With `past` results that
/// nobody reads soon go past the caches.
pub(super) fn emit(schedule: &Schedule, pitches: &[usize], past: bool) -> Option<(Vec<u8>, Frame)> {
    let sums = |part: &Part| {
        let is = |s: &&(usize, Sink)| matches!(s.1, Sink::Sum(_));
        part.sinks.iter().filter(is).count()
    };
    let doubles = schedule.parts.iter().map(|(_, points)| sums(points)).max();
    let mut emitter = Emitter {
        code: Assembler::default(),
        schedule,
        past,
        frame: Frame {
            streams: schedule.streams.len(),
            doubles: doubles.unwrap_or(0),
            numbers: Vec::new(),
        },
    };
    emitter.function(pitches)?;
    Some((emitter.code.finish(), emitter.frame))
}

const SAVED: [General; 6] = [RBX, RBP, General(12), General(13), General(14), General(15)];
const POINTERS: [General; 12] = [
    RAX,
    RDX,
    General(8),
    General(9),
    General(10),
    General(11),
    RBX,
    RBP,
    General(12),
    General(13),
    General(14),
    General(15),
];

/// The points at the end of a run.
const TAIL: Mask = Mask(1);

impl Emitter<'_> {
    fn function(&mut self, pitches: &[usize]) -> Option<()> {
        SAVED.iter().for_each(|&r| self.code.push(r));
        let tail = self.schedule.sizes.run % N;
        if tail != 0 {
            self.code.set_mask(TAIL, (1 << tail) - 1);
        }
        let row = self.code.here();
        let schedule = self.schedule;
        for (once, points) in &schedule.parts {
            self.once(once)?;
            if !points.sinks.is_empty() {
                Loop::new(self, points)?.emit()?;
            }
        }
        for (stream, &pitch) in pitches.iter().enumerate().filter(|&(_, &p)| p != 0) {
            self.code
                .add_to(word(self.frame.stream(stream)), bytes(pitch)?);
        }
        self.code.add_to(word(0), -1);
        self.code.jump_back(When::NotZero, row);
        SAVED.iter().rev().for_each(|&r| self.code.pop(r));
        self.code.leave();
        Some(())
    }

    /// What is computed once for a row.
    fn once(&mut self, part: &Part) -> Option<()> {
        let mut body = Body::new(
            part,
            Width::Four,
            (0..32).rev().map(Vector).collect(),
            (2..8).map(Mask).collect(),
        );
        for &(node, sink) in &part.sinks {
            let value = body.node(self, node)?;
            let to = match sink {
                Sink::Value(stage) => self.number(One::Stage(stage)),
                Sink::Store(stream) => {
                    self.code.load(RAX, word(self.frame.stream(stream)));
                    at(RAX, 0)
                }
                _ => return None,
            };
            self.code.vector(
                (op::STORE_ONE, Width::Four),
                value,
                None,
                Operand::Memory(to),
            );
            body.done(node);
        }
        Some(())
    }
}

/// A loop over the points of a row.
struct Loop<'e, 's, 'p> {
    emitter: &'e mut Emitter<'s>,
    part: &'p Part,
    pointers: FxHashMap<usize, General>,
    /// Registers of numbers and of elements for the run at hand, by node.
    pinned: FxHashMap<usize, Vector>,
    /// Four chains for each sum or maximum, by sink.
    chains: FxHashMap<usize, [Vector; ROUND]>,
    /// Whether a maximum has met NaN, by sink.
    nan: FxHashMap<usize, Mask>,
    free: Vec<Vector>,
    masks: Vec<Mask>,
}

impl<'e, 's, 'p> Loop<'e, 's, 'p> {
    fn new(emitter: &'e mut Emitter<'s>, part: &'p Part) -> Option<Self> {
        let mut pointers = FxHashMap::default();
        let of_nodes = part.nodes.iter().filter_map(|n| match n {
            Node::Points(s) | Node::Flags(s) | Node::Run(s) => Some(*s),
            _ => None,
        });
        let of_sinks = part.sinks.iter().filter_map(|(_, s)| match s {
            Sink::Store(s) | Sink::Stream(s) | Sink::Across(s) => Some(*s),
            _ => None,
        });
        for stream in of_nodes.chain(of_sinks) {
            let next = pointers.len();
            if let Entry::Vacant(free) = pointers.entry(stream) {
                free.insert(*POINTERS.get(next)?);
            }
        }
        let mut free: Vec<Vector> = (0..32).map(Vector).collect();
        let mut masks: Vec<Mask> = (2..8).map(Mask).collect();
        let (mut chains, mut nan) = (FxHashMap::default(), FxHashMap::default());
        for (k, (_, sink)) in part.sinks.iter().enumerate() {
            if let Sink::Sum(_) | Sink::Max(_) = sink {
                let mut four = [Vector(0); ROUND];
                for chain in &mut four {
                    *chain = free.pop()?;
                }
                chains.insert(k, four);
            }
            if let Sink::Max(_) = sink {
                nan.insert(k, masks.pop()?);
            }
        }
        const MOST_PINNED: usize = 12;
        let mut pinned = FxHashMap::default();
        let must = |n: &Node| matches!(n, Node::Run(_) | Node::One(One::Row(_)));
        let mut nodes: Vec<usize> = (0..part.nodes.len()).collect();
        nodes.sort_by_key(|&n| !must(&part.nodes[n]));
        for n in nodes {
            let is = must(&part.nodes[n]);
            if is || (matches!(part.nodes[n], Node::One(_)) && pinned.len() < MOST_PINNED) {
                pinned.insert(n, free.pop()?);
            }
        }
        Some(Loop {
            emitter,
            part,
            pointers,
            pinned,
            chains,
            nan,
            free,
            masks,
        })
    }

    /// Pinned nodes in order, with their registers.
    fn pins(&self) -> Vec<(usize, Vector)> {
        let mut pins: Vec<_> = self.pinned.iter().map(|(&n, &r)| (n, r)).collect();
        pins.sort_unstable_by_key(|p| p.0);
        pins
    }

    fn emit(mut self) -> Option<()> {
        let sizes = &self.emitter.schedule.sizes;
        let (run, runs) = (sizes.run, sizes.runs());
        // Runs between the ends of chains, whose first vectors meet in one.
        let together = match self.has_sums() {
            true => (CHAIN / run.div_ceil(ROUND * N)).clamp(1, runs),
            false => runs,
        };
        self.begin();
        let groups = together < runs;
        if groups {
            self.code().store_number(word(Frame::GROUPS), number(runs)?);
        }
        let group = self.code().here();
        if groups && together > 1 {
            self.code().load(RSI, word(Frame::GROUPS));
            self.at_most(together)?;
            self.code().store(word(Frame::RUNS), RSI);
            self.code().subtract_from(word(Frame::GROUPS), RSI);
        } else if together > 1 {
            self.code()
                .store_number(word(Frame::RUNS), number(together)?);
        }
        let first = self.code().here();
        self.run(run)?;
        if runs > 1 {
            for (stream, pointer) in self.moving() {
                let apart = self.emitter.schedule.streams[stream].apart;
                self.code().add(pointer, bytes(apart)?);
            }
        }
        if together > 1 {
            self.code().add_to(word(Frame::RUNS), -1);
            self.code().jump_back(When::NotZero, first);
        }
        self.flush();
        if groups {
            let done = if together > 1 { 0 } else { -1 };
            self.code().add_to(word(Frame::GROUPS), done);
            self.code().jump_back(When::NotZero, group);
        }
        self.end();
        Some(())
    }

    /// `rsi`, but no more than this.
    fn at_most(&mut self, most: usize) -> Option<()> {
        let most = number(most)?;
        let code = self.code();
        code.test(RSI, most);
        let fewer = code.jump_ahead(When::Below);
        code.set(RSI, most as u32);
        code.land(fewer);
        Some(())
    }

    fn code(&mut self) -> &mut Assembler {
        &mut self.emitter.code
    }

    fn has_sums(&self) -> bool {
        self.part.sinks.iter().any(|s| matches!(s.1, Sink::Sum(_)))
    }

    fn moving(&self) -> Vec<(usize, General)> {
        let mut all: Vec<_> = self.pointers.iter().map(|(&s, &r)| (s, r)).collect();
        all.sort_unstable_by_key(|p| p.0);
        all
    }

    /// The word of a sum in f64.
    fn double(&self, sink: usize) -> usize {
        let is = |s: &&(usize, Sink)| matches!(s.1, Sink::Sum(_));
        let before = self.part.sinks[..sink].iter().filter(is).count();
        Frame::COUNTERS + self.emitter.frame.streams + before
    }

    fn begin(&mut self) {
        for (n, register) in self.pins() {
            if let Node::One(one) = self.part.nodes[n] {
                self.emitter.repeat(one, register, Width::Sixteen, RCX);
            }
        }
        for (stream, pointer) in self.moving() {
            let from = word(self.emitter.frame.stream(stream));
            self.code().load(pointer, from);
        }
        for k in 0..self.part.sinks.len() {
            let Some(&chains) = self.chains.get(&k) else {
                continue;
            };
            match self.nan.get(&k) {
                Some(&nan) => {
                    let least = self
                        .emitter
                        .number(One::Constant(f32::NEG_INFINITY.to_bits()));
                    for chain in chains {
                        let repeat = (op::REPEAT, Width::Sixteen);
                        self.code()
                            .vector(repeat, chain, None, Operand::Memory(least));
                    }
                    self.code().masks(Masks::Other, nan, [nan, nan]);
                }
                None => {
                    chains.iter().for_each(|&c| self.clear(c));
                    let place = word(self.double(k));
                    self.code().store_number(place, 0);
                }
            }
        }
    }

    fn clear(&mut self, register: Vector) {
        let xor = (op::XOR, Width::Sixteen);
        self.code()
            .vector(xor, register, Some(register), Operand::Vector(register));
    }

    /// All points of a run.
    fn run(&mut self, run: usize) -> Option<()> {
        for (n, register) in self.pins() {
            if let Node::Run(stream) = self.part.nodes[n] {
                let from = at(*self.pointers.get(&stream)?, 0);
                let repeat = (op::REPEAT, Width::Sixteen);
                self.code()
                    .vector(repeat, register, None, Operand::Memory(from));
            }
        }
        self.code().set(RCX, 0);
        let rounds = run / (ROUND * N);
        let long = self.has_sums() && rounds > CHAIN;
        let again = if long {
            self.code()
                .store_number(word(Frame::ROUNDS), number(rounds)?);
            let again = self.code().here();
            self.code().load(RSI, word(Frame::ROUNDS));
            self.at_most(CHAIN)?;
            self.code().subtract_from(word(Frame::ROUNDS), RSI);
            Some(again)
        } else {
            self.code().set(RSI, u32::try_from(rounds).ok()?);
            None
        };
        if rounds > 0 {
            let round = self.code().here();
            for vector in 0..ROUND {
                self.vector(vector, Mask::NONE)?;
            }
            self.code().add(RCX, (ROUND * N * 4) as i32);
            if rounds > 1 {
                self.code().add(RSI, -1);
                self.code().jump_back(When::NotZero, round);
            }
        }
        if let Some(again) = again {
            self.flush();
            self.code().add_to(word(Frame::ROUNDS), 0);
            self.code().jump_back(When::NotZero, again);
        }
        let left = run % (ROUND * N);
        for vector in 0..left / N {
            self.vector(vector, Mask::NONE)?;
        }
        if !left.is_multiple_of(N) {
            self.vector(left / N, TAIL)?;
        }
        Some(())
    }

    /// Everything for the points of one vector of a round.
    fn vector(&mut self, vector: usize, mask: Mask) -> Option<()> {
        let mut body = Body::new(
            self.part,
            Width::Sixteen,
            self.free.clone(),
            self.masks.clone(),
        );
        body.values
            .extend(self.pinned.iter().map(|(&n, &r)| (n, r)));
        body.points = Some(Points {
            pointers: self.pointers.clone(),
            offset: (vector * N * 4) as i32,
            mask,
        });
        let before = &self.emitter.schedule.before;
        let replaces = |sink: &Sink| match sink {
            Sink::Store(s) | Sink::Stream(s) => {
                let output = self.emitter.schedule.streams[*s].source;
                before
                    .iter()
                    .any(|&b| self.emitter.schedule.streams[b].source == output)
            }
            _ => false,
        };
        let (last, first): (Vec<usize>, Vec<usize>) =
            (0..self.part.sinks.len()).partition(|&k| replaces(&self.part.sinks[k].1));
        for k in first {
            let (node, _) = self.part.sinks[k];
            body.either(self.emitter, node)?;
            self.sink(&mut body, k, vector)?;
            body.done(node);
        }
        for &k in &last {
            body.either(self.emitter, self.part.sinks[k].0)?;
        }
        for k in last {
            self.sink(&mut body, k, vector)?;
            body.done(self.part.sinks[k].0);
        }
        Some(())
    }

    fn sink(&mut self, body: &mut Body<'_>, k: usize, vector: usize) -> Option<()> {
        let (node, sink) = self.part.sinks[k];
        let words = match self.part.flags[node] {
            true => Some(body.words(self.emitter, node)?),
            false => None,
        };
        let value = words.or_else(|| body.values.get(&node).copied())?;
        let points = body.points.as_ref()?;
        let mask = points.mask;
        let code = &mut self.emitter.code;
        match sink {
            Sink::Store(stream) | Sink::Stream(stream) => {
                let to = Operand::Memory(points.place(stream)?);
                let past =
                    self.emitter.past && mask == Mask::NONE && matches!(sink, Sink::Stream(_));
                let store = if past { op::STREAM } else { op::STORE };
                code.masked(mask, false, |c| {
                    c.vector((store, Width::Sixteen), value, None, to)
                });
            }
            Sink::Across(stream) => {
                let place = Operand::Memory(points.place(stream)?);
                let sum = body.take()?;
                code.masked(mask, true, |c| {
                    c.vector((op::LOAD, Width::Sixteen), sum, None, place)
                });
                code.vector(
                    (op::ADD, Width::Sixteen),
                    sum,
                    Some(sum),
                    Operand::Vector(value),
                );
                code.masked(mask, false, |c| {
                    c.vector((op::STORE, Width::Sixteen), sum, None, place)
                });
                body.free.push(sum);
            }
            Sink::Sum(_) => {
                let chain = self.chains.get(&k)?[vector];
                code.masked(mask, false, |c| {
                    c.vector(
                        (op::ADD, Width::Sixteen),
                        chain,
                        Some(chain),
                        Operand::Vector(value),
                    );
                });
            }
            Sink::Max(_) => {
                let chain = self.chains.get(&k)?[vector];
                let nan = *self.nan.get(&k)?;
                let found = body.masks.last().copied()?;
                let value = (value, Operand::Vector(value));
                code.masked(mask, false, |c| {
                    c.compare(found, Width::Sixteen, value.0, (value.1, UNORDERED));
                    c.vector((op::MAX, Width::Sixteen), chain, Some(chain), value.1);
                });
                code.masks(Masks::Or, nan, [nan, found]);
            }
            Sink::Value(_) => return None,
        }
        body.free.extend(words);
        Some(())
    }

    /// Joins the chains of a sum or maximum pairwise in the first; lane 0 is the result.
    fn join(&mut self, [a, b, c, d]: [Vector; ROUND], how: crate::native::assembler::Opcode) {
        let spare = b;
        let mut join = |width: Width, to: Vector, with: Vector| {
            self.emitter
                .code
                .vector((how, width), to, Some(to), Operand::Vector(with));
        };
        join(Width::Sixteen, a, c);
        join(Width::Sixteen, b, d);
        join(Width::Sixteen, a, b);
        let code = &mut self.emitter.code;
        let upper = (op::UPPER_EIGHT, Width::Sixteen);
        code.vector_with(upper, a, None, (Operand::Vector(spare), 1));
        code.vector((how, Width::Eight), a, Some(a), Operand::Vector(spare));
        let upper = (op::UPPER_FOUR, Width::Eight);
        code.vector_with(upper, a, None, (Operand::Vector(spare), 1));
        code.vector((how, Width::Four), a, Some(a), Operand::Vector(spare));
        code.high_to_low(spare, a);
        code.vector((how, Width::Four), a, Some(a), Operand::Vector(spare));
        let second = (op::SHUFFLE, Width::Four);
        code.vector_with(second, spare, Some(a), (Operand::Vector(a), 1));
        code.vector((how, Width::Four), a, Some(a), Operand::Vector(spare));
    }

    /// Moves the sums on to f64.
    fn flush(&mut self) {
        for k in 0..self.part.sinks.len() {
            let (Some(&chains), false) = (self.chains.get(&k), self.nan.contains_key(&k)) else {
                continue;
            };
            self.join(chains, op::ADD);
            let total = Operand::Memory(word(self.double(k)));
            let [a, b, ..] = chains;
            let code = self.code();
            code.vector((op::TO_DOUBLE, Width::Four), b, Some(b), Operand::Vector(a));
            code.vector((op::ADD_DOUBLE, Width::Four), b, Some(b), total);
            code.vector((op::STORE_DOUBLE, Width::Four), b, None, total);
            chains.iter().for_each(|&c| self.clear(c));
        }
    }

    /// Sums and maxima become numbers.
    fn end(&mut self) {
        for k in 0..self.part.sinks.len() {
            let (Some(&chains), (_, Sink::Sum(stage) | Sink::Max(stage))) =
                (self.chains.get(&k), self.part.sinks[k])
            else {
                continue;
            };
            let [a, ..] = chains;
            let to = Operand::Memory(self.emitter.number(One::Stage(stage)));
            if let Some(&nan) = self.nan.get(&k) {
                self.join(chains, op::MAX);
                let bits = self.emitter.constant(f32::NAN);
                let code = self.code();
                code.test_mask(nan);
                let none = code.jump_ahead(When::Zero);
                if let Operand::Repeated(place) = bits {
                    code.vector((op::REPEAT, Width::Four), a, None, Operand::Memory(place));
                }
                code.land(none);
                // Of zeros, whatever their signs, the greatest is +0, as keys have it.
                let zero = self.emitter.constant(0.0);
                self.code().vector((op::ADD, Width::Four), a, Some(a), zero);
            } else {
                let total = Operand::Memory(word(self.double(k)));
                let code = self.code();
                code.vector((op::LOAD_DOUBLE, Width::Four), a, None, total);
                code.vector((op::TO_FLOAT, Width::Four), a, Some(a), Operand::Vector(a));
            }
            self.code()
                .vector((op::STORE_ONE, Width::Four), a, None, to);
        }
    }
}
