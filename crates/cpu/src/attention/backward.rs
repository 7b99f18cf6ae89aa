//! The backward pass. A task is some blocks of keys of one head, with all queries: it holds the gradients of its keys and values, and
//! adds its part of the queries' gradient, block by block. Where heads are few their keys are shared by several tasks, whose
//! parts of the queries' gradient are added in order afterwards; how many follows from shapes alone.

use super::tiles::{Left, Lines, Right, padded, product, room};
use super::weights::{self, Row};
use super::{Given, Head, Mask, Shared, blocks, shared};
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{Attention, AttentionResult};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Keys of a block, and queries of one: scores and their gradients stay in a second-level cache beside the operands.
const KEYS: usize = 128;
const QUERIES: usize = 56;
/// Queries whose operands are copied at once.
const ROWS: usize = 448;
/// Tasks, where there are fewer heads.
const TASKS: usize = 16;

/// Floats of the queries' gradient in all parts together, where one does not take more.
const PARTIALS: usize = 1 << 22;

/// Tasks of a head.
fn parts(a: &Attention) -> usize {
    let heads = (a.batch[0] * a.batch[1]).max(1);
    let fit = PARTIALS / (heads * a.queries * a.features).max(1);
    let tasks = TASKS.div_ceil(heads).min(fit.max(2));
    tasks.min(a.keys.div_ceil(2 * KEYS)).max(1)
}

/// Bytes that a step takes while it runs.
pub(crate) fn step_bytes(a: &Attention) -> usize {
    let queries = a.batch[0] * a.batch[1] * a.queries * a.features;
    match parts(a) {
        1 => 0,
        _ if !a.results.contains(&AttentionResult::Query) => 0,
        parts => 4 * parts * queries,
    }
}

pub(super) fn run(given: &Given<'_>, results: &mut [(AttentionResult, &mut [f32])], par: Par<'_>) {
    let a = given.attention;
    let (heads, parts) = (given.heads(), parts(a));
    let work = heads * a.queries * a.keys * (3 * a.features + 2 * a.value_features + 16) / 4;
    let par = par.for_work(work);
    let mut partials = HostBufferMut::within_step(step_bytes(a));
    let partials = partials.slice_mut::<f32>();
    let whole = a.queries * a.features;
    let out = Outputs {
        query: match step_bytes(a) {
            0 => shared(results, AttentionResult::Query),
            _ => Some(Shared::of(partials)),
        },
        key: shared(results, AttentionResult::Key),
        value: shared(results, AttentionResult::Value),
    };
    let count = a.keys.div_ceil(KEYS);
    par.for_each(heads * parts, |task| {
        let (index, part) = (task / parts, task % parts);
        let keys = part * count / parts * KEYS..a.keys.min((part + 1) * count / parts * KEYS);
        let rows = |width: usize| {
            (index * a.keys + keys.start) * width..(index * a.keys + keys.end) * width
        };
        // SAFETY: tasks have other keys or other heads, each its own part of the queries' gradient, and the results are borrowed
        // until all are done.
        let mut own = unsafe {
            Own {
                query: out.query.map(|q| {
                    q.part((part * heads + index) * whole..(part * heads + index + 1) * whole)
                }),
                key: out.key.map(|k| k.part(rows(a.features))),
                value: out.value.map(|v| v.part(rows(a.value_features))),
            }
        };
        [&mut own.query, &mut own.key, &mut own.value]
            .into_iter()
            .flatten()
            .for_each(|out| out.fill(0.0));
        Task::new(given, given.head(index), keys).run(&mut own);
    });
    if let (true, Some((_, query))) = (
        parts > 1,
        results
            .iter_mut()
            .find(|(r, _)| *r == AttentionResult::Query),
    ) {
        let partials = &*partials;
        let len = heads * whole;
        par.chunks(query, len.div_ceil(par.pieces()).max(1), |first, out| {
            out.copy_from_slice(&partials[first..first + out.len()]);
            for part in 1..parts {
                let terms = &partials[part * len + first..];
                out.iter_mut()
                    .zip(terms)
                    .for_each(|(sum, term)| *sum += term);
            }
        });
    }
}

/// Where the results of all tasks go.
struct Outputs {
    query: Option<Shared>,
    key: Option<Shared>,
    value: Option<Shared>,
}

/// Those of one task.
struct Own<'a> {
    query: Option<&'a mut [f32]>,
    key: Option<&'a mut [f32]>,
    value: Option<&'a mut [f32]>,
}

/// Some keys of a head.
struct Task<'a> {
    given: &'a Given<'a>,
    mask: Option<Mask<'a>>,
    keys: Range<usize>,
    q: Lines<'a>,
    k: Lines<'a>,
    v: Lines<'a>,
    upstream: Lines<'a>,
    rows: Lines<'a>,
}

/// Memory of a task. `_left`: as a left operand, `_turned`: as a right one with a column for each key, else row by row.
struct Memory<'a> {
    q_left: &'a mut [f32],
    q: &'a mut [f32],
    upstream_left: &'a mut [f32],
    upstream: &'a mut [f32],
    k_turned: &'a mut [f32],
    k: &'a mut [f32],
    v_turned: &'a mut [f32],
    scores: &'a mut [f32],
    slopes: &'a mut [f32],
    slopes_left: &'a mut [f32],
}

impl<'a> Task<'a> {
    fn new(given: &'a Given<'a>, head: Head, keys: Range<usize>) -> Task<'a> {
        Task {
            mask: given.mask(head),
            q: given.lines(0, head),
            k: given.lines(1, head),
            v: given.lines(2, head),
            upstream: given.lines(3, head),
            rows: given.lines(4, head),
            keys,
            given,
        }
    }

    fn run(&self, own: &mut Own<'_>) {
        let a = self.given.attention;
        let (d, e) = (a.features, a.value_features);
        let rows = ROWS.min(a.queries.next_multiple_of(QUERIES));
        let blocks = rows / QUERIES;
        let sizes = [
            blocks * room(QUERIES, d),
            rows * padded(d),
            blocks * room(QUERIES, e),
            rows * padded(e),
            room(KEYS, d),
            KEYS * padded(d),
            room(KEYS, e),
            QUERIES * KEYS,
            QUERIES * KEYS,
            room(QUERIES, KEYS),
        ];
        let sizes = sizes.map(|n| n.next_multiple_of(16));
        with_scratch(sizes.iter().sum(), |mut memory| {
            let [
                q_left,
                q,
                upstream_left,
                upstream,
                k_turned,
                k,
                v_turned,
                scores,
                slopes,
                slopes_left,
            ] = sizes.map(|n| {
                let (first, rest) = std::mem::take(&mut memory).split_at_mut(n);
                memory = rest;
                first
            });
            let mut memory = Memory {
                q_left,
                q,
                upstream_left,
                upstream,
                k_turned,
                k,
                v_turned,
                scores,
                slopes,
                slopes_left,
            };
            for rows in super::blocks(0..a.queries, ROWS) {
                self.some(&mut memory, rows, own);
            }
        });
    }

    /// Whether gradients of scores are needed.
    fn slopes(&self, own: &Own<'_>) -> bool {
        own.query.is_some() || own.key.is_some()
    }

    /// What some of the queries give.
    fn some(&self, memory: &mut Memory<'_>, rows: Range<usize>, own: &mut Own<'_>) {
        let a = self.given.attention;
        let (d, e) = (a.features, a.value_features);
        if self.keys.start >= self.given.seen(rows.end) {
            return;
        }
        self.q.from(rows.start).rows(rows.len(), d, memory.q);
        weights::scale(&mut memory.q[..rows.len() * padded(d)], a.scale());
        let q = Lines {
            data: memory.q,
            at: 0,
            stride: padded(d),
        };
        self.upstream
            .from(rows.start)
            .rows(rows.len(), e, memory.upstream);
        let size = QUERIES;
        for (i, block) in blocks(0..rows.len(), size).enumerate() {
            let (d_room, e_room) = (room(size, d), room(size, e));
            q.from(block.start)
                .left(block.len(), d, &mut memory.q_left[i * d_room..][..d_room]);
            let left = &mut memory.upstream_left[i * e_room..][..e_room];
            self.upstream
                .from(rows.start + block.start)
                .left(block.len(), e, left);
        }
        for keys in blocks(self.keys.clone(), KEYS) {
            if keys.start >= self.given.seen(rows.end) {
                return;
            }
            self.k.from(keys.start).rows(keys.len(), d, memory.k);
            let stride = padded(keys.len());
            self.k
                .from(keys.start)
                .turned(keys.len(), d, stride, memory.k_turned);
            self.v
                .from(keys.start)
                .turned(keys.len(), e, stride, memory.v_turned);
            for (i, block) in blocks(rows.clone(), size).enumerate() {
                if keys.start < self.given.seen(block.end) {
                    self.block(memory, (i, &block, rows.start), &keys, own);
                }
            }
        }
    }

    /// What a block of queries and keys gives; `i`: which of the blocks from query `first` on.
    fn block(
        &self,
        memory: &mut Memory<'_>,
        (i, rows, first): (usize, &Range<usize>, usize),
        keys: &Range<usize>,
        own: &mut Own<'_>,
    ) {
        let a = self.given.attention;
        let (d, e, n) = (a.features, a.value_features, keys.len());
        let stride = padded(n);
        let sizes = |k: usize| [rows.len(), n, k];
        let right = |data| Right { data, stride };
        let scores = &mut memory.scores[..rows.len() * stride];
        let left = Left::Panels(&memory.q_left[i * room(QUERIES, d)..]);
        product(
            sizes(d),
            left,
            right(memory.k_turned),
            (scores, stride),
            false,
        );
        let mut slopes = self
            .slopes(own)
            .then(|| &mut memory.slopes[..rows.len() * stride]);
        if let Some(slopes) = &mut slopes {
            let left = Left::Panels(&memory.upstream_left[i * room(QUERIES, e)..]);
            product(
                sizes(e),
                left,
                right(memory.v_turned),
                (slopes, stride),
                false,
            );
        }
        self.given.hide(self.mask, scores, [stride, 1], rows, keys);
        for (r, line) in scores.chunks_exact_mut(stride).enumerate() {
            let products = slopes.as_mut().map(|s| &mut s[r * stride..][..n]);
            weights::backward(&mut line[..n], products, self.row(rows.start + r));
        }
        self.gather(memory, (rows, first), keys, own);
    }

    /// Adds what weights and slopes of a block give.
    fn gather(
        &self,
        memory: &mut Memory<'_>,
        (rows, first): (&Range<usize>, usize),
        keys: &Range<usize>,
        own: &mut Own<'_>,
    ) {
        let a = self.given.attention;
        let (d, e, n) = (a.features, a.value_features, keys.len());
        let stride = padded(n);
        let scores = &memory.scores[..rows.len() * stride];
        let at = rows.start - first;
        let keys_at = keys.start - self.keys.start;
        if let Some(value) = &mut own.value {
            let right = Right {
                data: &memory.upstream[at * padded(e)..],
                stride: padded(e),
            };
            let out = (&mut value[keys_at * e..], e);
            product(
                [n, e, rows.len()],
                Left::Steps(scores, stride),
                right,
                out,
                true,
            );
        }
        if !self.slopes(own) {
            return;
        }
        let slopes = &mut memory.slopes[..rows.len() * stride];
        if let Some(key) = &mut own.key {
            let right = Right {
                data: &memory.q[at * padded(d)..],
                stride: padded(d),
            };
            let out = (&mut key[keys_at * d..], d);
            product(
                [n, d, rows.len()],
                Left::Steps(slopes, stride),
                right,
                out,
                true,
            );
        }
        if let Some(query) = &mut own.query {
            weights::scale(slopes, a.scale());
            let lines = Lines {
                data: slopes,
                at: 0,
                stride,
            };
            lines.left(rows.len(), n, memory.slopes_left);
            let right = Right {
                data: memory.k,
                stride: padded(d),
            };
            let out = (&mut query[rows.start * d..], d);
            product(
                [rows.len(), d, n],
                Left::Panels(memory.slopes_left),
                right,
                out,
                true,
            );
        }
    }

    /// What is known of a row.
    fn row(&self, row: usize) -> Row {
        let at = self.rows.at + row * self.rows.stride;
        let [most, below, delta] = [0, 1, 2].map(|i| self.rows.data[at + i]);
        let nothing = self.given.attention.hides() && most == f32::NEG_INFINITY;
        Row {
            most: if nothing { f32::INFINITY } else { most },
            below,
            delta,
        }
    }
}
