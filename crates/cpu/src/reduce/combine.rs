//! How Reduce combines blocks of lanes: horizontally into one accumulator, or vertically lane by lane.

#[cfg(target_arch = "x86_64")]
use crate::reduce::avx512;
use crate::simd::simd_fn;
#[cfg(target_arch = "x86_64")]
use crate::simd::{self, Level};
use crate::sort::keys::Key;
use crate::threads::scratch::Scratch;
use std::marker::PhantomData;

/// Rows that [`Combine::add_batch`] takes at once: each is a stream of its own for the processor to prefetch.
pub(crate) const BATCH: usize = 8;

/// A way to combine. Accumulators are merged in a fixed order.
pub(crate) trait Combine {
    /// What is kept for one result.
    type Acc: bytemuck::Pod + Send + Sync;
    /// What is kept for a block of lanes.
    type Columns;
    /// The accumulator of nothing.
    const EMPTY: Self::Acc;

    /// Adds the lanes, which stand at positions `first..` of the reduction.
    fn add_row(acc: &mut Self::Acc, lanes: &[u32], first: usize);
    /// How to add more than 16 products of lanes without storing them first, if there is a way.
    const ADD_PRODUCTS: Option<fn(&mut Self::Acc, [&[u32]; 2])> = None;
    /// How to add lanes to others one by one, where their sums can be added instead of them.
    const ADD_LANES: Option<fn(&mut [f32], &[f32])> = None;
    /// Joins two accumulators, the earlier first.
    fn merge(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// The lane of the result.
    fn finish(acc: Self::Acc) -> u32;
    /// The result of each row of `inner` lanes.
    fn finish_rows(lanes: &[u32], inner: usize, out: &mut [u32]) {
        for (out, row) in out.iter_mut().zip(lanes.chunks_exact(inner)) {
            let mut acc = Self::EMPTY;
            Self::add_row(&mut acc, row, 0);
            *out = Self::finish(acc);
        }
    }

    /// Vertical accumulators for a number of lanes.
    fn columns(lanes: usize) -> Self::Columns;
    /// Adds lane by lane. The block starts with position `row` of the reduction and holds one or several rows.
    fn add_column(state: &mut Self::Columns, lanes: &[u32], row: usize, single: bool);
    /// Adds rows from position `first` of the reduction on, of as many lanes as the state has.
    fn add_batch(state: &mut Self::Columns, first: usize, rows: &[&[u32]; BATCH]) {
        for (i, row) in rows.iter().enumerate() {
            Self::add_column(state, row, first + i, true);
        }
    }
    /// Folds the lanes, rows of `accs.len()`, into `accs`.
    fn fold_columns(state: Self::Columns, accs: &mut [Self::Acc]);
}

/// f32 sums: short f32 chains, joined in f64.
pub(crate) struct SumF32;

/// Blocks added in f32 before the sums move on to f64.
const CHAIN: usize = 16;

/// Vertical f32 sums.
pub(crate) struct SumColumns {
    short: Scratch<f32>,
    long: Scratch<f64>,
    chain: usize,
}

impl SumColumns {
    fn flush(&mut self) {
        for (long, short) in self.long.iter_mut().zip(self.short.iter_mut()) {
            *long += f64::from(*short);
            *short = 0.0;
        }
        self.chain = 0;
    }
}

impl Combine for SumF32 {
    type Acc = f64;
    type Columns = SumColumns;
    const EMPTY: f64 = 0.0;
    const ADD_PRODUCTS: Option<fn(&mut f64, [&[u32]; 2])> = Some(|acc, [a, b]| {
        let sum = sum_products(bytemuck::cast_slice(a), bytemuck::cast_slice(b));
        *acc += f64::from(sum);
    });
    const ADD_LANES: Option<fn(&mut [f32], &[f32])> = Some(add_lanes);

    fn add_row(acc: &mut f64, lanes: &[u32], _: usize) {
        let lanes: &[f32] = bytemuck::cast_slice(lanes);
        *acc += if lanes.len() <= 16 {
            lanes.iter().map(|&x| f64::from(x)).sum()
        } else {
            f64::from(line_sum(lanes))
        };
    }

    fn merge(a: f64, b: f64) -> f64 {
        a + b
    }

    fn finish(acc: f64) -> u32 {
        (acc as f32).to_bits()
    }

    fn finish_rows(lanes: &[u32], inner: usize, out: &mut [u32]) {
        let lanes: &[f32] = bytemuck::cast_slice(lanes);
        let out: &mut [f32] = bytemuck::cast_slice_mut(out);
        #[cfg(target_arch = "x86_64")]
        if inner > 16 && simd::level() == Level::Avx512 {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx512::sum_rows(lanes, inner, out) };
        }
        for (out, row) in out.iter_mut().zip(lanes.chunks_exact(inner)) {
            *out = match inner {
                // An empty sum of the standard library is −0.
                ..=16 => (0.0 + row.iter().map(|&x| f64::from(x)).sum::<f64>()) as f32,
                _ => sum(row),
            };
        }
    }

    fn columns(lanes: usize) -> SumColumns {
        SumColumns {
            short: Scratch::filled(lanes, 0.0),
            long: Scratch::filled(lanes, 0.0),
            chain: 0,
        }
    }

    fn add_column(state: &mut SumColumns, lanes: &[u32], _: usize, _: bool) {
        add_lanes(&mut state.short[..lanes.len()], bytemuck::cast_slice(lanes));
        state.chain += 1;
        if state.chain == CHAIN {
            state.flush();
        }
    }

    fn add_batch(state: &mut SumColumns, _: usize, rows: &[&[u32]; BATCH]) {
        let rows = rows.map(bytemuck::cast_slice);
        add_eight(&mut state.short, rows);
        state.chain += 1;
        if state.chain == CHAIN {
            state.flush();
        }
    }

    fn fold_columns(mut state: SumColumns, accs: &mut [f64]) {
        state.flush();
        for row in state.long.chunks_exact(accs.len()) {
            accs.iter_mut().zip(row).for_each(|(acc, &x)| *acc += x);
        }
    }
}

/// [`sum`], whose chains stay in registers where there are vectors for that.
fn line_sum(lanes: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if simd::level() == Level::Avx512 {
        // SAFETY: the processor has AVX-512.
        return unsafe { avx512::line(lanes) };
    }
    sum(lanes)
}

simd_fn! {
    /// Sum by 64 interleaved chains, then pairwise.
    fn sum(lanes: &[f32]) -> f32 {
        let mut acc = [0.0f32; 64];
        let mut groups = lanes.chunks_exact(64);
        for group in &mut groups {
            for i in 0..64 {
                acc[i] += group[i];
            }
        }
        for (acc, &x) in acc.iter_mut().zip(groups.remainder()) {
            *acc += x;
        }
        for half in [32, 16, 8, 4, 2, 1] {
            for i in 0..half {
                acc[i] += acc[i + half];
            }
        }
        acc[0]
    }
}

simd_fn! {
    /// The sum of the products, each rounded, by the chains of [`sum`].
    fn sum_products(a: &[f32], b: &[f32]) -> f32 {
        let mut acc = [0.0f32; 64];
        let mut groups = a.chunks_exact(64).zip(b.chunks_exact(64));
        for (a, b) in &mut groups {
            for i in 0..64 {
                acc[i] += a[i] * b[i];
            }
        }
        let done = a.len() / 64 * 64;
        for ((acc, &x), &y) in acc.iter_mut().zip(&a[done..]).zip(&b[done..]) {
            *acc += x * y;
        }
        for half in [32, 16, 8, 4, 2, 1] {
            for i in 0..half {
                acc[i] += acc[i + half];
            }
        }
        acc[0]
    }
}

simd_fn! {
    /// Adds the products, each rounded, lane by lane.
    pub(crate) fn add_lane_products(acc: &mut [f32], a: &[f32], b: &[f32]) {
        for ((acc, &x), &y) in acc.iter_mut().zip(a).zip(b) {
            *acc += x * y;
        }
    }
}

simd_fn! {
    /// Adds eight rows, pairwise.
    fn add_eight(acc: &mut [f32], rows: [&[f32]; BATCH]) {
        let n = acc.len();
        let [a, b, c, d, e, f, g, h] = rows.map(|row| &row[..n]);
        for i in 0..n {
            let low = (a[i] + b[i]) + (c[i] + d[i]);
            let high = (e[i] + f[i]) + (g[i] + h[i]);
            acc[i] += low + high;
        }
    }
}

simd_fn! {
    /// Adds lane by lane.
    pub(crate) fn add_lanes(acc: &mut [f32], lanes: &[f32]) {
        for (acc, &x) in acc.iter_mut().zip(lanes) {
            *acc += x;
        }
    }
}

/// Wrapping integer sums.
pub(crate) struct SumInt;

simd_fn! {
    fn sum_words(lanes: &[u32]) -> u32 {
        lanes.iter().fold(0, |sum: u32, &x| sum.wrapping_add(x))
    }
}

simd_fn! {
    fn add_words(acc: &mut [u32], lanes: &[u32]) {
        for (acc, &x) in acc.iter_mut().zip(lanes) {
            *acc = acc.wrapping_add(x);
        }
    }
}

impl Combine for SumInt {
    type Acc = u32;
    type Columns = Scratch<u32>;
    const EMPTY: u32 = 0;

    fn add_row(acc: &mut u32, lanes: &[u32], _: usize) {
        *acc = acc.wrapping_add(sum_words(lanes));
    }

    fn merge(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn finish(acc: u32) -> u32 {
        acc
    }

    fn columns(lanes: usize) -> Scratch<u32> {
        Scratch::filled(lanes, 0)
    }

    fn add_column(state: &mut Scratch<u32>, lanes: &[u32], _: usize, _: bool) {
        add_words(&mut state[..lanes.len()], lanes);
    }

    fn fold_columns(state: Scratch<u32>, accs: &mut [u32]) {
        for row in state.chunks_exact(accs.len()) {
            add_words(accs, row);
        }
    }
}

/// Maxima.
pub(crate) struct Max<K>(PhantomData<K>);

impl<K: Key> Combine for Max<K> {
    type Acc = i32;
    type Columns = Scratch<i32>;
    const EMPTY: i32 = K::LEAST;

    fn add_row(acc: &mut i32, lanes: &[u32], _: usize) {
        *acc = (*acc).max(K::greatest(lanes));
    }

    fn merge(a: i32, b: i32) -> i32 {
        a.max(b)
    }

    fn finish(acc: i32) -> u32 {
        K::lane(acc)
    }

    fn columns(lanes: usize) -> Scratch<i32> {
        Scratch::filled(lanes, K::LEAST)
    }

    fn add_column(state: &mut Scratch<i32>, lanes: &[u32], _: usize, _: bool) {
        K::raise(&mut state[..lanes.len()], lanes);
    }

    fn fold_columns(state: Scratch<i32>, accs: &mut [i32]) {
        for row in state.chunks_exact(accs.len()) {
            accs.iter_mut()
                .zip(row)
                .for_each(|(acc, &key)| *acc = (*acc).max(key));
        }
    }
}

/// Positions of first maxima.
pub(crate) struct ArgMax<K>(PhantomData<K>);

/// The best key and its position; `u32::MAX` before any.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Best {
    key: i32,
    at: u32,
}

impl Best {
    /// The greater key, then the lower position.
    fn join(self, other: Best) -> Best {
        if other.key > self.key || (other.key == self.key && other.at < self.at) {
            other
        } else {
            self
        }
    }
}

/// Vertical state: for each lane the best key and the number of the block it came from.
pub(crate) struct BestColumns {
    keys: Scratch<i32>,
    blocks: Scratch<u32>,
    /// The row each block starts with.
    rows: Vec<u32>,
}

impl<K: Key> Combine for ArgMax<K> {
    type Acc = Best;
    type Columns = BestColumns;
    const EMPTY: Best = Best {
        key: i32::MIN,
        at: u32::MAX,
    };

    fn add_row(acc: &mut Best, lanes: &[u32], first: usize) {
        let key = K::greatest(lanes);
        if key > acc.key || acc.at == u32::MAX {
            let at = lanes
                .iter()
                .position(|&lane| K::key(lane) == key)
                .unwrap_or(0);
            *acc = Best {
                key,
                at: (first + at) as u32,
            };
        }
    }

    fn merge(a: Best, b: Best) -> Best {
        a.join(b)
    }

    fn finish(acc: Best) -> u32 {
        if acc.at == u32::MAX { 0 } else { acc.at }
    }

    fn columns(lanes: usize) -> BestColumns {
        // The first block fills every lane it has; a lane that no block reaches keeps the number of none.
        BestColumns {
            keys: Scratch::filled(lanes, i32::MIN),
            blocks: Scratch::filled(lanes, u32::MAX),
            rows: Vec::new(),
        }
    }

    fn add_column(state: &mut BestColumns, lanes: &[u32], row: usize, _: bool) {
        let n = lanes.len();
        let number = state.rows.len() as u32;
        if number == 0 {
            state.blocks[..n].fill(0);
            state.keys[..n]
                .iter_mut()
                .zip(lanes)
                .for_each(|(key, &lane)| *key = K::key(lane));
        } else {
            K::raise_at(&mut state.keys[..n], &mut state.blocks[..n], lanes, number);
        }
        state.rows.push(row as u32);
    }

    fn fold_columns(state: BestColumns, accs: &mut [Best]) {
        let width = accs.len();
        for (lane, (&key, &block)) in state.keys.iter().zip(state.blocks.iter()).enumerate() {
            if let Some(&row) = state.rows.get(block as usize) {
                let acc = &mut accs[lane % width];
                *acc = acc.join(Best {
                    key,
                    at: row + (lane / width) as u32,
                });
            }
        }
    }
}
