//! What follows a product, as the function that its kernel calls where it stores: see `finish.wgsl`; or, where that would be too
//! many rounds for a thread that stores many elements, as a dispatch of its own. Changes calls of products; knows no product.

use super::call::{Arg, Call, Lowered, MAX_ITERATIONS, Words, Work};
use super::expr::{Nest, Writer, inner_rounds};
use super::halves;
use super::map;
use super::source::{declare, memory, stored};
use super::step::StepView;
use crate::dtype::DType;
use crate::plan::{Kernel, Map, Step};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Inputs of the step that are the product's own.
const OPERANDS: usize = 2;

/// The work of a product and of what follows it, in the last kernel that stores if that has the rounds for it.
pub(super) fn after(view: &StepView<'_>, mut lowered: Lowered) -> Result<Lowered, Error> {
    let stores = lowered.stores;
    let mut more = Vec::new();
    if let Some(Work::Call(call)) = lowered.work.last_mut() {
        match &view.step.then {
            Some(then) if beyond(view, then, call, stores) => {
                more = apart(view, then, &mut lowered)?
            }
            then => {
                if let Some(then) = then {
                    join(view, then, call, stores);
                }
                halves::write(view, call);
            }
        }
    }
    halves::complete(&mut lowered)?;
    lowered.work.extend(more);
    Ok(lowered)
}

/// Whether a thread would take too many rounds.
fn beyond(view: &StepView<'_>, then: &Map, call: &Call, stores: u64) -> bool {
    // A thread that stores pairs takes both ways twice.
    let pairs = view.output_dtype.is_half() && call.wgsl.contains("const PER_WORD");
    let rounds = call.iterations + stores * inner_rounds(view, &then.expr);
    rounds * (1 + u64::from(pairs)) > MAX_ITERATIONS
}

/// Lets the product store into scratch; the work of the map, as if it had always been a step.
fn apart(view: &StepView<'_>, then: &Map, lowered: &mut Lowered) -> Result<Vec<Work>, Error> {
    let scratch = Arg::Scratch(lowered.scratch.len());
    let points: usize = then.shape.iter().product();
    let dtype = then.expr.inputs[0];
    let bytes = (points * dtype.size()).next_multiple_of(4);
    lowered.scratch.push(bytes as u64);
    if let Some(Work::Call(call)) = lowered.work.last_mut() {
        let stored = StepView {
            same_input: Vec::new(),
            held: Vec::new(),
            input_dtypes: Vec::new(),
            output_dtype: dtype,
            ..*view
        };
        halves::write(&stored, call);
        let to = call.args.iter_mut().filter(|arg| **arg == Arg::Output);
        to.for_each(|arg| *arg = scratch);
    }
    let step = Step {
        kernel: Kernel::Map(then.clone()),
        then: None,
        ..view.step.clone()
    };
    let inner = StepView {
        step: &step,
        value: None,
        input_dtypes: then.expr.inputs.clone(),
        output_dtype: view.output_dtype,
        ..of_map(view)
    };
    let mut map = map::lower(&inner, then)?;
    for work in &mut map.work {
        if let Work::Call(call) = work {
            call.args.iter_mut().for_each(|arg| {
                *arg = match *arg {
                    Arg::Input(0) => scratch,
                    Arg::Input(i) => Arg::Input(OPERANDS + i - 1),
                    other => other,
                }
            });
        }
    }
    Ok(map.work)
}

/// The step as its map sees it, whose first input is the product's value.
fn of_map<'a>(view: &StepView<'a>) -> StepView<'a> {
    let slots = &view.step.inputs[OPERANDS..];
    let first_with = |slot: &usize| slots.iter().position(|s| s == slot).unwrap_or(0);
    let others = slots.iter().map(|slot| first_with(slot) + 1);
    StepView {
        step: view.step,
        target: view.target,
        choices: view.choices,
        same_input: std::iter::once(0).chain(others).collect(),
        held: Vec::new(),
        value: Some(0),
        input_dtypes: Vec::new(),
        output_dtype: DType::F32,
    }
}

fn join(view: &StepView<'_>, then: &Map, call: &mut Call, stores: u64) {
    let inner = of_map(view);
    let nest = Nest {
        outer: &[],
        inner: &then.shape,
    };
    let mut writer = Writer::new(&inner, nest, Words::default());
    let value = writer.expr(&then.expr).concat();
    // A value that the cast at the end has rounded is not rounded again where it is stored.
    let before = writer.before_cast(&then.expr, view.output_dtype);
    let value = before.map_or(value, |values| values.concat());
    let Writer { body, params, .. } = writer;
    let mut text = String::new();
    for (i, &input) in body.inputs.iter().enumerate() {
        let element = memory(then.expr.inputs[input]);
        declare(
            &mut text,
            call.args.len(),
            "read",
            &format!("in_{i}"),
            element,
        );
        call.args.push(Arg::Input(OPERANDS + input - 1));
    }
    text.push_str(body.functions());
    // What follows sees the product as it would be stored.
    let rounded = match then.expr.inputs[0] {
        half if half.is_half() => {
            let bits = stored(half, "sum");
            format!("let x = w_{half}_to_f32({bits});\n")
        }
        _ => "let x = sum;\n".to_owned(),
    };
    text.push_str(&format!(
        "fn finish(sum: f32, r: u32) -> f32 {{\n{rounded}{}{}return {value};\n}}\n",
        body.outer, body.inner
    ));
    // A convolution has functions of these names.
    let text = text
        .replace("quotient(", "then_quotient(")
        .replace("QUICK", "THEN_QUICK");
    let constants = body.constants().into_iter();
    call.constants
        .extend(constants.map(|(name, value)| match name {
            "QUICK" => ("THEN_QUICK", value),
            name => (name, value),
        }));
    let text = text.replace("params[", "params.then[");
    let whole = call.wgsl.replacen(kernels::FINISH, &text, 1);
    let whole = with_words(&whole, params.words.len());
    call.wgsl = whole.into();
    call.iterations += stores * inner_rounds(view, &then.expr);
    append(&mut call.params, params);
}

/// A module whose block of numbers goes on with so many words.
fn with_words(text: &str, words: usize) -> String {
    let Some((before, rest)) = text.split_once("struct Params {").filter(|_| words > 0) else {
        return text.to_owned();
    };
    let Some((fields, after)) = rest.split_once('}') else {
        return text.to_owned();
    };
    let n = words.div_ceil(4);
    format!("{before}struct Params {{{fields}    then: array<vec4<u32>, {n}>,\n}}{after}")
}

/// Puts `more` behind `words`, from a multiple of four on.
fn append(words: &mut Words, more: Words) {
    if more.words.is_empty() {
        return;
    }
    words.words.resize(words.words.len().next_multiple_of(4), 0);
    let first = words.words.len();
    words.words.extend(more.words);
    let scalars = more.scalars.into_iter();
    words
        .scalars
        .extend(scalars.map(|(at, scalar)| (first + at, scalar)));
}
