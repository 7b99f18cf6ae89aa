//! Runs a [`Program`] block by block on one thread, in lanes that stay in the first-level cache.

use super::Context;
use super::load::Data;
use super::philox;
use super::program::{Instr, LANES, Program};
use crate::plan::BlockFn;
use std::sync::atomic::Ordering;

#[derive(Clone, Copy)]
enum Held<'a> {
    Lanes(usize),
    Input(&'a [u32]),
}

/// Runs a program block by block on one thread.
pub(super) struct Worker<'p, 'a> {
    program: &'p Program<'a>,
    lanes: Vec<Vec<u32>>,
    held: Vec<Held<'a>>,
    /// Loop indices of the block's first point.
    index: Vec<usize>,
    odometer: Vec<usize>,
}

impl<'p, 'a> Worker<'p, 'a> {
    /// A worker for blocks of up to `lanes` lanes.
    pub(super) fn new(program: &'p Program<'a>, lanes: usize) -> Self {
        let lanes = lanes.clamp(1, LANES);
        let mut worker = Worker {
            program,
            lanes: (0..program.n_buffers).map(|_| vec![0; lanes]).collect(),
            held: program.buffer.iter().map(|&b| Held::Lanes(b)).collect(),
            index: Vec::new(),
            odometer: Vec::new(),
        };
        worker.fill_still();
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
            let mut odometer = std::mem::take(&mut self.odometer);
            self.compute(result, start, out, &mut odometer);
            self.odometer = odometer;
        }
    }

    fn fill_still(&mut self) {
        let lanes = self.lanes.first().map_or(0, Vec::len);
        self.program.nest.index_of(0, &mut self.index);
        for reg in (0..self.program.ops.len()).filter(|&r| self.program.still[r]) {
            let mut out = std::mem::take(&mut self.lanes[self.program.buffer[reg]]);
            match self.program.ops[reg] {
                Instr::Constant(word) => out.fill(word),
                Instr::Apply { .. } => self.compute(reg, 0, &mut out[..lanes], &mut Vec::new()),
                _ => {
                    self.compute(reg, 0, &mut out[..1], &mut Vec::new());
                    let word = out[0];
                    out.fill(word);
                }
            }
            self.lanes[self.program.buffer[reg]] = out;
        }
    }

    /// Computes registers `..until` for the block.
    fn run(&mut self, start: usize, len: usize, until: usize) {
        let program = self.program;
        program.nest.index_of(start, &mut self.index);
        let mut odometer = std::mem::take(&mut self.odometer);
        for reg in (0..until).filter(|&r| !program.still[r]) {
            if let Some(words) = self.borrowed(reg, start, len) {
                self.held[reg] = Held::Input(words);
                continue;
            }
            let buffer = program.buffer[reg];
            let mut out = std::mem::take(&mut self.lanes[buffer]);
            self.compute(reg, start, &mut out[..len], &mut odometer);
            self.lanes[buffer] = out;
            self.held[reg] = Held::Lanes(buffer);
        }
        self.odometer = odometer;
    }

    fn value(&self, reg: usize, len: usize) -> &[u32] {
        match self.held[reg] {
            Held::Lanes(b) => &self.lanes[b][..len],
            Held::Input(words) => &words[..len],
        }
    }

    /// The input itself, where the block of a load is contiguous words.
    fn borrowed(&self, reg: usize, start: usize, len: usize) -> Option<&'a [u32]> {
        let Instr::Load {
            data: Data::Words(words),
            walk,
        } = &self.program.ops[reg]
        else {
            return None;
        };
        let (nest, walk) = (&self.program.nest, &self.program.walks[*walk]);
        let in_row = walk.step() == 1 && self.index[self.index.len() - 1] + len <= nest.row();
        let at = match (walk.flat, in_row) {
            (true, _) => walk.offset + start as i64,
            (_, true) => walk.offset_at(&self.index),
            _ => return None,
        };
        Some(&words[at as usize..at as usize + len])
    }

    fn compute(&self, reg: usize, start: usize, out: &mut [u32], odometer: &mut Vec<usize>) {
        let program = self.program;
        let mut walked = |walk: usize| {
            odometer.clone_from(&self.index);
            &program.walks[walk]
        };
        match &program.ops[reg] {
            Instr::Constant(word) => out.fill(*word),
            Instr::Apply { f, args } => self.apply(*f, args, out),
            Instr::Load { data, walk } => {
                let walk = walked(*walk);
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
            Instr::Random { walk, key, stream } => {
                let walk = walked(*walk);
                if walk.flat {
                    philox::words((walk.offset + start as i64) as u64, *stream, *key, out);
                    return;
                }
                let step = walk.step();
                walk.stretches(
                    &program.nest,
                    odometer,
                    out.len(),
                    |lane, n, at| match step {
                        1 => philox::words(at as u64, *stream, *key, &mut out[lane..lane + n]),
                        _ => {
                            for (i, out) in out[lane..lane + n].iter_mut().enumerate() {
                                *out = philox::word((at + i as i64 * step) as u64, *stream, *key);
                            }
                        }
                    },
                );
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

    fn gather(&self, op: &Instr<'a>, out: &mut [u32], odometer: &mut [usize]) {
        let program = self.program;
        let Instr::Gather {
            data,
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
            program.context.report();
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
