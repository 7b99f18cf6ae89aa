//! ArgSort: a bitonic sort of (key, position) pairs, in workgroup memory for rows of up to 1024 elements, else
//! in passes over a buffer.

use super::call::{Arg, Call, Grid, Lowered, Work};
use super::lower::StepView;
use super::source::keys;
use crate::plan::ArgSort;
use std::borrow::Cow;
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Pairs that fit the workgroup memory of the kernels.
const BLOCK: usize = 1024;

pub(super) fn lower(view: &StepView<'_>, sort: &ArgSort) -> Result<Lowered, Error> {
    let keys = keys(view.input_dtype.unwrap_or(view.output_dtype).class());
    let padded = sort.length.next_power_of_two().max(2);
    let descending = usize::from(sort.descending);
    let ArgSort { rows, length, .. } = *sort;
    if length <= BLOCK {
        return Ok(Lowered::one(Call {
            label: "argsort",
            wgsl: [keys, kernels::ARGSORT_SHORT].concat().into(),
            constants: Vec::new(),
            args: vec![Arg::Input(0), Arg::Output, Arg::Params],
            params: [rows, length, padded, descending].into_iter().collect(),
            grid: Grid::Groups(rows as u64),
        }));
    }
    let pairs = rows as u64 * padded as u64;
    if pairs > 1 << 31 {
        return Err(Error::TooLarge {
            what: "the scratch of an argsort",
            bytes: 8 * pairs,
            limit: 8 << 31,
        });
    }
    let blocks_text: Cow<'static, str> = [keys, kernels::ARGSORT_BLOCKS].concat().into();
    let blocks = |size: usize| {
        let flag = |set: bool| f64::from(u8::from(set));
        let constants = vec![
            ("FIRST", flag(size == BLOCK)),
            ("LAST", flag(size == padded)),
        ];
        Work::from(Call {
            label: "argsort blocks",
            wgsl: blocks_text.clone(),
            constants,
            args: vec![Arg::Input(0), Arg::Output, Arg::Scratch(0), Arg::Params],
            params: [rows, length, padded, descending, size]
                .into_iter()
                .collect(),
            grid: Grid::Groups(pairs / BLOCK as u64),
        })
    };
    let step = |size: usize, reach: usize| {
        Work::from(Call {
            label: "argsort step",
            wgsl: kernels::ARGSORT_STEP.into(),
            constants: Vec::new(),
            args: vec![Arg::Scratch(0), Arg::Params],
            params: [pairs as usize / 2, padded, size, reach]
                .into_iter()
                .collect(),
            grid: Grid::Threads(pairs / 2),
        })
    };
    let mut work = vec![blocks(BLOCK)];
    let mut size = 2 * BLOCK;
    while size <= padded {
        let mut reach = size / 2;
        while reach >= BLOCK {
            work.push(step(size, reach));
            reach /= 2;
        }
        work.push(blocks(size));
        size *= 2;
    }
    Ok(Lowered {
        work,
        scratch: vec![8 * pairs],
    })
}
