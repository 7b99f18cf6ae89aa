//! The roofline chart as SVG: operations a byte across, operations a second upwards, both logarithmic. Points carry
//! numbers, and the list beside the chart says which case each is. Draws only what it is given.

use super::roofline::Roofline;
use std::fmt::Write;

/// A case on the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub name: String,
    /// Operations for each byte.
    pub intensity: f64,
    /// Operations a second.
    pub flops: f64,
}

const WIDTH: f64 = 980.0;
const HEIGHT: f64 = 560.0;
/// Light, and dark where the reader's system prefers it.
const STYLE: &str = "<style>.text{fill:#222}.page{fill:#fff}.grid{stroke:#ddd}.roof{stroke:#222}.muted{fill:#555}\
    @media(prefers-color-scheme:dark){.text{fill:#e6e9ec}.page{fill:#14181d}.grid{stroke:#2c343c}.roof{stroke:#e6e9ec}\
    .muted{fill:#9ba6b2}}</style>\n";
/// The plot's edges.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 500.0;
const LINE: f64 = 19.0;

/// A logarithmic axis over whole decades.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Over all `values` (positive), from pixel `from` to pixel `to`.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let logs = values.filter(|v| *v > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let (low, high) = (low.floor(), high.ceil());
        let high = if high > low { high } else { low + 1.0 };
        Axis {
            low,
            high,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = i32> {
        self.low as i32..=self.high as i32
    }
}

/// The chart.
pub fn svg(title: &str, roofline: &Roofline, points: &[Point]) -> String {
    let ridge = roofline.flops / roofline.bytes;
    let intensities = points.iter().map(|p| p.intensity);
    let x = Axis::over(intensities.chain([ridge / 4.0, ridge * 4.0]), LEFT, RIGHT);
    let lowest = roofline.limit(10f64.powf(x.low));
    let rates = points.iter().map(|p| p.flops);
    let y = Axis::over(rates.chain([lowest, roofline.flops]), BOTTOM, TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" class=\"text\">\n{STYLE}\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" class=\"page\"/>\n"
    );
    text(&mut out, LEFT, 30.0, "font-size=\"17\"", title);
    grid(&mut out, &x, &y);
    roof(&mut out, roofline, &x, &y);
    for (i, point) in points.iter().enumerate() {
        let color = color(i);
        let (cx, cy) = (x.at(point.intensity), y.at(point.flops));
        mark(&mut out, cx, cy, i + 1, &color);
        let row = TOP + 14.0 + LINE * i as f64;
        mark(&mut out, RIGHT + 30.0, row, i + 1, &color);
        let share = 100.0 * point.flops / roofline.limit(point.intensity);
        let label = format!("{}  {share:.0} %", point.name);
        text(&mut out, RIGHT + 46.0, row + 4.5, "", &label);
    }
    out.push_str("</svg>\n");
    out
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, content: &str) {
    let content = content
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{content}</text>"
    );
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4], style: &str) {
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
    );
}

fn grid(out: &mut String, x: &Axis, y: &Axis) {
    let faint = "class=\"grid\"";
    for decade in x.decades() {
        let at = x.at(10f64.powi(decade));
        line(out, [at, TOP, at, BOTTOM], faint);
        let label = plain(decade);
        text(out, at, BOTTOM + 18.0, "text-anchor=\"middle\"", &label);
    }
    for decade in y.decades() {
        let at = y.at(10f64.powi(decade));
        line(out, [LEFT, at, RIGHT, at], faint);
        let label = plain(decade - 9);
        text(out, LEFT - 8.0, at + 4.5, "text-anchor=\"end\"", &label);
    }
    let middle = (LEFT + RIGHT) / 2.0;
    let centred = "text-anchor=\"middle\"";
    text(
        out,
        middle,
        BOTTOM + 40.0,
        centred,
        "operations for each byte of operands and results",
    );
    let turned = format!(
        "transform=\"rotate(-90 24 {0})\" {centred}",
        (TOP + BOTTOM) / 2.0
    );
    text(out, 24.0, (TOP + BOTTOM) / 2.0, &turned, "GFLOP/s");
}

/// A power of ten, written out.
fn plain(decade: i32) -> String {
    match decade {
        0.. => format!("{:.0}", 10f64.powi(decade)),
        _ => format!("{:.*}", -decade as usize, 10f64.powi(decade)),
    }
}

fn roof(out: &mut String, roofline: &Roofline, x: &Axis, y: &Axis) {
    let (left, right) = (10f64.powf(x.low), 10f64.powf(x.high));
    let ridge = (roofline.flops / roofline.bytes).clamp(left, right);
    let style = "class=\"roof\" stroke-width=\"2\"";
    let corner = [x.at(ridge), y.at(roofline.limit(ridge))];
    line(
        out,
        [x.at(left), y.at(roofline.limit(left)), corner[0], corner[1]],
        style,
    );
    line(
        out,
        [
            corner[0],
            corner[1],
            x.at(right),
            y.at(roofline.limit(right)),
        ],
        style,
    );
    let copy = format!("copy {:.1} GB/s", roofline.bytes / 1e9);
    let fma = format!("multiply-add {:.0} GFLOP/s", roofline.flops / 1e9);
    text(
        out,
        LEFT + 8.0,
        TOP + 18.0,
        "class=\"muted\"",
        &format!("roof: {copy}, {fma}"),
    );
}

fn mark(out: &mut String, cx: f64, cy: f64, number: usize, color: &str) {
    let _ = writeln!(
        out,
        "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"9\" fill=\"{color}\" stroke=\"#fff\"/>"
    );
    let style = "text-anchor=\"middle\" font-size=\"10\" fill=\"#fff\"";
    text(out, cx, cy + 3.5, style, &number.to_string());
}

/// Hues far apart for neighbours.
fn color(i: usize) -> String {
    format!("hsl({:.0} 65% 38%)", (i as f64 * 137.5) % 360.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOF: Roofline = Roofline {
        flops: 2e11,
        bytes: 2e10,
    };

    fn point(name: &str, intensity: f64, flops: f64) -> Point {
        Point {
            name: name.into(),
            intensity,
            flops,
        }
    }

    #[test]
    fn every_case_is_named_with_its_share_of_the_roof() {
        let points = [point("copy<1>", 0.25, 2.5e9), point("product", 100.0, 1e11)];
        let svg = svg("cpu & co", &ROOF, &points);
        assert!(svg.contains("copy&lt;1&gt;  50 %"), "{svg}");
        assert!(svg.contains("product  50 %") && svg.contains("cpu &amp; co"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_cover_what_is_shown() {
        let axis = Axis::over([0.3, 40.0].into_iter(), 0.0, 100.0);
        assert_eq!((axis.low, axis.high), (-1.0, 2.0));
        assert_eq!((axis.at(0.1), axis.at(100.0)), (0.0, 100.0));
        assert_eq!(
            axis.decades().map(plain).collect::<Vec<_>>(),
            ["0.1", "1", "10", "100"]
        );
    }
}
