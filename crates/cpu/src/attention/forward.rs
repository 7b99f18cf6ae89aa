//! The forward pass. A task is some rows of queries of one head: it goes through all keys, block by block, and for each block
//! through its queries. Scores lie with a lane for each query, so that maxima and sums go from vector to vector, and weights
//! are a left operand as they lie.

use super::tiles::{Left, Lines, Right, padded, product, room};
use super::weights::{self, Running};
use super::{Given, Head, Mask, blocks, shared};
use crate::matmul::gemm::kernel::Kernels;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::AttentionResult;
use crate::threads::par::Par;
use std::ops::Range;

/// Keys of a block: weights of one for the lanes of a tile stay in a first-level cache.
const KEYS: usize = 112;
/// Rows of a task, at most: queries and results for all of them stay in a second-level cache beside a block of keys.
const ROWS: usize = 512;

pub(super) fn run(given: &Given<'_>, results: &mut [(AttentionResult, &mut [f32])], par: Par<'_>) {
    let a = given.attention;
    if a.queries == 0 {
        return;
    }
    let out = shared(results, AttentionResult::Out);
    let normalizer = shared(results, AttentionResult::Normalizer);
    let work = given.heads() * a.queries * a.keys * (a.features + a.value_features + 16) / 4;
    let par = par.for_work(work);
    // How rows are cut changes no bit.
    let lanes = Kernels::best().cols();
    let parts = par.pieces().div_ceil(given.heads().max(1));
    let rows = a
        .queries
        .div_ceil(parts.max(a.queries.div_ceil(ROWS)).max(1))
        .next_multiple_of(lanes);
    let parts = a.queries.div_ceil(rows);
    // The last rows of a causal one take the longest.
    par.for_each(given.heads() * parts, |task| {
        let (index, part) = (task / parts, parts - 1 - task % parts);
        let queries = part * rows..a.queries.min((part + 1) * rows);
        let head = given.head(index);
        let first = index * a.queries;
        let place = |width: usize| (first + queries.start) * width..(first + queries.end) * width;
        // SAFETY: rows of different tasks do not overlap, and the results are borrowed until all are done.
        let (out, normalizer) = unsafe {
            (
                out.map(|out| out.part(place(a.value_features))),
                normalizer.map(|n| n.part(place(2))),
            )
        };
        Task::new(given, head, queries.clone()).run(out, normalizer);
    });
}

/// Some queries of a head.
struct Task<'a> {
    given: &'a Given<'a>,
    mask: Option<Mask<'a>>,
    queries: Range<usize>,
    q: Lines<'a>,
    k: Lines<'a>,
    v: Lines<'a>,
    /// Queries of a tile.
    width: usize,
}

/// Memory of a task.
struct Memory<'a> {
    /// Of each block of queries, element by element.
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    scores: &'a mut [f32],
    most: &'a mut [f32],
    sums: &'a mut [f64],
}

impl<'a> Task<'a> {
    fn new(given: &'a Given<'a>, head: Head, queries: Range<usize>) -> Task<'a> {
        let kernels = Kernels::best();
        Task {
            mask: given.mask(head),
            q: given.lines(0, head),
            k: given.lines(1, head),
            v: given.lines(2, head),
            width: padded(queries.len()).min(kernels.cols()),
            queries,
            given,
        }
    }

    fn run(&self, out: Option<&mut [f32]>, normalizer: Option<&mut [f32]>) {
        let a = self.given.attention;
        let rows = self.queries.len().next_multiple_of(self.width);
        let sizes = [
            rows * a.features + room(0, 0),
            room(KEYS, a.features),
            KEYS * padded(a.value_features),
            KEYS * self.width,
            rows,
            2 * rows,
        ];
        let sizes = sizes.map(|n| n.next_multiple_of(16));
        with_scratch(sizes.iter().sum(), |mut memory| {
            let [q, k, v, scores, most, sums] = sizes.map(|n| {
                let (first, rest) = std::mem::take(&mut memory).split_at_mut(n);
                memory = rest;
                first
            });
            let mut memory = Memory {
                q,
                k,
                v,
                scores,
                most,
                sums: bytemuck::cast_slice_mut(sums),
            };
            self.all(&mut memory, out, normalizer);
        });
    }

    fn all(
        &self,
        memory: &mut Memory<'_>,
        mut out: Option<&mut [f32]>,
        normalizer: Option<&mut [f32]>,
    ) {
        let (a, width) = (self.given.attention, self.width);
        memory.most.fill(f32::NEG_INFINITY);
        memory.sums.fill(0.0);
        for (i, rows) in blocks(self.queries.clone(), width).enumerate() {
            let panel = &mut memory.q[i * width * a.features..];
            self.q
                .from(rows.start)
                .turned(rows.len(), a.features, width, panel);
            weights::scale(&mut panel[..width * a.features], a.scale());
        }
        let all = self.given.seen(self.queries.end);
        for keys in blocks(0..all, KEYS) {
            self.k
                .from(keys.start)
                .left(keys.len(), a.features, memory.k);
            if out.is_some() {
                self.v
                    .from(keys.start)
                    .rows(keys.len(), a.value_features, memory.v);
            }
            for (i, rows) in blocks(self.queries.clone(), width).enumerate() {
                if keys.start < self.given.seen(rows.end) {
                    let at = (rows.start - self.queries.start) * a.value_features;
                    let out = out
                        .as_mut()
                        .map(|out| &mut out[at..][..rows.len() * a.value_features]);
                    self.block(memory, i, (&rows, &keys), out);
                }
            }
        }
        self.finish(memory, out, normalizer);
    }

    /// Adds what a block of keys gives to block `i` of the queries.
    fn block(
        &self,
        memory: &mut Memory<'_>,
        i: usize,
        (rows, keys): (&Range<usize>, &Range<usize>),
        out: Option<&mut [f32]>,
    ) {
        let (a, width) = (self.given.attention, self.width);
        let scores = &mut memory.scores[..keys.len() * width];
        let q = Right {
            data: &memory.q[i * width * a.features..],
            stride: width,
        };
        let sizes = [keys.len(), width, a.features];
        product(sizes, Left::Panels(memory.k), q, (scores, width), false);
        self.given.hide(self.mask, scores, [1, width], rows, keys);
        let (mut sum, mut factor) = ([0.0; 64], [0.0; 64]);
        let (sum, factor) = (&mut sum[..width], &mut factor[..width]);
        let lanes = i * width..(i + 1) * width;
        let most = &mut memory.most[lanes.clone()];
        weights::forward(scores, &mut Running { most, sum, factor });
        let sums = memory.sums[lanes].iter_mut().zip(&*sum).zip(&*factor);
        sums.for_each(|((all, &sum), &factor)| *all = *all * f64::from(factor) + f64::from(sum));
        let Some(out) = out.filter(|out| !out.is_empty()) else {
            return;
        };
        let e = a.value_features;
        let begins = keys.start == 0;
        if !begins {
            let lines = out
                .chunks_exact_mut(e)
                .zip(&*factor)
                .filter(|(_, factor)| **factor != 1.0);
            lines.for_each(|(line, &factor)| weights::scale(line, factor));
        }
        let v = Right {
            data: memory.v,
            stride: padded(e),
        };
        let sizes = [rows.len(), e, keys.len()];
        product(sizes, Left::Steps(scores, width), v, (out, e), !begins);
    }

    /// Divides by the sums.
    fn finish(&self, memory: &Memory<'_>, out: Option<&mut [f32]>, normalizer: Option<&mut [f32]>) {
        let a = self.given.attention;
        let nothing = |row: usize| memory.sums[row] == 0.0;
        let of_nothing = if a.hides() { 0.0 } else { f32::NAN };
        if let Some(out) = out.filter(|out| !out.is_empty()) {
            for (row, line) in out.chunks_exact_mut(a.value_features).enumerate() {
                match nothing(row) {
                    true => line.fill(of_nothing),
                    false => weights::scale(line, (1.0 / memory.sums[row]) as f32),
                }
            }
        }
        for (row, two) in normalizer
            .into_iter()
            .flat_map(|n| n.chunks_exact_mut(2))
            .enumerate()
        {
            let most = memory.most[row];
            (two[0], two[1]) = match nothing(row) {
                true if a.hides() => (f32::NEG_INFINITY, 0.0),
                true => (f32::NAN, 0.0),
                false => (most, memory.sums[row].ln() as f32),
            };
        }
    }
}
