//! Values of one vector of points, or of one row, in registers: each is computed where it is first read and given up after its last
//! reader. Knows no loop.

use super::emitter::Emitter;
use super::schedule::{Node, One, Part};
use crate::native::assembler::{
    AT_LEAST, AT_MOST, EQUAL, GREATER, General, LESS, Mask, Masks, NOT_AT_MOST, NOT_EQUAL, Operand,
    Place, RAX, RCX, UNORDERED, Vector, Width, op,
};
use crate::plan::Function;
use rustc_hash::FxHashMap;

/// Where the points of a vector lie.
pub(super) struct Points {
    pub(super) pointers: FxHashMap<usize, General>,
    pub(super) offset: i32,
    pub(super) mask: Mask,
}

impl Points {
    pub(super) fn place(&self, stream: usize) -> Option<Place> {
        Some(Place {
            base: *self.pointers.get(&stream)?,
            index: Some(RCX),
            offset: self.offset,
        })
    }
}

/// Values of one vector of points, or of a row.
pub(super) struct Body<'p> {
    part: &'p Part,
    pub(super) width: Width,
    pub(super) points: Option<Points>,
    pub(super) free: Vec<Vector>,
    pub(super) masks: Vec<Mask>,
    /// Where nodes are, and how often each is still read.
    pub(super) values: FxHashMap<usize, Vector>,
    truths: FxHashMap<usize, Mask>,
    readers: Vec<usize>,
    own: Vec<bool>,
}

impl<'p> Body<'p> {
    pub(super) fn new(
        part: &'p Part,
        width: Width,
        free: Vec<Vector>,
        masks: Vec<Mask>,
    ) -> Body<'p> {
        let mut readers = vec![0; part.nodes.len()];
        for node in &part.nodes {
            if let Node::Apply(_, args) = node {
                args.iter().for_each(|&a| readers[a] += 1);
            }
        }
        part.sinks.iter().for_each(|&(node, _)| readers[node] += 1);
        Body {
            part,
            width,
            points: None,
            free,
            masks,
            values: FxHashMap::default(),
            truths: FxHashMap::default(),
            own: vec![false; readers.len()],
            readers,
        }
    }

    pub(super) fn take(&mut self) -> Option<Vector> {
        self.free.pop()
    }

    /// A reader of a node has read it.
    pub(super) fn done(&mut self, node: usize) {
        self.readers[node] -= 1;
        if self.readers[node] > 0 {
            return;
        }
        if self.own[node]
            && let Some(register) = self.values.remove(&node)
        {
            self.free.push(register);
        }
        if let Some(mask) = self.truths.remove(&node) {
            self.masks.push(mask);
        }
    }

    /// The register of a node, computed if it is not there yet.
    pub(super) fn node(&mut self, emitter: &mut Emitter<'_>, node: usize) -> Option<Vector> {
        if let Some(&register) = self.values.get(&node) {
            return Some(register);
        }
        let width = self.width;
        let register = match &self.part.nodes[node] {
            Node::Points(stream) => {
                let register = self.take()?;
                let points = self.points.as_ref()?;
                let from = Operand::Memory(points.place(*stream)?);
                emitter.code.masked(points.mask, true, |c| {
                    c.vector((op::LOAD, width), register, None, from)
                });
                register
            }
            Node::Run(_) | Node::Flags(_) | Node::Always(_) => return None,
            Node::One(one) => {
                let pointer = match (&self.points, one) {
                    (None, _) => RAX,
                    (Some(_), One::Row(_)) => return None,
                    (Some(_), _) => RCX,
                };
                let register = self.take()?;
                emitter.repeat(*one, register, width, pointer);
                register
            }
            Node::Apply(function, args) => self.apply(emitter, *function, args)?,
        };
        self.values.insert(node, register);
        self.own[node] = true;
        Some(register)
    }

    pub(super) fn apply(
        &mut self,
        emitter: &mut Emitter<'_>,
        function: Function,
        args: &[usize],
    ) -> Option<Vector> {
        if function == Function::Where {
            return self.choose(emitter, args);
        }
        let mut registers = [Vector(0); 2];
        for (register, &arg) in registers.iter_mut().zip(args) {
            *register = self.node(emitter, arg)?;
        }
        let [a, b] = registers;
        let width = self.width;
        // Operands stay where they are until the result is there.
        let to = self.take()?;
        let constants = [0.0, 1.0, -0.0].map(|x| emitter.constant(x));
        let [zero, one, sign] = constants;
        let code = &mut emitter.code;
        match function {
            Function::Add => code.vector((op::ADD, width), to, Some(a), Operand::Vector(b)),
            Function::Mul => code.vector((op::MUL, width), to, Some(a), Operand::Vector(b)),
            Function::Div => code.vector((op::DIV, width), to, Some(a), Operand::Vector(b)),
            Function::Neg => code.vector((op::XOR, width), to, Some(a), sign),
            Function::Sqrt => code.vector((op::SQRT, width), to, None, Operand::Vector(a)),
            Function::Recip => {
                if let Operand::Repeated(place) = one {
                    code.vector((op::REPEAT, width), to, None, Operand::Memory(place));
                }
                code.vector((op::DIV, width), to, Some(to), Operand::Vector(a));
            }
            Function::Relu => {
                let mask = *self.masks.last()?;
                code.compare(mask, width, a, (zero, NOT_AT_MOST));
                code.masked(mask, true, |c| {
                    c.vector((op::LOAD, width), to, None, Operand::Vector(a))
                });
            }
            Function::Max | Function::Min => {
                let (mask, itself) = (*self.masks.last()?, Operand::Vector(a));
                let choice = if function == Function::Max {
                    op::MAX
                } else {
                    op::MIN
                };
                code.vector((choice, width), to, Some(a), Operand::Vector(b));
                // The second operand is the result where one is NaN.
                code.compare(mask, width, a, (itself, UNORDERED));
                code.masked(mask, false, |c| {
                    c.vector((op::LOAD, width), to, None, itself)
                });
            }
            Function::Exp => self.exponential(emitter, to, a)?,
            Function::GeluSlope => self.gelu_slope(emitter, to, a)?,
            _ => return None,
        }
        args.iter().for_each(|&a| self.done(a));
        Some(to)
    }

    /// `args[1]` where the truth value `args[0]` holds, else `args[2]`.
    fn choose(&mut self, emitter: &mut Emitter<'_>, args: &[usize]) -> Option<Vector> {
        let [condition, yes, no] = *args else {
            return None;
        };
        let width = self.width;
        let (yes_at, no_at) = (self.node(emitter, yes)?, self.node(emitter, no)?);
        let mask = self.mask(emitter, condition)?;
        let to = self.take()?;
        emitter.code.masked(mask, false, |c| {
            c.vector((op::BLEND, width), to, Some(no_at), Operand::Vector(yes_at));
        });
        args.iter().for_each(|&a| self.done(a));
        Some(to)
    }

    /// Computes a node, number or truth value, if it is not there yet.
    pub(super) fn either(&mut self, emitter: &mut Emitter<'_>, node: usize) -> Option<()> {
        match self.part.flags[node] {
            true => self.mask(emitter, node).map(drop),
            false => self.node(emitter, node).map(drop),
        }
    }

    /// Truth values as words, in a register that the caller gives back.
    pub(super) fn words(&mut self, emitter: &mut Emitter<'_>, node: usize) -> Option<Vector> {
        let mask = self.mask(emitter, node)?;
        let words = self.take()?;
        let one = Operand::Memory(emitter.number(One::Constant(1)));
        let repeat = (op::REPEAT, self.width);
        emitter
            .code
            .masked(mask, true, |c| c.vector(repeat, words, None, one));
        Some(words)
    }

    /// The register of a truth value, computed if it is not there yet.
    fn mask(&mut self, emitter: &mut Emitter<'_>, node: usize) -> Option<Mask> {
        if let Some(&mask) = self.truths.get(&node) {
            return Some(mask);
        }
        let width = self.width;
        let mask = match &self.part.nodes[node] {
            Node::Flags(stream) => {
                let points = self.points.as_ref()?;
                let (from, tail) = (Operand::Memory(points.place(*stream)?), points.mask);
                let words = self.take()?;
                let mask = self.masks.pop()?;
                let code = &mut emitter.code;
                code.masked(tail, true, |c| {
                    c.vector((op::LOAD, width), words, None, from)
                });
                let all = (Vector(mask.0), Operand::Vector(words));
                code.vector((op::ANY_BIT, width), all.0, Some(words), all.1);
                self.free.push(words);
                mask
            }
            Node::Always(truth) => {
                let mask = self.masks.pop()?;
                let how = if *truth { Masks::Same } else { Masks::Other };
                emitter.code.masks(how, mask, [mask, mask]);
                mask
            }
            Node::Apply(function, args) => match (function, &args[..]) {
                (Function::Where, &[condition, yes, no]) => {
                    let [c, yes, no] = [condition, yes, no].map(|n| self.mask(emitter, n));
                    let (c, yes, no) = (c?, yes?, no?);
                    let [mask, other] = [self.masks.pop()?, self.masks.pop()?];
                    emitter.code.masks(Masks::And, mask, [c, yes]);
                    emitter.code.masks(Masks::Without, other, [c, no]);
                    emitter.code.masks(Masks::Or, mask, [mask, other]);
                    self.masks.push(other);
                    args.iter().for_each(|&a| self.done(a));
                    mask
                }
                (Function::Not, &[a]) => {
                    let of = self.mask(emitter, a)?;
                    let mask = self.masks.pop()?;
                    emitter.code.masks(Masks::Same, mask, [mask, mask]);
                    emitter.code.masks(Masks::Without, mask, [of, mask]);
                    self.done(a);
                    mask
                }
                (Function::Max | Function::Min, &[a, b]) => {
                    let both = [self.mask(emitter, a)?, self.mask(emitter, b)?];
                    let mask = self.masks.pop()?;
                    let or = *function == Function::Max;
                    emitter
                        .code
                        .masks(if or { Masks::Or } else { Masks::And }, mask, both);
                    args.iter().for_each(|&a| self.done(a));
                    mask
                }
                (_, &[a, b]) => {
                    let how = comparison(*function)?;
                    let (a_at, b_at) = (self.node(emitter, a)?, self.node(emitter, b)?);
                    let mask = self.masks.pop()?;
                    emitter
                        .code
                        .compare(mask, width, a_at, (Operand::Vector(b_at), how));
                    args.iter().for_each(|&a| self.done(a));
                    mask
                }
                _ => return None,
            },
            Node::Points(_) | Node::Run(_) | Node::One(_) => return None,
        };
        self.truths.insert(node, mask);
        Some(mask)
    }
}

/// The comparison that a function is.
fn comparison(function: Function) -> Option<u8> {
    Some(match function {
        Function::Less => LESS,
        Function::AtMost => AT_MOST,
        Function::Greater => GREATER,
        Function::AtLeast => AT_LEAST,
        Function::Equal => EQUAL,
        Function::NotEqual => NOT_EQUAL,
        _ => return None,
    })
}
