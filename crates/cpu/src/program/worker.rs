//! Runs a [`Program`] block by block on one thread, in lanes that stay in the first-level cache. The lanes outlive
//! the worker: a thread keeps them for the next one, so that a replayed plan allocates nothing. It must not know what
//! becomes of the results.

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::BlockFn;
use crate::program::lanes::{Held, Memory, Place};
use crate::program::load::Data;
use crate::program::philox;
use crate::program::{Instr, LANES, Program, Span};
use crate::simd::{self, Upcoming};

/// Values of earlier stages in the rows at hand.
#[derive(Clone, Copy)]
pub(crate) struct Earlier<'v> {
    /// Points of a row; 1 where the program runs over rows.
    pub(crate) inner: usize,
    /// The first row.
    pub(crate) first: usize,
    /// For each stage its values, for each point or for each row.
    pub(crate) values: &'v [&'v [u32]],
}

impl Earlier<'static> {
    /// Outside Rows.
    const NONE: Earlier<'static> = Earlier {
        inner: 1,
        first: 0,
        values: &[],
    };
}

/// Runs a program block by block on one thread.
pub(crate) struct Worker<'p, 'a> {
    pub(super) program: &'p Program,
    pub(super) context: Context<'a>,
    earlier: Earlier<'p>,
    pub(super) memory: Memory,
}

impl<'p, 'a> Worker<'p, 'a> {
    /// A worker on this thread's memory.
    pub(crate) fn new(program: &'p Program, context: Context<'a>) -> Self {
        Worker::with(program, context, Earlier::NONE, Memory::take())
    }

    /// A worker that reads earlier stages.
    pub(crate) fn with(
        program: &'p Program,
        context: Context<'a>,
        earlier: Earlier<'p>,
        mut memory: Memory,
    ) -> Self {
        memory.fit(program);
        let mut worker = Worker {
            program,
            context,
            earlier,
            memory,
        };
        worker.once();
        worker
    }

    /// Its memory, for the next worker.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
    }

    /// The end of the block that begins at `start`.
    pub(crate) fn block_end(&self, start: usize, end: usize) -> usize {
        self.program.nest.block_end(start, end, LANES)
    }

    /// Gives it what output `output` holds before at the positions that it evaluates next.
    pub(crate) fn before(&mut self, output: usize, words: &[u32]) {
        let program = self.program;
        for (reg, op) in program.ops.iter().enumerate() {
            if matches!(op, Instr::Before(o) if *o == output) {
                let buffer = program.buffer[reg];
                let lanes: &mut [u32] = bytemuck::cast_slice_mut(&mut self.memory.lanes[buffer]);
                lanes[..words.len()].copy_from_slice(words);
                self.hold(reg, Place::Lanes(buffer));
            }
        }
    }

    /// The values at linear positions `start..start + len`; at most [`LANES`] of them.
    pub(crate) fn eval(&mut self, start: usize, len: usize) -> &[u32] {
        let result = self.program.ops.len() - 1;
        self.run(start, len, result + 1);
        self.widen(result, len);
        self.value(result, len)
    }

    /// The factors of the values at `start..start + len`, where these are products.
    pub(crate) fn eval_factors(&mut self, start: usize, len: usize) -> [&[u32]; 2] {
        let factors = self.program.factors.unwrap_or_default();
        self.run(start, len, self.program.ops.len() - 1);
        factors.map(|reg| self.value(reg, len))
    }

    /// Whether the values are products of lanes.
    pub(crate) fn is_product(&self) -> bool {
        self.program.factors.is_some()
    }

    /// Writes the values from linear position `start` on to `out`, at most [`LANES`] of them.
    pub(crate) fn eval_into(&mut self, start: usize, out: &mut [u32]) {
        let result = self.program.ops.len() - 1;
        self.run(start, out.len(), result);
        let span = self.program.span[result];
        if span == Span::Row && self.in_row(out.len()) {
            self.one(result, start);
        }
        if let (Span::All, _) | (Span::Row, true) = (span, self.in_row(out.len())) {
            out.fill(self.value(result, 1)[0]);
        } else {
            for &arg in self.to_widen(result) {
                self.widen(arg, out.len());
            }
            let mut odometer = std::mem::take(&mut self.memory.odometer);
            self.compute(result, start, out, &mut odometer);
            self.memory.odometer = odometer;
        }
    }

    /// The values at `start..start + len` where the program is nothing but a load of contiguous words.
    pub(crate) fn line(&mut self, start: usize, len: usize) -> Option<&'a [u32]> {
        if self.program.ops.len() != 1 {
            return None;
        }
        self.program.nest.index_of(start, &mut self.memory.index);
        match self.borrowed(0, start, len)? {
            Place::Input(input, at) => Some(&self.context.words(input)[at..at + len]),
            _ => None,
        }
    }

    /// Calls `f` with the values at `start..start + len` run by run, and the place of each run, where the program is
    /// nothing but a load of words in runs long enough; tells whether it is.
    pub(crate) fn each_stretch(
        &mut self,
        start: usize,
        len: usize,
        mut f: impl FnMut(&[u32], usize),
    ) -> bool {
        const LONG: usize = 32;
        let Program {
            ops, walks, nest, ..
        } = self.program;
        let [Instr::Load { input, dtype, walk }] = ops[..] else {
            return false;
        };
        let (Data::Words(words), 1) = (self.data(input, dtype), walks[walk].step()) else {
            return false;
        };
        if nest.row() < LONG {
            return false;
        }
        let index = &mut self.memory.index;
        nest.index_of(start, index);
        // The processor itself fetches no more than what follows a stretch.
        const AHEAD: i64 = 4;
        let strides = &walks[walk].strides;
        let apart = strides.len().checked_sub(2).map_or(0, |d| strides[d]);
        walks[walk].stretches(nest, index, len, |lane, n, at| {
            if apart != 0 {
                let next = (at + AHEAD * apart) as usize;
                Upcoming::new(words.as_ptr(), next).fetch(n);
            }
            f(&words[at as usize..][..n], lane);
        });
        true
    }

    /// Computes what is the same in every block.
    fn once(&mut self) {
        let program = self.program;
        if program.span.contains(&Span::All) {
            program.nest.index_of(0, &mut self.memory.index);
        }
        for reg in (0..program.ops.len()).filter(|&r| program.span[r] == Span::All) {
            self.one(reg, 0);
        }
    }

    /// Computes one lane of a register, or says where it lies.
    fn one(&mut self, reg: usize, start: usize) {
        let program = self.program;
        let buffer = program.buffer[reg];
        let lane = match program.ops[reg] {
            Instr::Constant(word) => word,
            Instr::Scalar(scalar) => self.context.scalars[scalar],
            Instr::Stage { stage, each: false } => {
                let row = start / self.earlier.inner - self.earlier.first;
                return self.hold(reg, Place::StageOne(stage, row));
            }
            Instr::Load { input, dtype, walk } if dtype.size() == 4 => {
                let at = program.walks[walk].offset_at(&self.memory.index);
                return self.hold(reg, Place::InputOne(input, at as usize));
            }
            _ => {
                let mut odometer = std::mem::take(&mut self.memory.odometer);
                let mut lane = [0];
                self.compute(reg, start, &mut lane, &mut odometer);
                self.memory.odometer = odometer;
                lane[0]
            }
        };
        self.memory.lanes[buffer][0].0[0] = lane;
        self.hold(reg, Place::One(buffer));
    }

    #[inline(always)]
    fn hold(&mut self, reg: usize, place: Place) {
        self.memory.held[reg] = Held::at(place);
    }

    /// Computes registers `..until` for the block.
    fn run(&mut self, start: usize, len: usize, until: usize) {
        let program = self.program;
        self.memory.ahead.fetch();
        program.nest.index_of(start, &mut self.memory.index);
        let in_row = self.in_row(len);
        for reg in 0..until {
            match program.span[reg] {
                Span::All => {
                    // The block before may have repeated it for fewer lanes.
                    if let Place::Lanes(buffer) = self.memory.held[reg].place() {
                        self.hold(reg, Place::One(buffer));
                    }
                    continue;
                }
                Span::Row if in_row => {
                    self.one(reg, start);
                    continue;
                }
                _ => {}
            }
            if let Instr::Before(_) = program.ops[reg] {
                continue;
            }
            if let Some(place) = self.borrowed(reg, start, len) {
                self.hold(reg, place);
                continue;
            }
            for &arg in self.to_widen(reg) {
                self.widen(arg, len);
            }
            let buffer = program.buffer[reg];
            let repeats = program.same_rows[reg] && self.begins_row();
            if repeats && self.memory.rows_held[reg] >= len {
                self.hold(reg, Place::Lanes(buffer));
                continue;
            }
            let mut lines = std::mem::take(&mut self.memory.lanes[buffer]);
            let out = &mut bytemuck::cast_slice_mut(&mut lines)[..len];
            match &program.ops[reg] {
                Instr::Apply { f, args } | Instr::Fused { f, args } => self.apply(*f, args, out),
                _ => {
                    let mut odometer = std::mem::take(&mut self.memory.odometer);
                    self.compute(reg, start, out, &mut odometer);
                    self.memory.odometer = odometer;
                }
            }
            self.memory.lanes[buffer] = lines;
            self.memory.rows_held[reg] = if repeats { len } else { 0 };
            self.hold(reg, Place::Lanes(buffer));
        }
    }

    /// Whether a block of `len` lanes stays in one row of the nest.
    fn in_row(&self, len: usize) -> bool {
        let index = &self.memory.index;
        index[index.len() - 1] + len <= self.program.nest.row()
    }

    /// Whether the block begins with a row of the nest.
    fn begins_row(&self) -> bool {
        self.memory.index.last() == Some(&0)
    }

    /// Operands that the block function of a register wants as full lanes.
    fn to_widen(&self, reg: usize) -> &'p [usize] {
        match &self.program.ops[reg] {
            Instr::Apply { args, .. } if args.len() == 3 => &args[..1],
            Instr::Apply { args, .. } if args.len() > 3 => args,
            _ => &[],
        }
    }

    /// Repeats the one lane of a register in its buffer.
    fn widen(&mut self, reg: usize, len: usize) {
        if let [lane] = *self.value(reg, len)
            && len > 1
        {
            let buffer = self.program.buffer[reg];
            let lanes: &mut [u32] = bytemuck::cast_slice_mut(&mut self.memory.lanes[buffer]);
            lanes[..len].fill(lane);
            self.hold(reg, Place::Lanes(buffer));
        }
    }

    /// `len` lanes, or the single one that stands for all.
    #[inline]
    pub(super) fn value(&self, reg: usize, len: usize) -> &[u32] {
        match self.memory.held[reg].place() {
            Place::Lanes(b) => &bytemuck::cast_slice(&self.memory.lanes[b])[..len],
            Place::One(b) => &self.memory.lanes[b][0].0[..1],
            Place::Input(input, at) => &self.context.words(input)[at..at + len],
            Place::InputOne(input, at) => &self.context.words(input)[at..=at],
            Place::Stage(stage, at) => &self.earlier.values[stage][at..at + len],
            Place::StageOne(stage, at) => &self.earlier.values[stage][at..=at],
        }
    }

    /// Where the block of a load, or of a stage, lies as it is needed.
    #[inline]
    fn borrowed(&self, reg: usize, start: usize, len: usize) -> Option<Place> {
        let index = &self.memory.index;
        match self.program.ops[reg] {
            Instr::Load { input, dtype, walk } if dtype.size() == 4 => {
                let walk = &self.program.walks[walk];
                let in_row = walk.step() == 1 && self.in_row(len);
                let at = match (walk.flat, in_row) {
                    (true, _) => walk.offset + start as i64,
                    (_, true) => walk.offset_at(index),
                    _ => return None,
                };
                if len == LANES {
                    simd::prefetch(self.context.words(input), at as usize + 2 * LANES, 64);
                }
                Some(Place::Input(input, at as usize))
            }
            Instr::Stage { stage, each: true } => Some(Place::Stage(
                stage,
                start - self.earlier.first * self.earlier.inner,
            )),
            _ => None,
        }
    }

    pub(super) fn data(&self, input: usize, dtype: DType) -> Data<'a> {
        Data::of(&self.context, input, dtype)
    }

    fn compute(&self, reg: usize, start: usize, out: &mut [u32], odometer: &mut Vec<usize>) {
        let program = self.program;
        let mut walked = |walk: usize| {
            odometer.clone_from(&self.memory.index);
            &program.walks[walk]
        };
        match &program.ops[reg] {
            Instr::Stage { stage, each } => self.stage(*stage, *each, start, out),
            Instr::Before(_) => out.copy_from_slice(self.value(reg, out.len())),
            Instr::Constant(word) => out.fill(*word),
            Instr::Scalar(scalar) => out.fill(self.context.scalars[*scalar]),
            Instr::Apply { f, args } | Instr::Fused { f, args } => self.apply(*f, args, out),
            Instr::Load { input, dtype, walk } => {
                let walk = walked(*walk);
                let data = self.data(*input, *dtype);
                data.load(walk, &program.nest, start, odometer, out);
            }
            Instr::Index { walk } => {
                let walk = walked(*walk);
                let step = walk.step() as i32;
                walk.stretches(&program.nest, odometer, out.len(), |lane, n, at| {
                    let at = at as i32;
                    for (i, out) in out[lane..lane + n].iter_mut().enumerate() {
                        *out = at.wrapping_add((i as i32).wrapping_mul(step)) as u32;
                    }
                });
            }
            Instr::Random { walk, scalar } => {
                walked(*walk);
                self.random(*walk, *scalar, start, out, odometer);
            }
            Instr::Gather { walk, .. } => {
                walked(*walk);
                self.gather(&program.ops[reg], out, odometer);
            }
        }
    }

    fn apply(&self, f: BlockFn, args: &[usize], out: &mut [u32]) {
        let n = out.len();
        match *args {
            [a] => f(out, &[self.value(a, n)]),
            [a, b] => f(out, &[self.value(a, n), self.value(b, n)]),
            [a, b, c] => f(out, &[self.value(a, n), self.value(b, n), self.value(c, n)]),
            _ if args.len() <= 8 => {
                let mut values = [&[][..]; 8];
                for (value, &a) in values.iter_mut().zip(args) {
                    *value = self.value(a, n);
                }
                f(out, &values[..args.len()]);
            }
            _ => f(
                out,
                &args.iter().map(|&a| self.value(a, n)).collect::<Vec<_>>(),
            ),
        }
    }

    /// The values of an earlier stage, those of rows once for each of their points.
    fn stage(&self, stage: usize, each: bool, start: usize, out: &mut [u32]) {
        let Earlier {
            inner,
            first,
            values,
        } = self.earlier;
        if each {
            let at = start - first * inner;
            return out.copy_from_slice(&values[stage][at..at + out.len()]);
        }
        let (mut row, mut column) = (start / inner - first, start % inner);
        let mut rest = out;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut((inner - column).min(rest.len()));
            now.fill(values[stage][row]);
            (row, column, rest) = (row + 1, 0, later);
        }
    }

    fn random(
        &self,
        walk: usize,
        scalar: usize,
        start: usize,
        out: &mut [u32],
        odometer: &mut [usize],
    ) {
        let (nest, walk) = (&self.program.nest, &self.program.walks[walk]);
        let s = &self.context.scalars[scalar..scalar + 5];
        let (key, stream) = ([s[0], s[1]], [s[4], s[2], s[3]]);
        if walk.flat {
            philox::words((walk.offset + start as i64) as u64, stream, key, out);
            return;
        }
        let step = walk.step();
        walk.stretches(nest, odometer, out.len(), |lane, n, at| match step {
            1 => philox::words(at as u64, stream, key, &mut out[lane..lane + n]),
            _ => {
                for (i, out) in out[lane..lane + n].iter_mut().enumerate() {
                    *out = philox::word((at + i as i64 * step) as u64, stream, key);
                }
            }
        });
    }
}
