//! Reduce as WGSL, with the operand's expression spliced in.
//!
//! A thread per output walks short reductions and those whose neighbouring outputs are neighbours in memory; a
//! workgroup per output takes the others, its threads' results joined by a tree. Where that makes too few
//! threads, each reduction is cut into parts, whose results a second pass joins. All of it follows from shapes.
//!
//! Maxima are taken of words that order as the elements do (`keys_*.wgsl`), so NaN and ties need no care.
//! Sums of floats add up short runs first, then the runs, so that errors do not grow with the length.

use super::call::{Arg, Call, Grid, Lowered, Words};
use super::columns;
use super::expr::{Body, Nest, Writer};
use super::lower::{StepView, Target, product};
use super::source::{
    ENTRY, declare, declare_params, declare_status, keys, lanes, memory, param, stored,
    with_prelude,
};
use super::wide::{Wide, shortened};
use crate::dtype::{Class, DType};
use crate::plan::{Expr, Inst, Reduce, ReduceKind};
use std::fmt::Write;
use wgrad_device::Error;

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
        || lanes(view.output_dtype) > 1
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
    let parts = if columns {
        columns::parts(outputs, n_inner)
    } else {
        schedule.parts
    };
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
    let fours = wide.as_ref().map(|(_, wide)| wide);
    let mut writer = Writer::new(view, nest, params).wide(fours);
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
        wide: fours,
    };
    if columns {
        return kernel.down_columns(view, source, params, [outputs, parts]);
    }
    if parts == 1 {
        let call = kernel.call(view, source, params, outputs, 1, Arg::Output)?;
        return Ok(Lowered::one(call));
    }
    let words = outputs * parts * kernel.partial_words();
    let first = kernel.call(view, source, params, outputs, parts, Arg::Scratch(0))?;
    Ok(Lowered {
        work: vec![first.into(), kernel.second(view, [outputs, parts])?.into()],
        scratch: vec![4 * words],
    })
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
            Some(wide) if wide.is_whole(input) => format!("vec4<{element}>"),
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
    },
    /// The first pass: `[parts, outputs]`.
    Partials,
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
    /// The pass that joins the parts of each output.
    pub(super) fn second(
        &self,
        view: &StepView<'_>,
        [outputs, parts]: [u64; 2],
    ) -> Result<Call, Error> {
        let grouped = !self.software && outputs < 1024 && parts > 64;
        let params = [parts, outputs, 1, parts]
            .map(|n| n as usize)
            .into_iter()
            .collect();
        let join = Template { grouped, ..*self };
        join.call(view, Source::Partials, params, outputs, 1, Arg::Output)
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
            Source::Partials => {
                declare(&mut text, 0, "read", "in_0", self.state());
                vec![Arg::Scratch(0)]
            }
        };
        let element = match (last, self.outputs_by_four) {
            (true, true) => format!("vec4<{}>", memory(self.output)),
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
        outputs: u64,
        parts: u64,
        out: Arg,
    ) -> Result<Call, Error> {
        let last = out == Arg::Output;
        let lanes = if last { lanes(self.output) } else { 1 };
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
        if self.grouped && params.words[3] <= 512 {
            constants.push(("WG", 64.0));
        }
        Ok(Call {
            label,
            wgsl: with_prelude(label, text)?.into(),
            constants,
            args,
            params,
            grid,
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
            self.store(text, "word_ix", "word");
        } else if last {
            self.store(text, "o", &self.result("total"));
        } else {
            self.store(text, "part * n_words + o", "total");
        }
        text.push_str("}\n");
    }

    fn store(&self, text: &mut String, at: &str, value: &str) {
        let guard = if self.grouped {
            "if (local == 0u) "
        } else {
            ""
        };
        let _ = writeln!(text, "{guard}{{ out_0[{at}] = {value}; }}");
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
            Source::Partials => ("", format!("let term = in_0[r * {} + o];\n", param(1))),
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
