//! The ArgSort family: stable, NaN greatest, −0 equal to +0.

use super::Context;
use super::order::{Key, KeyF32, KeyI32, KeyU32};
use crate::dtype::DType;
use crate::plan::ArgSort;

/// Runs `sort` on rows of `dtype`.
pub(super) fn run(sort: &ArgSort, context: Context<'_>, out: &mut [u8], dtype: DType) {
    match dtype {
        DType::F32 | DType::F16 => rows::<KeyF32>(sort, context, out),
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
    let size = sort.rows.div_ceil(par.pieces()) * length;
    par.chunks(out, size, |first, out| {
        let input = &input[first..first + out.len()];
        let mut words: Vec<u64> = crate::storage::reserved(length);
        for (row, out) in input.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
            words.clear();
            // Key above position: sorting these words is stable, and equal keys keep their order either way.
            words.extend(row.iter().enumerate().map(|(i, &lane)| {
                let key = K::key(lane) as u32 ^ 0x8000_0000;
                let key = if sort.descending { !key } else { key };
                u64::from(key) << 32 | i as u64
            }));
            words.sort_unstable();
            out.iter_mut()
                .zip(&words)
                .for_each(|(out, &word)| *out = word as u32);
        }
    });
}
