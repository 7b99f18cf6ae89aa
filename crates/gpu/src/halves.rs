//! Operands of products that are floats of two bytes: a kernel calls other functions to load their elements. Changes calls
//! of products; knows no product.

use super::call::{Call, Lowered, Work};
use super::source::{load, with_prelude};
use super::step::StepView;
use crate::dtype::DType;
use wgrad_device::Error;

/// The call of a product whose first two inputs are the variables `names` of its text.
pub(super) fn read(view: &StepView<'_>, names: [&str; 2], call: &mut Call) {
    for (name, &dtype) in names.iter().zip(&view.input_dtypes) {
        if dtype.is_half() {
            call.wgsl = with_loads(&call.wgsl, name, dtype).into();
        }
    }
}

/// A text in which elements of `name` are of this dtype.
fn with_loads(text: &str, name: &str, dtype: DType) -> String {
    let (one, four) = ("array<f32>;", "array<vec4<f32>>;");
    let declared = format!("> in_{name}: ");
    let function = format!("fn load_{name}(");
    let of_one = format!("{function}at: i32) -> f32 {{\n    return in_{name}[at];\n}}");
    let of_four = format!("{function}at: u32) -> vec4<f32> {{\n    return in_{name}[at];\n}}");
    let word = |at: &str| load(&format!("in_{name}"), dtype, at);
    let half = |part: &str, low: bool| {
        let half = if low { "& 0xffffu" } else { ">> 16u" };
        format!("w_{dtype}_to_f32(w.{part} {half})")
    };
    let halves = [
        half("x", true),
        half("x", false),
        half("y", true),
        half("y", false),
    ];
    text.replace(&format!("{declared}{one}"), &format!("{declared}array<u32>;"))
        .replace(&format!("{declared}{four}"), &format!("{declared}array<vec2<u32>>;"))
        .replace(&of_one, &format!("{function}at: i32) -> f32 {{\n    return {};\n}}", word("u32(at)")))
        .replace(
            &of_four,
            &format!(
                "{function}at: u32) -> vec4<f32> {{\n    let w = in_{name}[at];\n    return vec4<f32>({});\n}}",
                halves.join(", ")
            ),
        )
}

/// The same calls with the functions that their loads call; what another function stands in already has its own.
///
/// # Errors
/// As [`with_prelude`].
pub(super) fn complete(view: &StepView<'_>, lowered: &mut Lowered) -> Result<(), Error> {
    if !view.input_dtypes.iter().take(2).any(|d| d.is_half()) {
        return Ok(());
    }
    for work in &mut lowered.work {
        if let Work::Call(call) = work
            && !call.wgsl.contains("fn w_")
        {
            call.wgsl = with_prelude(call.label, call.wgsl.to_string())?.into();
        }
    }
    Ok(())
}
