//! Picking and placing by index, and sorting.

use crate::case::Case;
use wgrad::{EmbeddingOptions, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    if let Some(pair) = sorted(case) {
        return Some(pair);
    }
    let one = picked(case).or_else(|| placed(case))?;
    Some(one.map(|t| vec![t]))
}

fn picked(case: &Case) -> Option<Result<Tensor, String>> {
    let dim = case.int("dim").unwrap_or(0);
    let f = || {
        let index = case.input("index")?;
        Ok(match case.op.as_str() {
            "gather" => case.input("x")?.gather(dim, index),
            "index_select" => case.input("x")?.index_select(dim, index),
            "take_along_dim" if case.int("dim").is_none() => case
                .input("x")?
                .reshape(&[-1])
                .take_along_dim(&index.reshape(&[-1]), 0),
            "take_along_dim" => case.input("x")?.take_along_dim(index, dim),
            "embedding" => index.embedding(case.input("weight")?, rows(case)),
            _ => index.one_hot(classes(case, index)?),
        })
    };
    let mine = [
        "gather",
        "index_select",
        "take_along_dim",
        "embedding",
        "one_hot",
    ];
    mine.contains(&case.op.as_str()).then(f)
}

fn rows(case: &Case) -> EmbeddingOptions {
    EmbeddingOptions {
        padding_idx: case.int("padding_idx"),
        max_norm: case.f64("max_norm"),
        norm_type: case.f64("norm_type").unwrap_or(2.0),
        scale_grad_by_freq: case.bool("scale_grad_by_freq").unwrap_or(false),
    }
}

/// The number of classes; −1 means one more than the greatest.
fn classes(case: &Case, index: &Tensor) -> Result<usize, String> {
    match case.int("num_classes") {
        Some(n) if n >= 0 => Ok(n as usize),
        _ => Ok(index
            .amax()
            .item::<i32>()
            .map_err(|e| e.to_string())?
            .max(-1) as usize
            + 1),
    }
}

fn placed(case: &Case) -> Option<Result<Tensor, String>> {
    let dim = case.int("dim").unwrap_or(0);
    let f = || {
        let (x, index) = (case.input("x")?, case.input("index")?);
        Ok(match (case.op.as_str(), case.f64("value")) {
            ("scatter_add", _) => x.scatter_add(dim, index, case.input("src")?),
            ("index_add", _) => x.index_add(
                dim,
                index,
                case.input("src")?,
                case.f64("alpha").unwrap_or(1.0),
            ),
            ("index_fill", value) => x.index_fill(dim, index, value.unwrap_or(0.0)),
            (_, Some(value)) => x.scatter_scalar(dim, index, value),
            (_, None) => x.scatter(dim, index, case.input("src")?),
        })
    };
    matches!(
        case.op.as_str(),
        "scatter_add" | "index_add" | "index_fill" | "scatter"
    )
    .then(f)
}

fn sorted(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let dim = case.int("dim").unwrap_or(-1);
    let f = || {
        let x = case.at(0)?;
        let (values, order) = match case.op.as_str() {
            "topk" => {
                let k = case.int("k").unwrap_or(1).max(0) as usize;
                x.topk(k, dim, case.bool("largest").unwrap_or(true))
            }
            _ => x.sort(dim, case.bool("descending").unwrap_or(false)),
        };
        Ok(vec![values, order]
            .into_iter()
            .take(case.outputs.len())
            .collect())
    };
    match case.op.as_str() {
        "sort" | "topk" => Some(f()),
        "argsort" => Some(
            case.at(0)
                .map(|x| vec![x.argsort(dim, case.bool("descending").unwrap_or(false))]),
        ),
        _ => None,
    }
}
