//! The Rows family: all stages of one row, or of a few short ones, before the next, so that a row is read from
//! memory once. Rows are independent: how they are shared among threads changes no bit. It must not know which steps the
//! stages were.
//!
//! ```text
//!                stage 0        stage 1          stage 2        stage 3
//!                Reduce(Max)    Each             Reduce(Sum)    Each             Once: one value for a row
//!   row 0  x ──►  m       ──►  exp(x - m)  ──►   s        ──►  e / s  ──► y      Each: one for each of its points
//!   row 1  x ──►  m       ──►  exp(x - m)  ──►   s        ──►  e / s  ──► y      Across: sums over the rows, in parts
//!     a thread takes whole rows; what a stage leaves is read by later stages from its lanes
//! ```

#[cfg(all(target_arch = "x86_64", any(unix, windows), not(miri)))]
mod compiled;
#[cfg(not(all(target_arch = "x86_64", any(unix, windows), not(miri))))]
#[path = "uncompiled.rs"]
mod compiled;
pub(crate) mod moments;
pub(crate) mod outputs;
mod recognise;
pub(crate) mod softmax;

use crate::call::Context;
use crate::dtype::Class;
use crate::plan::{Held, Inst, Rows, Stage, StageKind, View};
use crate::program::lanes::{Ahead, Memory};
use crate::program::worker::{Earlier, Worker};
use crate::program::{Around, LANES, Line, Program};
use crate::reduce::combine::{Combine, add_lane_products, add_lanes};
use crate::reduce::{self, Job};
use crate::rows::compiled::Compiled;
use crate::rows::moments::Moments;
use crate::rows::outputs::{Outputs, Shared, Target, target};
use crate::rows::softmax::{Head, Softmax};
use crate::simd::Upcoming;
use crate::threads::scratch::Scratch;
use crate::{map, simd};
use std::ops::Range;

/// Rows made ready.
#[derive(Debug)]
pub(crate) struct Ready {
    outer: usize,
    inner: usize,
    stages: Vec<ReadyStage>,
    /// What one row takes, in about tenths of nanoseconds.
    cost: usize,
    /// Words of values that are no output, for one row.
    own: usize,
    /// Stages that sum over rows, and the rows that one partial sum is for: by shape, so that the number of threads
    /// changes no bit.
    across: usize,
    part: usize,
    /// What is fetched meanwhile for the rows after those at hand: sources, with the word of their first point.
    ahead: [Option<(Line, usize)>; Ahead::MOST],
    /// Stages that have a value for each point, or sum over them.
    points: usize,
    /// The whole is a softmax.
    softmax: Option<Softmax>,
    /// It begins as one, or as a normalisation.
    head: Option<First>,
    /// All of it as machine code.
    compiled: Option<Box<Compiled>>,
}

/// First stages that have a way of their own, together.
#[derive(Clone, Copy, Debug)]
enum First {
    Softmax(Head),
    Normalisation(Moments),
}

impl First {
    /// How many stages these are.
    const STAGES: usize = 4;

    fn of(rows: &Rows) -> Option<First> {
        let softmax = Head::of(rows).map(First::Softmax);
        softmax.or_else(|| Moments::of(rows).map(First::Normalisation))
    }
}

#[derive(Debug)]
struct ReadyStage {
    kind: StageKind,
    class: Class,
    program: Program,
    /// Where the value goes, if it is stored.
    output: Option<Target>,
}

/// Partial sums over rows, at most.
const PARTS: usize = 32;

/// Rows whose values are added in f32 before the sums move on to f64.
const CHAIN: usize = 16;

/// Prepares `rows`.
pub(crate) fn prepare(rows: &Rows, held: &[Held]) -> Ready {
    let outer: usize = rows.outer.iter().product();
    let inner: usize = rows.inner.iter().product();
    let stages: Vec<ReadyStage> = (0..rows.stages.len())
        .map(|s| ready_stage(rows, s, (outer * inner, held)))
        .collect();
    let width = |s: &ReadyStage| match s.kind {
        StageKind::Each => inner,
        StageKind::Across => 0,
        StageKind::Once | StageKind::Reduce(_) => 1,
    };
    let streamed: Vec<bool> = stages
        .iter()
        .map(|s| s.output.is_some_and(|o| o.stream))
        .collect();
    let cost = |s: &ReadyStage| match s.kind {
        StageKind::Once => s.program.cost,
        _ => s.program.cost * inner,
    };
    let across = |s: &&ReadyStage| s.kind == StageKind::Across;
    let across = stages.iter().filter(across).count();
    let points = || stages.iter().filter(|s| s.kind != StageKind::Once);
    let mut ahead = [None; Ahead::MOST];
    let lines = points().flat_map(|s| s.program.lines());
    for line in lines.map(Some) {
        if !ahead.contains(&line)
            && let Some(free) = ahead.iter_mut().find(|l| l.is_none())
        {
            *free = line;
        }
    }
    Ready {
        outer,
        inner,
        across,
        ahead,
        points: points().count(),
        softmax: Softmax::of(rows),
        head: First::of(rows),
        compiled: Compiled::of(rows, held, &streamed).map(Box::new),
        part: if across == 0 {
            1
        } else {
            outer.div_ceil(PARTS).max(CHAIN)
        },
        cost: stages.iter().map(cost).sum(),
        own: stages
            .iter()
            .filter(|s| s.output.is_none_or(|o| !o.dense && !o.scattered))
            .map(width)
            .sum(),
        stages,
    }
}

fn ready_stage(rows: &Rows, at: usize, (len, held): (usize, &[Held])) -> ReadyStage {
    let stage = &rows.stages[at];
    let once = stage.kind == StageKind::Once;
    let mut shape = rows.outer.clone();
    // A walk along the rows keeps loops over rows and loops over points apart.
    let mut number = View::contiguous(&rows.outer);
    if !once {
        shape.extend(&rows.inner);
        number.strides.resize(shape.len(), 0);
    }
    let order: Vec<usize> = (0..shape.len()).collect();
    // A program over rows walks from one row's value to the next; so does one over points where a row has only one.
    let single = rows.inner.iter().product::<usize>() == 1;
    let each = |s: usize| once || single || rows.stages[s].kind == StageKind::Each;
    let around = Around { each: &each, held };
    let program = Program::within(&stage.expr, &shape, &order, &[&number], (false, around));
    let reads = |s: &Stage| {
        s.expr
            .insts
            .iter()
            .any(|i| matches!(i, Inst::Stage { stage, .. } if *stage == at))
    };
    let last = !rows.stages[at + 1..].iter().any(reads);
    let stream = stage.kind == StageKind::Each
        && map::passes_caches(len)
        && !held.iter().any(|h| Some(h.output) == stage.output)
        && last;
    ReadyStage {
        kind: stage.kind,
        class: stage.expr.dtype(stage.expr.result()).class(),
        program,
        output: stage
            .output
            .map(|output| target(rows, stage, output, (stream, last))),
    }
}

impl Ready {
    /// What it takes, in about tenths of nanoseconds.
    pub(crate) fn work(&self) -> usize {
        self.outer * self.cost
    }

    /// What went past the caches is there for other threads.
    fn end_streams(&self) {
        let streams = |s: &ReadyStage| s.output.is_some_and(|o| o.stream);
        if self.stages.iter().any(streams) {
            simd::stream_end();
        }
    }

    /// Words that a stage yields for one row.
    fn width(&self, stage: usize) -> usize {
        match self.stages[stage].kind {
            StageKind::Each => self.inner,
            StageKind::Across => 0,
            StageKind::Once | StageKind::Reduce(_) => 1,
        }
    }
}

/// Runs prepared rows.
pub(crate) fn run(ready: &Ready, context: Context<'_>, mut outs: Outputs<'_>) {
    if let (Some(softmax), Some(last)) = (&ready.softmax, ready.stages.last()) {
        let stream = last.output.is_some_and(|o| o.stream);
        return softmax.run(&context, ready.work(), outs[0], stream);
    }
    let par = context.par.for_work(ready.work());
    let parts = ready.outer.div_ceil(ready.part);
    let width = ready.across * ready.inner;
    let mut sums = Scratch::filled(if width == 0 { 0 } else { parts * width }, 0.0);
    let is_across = |s: &&ReadyStage| s.kind == StageKind::Across;
    let mut totals = Outputs::default();
    for stage in ready.stages.iter().filter(is_across) {
        if let Some(Target { output, .. }) = stage.output {
            totals[output] = std::mem::take(&mut outs[output]);
        }
    }
    let outs = Shared::new(outs);
    let cut = &|sums, n| <[f64]>::split_at_mut(sums, n * width);
    par.divide(&mut sums[..], 0..parts, cut, &|sums: &mut [f64], parts| {
        // SAFETY: the parts are different ones for each call, and each is of rows of its own.
        unsafe { Piece::run(ready, context, (&outs, sums), parts) };
    });
    for (a, stage) in ready.stages.iter().filter(is_across).enumerate() {
        if let Some(Target { output, .. }) = stage.output {
            let out = std::mem::take(&mut totals[output]);
            total(&mut sums[..], width, a * ready.inner, out);
        }
    }
}

/// Adds the partial sums at `first` of each row of `width`, in order.
fn total(sums: &mut [f64], width: usize, first: usize, out: &mut [u32]) {
    let (head, rest) = sums.split_at_mut(width);
    let head = &mut head[first..first + out.len()];
    for row in rest.chunks_exact(width) {
        let row = &row[first..first + out.len()];
        head.iter_mut().zip(row).for_each(|(head, &x)| *head += x);
    }
    for (out, &sum) in out.iter_mut().zip(head.iter()) {
        *out = (sum as f32).to_bits();
    }
}

/// The rows that one thread computes.
struct Piece<'r, 'a> {
    ready: &'r Ready,
    context: Context<'a>,
    /// Values that are no output, of the rows at hand.
    own: Scratch<u32>,
    /// Short sums over rows, and how many rows they are of.
    short: Scratch<f32>,
    chain: usize,
}

impl Piece<'_, '_> {
    /// # Safety
    /// Nobody else computes the same parts.
    unsafe fn run(
        ready: &Ready,
        context: Context<'_>,
        (outs, sums): (&Shared<'_>, &mut [f64]),
        parts: Range<usize>,
    ) {
        let rows = parts.start * ready.part..(parts.end * ready.part).min(ready.outer);
        let width = ready.across * ready.inner;
        if let Some(compiled) = &ready.compiled {
            // SAFETY: the caller's.
            unsafe { run_compiled(ready, compiled, (&context, outs, sums), rows) };
            return ready.end_streams();
        }
        // As many rows at once as fill a few blocks.
        let together = (4 * LANES / ready.inner).clamp(1, LANES.min(rows.len().max(1)));
        let mut piece = Piece {
            ready,
            context,
            own: Scratch::filled(ready.own * together, 0),
            short: Scratch::filled(width, 0.0),
            chain: 0,
        };
        let mut memory = Memory::take();
        let mut first = rows.start;
        while first < rows.end {
            // Sums over rows end with their part.
            let stop = match width {
                0 => rows.end,
                _ => rows.end.min((first / ready.part + 1) * ready.part),
            };
            let n = together.min(stop - first);
            let part = first / ready.part - parts.start;
            let sums = if width == 0 {
                &mut [][..]
            } else {
                &mut sums[part * width..(part + 1) * width]
            };
            memory.ahead = piece.upcoming(outs, first + n..first + 2 * n);
            // SAFETY: the rows are of this piece's parts.
            memory =
                unsafe { piece.block(outs, sums, first..first + n, first + n == stop, memory) };
            first += n;
        }
        ready.end_streams();
    }

    /// What is read for these rows.
    fn upcoming(&self, outs: &Shared<'_>, rows: Range<usize>) -> Ahead {
        let (at, len) = (rows.start * self.ready.inner, rows.len() * self.ready.inner);
        let lines = self.ready.ahead.map(|line| {
            let (line, first) = line?;
            let words = match line {
                Line::Input(input) => self.context.words(input).as_ptr(),
                Line::Output(output) => outs.outs[output].0.cast_const(),
            };
            Some(Upcoming::new(words, first + at))
        });
        Ahead::new(lines, len, self.ready.points)
    }

    /// All stages of some rows, the `last` of their part or not.
    ///
    /// # Safety
    /// Nobody else computes these rows.
    unsafe fn block(
        &mut self,
        outs: &Shared<'_>,
        sums: &mut [f64],
        rows: Range<usize>,
        last: bool,
        mut memory: Memory,
    ) -> Memory {
        let (first, n) = (rows.start, rows.len());
        let Piece {
            ready,
            context,
            own,
            short,
            chain,
        } = self;
        let chained = *chain;
        let mut across = sums
            .chunks_exact_mut(ready.inner)
            .zip(short.chunks_exact_mut(ready.inner));
        let mut values = [&[][..]; Rows::MAX_STAGES];
        let mut own = &mut own[..];
        let begun = begin(ready, context, first..first + n, &mut own, &mut values);
        for (s, stage) in ready.stages.iter().enumerate().skip(begun) {
            let words = n * ready.width(s);
            let out: &mut [u32] = match stage.output {
                _ if words == 0 => &mut [],
                Some(o) if o.scattered => &mut [],
                // SAFETY: the values of these rows, which no other stage writes.
                Some(o) if o.dense => unsafe {
                    outs.words(o.output, o.to.offset + first * o.to.pitch, words)
                },
                _ => {
                    let (now, rest) = std::mem::take(&mut own).split_at_mut(words);
                    own = rest;
                    now
                }
            };
            let once = stage.kind == StageKind::Once;
            let earlier = Earlier {
                inner: if once { 1 } else { ready.inner },
                first,
                values: &values[..s],
            };
            let mut worker = Worker::with(&stage.program, *context, earlier, memory);
            if stage.kind == StageKind::Across {
                if let Some((sums, short)) = across.next() {
                    let (program, of) = (&stage.program, rows.clone());
                    *chain = add_rows(program, &mut worker, of, (short, sums), (chained, last));
                }
            } else if let Some(o) = stage.output.filter(|o| o.scattered) {
                // SAFETY: the words of these rows, which only this stage writes.
                unsafe { outs.scatter(o, &mut worker, (ready.inner, rows.clone())) };
            } else {
                let before = |output: usize, from: usize, len: usize| {
                    // SAFETY: of these rows, which only a later stage writes.
                    let words = unsafe { outs.words(output, from, len) };
                    &*words
                };
                compute(stage, &mut worker, (ready.inner, first), out, &before);
            }
            memory = worker.into_memory();
            if let Some(o) = stage.output.filter(|o| !o.dense) {
                let rows = out.chunks_exact(ready.width(s)).enumerate();
                // SAFETY: the parts of these rows that are this stage's.
                rows.for_each(|(row, values)| unsafe { outs.place(o, first + row, 0, values) });
            }
            values[s] = out;
        }
        memory
    }
}

/// Computes rows by machine code. Sums over them move on to f64 after each short chain, and end with their part.
///
/// # Safety
/// Nobody else computes these rows.
unsafe fn run_compiled(
    ready: &Ready,
    compiled: &Compiled,
    (context, outs, sums): (&Context<'_>, &Shared<'_>, &mut [f64]),
    rows: Range<usize>,
) {
    let width = ready.across * ready.inner;
    if width == 0 {
        // SAFETY: the caller's.
        return unsafe { compiled.run(context, outs, &mut [], rows) };
    }
    let mut short = Scratch::filled(width, 0.0);
    let mut first = rows.start;
    while first < rows.end {
        let part = first / ready.part;
        let within = first - part * ready.part;
        let chain = CHAIN - within % CHAIN;
        let stop = rows.end.min((part + 1) * ready.part).min(first + chain);
        // SAFETY: the caller's.
        unsafe { compiled.run(context, outs, &mut short, first..stop) };
        let part = part - rows.start / ready.part;
        flush(&mut short, &mut sums[part * width..(part + 1) * width]);
        first = stop;
    }
}

/// Computes the first stages of some rows together, where they have a way of their own; returns how many. Their values are no
/// outputs and lie at the front of `own`, which loses them.
fn begin<'o>(
    ready: &Ready,
    context: &Context<'_>,
    rows: Range<usize>,
    own: &mut &'o mut [u32],
    values: &mut [&'o [u32]; Rows::MAX_STAGES],
) -> usize {
    let Some(head) = &ready.head else { return 0 };
    let [a, b, c, d] = [0, 1, 2, 3].map(|s| {
        let (now, rest) = std::mem::take(own).split_at_mut(rows.len() * ready.width(s));
        *own = rest;
        now
    });
    let of_stages = [&mut *a, &mut *b, &mut *c, &mut *d];
    match head {
        First::Softmax(head) => head.run(context, rows.start, of_stages),
        First::Normalisation(moments) => moments.run(context, rows.start, of_stages),
    }
    values[..First::STAGES].copy_from_slice(&[a, b, c, d]);
    First::STAGES
}

/// Adds the values of `rows` to the sums, by way of short chains in f32; returns how long the chain has become.
fn add_rows(
    program: &Program,
    worker: &mut Worker<'_, '_>,
    rows: Range<usize>,
    (short, sums): (&mut [f32], &mut [f64]),
    (mut chain, last): (usize, bool),
) -> usize {
    let inner = short.len();
    let (mut start, end) = (rows.start * inner, rows.end * inner);
    while start < end {
        let stop = program.nest.block_end(start, end, LANES);
        let column = start % inner;
        if worker.is_product() && column + stop - start <= inner {
            let [a, b] = worker.eval_factors(start, stop - start);
            let factors = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
            add_lane_products(&mut short[column..column + a.len()], factors.0, factors.1);
            start = stop;
            chain += usize::from(start.is_multiple_of(inner));
            if chain == CHAIN || (last && start == end) {
                flush(short, sums);
                chain = 0;
            }
            continue;
        }
        let mut lanes: &[f32] = bytemuck::cast_slice(worker.eval(start, stop - start));
        while !lanes.is_empty() {
            let column = start % inner;
            let (now, later) = lanes.split_at((inner - column).min(lanes.len()));
            add_lanes(&mut short[column..column + now.len()], now);
            start += now.len();
            lanes = later;
            chain += usize::from(start.is_multiple_of(inner));
            if chain == CHAIN || (last && start == end) {
                flush(short, sums);
                chain = 0;
            }
        }
    }
    chain
}

fn flush(short: &mut [f32], sums: &mut [f64]) {
    for (sum, short) in sums.iter_mut().zip(short) {
        *sum += f64::from(*short);
        *short = 0.0;
    }
}

/// What an output holds before: its number, the first word and how many.
type Before<'b> = dyn Fn(usize, usize, usize) -> &'b [u32] + 'b;

/// One stage of the rows from `first` on that `out` is for.
fn compute(
    stage: &ReadyStage,
    worker: &mut Worker<'_, '_>,
    (inner, first): (usize, usize),
    out: &mut [u32],
    before: &Before<'_>,
) {
    match stage.kind {
        StageKind::Once => worker.eval_into(first, out),
        StageKind::Across => {}
        StageKind::Reduce(kind) => {
            let job = Block {
                worker,
                inner,
                first,
                out,
            };
            reduce::dispatch(kind, stage.class, job);
        }
        StageKind::Each => {
            let (base, end) = (first * inner, first * inner + out.len());
            let mut start = base;
            while start < end {
                let stop = stage.program.nest.block_end(start, end, LANES);
                let out = &mut out[start - base..stop - base];
                for output in stage.program.before() {
                    match stage.output {
                        Some(o) if o.output == output => worker.before(output, out),
                        _ => worker.before(output, before(output, start, out.len())),
                    }
                }
                match stage.output {
                    Some(o) if o.stream => {
                        simd::stream(out, worker.eval(start, out.len()));
                    }
                    _ => worker.eval_into(start, out),
                }
                start = stop;
            }
        }
    }
}

/// A reduction stage.
struct Block<'b, 'p, 'a> {
    worker: &'b mut Worker<'p, 'a>,
    inner: usize,
    first: usize,
    out: &'b mut [u32],
}

impl Job for Block<'_, '_, '_> {
    fn run<C: Combine>(self) {
        reduce::whole_rows::<C>(self.worker, self.inner, self.first, self.out);
    }
}
