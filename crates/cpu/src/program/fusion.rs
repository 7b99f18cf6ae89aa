//! Two operations of a program as one loop, where the first has no other reader: its lanes are then never stored. The
//! arithmetic is that of the two, each rounded. Knows programs, but no walk and no memory.

use crate::dtype::Class;
use crate::plan::{BlockFn, Function};
use crate::program::optimizer_steps;
use crate::program::{Instr, Span, operands};
use crate::simd::error_function::{ERF_OF_PRODUCT, ERFC_OF_PRODUCT, GELU_SLOPE_TIMES};
use crate::simd::exponential::{EXP_OF_DIFFERENCE, EXP_OF_SUM};
use crate::simd::{block2, block3};

/// The operations on f32 that are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Neg,
    Exp,
    Erf,
    Erfc,
    GeluSlope,
    Relu,
    Div,
    Sqrt,
    /// `a <= b`, of floats.
    AtMost,
    Where,
}

impl Op {
    /// The operation that a function of f32 is, if it is one of them.
    pub(crate) fn of(function: Function, result: Class) -> Option<Op> {
        match function {
            Function::AtMost if result == Class::Bool => Some(Op::AtMost),
            _ if result != Class::F32 => None,
            Function::Relu => Some(Op::Relu),
            Function::Where => Some(Op::Where),
            Function::Add => Some(Op::Add),
            Function::Mul => Some(Op::Mul),
            Function::Neg => Some(Op::Neg),
            Function::Exp => Some(Op::Exp),
            Function::Erf => Some(Op::Erf),
            Function::Erfc => Some(Op::Erfc),
            Function::GeluSlope => Some(Op::GeluSlope),
            Function::Div => Some(Op::Div),
            Function::Sqrt => Some(Op::Sqrt),
            _ => None,
        }
    }
}

/// A program while it is rewritten.
struct Rewriting {
    ops: Vec<Instr>,
    span: Vec<Span>,
    names: Vec<Option<Op>>,
    uses: Vec<usize>,
}

/// A rewritten program.
pub(crate) struct Fused {
    pub(crate) ops: Vec<Instr>,
    pub(crate) span: Vec<Span>,
    /// The factors, if the result is a product of lanes.
    pub(crate) factors: Option<[usize; 2]>,
}

/// Replaces pairs of operations; `names` tells what each register computes.
pub(crate) fn fuse(ops: Vec<Instr>, span: Vec<Span>, names: Vec<Option<Op>>) -> Fused {
    let mut uses = vec![0; ops.len()];
    ops.iter().flat_map(operands).for_each(|r| uses[r] += 1);
    if let Some(result) = uses.last_mut() {
        *result += 1;
    }
    let mut program = Rewriting {
        ops,
        span,
        names,
        uses,
    };
    for rewrite in [Rewriting::subtract, Rewriting::update, Rewriting::pair] {
        for reg in 0..program.ops.len() {
            // What nothing reads any more stays as it is.
            if program.uses[reg] > 0 {
                rewrite(&mut program, reg);
            }
        }
    }
    program.finish()
}

impl Rewriting {
    fn args(&self, reg: usize) -> &[usize] {
        match &self.ops[reg] {
            Instr::Apply { args, .. } => args,
            _ => &[],
        }
    }

    /// `reg` becomes `f(args)`; its old operands lose a reader.
    fn replace(&mut self, reg: usize, f: BlockFn, args: Vec<usize>) {
        self.become_instr(reg, Instr::Apply { f, args });
    }

    fn become_instr(&mut self, reg: usize, instr: Instr) {
        operands(&instr).for_each(|a| self.uses[a] += 1);
        let mut gone = self.args(reg).to_vec();
        self.ops[reg] = instr;
        // What nothing reads any more reads nothing.
        while let Some(r) = gone.pop() {
            self.uses[r] -= 1;
            if self.uses[r] == 0 {
                gone.extend(operands(&self.ops[r]));
            }
        }
    }

    /// `a + (−b)` is `a − b`.
    fn subtract(&mut self, reg: usize) {
        let (Some(Op::Add), &[a, b]) = (self.names[reg], self.args(reg)) else {
            return;
        };
        let (a, b) = match (self.names[a], self.names[b]) {
            (_, Some(Op::Neg)) => (a, self.args(b)[0]),
            (Some(Op::Neg), _) => (b, self.args(a)[0]),
            _ => return,
        };
        let f = block2!(|a: f32, b: f32| -> f32 { a - b });
        self.replace(reg, f, vec![a, b]);
        self.names[reg] = Some(Op::Sub);
    }

    /// The operands of a register that computes `op` for one reader.
    fn inner(&self, reg: usize, op: Op) -> Option<&[usize]> {
        let is = self.names[reg] == Some(op) && self.uses[reg] == 1;
        is.then(|| self.args(reg))
    }

    /// The operands of such a register, one of lanes and one that is the same for all.
    fn with_constant(&self, reg: usize, op: Op) -> Option<(usize, usize)> {
        let &[a, b] = self.inner(reg, op)? else {
            return None;
        };
        match (self.span[a], self.span[b]) {
            (Span::Lane, Span::All) => Some((a, b)),
            (Span::All, Span::Lane) => Some((b, a)),
            _ => None,
        }
    }

    /// What optimisers do: moving averages, of squares too, and Adam's step.
    fn update(&mut self, reg: usize) {
        let found = match (self.names[reg], self.args(reg)) {
            (Some(Op::Add), &[a, b]) => self.average(a, b).or_else(|| self.average(b, a)),
            (Some(Op::Sub), &[p, step]) => self.adaptive_step(p, step),
            _ => None,
        };
        if let Some((f, args)) = found {
            self.become_instr(reg, Instr::Fused { f, args });
            self.names[reg] = None;
        }
    }

    /// `x * s + y * t` or `x * s + y * z * t`, from the two products.
    fn average(&self, first: usize, second: usize) -> Option<(BlockFn, Vec<usize>)> {
        let (x, s) = self.with_constant(first, Op::Mul)?;
        let (y, t) = self.with_constant(second, Op::Mul)?;
        match self.inner(y, Op::Mul) {
            Some(&[y, z]) if [y, z].iter().all(|&r| self.span[r] == Span::Lane) => {
                Some((optimizer_steps::AVERAGE_OF_PRODUCTS, vec![x, y, z, s, t]))
            }
            _ => Some((optimizer_steps::AVERAGE, vec![x, y, s, t])),
        }
    }

    /// `p - m / (sqrt(v) * c + e) * l`, from `p` and the rest.
    fn adaptive_step(&self, p: usize, step: usize) -> Option<(BlockFn, Vec<usize>)> {
        let (quotient, l) = self.with_constant(step, Op::Mul)?;
        let &[m, below] = self.inner(quotient, Op::Div)? else {
            return None;
        };
        let (scaled, e) = self.with_constant(below, Op::Add)?;
        let (root, c) = self.with_constant(scaled, Op::Mul)?;
        let &[v] = self.inner(root, Op::Sqrt)? else {
            return None;
        };
        let lanes = [p, m, v].iter().all(|&r| self.span[r] == Span::Lane);
        lanes.then(|| (optimizer_steps::ADAPTIVE_STEP, vec![p, m, v, c, e, l]))
    }

    /// Zero where `a` is at most zero, else `b`: the gradient of a rectifier.
    fn rectify(&mut self, reg: usize) {
        let zero = |r: usize| matches!(self.ops[r], Instr::Constant(0));
        let &[condition, none, b] = self.args(reg) else {
            return;
        };
        let (Some(Op::AtMost), 1, &[a, c]) = (
            self.names[condition],
            self.uses[condition],
            self.args(condition),
        ) else {
            return;
        };
        if zero(none) && zero(c) {
            let f = block2!(|a: f32, b: f32| -> f32 { if a <= 0.0 { 0.0 } else { b } });
            self.replace(reg, f, vec![a, b]);
            self.names[reg] = None;
        }
    }

    /// A slope times what comes from above; tells whether it was one.
    fn slope(&mut self, reg: usize) -> bool {
        let &[a, b] = self.args(reg) else {
            return false;
        };
        let found = [(a, b), (b, a)].into_iter().find_map(|(slope, upstream)| {
            let &[x] = self.inner(slope, Op::GeluSlope)? else {
                return None;
            };
            (self.span[x] == Span::Lane).then(|| vec![x, upstream])
        });
        let is = found.is_some();
        if let Some(args) = found {
            self.replace(reg, GELU_SLOPE_TIMES, args);
            self.names[reg] = None;
        }
        is
    }

    fn pair(&mut self, reg: usize) {
        let Some(outer) = self.names[reg].filter(|_| self.span[reg] == Span::Lane) else {
            return;
        };
        match outer {
            Op::Where => return self.rectify(reg),
            Op::Mul if self.slope(reg) => return,
            _ => {}
        }
        for side in 0..self.args(reg).len() {
            let inner = self.args(reg)[side];
            let (Some(first), &[a, b], 1, Span::Lane) = (
                self.names[inner],
                self.args(inner),
                self.uses[inner],
                self.span[inner],
            ) else {
                continue;
            };
            // The first operand has to be lanes.
            let swap = self.span[a] != Span::Lane;
            if swap && first == Op::Sub {
                continue;
            }
            let (a, b) = if swap { (b, a) } else { (a, b) };
            let other = self.args(reg).get(1 - side).copied();
            let found = match other {
                Some(c) => of_three(outer, first, side).map(|f| (f, vec![a, b, c])),
                None => of_two(outer, first).map(|f| (f, vec![a, b])),
            };
            if let Some((f, args)) = found {
                self.replace(reg, f, args);
                self.names[reg] = None;
                return;
            }
        }
    }

    /// What is left, numbered anew.
    fn finish(self) -> Fused {
        let result = self.ops.len() - 1;
        let lanes = |&a: &usize| self.span[a] == Span::Lane;
        let product = self.names[result] == Some(Op::Mul) && self.args(result).iter().all(lanes);
        let mut to = vec![usize::MAX; self.ops.len()];
        let (mut ops, mut span) = (Vec::new(), Vec::new());
        for (reg, mut op) in self.ops.into_iter().enumerate() {
            if self.uses[reg] == 0 {
                continue;
            }
            match &mut op {
                Instr::Apply { args, .. } | Instr::Fused { args, .. } => {
                    args.iter_mut().for_each(|a| *a = to[*a]);
                }
                Instr::Gather { index, .. } => *index = to[*index],
                _ => {}
            }
            to[reg] = ops.len();
            ops.push(op);
            span.push(self.span[reg]);
        }
        let factors = match ops.last() {
            Some(Instr::Apply { args, .. }) if product => args[..].try_into().ok(),
            _ => None,
        };
        Fused { ops, span, factors }
    }
}

/// `outer(first(a, b), c)`, or `outer(c, first(a, b))` if the side of `first` is 1.
fn of_three(outer: Op, first: Op, side: usize) -> Option<BlockFn> {
    macro_rules! pair {
        ($first:expr) => {
            match (outer, side) {
                (Op::Add, _) => block3!(|a: f32, b: f32, c: f32| -> f32 { $first(a, b) + c }),
                (Op::Mul, _) => block3!(|a: f32, b: f32, c: f32| -> f32 { $first(a, b) * c }),
                (Op::Sub, 0) => block3!(|a: f32, b: f32, c: f32| -> f32 { $first(a, b) - c }),
                (Op::Sub, _) => block3!(|a: f32, b: f32, c: f32| -> f32 { c - $first(a, b) }),
                _ => return None,
            }
        };
    }
    Some(match first {
        Op::Add => pair!(sum),
        Op::Sub => pair!(difference),
        Op::Mul => pair!(product),
        _ => return None,
    })
}

/// `outer(first(a, b))`.
fn of_two(outer: Op, first: Op) -> Option<BlockFn> {
    match (outer, first) {
        (Op::Exp, Op::Add) => Some(EXP_OF_SUM),
        (Op::Exp, Op::Sub) => Some(EXP_OF_DIFFERENCE),
        (Op::Erf, Op::Mul) => Some(ERF_OF_PRODUCT),
        (Op::Erfc, Op::Mul) => Some(ERFC_OF_PRODUCT),
        (Op::Relu, Op::Add) => Some(block2!(|a: f32, b: f32| -> f32 {
            if a + b <= 0.0 { 0.0 } else { a + b }
        })),
        _ => None,
    }
}

#[inline(always)]
fn sum(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn difference(a: f32, b: f32) -> f32 {
    a - b
}

#[inline(always)]
fn product(a: f32, b: f32) -> f32 {
    a * b
}
