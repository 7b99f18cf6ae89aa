//! Which curves stand in which chart, thinned to what a page can hold. Must not write HTML.

use serde_json::Value;

use crate::run::{Curve, Run};

/// One chart of a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) log: bool,
    pub(super) series: Vec<Series>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) color: usize,
    /// 0 whole, 1 dashed, 2 dotted.
    pub(super) dash: u8,
    /// Few values that stand for epochs, shown with dots and never smoothed.
    pub(super) points: bool,
    pub(super) xs: Vec<f64>,
    pub(super) ys: Vec<f64>,
}

/// Values on a page, over all its curves.
const MOST_VALUES: usize = 24_000;
/// Values of one curve.
const MOST_OF_ONE: usize = 2_000;
const MOST_CHARTS: usize = 60;
/// Lines of one chart, each with its own entry in the legend.
const MOST_SERIES: usize = 40;

/// What precedes a name to say on which data it was measured.
const DATA: [&str; 6] = ["train", "training", "validation", "val", "valid", "test"];

/// The name without its data: `loss` of `validation_loss`.
fn base(name: &str) -> &str {
    let data = DATA
        .iter()
        .find_map(|data| name.strip_prefix(data)?.strip_prefix('_'));
    data.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// The chart that a curve belongs to, and whether its axis begins logarithmic.
fn place(name: &str) -> (String, bool) {
    let of = |family: &str| {
        name == family
            || name
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    if of("lr") || of("learning_rate") {
        return ("Learning rate".to_owned(), false);
    }
    if of("grad_norm") {
        return ("Gradient norms by layer".to_owned(), true);
    }
    let base = base(name);
    (
        base.replace('_', " "),
        base == "loss" || base.ends_with("_loss"),
    )
}

/// Losses first, then the rest as the log has them, then rate, norms and times.
fn rank(title: &str) -> usize {
    match title {
        "loss" => 0,
        "accuracy" => 1,
        "Learning rate" => 5,
        "Gradient norms by layer" => 6,
        "seconds" => 9,
        title if title.ends_with("loss") => 2,
        _ => 3,
    }
}

/// The charts of one run, or of several together.
pub(super) fn charts(runs: &[&Run]) -> Vec<Chart> {
    let mut charts: Vec<Chart> = Vec::new();
    let curves: usize = runs.iter().map(|run| run.curves.len()).sum();
    let most = (MOST_VALUES / curves.max(1)).clamp(60, MOST_OF_ONE);
    for (number, run) in runs.iter().enumerate() {
        for curve in &run.curves {
            let (title, log) = place(&curve.name);
            let at = match charts.iter().position(|chart| chart.title == title) {
                Some(at) => at,
                None => {
                    charts.push(Chart {
                        title,
                        log,
                        series: Vec::new(),
                    });
                    charts.len() - 1
                }
            };
            let chart = &mut charts[at];
            if chart.series.len() < MOST_SERIES {
                let series = series(curve, run, number, runs.len(), chart.series.len(), most);
                chart.series.push(series);
            }
        }
    }
    charts.sort_by_key(|chart| rank(&chart.title));
    charts.truncate(MOST_CHARTS);
    for chart in &mut charts {
        // A logarithmic axis cannot show losses that are not positive.
        let positive = chart
            .series
            .iter()
            .flat_map(|series| &series.ys)
            .all(|&y| y.is_nan() || y > 0.0);
        chart.log &= positive;
    }
    charts
}

fn series(
    curve: &Curve,
    run: &Run,
    number: usize,
    runs: usize,
    before: usize,
    most: usize,
) -> Series {
    let (xs, ys) = thinned(&curve.xs, &curve.ys, most);
    let name = match curve.by_epoch || !place(&curve.name).0.ends_with("loss") {
        true => curve.name.clone(),
        false => format!("{} (each step)", curve.name),
    };
    let family = curve.name.contains('.') || runs == 1;
    let (name, color, dash) = match runs {
        1 => (name, before, u8::from(before >= 8)),
        _ => (
            format!("{}: {name}", run.name()),
            if family { before } else { number },
            dash(curve),
        ),
    };
    Series {
        name,
        color,
        dash,
        points: curve.by_epoch,
        xs,
        ys,
    }
}

/// Runs have their colours; what tells their curves in one chart apart is each step, the training's epochs, or unseen data.
fn dash(curve: &Curve) -> u8 {
    match curve.by_epoch {
        false => 0,
        true => 1 + u8::from(base(&curve.name) != curve.name && !curve.name.starts_with("train")),
    }
}

/// At most about so many values: of each stretch of the curve its first, lowest, highest and last.
pub(super) fn thinned(xs: &[f64], ys: &[f64], most: usize) -> (Vec<f64>, Vec<f64>) {
    let n = xs.len().min(ys.len());
    if n <= most {
        return (xs[..n].to_vec(), ys[..n].to_vec());
    }
    let stretch = n.div_ceil((most / 4).max(1));
    let mut kept = Vec::new();
    for start in (0..n).step_by(stretch) {
        let range = start..(start + stretch).min(n);
        let finite = || range.clone().filter(|&at| ys[at].is_finite());
        let by_value = |a: &usize, b: &usize| ys[*a].total_cmp(&ys[*b]);
        let mut four = vec![range.start, range.end - 1];
        four.extend(finite().min_by(by_value));
        four.extend(finite().max_by(by_value));
        // A gap is news too.
        four.extend(range.clone().find(|&at| !ys[at].is_finite()));
        four.sort_unstable();
        four.dedup();
        kept.extend(four);
    }
    kept.into_iter().map(|at| (xs[at], ys[at])).unzip()
}

/// Numbers with five digits; null for what is not finite.
pub(super) fn short(values: &[f64]) -> Value {
    let number = |&value: &f64| -> Value {
        if !value.is_finite() {
            return Value::Null;
        }
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Value::from(value as i64);
        }
        Value::from(format!("{value:.4e}").parse::<f64>().unwrap_or(value))
    };
    values.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_chart() {
        for (name, title) in [
            ("loss", "loss"),
            ("train_loss", "loss"),
            ("validation_accuracy", "accuracy"),
            ("lr.encoder", "Learning rate"),
            ("grad_norm.fc1", "Gradient norms by layer"),
            ("lrx", "lrx"),
            ("test_", "test "),
        ] {
            assert_eq!(place(name).0, title);
        }
    }

    #[test]
    fn thinning_keeps_peaks_and_gaps() {
        let xs: Vec<f64> = (0..100_000).map(f64::from).collect();
        let mut ys = vec![1.0; 100_000];
        (ys[777], ys[50_001]) = (9.0, f64::NAN);
        let (kept, values) = thinned(&xs, &ys, 1000);
        assert!(kept.len() <= 1000 && values.contains(&9.0) && values.iter().any(|y| y.is_nan()));
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn curves_of_one_run_differ_beside_another_run() {
        let curve = |name: &str, by_epoch| Curve {
            name: name.to_string(),
            xs: vec![1.0],
            ys: vec![1.0],
            by_epoch,
        };
        let dashes = [
            ("loss", false),
            ("train_loss", true),
            ("validation_loss", true),
        ]
        .map(|(name, by_epoch)| dash(&curve(name, by_epoch)));
        assert_eq!(dashes, [0, 1, 2]);
    }
}
