//! Pieces of generated WGSL: types, loads, stores, bindings, the prelude of elementary functions.

use crate::dtype::{Class, DType};
use std::fmt::Write;
use wgrad_device::Error;
use wgrad_shaders::{kernels, math};

/// Linear workgroup index of a folded grid, and the index within the workgroup.
pub(super) const ENTRY: &str = "\
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = wg.x + num.x * (wg.y + num.y * wg.z);
";

/// The first to fail keeps the word; the exchange may fail without a reason.
pub(super) const REPORT: &str = "\
fn report(check: u32) {
    loop {
        let r = atomicCompareExchangeWeak(&status, 0u, check);
        if (r.exchanged || r.old_value != 0u) {
            break;
        }
    }
}
";

/// WGSL type of a register.
pub(super) fn register(class: Class) -> &'static str {
    match class {
        Class::F32 => "f32",
        Class::I32 => "i32",
        Class::U32 => "u32",
        Class::Bool => "bool",
    }
}

/// WGSL type of a buffer's elements; narrow ones share words.
pub(super) fn memory(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::Bool | DType::U8 | DType::U32 | DType::F16 | DType::BF16 => "u32",
    }
}

/// Elements in a word.
pub(super) fn lanes(dtype: DType) -> usize {
    4 / dtype.size()
}

/// The element at `ix` of `buffer`, in a register.
pub(super) fn load(buffer: &str, dtype: DType, ix: &str) -> String {
    match dtype {
        DType::Bool => format!("({buffer}[{ix}] != 0u)"),
        DType::U8 => format!("extractBits({buffer}[({ix}) >> 2u], (({ix}) & 3u) * 8u, 8u)"),
        DType::F16 | DType::BF16 => {
            format!("w_{dtype}_to_f32({buffer}[({ix}) >> 1u] >> ((({ix}) & 1u) * 16u))")
        }
        DType::F32 | DType::I32 | DType::U32 => format!("{buffer}[{ix}]"),
    }
}

/// A register as what is stored: a whole word, or the low bits of one for narrow dtypes.
pub(super) fn stored(dtype: DType, value: &str) -> String {
    match dtype {
        DType::Bool => format!("select(0u, 1u, {value})"),
        DType::U8 => format!("({value} & 0xffu)"),
        DType::F16 => format!("w_f16_from_f32({value})"),
        DType::BF16 => format!("w_bf16_from_f32({value})"),
        DType::F32 | DType::I32 | DType::U32 => value.to_owned(),
    }
}

/// The elements of four neighbours whose words are `words`, two to a word.
pub(super) fn four_halves(dtype: DType, words: &str) -> [String; 4] {
    let each = [("", "x"), ("_high", "x"), ("", "y"), ("_high", "y")];
    each.map(|(high, part)| format!("w_{dtype}{high}_to_f32({words}.{part})"))
}

/// The words of four neighbours, given what [`stored`] makes of each.
pub(super) fn four_stored(halves: &[String]) -> String {
    let word = |pair: &[String]| format!("{} | ({} << 16u)", pair[0], pair[1]);
    let words: Vec<String> = halves.chunks(2).map(word).collect();
    format!("vec2<u32>({})", words.join(", "))
}

/// `put_<buffer>`, which stores one of the two elements of a word, whoever has the other one: each invocation changes its own
/// bits alone, so that no order matters. The buffer is of atomic words.
pub(super) fn put(buffer: &str) -> String {
    format!(
        "fn put_{buffer}(at: u32, half: u32) {{\nlet shift = (at & 1u) * 16u;\n\
         atomicAnd(&{buffer}[at / 2u], 0xffff0000u >> shift);\n\
         atomicOr(&{buffer}[at / 2u], half << shift);\n}}\n"
    )
}

/// WGSL type of four elements that lie together and are aligned.
pub(super) fn memory_of_four(dtype: DType) -> String {
    match dtype.is_half() {
        true => "vec2<u32>".to_owned(),
        false => format!("vec4<{}>", memory(dtype)),
    }
}

/// What is stored of four neighbours, given what [`stored`] makes of each.
pub(super) fn whole_stored(dtype: DType, each: &[String]) -> String {
    match dtype.is_half() {
        true => four_stored(each),
        false => format!("vec4<{}>({})", memory(dtype), each.join(", ")),
    }
}

/// Word `at` of the uniform block.
pub(super) fn param(at: usize) -> String {
    format!("params[{}].{}", at / 4, ["x", "y", "z", "w"][at % 4])
}

/// Declares the uniform block of `n` words at a binding.
pub(super) fn declare_params(text: &mut String, binding: usize, n: usize) {
    let n = n.div_ceil(4).max(1);
    let _ = writeln!(
        text,
        "@group(0) @binding({binding}) var<uniform> params: array<vec4<u32>, {n}>;"
    );
}

/// Declares a storage buffer of elements of a WGSL type.
pub(super) fn declare(text: &mut String, binding: usize, access: &str, name: &str, element: &str) {
    let _ = writeln!(
        text,
        "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;"
    );
}

/// Declares the status word and its function.
pub(super) fn declare_status(text: &mut String, binding: usize) {
    let _ = writeln!(
        text,
        "@group(0) @binding({binding}) var<storage, read_write> status: atomic<u32>;"
    );
    text.push_str(REPORT);
}

/// `text` behind the elementary functions that it calls.
///
/// # Errors
/// [`Error::Shader`] where it calls one that does not exist.
pub(super) fn with_prelude(label: &str, text: String) -> Result<String, Error> {
    let names: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("w_"))
        .collect();
    if names.is_empty() {
        return Ok(text);
    }
    match math::prelude(&names) {
        Ok(prelude) => Ok(prelude + &text),
        Err(error) => Err(Error::Shader {
            label: label.to_owned(),
            message: error.to_string(),
        }),
    }
}

/// The order of a class as words, with `alias Element`.
pub(super) fn keys(class: Class) -> &'static str {
    match class {
        Class::F32 => kernels::KEYS_F32,
        Class::I32 => kernels::KEYS_I32,
        Class::U32 | Class::Bool => kernels::KEYS_U32,
    }
}
