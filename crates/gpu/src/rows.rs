//! Rows as WGSL: one kernel for all stages of a row, so that what lies between its reductions never leaves the processor.
//!
//! On a GPU a workgroup takes a row, or several short ones, and its threads' results are joined by a tree; on a software
//! adapter a thread takes a row, by fours where all loads allow it. Stages that wait for the same reductions share a
//! loop. Values for each point that only later loops read are computed again there: that is cheaper than a trip to
//! memory. A step with more buffers than a kernel may bind becomes several, each with all that its results need.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words};
use super::expr::{Body, Nest, Writer, inner_rounds};
use super::reduce::{RUN, Template, declare_inputs, rounds_of};
use super::source::{
    ENTRY, declare, declare_params, declare_status, keys, memory, memory_of_four, param, put,
    register, stored, whole_stored, with_prelude,
};
use super::step::{StepView, product};
use super::wide::{Wide, shortened};
use crate::dtype::{Class, DType};
use crate::plan::{Expr, Inst, ReduceKind, Rows, Stage, StageKind};
use std::collections::BTreeSet;
use std::fmt::Write;
use wgrad_device::Error;

const LABEL: &str = "rows";

pub(super) fn lower(view: &StepView<'_>, rows: &Rows) -> Result<Lowered, Error> {
    let outer = product(&rows.outer);
    if rows.stages.iter().any(|s| s.kind == StageKind::Across) {
        return Err(Error::Unsupported {
            what: "sums over rows within a kernel over rows",
        });
    }
    if outer == 0 {
        return Ok(Lowered::default());
    }
    let mut lowered = Lowered::default();
    for results in parts(rows, view) {
        let part = only(rows, &results);
        let mut kernel = call(view, &part, outer, !view.target.software)?;
        if kernel.iterations > MAX_ITERATIONS {
            kernel = call(view, &part, outer, true)?;
        }
        lowered.work.push(kernel.into());
    }
    Ok(lowered)
}

/// The kernel for all results of `rows`; `grouped`: a workgroup, not a thread, takes a row.
fn call(view: &StepView<'_>, rows: &Rows, outer: u64, grouped: bool) -> Result<Call, Error> {
    let wides = wides(view, rows);
    let kernel = Kernel {
        view,
        rows,
        wides: wides.as_deref(),
        levels: rows.levels(),
        grouped,
    };
    let inner = kernel.inner();
    let mut params = Words::default();
    // INNER_POINTS comes first.
    params.push_word(product(&inner) as u32);
    params.push_word(outer as u32);
    let mut state = State {
        params,
        body: Body::default(),
        names: vec![Vec::new(); rows.stages.len()],
        text: String::new(),
        iterations: 0,
    };
    kernel.main(&mut state, &inner);
    let (mut text, args) = kernel.declarations(&state);
    text.push_str(&state.text);
    let mut constants = state.body.constants();
    let mut grid = Grid::Threads(outer);
    if kernel.grouped {
        let (threads, lanes) = group(product(&inner));
        constants.extend([("WG", threads as f64), ("LANES", lanes as f64)]);
        grid = Grid::Groups(outer.div_ceil(threads / lanes));
    }
    Ok(Call {
        label: LABEL,
        wgsl: with_prelude(LABEL, text)?.into(),
        constants,
        args,
        params: state.params,
        grid,
        iterations: state.iterations,
    })
}

/// Threads of a workgroup, and how many of them take a row of so many points.
fn group(points: u64) -> (u64, u64) {
    let threads = if points <= 512 { 64 } else { 256 };
    (threads, points.next_power_of_two().min(threads))
}

/// The results that each of the step's kernels computes: as many as can be bound together with the inputs that they need
/// and the status word. The planner sees to it that one can.
fn parts(rows: &Rows, view: &StepView<'_>) -> Vec<Vec<usize>> {
    let mut all: Vec<usize> = rows.stages.iter().filter_map(|s| s.output).collect();
    all.sort_unstable();
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for result in all {
        if let Some(last) = parts.last_mut() {
            last.push(result);
            if inputs(&only(rows, last), view) + last.len() < view.target.buffers {
                continue;
            }
            last.pop();
        }
        parts.push(vec![result]);
    }
    parts
}

/// How many buffers the stages read and do not write.
fn inputs(rows: &Rows, view: &StepView<'_>) -> usize {
    let insts = rows.stages.iter().flat_map(|stage| &stage.expr.insts);
    let read = insts.filter_map(|inst| match inst {
        Inst::Load { input, .. } | Inst::Gather { input, .. } => Some(view.same_input[*input]),
        _ => None,
    });
    let read = read.filter(|&input| view.held_by(input).is_none());
    read.collect::<BTreeSet<_>>().len()
}

/// The stages that these results need.
fn only(rows: &Rows, results: &[usize]) -> Rows {
    let wanted = |stage: &Stage| stage.output.filter(|output| results.contains(output));
    let mut needed: Vec<bool> = rows.stages.iter().map(|s| wanted(s).is_some()).collect();
    for s in (0..rows.stages.len()).rev() {
        if needed[s] {
            rows.stages[s]
                .operands()
                .for_each(|operand| needed[operand] = true);
        }
    }
    let mut new = vec![0; rows.stages.len()];
    let mut stages = Vec::with_capacity(rows.stages.len());
    for (s, stage) in rows.stages.iter().enumerate().filter(|(s, _)| needed[*s]) {
        new[s] = stages.len();
        let mut stage = stage.clone();
        stage.output = wanted(&stage);
        for inst in &mut stage.expr.insts {
            if let Inst::Stage { stage, .. } = inst {
                *stage = new[*stage];
            }
        }
        stages.push(stage);
    }
    Rows {
        stages,
        ..rows.clone()
    }
}

/// The loops of all stages by fours, if that is worth while.
fn wides(view: &StepView<'_>, rows: &Rows) -> Option<Vec<Wide>> {
    let points = product(&rows.outer).saturating_mul(product(&rows.inner));
    let position = StageKind::Reduce(ReduceKind::ArgMax);
    let by_points = rows.stages.iter().any(|stage| stage.kind == position);
    if points < view.target.config.wide_from || by_points || rows.inner.is_empty() {
        return None;
    }
    let shape = [&rows.outer[..], &rows.inner[..]].concat();
    let exprs: Vec<(&Expr, bool)> = rows
        .stages
        .iter()
        .map(|stage| (&stage.expr, stage.kind != StageKind::Once))
        .collect();
    let varies = |stage: usize| rows.stages[stage].kind == StageKind::Each;
    let wides = Wide::of_all(&exprs, &view.same_input, &shape, shape.len() - 1, &varies)?;
    view.held_whole(&wides[0]).then_some(wides)
}

/// What is written so far.
struct State {
    params: Words,
    /// Inputs and functions used; its statements are in `text`.
    body: Body,
    /// The variables that hold each stage's value, where it has one.
    names: Vec<Vec<String>>,
    text: String,
    /// Rounds of the loops so far, in one thread.
    iterations: u64,
}

pub(super) struct Kernel<'a> {
    view: &'a StepView<'a>,
    pub(super) rows: &'a Rows,
    wides: Option<&'a [Wide]>,
    levels: Vec<usize>,
    /// Threads of a workgroup, not one, for each row.
    pub(super) grouped: bool,
}

/// A loop of a row: what stands before it, its statements for the variable `r`, how many rounds it has, and how many make a run.
pub(super) struct Loop {
    pub(super) outer: String,
    pub(super) inner: String,
    pub(super) n: &'static str,
    pub(super) run: usize,
}

/// WGSL type and name of the workgroup memory for states.
pub(super) fn shared(state: &str) -> String {
    format!("sh_{}", state.replace(['<', '>'], "_"))
}

/// What tells the functions of a class from those of another.
fn suffix(class: Class) -> &'static str {
    match class {
        Class::F32 => "_f32",
        Class::I32 => "_i32",
        Class::U32 | Class::Bool => "_u32",
    }
}

/// `text` with the names of `keys_*.wgsl` of this class.
pub(super) fn with_keys(text: &str, class: Class) -> String {
    let names = ["to_key", "to_rank", "from_key", "Element"];
    names.iter().fold(text.to_owned(), |text, name| {
        text.replace(name, &format!("{name}{}", suffix(class)))
    })
}

impl<'a> Kernel<'a> {
    /// Sizes of a row's loop.
    fn inner(&self) -> Vec<usize> {
        match self.wides {
            Some(_) => shortened(&self.rows.inner, self.rows.inner.len() - 1),
            None => self.rows.inner.clone(),
        }
    }

    /// The reductions with how they combine.
    pub(super) fn reduces(&self) -> impl Iterator<Item = (usize, Template)> + '_ {
        let stages = self.rows.stages.iter().enumerate();
        stages.filter_map(|(s, stage)| match stage.kind {
            StageKind::Reduce(kind) => Some((s, self.template(kind, stage))),
            _ => None,
        })
    }

    fn template(&self, kind: ReduceKind, stage: &Stage) -> Template {
        Template {
            kind,
            class: stage.expr.dtype(stage.expr.result()).class(),
            grouped: self.grouped,
            software: !self.grouped,
            outputs_by_four: false,
            output: stage.dtype,
        }
    }

    /// Bindings and functions.
    fn declarations(&self, state: &State) -> (String, Vec<Arg>) {
        let mut text = String::new();
        let wide = self.wides.map(|wides| &wides[0]);
        let mut args = declare_inputs(&mut text, self.view, &state.body.inputs, wide);
        let mut outputs: Vec<(usize, &Stage)> = self
            .rows
            .stages
            .iter()
            .filter_map(|stage| Some((stage.output?, stage)))
            .collect();
        outputs.sort_by_key(|(output, _)| *output);
        let mut puts = String::new();
        for (output, stage) in outputs {
            let element = match self.wides {
                Some(_) if stage.kind == StageKind::Each => memory_of_four(stage.dtype),
                _ if self.apart(stage) => "atomic<u32>".to_owned(),
                _ => memory(stage.dtype).to_owned(),
            };
            let name = format!("out_{output}");
            declare(&mut text, args.len(), "read_write", &name, &element);
            if self.apart(stage) && stage.kind != StageKind::Each {
                puts.push_str(&put(&name));
            }
            args.push(match output {
                0 => Arg::Output,
                more => Arg::More(more - 1),
            });
        }
        declare_params(&mut text, args.len(), state.params.words.len());
        args.push(Arg::Params);
        if state.body.reports {
            declare_status(&mut text, args.len());
            args.push(Arg::Status);
        }
        text.push_str(&puts);
        text.push_str(state.body.functions());
        self.functions(&mut text);
        (text, args)
    }

    /// Whether results of two bytes share words with those of other rows.
    fn apart(&self, stage: &Stage) -> bool {
        stage.dtype.is_half() && (stage.kind != StageKind::Each || self.rows_share_words())
    }

    /// Whether rows of two-byte elements begin within words.
    pub(super) fn rows_share_words(&self) -> bool {
        let even = product(&self.rows.inner).is_multiple_of(2);
        !even && product(&self.rows.outer) > 1
    }

    /// How the reductions combine.
    fn functions(&self, text: &mut String) {
        let mut classes: Vec<&str> = Vec::new();
        let mut states: BTreeSet<&str> = BTreeSet::new();
        for (s, template) in self.reduces() {
            let (class, state) = (template.class, template.state());
            if template.kind != ReduceKind::Sum && !classes.contains(&suffix(class)) {
                classes.push(suffix(class));
                text.push_str(&with_keys(keys(class), class));
            }
            states.insert(state);
            let _ = writeln!(
                text,
                "fn join_{s}(a: {state}, b: {state}) -> {state} {{\n{}\n}}",
                template.join()
            );
        }
        if self.grouped {
            text.push_str("override WG: u32 = 256u;\noverride LANES: u32 = 256u;\n");
            for state in states {
                let _ = writeln!(
                    text,
                    "var<workgroup> {}: array<{state}, WG>;",
                    shared(state)
                );
            }
        }
    }

    fn main(&self, state: &mut State, inner: &[usize]) {
        let rows = param(1);
        // The threads of a workgroup meet at barriers: those beyond the last row go through it with the others. A loop
        // whose bounds follow from parameters alone lavapipe compiles again for their values, in some versions at every
        // dispatch; so on a software adapter the bound seems to depend on the row.
        let _ = match self.grouped {
            true => write!(
                state.text,
                "@compute @workgroup_size(WG)\n{ENTRY}\
                 let first = group * (WG / LANES);\nif (first >= {rows}) {{ return; }}\n\
                 let lane = local % LANES;\nlet row = first + local / LANES;\n\
                 let o = min(row, {rows} - 1u);\nlet mine = row < {rows};\n\
                 let points = {};\n",
                param(0)
            ),
            false => write!(
                state.text,
                "@compute @workgroup_size(8)\n{ENTRY}\
                 let o = group * 8u + local;\nif (o >= {rows}) {{ return; }}\n\
                 let points = select({}, 0u, o == 0xffffffffu);\n",
                param(0)
            ),
        };
        for (s, stage) in self.rows.stages.iter().enumerate() {
            if stage.kind != StageKind::Each {
                let class = register(stage.dtype.class());
                let _ = writeln!(state.text, "var stage{s}: {class};");
                state.names[s] =
                    vec![format!("stage{s}"); if self.wides.is_some() { 4 } else { 1 }];
            }
        }
        let last = self.levels.iter().copied().max().unwrap_or(0);
        for level in 0..=last {
            let here = |s: &usize| self.levels[*s] == level;
            for s in (0..self.rows.stages.len()).filter(here) {
                if self.rows.stages[s].kind == StageKind::Once {
                    self.once(state, s);
                }
            }
            let looped: Vec<usize> = (0..self.rows.stages.len())
                .filter(here)
                .filter(|&s| match self.rows.stages[s].kind {
                    StageKind::Reduce(_) => true,
                    StageKind::Each => self.rows.stages[s].output.is_some(),
                    StageKind::Once | StageKind::Across => false,
                })
                .collect();
            if !looped.is_empty() {
                self.walk(state, inner, &looped);
            }
        }
        state.text.push_str("}\n");
    }

    /// A writer of statements for this loop, which goes on with the numbers and inputs so far.
    fn writer<'b>(&'b self, state: &mut State, inner: &'b [usize]) -> Writer<'b> {
        let nest = Nest {
            outer: &self.rows.outer,
            inner,
        };
        let params = std::mem::take(&mut state.params);
        let mut writer = Writer::new(self.view, nest, params);
        writer.body.inputs = std::mem::take(&mut state.body.inputs);
        writer.body.reports = state.body.reports;
        writer.body.divides = state.body.divides;
        writer
    }

    /// Takes back what [`Kernel::writer`] lent; the statements.
    fn written(state: &mut State, writer: Writer<'_>) -> (String, String) {
        let Writer { params, body, .. } = writer;
        state.params = params;
        state.body.inputs = body.inputs;
        state.body.reports |= body.reports;
        state.body.divides = match (state.body.divides, body.divides) {
            (Some(a), Some(b)) => Some(a && b),
            (a, b) => a.or(b),
        };
        (body.outer, body.inner)
    }

    /// A stage with one value for the row and no loop.
    fn once(&self, state: &mut State, s: usize) {
        let stage = &self.rows.stages[s];
        state.iterations += inner_rounds(self.view, &stage.expr);
        let mut writer = self.writer(state, &[]);
        writer.stages = state.names.clone();
        let value = writer.expr(&stage.expr).swap_remove(0);
        let (outer, inner) = Self::written(state, writer);
        // Where there is but one row, its values lie at point `r`, of which a loop would have made a variable.
        let point = match self.rows.outer.is_empty() {
            true => "let r = 0u;\n",
            false => "",
        };
        let _ = writeln!(
            state.text,
            "{{\n{point}{outer}{inner}stage{s} = {value};\n}}"
        );
        self.store_one(&mut state.text, s);
    }

    /// Stores a row's value, if it is a result.
    pub(super) fn store_one(&self, text: &mut String, s: usize) {
        let stage = &self.rows.stages[s];
        if let Some(output) = stage.output {
            let guard = if self.grouped {
                "if (mine && lane == 0u) "
            } else {
                ""
            };
            let value = stored(stage.dtype, &format!("stage{s}"));
            let _ = match self.apart(stage) {
                true => writeln!(text, "{guard}{{ put_out_{output}(o, {value}); }}"),
                false => writeln!(text, "{guard}{{ out_{output}[o] = {value}; }}"),
            };
        }
    }

    /// One loop over the row for these stages, and for what they read of values for each point.
    fn walk(&self, state: &mut State, inner: &[usize], looped: &[usize]) {
        let stages = &self.rows.stages;
        let mut needed: BTreeSet<usize> = looped.iter().copied().collect();
        for s in (0..stages.len()).rev() {
            if needed.contains(&s) {
                let points = |d: &usize| stages[*d].kind == StageKind::Each;
                needed.extend(stages[s].operands().filter(points));
            }
        }
        let mut names = state.names.clone();
        // All loads of a point stand before its first store: a compiler may not move one across the other, and would wait for memory
        // once for each output.
        let mut stores = String::new();
        let mut halves = Vec::new();
        let mut writer = self.writer(state, inner);
        for &s in &needed {
            writer.wide = self.wides.map(|wides| &wides[s]);
            writer.stages = names.clone();
            let values = writer.expr(&stages[s].expr);
            if let StageKind::Reduce(kind) = stages[s].kind {
                let template = self.template(kind, &stages[s]);
                let term = with_keys(&template.term(&values), template.class);
                let term = term.replace("join(", &format!("join_{s}("));
                let _ = writeln!(writer.body.inner, "sum{s} = join_{s}(sum{s}, {term});");
                continue;
            }
            if let Some(output) = stages[s].output.filter(|_| looped.contains(&s)) {
                let words = writer.stored(&stages[s].expr, stages[s].dtype, &values);
                stores.push_str(&self.store_each(output, stages[s].dtype, &words));
                if self.wides.is_none() && stages[s].dtype.is_half() {
                    halves.push(output);
                }
            }
            names[s] = values;
        }
        writer.body.inner.push_str(&stores);
        let (outer, text) = Self::written(state, writer);
        let fours = if self.wides.is_some() { 4 } else { 1 };
        let each = needed
            .iter()
            .map(|&s| inner_rounds(self.view, &stages[s].expr));
        let rounds = fours * each.sum::<u64>();
        let points = product(inner);
        let mine = match self.grouped {
            true => points.div_ceil(group(points).1),
            false => points,
        };
        // A loop goes by words then, with a loop of two within.
        let mine = if halves.is_empty() {
            mine
        } else {
            2 * mine + 4
        };
        // The trees in which the threads' results meet have up to eight levels.
        state.iterations += rounds_of(mine, rounds, 1) + 9 * looped.len() as u64;
        let text = match halves.is_empty() {
            true => Loop {
                outer,
                inner: text,
                n: "points",
                run: RUN,
            },
            false => self.by_words(&halves, outer, &text),
        };
        self.run_loop(&mut state.text, looped, &text);
    }

    /// Stores a result for each point: what is stored of its value, or of its four values.
    fn store_each(&self, output: usize, dtype: DType, words: &[String]) -> String {
        let at = format!("o * {} + r", param(0));
        let guard = if self.grouped { "if (mine) " } else { "" };
        let word = match self.wides {
            Some(_) => whole_stored(dtype, words),
            None => words.concat(),
        };
        match (self.wides, dtype.is_half()) {
            (None, true) => format!("word{output} |= {word} << (16u * part);\n"),
            _ => format!("{guard}{{ out_{output}[{at}] = {word}; }}\n"),
        }
    }
}
