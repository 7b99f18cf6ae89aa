//! Kernels of the user's own: one dispatch, bindings in the order that the user was promised.

use super::call::{Arg, Call, Grid, Lowered, Words};
use super::step::product;
use crate::plan::Custom;
use std::borrow::Cow;

/// The dispatch of a custom kernel.
pub(super) fn lower(custom: &Custom) -> Lowered {
    let mut args: Vec<Arg> = (0..custom.inputs.len()).map(Arg::Input).collect();
    args.push(Arg::Output);
    if !custom.kernel.params.is_empty() {
        args.push(Arg::Params);
    }
    Lowered::one(Call {
        label: "custom",
        wgsl: Cow::Owned(custom.kernel.wgsl.to_string()),
        constants: Vec::new(),
        args,
        params: custom
            .kernel
            .params
            .iter()
            .map(|&w| w as usize)
            .collect::<Words>(),
        grid: Grid::Threads(product(&custom.output)),
        iterations: 0,
    })
}
