//! Instructions while they are written, and the numbers and streams that they find in their frame. Knows no loop.

use super::frame::Frame;
use super::schedule::{One, Schedule};
use crate::native::assembler::{Assembler, General, Operand, Place, RDI, Vector, Width, op};

pub(super) struct Emitter<'s> {
    pub(super) code: Assembler,
    pub(super) schedule: &'s Schedule,
    pub(super) past: bool,
    pub(super) frame: Frame,
}

pub(super) fn number(n: usize) -> Option<i32> {
    i32::try_from(n).ok()
}

/// Of the words of a stream.
pub(super) fn bytes(words: usize) -> Option<i32> {
    number(words.checked_mul(4)?)
}

pub(super) fn at(base: General, offset: i32) -> Place {
    Place {
        base,
        index: None,
        offset,
    }
}

/// A word of the frame.
pub(super) fn word(n: usize) -> Place {
    at(RDI, 8 * n as i32)
}

impl Emitter<'_> {
    /// Where a number is.
    pub(super) fn number(&mut self, one: One) -> Place {
        let found = self.frame.numbers.iter().position(|&n| n == one);
        let n = found.unwrap_or_else(|| {
            self.frame.numbers.push(one);
            self.frame.numbers.len() - 1
        });
        at(RDI, 4 * (self.frame.first_number() + n) as i32)
    }

    /// Where sixteen constants lie one after the other.
    pub(super) fn table(&mut self, of: &[f32; 16]) -> Operand {
        let of = of.map(|x| One::Constant(x.to_bits()));
        let found = self.frame.numbers.windows(16).position(|n| n == of);
        let n = found.unwrap_or_else(|| {
            self.frame.numbers.extend(of);
            self.frame.numbers.len() - 16
        });
        Operand::Memory(at(RDI, 4 * (self.frame.first_number() + n) as i32))
    }

    pub(super) fn constant(&mut self, x: f32) -> Operand {
        Operand::Repeated(self.number(One::Constant(x.to_bits())))
    }

    /// One number for all lanes of a register; `pointer` may be overwritten.
    pub(super) fn repeat(&mut self, one: One, to: Vector, width: Width, pointer: General) {
        let from = match one {
            One::Row(stream) => {
                self.code.load(pointer, word(self.frame.stream(stream)));
                at(pointer, 0)
            }
            _ => self.number(one),
        };
        self.code
            .vector((op::REPEAT, width), to, None, Operand::Memory(from));
    }
}
