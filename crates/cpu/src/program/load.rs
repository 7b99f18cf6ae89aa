//! Moving elements from buffers into lanes: loads along walks, widening. It must not know who asks for them.

use crate::call::Context;
use crate::dtype::DType;
use crate::halves::Half;
use crate::program::walk::{Nest, Walk};
use crate::simd::simd_fn;
use half::{bf16, f16};

/// The elements of an input.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// 4-byte elements.
    Words(&'a [u32]),
    /// Halves, widened to f32.
    Halves(&'a [f16]),
    /// Upper halves of f32.
    Uppers(&'a [bf16]),
    /// Bytes, widened to u32.
    Bytes(&'a [u8]),
}

impl<'a> Data<'a> {
    /// Input `input` of a kernel.
    pub(crate) fn of(context: &Context<'a>, input: usize, dtype: DType) -> Data<'a> {
        let bytes = context.inputs[input].bytes;
        match dtype {
            DType::U8 => Data::Bytes(bytes),
            DType::F16 => Data::Halves(bytemuck::cast_slice(bytes)),
            DType::BF16 => Data::Uppers(bytemuck::cast_slice(bytes)),
            DType::Bool | DType::I32 | DType::F32 | DType::U32 => {
                Data::Words(bytemuck::cast_slice(bytes))
            }
        }
    }

    /// The lanes from linear position `start`, loop indices `index`, on.
    pub(crate) fn load(
        self,
        walk: &Walk,
        nest: &Nest,
        start: usize,
        index: &mut [usize],
        out: &mut [u32],
    ) {
        if walk.flat {
            return self.stretch(walk.offset + start as i64, 1, out);
        }
        if let (Data::Words(words), Some(rows)) = (self, walk.crosses(nest, index, out.len())) {
            return transpose(words, walk.offset_at(index), walk.step(), rows, out);
        }
        if let (Data::Words(words), true) = (self, walk.repeats(nest)) {
            return walk.repeated(nest, index, out.len(), |lane, n, at, first| {
                repeat_each(
                    &words[at as usize..],
                    (first, nest.row()),
                    &mut out[lane..lane + n],
                );
            });
        }
        let step = walk.step();
        match self {
            Data::Words(words) if (0..=1).contains(&step) && nest.row() <= SHORT => {
                walk.stretches(nest, index, out.len(), |lane, n, at| {
                    let out = &mut out[lane..lane + n];
                    match step {
                        0 => fill_short(words[at as usize], out),
                        _ => copy_short(&words[at as usize..][..n], out),
                    }
                });
            }
            _ => walk.stretches(nest, index, out.len(), |lane, n, at| {
                self.stretch(at, step, &mut out[lane..lane + n]);
            }),
        }
    }

    /// `out[i]` = element `at + i * step`.
    pub(crate) fn stretch(self, at: i64, step: i64, out: &mut [u32]) {
        let n = out.len();
        let from = at as usize;
        match (self, step) {
            (_, 0) => out.fill(self.element(from)),
            (Data::Words(words), 1) => out.copy_from_slice(&words[from..from + n]),
            (Data::Halves(halves), 1) => {
                f16::widen(&halves[from..from + n], bytemuck::cast_slice_mut(out));
            }
            (Data::Uppers(uppers), 1) => {
                bf16::widen(&uppers[from..from + n], bytemuck::cast_slice_mut(out));
            }
            (Data::Bytes(bytes), 1) => widen_bytes(&bytes[from..from + n], out),
            _ => {
                let mut at = at;
                for out in out {
                    *out = self.element(at as usize);
                    at += step;
                }
            }
        }
    }

    /// One element.
    #[inline(always)]
    pub(crate) fn element(self, at: usize) -> u32 {
        match self {
            Data::Words(words) => words[at],
            Data::Halves(halves) => halves[at].to_f32().to_bits(),
            Data::Uppers(uppers) => u32::from(uppers[at].to_bits()) << 16,
            Data::Bytes(bytes) => u32::from(bytes[at]),
        }
    }
}

simd_fn! {
    fn widen_bytes(bytes: &[u8], out: &mut [u32]) {
        for (out, &byte) in out.iter_mut().zip(bytes) {
            *out = u32::from(byte);
        }
    }
}

/// The longest stretch that is copied in place: a call costs as much as copying so many.
const SHORT: usize = 128;

/// Copies without a call.
#[inline(always)]
pub(crate) fn copy_short(from: &[u32], out: &mut [u32]) {
    let (from_lines, from_rest) = from.as_chunks::<16>();
    let (lines, rest) = out.as_chunks_mut::<16>();
    lines.iter_mut().zip(from_lines).for_each(|(o, x)| *o = *x);
    let (from_fours, from_rest) = from_rest.as_chunks::<4>();
    let (fours, rest) = rest.as_chunks_mut::<4>();
    fours.iter_mut().zip(from_fours).for_each(|(o, x)| *o = *x);
    rest.iter_mut().zip(from_rest).for_each(|(o, x)| *o = *x);
}

#[inline(always)]
fn fill_short(word: u32, out: &mut [u32]) {
    let (lines, rest) = out.as_chunks_mut::<16>();
    lines.iter_mut().for_each(|o| *o = [word; 16]);
    let (fours, rest) = rest.as_chunks_mut::<4>();
    fours.iter_mut().for_each(|o| *o = [word; 4]);
    rest.iter_mut().for_each(|o| *o = word);
}

/// Each word so many times; so many lanes of the first were there before.
fn repeat_each(words: &[u32], (first, times): (usize, usize), out: &mut [u32]) {
    let (mut words, mut out) = (words, out);
    if first > 0 {
        let (head, rest) = out.split_at_mut((times - first).min(out.len()));
        head.fill(words[0]);
        (words, out) = (&words[1..], rest);
    }
    let whole = out.len() / times;
    let (body, rest) = out.split_at_mut(whole * times);
    match times {
        // A loop that the compiler unrolls.
        2 => body
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(words)
            .for_each(|(o, &w)| *o = [w; 2]),
        3 => body
            .as_chunks_mut::<3>()
            .0
            .iter_mut()
            .zip(words)
            .for_each(|(o, &w)| *o = [w; 3]),
        4 => body
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip(words)
            .for_each(|(o, &w)| *o = [w; 4]),
        ..16 => body
            .chunks_exact_mut(times)
            .zip(words)
            .for_each(|(o, &w)| o.fill(w)),
        _ => repeat_wide(words, times, body),
    }
    if let Some(&word) = words.get(whole) {
        rest.fill(word);
    }
}

simd_fn! {
    /// Each word `times` times, at least sixteen; the last sixteen of them may be written twice.
    fn repeat_wide(words: &[u32], times: usize, out: &mut [u32]) {
        for (out, &word) in out.chunks_exact_mut(times).zip(words) {
            let line = [word; 16];
            out.as_chunks_mut::<16>().0.iter_mut().for_each(|o| *o = line);
            out[times - 16..].copy_from_slice(&line);
        }
    }
}

/// Loads `rows` rows of lanes whose neighbours down a column are neighbours in memory.
fn transpose(words: &[u32], at: i64, step: i64, rows: usize, out: &mut [u32]) {
    let width = out.len() / rows;
    for c in 0..width {
        let from = (at + c as i64 * step) as usize;
        let column = &words[from..from + rows];
        column
            .iter()
            .zip(out[c..].iter_mut().step_by(width))
            .for_each(|(&x, out)| *out = x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::View;

    #[test]
    fn walks_that_stay_on_an_element_load_it_so_often() {
        let words: Vec<u32> = (0..4000).collect();
        for times in [2, 3, 4, 5, 16] {
            for (rows, apart, columns) in
                [(3, 40, 7), (2, 2, 2), (9, 0, 5), (4, 1, 3), (1, 0, 1000)]
            {
                let shape = [2, rows, columns, times];
                let view = View {
                    offset: 11,
                    strides: vec![50, apart, 1, 0],
                };
                let order: Vec<usize> = (0..shape.len()).collect();
                let (nest, walks) = Nest::new(&shape, &order, &[&view]);
                let want = |position: usize| {
                    let (rest, column) = (position / times / columns, position / times % columns);
                    (11 + 50 * (rest / rows) + apart as usize * (rest % rows) + column) as u32
                };
                for start in [
                    0,
                    1,
                    times - 1,
                    times,
                    times * columns - 1,
                    times * columns + 1,
                ] {
                    for len in [
                        1,
                        2,
                        times,
                        times + 1,
                        3 * times * columns / 2,
                        nest.len - start,
                    ] {
                        let len = len.min(nest.len - start);
                        let mut index = Vec::new();
                        nest.index_of(start, &mut index);
                        let mut out = vec![0; len];
                        Data::Words(&words).load(&walks[0], &nest, start, &mut index, &mut out);
                        let want: Vec<u32> = (start..start + len).map(want).collect();
                        assert_eq!(out, want, "{shape:?}, {len} from {start}");
                    }
                }
            }
        }
    }
}
