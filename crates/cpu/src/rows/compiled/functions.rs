//! Functions of more than a few instructions, lane by lane. Their bits are those of `crate::math`. Knows no loop and no stage.

use super::body::Body;
use super::emitter::Emitter;
use super::schedule::One;
use crate::math::{
    COMPLEMENT, COMPLEMENT_CENTRES, EXPM1, FARTHEST, FRAC_1_SQRT_PI, LN2_HI, LN2_LO, MAGIC,
};
use crate::native::assembler::{GREATER, Opcode, Operand, Vector, Width, op};
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Instructions on vectors of one width.
struct Lanes<'e, 's> {
    emitter: &'e mut Emitter<'s>,
    width: Width,
}

impl Lanes<'_, '_> {
    /// `to = op(a, b)`.
    fn apply(&mut self, op: Opcode, to: Vector, a: Vector, b: Operand) {
        self.emitter.code.vector((op, self.width), to, Some(a), b);
    }

    /// `to = op(a, x)`.
    fn with(&mut self, op: Opcode, to: Vector, a: Vector, x: f32) {
        let x = self.emitter.constant(x);
        self.apply(op, to, a, x);
    }

    fn copy(&mut self, to: Vector, from: Vector) {
        let load = (op::LOAD, self.width);
        let from = Operand::Vector(from);
        self.emitter.code.vector(load, to, None, from);
    }

    /// `to = x` in all lanes.
    fn fill(&mut self, to: Vector, x: f32) {
        let place = self.emitter.number(One::Constant(x.to_bits()));
        let repeat = (op::REPEAT, self.width);
        let from = Operand::Memory(place);
        self.emitter.code.vector(repeat, to, None, from);
    }

    /// `to = table[place]`, of the lower four bits of each place.
    fn look_up(&mut self, to: Vector, place: Vector, table: &[f32; 16]) {
        let table = self.emitter.table(table);
        // There is none of fewer lanes that sees all sixteen.
        let look_up = (op::LOOK_UP, Width::Sixteen);
        self.emitter.code.vector(look_up, to, Some(place), table);
    }

    /// `x` becomes `e^(x − less)`, for x from −105 to 90 and a tiny `less`; three registers are overwritten.
    fn exponential(&mut self, x: Vector, less: Option<Vector>, [n, r, p]: [Vector; 3]) {
        self.fill(n, MAGIC);
        self.with(op::MUL_ADD_231, n, x, LOG2_E);
        self.with(op::SUB, n, n, MAGIC);
        self.copy(r, x);
        self.with(op::SUB_MUL_231, r, n, LN2_HI);
        self.with(op::SUB_MUL_231, r, n, LN2_LO);
        if let Some(less) = less {
            self.apply(op::SUB, r, r, Operand::Vector(less));
        }
        self.fill(p, EXPM1[EXPM1.len() - 1]);
        for &c in EXPM1[..EXPM1.len() - 1].iter().rev() {
            self.with(op::MUL_ADD_213, p, r, c);
        }
        self.apply(op::MUL, x, r, Operand::Vector(r));
        self.apply(op::MUL_ADD_213, p, x, Operand::Vector(r));
        self.with(op::ADD, p, p, 1.0);
        self.apply(op::SCALE, x, p, Operand::Vector(n));
    }
}

impl Body<'_> {
    /// `to = e^x`, as [`crate::math::exp_fused`].
    pub(super) fn exponential(
        &mut self,
        emitter: &mut Emitter<'_>,
        to: Vector,
        x: Vector,
    ) -> Option<()> {
        let own = [self.take()?, self.take()?, self.take()?];
        let mut lanes = self.lanes(emitter);
        // The second operand is the result where one is NaN.
        lanes.fill(to, 90.0);
        lanes.apply(op::MIN, to, to, Operand::Vector(x));
        lanes.fill(own[0], -105.0);
        lanes.apply(op::MAX, to, own[0], Operand::Vector(to));
        lanes.exponential(to, None, own);
        self.free.extend(own);
        Some(())
    }

    /// `to` = the derivative of `x Φ(x)`, as [`crate::math::gelu_slope_fused`].
    pub(super) fn gelu_slope(
        &mut self,
        emitter: &mut Emitter<'_>,
        to: Vector,
        x: Vector,
    ) -> Option<()> {
        let above = *self.masks.last()?;
        let own = [self.take()?, self.take()?, self.take()?];
        let [far, place, rest, t] = [self.take()?, self.take()?, self.take()?, self.take()?];
        let mut lanes = self.lanes(emitter);
        let width = lanes.width;
        // How far from the middle.
        lanes.with(op::MUL, t, x, -FRAC_1_SQRT_2);
        let all_but_sign = lanes.emitter.number(One::Constant(0x7fff_ffff));
        lanes.apply(op::AND, t, t, Operand::Repeated(all_but_sign));
        lanes.fill(far, FARTHEST);
        lanes.apply(op::MIN, far, far, Operand::Vector(t));
        // What is left of the error function there without its decay, by intervals.
        lanes.with(op::ADD, place, far, 1.0);
        let code = &mut lanes.emitter.code;
        code.shift_right(width, place, place, 21);
        lanes.look_up(t, place, &COMPLEMENT_CENTRES);
        lanes.apply(op::SUB, t, far, Operand::Vector(t));
        lanes.look_up(rest, place, &COMPLEMENT[6]);
        for coefficients in COMPLEMENT[..6].iter().rev() {
            lanes.look_up(own[0], place, coefficients);
            lanes.apply(op::MUL_ADD_213, rest, t, Operand::Vector(own[0]));
        }
        // Its decay: what rounding leaves of the square counts.
        lanes.apply(op::MUL, place, far, Operand::Vector(far));
        lanes.copy(t, far);
        lanes.apply(op::MUL_SUB_213, t, far, Operand::Vector(place));
        lanes.fill(to, 0.0);
        lanes.apply(op::SUB, to, to, Operand::Vector(place));
        lanes.exponential(to, Some(t), own);
        // The side on which the slope vanishes; the other's is 1 less that.
        lanes.with(op::MUL, rest, rest, 0.5);
        lanes.with(op::MUL_ADD_231, rest, far, -FRAC_1_SQRT_PI);
        lanes.apply(op::MUL, to, to, Operand::Vector(rest));
        let zero = lanes.emitter.constant(0.0);
        let code = &mut lanes.emitter.code;
        code.compare(above, width, x, (zero, GREATER));
        lanes.fill(t, 1.0);
        lanes.emitter.code.masked(above, false, |c| {
            c.vector((op::SUB, width), to, Some(t), Operand::Vector(to));
        });
        // Nothing, but of infinities.
        lanes.with(op::MUL, t, x, 0.0);
        lanes.apply(op::ADD, to, to, Operand::Vector(t));
        self.free.extend(own);
        self.free.extend([far, place, rest, t]);
        Some(())
    }

    fn lanes<'e, 's>(&self, emitter: &'e mut Emitter<'s>) -> Lanes<'e, 's> {
        Lanes {
            emitter,
            width: self.width,
        }
    }
}
