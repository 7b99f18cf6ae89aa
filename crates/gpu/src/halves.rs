//! Floats of two bytes in named texts: the functions that load and store elements are replaced by others, which widen and
//! round. Two elements share a word, so that a store is of a pair, or leaves the other half of the word as it is. Changes
//! texts; knows no kernel but by the names of its functions.
//!
//! ```text
//!   fn load_x(at: u32) -> f32 { return in_x[at]; }         in_x: f32          becomes      u32, widened
//!   out_y[at] = value;                                     out_y: f32                     atomic<u32>, one half at a time
//!   fn store_pair(at: u32) { out_y[at] = result(at); }     out_y: f32, one element        u32, two elements in one store
//! ```

use super::call::{Call, Lowered, Work};
use super::source::{declare, four_halves, load, put, stored, whole_stored, with_prelude};
use super::step::StepView;
use crate::dtype::DType;
use crate::plan::{ConvKind, Kernel};
use std::ops::Not;
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// The call of a product whose first two inputs are the variables `names` of its text.
pub(super) fn read(view: &StepView<'_>, names: [&str; 2], call: &mut Call) {
    for (name, &dtype) in names.iter().zip(&view.input_dtypes) {
        if dtype.is_half() {
            let fours = call.wgsl.contains(&format!("fn load_{name}(")).not();
            call.wgsl = match view.step.kernel {
                Kernel::Matmul(_) if fours => fetched_by_four(&call.wgsl, name, dtype),
                Kernel::Matmul(_) => {
                    fetched_as_words(&with_loads(&call.wgsl, name, dtype), name, dtype)
                }
                _ => walked_as_words(&with_loads(&call.wgsl, name, dtype), name, dtype),
            }
            .into();
        }
    }
}

/// A text of a matrix product that keeps what it fetches ahead of this operand as words until it stores them in its tile: to
/// widen them at once would be to wait for them.
fn fetched_as_words(text: &str, name: &str, dtype: DType) -> String {
    let lines = if name == "a" { "r" } else { "c" };
    let along = if name == "a" { "a_col" } else { "b_row" };
    let words = |f: &dyn Fn(usize) -> String| {
        let each: Vec<String> = (0..4).map(f).collect();
        each.join(", ")
    };
    let text = with_function(text, &format!("{name}_quad"), |body| {
        let Some((head, _)) = body.split_once("-> vec4<f32> {") else {
            return body.to_owned();
        };
        let word = |i: usize| format!("in_{name}[u32({lines}{i}.x + at) / 2u]");
        format!(
            "{head}-> vec4<u32> {{\n    let at = {along}(min(k, k_end - 1u)).x;\n    return vec4<u32>({});",
            words(&word)
        )
    });
    let text = text.replace(
        &format!("fn {name}_wide(q: vec4<f32>"),
        &format!("fn {name}_wide(q: vec4<u32>"),
    );
    with_function(&text, &format!("{name}_wide"), |body| {
        let half = |i: usize| {
            let part = ["x", "y", "z", "w"][i];
            let shift = format!("((u32({lines}{i}.x + at) & 1u) * 16u)");
            format!("w_{dtype}_to_f32(q.{part} >> {shift})")
        };
        let at = format!("let at = {along}(min(k, k_end - 1u)).x;\n    ");
        body.replace(
            "return q;",
            &format!("{at}return vec4<f32>({});", words(&half)),
        )
    })
}

/// The same for a walk through a convolution (`conv_walk.wgsl`). What is clamped when it is fetched becomes zero, so that its
/// shift is no matter.
fn walked_as_words(text: &str, name: &str, dtype: DType) -> String {
    let (ahead, lines) = match name {
        "a" => ("AheadA", "rows"),
        _ => ("AheadB", "vec4<i32>(c.x.at, c.y.at, c.z.at, c.w.at)"),
    };
    let text = text.replace(
        &format!("alias {ahead} = f32;"),
        &format!("alias {ahead} = u32;"),
    );
    let text = with_function(&text, &format!("ahead_{name}"), |body| {
        body.replace(
            &format!("return load_{name}(at);"),
            &format!("return in_{name}[u32(at) / 2u];"),
        )
    });
    with_function(&text, &format!("{name}_wide"), |body| {
        let each = ["x", "y", "z", "w"].map(|part| format!("w_{dtype}_to_f32(words.{part})"));
        let halves = format!(
            "let at = {lines} + vec4<i32>(s.at);\n    \
             let words = q >> ((vec4<u32>(at) & vec4<u32>(1u)) * vec4<u32>(16u));\n    \
             return vec4<f32>({});",
            each.join(", ")
        );
        body.replace("return q;", &halves)
    })
}

/// The same where what is fetched is four elements in two words.
fn fetched_by_four(text: &str, name: &str, dtype: DType) -> String {
    let text = with_element(text, &format!("in_{name}"), "vec2<u32>");
    let text = with_function(&text, &format!("{name}_quad"), |body| {
        body.replace("-> vec4<f32>", "-> vec2<u32>")
    });
    with_function(&text, &format!("{name}_wide"), |body| {
        let elements = format!("return vec4<f32>({});", four_halves(dtype, "q").join(", "));
        body.replace("q: vec4<f32>", "q: vec2<u32>")
            .replace("return q;", &elements)
    })
}

/// A text in which elements of `in_<name>` are of this dtype, if that has two bytes.
pub(super) fn with_loads(text: &str, name: &str, dtype: DType) -> String {
    if !dtype.is_half() {
        return text.to_owned();
    }
    let buffer = format!("in_{name}");
    let of_four = format!("> {buffer}: array<vec4<f32>>;");
    let fours = text.contains(&of_four);
    let element = if fours { "vec2<u32>" } else { "u32" };
    let text = with_element(text, &buffer, element);
    with_function(&text, &format!("load_{name}"), |body| {
        let whole = format!("return {buffer}[at];");
        let bits = body.contains("-> u32");
        let value = match fours {
            true => format!(
                "let w = {buffer}[at];\n    return vec4<f32>({});",
                four_halves(dtype, "w").join(", ")
            ),
            false if bits => format!("return bitcast<u32>({});", load(&buffer, dtype, "u32(at)")),
            false => format!("return {};", load(&buffer, dtype, "u32(at)")),
        };
        body.replace(&whole, &value)
    })
}

/// A text in which what is assigned to elements of `out_<name>` is stored as this dtype, if that has two bytes, whoever has the
/// other half of the word.
pub(super) fn with_stores(text: &str, name: &str, dtype: DType) -> String {
    if !dtype.is_half() {
        return text.to_owned();
    }
    let buffer = format!("out_{name}");
    if !text.contains(&format!("> {buffer}: array<")) {
        return text.to_owned();
    }
    let bits = text.contains(&format!("> {buffer}: array<u32>;"));
    let begins = format!("{buffer}[");
    let mut all = put(&buffer);
    for line in with_element(text, &buffer, "atomic<u32>").lines() {
        let assigned = line.trim_start().strip_prefix(&begins);
        match assigned.and_then(|rest| rest.strip_suffix(';')?.split_once("] = ")) {
            Some((at, value)) if bits => {
                let value = stored(dtype, &format!("bitcast<f32>({value})"));
                all += &format!("put_{buffer}({at}, {value});");
            }
            Some((at, value)) => all += &format!("put_{buffer}({at}, {});", stored(dtype, value)),
            None => all += line,
        }
        all.push('\n');
    }
    all
}

/// A text of a scatter whose `settle` rounds a sum of `out_y` to an element of the buffer at this binding.
pub(super) fn with_settling(text: &str, binding: usize, dtype: DType) -> String {
    let mut head = String::new();
    declare(&mut head, binding, "read_write", "out_half", "atomic<u32>");
    let value = stored(dtype, "out_y[at]");
    let text = with_function(text, "settle", |body| {
        format!("{body}\n    put_out_half(at, {value});")
    });
    head + &put("out_half") + &text
}

/// A text in which each invocation stores two results of this dtype, if that has two bytes, as one word: it has `PER_WORD`,
/// `store_pair` and `result`, which is nothing past the end.
pub(super) fn with_pairs(text: &str, name: &str, dtype: DType) -> String {
    if !dtype.is_half() {
        return text.to_owned();
    }
    let buffer = format!("out_{name}");
    let text = with_element(text, &buffer, "u32");
    let bits = text.contains("fn result(i: u32) -> u32");
    let one = "const PER_WORD: u32 = 1u;";
    let text = text.replace(one, "const PER_WORD: u32 = 2u;");
    with_function(&text, "store_pair", |body| {
        let whole = format!("{buffer}[at] = result(at);");
        let [low, high] = ["at", "at + 1u"].map(|at| match bits {
            true => stored(dtype, &format!("bitcast<f32>(result({at}))")),
            false => stored(dtype, &format!("result({at})")),
        });
        body.replace(
            &whole,
            &format!("{buffer}[at / 2u] = {low} | ({high} << 16u);"),
        )
    })
}

/// A text whose variable is of these elements.
fn with_element(text: &str, buffer: &str, element: &str) -> String {
    let declared = format!("> {buffer}: array<");
    let Some((before, rest)) = text.split_once(&declared) else {
        return text.to_owned();
    };
    match rest.split_once(";\n") {
        Some((_, after)) => format!("{before}{declared}{element}>;\n{after}"),
        None => text.to_owned(),
    }
}

/// A text with another version of one of its functions.
fn with_function(text: &str, name: &str, other: impl Fn(&str) -> String) -> String {
    let Some(begin) = text.find(&format!("fn {name}(")) else {
        return text.to_owned();
    };
    let end = text[begin..].find("\n}").map_or(text.len(), |n| begin + n);
    [&text[..begin], &other(&text[begin..end]), &text[end..]].concat()
}

/// The last call of a product's work storing results of two bytes, if they are, and neighbours in one store, where there are
/// any and the device gains by it.
pub(super) fn write(view: &StepView<'_>, call: &mut Call) {
    let dtype = view.output_dtype;
    if call.wgsl.contains("const PER_WORD") {
        if dtype.is_half() {
            call.wgsl = with_pairs(&call.wgsl, "sum", dtype).into();
            call.grid = call.grid.halved();
            call.iterations *= 2;
        }
        return;
    }
    let together = match call.wgsl.contains(kernels::GEMM_STORE) {
        true => together(view),
        false => 1,
    };
    if together > 1 {
        let element = match (together, dtype.is_half()) {
            (4, true) => "vec2<u32>",
            (4, false) => "vec4<f32>",
            _ => "u32",
        };
        call.wgsl = with_element(&call.wgsl, "out_c", element)
            .replace(kernels::GEMM_STORE, &store_row(dtype, together))
            .into();
    } else if dtype.is_half() {
        call.wgsl = with_stores(&call.wgsl, "c", dtype).into();
    }
}

/// How many neighbouring columns, from a multiple of so many on, lie together in as many elements of one store, as far as they
/// exist.
fn together(view: &StepView<'_>) -> usize {
    let points = |size: &[usize; 3]| size.iter().product::<usize>();
    let line = match &view.step.kernel {
        Kernel::Matmul(m) => m.n,
        Kernel::Conv(conv) => match conv.kind {
            ConvKind::Forward => points(&conv.output),
            // With strides, columns may be apart.
            ConvKind::InputGrad if conv.stride != [1; 3] => 1,
            ConvKind::InputGrad => points(&conv.input),
            ConvKind::WeightGrad => conv.in_channels * points(&conv.kernel),
        },
        _ => 1,
    };
    let half = view.output_dtype.is_half();
    match (line.is_multiple_of(4), line.is_multiple_of(2)) {
        // A software adapter stores lane by lane.
        (true, _) if half || !view.target.software => 4,
        (_, true) if half => 2,
        _ => 1,
    }
}

/// `store_row` of `gemm_store.wgsl` with so many elements in one store.
fn store_row(dtype: DType, together: usize) -> String {
    let mut text = String::from(
        "fn store_row(row: u32, at: u32, z: u32, col: u32, v: vec4<f32>) {\n\
         if (row >= params.n_rows) { return; }\nlet first = at + out_row(z, row);\n",
    );
    for (nth, parts) in ["x", "y", "z", "w"].chunks(together).enumerate() {
        let i = nth * together;
        let each: Vec<String> = (0..)
            .zip(parts)
            .map(|(n, part)| stored(dtype, &format!("finish(v.{part}, to + {n}u)")))
            .collect();
        let value = match together {
            4 => whole_stored(dtype, &each),
            _ => format!("{} | ({} << 16u)", each[0], each[1]),
        };
        text += &format!(
            "if (col + {i}u < params.n_cols) {{\nlet to = first + out_col(z, col + {i}u);\n\
             out_c[to / {together}u] = {value};\n}}\n"
        );
    }
    text + "}\n"
}

/// The same calls with the elementary functions that they call.
///
/// # Errors
/// As [`with_prelude`].
pub(super) fn complete(lowered: &mut Lowered) -> Result<(), Error> {
    for work in &mut lowered.work {
        if let Work::Call(call) = work
            && call.wgsl.contains("w_")
        {
            call.wgsl = with_prelude(call.label, call.wgsl.to_string())?.into();
        }
    }
    Ok(())
}
