//! What figures compute from data before they draw it: bins, quartiles, ROC curves, calibration. Plain numbers in and out.

/// Counts of the finite values in `bins` bins of one width over their range; the last bin holds its upper end.
pub(crate) fn bins(values: &[f64], bins: usize) -> (Vec<f64>, Vec<f64>) {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (lo, hi) = finite
        .clone()
        .fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return (Vec::new(), Vec::new());
    }
    let wide = hi / 2.0 - lo / 2.0 > 1e-12 * lo.abs().max(hi.abs()).max(1e-290);
    let pad = if wide {
        0.0
    } else {
        (lo.abs() * 0.05).max(0.5)
    };
    let (lo, hi) = ((lo - pad).max(-1e300), (hi + pad).min(1e300));
    let width = hi / bins as f64 - lo / bins as f64;
    let edges: Vec<f64> = (0..=bins)
        .map(|i| (lo + width * i as f64).min(hi))
        .collect();
    let mut counts = vec![0.0; bins];
    for value in finite {
        let bin = (value / 2.0 - lo / 2.0) / (hi / 2.0 - lo / 2.0) * bins as f64;
        counts[(bin.max(0.0) as usize).min(bins - 1)] += 1.0;
    }
    (edges, counts)
}

/// A box: lower whisker, quartiles, upper whisker; and what lies beyond the whiskers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) five: [f64; 5],
    pub(crate) outliers: Vec<f64>,
}

/// Quartiles by linear interpolation; whiskers reach to the last value within 1.5 times the box's height (Tukey). `None`
/// without a finite value.
pub(crate) fn quartiles(values: &[f64]) -> Option<Quartiles> {
    let mut sorted: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |part: f64| {
        let place = part * last as f64;
        let (below, rest) = (place as usize, place.fract());
        let above = sorted[(below + 1).min(last)];
        sorted[below] * (1.0 - rest) + above * rest
    };
    let (lower, middle, upper) = (at(0.25), at(0.5), at(0.75));
    let reach = 1.5 * (upper - lower);
    let inside = |value: &&f64| **value >= lower - reach && **value <= upper + reach;
    let low = sorted
        .iter()
        .find(inside)
        .copied()
        .unwrap_or(lower)
        .min(lower);
    let high = sorted
        .iter()
        .rfind(inside)
        .copied()
        .unwrap_or(upper)
        .max(upper);
    let outliers = sorted
        .iter()
        .copied()
        .filter(|&value| value < low || value > high);
    Some(Quartiles {
        five: [low, lower, middle, upper, high],
        outliers: outliers.collect(),
    })
}

/// A receiver operating characteristic: false and true positive rates as the threshold falls.
pub(crate) struct Roc {
    pub(crate) false_rates: Vec<f64>,
    pub(crate) true_rates: Vec<f64>,
    /// Ties count one half, as in the rank statistic.
    pub(crate) area: f64,
}

/// `None` where there are not both positives and negatives. Scores must be finite.
pub(crate) fn roc(scores: &[f64], positive: &[bool]) -> Option<Roc> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let positives = positive.iter().filter(|&&is| is).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut roc = Roc {
        false_rates: vec![0.0],
        true_rates: vec![0.0],
        area: 0.0,
    };
    let (mut hits, mut alarms) = (0.0, 0.0);
    for group in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let (old_hits, old_alarms) = (hits, alarms);
        for &i in group {
            if positive[i] {
                hits += 1.0
            } else {
                alarms += 1.0
            }
        }
        roc.area += (alarms - old_alarms) * (hits + old_hits) / 2.0;
        roc.false_rates.push(alarms / negatives);
        roc.true_rates.push(hits / positives);
    }
    roc.area /= positives * negatives;
    Some(roc)
}

/// Mean probability, share of positives and count of each bin that is not empty; the bins divide 0 to 1 evenly.
pub(crate) fn calibration(
    probabilities: &[f64],
    positive: &[bool],
    bins: usize,
) -> Vec<(f64, f64, f64)> {
    let mut sums = vec![(0.0, 0.0, 0.0); bins];
    for (&probability, &is) in probabilities.iter().zip(positive) {
        let bin = ((probability * bins as f64) as usize).min(bins - 1);
        let (p, y, n) = &mut sums[bin];
        *p += probability;
        *y += f64::from(u8::from(is));
        *n += 1.0;
    }
    let filled = sums.into_iter().filter(|(_, _, n)| *n > 0.0);
    filled.map(|(p, y, n)| (p / n, y / n, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_finite_value() {
        let (edges, counts) = bins(&[0.0, 1.0, 2.0, 2.0, f64::NAN, 4.0], 4);
        assert_eq!(
            (edges, counts),
            (vec![0.0, 1.0, 2.0, 3.0, 4.0], vec![1.0, 1.0, 2.0, 1.0])
        );
        for values in [
            vec![5.0],
            vec![1e308, -1e308],
            vec![0.0, 1e-320],
            vec![1e300; 3],
        ] {
            let (edges, counts) = bins(&values, 7);
            assert_eq!(counts.iter().sum::<f64>(), values.len() as f64);
            assert!(
                edges.windows(2).all(|pair| pair[0] < pair[1]),
                "{values:?} {edges:?}"
            );
        }
        assert!(bins(&[f64::NAN], 3).0.is_empty());
    }

    #[test]
    fn quartiles_as_numpy_has_them() {
        let found = quartiles(&[1.0, 2.0, 3.0, 4.0, 100.0, f64::INFINITY]).unwrap();
        assert_eq!(found.five, [1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(found.outliers, [100.0]);
        assert_eq!(quartiles(&[]), None);
    }

    #[test]
    fn ties_count_one_half() {
        // sklearn.metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]) is 0.875.
        let found = roc(&[0.1, 0.4, 0.4, 0.8], &[false, false, true, true]).unwrap();
        assert_eq!(found.area, 0.875);
        assert_eq!(found.false_rates, [0.0, 0.0, 0.5, 1.0]);
        assert!(roc(&[0.5], &[true]).is_none());
    }

    #[test]
    fn calibration_leaves_empty_bins_out() {
        let found = calibration(&[0.1, 0.2, 1.0, 0.9], &[false, true, true, true], 2);
        assert_eq!(found, [(0.15000000000000002, 0.5, 2.0), (0.95, 1.0, 2.0)]);
    }
}
