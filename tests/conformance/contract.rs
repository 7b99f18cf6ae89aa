//! Matrix products, Einstein sums, convolutions and attention.

use crate::case::Case;
use serde_json::Value;
use wgrad::{AttentionOptions, ConvOptions, ConvTransposeOptions, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let out = match case.op.as_str() {
        "matmul" => pair(case, Tensor::matmul),
        "mm" => pair(case, Tensor::mm),
        "bmm" => pair(case, Tensor::bmm),
        "mv" => pair(case, Tensor::mv),
        "dot" => pair(case, Tensor::dot),
        "outer" => pair(case, Tensor::outer),
        "linear" => linear(case),
        "einsum" => einsum(case),
        "conv1d" => conv(case, Tensor::conv1d),
        "conv2d" => conv(case, Tensor::conv2d),
        "conv3d" => conv(case, Tensor::conv3d),
        "conv_transpose1d" => conv_transpose(case, Tensor::conv_transpose1d),
        "conv_transpose2d" => conv_transpose(case, Tensor::conv_transpose2d),
        "conv_transpose3d" => conv_transpose(case, Tensor::conv_transpose3d),
        "scaled_dot_product_attention" => attention(case),
        _ => return None,
    };
    Some(out.map(|t| vec![t]))
}

fn pair(case: &Case, f: fn(&Tensor, &Tensor) -> Tensor) -> Result<Tensor, String> {
    Ok(f(case.at(0)?, case.at(1)?))
}

fn linear(case: &Case) -> Result<Tensor, String> {
    Ok(subject(case)?.linear(case.input("weight")?, case.optional("bias")))
}

fn einsum(case: &Case) -> Result<Tensor, String> {
    let equation = case.text("equation").ok_or("no equation")?;
    // In order of their numbers: as text, x10 comes before x2.
    let operands = (0..case.inputs.len()).map(|i| case.input(&format!("x{i}")));
    Ok(Tensor::einsum(
        equation,
        &operands.collect::<Result<Vec<_>, _>>()?,
    ))
}

/// The form of a convolution's method.
type Method<O> = fn(&Tensor, &Tensor, Option<&Tensor>, &O) -> Tensor;

fn conv<const N: usize>(case: &Case, f: Method<ConvOptions<N>>) -> Result<Tensor, String> {
    let options = ConvOptions::default()
        .stride(case.sizes("stride", 1))
        .dilation(case.sizes("dilation", 1))
        .groups(case.sizes::<1>("groups", 1)[0]);
    let options = match case.args.get("padding") {
        Some(Value::String(s)) if s == "same" => options.same(),
        Some(Value::String(s)) if s == "valid" => options,
        Some(Value::String(s)) => return Err(format!("padding {s:?}")),
        _ => options.padding(case.sizes("padding", 0)),
    };
    Ok(f(
        subject(case)?,
        case.input("weight")?,
        case.optional("bias"),
        &options,
    ))
}

fn conv_transpose<const N: usize>(
    case: &Case,
    f: Method<ConvTransposeOptions<N>>,
) -> Result<Tensor, String> {
    let options = ConvTransposeOptions::default()
        .stride(case.sizes("stride", 1))
        .padding(case.sizes("padding", 0))
        .output_padding(case.sizes("output_padding", 0))
        .dilation(case.sizes("dilation", 1))
        .groups(case.sizes::<1>("groups", 1)[0]);
    Ok(f(
        subject(case)?,
        case.input("weight")?,
        case.optional("bias"),
        &options,
    ))
}

fn attention(case: &Case) -> Result<Tensor, String> {
    let any = |names: &[&str]| names.iter().find_map(|n| case.optional(n));
    let three = [["q", "query"], ["k", "key"], ["v", "value"]].map(|n| any(&n));
    let [Some(q), Some(k), Some(v)] = three else {
        return Err("needs q, k and v".into());
    };
    let options = AttentionOptions {
        attn_mask: any(&["mask", "attn_mask"]).cloned(),
        is_causal: case.bool("is_causal").unwrap_or(false),
        scale: case.f64("scale"),
        enable_gqa: case.bool("enable_gqa").unwrap_or(false),
    };
    Ok(q.scaled_dot_product_attention(k, v, &options))
}

/// The tensor that the function is of.
fn subject(case: &Case) -> Result<&Tensor, String> {
    let named = ["input", "x"].iter().find_map(|name| case.optional(name));
    named.map_or_else(|| case.at(0), Ok)
}
