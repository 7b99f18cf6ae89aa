//! Which loop over the points of a row computes what: stages become loops, one for each reduction that others wait for, and the
//! values of rows between them. A value of each point that a later loop needs is computed again where that is cheap, else kept.
//! Knows no instruction.
//!
//! ```text
//!   normalisation      loop 0        between       loop 1              between        loop 2
//!   and its gradient   Σ x      ──►  mean     ──►  Σ (x − mean)²  ──►  1 / √…    ──►  y, Σ dy, Σ dy ŷ, …  ──► …
//! ```

use super::streams::{Along, Sizes, Source, Stream};
use crate::dtype::{Class, DType};
use crate::plan::{Function, Held, Inst, ReduceKind, RowRegion, Rows, StageKind};
use rustc_hash::FxHashMap;

/// A value that is one number for many points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum One {
    /// Of a stage, for the row.
    Stage(usize),
    /// The first element of a stream that has one for each row.
    Row(usize),
    /// A number of the run.
    Scalar(usize),
    /// Bits of a float.
    Constant(u32),
}

/// A value of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The next points of a stream.
    Points(usize),
    /// The next points of a stream of truth values.
    Flags(usize),
    /// A truth value for all points.
    Always(bool),
    /// An element of a stream for the run at hand.
    Run(usize),
    One(One),
    Apply(Function, Vec<usize>),
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sink {
    Store(usize),
    /// Past the caches, where that can be.
    Stream(usize),
    /// Added to what the stream has.
    Across(usize),
    Sum(usize),
    Max(usize),
    /// The value of a stage for the row.
    Value(usize),
}

/// A loop over the points of a row, or what is computed once for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) nodes: Vec<Node>,
    /// Which of them are truth values: masks.
    pub(super) flags: Vec<bool>,
    /// In order: each after its node.
    pub(super) sinks: Vec<(usize, Sink)>,
}

/// All that is done for a row: first what is computed once, then a loop, for each level.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) sizes: Sizes,
    pub(super) streams: Vec<Stream>,
    pub(super) parts: Vec<(Part, Part)>,
    /// Rows of values of its own.
    pub(super) own: usize,
    /// Streams of what outputs hold before: in a loop that replaces it, it is read first.
    pub(super) before: Vec<usize>,
}

/// The schedule of `rows`, if all in it is known here.
pub(super) fn schedule(rows: &Rows, held: &[Held], streamed: &[bool]) -> Option<Schedule> {
    let mut views = Vec::new();
    for stage in &rows.stages {
        let truth = stage.dtype == DType::Bool && stage.kind == StageKind::Each;
        let known = (stage.dtype == DType::F32 || truth)
            && match stage.kind {
                StageKind::Reduce(kind) => kind != ReduceKind::ArgMax,
                StageKind::Each | StageKind::Once | StageKind::Across => true,
            };
        known.then_some(())?;
        if stage.kind != StageKind::Once {
            views.extend(stage.expr.insts.iter().filter_map(|inst| match inst {
                Inst::Load { view, .. } => Some(view),
                _ => None,
            }));
        }
    }
    let regions = rows.stages.iter().filter_map(|s| s.region);
    let sizes = Sizes::of(rows, views.into_iter(), regions)?;
    let mut scheduling = Scheduling {
        rows,
        held,
        levels: rows.levels(),
        sizes,
        streams: Vec::new(),
        kept: vec![None; rows.stages.len()],
        own: 0,
        parts: Vec::new(),
        known: FxHashMap::default(),
        before: Vec::new(),
    };
    scheduling.all(streamed)?;
    let Scheduling {
        sizes,
        streams,
        parts,
        own,
        before,
        ..
    } = scheduling;
    Some(Schedule {
        sizes,
        streams,
        parts,
        own,
        before,
    })
}

struct Scheduling<'r> {
    rows: &'r Rows,
    held: &'r [Held],
    /// How many reductions each stage waits for.
    levels: Vec<usize>,
    sizes: Sizes,
    streams: Vec<Stream>,
    /// Where a stage's value for each point lies, once it was stored, and from which level on.
    kept: Vec<Option<(usize, usize)>>,
    own: usize,
    parts: Vec<(Part, Part)>,
    /// Nodes of the part at hand, by stage and register.
    known: FxHashMap<(usize, usize), usize>,
    /// Streams of what outputs hold before.
    before: Vec<usize>,
}

/// What a value of each point takes to compute again.
#[derive(Clone, Copy, Default)]
struct Effort {
    loads: usize,
    operations: usize,
}

impl Scheduling<'_> {
    fn all(&mut self, streamed: &[bool]) -> Option<()> {
        let last = self.levels.iter().copied().max()?;
        let at: Vec<usize> = (0..self.rows.stages.len())
            .map(|s| self.place(s, last))
            .collect();
        for level in 0..=last {
            let (mut once, mut points) = (Part::default(), Part::default());
            self.known.clear();
            for s in (0..at.len()).filter(|&s| self.rows.stages[s].kind == StageKind::Once) {
                if self.levels[s] == level {
                    self.once(&mut once, s)?;
                }
            }
            self.known.clear();
            let mut later = Vec::new();
            for s in (0..at.len()).filter(|&s| at[s] == level) {
                match self.rows.stages[s].kind {
                    StageKind::Once => {}
                    StageKind::Reduce(kind) => {
                        let node = self.value(&mut points, s, level)?;
                        let sink = match kind {
                            ReduceKind::Sum => Sink::Sum(s),
                            _ => Sink::Max(s),
                        };
                        points.sinks.push((node, sink));
                        if let Some(output) = self.rows.stages[s].output {
                            // With what is computed once after the loop.
                            let stream = self.stream(self.sizes.by_row(output));
                            later.push((s, stream));
                        }
                    }
                    StageKind::Across => {
                        let node = self.value(&mut points, s, level)?;
                        let before = &self.rows.stages[..s];
                        let n = before
                            .iter()
                            .filter(|s| s.kind == StageKind::Across)
                            .count();
                        let own = self.sizes.own(Source::Across(n));
                        let stream = self.stream(own);
                        points.sinks.push((node, Sink::Across(stream)));
                    }
                    StageKind::Each => self.each(&mut points, (s, level), (streamed[s], &at))?,
                }
            }
            self.keep(&mut points, level, &at)?;
            self.parts.push((once, points));
            if !later.is_empty() {
                self.reductions_out(&later);
            }
        }
        self.held_is_read_first()
    }

    /// Stores reductions that are outputs, before the level after theirs.
    fn reductions_out(&mut self, stages: &[(usize, usize)]) {
        let mut part = Part::default();
        for &(s, stream) in stages {
            part.nodes.push(Node::One(One::Stage(s)));
            part.flags.push(false);
            part.sinks.push((part.nodes.len() - 1, Sink::Store(stream)));
        }
        self.parts.push((part, Part::default()));
    }

    /// Whether nothing reads what an output holds before in a loop after the one that replaces it.
    fn held_is_read_first(&self) -> Option<()> {
        let mut replaced: Vec<usize> = Vec::new();
        for (once, points) in &self.parts {
            for part in [once, points] {
                let reads = |node: &Node| match node {
                    Node::Points(s) | Node::Flags(s) | Node::Run(s) | Node::One(One::Row(s)) => {
                        self.before.contains(s) && replaced.contains(&self.output_of(*s))
                    }
                    _ => false,
                };
                if part.nodes.iter().any(reads) {
                    return None;
                }
                for &(_, sink) in &part.sinks {
                    if let Sink::Store(s) | Sink::Stream(s) = sink {
                        replaced.push(self.output_of(s));
                    }
                }
            }
        }
        Some(())
    }

    /// The number of the output that a stream walks through.
    fn output_of(&self, stream: usize) -> usize {
        match self.streams[stream].source {
            Source::Output(output) => output,
            _ => usize::MAX,
        }
    }

    fn is_held(&self, output: usize) -> bool {
        self.held.iter().any(|h| h.output == output)
    }

    fn stream(&mut self, stream: Stream) -> usize {
        let found = self.streams.iter().position(|s| *s == stream);
        found.unwrap_or_else(|| {
            self.streams.push(stream);
            self.streams.len() - 1
        })
    }

    /// The level whose loop computes a stage. What no stage reads may wait for a loop that reads the same.
    fn place(&self, s: usize, last: usize) -> usize {
        let stage = &self.rows.stages[s];
        let level = self.levels[s];
        let held = |inst: &Inst| match inst {
            Inst::Load { input, .. } => self.held.iter().any(|h| h.input == *input),
            _ => false,
        };
        if stage.output.is_some_and(|o| self.is_held(o)) {
            // After the last that reads what it replaces.
            let reads = |t: &usize| self.rows.stages[*t].expr.insts.iter().any(held);
            let levels = (0..self.rows.stages.len())
                .filter(reads)
                .map(|t| self.levels[t]);
            return levels.max().unwrap_or(level).max(level);
        }
        let movable = match stage.kind {
            StageKind::Across => true,
            StageKind::Each => stage.output.is_some() && !self.is_read(s),
            StageKind::Once | StageKind::Reduce(_) => false,
        };
        if !movable || stage.expr.insts.iter().any(held) {
            return level;
        }
        let wanted = self.inputs(s);
        let more = |at: usize| {
            let there = |t: &usize| {
                let reduces = matches!(self.rows.stages[*t].kind, StageKind::Reduce(_));
                reduces && self.levels[*t] == at
            };
            let there: Vec<usize> = (0..self.rows.stages.len())
                .filter(there)
                .flat_map(|t| self.inputs(t))
                .collect();
            wanted.iter().filter(|i| !there.contains(i)).count()
        };
        (level..=last).min_by_key(|&at| more(at)).unwrap_or(level)
    }

    fn is_read(&self, s: usize) -> bool {
        self.rows
            .stages
            .iter()
            .any(|t| t.operands().any(|o| o == s))
    }

    /// Inputs that have an element for each point, of a stage and of those for each point that it reads.
    fn inputs(&self, s: usize) -> Vec<usize> {
        let dims = self.rows.outer.len();
        let mut inputs = Vec::new();
        let mut stages = vec![s];
        let mut seen = [false; Rows::MAX_STAGES];
        while let Some(s) = stages.pop() {
            if std::mem::replace(&mut seen[s], true) {
                continue;
            }
            for inst in &self.rows.stages[s].expr.insts {
                match inst {
                    Inst::Load { input, view } if view.strides[dims..].iter().any(|&s| s != 0) => {
                        inputs.push(*input);
                    }
                    Inst::Stage { stage, .. }
                        if self.rows.stages[*stage].kind == StageKind::Each =>
                    {
                        stages.push(*stage);
                    }
                    _ => {}
                }
            }
        }
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// What it takes to compute a stage's value for a point again, from what lies in memory: each stage once.
    fn effort(&self, s: usize) -> Effort {
        let mut effort = Effort::default();
        let mut stages = vec![s];
        let mut seen = [false; Rows::MAX_STAGES];
        while let Some(s) = stages.pop() {
            if std::mem::replace(&mut seen[s], true) {
                continue;
            }
            for inst in &self.rows.stages[s].expr.insts {
                match inst {
                    Inst::Load { .. } => effort.loads += 1,
                    Inst::Apply { op, .. } => effort.operations += op.cost.max(1) as usize,
                    Inst::Stage { stage, .. } => match self.rows.stages[*stage].kind {
                        StageKind::Each if self.kept[*stage].is_some() => effort.loads += 1,
                        StageKind::Each => stages.push(*stage),
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
        effort
    }

    /// A stage that has a value for each point and stores it.
    fn each(
        &mut self,
        part: &mut Part,
        (s, level): (usize, usize),
        (streamed, at): (bool, &[usize]),
    ) -> Option<()> {
        let stage = &self.rows.stages[s];
        let Some(output) = stage.output else {
            return Some(());
        };
        let to = stage
            .region
            .unwrap_or(RowRegion::together(0, self.sizes.inner, self.sizes.inner));
        let node = self.value(part, s, level)?;
        let stream = self.sizes.region(output, to)?;
        let stream = self.stream(stream);
        let past = streamed && !self.is_read(s);
        let sink = if past {
            Sink::Stream(stream)
        } else {
            Sink::Store(stream)
        };
        part.sinks.push((node, sink));
        let later = (0..at.len()).any(|t| at[t] > level && self.reads(t, s));
        if later && !part.flags[node] {
            (!self.is_held(output)).then_some(())?;
            self.kept[s] = Some((stream, level + 1));
        }
        Some(())
    }

    /// Keeps what this loop has computed for each point and later ones read, where computing it again costs more than
    /// reading it.
    fn keep(&mut self, part: &mut Part, level: usize, at: &[usize]) -> Option<()> {
        for s in 0..self.rows.stages.len() {
            let result = self.rows.stages[s].expr.result();
            let Some(&node) = self.known.get(&(s, result)) else {
                continue;
            };
            let stage = &self.rows.stages[s];
            if stage.kind != StageKind::Each || self.kept[s].is_some() || part.flags[node] {
                continue;
            }
            let later = (0..at.len()).any(|t| at[t] > level && self.reads(t, s));
            if !later {
                continue;
            }
            let effort = self.effort(s);
            if effort.loads > 1 || effort.operations > 3 {
                let own = self.sizes.own(Source::Own(self.own));
                self.own += 1;
                let stream = self.stream(own);
                part.sinks.push((node, Sink::Store(stream)));
                self.kept[s] = Some((stream, level + 1));
            }
        }
        Some(())
    }

    /// Whether a stage reads another one's value for each point, by way of others too.
    fn reads(&self, t: usize, s: usize) -> bool {
        let mut stages = vec![t];
        let mut seen = [false; Rows::MAX_STAGES];
        while let Some(t) = stages.pop() {
            if std::mem::replace(&mut seen[t], true) {
                continue;
            }
            for o in self.rows.stages[t].operands() {
                if o == s {
                    return true;
                }
                if self.rows.stages[o].kind == StageKind::Each && self.kept[o].is_none() {
                    stages.push(o);
                }
            }
        }
        false
    }

    fn once(&mut self, part: &mut Part, s: usize) -> Option<()> {
        let node = self.value(part, s, self.levels[s])?;
        part.sinks.push((node, Sink::Value(s)));
        if let Some(output) = self.rows.stages[s].output {
            let stream = self.stream(self.sizes.by_row(output));
            part.sinks.push((node, Sink::Store(stream)));
        }
        Some(())
    }

    /// The node of a stage's value.
    fn value(&mut self, part: &mut Part, s: usize, level: usize) -> Option<usize> {
        let result = self.rows.stages[s].expr.result();
        if let Some(&node) = self.known.get(&(s, result)) {
            return Some(node);
        }
        // Operands come before what reads them.
        for reg in 0..=result {
            let node = match &self.rows.stages[s].expr.insts[reg] {
                Inst::Load { input, view } => {
                    let dtype = self.rows.stages[s].expr.inputs[*input];
                    let mut stream = self.sizes.input(self.rows, *input, view)?;
                    let held = self.held.iter().find(|h| h.input == *input);
                    if let Some(held) = held {
                        stream.source = Source::Output(held.output);
                    }
                    let along = stream.along;
                    let stream = self.stream(stream);
                    if held.is_some() && !self.before.contains(&stream) {
                        self.before.push(stream);
                    }
                    match (along, dtype) {
                        (Along::Points, DType::F32) => Node::Points(stream),
                        (Along::Points, DType::Bool) => Node::Flags(stream),
                        (Along::Runs, DType::F32) => Node::Run(stream),
                        (Along::Rows, DType::F32) => Node::One(One::Row(stream)),
                        _ => return None,
                    }
                }
                Inst::Stage { stage, .. } => match self.rows.stages[*stage].kind {
                    StageKind::Each => match self.kept[*stage] {
                        Some((stream, from)) if from <= level => Node::Points(stream),
                        _ => {
                            let node = self.value(part, *stage, level)?;
                            self.known.insert((s, reg), node);
                            continue;
                        }
                    },
                    _ => Node::One(One::Stage(*stage)),
                },
                Inst::Scalar { scalar, dtype } => {
                    (*dtype == DType::F32).then_some(Node::One(One::Scalar(*scalar)))?
                }
                Inst::Literal { value, dtype } => match dtype.class() {
                    Class::F32 => Node::One(One::Constant((*value as f32).to_bits())),
                    Class::Bool => Node::Always(*value != 0),
                    Class::I32 | Class::U32 => return None,
                },
                Inst::Apply {
                    op,
                    args,
                    input,
                    dtype,
                } => {
                    let args: Option<Vec<usize>> = args
                        .iter()
                        .map(|&a| self.known.get(&(s, a)).copied())
                        .collect();
                    let args = args?;
                    known(op.function, (*input, *dtype), part, &args)?;
                    Node::Apply(op.function, args)
                }
                Inst::Gather { .. } | Inst::Index { .. } | Inst::Random { .. } => return None,
            };
            let found = part.nodes.iter().position(|n| *n == node);
            let flag = self.rows.stages[s].expr.dtype(reg) == DType::Bool;
            let node = found.unwrap_or_else(|| {
                part.nodes.push(node);
                part.flags.push(flag);
                part.nodes.len() - 1
            });
            self.known.insert((s, reg), node);
        }
        self.known.get(&(s, result)).copied()
    }
}

/// Whether an operation has instructions here.
fn known(
    function: Function,
    (input, result): (DType, DType),
    part: &Part,
    args: &[usize],
) -> Option<()> {
    let flags: Vec<bool> = args.iter().map(|&a| part.flags[a]).collect();
    let all = |flag: bool| flags.iter().all(|&f| f == flag);
    let fits = match function {
        Function::Where => {
            let truth = result == DType::Bool;
            (truth || result == DType::F32) && flags == [true, truth, truth]
        }
        Function::Less
        | Function::AtMost
        | Function::Greater
        | Function::AtLeast
        | Function::Equal
        | Function::NotEqual => all(false) && input == DType::F32,
        Function::Not => all(true),
        Function::Max | Function::Min if result == DType::Bool => all(true),
        Function::Add
        | Function::Mul
        | Function::Div
        | Function::Neg
        | Function::Recip
        | Function::Sqrt
        | Function::Exp
        | Function::GeluSlope
        | Function::Relu
        | Function::Max
        | Function::Min => all(false) && input == DType::F32 && result == DType::F32,
        _ => false,
    };
    fits.then_some(())
}
