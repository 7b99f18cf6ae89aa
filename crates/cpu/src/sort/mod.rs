//! The ArgSort family: stable, NaN greatest, −0 equal to +0. Rows side by side, or, where there are few, the pieces of a
//! row, which are then merged. What is sorted are words that differ, so that no cut can change the order.

pub(crate) mod keys;

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::ArgSort;
use crate::sort::keys::{Key, KeyF32, KeyI32, KeyU32};
use crate::threads::par::Par;

/// Elements of a row from which it is sorted digit by digit, and from which several threads share it.
const LONG: usize = 1 << 11;
const SHARED: usize = 1 << 16;

/// Merged elements that one task writes.
const MERGED: usize = 1 << 15;

/// Bits of a digit, and digits of a key.
const BITS: usize = 11;
const DIGITS: usize = 3;

/// Runs `sort` on rows of `dtype`.
pub(crate) fn run(sort: &ArgSort, context: Context<'_>, out: &mut [u8], dtype: DType) {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => rows::<KeyF32>(sort, context, out),
        DType::I32 => rows::<KeyI32>(sort, context, out),
        DType::U32 | DType::U8 | DType::Bool => rows::<KeyU32>(sort, context, out),
    }
}

fn rows<K: Key>(sort: &ArgSort, context: Context<'_>, out: &mut [u8]) {
    let (input, length) = (context.words(0), sort.length);
    let out: &mut [u32] = bytemuck::cast_slice_mut(out);
    if length == 0 {
        return;
    }
    let par = context.par.for_work(out.len() * 100);
    if sort.rows < par.threads() && length >= SHARED {
        let pairs = input.chunks_exact(length).zip(out.chunks_exact_mut(length));
        pairs.for_each(|(row, out)| shared::<K>(par, row, sort.descending, out));
        return;
    }
    let size = sort.rows.div_ceil(par.pieces()) * length;
    par.chunks(out, size, |first, out| {
        let input = &input[first..first + out.len()];
        let (mut words, mut spare) = (crate::storage::reserved(length), Vec::new());
        words.resize(length, 0u64);
        for (row, out) in input.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
            fill::<K>(&mut words, row, 0, sort.descending);
            sort_words(&mut words, &mut spare);
            positions(out, &words);
        }
    });
}

/// The keys of elements from `first` on above their positions: to sort these words is stable, and equal keys keep their
/// order either way.
fn fill<K: Key>(words: &mut [u64], row: &[u32], first: usize, descending: bool) {
    for (i, (word, &lane)) in words.iter_mut().zip(row).enumerate() {
        let key = K::key(lane) as u32 ^ 0x8000_0000;
        let key = if descending { !key } else { key };
        *word = u64::from(key) << 32 | (first + i) as u64;
    }
}

fn positions(out: &mut [u32], words: &[u64]) {
    let each = out.iter_mut().zip(words);
    each.for_each(|(out, &word)| *out = word as u32);
}

/// Sorts words whose lower halves ascend.
fn sort_words(words: &mut Vec<u64>, spare: &mut Vec<u64>) {
    if words.len() < LONG {
        return words.sort_unstable();
    }
    let digit = |word: u64, d: usize| (word >> (32 + d * BITS)) as usize & ((1 << BITS) - 1);
    let mut counts = [[0u32; 1 << BITS]; DIGITS];
    for &word in words.iter() {
        for (d, counts) in counts.iter_mut().enumerate() {
            counts[digit(word, d)] += 1;
        }
    }
    if spare.len() < words.len() {
        *spare = crate::storage::reserved(words.len());
    }
    spare.resize(words.len(), 0);
    for (d, counts) in counts.iter_mut().enumerate() {
        // One value only: nothing moves.
        if counts[digit(words[0], d)] as usize == words.len() {
            continue;
        }
        let mut place = 0;
        for count in counts.iter_mut() {
            place += std::mem::replace(count, place);
        }
        for &word in words.iter() {
            let to = &mut counts[digit(word, d)];
            spare[*to as usize] = word;
            *to += 1;
        }
        std::mem::swap(words, spare);
    }
}

/// One row by several threads: pieces, then pairs of pieces until there is one.
fn shared<K: Key>(par: Par<'_>, row: &[u32], descending: bool, out: &mut [u32]) {
    let n = row.len();
    let mut width = n.div_ceil(par.threads().next_power_of_two());
    let zeros = |n: usize| {
        let mut list: Vec<u64> = crate::storage::reserved(n);
        list.resize(n, 0);
        list
    };
    let mut words = zeros(n);
    par.chunks(&mut words, width, |first, words| {
        let mut piece = zeros(words.len());
        fill::<K>(
            &mut piece,
            &row[first..first + words.len()],
            first,
            descending,
        );
        sort_words(&mut piece, &mut Vec::new());
        words.copy_from_slice(&piece);
    });
    let mut merged = zeros(if width < n { n } else { 0 });
    while width < n {
        let from = &words;
        par.chunks(&mut merged, MERGED, |first, out| {
            merge(from, width, first, out)
        });
        std::mem::swap(&mut words, &mut merged);
        width *= 2;
    }
    par.chunks(out, MERGED, |first, out| {
        positions(out, &words[first..first + out.len()])
    });
}

/// Writes the elements from `first` on of what the pairs of sorted pieces of `width` merge to.
fn merge(words: &[u64], width: usize, mut first: usize, mut out: &mut [u64]) {
    while !out.is_empty() {
        let low = first / (2 * width) * 2 * width;
        let middle = words.len().min(low + width);
        let high = words.len().min(low + 2 * width);
        let n = out.len().min(high - first);
        let (now, later) = std::mem::take(&mut out).split_at_mut(n);
        merge_pair(&words[low..middle], &words[middle..high], first - low, now);
        (first, out) = (first + n, later);
    }
}

/// Writes the elements from `skip` on of two sorted pieces together.
fn merge_pair(a: &[u64], b: &[u64], skip: usize, out: &mut [u64]) {
    // How many of those before come from `a`.
    let (mut low, mut high) = (skip.saturating_sub(b.len()), skip.min(a.len()));
    while low < high {
        let middle = usize::midpoint(low, high);
        if a[middle] < b[skip - middle - 1] {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let (mut a, mut b) = (&a[low..], &b[skip - low..]);
    for out in out {
        let from = match (a.first(), b.first()) {
            (Some(x), Some(y)) if x < y => &mut a,
            (Some(_), None) => &mut a,
            _ => &mut b,
        };
        if let Some((&word, rest)) = from.split_first() {
            (*out, *from) = (word, rest);
        }
    }
}
