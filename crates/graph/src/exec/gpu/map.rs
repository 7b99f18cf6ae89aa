//! Map as WGSL: one invocation computes one element, or one word of narrow elements.

use super::call::{Arg, Call, Grid, Lowered, Words};
use super::expr::{Nest, Writer};
use super::lower::{StepView, product};
use super::source::{
    ENTRY, declare, declare_params, declare_status, lanes, memory, param, register, stored,
    with_prelude,
};
use crate::plan::{Map, View};
use std::fmt::Write;
use wgrad_device::Error;

const LABEL: &str = "map";

pub(super) fn lower(view: &StepView<'_>, map: &Map) -> Result<Lowered, Error> {
    let points = product(&map.shape);
    if points == 0 {
        return Ok(Lowered::default());
    }
    let lanes = lanes(view.output_dtype);
    let mut params = Words::default();
    let n = param(params.push_word(points as u32));
    let mut writer = Writer::new(
        view,
        Nest {
            outer: &[],
            inner: &map.shape,
        },
        params,
    );
    let value = writer.expr(&map.expr);
    let dense = View::contiguous(&map.shape);
    let store = if lanes > 1 { &dense } else { &map.store };
    let at = writer.walk(store);
    let Writer { body, params, .. } = writer;
    let (mut text, args) = declarations(view, &body.inputs, body.reports, params.words.len());
    text.push_str(body.functions());
    let word = stored(view.output_dtype, &value);
    if lanes == 1 {
        let _ = write!(
            text,
            "@compute @workgroup_size(256)\n{ENTRY}\
             let r = group * 256u + local;\nif (r >= {n}) {{ return; }}\n\
             {}{}out_0[{at}] = {word};\n}}\n",
            body.outer, body.inner
        );
    } else {
        let class = register(view.output_dtype.class());
        let _ = write!(
            text,
            "fn element(r: u32) -> {class} {{\n{}{}return {value};\n}}\n\
             @compute @workgroup_size(256)\n{ENTRY}\
             let word_ix = group * 256u + local;\nlet first = word_ix * {lanes}u;\n\
             if (first >= {n}) {{ return; }}\nvar word = 0u;\n\
             for (var lane = 0u; lane < {lanes}u; lane++) {{\n\
             if (first + lane < {n}) {{\nlet value = element(first + lane);\n\
             word |= {} << (lane * {}u);\n}}\n}}\nout_0[word_ix] = word;\n}}\n",
            body.outer,
            body.inner,
            stored(view.output_dtype, "value"),
            32 / lanes
        );
    }
    Ok(Lowered::one(Call {
        label: LABEL,
        wgsl: with_prelude(LABEL, text)?.into(),
        constants: body.constants(),
        args,
        params,
        grid: Grid::Threads(points.div_ceil(lanes as u64)),
    }))
}

/// Bindings of a generated kernel: inputs, output, parameters, and the status word where it is written.
fn declarations(
    view: &StepView<'_>,
    inputs: &[usize],
    reports: bool,
    n_params: usize,
) -> (String, Vec<Arg>) {
    let mut text = String::new();
    let mut args = super::reduce::declare_inputs(&mut text, view, inputs);
    declare(
        &mut text,
        args.len(),
        "read_write",
        "out_0",
        memory(view.output_dtype),
    );
    args.push(Arg::Output);
    declare_params(&mut text, args.len(), n_params);
    args.push(Arg::Params);
    if reports {
        declare_status(&mut text, args.len());
        args.push(Arg::Status);
    }
    (text, args)
}
