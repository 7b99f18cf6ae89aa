//! Shapes, parts and padding.

use crate::case::Case;
use serde_json::Value;
use wgrad::{PadMode, Subscript, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    if let Some(parts) = parts(case) {
        return Some(parts);
    }
    let one = shapes(case)
        .or_else(|| order(case))
        .or_else(|| matrices(case))
        .or_else(|| several(case))?;
    Some(one.map(|t| vec![t]))
}

fn list(case: &Case, name: &str) -> Result<Vec<isize>, String> {
    case.ints(name)
        .ok_or_else(|| format!("{} has no list {name:?}", case.id))
}

fn sizes(case: &Case, name: &str) -> Result<Vec<usize>, String> {
    list(case, name)?
        .into_iter()
        .map(|n| usize::try_from(n).map_err(|e| e.to_string()))
        .collect()
}

fn shapes(case: &Case) -> Option<Result<Tensor, String>> {
    let dim = case.int("dim").unwrap_or(0);
    let f = || {
        let x = case.at(0)?;
        Ok(match case.op.as_str() {
            "reshape" | "view" => x.reshape(&list(case, "shape")?),
            "permute" => x.permute(&list(case, "dims")?),
            "permute_reshape" => x
                .permute(&list(case, "dims")?)
                .reshape(&list(case, "shape")?),
            "transpose" => {
                x.transpose(case.int("dim0").unwrap_or(0), case.int("dim1").unwrap_or(1))
            }
            "expand" => x.expand(&list(case, "shape")?),
            "squeeze" => match case.ints("dim") {
                Some(dims) => x.squeeze_dims(&dims),
                None => x.squeeze_all(),
            },
            "unsqueeze" => x.unsqueeze(dim),
            "movedim" => x.movedim(
                case.int("source").unwrap_or(0),
                case.int("destination").unwrap_or(0),
            ),
            "flatten" => x.flatten(
                case.int("start_dim").unwrap_or(0),
                case.int("end_dim").unwrap_or(-1),
            ),
            _ => x.unflatten(dim, &list(case, "sizes")?),
        })
    };
    let mine = [
        "reshape",
        "view",
        "permute",
        "permute_reshape",
        "transpose",
        "expand",
        "squeeze",
        "unsqueeze",
        "movedim",
        "flatten",
        "unflatten",
    ];
    mine.contains(&case.op.as_str()).then(f)
}

fn order(case: &Case) -> Option<Result<Tensor, String>> {
    let dim = case.int("dim");
    let f = || {
        let x = case.at(0)?;
        Ok(match case.op.as_str() {
            "flip" => x.flip(&list(case, "dims")?),
            "roll" => x.roll(
                &list(case, "shifts")?,
                &case.ints("dims").unwrap_or_default(),
            ),
            "slice" => x.get(&subscripts(case)?[..]),
            "select" => x.select(dim.unwrap_or(0), case.int("index").unwrap_or(0)),
            "repeat" | "tile" => x.repeat(&sizes(case, "repeats")?),
            "repeat_interleave" => interleave(case, x)?,
            _ => pad(case, x)?,
        })
    };
    let mine = [
        "flip",
        "roll",
        "slice",
        "select",
        "repeat",
        "tile",
        "repeat_interleave",
        "pad",
    ];
    mine.contains(&case.op.as_str()).then(f)
}

fn interleave(case: &Case, x: &Tensor) -> Result<Tensor, String> {
    let (flat, dim) = match case.int("dim") {
        Some(dim) => (x.clone(), dim),
        None => (x.reshape(&[-1]), 0),
    };
    let repeats = match case.optional("repeats") {
        Some(counts) => {
            let list = counts.to_vec::<i32>().map_err(|e| e.to_string())?;
            list.into_iter().map(|n| n.max(0) as usize).collect()
        }
        None => sizes(case, "repeats")?,
    };
    Ok(if repeats.len() == 1 {
        flat.repeat_interleave(repeats[0], dim)
    } else {
        flat.repeat_interleave_each(&repeats, dim)
    })
}

/// `[start, end, step]` for each dimension, absent bounds null.
fn subscripts(case: &Case) -> Result<Vec<Subscript>, String> {
    let of = |v: &Value| {
        let at = |i: usize| v.get(i).and_then(Value::as_i64).map(|n| n as isize);
        match v.as_i64() {
            Some(i) => Subscript::At(i as isize),
            None => Subscript::Range {
                start: at(0),
                end: at(1),
                step: at(2).unwrap_or(1),
            },
        }
    };
    let list = case
        .args
        .get("slices")
        .and_then(Value::as_array)
        .ok_or("no slices")?;
    Ok(list.iter().map(of).collect())
}

fn pad(case: &Case, x: &Tensor) -> Result<Tensor, String> {
    let mode = match case.text("mode").unwrap_or("constant") {
        "constant" => PadMode::Constant(case.f64("value").unwrap_or(0.0)),
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        mode => return Err(format!("the padding mode {mode} is unknown")),
    };
    Ok(x.pad(&list(case, "pad")?, mode))
}

fn matrices(case: &Case) -> Option<Result<Tensor, String>> {
    let int = |name: &str, default: isize| case.int(name).unwrap_or(default);
    let f: &dyn Fn(&Tensor) -> Tensor = match case.op.as_str() {
        "tril" => &|x| x.tril(int("diagonal", 0)),
        "triu" => &|x| x.triu(int("diagonal", 0)),
        "diagonal" => &|x| x.diagonal(int("offset", 0), int("dim1", 0), int("dim2", 1)),
        "diag_embed" => &|x| x.diag_embed(int("offset", 0), int("dim1", -2), int("dim2", -1)),
        "trace" => &Tensor::trace,
        _ => return None,
    };
    Some(case.at(0).map(f))
}

fn several(case: &Case) -> Option<Result<Tensor, String>> {
    let f: fn(&[&Tensor], isize) -> Tensor = match case.op.as_str() {
        "cat" | "concat" => Tensor::cat,
        "stack" => Tensor::stack,
        _ => return None,
    };
    let all: Vec<&Tensor> = case.inputs.iter().map(|(_, t)| t).collect();
    Some(Ok(f(&all, case.int("dim").unwrap_or(0))))
}

fn parts(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let dim = case.int("dim").unwrap_or(0);
    let f = || {
        let x = case.at(0)?;
        let size = |name: &str| case.int(name).map(|n| n.max(0) as usize);
        Ok(match case.op.as_str() {
            "chunk" => x.chunk(size("chunks").unwrap_or(1), dim),
            "unbind" => x.unbind(dim),
            _ => match size("sizes")
                .or(size("split_size"))
                .or(size("split_size_or_sections"))
            {
                Some(n) => x.split_size(n, dim),
                None => x.split(
                    &sizes(case, "sizes").or_else(|_| sizes(case, "split_size_or_sections"))?,
                    dim,
                ),
            },
        })
    };
    matches!(case.op.as_str(), "split" | "chunk" | "unbind").then(f)
}
