//! Runs a [`Program`] block by block on one thread, in lanes that stay in the first-level cache. The lanes outlive
//! the worker: a thread keeps them for the next one, so that a replayed plan allocates nothing.

use super::Context;
use super::load::Data;
use super::philox;
use super::program::{Instr, LANES, Program};
use crate::dtype::DType;
use crate::plan::BlockFn;
use std::cell::RefCell;
use std::sync::atomic::Ordering;

/// Where the value of a register is.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// In a lane buffer.
    Lanes(usize),
    /// In an input, from this word on.
    Input(usize, usize),
}

/// What a worker writes to. Contents are arbitrary between workers.
#[derive(Debug, Default)]
struct Memory {
    lanes: Vec<Vec<u32>>,
    held: Vec<Held>,
    /// Loop indices of the block's first point.
    index: Vec<usize>,
    odometer: Vec<usize>,
}

thread_local! {
    /// Memory that no worker of this thread uses. A stack: while one worker waits for another thread, its own may
    /// start the next.
    static IDLE: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

impl Memory {
    fn take(buffers: usize, registers: usize) -> Memory {
        let mut memory = IDLE
            .with(|idle| idle.borrow_mut().pop())
            .unwrap_or_default();
        while memory.lanes.len() < buffers {
            memory.lanes.push(vec![0; LANES]);
        }
        memory.held.clear();
        memory.held.resize(registers, Held::Lanes(0));
        memory
    }
}

/// Runs a program block by block on one thread.
pub(super) struct Worker<'p, 'a> {
    program: &'p Program,
    context: Context<'a>,
    memory: Memory,
}

impl Drop for Worker<'_, '_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // A thread that ends has no use for it.
        let _ = IDLE.try_with(|idle| idle.borrow_mut().push(memory));
    }
}

impl<'p, 'a> Worker<'p, 'a> {
    /// A worker for blocks of up to `lanes` lanes.
    pub(super) fn new(program: &'p Program, context: Context<'a>, lanes: usize) -> Self {
        let mut memory = Memory::take(program.n_buffers, program.ops.len());
        for (held, &buffer) in memory.held.iter_mut().zip(&program.buffer) {
            *held = Held::Lanes(buffer);
        }
        let mut worker = Worker {
            program,
            context,
            memory,
        };
        worker.fill_still(lanes.clamp(1, LANES));
        worker
    }

    /// The values at linear positions `start..start + len`; at most as many as the worker has lanes.
    pub(super) fn eval(&mut self, start: usize, len: usize) -> &[u32] {
        let result = self.program.ops.len() - 1;
        self.run(start, len, result + 1);
        self.value(result, len)
    }

    /// Writes the values from linear position `start` on to `out`.
    pub(super) fn eval_into(&mut self, start: usize, out: &mut [u32]) {
        let result = self.program.ops.len() - 1;
        self.run(start, out.len(), result);
        if self.program.still[result] {
            out.copy_from_slice(self.value(result, out.len()));
        } else {
            let mut odometer = std::mem::take(&mut self.memory.odometer);
            self.compute(result, start, out, &mut odometer);
            self.memory.odometer = odometer;
        }
    }

    /// The values at `start..start + len` where the program is nothing but a load of contiguous words.
    pub(super) fn line(&mut self, start: usize, len: usize) -> Option<&'a [u32]> {
        if self.program.ops.len() != 1 {
            return None;
        }
        self.program.nest.index_of(start, &mut self.memory.index);
        match self.borrowed(0, start, len)? {
            Held::Input(input, at) => Some(&self.context.words(input)[at..at + len]),
            Held::Lanes(_) => None,
        }
    }

    fn fill_still(&mut self, lanes: usize) {
        let program = self.program;
        for reg in (0..program.ops.len()).filter(|&r| program.still[r]) {
            let mut out = std::mem::take(&mut self.memory.lanes[program.buffer[reg]]);
            match program.ops[reg] {
                Instr::Constant(word) => out[..lanes].fill(word),
                Instr::Scalar(scalar) => out[..lanes].fill(self.context.scalars[scalar]),
                Instr::Apply { .. } => self.compute(reg, 0, &mut out[..lanes], &mut Vec::new()),
                _ => {
                    program.nest.index_of(0, &mut self.memory.index);
                    let mut odometer = std::mem::take(&mut self.memory.odometer);
                    self.compute(reg, 0, &mut out[..1], &mut odometer);
                    self.memory.odometer = odometer;
                    let word = out[0];
                    out[..lanes].fill(word);
                }
            }
            self.memory.lanes[program.buffer[reg]] = out;
        }
    }

    /// Computes registers `..until` for the block.
    fn run(&mut self, start: usize, len: usize, until: usize) {
        let program = self.program;
        program.nest.index_of(start, &mut self.memory.index);
        let mut odometer = std::mem::take(&mut self.memory.odometer);
        for reg in (0..until).filter(|&r| !program.still[r]) {
            if let Some(held) = self.borrowed(reg, start, len) {
                self.memory.held[reg] = held;
                continue;
            }
            let buffer = program.buffer[reg];
            let mut out = std::mem::take(&mut self.memory.lanes[buffer]);
            self.compute(reg, start, &mut out[..len], &mut odometer);
            self.memory.lanes[buffer] = out;
            self.memory.held[reg] = Held::Lanes(buffer);
        }
        self.memory.odometer = odometer;
    }

    fn value(&self, reg: usize, len: usize) -> &[u32] {
        match self.memory.held[reg] {
            Held::Lanes(b) => &self.memory.lanes[b][..len],
            Held::Input(input, at) => &self.context.words(input)[at..at + len],
        }
    }

    /// Where in the input itself the block of a load is contiguous words.
    fn borrowed(&self, reg: usize, start: usize, len: usize) -> Option<Held> {
        let Instr::Load { input, dtype, walk } = self.program.ops[reg] else {
            return None;
        };
        if dtype.size() != 4 {
            return None;
        }
        let (nest, walk) = (&self.program.nest, &self.program.walks[walk]);
        let index = &self.memory.index;
        let in_row = walk.step() == 1 && index[index.len() - 1] + len <= nest.row();
        let at = match (walk.flat, in_row) {
            (true, _) => walk.offset + start as i64,
            (_, true) => walk.offset_at(index),
            _ => return None,
        };
        Some(Held::Input(input, at as usize))
    }

    fn data(&self, input: usize, dtype: DType) -> Data<'a> {
        Data::of(&self.context, input, dtype)
    }

    fn compute(&self, reg: usize, start: usize, out: &mut [u32], odometer: &mut Vec<usize>) {
        let program = self.program;
        let mut walked = |walk: usize| {
            odometer.clone_from(&self.memory.index);
            &program.walks[walk]
        };
        match &program.ops[reg] {
            Instr::Constant(word) => out.fill(*word),
            Instr::Scalar(scalar) => out.fill(self.context.scalars[*scalar]),
            Instr::Apply { f, args } => self.apply(*f, args, out),
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
            _ => f(
                out,
                &args.iter().map(|&a| self.value(a, n)).collect::<Vec<_>>(),
            ),
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

    fn gather(&self, op: &Instr, out: &mut [u32], odometer: &mut [usize]) {
        let program = self.program;
        let Instr::Gather {
            input,
            dtype,
            walk,
            index,
            size,
            stride,
            outside,
            by_row,
        } = *op
        else {
            return;
        };
        let data = self.data(input, dtype);
        let walk = &program.walks[walk];
        let index = self.value(index, out.len());
        let step = walk.step();
        let mut bad = false;
        walk.stretches(&program.nest, odometer, out.len(), |lane, n, at| {
            let out = &mut out[lane..lane + n];
            if by_row {
                let i = index[lane] as usize;
                if i < size {
                    data.stretch(at + i as i64 * stride, step, out);
                } else {
                    bad = true;
                    out.fill(outside);
                }
                return;
            }
            for (k, (out, &i)) in out.iter_mut().zip(&index[lane..lane + n]).enumerate() {
                *out = if (i as usize) < size {
                    data.element((at + k as i64 * step + i as i64 * stride) as usize)
                } else {
                    bad = true;
                    outside
                };
            }
        });
        if bad {
            self.context.report();
        }
    }
}

impl Context<'_> {
    /// Records that an index was out of range, if the step checks and nothing was recorded yet.
    pub(super) fn report(&self) {
        if self.check != 0 {
            let _ =
                self.status
                    .compare_exchange(0, self.check, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
