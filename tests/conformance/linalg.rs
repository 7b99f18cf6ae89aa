//! Linear algebra: what runs on the host.

use crate::case::Case;
use wgrad::{PinvOptions, Tensor, Triangle};

/// Whether a case may have host steps: linear algebra, and the norms of singular values.
pub fn on_host(case: &Case) -> bool {
    let spectral = case.text("ord") == Some("nuc") || case.f64("ord").map(f64::abs) == Some(2.0);
    OPS.contains(&case.op.as_str()) || (case.op == "matrix_norm" && spectral)
}

/// The functions of this group.
const OPS: &[&str] = &[
    "det",
    "slogdet",
    "logdet",
    "inv",
    "inverse",
    "solve",
    "solve_triangular",
    "cholesky",
    "cholesky_solve",
    "eigh",
    "eigvalsh",
    "svd",
    "svdvals",
    "qr",
    "lstsq",
    "pinv",
    "matrix_rank",
    "matrix_exp",
    "matrix_power",
];

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    OPS.contains(&case.op.as_str()).then(|| outputs(case))
}

fn which(case: &Case, upper: bool) -> Triangle {
    let upper = match case.text("UPLO") {
        Some(text) => text.eq_ignore_ascii_case("u"),
        None => case.bool("upper").unwrap_or(upper),
    };
    if upper {
        Triangle::Upper
    } else {
        Triangle::Lower
    }
}

fn tolerances(case: &Case) -> PinvOptions {
    let rtol = case.f64("rtol").or(case.f64("rcond")).or(case.f64("tol"));
    PinvOptions {
        atol: case.f64("atol"),
        rtol,
    }
}

fn outputs(case: &Case) -> Result<Vec<Tensor>, String> {
    let x = case.at(0)?;
    let left = case.bool("left").unwrap_or(true);
    Ok(match case.op.as_str() {
        "det" => vec![x.det()],
        "slogdet" => <[Tensor; 2]>::from(x.slogdet()).into(),
        "logdet" => vec![x.logdet()],
        "inv" | "inverse" => vec![x.inv()],
        "solve" if left => vec![x.solve(case.at(1)?)],
        "solve" => vec![x.solve_right(case.at(1)?)],
        "solve_triangular" => {
            let unit = case.bool("unitriangular").unwrap_or(false);
            vec![x.solve_triangular(case.at(1)?, which(case, false), left, unit)]
        }
        "cholesky" => vec![x.cholesky(which(case, false))],
        // PyTorch's first operand is the right-hand side.
        "cholesky_solve" => vec![case.at(1)?.cholesky_solve(x, which(case, false))],
        "eigh" => <[Tensor; 2]>::from(x.eigh(which(case, false))).into(),
        "eigvalsh" => vec![x.eigvalsh(which(case, false))],
        "svd" => <[Tensor; 3]>::from(x.svd(case.bool("full_matrices").unwrap_or(true))).into(),
        "svdvals" => vec![x.svdvals()],
        "qr" => {
            let mode = case.text("mode").unwrap_or("reduced");
            let (q, r) = x.qr(mode == "complete");
            if mode == "r" && case.outputs.len() == 1 {
                vec![r]
            } else {
                vec![q, r]
            }
        }
        "lstsq" => vec![x.lstsq(case.at(1)?, case.f64("rcond"))],
        "pinv" => vec![x.pinv(&tolerances(case))],
        "matrix_rank" => vec![x.matrix_rank(&tolerances(case))],
        "matrix_exp" => vec![x.matrix_exp()],
        "matrix_power" => {
            let n = case.int("n").ok_or("matrix_power without n")?;
            vec![x.matrix_power(i32::try_from(n).map_err(|e| e.to_string())?)]
        }
        op => return Err(format!("{op} is unsupported")),
    })
}
