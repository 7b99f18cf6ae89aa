//! Reduce as WGSL, with the operand's expression spliced in.
//!
//! A thread per output walks short reductions and those whose neighbouring outputs are neighbours in memory; a
//! workgroup per output takes the others, its threads' results joined by a tree. Where that makes too few
//! threads, or a thread's loop too long, each reduction is cut into parts, whose results a second pass joins. All of it
//! follows from shapes.
//!
//! Maxima are taken of words that order as the elements do (`keys_*.wgsl`), so NaN and ties need no care.
//! Sums of floats add up short runs first, then the runs, so that errors do not grow with the length.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words, Work};
use super::columns;
use super::expr::{Body, Nest, Writer, inner_rounds};
use super::source::{
    ENTRY, declare, declare_params, declare_status, keys, lanes, memory, memory_of_four, param,
    put, stored, with_prelude,
};
use super::step::{StepView, product};
use super::target::Target;
use super::wide::{Wide, shortened};
use crate::dtype::{Class, DType};
use crate::plan::{Expr, Inst, Reduce, ReduceKind};
use std::fmt::Write;
use wgrad_device::Error;

/// Parts that one thread joins where there are too many for one.
const JOINED: u64 = 1024;

/// Terms added before they join the others.
pub(super) const RUN: usize = 32;

/// How the work is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// A workgroup, not a thread, for each output.
    pub(super) grouped: bool,
    /// Pieces of each reduction.
    pub(super) parts: u64,
}

/// Chooses by shape alone. `along_outputs`: neighbouring outputs read neighbouring elements.
pub(super) fn schedule(outputs: u64, inner: u64, along_outputs: bool, target: Target) -> Schedule {
    let parts = |threads: u64, least: u64| (threads / outputs).min(inner / least).max(1);
    if target.software {
        return Schedule {
            grouped: false,
            parts: parts(512, 128).min(128),
        };
    }
    if inner <= 32 || (along_outputs && outputs >= 32) {
        return Schedule {
            grouped: false,
            parts: parts(1 << 16, 64).min(512),
        };
    }
    Schedule {
        grouped: true,
        parts: parts(1024, 4096),
    }
}

/// Results that one thread or workgroup computes: those that share a word, but that floats of two bytes are stored apart.
fn together(dtype: DType) -> usize {
    match dtype.is_half() {
        true => 1,
        false => lanes(dtype),
    }
}

/// Threads of a workgroup that takes one reduction.
const GROUPED: u64 = 256;

/// How many terms a thread may go through that computes `lanes` results, each term with `rounds` rounds of its own.
pub(super) fn longest(rounds: u64, lanes: u64) -> u64 {
    let run = RUN as u64;
    // A round for each term, one for each run, and some for the joining of threads.
    ((MAX_ITERATIONS - 64) / lanes * run / (run * (1 + rounds) + 1)).max(1)
}

/// Rounds of a thread that goes through so many terms.
pub(super) fn rounds_of(terms: u64, rounds: u64, lanes: u64) -> u64 {
    lanes * (1 + terms * (1 + rounds) + terms.div_ceil(RUN as u64)) + 16
}

/// Which dimension of the loops goes by fours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    /// Four neighbouring outputs.
    Outputs,
    /// Four neighbouring terms.
    Terms,
}

/// Points from which columns are reduced several quads at a time: the rows no longer fit a processor's cache.
const LEAST_COLUMNS: u64 = 1 << 18;

/// Four points at once, where that pays, and along which dimension.
fn wide(view: &StepView<'_>, reduce: &Reduce, along: bool) -> Option<(Along, Wide)> {
    let points = product(&reduce.outer).saturating_mul(product(&reduce.inner));
    if points < view.target.config.wide_from
        || reduce.kind == ReduceKind::ArgMax
        || (lanes(view.output_dtype) > 1 && !view.output_dtype.is_half())
    {
        return None;
    }
    let shape = [&reduce.outer[..], &reduce.inner[..]].concat();
    let n_outer = reduce.outer.len();
    let of = |dim: usize| Wide::of(&reduce.expr, &view.same_input, &shape, dim);
    if along {
        return Some((Along::Outputs, of(n_outer.checked_sub(1)?)?));
    }
    if reduce.inner.is_empty() {
        return None;
    }
    Some((Along::Terms, of(shape.len() - 1)?))
}

pub(super) fn lower(view: &StepView<'_>, reduce: &Reduce) -> Result<Lowered, Error> {
    let along = along_outputs(reduce);
    let wide = wide(view, reduce, along);
    let (mut outer, mut inner) = (reduce.outer.clone(), reduce.inner.clone());
    match wide {
        Some((Along::Outputs, _)) => outer = shortened(&outer, outer.len() - 1),
        Some((Along::Terms, _)) => inner = shortened(&inner, inner.len() - 1),
        None => {}
    }
    let (n_inner, outputs) = (product(&inner), product(&outer));
    let schedule = schedule(outputs, n_inner, along, view.target);
    let columns = matches!(wide, Some((Along::Outputs, _))) && outputs * n_inner >= LEAST_COLUMNS;
    let fours = if wide.is_some() { 4 } else { 1 };
    let mut rounds = fours * inner_rounds(view, &reduce.expr);
    let mut parts = schedule.parts;
    let mut at_once = if schedule.grouped { GROUPED } else { 1 };
    if columns {
        parts = columns::parts(outputs, n_inner);
        rounds *= columns::QUADS;
        at_once = 1;
    }
    // Results that share a word are computed by one thread, if there is but one part.
    let whole = longest(rounds, together(view.output_dtype) as u64) * at_once;
    if parts > 1 || n_inner > whole {
        parts = parts
            .max(n_inner.div_ceil(longest(rounds, 1) * at_once))
            .max(2);
    }
    let part_len = n_inner.div_ceil(parts);
    let mut params = Words::default();
    // INNER_POINTS comes first.
    for n in [n_inner, outputs, parts, part_len] {
        params.push_word(n as u32);
    }
    let nest = Nest {
        outer: &outer,
        inner: &inner,
    };
    let four_loads = wide.as_ref().map(|(_, wide)| wide);
    let mut writer = Writer::new(view, nest, params).wide(four_loads);
    let values = writer.expr(&reduce.expr);
    let class = reduce.expr.dtype(reduce.expr.result()).class();
    let Writer { body, params, .. } = writer;
    let kernel = Template {
        kind: reduce.kind,
        class,
        grouped: schedule.grouped,
        software: view.target.software,
        outputs_by_four: matches!(wide, Some((Along::Outputs, _))),
        output: view.output_dtype,
    };
    let source = Source::Expr {
        body: &body,
        values: &values,
        wide: four_loads,
        rounds,
    };
    let out = match parts {
        1 => Arg::Output,
        _ => Arg::Scratch(0),
    };
    let first = match columns {
        true => kernel.down_columns(view, source, params, [outputs, parts], out)?,
        false => kernel.call(view, source, params, [outputs, parts], out)?,
    };
    if parts == 1 {
        return Ok(Lowered::one(first));
    }
    kernel.joined(view, first, [outputs, parts])
}

/// Whether loads are contiguous along the last outer dimension and not along the last inner one.
fn along_outputs(reduce: &Reduce) -> bool {
    let n_outer = reduce.outer.len();
    let inner_last = (0..reduce.inner.len()).rev().find(|&d| reduce.inner[d] > 1);
    let outer_last = (0..n_outer).rev().find(|&d| reduce.outer[d] > 1);
    let (Some(inner_last), Some(outer_last)) = (inner_last, outer_last) else {
        return false;
    };
    let mut score = 0;
    for inst in &reduce.expr.insts {
        if let Inst::Load { view, .. } | Inst::Gather { view, .. } = inst {
            score += i32::from(view.strides[outer_last].abs() == 1);
            score -= i32::from(view.strides[n_outer + inner_last].abs() == 1);
        }
    }
    score > 0
}

/// Declares `in_0`, `in_1`, … for these inputs of the step.
pub(super) fn declare_inputs(
    text: &mut String,
    view: &StepView<'_>,
    inputs: &[usize],
    wide: Option<&Wide>,
) -> Vec<Arg> {
    for (at, &input) in inputs.iter().enumerate() {
        let element = memory(view.dtype_of(input));
        let element = match wide {
            Some(wide) if wide.is_whole(input) => memory_of_four(view.dtype_of(input)),
            _ => element.to_owned(),
        };
        declare(text, at, "read", &format!("in_{at}"), &element);
    }
    inputs.iter().map(|&input| Arg::Input(input)).collect()
}

impl StepView<'_> {
    /// Dtype of a kernel input.
    fn dtype_of(&self, input: usize) -> DType {
        self.expr().map_or(DType::F32, |expr| expr.inputs[input])
    }

    fn expr(&self) -> Option<&Expr> {
        match &self.step.kernel {
            crate::plan::Kernel::Map(map) => Some(&map.expr),
            crate::plan::Kernel::Reduce(reduce) => Some(&reduce.expr),
            crate::plan::Kernel::Rows(rows) => rows.stages.first().map(|stage| &stage.expr),
            _ => None,
        }
    }
}

/// Where the values to combine come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// The operand.
    Expr {
        body: &'a Body,
        /// One, or four if the loop goes by fours.
        values: &'a [String],
        wide: Option<&'a Wide>,
        /// Rounds of loops in a term.
        rounds: u64,
    },
    /// An earlier pass, in the scratch buffer with this number: `[parts, outputs]`.
    Partials(usize),
}

/// What the text depends on.
#[derive(Clone, Copy)]
pub(super) struct Template {
    pub(super) kind: ReduceKind,
    /// Of the operand.
    pub(super) class: Class,
    pub(super) grouped: bool,
    pub(super) software: bool,
    /// Each thread has four neighbouring outputs.
    pub(super) outputs_by_four: bool,
    pub(super) output: DType,
}

impl Template {
    /// The passes after `first`, which join the parts of each output: more than one where a thread would have to go
    /// through too many.
    fn joined(
        &self,
        view: &StepView<'_>,
        first: Call,
        [outputs, mut parts]: [u64; 2],
    ) -> Result<Lowered, Error> {
        let bytes = |parts: u64| 4 * outputs * parts * self.partial_words();
        let mut work = vec![Work::from(first)];
        let mut scratch = vec![bytes(parts)];
        let mut from = 0;
        loop {
            let grouped = !self.software && outputs < 1024 && parts > 64;
            let join = Template { grouped, ..*self };
            let pass = |fewer: u64, length: u64, out: Arg| {
                let params = [parts, outputs, fewer, length].map(|n| n as usize);
                let params = params.into_iter().collect();
                join.call(view, Source::Partials(from), params, [outputs, fewer], out)
            };
            if parts <= longest(0, together(self.output) as u64) {
                work.push(pass(1, parts, Arg::Output)?.into());
                return Ok(Lowered {
                    work,
                    scratch,
                    ..Lowered::default()
                });
            }
            let (fewer, to) = (parts.div_ceil(JOINED), 1 - from);
            work.push(pass(fewer, JOINED, Arg::Scratch(to))?.into());
            if scratch.len() <= to {
                scratch.push(bytes(fewer));
            }
            (parts, from) = (fewer, to);
        }
    }

    /// Bindings, functions that the operand calls, and `join`; arguments and constants.
    pub(super) fn declarations(
        &self,
        view: &StepView<'_>,
        source: Source<'_>,
        params: &Words,
        out: Arg,
    ) -> (String, Vec<Arg>, Vec<(&'static str, f64)>) {
        let last = out == Arg::Output;
        let mut text = String::new();
        let mut args = match source {
            Source::Expr { body, wide, .. } => declare_inputs(&mut text, view, &body.inputs, wide),
            Source::Partials(scratch) => {
                declare(&mut text, 0, "read", "in_0", self.state());
                vec![Arg::Scratch(scratch)]
            }
        };
        let apart = last && !self.outputs_by_four && self.output.is_half();
        let element = match (last, self.outputs_by_four) {
            (true, true) => memory_of_four(self.output),
            (true, false) if apart => "atomic<u32>".to_owned(),
            (true, false) => memory(self.output).to_owned(),
            _ => self.state().to_owned(),
        };
        declare(&mut text, args.len(), "read_write", "out_0", &element);
        args.push(out);
        declare_params(&mut text, args.len(), params.words.len());
        args.push(Arg::Params);
        if matches!(source, Source::Expr { body, .. } if body.reports) {
            declare_status(&mut text, args.len());
            args.push(Arg::Status);
        }
        if apart {
            text.push_str(&put("out_0"));
        }
        let mut constants = Vec::new();
        if let Source::Expr { body, .. } = source {
            text.push_str(body.functions());
            constants = body.constants();
        }
        if self.kind != ReduceKind::Sum {
            text.push_str(keys(self.class));
        }
        let state = self.state();
        let _ = writeln!(
            text,
            "fn join(a: {state}, b: {state}) -> {state} {{\n{}\n}}",
            self.join()
        );
        (text, args, constants)
    }

    /// The dispatch from `source` to `out`, which takes states if it is scratch.
    fn call(
        &self,
        view: &StepView<'_>,
        source: Source<'_>,
        params: Words,
        [outputs, parts]: [u64; 2],
        out: Arg,
    ) -> Result<Call, Error> {
        let last = out == Arg::Output;
        let lanes = if last { together(self.output) } else { 1 };
        let (mut text, args, mut constants) = self.declarations(view, source, &params, out);
        let state = self.state();
        let words = outputs.div_ceil(lanes as u64) * parts;
        let grid = if self.grouped {
            let _ = writeln!(
                text,
                "override WG: u32 = 256u;\nvar<workgroup> sh_states: array<{state}, WG>;"
            );
            Grid::Groups(words)
        } else {
            // A software adapter runs 8 at once.
            let size = if self.software { 8 } else { 64 };
            let _ = writeln!(text, "const WG: u32 = {size}u;");
            Grid::Threads(words)
        };
        self.main(&mut text, source, last, lanes);
        let label = self.label(source);
        let part_len = u64::from(params.words[3]);
        let mut at_once = 1;
        if self.grouped {
            at_once = GROUPED;
            if part_len <= 512 {
                at_once = 64;
                constants.push(("WG", 64.0));
            }
        }
        let rounds = match source {
            Source::Expr { rounds, .. } => rounds,
            Source::Partials(_) => 0,
        };
        Ok(Call {
            label,
            wgsl: with_prelude(label, text)?.into(),
            constants,
            args,
            params,
            grid,
            iterations: rounds_of(part_len.div_ceil(at_once), rounds, lanes as u64),
        })
    }

    fn main(&self, text: &mut String, source: Source<'_>, last: bool, lanes: usize) {
        let (outputs, parts, part_len, inner) = (param(1), param(2), param(3), param(0));
        let id = if self.grouped {
            "group"
        } else {
            "group * WG + local"
        };
        let _ = write!(
            text,
            "@compute @workgroup_size(WG)\n{ENTRY}\
             let id = {id};\nlet n_words = ({outputs} + {}u) / {lanes}u;\n\
             let part = id / n_words;\nlet word_ix = id - part * n_words;\n\
             if (part >= {parts}) {{ return; }}\n\
             let begin = part * {part_len};\nlet end = min(begin + {part_len}, {inner});\n",
            lanes - 1
        );
        if lanes > 1 {
            let _ = write!(
                text,
                "var word = 0u;\nfor (var lane = 0u; lane < {lanes}u; lane++) {{\n\
                 let o = word_ix * {lanes}u + lane;\nif (o >= {outputs}) {{ break; }}\n"
            );
        } else {
            text.push_str("let o = word_ix;\n");
        }
        self.combine(text, source);
        if lanes > 1 {
            let value = stored(self.output, &self.lower("total"));
            let _ = write!(text, "word |= {value} << (lane * {}u);\n}}\n", 32 / lanes);
            self.store(text, "word_ix", "word", false);
        } else if last {
            let apart = self.output.is_half() && !self.outputs_by_four;
            self.store(text, "o", &self.result("total"), apart);
        } else {
            self.store(text, "part * n_words + o", "total", false);
        }
        text.push_str("}\n");
    }

    /// Stores a value; `apart`: one half of a word.
    fn store(&self, text: &mut String, at: &str, value: &str, apart: bool) {
        let guard = if self.grouped {
            "if (local == 0u) "
        } else {
            ""
        };
        let _ = match apart {
            true => writeln!(text, "{guard}{{ put_out_0({at}, {value}); }}"),
            false => writeln!(text, "{guard}{{ out_0[{at}] = {value}; }}"),
        };
    }

    /// Statements that make `total` of the points `begin..end` of output `o`.
    fn combine(&self, text: &mut String, source: Source<'_>) {
        let (start, step) = if self.grouped {
            ("begin + local", "WG")
        } else {
            ("begin", "1u")
        };
        let state = self.state();
        let empty = self.empty();
        // Four terms at a time go to four sums side by side, which are joined at the end of a run.
        let quad = |values: &[String]| values.len() == 4 && !self.outputs_by_four && state == "f32";
        let (mut zero, mut run_sum) = (empty.as_str(), "sum");
        let (outer, value) = match source {
            Source::Expr { body, values, .. } if quad(values) => {
                (zero, run_sum) = ("vec4<f32>()", "((sum.x + sum.y) + (sum.z + sum.w))");
                let term = format!(
                    "{}let term = vec4<f32>({});\n",
                    body.inner,
                    values.join(", ")
                );
                (body.outer.as_str(), term)
            }
            Source::Expr { body, values, .. } => (
                body.outer.as_str(),
                format!("{}let term = {};\n", body.inner, self.term(values)),
            ),
            Source::Partials(_) => ("", format!("let term = in_0[r * {} + o];\n", param(1))),
        };
        text.push_str(outer);
        let _ = writeln!(text, "var total: {state} = {empty};");
        if self.state().contains("f32") {
            let _ = write!(
                text,
                "for (var run = {start}; run < end; run += {RUN}u * {step}) {{\n\
                 let run_end = min(run + {RUN}u * {step}, end);\nvar sum = {zero};\n\
                 for (var r = run; r < run_end; r += {step}) {{\n{value}sum += term;\n}}\n\
                 total += {run_sum};\n}}\n"
            );
        } else {
            let _ = write!(
                text,
                "for (var r = {start}; r < end; r += {step}) {{\n{value}total = join(total, term);\n}}\n"
            );
        }
        if self.grouped {
            text.push_str(
                "sh_states[local] = total;\nworkgroupBarrier();\n\
                 for (var half = WG / 2u; half > 0u; half /= 2u) {\n\
                 if (local < half) { sh_states[local] = join(sh_states[local], sh_states[local + half]); }\n\
                 workgroupBarrier();\n}\n\
                 total = sh_states[0];\nworkgroupBarrier();\n",
            );
        }
    }
}
