//! Element-wise programs as WGSL statements, for Map and Reduce. Strides, offsets and sizes go to the uniform
//! block; the text depends on ranks, on how each view walks, on dtypes and on the operations.
//!
//! Offsets are computed in u32 and wrap: a sum with negative strides is right modulo 2^32, and every point of a
//! view is in bounds.

use super::call::Words;
use super::source::{four_halves, load, param, register, stored};
use super::step::{StepView, product};
use super::wide::{Quad, Wide};
use crate::dtype::{Class, DType};
use crate::plan::{Expr, Function, Inst, ScalarOp, View};
use std::fmt::Write;

/// The loop nest: `outer` dimensions are numbered by the variable `o`, `inner` ones by `r`.
pub(super) struct Nest<'a> {
    pub(super) outer: &'a [usize],
    pub(super) inner: &'a [usize],
}

/// Statements that compute the value of an expression.
#[derive(Default)]
pub(super) struct Body {
    /// Depends on `o` alone.
    pub(super) outer: String,
    /// Depends on `r` too; defines `v<register>`.
    pub(super) inner: String,
    /// Buffers read, as input indices, in the order of their bindings; `in_<position>` in the text.
    pub(super) inputs: Vec<usize>,
    /// Whether the status word is written.
    pub(super) reports: bool,
    /// Whether [`QUOTIENT`] is called, and if so whether its quotients are small.
    pub(super) divides: Option<bool>,
}

impl Body {
    /// Functions that the statements call.
    pub(super) fn functions(&self) -> &'static str {
        if self.divides.is_some() { QUOTIENT } else { "" }
    }

    /// Values of the functions' `override` constants.
    pub(super) fn constants(&self) -> Vec<(&'static str, f64)> {
        self.divides
            .iter()
            .map(|&quick| ("QUICK", f64::from(u8::from(quick))))
            .collect()
    }
}

/// Rounds of loops in what is written for one point of an expression: those of its functions, and of the report of each
/// index out of range.
pub(super) fn inner_rounds(view: &StepView<'_>, expr: &Expr) -> u64 {
    let of = |inst: &Inst| match inst {
        Inst::Apply { op, input, .. } => (op.rounds)(input.class()),
        Inst::Random { .. } => 10,
        Inst::Gather { .. } => u64::from(view.step.check != 0),
        _ => 0,
    };
    expr.insts.iter().map(of).sum()
}

/// n / d. Integers are divided slowly by GPUs, and lane by lane by software adapters; the product with the
/// reciprocal is off by at most one as long as the quotient is below 2^22, which `QUICK` promises.
const QUOTIENT: &str = "\
override QUICK: bool = false;
fn quotient(n: u32, d: u32, per_d: f32) -> u32 {
    if (!QUICK) { return n / d; }
    let guess = u32(f32(n) * per_d);
    let rest = i32(n - guess * d);
    return select(select(guess, guess + 1u, rest >= i32(d)), guess - 1u, rest < 0);
}
";

/// Writes statements; owns what has been written so far.
pub(super) struct Writer<'a> {
    view: &'a StepView<'a>,
    nest: Nest<'a>,
    pub(super) params: Words,
    pub(super) body: Body,
    /// Coordinates have been computed.
    coordinates: bool,
    /// Walks already computed, with the variable that holds each.
    walks: Vec<(View, String)>,
    /// How the loop goes by fours, if it does.
    pub(super) wide: Option<&'a Wide>,
    /// The variables with the values of the stages that the next expression may read.
    pub(super) stages: Vec<Vec<String>>,
    /// Registers of the expressions before the next one, whose numbers are taken.
    taken: usize,
    /// What a register's number is counted from.
    base: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(view: &'a StepView<'a>, nest: Nest<'a>, params: Words) -> Writer<'a> {
        Writer {
            view,
            nest,
            params,
            body: Body::default(),
            coordinates: false,
            walks: Vec::new(),
            wide: None,
            stages: Vec::new(),
            taken: 0,
            base: 0,
        }
    }

    /// By fours along one dimension, in which `nest` is shortened already.
    pub(super) fn wide(self, wide: Option<&'a Wide>) -> Writer<'a> {
        Writer { wide, ..self }
    }

    /// Writes `expr`; its value is then in the returned variable, or its four values in four.
    pub(super) fn expr(&mut self, expr: &Expr) -> Vec<String> {
        self.base = self.taken;
        self.taken += expr.insts.len();
        for (reg, inst) in expr.insts.iter().enumerate() {
            let class = expr.dtype(reg).class();
            let varies = self.wide.is_some_and(|wide| wide.varies(reg));
            let values = if varies {
                self.four(expr, reg, inst)
            } else {
                vec![self.inst(expr, reg, inst)]
            };
            for (lane, value) in values.iter().enumerate() {
                let name = self.name(reg, lane);
                let _ = writeln!(
                    self.body.inner,
                    "let {name}: {} = {value};",
                    register(class)
                );
            }
        }
        let lanes = if self.wide.is_some() { 4 } else { 1 };
        (0..lanes)
            .map(|lane| self.name(expr.result(), lane))
            .collect()
    }

    /// The values of an expression that has just been written, as what is stored of them.
    pub(super) fn stored(&self, expr: &Expr, dtype: DType, values: &[String]) -> Vec<String> {
        let before = self.before_cast(expr, dtype);
        let values = before.as_deref().unwrap_or(values);
        values.iter().map(|value| stored(dtype, value)).collect()
    }

    /// Its values before the cast to `dtype`, of two bytes, at its end: to store them rounds them anyway.
    pub(super) fn before_cast(&self, expr: &Expr, dtype: DType) -> Option<Vec<String>> {
        let Inst::Apply {
            op, args, input, ..
        } = expr.insts.last()?
        else {
            return None;
        };
        let rounds = match op.function {
            Function::ToF16 => DType::F16,
            Function::ToBf16 => DType::BF16,
            _ => return None,
        };
        if rounds != dtype || input.class() != Class::F32 {
            return None;
        }
        let lanes = if self.wide.is_some() { 4 } else { 1 };
        Some((0..lanes).map(|lane| self.name(args[0], lane)).collect())
    }

    /// The variable of a register at one of the points.
    fn name(&self, reg: usize, lane: usize) -> String {
        let number = self.base + reg;
        match self.wide {
            Some(wide) if wide.varies(reg) => format!("v{number}_{lane}"),
            _ => format!("v{number}"),
        }
    }

    /// The values of a register that differs between the four points.
    fn four(&mut self, expr: &Expr, reg: usize, inst: &Inst) -> Vec<String> {
        let Some(wide) = self.wide else {
            return Vec::new();
        };
        let quad = wide.quad(reg);
        match inst {
            Inst::Load { input, view } => {
                let at = self.walk(&wide.walk(view, quad));
                let (buffer, dtype) = (self.input(*input), expr.inputs[*input]);
                if quad == Quad::Whole {
                    let reg = self.base + reg;
                    let _ = writeln!(self.body.inner, "let q{reg} = {buffer}[{at}];");
                    if dtype.is_half() {
                        return four_halves(dtype, &format!("q{reg}")).into();
                    }
                    return ["x", "y", "z", "w"]
                        .map(|part| whole(dtype, &format!("q{reg}.{part}")))
                        .into();
                }
                let each = |at: String| load(&buffer, dtype, &at);
                apart(&at, quad).map(each).collect()
            }
            Inst::Index { view } => {
                let at = self.walk(&wide.walk(view, quad));
                apart(&at, quad)
                    .map(|at| format!("bitcast<i32>({at})"))
                    .collect()
            }
            Inst::Apply {
                op,
                args,
                input,
                dtype,
            } => {
                let minus_one = self.minus_one(expr, reg, inst);
                (0..4)
                    .map(|lane| {
                        let args: Vec<String> =
                            args.iter().map(|&arg| self.name(arg, lane)).collect();
                        match &minus_one {
                            Some(minus_one) => format!("({} * {minus_one})", args[0]),
                            None => apply(op, &args, *input, *dtype),
                        }
                    })
                    .collect()
            }
            Inst::Stage { stage, .. } => self.stages[*stage].clone(),
            _ => Vec::new(),
        }
    }

    /// −1 from where no compiler sees it, for a negation that must not be folded.
    fn minus_one(&mut self, expr: &Expr, reg: usize, inst: &Inst) -> Option<String> {
        match inst {
            Inst::Apply {
                op,
                args,
                dtype: DType::F32 | DType::F16 | DType::BF16,
                ..
            } if op.function == Function::Neg && cancels(expr, reg, args[0]) => {
                let minus_one = self.params.push_word((-1.0f32).to_bits());
                Some(format!("bitcast<f32>({})", param(minus_one)))
            }
            _ => None,
        }
    }

    fn inst(&mut self, expr: &Expr, reg: usize, inst: &Inst) -> String {
        match inst {
            Inst::Load { input, .. } if self.view.value == Some(*input) => "x".to_owned(),
            Inst::Load { input, view } => {
                let ix = self.walk(view);
                load(&self.input(*input), expr.inputs[*input], &ix)
            }
            Inst::Gather {
                input,
                view,
                index,
                size,
                stride,
                check,
            } => {
                let base = self.walk(view);
                let buffer = self.input(*input);
                self.gather(
                    self.base + reg,
                    &buffer,
                    expr.inputs[*input],
                    &base,
                    [self.base + *index, *size],
                    (*stride, *check),
                )
            }
            Inst::Index { view } => format!("bitcast<i32>({})", self.walk(view)),
            Inst::Random { view, scalar } => self.random(self.base + reg, view, *scalar),
            Inst::Stage { stage, .. } => self.stages[*stage].first().cloned().unwrap_or_default(),
            Inst::Scalar { scalar, dtype } => {
                let word = param(self.params.scalar(*scalar));
                match dtype.class() {
                    Class::F32 => format!("bitcast<f32>({word})"),
                    Class::I32 => format!("bitcast<i32>({word})"),
                    Class::U32 => word,
                    Class::Bool => format!("({word} != 0u)"),
                }
            }
            Inst::Literal {
                value: 0,
                dtype: DType::F32 | DType::F16 | DType::BF16,
            } if zero_matters(expr, reg) => {
                format!("bitcast<f32>({})", param(self.params.push_word(0)))
            }
            Inst::Literal {
                value: 0,
                dtype: DType::I32,
            } if becomes_float(expr, reg) => {
                format!("bitcast<i32>({})", param(self.params.push_word(0)))
            }
            Inst::Literal { value, dtype } => literal(*value, *dtype),
            Inst::Apply {
                op,
                args,
                input,
                dtype,
            } => {
                if let Some(minus_one) = self.minus_one(expr, reg, inst) {
                    return format!("({} * {minus_one})", self.name(args[0], 0));
                }
                let args: Vec<String> = args.iter().map(|&arg| self.name(arg, 0)).collect();
                apply(op, &args, *input, *dtype)
            }
        }
    }

    /// The variable of a kernel input.
    fn input(&mut self, input: usize) -> String {
        let input = self.view.same_input[input];
        if let Some(output) = self.view.held_by(input) {
            return format!("out_{output}");
        }
        let known = self.body.inputs.iter().position(|&i| i == input);
        let at = known.unwrap_or_else(|| {
            self.body.inputs.push(input);
            self.body.inputs.len() - 1
        });
        format!("in_{at}")
    }

    /// Statements for an indexed load; returns the value.
    fn gather(
        &mut self,
        reg: usize,
        buffer: &str,
        dtype: DType,
        base: &str,
        [index, size]: [usize; 2],
        (stride, check): (i64, u32),
    ) -> String {
        let size = param(self.params.push(size));
        let stride = param(self.params.push_word(stride as u32));
        let class = dtype.class();
        let missing = match class {
            // A NaN that no compiler sees; WGSL rejects a constant one.
            Class::F32 => format!(
                "bitcast<f32>({})",
                param(self.params.push_word(0x7fc0_0000))
            ),
            Class::I32 => "0i".to_owned(),
            Class::U32 => "0u".to_owned(),
            Class::Bool => "false".to_owned(),
        };
        let value = load(buffer, dtype, &format!("x{reg}"));
        let mut otherwise = String::new();
        if check != 0 {
            self.body.reports = true;
            let check = param(self.params.push_word(check));
            otherwise = format!(" else {{ report({check}); }}");
        }
        let _ = writeln!(
            self.body.inner,
            "var g{reg}: {} = {missing};\n\
             let n{reg} = bitcast<u32>(v{index});\n\
             if (n{reg} < {size}) {{ let x{reg} = {base} + n{reg} * {stride}; g{reg} = {value}; }}{otherwise}",
            register(class)
        );
        format!("g{reg}")
    }

    /// Statements for a random word; returns the value.
    fn random(&mut self, reg: usize, view: &View, scalar: usize) -> String {
        let word = self.walk(view);
        let [seed_lo, seed_hi, step_lo, step_hi, ordinal] =
            std::array::from_fn(|i| param(self.params.scalar(scalar + i)));
        let _ = writeln!(
            self.body.inner,
            "let p{reg} = w_philox(vec4<u32>({word} >> 2u, {ordinal}, {step_lo}, {step_hi}), \
             vec2<u32>({seed_lo}, {seed_hi}));"
        );
        // Indexing a value by a variable makes the compiler put it into memory.
        let _ = writeln!(
            self.body.inner,
            "let q{reg} = select(p{reg}.xy, p{reg}.zw, ({word} & 2u) != 0u);"
        );
        format!("select(q{reg}.x, q{reg}.y, ({word} & 1u) != 0u)")
    }

    /// The element that `view` is at, as u32.
    pub(super) fn walk(&mut self, view: &View) -> String {
        if let Some((_, name)) = self.walks.iter().find(|(known, _)| known == view) {
            return name.clone();
        }
        let name = self.new_walk(view);
        self.walks.push((view.clone(), name.clone()));
        name
    }

    fn new_walk(&mut self, view: &View) -> String {
        let shape: Vec<usize> = [self.nest.outer, self.nest.inner].concat();
        // Not `i`: the thirty-third would be the type `i32`.
        let name = format!("at{}", self.walks.len());
        if view.is_contiguous(&shape) {
            let value = match (self.nest.outer.is_empty(), self.nest.inner.is_empty()) {
                (true, _) => "r".to_owned(),
                (_, true) => "o".to_owned(),
                _ => format!("o * {} + r", param(INNER_POINTS)),
            };
            let _ = writeln!(self.body.inner, "let {name} = {value};");
            return name;
        }
        let offset = param(self.params.push_word(view.offset as u32));
        if view.is_scalar() {
            let _ = writeln!(self.body.outer, "let {name} = {offset};");
            return name;
        }
        self.coordinates();
        let n_outer = self.nest.outer.len();
        let mut sums = [offset, String::new()];
        for (d, &stride) in view.strides.iter().enumerate() {
            let stride = param(self.params.push_word(stride as u32));
            if d < n_outer {
                let _ = write!(sums[0], " + o{d} * {stride}");
            } else {
                let _ = write!(sums[1], " + r{} * {stride}", d - n_outer);
            }
        }
        let _ = writeln!(self.body.outer, "let {name}_o = {};", sums[0]);
        let _ = writeln!(self.body.inner, "let {name} = {name}_o{};", sums[1]);
        name
    }

    /// Coordinates `o<d>` and `r<d>` from the numbers `o` and `r`.
    fn coordinates(&mut self) {
        if self.coordinates {
            return;
        }
        self.coordinates = true;
        if self.nest.outer.len().max(self.nest.inner.len()) > 1 {
            let quick = small_quotients(self.nest.outer) && small_quotients(self.nest.inner);
            self.body.divides = Some(quick);
        }
        unfold(&mut self.body.outer, &mut self.params, "o", self.nest.outer);
        // Before any walk that needs them.
        unfold(&mut self.body.inner, &mut self.params, "r", self.nest.inner);
    }
}

/// An operation on variables.
fn apply(op: &ScalarOp, args: &[String], input: DType, dtype: DType) -> String {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let value = (op.wgsl)(&args, input.class(), dtype.class());
    // A byte in a register is a word, which arithmetic may have carried out of.
    if dtype == DType::U8 {
        format!("(({value}) & 0xffu)")
    } else {
        value
    }
}

/// A word of a buffer as a register.
fn whole(dtype: DType, word: &str) -> String {
    match dtype {
        DType::Bool => format!("({word} != 0u)"),
        _ => word.to_owned(),
    }
}

/// Where the elements of four points lie, the first of them at `at`.
fn apart(at: &str, quad: Quad) -> impl Iterator<Item = String> {
    let stride = match quad {
        Quad::Each(stride) => stride,
        _ => 0,
    };
    // Negative strides wrap, as offsets do.
    (0..4).map(move |lane| format!("({at} + {}u)", (lane * stride) as u32))
}

/// Where Reduce puts the number of inner points, which contiguous walks over both nests need.
pub(super) const INNER_POINTS: usize = 0;

/// Coordinates of point number `name`, the last dimension first. See [`QUOTIENT`].
fn unfold(text: &mut String, params: &mut Words, name: &str, shape: &[usize]) {
    let mut rest = name.to_owned();
    for (d, &size) in shape.iter().enumerate().skip(1).rev() {
        let per = (1.0 / size.max(1) as f32).to_bits();
        let size = param(params.push(size));
        let per = param(params.push_word(per));
        let _ = writeln!(
            text,
            "let {name}q{d} = quotient({rest}, {size}, bitcast<f32>({per}));"
        );
        let _ = writeln!(text, "let {name}{d} = {rest} - {name}q{d} * {size};");
        rest = format!("{name}q{d}");
    }
    if !shape.is_empty() {
        let _ = writeln!(text, "let {name}0 = {rest};");
    }
}

/// Whether no quotient of [`unfold`] reaches 2^22.
fn small_quotients(shape: &[usize]) -> bool {
    shape
        .split_last()
        .is_none_or(|(_, rest)| product(rest) < 1 << 22)
}

/// Whether a zero in `reg` decides between numbers, infinity and NaN. Compilers of shaders may assume that there are
/// none and fold `x / 0.0` or `x * 0.0` to zero, so that such a zero must come from where they cannot see it.
fn zero_matters(expr: &Expr, reg: usize) -> bool {
    use Function::{Add, AtLeast, AtMost, Equal, Greater, Less, Max, Min, Neg, NotEqual, Where};
    let harmless = [
        Add, Neg, Where, Max, Min, AtMost, Less, Greater, AtLeast, Equal, NotEqual,
    ];
    expr.insts.iter().any(|inst| match inst {
        Inst::Apply { op, args, .. } => args.contains(&reg) && !harmless.contains(&op.function),
        _ => false,
    })
}

/// Whether `reg` is cast to a float, by whose constant 0 compilers divide wrongly.
fn becomes_float(expr: &Expr, reg: usize) -> bool {
    expr.insts.iter().any(|inst| match inst {
        Inst::Apply { op, args, .. } => args.contains(&reg) && op.function == Function::ToF32,
        _ => false,
    })
}

/// Whether `reg`, the negative of `of`, is added to it: `x - x` is NaN where x is not finite, but compilers fold it.
fn cancels(expr: &Expr, reg: usize, of: usize) -> bool {
    expr.insts.iter().any(|inst| match inst {
        Inst::Apply { op, args, .. } => {
            op.function == Function::Add && (args[..] == [of, reg] || args[..] == [reg, of])
        }
        _ => false,
    })
}

fn literal(value: i32, dtype: DType) -> String {
    match dtype.class() {
        Class::F32 => format!("{value}.0"),
        Class::I32 => format!("{value}i"),
        Class::U32 if dtype == DType::U8 => format!("{}u", value as u8),
        Class::U32 => format!("{}u", value as u32),
        Class::Bool => (value != 0).to_string(),
    }
}
