//! How good a clustering is. In f64 on the host; must not touch a device.

use crate::check::{self, Real};
use std::collections::BTreeMap;
use wgrad_graph::{Error, ErrorKind, Result};

/// The Rand index of two labellings, adjusted for chance: 1 if they are the same up to names, about 0 for random ones.
///
/// ```
/// assert_eq!(wgrad_metrics::adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3])?, 1.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples, different lengths.
pub fn adjusted_rand_index(a: &[i32], b: &[i32]) -> Result<f64> {
    check::lengths("adjusted_rand_index", a.len(), "labels", b.len())?;
    let (mut both, mut left, mut right) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (&a, &b) in a.iter().zip(b) {
        *both.entry((a, b)).or_insert(0u64) += 1;
        *left.entry(a).or_insert(0u64) += 1;
        *right.entry(b).or_insert(0u64) += 1;
    }
    let pairs = |n: u64| n as f64 * (n as f64 - 1.0) / 2.0;
    let together: f64 = both.values().map(|&n| pairs(n)).sum();
    let in_a: f64 = left.values().map(|&n| pairs(n)).sum();
    let in_b: f64 = right.values().map(|&n| pairs(n)).sum();
    let all = pairs(a.len() as u64);
    if in_a == together && in_b == together {
        // The same clusters; this is 0 / 0 where all are alone, or together.
        return Ok(1.0);
    }
    let expected = in_a * in_b / all;
    Ok((together - expected) / (0.5 * (in_a + in_b) - expected))
}

/// The mean silhouette of points `[samples, features]` (row by row) in clusters: (b − a) / max(a, b), where a is a point's mean
/// Euclidean distance to its own cluster and b the least to another. A point alone in its cluster counts 0. Takes time with
/// the square of the samples.
///
/// ```
/// let s = wgrad_metrics::silhouette(&[0.0, 1.0, 10.0, 11.0], &[0, 0, 1, 1])?;
/// assert!((s - 0.5 * ((10.5 - 1.0) / 10.5 + (9.5 - 1.0) / 9.5)).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples, sizes that do not fit, numbers that are not finite; fewer than two clusters, or as many as samples.
pub fn silhouette(points: &[impl Real], labels: &[i32]) -> Result<f64> {
    let op = "silhouette";
    let n = labels.len();
    if n == 0 {
        return Err(check::value_error(op, "there are no samples"));
    }
    if points.is_empty() || !points.len().is_multiple_of(n) {
        let message = format!("{} numbers for {n} points", points.len());
        return Err(Error::new(ErrorKind::Shape, op, message));
    }
    let points = check::finite(op, "coordinate", points)?;
    let width = points.len() / n;
    let mut names = labels.to_vec();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 || names.len() == n {
        let message = format!(
            "{} clusters of {n} samples: it takes 2 to samples - 1 of them",
            names.len()
        );
        return Err(check::value_error(op, message));
    }
    let cluster: Vec<usize> = labels
        .iter()
        .map(|l| names.partition_point(|name| name < l))
        .collect();
    let mut sizes = vec![0.0; names.len()];
    cluster.iter().for_each(|&c| sizes[c] += 1.0);
    let mut sum = 0.0;
    for i in 0..n {
        let own = &points[i * width..][..width];
        let mut distances = vec![0.0; names.len()];
        for j in 0..n {
            let other = &points[j * width..][..width];
            let squared = own.iter().zip(other).map(|(a, b)| (a - b).powi(2));
            distances[cluster[j]] += squared.sum::<f64>().sqrt();
        }
        let mine = cluster[i];
        if sizes[mine] == 1.0 {
            continue;
        }
        let a = distances[mine] / (sizes[mine] - 1.0);
        let others = (0..names.len()).filter(|&c| c != mine);
        let b = others
            .map(|c| distances[c] / sizes[c])
            .fold(f64::INFINITY, f64::min);
        let greatest = a.max(b);
        sum += if greatest > 0.0 {
            (b - a) / greatest
        } else {
            0.0
        };
    }
    Ok(sum / n as f64)
}
