//! From values to pixels on one axis, with ticks that people read. Any two numbers make a scale: equal ones, huge ones,
//! ones that are not finite. Must not draw.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// What an axis was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) log: bool,
    pub(crate) reversed: bool,
    pub(crate) percent: bool,
    /// All values are whole: ticks are, too.
    pub(crate) whole: bool,
    /// Instead of the data's.
    pub(crate) range: Option<(f64, f64)>,
    /// Names at 0, 1, 2…, instead of numbers.
    pub(crate) names: Option<Vec<String>>,
}

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    lo: f64,
    hi: f64,
    log: bool,
    reversed: bool,
    ticks: Vec<(f64, String)>,
}

/// Numbers beyond this have no neighbours to make an axis of.
const HUGE: f64 = 1e300;

impl Scale {
    /// An axis from `lo` to `hi`, with at most about `most` ticks.
    pub(crate) fn new((lo, hi): (f64, f64), wish: &Wish, most: usize) -> Scale {
        let (lo, hi) = match wish.log {
            true => widened_log(lo, hi),
            false => widened(lo, hi),
        };
        let most = most.clamp(2, 20);
        let mut ticks = match (&wish.names, wish.log) {
            (Some(names), _) => named_ticks(names, lo, hi, most.max(names.len().min(60))),
            (None, true) => log_ticks(lo, hi, most),
            (None, false) => linear_ticks(lo, hi, most, wish.percent, wish.whole),
        };
        ticks.retain(|(at, _)| (lo..=hi).contains(at));
        Scale {
            lo,
            hi,
            log: wish.log,
            reversed: wish.reversed,
            ticks,
        }
    }

    /// Where a value lies: 0 at the axis's beginning, 1 at its end; `None` for what it cannot show.
    pub(crate) fn unit(&self, value: f64) -> Option<f64> {
        let at = match self.log {
            true => (value.log10() - self.lo.log10()) / (self.hi.log10() - self.lo.log10()),
            // Halves, for the difference of two huge numbers may be none.
            false => (value / 2.0 - self.lo / 2.0) / (self.hi / 2.0 - self.lo / 2.0),
        };
        let at = if self.reversed { 1.0 - at } else { at };
        (at.is_finite() && value.is_finite()).then_some(at)
    }

    /// From beginning to end.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.lo, self.hi)
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|(_, label)| label.as_str())
    }

    pub(crate) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// Replaces each label.
    pub(crate) fn relabel(&mut self, label: impl Fn(&str) -> String) {
        for tick in &mut self.ticks {
            tick.1 = label(&tick.1);
        }
    }

    /// Keeps one of `every` ticks.
    pub(crate) fn thin(&mut self, every: usize) {
        let mut number = 0;
        self.ticks.retain(|_| {
            number += 1;
            (number - 1) % every.max(1) == 0
        });
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let at = self.unit(*value).unwrap_or(0.0).clamp(-2.0, 3.0);
        from + (at * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(at, _)| *at).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.lo..self.hi
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at == value);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// The ends, apart from each other and not too far from zero.
fn widened(lo: f64, hi: f64) -> (f64, f64) {
    let (lo, hi) = if lo <= hi { (lo, hi) } else { (hi, lo) };
    if lo.is_nan() || hi.is_nan() {
        return (0.0, 1.0);
    }
    let (lo, hi) = (lo.clamp(-HUGE, HUGE), hi.clamp(-HUGE, HUGE));
    let size = lo.abs().max(hi.abs());
    if hi - lo > 1e-11 * size && hi - lo > 1e-290 {
        return (lo, hi);
    }
    let pad = if size < 1e-280 { 0.5 } else { 0.05 * size };
    (lo - pad, hi + pad)
}

fn widened_log(lo: f64, hi: f64) -> (f64, f64) {
    let (lo, hi) = if lo <= hi { (lo, hi) } else { (hi, lo) };
    if !(lo > 0.0 && hi > 0.0) {
        return (0.1, 1.0);
    }
    let (lo, hi) = (lo.clamp(1e-300, HUGE), hi.clamp(1e-300, HUGE));
    match hi / lo < 1.0 + 1e-9 {
        true => (lo / 1.5, hi * 1.5),
        false => (lo, hi),
    }
}

fn named_ticks(names: &[String], lo: f64, hi: f64, most: usize) -> Vec<(f64, String)> {
    let every = names.len().div_ceil(most).max(1);
    let named = names.iter().enumerate().step_by(every);
    let named = named.map(|(at, name)| (at as f64, name.clone()));
    named.filter(|(at, _)| *at >= lo && *at <= hi).collect()
}

/// A step of 1, 2 or 5 times a power of ten, so that about `most` of them span `lo` to `hi`.
fn nice_step(lo: f64, hi: f64, most: usize) -> f64 {
    let raw = (hi / 2.0 - lo / 2.0) / most as f64 * 2.0;
    let power = 10f64.powi(raw.log10().floor() as i32);
    let times = [1.0, 2.0, 5.0, 10.0];
    let times = times.into_iter().find(|times| times * power >= raw * 0.75);
    times.unwrap_or(10.0) * power
}

fn linear_ticks(lo: f64, hi: f64, most: usize, percent: bool, whole: bool) -> Vec<(f64, String)> {
    let step = nice_step(lo, hi, most);
    let step = if whole && !percent && hi - lo >= 1.0 {
        step.max(1.0)
    } else {
        step
    };
    let (first, last) = ((lo / step - 1e-9).ceil(), (hi / step + 1e-9).floor());
    if !(step.is_finite() && step > 0.0 && last - first < 100.0) {
        return vec![(lo, number(lo)), (hi, number(hi))];
    }
    let count = (last - first).max(0.0) as usize;
    let ticks = (0..=count).map(|at| (first + at as f64) * step);
    let ticks = ticks.map(|at| at.clamp(lo, hi));
    let form = Form::of(lo.abs().max(hi.abs()), step, percent);
    ticks.map(|at| (at, form.write(at))).collect()
}

fn log_ticks(lo: f64, hi: f64, most: usize) -> Vec<(f64, String)> {
    let within = |at: f64| at >= lo * 0.999_999 && at <= hi * 1.000_001;
    let (first, last) = (lo.log10().floor() as i32, hi.log10().ceil() as i32);
    let powers: Vec<i32> = (first..=last).filter(|&e| within(10f64.powi(e))).collect();
    let place = |at: f64| (at.clamp(lo, hi), at);
    if powers.len() >= 3 {
        let every = powers.len().div_ceil(most).max(1) as i32;
        let kept = powers.into_iter().filter(|e| e.rem_euclid(every) == 0);
        return kept
            .map(|e| (place(10f64.powi(e)).0, power_of_ten(e)))
            .collect();
    }
    let steps = (first..=last).flat_map(|e| [1.0, 2.0, 5.0].map(|times| times * 10f64.powi(e)));
    let steps: Vec<f64> = steps.filter(|&at| within(at)).collect();
    if steps.len() >= 3 {
        return steps
            .into_iter()
            .map(|at| (place(at).0, number(at)))
            .collect();
    }
    let mut linear = linear_ticks(lo, hi, most.min(6), false, false);
    linear.retain(|(at, _)| *at > 0.0);
    linear
}

fn power_of_ten(exponent: i32) -> String {
    if (-3..=3).contains(&exponent) {
        return number(10f64.powi(exponent));
    }
    let raise = |letter: char| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    let raised: String = exponent.to_string().chars().map(raise).collect();
    format!("10{raised}")
}

/// How the numbers of one axis are written.
struct Form {
    divisor: f64,
    unit: &'static str,
    digits: usize,
    exponent: bool,
}

impl Form {
    fn of(largest: f64, step: f64, percent: bool) -> Form {
        let digits = |step: f64| (-step.log10() - 1e-9).ceil().clamp(0.0, 20.0) as usize;
        if percent {
            let digits = digits(step * 100.0);
            return Form {
                divisor: 0.01,
                unit: " %",
                digits,
                exponent: false,
            };
        }
        let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
        let unit = units
            .into_iter()
            .find(|(size, _)| largest >= *size * 10.0 && step >= size / 10.0);
        let (divisor, unit) = unit.unwrap_or((1.0, ""));
        let exponent = !(2e-4..1e15).contains(&largest);
        Form {
            divisor,
            unit,
            digits: digits(step / divisor),
            exponent,
        }
    }

    fn write(&self, value: f64) -> String {
        if self.exponent {
            return number(value);
        }
        let value = value / self.divisor;
        let text = format!("{value:.0$}", self.digits);
        let zero = text.chars().all(|letter| matches!(letter, '-' | '0' | '.'));
        let text = if zero {
            text.trim_start_matches('-')
        } else {
            &text
        };
        format!("{}{}", minus(text), self.unit)
    }
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// A number on its own, with four digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return minus(&value.to_string());
    }
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = match digits.contains('.') {
            true => digits.trim_end_matches('0').trim_end_matches('.'),
            false => digits,
        };
        return minus(&format!("{digits}e{exponent}"));
    }
    let digits = (3.0 - size.log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    minus(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(lo: f64, hi: f64, log: bool) -> Vec<String> {
        let wish = Wish {
            log,
            ..Wish::default()
        };
        Scale::new((lo, hi), &wish, 6)
            .labels()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(0.0, 1.0, false),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(-3.0, 9.7, false),
            ["−2", "0", "2", "4", "6", "8"][..]
                .to_vec()
                .iter()
                .map(|s| s.to_string())
                .collect::<Vec<_>>()
        );
        assert_eq!(
            labels(0.0, 50_000.0, false),
            ["0k", "10k", "20k", "30k", "40k", "50k"]
        );
        assert_eq!(
            labels(1e-3, 10.0, true),
            ["0.001", "0.01", "0.1", "1", "10"]
        );
        assert_eq!(
            labels(1e-9, 1e-5, true),
            ["10⁻⁹", "10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"]
        );
        assert_eq!(labels(0.2, 3.0, true), ["0.2", "0.5", "1", "2"]);
    }

    #[test]
    fn any_two_numbers_make_a_scale() {
        let values = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1e-320,
            f64::MIN_POSITIVE,
            1e-30,
            1e300,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1.0 + 1e-15,
            1e15 + 1.0,
        ];
        for lo in values {
            for hi in values {
                for log in [false, true] {
                    let wish = Wish {
                        log,
                        ..Wish::default()
                    };
                    let scale = Scale::new((lo, hi), &wish, 6);
                    let (first, last) = scale.ends();
                    assert!(
                        first < last && first.is_finite() && last.is_finite(),
                        "{lo} {hi}"
                    );
                    assert_eq!(scale.unit(first), Some(0.0), "{lo} {hi} {log}");
                    assert!(
                        (scale.unit(last).unwrap() - 1.0).abs() < 1e-9,
                        "{lo} {hi} {log}"
                    );
                    assert!(scale.ticks().len() < 25, "{lo} {hi} {log}");
                    assert!(
                        scale.ticks().iter().all(|(at, label)| {
                            *at >= first && *at <= last && !label.is_empty()
                        })
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_have_four_digits() {
        let cases = [
            (0.5, "0.5"),
            (1234.56, "1235"),
            (1e-7, "1e−7"),
            (-2.5e9, "−2.5e9"),
            (0.00123456, "0.001235"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
