//! Instructions of x86-64 and AVX-512 as bytes, as far as loops over floats need them. Branches are few, so there are no labels:
//! a jump back takes a place, a jump ahead is told later where it lands. Knows no loop.
//!
//! ```text
//!   EVEX  62 │ R X B R' 0 map │ W vvvv 1 pp │ z L'L b V' aaa │ opcode │ mod reg rm │ sib │ 32 bits of displacement
//!            registers beyond 7, inverted     mask and size            reg: first operand, vvvv: second, rm: third
//! ```

/// A vector register, 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector(pub(crate) u8);

/// A register of masks, 1 to 7; 0 stands for no mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) u8);

impl Mask {
    pub(crate) const NONE: Mask = Mask(0);
}

/// A general register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct General(pub(crate) u8);

pub(crate) const RAX: General = General(0);
pub(crate) const RCX: General = General(1);
pub(crate) const RDX: General = General(2);
pub(crate) const RBX: General = General(3);
pub(crate) const RBP: General = General(5);
pub(crate) const RSI: General = General(6);
pub(crate) const RDI: General = General(7);

/// A place in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) base: General,
    pub(crate) index: Option<General>,
    pub(crate) offset: i32,
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Vector(Vector),
    /// As many floats as the instruction takes.
    Memory(Place),
    /// One float, for all.
    Repeated(Place),
}

/// How many floats an instruction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Four = 0,
    Eight = 1,
    Sixteen = 2,
}

/// A vector instruction: map, prefix, W and opcode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opcode(u8, u8, u8, u8);

pub(crate) mod op {
    use super::Opcode;

    pub(crate) const LOAD: Opcode = Opcode(1, 0, 0, 0x10);
    pub(crate) const STORE: Opcode = Opcode(1, 0, 0, 0x11);
    pub(crate) const STREAM: Opcode = Opcode(1, 0, 0, 0x2b);
    pub(crate) const SQRT: Opcode = Opcode(1, 0, 0, 0x51);
    pub(crate) const ADD: Opcode = Opcode(1, 0, 0, 0x58);
    pub(crate) const MUL: Opcode = Opcode(1, 0, 0, 0x59);
    pub(crate) const SUB: Opcode = Opcode(1, 0, 0, 0x5c);
    pub(crate) const MIN: Opcode = Opcode(1, 0, 0, 0x5d);
    pub(crate) const DIV: Opcode = Opcode(1, 0, 0, 0x5e);
    pub(crate) const MAX: Opcode = Opcode(1, 0, 0, 0x5f);
    pub(crate) const COMPARE: Opcode = Opcode(1, 0, 0, 0xc2);
    pub(crate) const XOR: Opcode = Opcode(1, 1, 0, 0xef);
    pub(crate) const AND: Opcode = Opcode(1, 1, 0, 0xdb);
    /// Shifts of words by a number of bits; which is said in place of the first operand.
    pub(crate) const SHIFT: Opcode = Opcode(1, 1, 0, 0x72);
    /// Of sixteen floats, those whose places the second operand has.
    pub(crate) const LOOK_UP: Opcode = Opcode(2, 1, 0, 0x16);
    pub(crate) const REPEAT: Opcode = Opcode(2, 1, 0, 0x18);
    pub(crate) const SCALE: Opcode = Opcode(2, 1, 0, 0x2c);
    pub(crate) const BLEND: Opcode = Opcode(2, 1, 0, 0x65);
    /// `a = b · a + c`.
    pub(crate) const MUL_ADD_213: Opcode = Opcode(2, 1, 0, 0xa8);
    /// `a = b · a − c`.
    pub(crate) const MUL_SUB_213: Opcode = Opcode(2, 1, 0, 0xaa);
    /// `a = b · c + a`.
    pub(crate) const MUL_ADD_231: Opcode = Opcode(2, 1, 0, 0xb8);
    /// `a = a − b · c`.
    pub(crate) const SUB_MUL_231: Opcode = Opcode(2, 1, 0, 0xbc);
    /// A mask of the lanes that have a bit in common.
    pub(crate) const ANY_BIT: Opcode = Opcode(2, 1, 0, 0x27);
    pub(crate) const UPPER_EIGHT: Opcode = Opcode(3, 1, 1, 0x1b);
    pub(crate) const UPPER_FOUR: Opcode = Opcode(3, 1, 0, 0x19);
    pub(crate) const SHUFFLE: Opcode = Opcode(1, 0, 0, 0xc6);
    pub(crate) const STORE_ONE: Opcode = Opcode(1, 2, 0, 0x11);
    pub(crate) const TO_DOUBLE: Opcode = Opcode(1, 2, 0, 0x5a);
    pub(crate) const TO_FLOAT: Opcode = Opcode(1, 3, 1, 0x5a);
    pub(crate) const LOAD_DOUBLE: Opcode = Opcode(1, 3, 1, 0x10);
    pub(crate) const STORE_DOUBLE: Opcode = Opcode(1, 3, 1, 0x11);
    pub(crate) const ADD_DOUBLE: Opcode = Opcode(1, 3, 1, 0x58);
}

/// Comparisons of [`op::COMPARE`].
pub(crate) const EQUAL: u8 = 0;
pub(crate) const LESS: u8 = 1;
pub(crate) const AT_MOST: u8 = 2;
pub(crate) const UNORDERED: u8 = 3;
pub(crate) const NOT_EQUAL: u8 = 4;
pub(crate) const NOT_AT_MOST: u8 = 6;
pub(crate) const AT_LEAST: u8 = 13;
pub(crate) const GREATER: u8 = 14;

/// What two masks become.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Masks {
    And = 0x41,
    /// Those of the second that the first has not.
    Without = 0x42,
    Or = 0x45,
    /// Those that both have or both have not.
    Same = 0x46,
    /// Those that only one has.
    Other = 0x47,
}

/// What a jump waits for, by the flags of the instruction before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Below = 2,
    Zero = 4,
    NotZero = 5,
}

/// A jump ahead that has not landed yet.
#[must_use]
pub(crate) struct Ahead(usize);

/// Instructions.
#[derive(Default)]
pub(crate) struct Assembler {
    bytes: Vec<u8>,
    /// The mask of the vector instructions that follow, and whether what it leaves out becomes zero.
    mask: u8,
    zero: bool,
}

impl Assembler {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Where the next instruction will be.
    pub(crate) fn here(&self) -> usize {
        self.bytes.len()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes after the opcode that name register `reg` and a place.
    fn place(&mut self, reg: u8, at: Place) {
        let (reg, base) = ((reg & 7) << 3, at.base.0 & 7);
        match at.index {
            Some(index) => self.put(&[0x84 | reg, (index.0 & 7) << 3 | base]),
            // Registers 4 and 12 as a base take a byte more.
            None if base == 4 => self.put(&[0x84 | reg, 0x24]),
            None => self.put(&[0x80 | reg | base]),
        }
        self.put(&at.offset.to_le_bytes());
    }

    /// A vector instruction `first = op(second, last)`; instructions of two operands have none at `second`.
    pub(crate) fn vector(
        &mut self,
        (op, width): (Opcode, Width),
        first: Vector,
        second: Option<Vector>,
        last: Operand,
    ) {
        let Opcode(map, prefix, w, opcode) = op;
        let second = second.map_or(0, |v| v.0);
        let (x, b, repeated) = match last {
            Operand::Vector(v) => (v.0 >> 4 & 1, v.0 >> 3 & 1, 0),
            Operand::Memory(p) => (p.index.map_or(0, |i| i.0 >> 3 & 1), p.base.0 >> 3 & 1, 0),
            Operand::Repeated(p) => (p.index.map_or(0, |i| i.0 >> 3 & 1), p.base.0 >> 3 & 1, 1),
        };
        let inverted = |bit: u8, at: u8| (!bit & 1) << at;
        let first_byte = inverted(first.0 >> 3, 7)
            | inverted(x, 6)
            | inverted(b, 5)
            | inverted(first.0 >> 4, 4)
            | map;
        let second_byte = w << 7 | (!second & 15) << 3 | 4 | prefix;
        let third_byte = u8::from(self.zero) << 7
            | (width as u8) << 5
            | repeated << 4
            | inverted(second >> 4, 3)
            | self.mask;
        self.put(&[0x62, first_byte, second_byte, third_byte, opcode]);
        match last {
            Operand::Vector(v) => self.put(&[0xc0 | (first.0 & 7) << 3 | v.0 & 7]),
            Operand::Memory(p) | Operand::Repeated(p) => self.place(first.0, p),
        }
    }

    /// As [`Assembler::vector`], with a byte that the instruction takes.
    pub(crate) fn vector_with(
        &mut self,
        op: (Opcode, Width),
        first: Vector,
        second: Option<Vector>,
        (last, byte): (Operand, u8),
    ) {
        self.vector(op, first, second, last);
        self.put(&[byte]);
    }

    /// Calls `f` for instructions under a mask; where it leaves lanes out these become zero, or stay.
    pub(crate) fn masked(&mut self, mask: Mask, zero: bool, f: impl FnOnce(&mut Assembler)) {
        (self.mask, self.zero) = (mask.0, zero && mask.0 != 0);
        f(self);
        (self.mask, self.zero) = (0, false);
    }

    /// `mask` = the lanes where the comparison holds, of those under the mask at hand.
    pub(crate) fn compare(&mut self, mask: Mask, width: Width, a: Vector, (b, how): (Operand, u8)) {
        self.vector_with((op::COMPARE, width), Vector(mask.0), Some(a), (b, how));
    }

    /// `to = from >> bits`, of words without signs.
    pub(crate) fn shift_right(&mut self, width: Width, to: Vector, from: Vector, bits: u8) {
        const RIGHT: Vector = Vector(2);
        let last = (Operand::Vector(from), bits);
        self.vector_with((op::SHIFT, width), RIGHT, Some(to), last);
    }

    /// The first two floats of `from`'s upper half of four before those of `to`'s lower.
    pub(crate) fn high_to_low(&mut self, to: Vector, from: Vector) {
        let move_high_low = (Opcode(1, 0, 0, 0x12), Width::Four);
        self.vector(move_high_low, to, Some(from), Operand::Vector(from));
    }

    /// `mask` = the low 16 bits of a number.
    pub(crate) fn set_mask(&mut self, mask: Mask, bits: u16) {
        self.set(RAX, u32::from(bits));
        self.put(&[0xc5, 0xf8, 0x92, 0xc0 | mask.0 << 3]);
    }

    /// `to` becomes what `how` says of `a` and `b`.
    pub(crate) fn masks(&mut self, how: Masks, to: Mask, [a, b]: [Mask; 2]) {
        let second = 0x84 | (!a.0 & 15) << 3;
        self.put(&[0xc5, second, how as u8, 0xc0 | to.0 << 3 | b.0]);
    }

    /// Sets the flag of zero if no bit is set.
    pub(crate) fn test_mask(&mut self, mask: Mask) {
        self.put(&[0xc5, 0xf8, 0x98, 0xc0 | mask.0 << 3 | mask.0]);
    }

    /// The prefix of an instruction of 64 bits.
    fn rex(&mut self, reg: u8, base: u8) {
        self.put(&[0x48 | (reg >> 3 & 1) << 2 | base >> 3 & 1]);
    }

    /// `register = number`.
    pub(crate) fn set(&mut self, register: General, number: u32) {
        if register.0 > 7 {
            self.put(&[0x41]);
        }
        self.put(&[0xb8 | register.0 & 7]);
        self.put(&number.to_le_bytes());
    }

    pub(crate) fn load(&mut self, register: General, from: Place) {
        self.rex(register.0, from.base.0);
        self.put(&[0x8b]);
        self.place(register.0, from);
    }

    pub(crate) fn store(&mut self, to: Place, register: General) {
        self.rex(register.0, to.base.0);
        self.put(&[0x89]);
        self.place(register.0, to);
    }

    /// `register += number`; sets flags.
    pub(crate) fn add(&mut self, register: General, number: i32) {
        self.arithmetic(0, register, number);
    }

    /// Sets flags as `register − number` does.
    pub(crate) fn test(&mut self, register: General, number: i32) {
        self.arithmetic(7, register, number);
    }

    fn arithmetic(&mut self, operation: u8, register: General, number: i32) {
        self.rex(0, register.0);
        self.put(&[0x81, 0xc0 | operation << 3 | register.0 & 7]);
        self.put(&number.to_le_bytes());
    }

    /// `[place] += number`; sets flags.
    pub(crate) fn add_to(&mut self, place: Place, number: i32) {
        self.rex(0, place.base.0);
        self.put(&[0x81]);
        self.place(0, place);
        self.put(&number.to_le_bytes());
    }

    /// `[place] −= register`; sets flags.
    pub(crate) fn subtract_from(&mut self, place: Place, register: General) {
        self.rex(register.0, place.base.0);
        self.put(&[0x29]);
        self.place(register.0, place);
    }

    /// `[place] = number`.
    pub(crate) fn store_number(&mut self, place: Place, number: i32) {
        self.rex(0, place.base.0);
        self.put(&[0xc7]);
        self.place(0, place);
        self.put(&number.to_le_bytes());
    }

    pub(crate) fn push(&mut self, register: General) {
        self.stack(0x50, register);
    }

    pub(crate) fn pop(&mut self, register: General) {
        self.stack(0x58, register);
    }

    fn stack(&mut self, opcode: u8, register: General) {
        if register.0 > 7 {
            self.put(&[0x41]);
        }
        self.put(&[opcode | register.0 & 7]);
    }

    /// Leaves the function; vectors of other code run at full speed again.
    pub(crate) fn leave(&mut self) {
        self.put(&[0xc5, 0xf8, 0x77, 0xc3]);
    }

    /// Jumps to a place passed before.
    pub(crate) fn jump_back(&mut self, when: When, to: usize) {
        self.put(&[0x0f, 0x80 | when as u8]);
        let distance = to as i64 - (self.here() + 4) as i64;
        self.put(&(distance as i32).to_le_bytes());
    }

    /// Jumps to where [`Assembler::land`] will be called.
    pub(crate) fn jump_ahead(&mut self, when: When) -> Ahead {
        self.put(&[0x0f, 0x80 | when as u8, 0, 0, 0, 0]);
        Ahead(self.here())
    }

    pub(crate) fn land(&mut self, jump: Ahead) {
        let distance = (self.here() - jump.0) as i32;
        self.bytes[jump.0 - 4..jump.0].copy_from_slice(&distance.to_le_bytes());
    }
}
