//! Line charts: axes with round ticks, linear or logarithmic, series, legend.
//!
//! Must not know what is plotted; knows only numbers and names.

use super::canvas::{Anchor, Canvas, Color, Rect, Style};
use super::panel::{INK, MUTED, Panel, RULE, SMALL};
use crate::table::thousands;

/// One axis: its range and its ticks. `min < max`, both finite.
pub(super) struct Axis {
    min: f64,
    max: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Ticks at multiples of 1, 2 or 5 times a power of ten that is not below `least`.
    pub(super) fn linear(min: f64, max: f64, count: usize, least: f64, unit: &str) -> Self {
        let (min, max) = if min < max {
            (min, max)
        } else {
            (min - 0.5, min + 0.5)
        };
        let step = round_step((max - min) / count as f64).max(least);
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (min / step - 1e-9).ceil();
        let ticks = (0..=2 * count)
            .map(|i| (first + i as f64) * step)
            .take_while(|&tick| tick <= max + 1e-9 * step);
        let ticks = ticks
            .map(|tick| (tick, format!("{}{unit}", decimal(tick, decimals))))
            .collect();
        Self {
            min,
            max,
            log: false,
            ticks,
        }
    }

    /// Ticks at 1, 2 and 5 times powers of ten, or at powers only over three decades.
    /// `0 < min < max`.
    pub(super) fn log(min: f64, max: f64) -> Self {
        let (low, high) = (min.log10().floor() as i32, max.log10().ceil() as i32);
        let factors: &[f64] = if max / min > 1e3 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let stride = ((high - low) / 8 + 1) as usize;
        let ticks = (low..=high)
            .step_by(stride)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .filter(|tick| (min * 0.999..=max * 1.001).contains(tick))
            .map(|tick| (tick, plain(tick)))
            .collect();
        Self {
            min,
            max,
            log: true,
            ticks,
        }
    }

    /// 0 at `min`, 1 at `max`, clamped.
    fn position(&self, value: f64) -> f64 {
        let scale = |value: f64| {
            if self.log {
                value.max(f64::MIN_POSITIVE).ln()
            } else {
                value
            }
        };
        let (value, min, max) = (scale(value), scale(self.min), scale(self.max));
        ((value - min) / (max - min)).clamp(0.0, 1.0)
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0];
    power
        * factors
            .into_iter()
            .find(|factor| factor * power >= rough * 0.999_999)
            .unwrap_or(10.0)
}

fn decimal(value: f64, decimals: usize) -> String {
    if decimals == 0 && (1000.0..1e15).contains(&value) {
        return thousands(value.round() as u64);
    }
    if value.abs() >= 1e15 {
        format!("{value:e}")
    } else {
        format!("{:.decimals$}", value + 0.0)
    }
}

fn plain(value: f64) -> String {
    if (1e-4..1e5).contains(&value) {
        // Ten digits hide what powi leaves behind the last true one.
        let text = format!("{value:.10}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.0e}")
    }
}

/// A curve. A value that is not finite is a gap.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) color: Color,
    pub(super) width: f32,
    pub(super) alpha: f32,
    pub(super) markers: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart in a panel.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_label: &'static str,
    pub(super) y_label: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    pub(super) note: Option<String>,
}

impl Chart {
    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect) {
        let area = Panel {
            title: &self.title,
            aside: "",
        }
        .draw(canvas, rect);
        self.legend(canvas, rect);
        let plot = area.inset(74, 10, 14, 32);
        self.axes(canvas, plot);
        for series in &self.series {
            self.curve(canvas, plot, series);
        }
        let style = Style::new(SMALL, MUTED).anchor(Anchor::Middle);
        if self
            .series
            .iter()
            .all(|series| series.points.iter().all(|point| !point.1.is_finite()))
        {
            canvas.text(
                "no data",
                (plot.x + plot.w / 2) as f32,
                (plot.y + plot.h / 2) as f32,
                style,
            );
        }
        if let Some(note) = &self.note {
            let style = style.color(super::panel::RED).anchor(Anchor::End);
            canvas.text(note, plot.right() as f32 - 8.0, plot.y as f32 + 14.0, style);
        }
    }

    fn axes(&self, canvas: &mut Canvas, plot: Rect) {
        let style = Style::new(SMALL, MUTED);
        for (value, label) in &self.y.ticks {
            let y = self.at(plot, self.x.min, *value).1.round();
            canvas.fill(Rect::new(plot.x, y as i32, plot.w, 1), RULE);
            canvas.text(label, plot.x as f32 - 10.0, y, style.anchor(Anchor::End));
        }
        for (value, label) in &self.x.ticks {
            let x = self.at(plot, *value, self.y.min).0.round();
            canvas.fill(Rect::new(x as i32, plot.bottom(), 1, 6), MUTED);
            canvas.text(
                label,
                x,
                plot.bottom() as f32 + 18.0,
                style.anchor(Anchor::Middle),
            );
        }
        canvas.fill(Rect::new(plot.x, plot.bottom(), plot.w, 1), MUTED);
        let center = (
            plot.x as f32 + plot.w as f32 / 2.0,
            plot.y as f32 + plot.h as f32 / 2.0,
        );
        let style = style.color(INK).anchor(Anchor::Middle);
        canvas.text(self.x_label, center.0, plot.bottom() as f32 + 42.0, style);
        canvas.text(
            self.y_label,
            plot.x as f32 - 66.0,
            center.1,
            style.vertical(),
        );
    }

    fn at(&self, plot: Rect, x: f64, y: f64) -> (f32, f32) {
        let (right, up) = (self.x.position(x) as f32, self.y.position(y) as f32);
        (
            plot.x as f32 + right * plot.w as f32,
            plot.bottom() as f32 - up * plot.h as f32,
        )
    }

    fn curve(&self, canvas: &mut Canvas, plot: Rect, series: &Series) {
        for run in series
            .points
            .split(|point| !point.1.is_finite())
            .filter(|run| !run.is_empty())
        {
            let points: Vec<_> = run.iter().map(|&(x, y)| self.at(plot, x, y)).collect();
            let mut line = envelope(&points);
            if line.len() == 1 {
                line.push(line[0]);
            }
            canvas.polyline(&line, series.width, series.color, series.alpha);
            if series.markers && points.len() <= 60 {
                points
                    .iter()
                    .for_each(|&point| canvas.disc(point, 4.0, series.color));
            }
        }
    }

    /// In the panel's title line, at the right, where it can hide nothing.
    fn legend(&self, canvas: &mut Canvas, rect: Rect) {
        let style = Style::new(SMALL, INK);
        let y = rect.y as f32 + 28.0;
        let mut x = rect.right() as f32 - 24.0;
        for series in self.series.iter().rev() {
            x -= canvas.width(series.name, style);
            canvas.text(series.name, x, y, style);
            x -= 36.0;
            canvas.polyline(
                &[(x, y), (x + 26.0, y)],
                series.width.max(2.0),
                series.color,
                series.alpha.max(0.4),
            );
            if series.markers {
                canvas.disc((x + 13.0, y), 4.0, series.color);
            }
            x -= 22.0;
        }
    }
}

/// At most the first, least, greatest and last point of each pixel column: draws the same, in
/// time that does not grow with the number of steps.
fn envelope(points: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        if column.len() <= 4 {
            kept.extend_from_slice(column);
            continue;
        }
        let y = column.iter().map(|point| point.1);
        let (low, high) = y.fold((f32::MAX, f32::MIN), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        let (first, last) = (column[0], column[column.len() - 1]);
        kept.extend([first, (first.0, low), (first.0, high), last]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(
            labels(&Axis::linear(0.0, 1.0, 5, 0.0, "")),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&Axis::linear(0.0, 4690.0, 5, 1.0, "")),
            ["0", "1,000", "2,000", "3,000", "4,000"]
        );
        assert_eq!(
            labels(&Axis::linear(96.5, 100.0, 4, 0.0, "%")),
            ["97%", "98%", "99%", "100%"]
        );
        assert_eq!(labels(&Axis::linear(0.5, 3.5, 8, 1.0, "")), ["1", "2", "3"]);
        assert_eq!(
            labels(&Axis::linear(2.0, 2.0, 2, 0.0, "")),
            ["1.5", "2.0", "2.5"]
        );
    }

    #[test]
    fn log_ticks_are_round() {
        assert_eq!(
            labels(&Axis::log(0.03, 2.5)),
            ["0.05", "0.1", "0.2", "0.5", "1", "2"]
        );
        assert_eq!(
            labels(&Axis::log(1e-6, 1.0)),
            ["1e-6", "1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]
        );
        assert!((2..=9).contains(&Axis::log(1e-30, 1e30).ticks.len()));
    }

    #[test]
    fn extreme_ranges_have_bounded_ticks() {
        let huge = f64::from(f32::MAX);
        for (min, max) in [
            (0.0, huge),
            (-huge, huge),
            (1.0, 1.0 + 1e-12),
            (huge, huge),
            (0.0, 1e-45),
        ] {
            assert!(Axis::linear(min, max, 5, 0.0, "").ticks.len() <= 11);
        }
    }

    #[test]
    fn positions_are_clamped() {
        let axis = Axis::log(0.1, 10.0);
        assert!((axis.position(1.0) - 0.5).abs() < 1e-12);
        assert_eq!(
            (axis.position(0.0), axis.position(-3.0), axis.position(1e9)),
            (0.0, 0.0, 1.0)
        );
    }

    #[test]
    fn an_envelope_is_bounded_and_keeps_spikes() {
        let mut points: Vec<_> = (0..100_000).map(|i| (i as f32 / 1000.0, 1.0)).collect();
        points[54_321].1 = 9.0;
        let kept = envelope(&points);
        assert!(kept.len() <= 400);
        assert!(kept.iter().any(|point| point.1 == 9.0));
    }
}
