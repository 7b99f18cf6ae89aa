//! Pooling, resampling and blocks.

use crate::case::Case;
use serde_json::Value;
use wgrad::{InterpolateOptions, Interpolation, PoolOptions, Tensor, UnfoldOptions};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    Some(match case.op.as_str() {
        "max_pool1d" => maximum(case, Tensor::max_pool1d_with_indices),
        "max_pool2d" => maximum(case, Tensor::max_pool2d_with_indices),
        "max_pool3d" => maximum(case, Tensor::max_pool3d_with_indices),
        "avg_pool1d" => mean(case, Tensor::avg_pool1d),
        "avg_pool2d" => mean(case, Tensor::avg_pool2d),
        "avg_pool3d" => mean(case, Tensor::avg_pool3d),
        "lp_pool1d" => norm(case, Tensor::lp_pool1d),
        "lp_pool2d" => norm(case, Tensor::lp_pool2d),
        "lp_pool3d" => norm(case, Tensor::lp_pool3d),
        "adaptive_avg_pool1d" => adaptive(case, |x, s| (x.adaptive_avg_pool1d(s), None)),
        "adaptive_avg_pool2d" => adaptive(case, |x, s| (x.adaptive_avg_pool2d(s), None)),
        "adaptive_avg_pool3d" => adaptive(case, |x, s| (x.adaptive_avg_pool3d(s), None)),
        "adaptive_max_pool1d" => adaptive(case, |x, s| second(x.adaptive_max_pool1d(s))),
        "adaptive_max_pool2d" => adaptive(case, |x, s| second(x.adaptive_max_pool2d(s))),
        "adaptive_max_pool3d" => adaptive(case, |x, s| second(x.adaptive_max_pool3d(s))),
        "interpolate" | "upsample" => interpolate(case),
        "pixel_shuffle" => by_factor(case, "upscale_factor", Tensor::pixel_shuffle),
        "pixel_unshuffle" => by_factor(case, "downscale_factor", Tensor::pixel_unshuffle),
        "unfold" => blocks(case).and_then(|o| Ok(vec![subject(case)?.unfold2d(&o)])),
        "fold" => {
            let to = case.sizes("output_size", 1);
            blocks(case).and_then(|o| Ok(vec![subject(case)?.fold2d(to, &o)]))
        }
        _ => return None,
    })
}

type Outputs = Result<Vec<Tensor>, String>;

fn second((values, index): (Tensor, Tensor)) -> (Tensor, Option<Tensor>) {
    (values, Some(index))
}

/// The values, and the positions if the case wants two outputs.
fn wanted(case: &Case, values: Tensor, index: Option<Tensor>) -> Outputs {
    let two = index.filter(|_| case.outputs.len() == 2);
    Ok(std::iter::once(values).chain(two).collect())
}

fn options<const N: usize>(case: &Case) -> PoolOptions<N> {
    let windows = PoolOptions::windows(case.sizes("kernel_size", 1));
    let stride = match case.ints("stride") {
        Some(list) if !list.is_empty() => case.sizes("stride", 1),
        _ => windows.stride,
    };
    let options = windows
        .stride(stride)
        .padding(case.sizes("padding", 0))
        .dilation(case.sizes("dilation", 1))
        .ceil_mode(case.bool("ceil_mode").unwrap_or(false))
        .count_include_pad(case.bool("count_include_pad").unwrap_or(true));
    match case.int("divisor_override") {
        Some(divisor) => options.divisor_override(divisor),
        None => options,
    }
}

fn maximum<const N: usize>(
    case: &Case,
    f: fn(&Tensor, &PoolOptions<N>) -> (Tensor, Tensor),
) -> Outputs {
    let (values, index) = f(subject(case)?, &options(case));
    wanted(case, values, Some(index))
}

fn mean<const N: usize>(case: &Case, f: fn(&Tensor, &PoolOptions<N>) -> Tensor) -> Outputs {
    Ok(vec![f(subject(case)?, &options(case))])
}

fn norm<const N: usize>(case: &Case, f: fn(&Tensor, f64, &PoolOptions<N>) -> Tensor) -> Outputs {
    let p = case.f64("norm_type").ok_or("no norm_type")?;
    Ok(vec![f(subject(case)?, p, &options(case))])
}

fn adaptive<const N: usize>(
    case: &Case,
    f: fn(&Tensor, [Option<usize>; N]) -> (Tensor, Option<Tensor>),
) -> Outputs {
    let size = |v: &Value| v.as_u64().map(|v| v as usize);
    let sizes = match case.args.get("output_size") {
        Some(Value::Array(list)) if list.len() == N => std::array::from_fn(|d| size(&list[d])),
        Some(Value::Array(list)) if list.len() == 1 => [size(&list[0]); N],
        Some(v) => [size(v); N],
        None => return Err("no output_size".into()),
    };
    let (values, index) = f(subject(case)?, sizes);
    wanted(case, values, index)
}

fn by_factor(case: &Case, name: &str, f: fn(&Tensor, usize) -> Tensor) -> Outputs {
    let factor = case.int(name).ok_or_else(|| format!("no {name}"))?;
    Ok(vec![f(subject(case)?, factor.max(0) as usize)])
}

fn blocks(case: &Case) -> Result<UnfoldOptions, String> {
    Ok(UnfoldOptions::new(case.sizes("kernel_size", 1))
        .dilation(case.sizes("dilation", 1))
        .padding(case.sizes("padding", 0))
        .stride(case.sizes("stride", 1)))
}

fn interpolate(case: &Case) -> Outputs {
    let mode = match case.text("mode").unwrap_or("nearest") {
        "nearest" => Interpolation::Nearest,
        "nearest-exact" => Interpolation::NearestExact,
        "linear" => Interpolation::Linear,
        "bilinear" => Interpolation::Bilinear,
        "bicubic" => Interpolation::Bicubic,
        "trilinear" => Interpolation::Trilinear,
        "area" => Interpolation::Area,
        other => return Err(format!("mode {other:?}")),
    };
    let scale_factor = match case.args.get("scale_factor") {
        Some(Value::Array(list)) => Some(list.iter().filter_map(Value::as_f64).collect()),
        Some(v) => v.as_f64().map(|v| vec![v]),
        None => None,
    };
    let size = case
        .ints("size")
        .map(|s| s.iter().map(|&n| n.max(0) as usize).collect());
    let on = |name: &str| case.bool(name).unwrap_or(false);
    let options = InterpolateOptions {
        size,
        scale_factor,
        mode,
        align_corners: on("align_corners"),
        recompute_scale_factor: on("recompute_scale_factor"),
        antialias: on("antialias"),
    };
    Ok(vec![subject(case)?.interpolate(&options)])
}

/// The tensor that the function is of.
fn subject(case: &Case) -> Result<&Tensor, String> {
    let named = ["input", "x"].iter().find_map(|name| case.optional(name));
    named.map_or_else(|| case.at(0), Ok)
}
