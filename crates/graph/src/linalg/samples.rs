//! Samples of the host functions for the suites that go over all primitives: plain, batched, of one element, empty.
//! Symmetric functions read one triangle, which finite differences would not move evenly: their samples are composed in
//! the suite instead, and are compared with the reference here only.

use super::exponential::EXPONENTIAL;
use super::factor::{CHOLESKY, Q, R};
use super::lu::{DET_LIKE, SOLVE};
use super::spectral::{EIGENVALUES, EIGENVECTORS, LEFT, PINV, RIGHT, SINGULAR_VALUES};
use super::triangle::SOLVE as TRIANGULAR;
use crate::dtype::DType;
use crate::ops::host::{Function, Host};
use crate::ops::{Sample, SampleInput};

/// A well-conditioned matrix of a batch, without symmetry.
fn matrix(lead: &[usize], m: usize, n: usize, seed: usize) -> SampleInput {
    let count: usize = lead.iter().product();
    let values: Vec<f64> = (0..count * m * n)
        .map(|at| {
            let (b, i, j) = (at / (m * n).max(1), at / n.max(1) % m.max(1), at % n.max(1));
            let noise = ((at * 37 + seed * 101 + 11) * 29 % 97) as f64 / 97.0 - 0.5;
            let diagonal = if i == j {
                2.0 + 0.75 * i as f64 + 0.25 * b as f64
            } else {
                0.0
            };
            diagonal + noise
        })
        .collect();
    let shape = [lead, &[m, n]].concat();
    // An empty operand takes no value, but the list may not be empty.
    SampleInput::values(
        &shape,
        DType::F32,
        if values.is_empty() { &[0.0] } else { &values },
    )
}

/// A positive-definite matrix.
fn definite(lead: &[usize], n: usize) -> SampleInput {
    let count: usize = lead.iter().product();
    let values: Vec<f64> = (0..count * n * n)
        .map(|at| {
            let (i, j) = (at / n % n, at % n);
            if i == j {
                3.0 + i as f64
            } else {
                0.5 / (1 + i + j) as f64
            }
        })
        .collect();
    let shape = [lead, &[n, n]].concat();
    SampleInput::values(&shape, DType::F32, &values)
}

pub(crate) fn samples() -> Vec<Sample<Host>> {
    let mut all = Vec::new();
    let mut smooth = |f: &'static Function, attributes: &[i64], inputs: Vec<SampleInput>| {
        all.push(Sample::new(Host::new(f, attributes), inputs));
    };
    for f in DET_LIKE.into_iter().chain([&EXPONENTIAL]) {
        smooth(f, &[], vec![matrix(&[], 3, 3, 1)]);
        smooth(f, &[], vec![matrix(&[2], 2, 2, 2)]);
        smooth(f, &[], vec![matrix(&[], 1, 1, 3)]);
        smooth(f, &[], vec![matrix(&[], 0, 0, 0)]);
    }
    smooth(
        &SOLVE,
        &[],
        vec![matrix(&[], 3, 3, 4), matrix(&[], 3, 2, 5)],
    );
    smooth(
        &SOLVE,
        &[],
        vec![matrix(&[2], 2, 2, 6), matrix(&[2], 2, 1, 7)],
    );
    for attributes in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        smooth(
            &TRIANGULAR,
            &attributes,
            vec![matrix(&[2], 3, 3, 8), matrix(&[2], 3, 2, 9)],
        );
    }
    for (m, n) in [(3, 3), (4, 2), (2, 3)] {
        smooth(&SINGULAR_VALUES, &[], vec![matrix(&[], m, n, 10)]);
        smooth(&PINV, &[0, 0], vec![matrix(&[2], m, n, 11)]);
        for f in [&LEFT, &RIGHT] {
            smooth(f, &[0], vec![matrix(&[], m, n, 12)]);
        }
        if m >= n {
            smooth(&Q, &[0], vec![matrix(&[2], m, n, 13)]);
            smooth(&R, &[0], vec![matrix(&[2], m, n, 13)]);
            smooth(&R, &[1], vec![matrix(&[], m, n, 14)]);
        }
    }
    for f in [&CHOLESKY, &EIGENVALUES, &EIGENVECTORS] {
        for attribute in [0, 1] {
            all.push(Sample::special(
                Host::new(f, &[attribute]),
                vec![definite(&[], 3)],
            ));
            all.push(Sample::special(
                Host::new(f, &[attribute]),
                vec![definite(&[2], 2)],
            ));
        }
    }
    all
}
