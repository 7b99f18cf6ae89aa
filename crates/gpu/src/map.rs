//! Map as WGSL: one invocation computes one element, or one word of narrow elements; on a software adapter, where starting
//! an invocation costs more than an element, it loops over many, by fours where they are neighbours.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words};
use super::expr::{Body, Nest, Writer, inner_rounds};
use super::source::{
    ENTRY, declare, declare_params, declare_status, lanes, memory, memory_of_four, param, put,
    whole_stored, with_prelude,
};
use super::step::{StepView, product};
use super::wide::{Quad, Wide, shortened, stores_whole};
use crate::plan::{Map, View};
use std::fmt::Write;
use wgrad_device::Error;

const LABEL: &str = "map";

/// Rounds of a thread of a software adapter, at most, and groups that keep one busy.
const ROUNDS: u64 = 64;
const SOFTWARE_GROUPS: u64 = 16;

pub(super) fn lower(view: &StepView<'_>, map: &Map) -> Result<Lowered, Error> {
    let points = product(&map.shape);
    if points == 0 {
        return Ok(Lowered::default());
    }
    let half = view.output_dtype.is_half();
    let four = match half || lanes(view.output_dtype) == 1 {
        true => wide(view, map, points),
        false => None,
    };
    match four {
        Some(wide) => words(view, map, Some(&wide)),
        None if half && !map.store.is_contiguous(&map.shape) => words(view, map, None),
        None if lanes(view.output_dtype) > 1 => narrow(view, map, points),
        None => words(view, map, None),
    }
}

/// Four points at once, where that pays.
fn wide(view: &StepView<'_>, map: &Map, points: u64) -> Option<Wide> {
    let last = map.shape.len().checked_sub(1)?;
    if points < view.target.config.wide_from || !stores_whole(&map.store, &map.shape, last) {
        return None;
    }
    let wide = Wide::of(&map.expr, &view.same_input, &map.shape, last);
    wide.filter(|wide| view.held_whole(wide))
}

/// Results of a word each, or parts of words: one point for a thread, or, on a software adapter, a loop for each of few threads.
fn words(view: &StepView<'_>, map: &Map, wide: Option<&Wide>) -> Result<Lowered, Error> {
    let shape = match wide {
        Some(_) => shortened(&map.shape, map.shape.len() - 1),
        None => map.shape.clone(),
    };
    let points = product(&shape);
    let mut params = Words::default();
    let n = param(params.push_word(points as u32));
    let fours = if wide.is_some() { 4 } else { 1 };
    let each = 1 + fours * inner_rounds(view, &map.expr);
    let most = (MAX_ITERATIONS / each).clamp(1, ROUNDS);
    let rounds = (points / (8 * SOFTWARE_GROUPS)).clamp(1, most);
    let chunk = view
        .target
        .software
        .then(|| param(params.push_word(8 * rounds as u32)));
    let nest = Nest {
        outer: &[],
        inner: &shape,
    };
    let mut writer = Writer::new(view, nest, params).wide(wide);
    let values = writer.expr(&map.expr);
    let store = match wide {
        Some(wide) => wide.walk(&map.store, Quad::Whole),
        None => map.store.clone(),
    };
    let at = writer.walk(&store);
    let dtype = view.output_dtype;
    let words = writer.stored(&map.expr, dtype, &values);
    let Writer { body, params, .. } = writer;
    let (mut text, args) = declarations(view, &body, params.words.len(), wide);
    text.push_str(body.functions());
    let store = match wide {
        Some(_) => format!("out_0[{at}] = {};\n", whole_stored(dtype, &words)),
        None if dtype.is_half() => {
            text = text.replace("> out_0: array<u32>;", "> out_0: array<atomic<u32>>;");
            text.push_str(&put("out_0"));
            format!("put_out_0({at}, {});\n", words.concat())
        }
        None => format!("out_0[{at}] = {};\n", words.concat()),
    };
    let point = body.inner.clone() + &store;
    let _ = match &chunk {
        Some(chunk) => write!(
            text,
            "@compute @workgroup_size(8)\n{ENTRY}let first = group * {chunk};\n\
             let end = min(first + {chunk}, {n});\n{}\
             for (var r = first + local; r < end; r += 8u) {{\n{point}}}\n}}\n",
            body.outer
        ),
        None => write!(
            text,
            "@compute @workgroup_size(256)\n{ENTRY}\
             let r = group * 256u + local;\nif (r >= {n}) {{ return; }}\n{}{point}}}\n",
            body.outer
        ),
    };
    Ok(Lowered::one(Call {
        label: LABEL,
        wgsl: with_prelude(LABEL, text)?.into(),
        constants: body.constants(),
        args,
        params,
        grid: match chunk {
            Some(_) => Grid::Groups(points.div_ceil(8 * rounds)),
            None => Grid::Threads(points),
        },
        iterations: each * if chunk.is_some() { rounds } else { 1 },
    }))
}

/// Narrow results: a thread makes a word of them.
fn narrow(view: &StepView<'_>, map: &Map, points: u64) -> Result<Lowered, Error> {
    let lanes = lanes(view.output_dtype);
    let mut params = Words::default();
    let n = param(params.push_word(points as u32));
    let nest = Nest {
        outer: &[],
        inner: &map.shape,
    };
    let mut writer = Writer::new(view, nest, params);
    let value = writer.expr(&map.expr);
    writer.walk(&View::contiguous(&map.shape));
    let value = writer.stored(&map.expr, view.output_dtype, &value).concat();
    let Writer { body, params, .. } = writer;
    let (mut text, args) = declarations(view, &body, params.words.len(), None);
    text.push_str(body.functions());
    let _ = write!(
        text,
        "fn element(r: u32) -> u32 {{\n{}{}return {value};\n}}\n\
         @compute @workgroup_size(256)\n{ENTRY}\
         let word_ix = group * 256u + local;\nlet first = word_ix * {lanes}u;\n\
         if (first >= {n}) {{ return; }}\nvar word = 0u;\n\
         for (var lane = 0u; lane < {lanes}u; lane++) {{\n\
         if (first + lane < {n}) {{ word |= element(first + lane) << (lane * {}u); }}\n}}\n\
         out_0[word_ix] = word;\n}}\n",
        body.outer,
        body.inner,
        32 / lanes
    );
    Ok(Lowered::one(Call {
        label: LABEL,
        wgsl: with_prelude(LABEL, text)?.into(),
        constants: body.constants(),
        args,
        params,
        grid: Grid::Threads(points.div_ceil(lanes as u64)),
        iterations: lanes as u64 * (1 + inner_rounds(view, &map.expr)),
    }))
}

/// Bindings of a generated kernel: inputs, output, parameters, and the status word where it is written.
fn declarations(
    view: &StepView<'_>,
    body: &Body,
    n_params: usize,
    wide: Option<&Wide>,
) -> (String, Vec<Arg>) {
    let mut text = String::new();
    let mut args = super::reduce::declare_inputs(&mut text, view, &body.inputs, wide);
    let element = match wide {
        Some(_) => memory_of_four(view.output_dtype),
        None => memory(view.output_dtype).to_owned(),
    };
    declare(&mut text, args.len(), "read_write", "out_0", &element);
    args.push(Arg::Output);
    declare_params(&mut text, args.len(), n_params);
    args.push(Arg::Params);
    if body.reports {
        declare_status(&mut text, args.len());
        args.push(Arg::Status);
    }
    (text, args)
}
