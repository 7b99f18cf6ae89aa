//! What the user sees: a line for each case as soon as it is done, what runs meanwhile, and the JSON lines. Measures
//! nothing.

use super::Options;
use super::case::{Case, Measured};
use super::chart::{self, Point};
use super::compare::{Earlier, Verdict};
use super::roofline::Roofline;
use crate::{Result, processor};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use wgrad::Device;

/// Shows results as they come.
pub struct Report {
    device: String,
    json: Option<BufWriter<File>>,
    roofline: Option<Roofline>,
    earlier: Option<Earlier>,
    points: Vec<Point>,
    worse: Vec<&'static str>,
}

impl Report {
    /// Writes the heading.
    pub fn new(options: &Options, device: &Device) -> Result<Report> {
        // Read first: both may be the same file.
        let earlier = options.compare.as_deref().map(Earlier::read).transpose()?;
        let json = options.json.as_ref().map(File::create).transpose()?;
        match device.as_gpu() {
            Some(gpu) => outln!(
                "device {device}, {}, {}",
                gpu.info().backend,
                gpu.info().driver
            ),
            None => outln!("device {device}, {}", processor::description()),
        }
        for other in earlier
            .iter()
            .flat_map(|e| e.other_devices(&device.to_string()))
        {
            outln!("compared with a run on another device: {other}");
        }
        outln!(
            "{:<32} {:>12} {:<10} {:>22} {:>8}  measured",
            "case",
            "median",
            "unit",
            "quartiles",
            "of roof"
        );
        Ok(Report {
            device: device.to_string(),
            json: json.map(BufWriter::new),
            roofline: None,
            earlier,
            points: Vec::new(),
            worse: Vec::new(),
        })
    }

    /// Says what runs now, until its result takes the place.
    pub fn begin(&self, name: &str, [at, of]: [usize; 2]) {
        if std::io::stderr().is_terminal() {
            eprint!("\r[{at}/{of}] {name} …\x1b[K");
        } else {
            eprintln!("[{at}/{of}] {name}");
        }
    }

    fn clear(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }

    /// The two lines of the roofline, which later cases are compared with.
    pub fn roofline(&mut self, roofline: Roofline) -> Result<()> {
        self.clear();
        for (name, value, unit) in [
            ("roofline_fma", roofline.flops / 1e9, "GFLOP/s"),
            ("roofline_copy", roofline.bytes / 1e9, "GB/s"),
        ] {
            outln!("{name:<32} {:>12} {unit}", number(value));
            self.write(name, value, unit, [value, value])?;
        }
        self.roofline = Some(roofline);
        Ok(())
    }

    /// One case.
    pub fn show(&mut self, case: &Case, measured: &Measured) -> Result<()> {
        self.clear();
        let unit = case.unit.name();
        let spread = format!("{} – {}", number(measured.low), number(measured.high));
        outln!(
            "{:<32} {:>12} {unit:<10} {spread:>22} {:>8}  {}{}",
            case.name,
            number(measured.value),
            self.share(case, measured),
            self.against(case, measured),
            measured.note
        );
        if let Some([intensity, flops]) = case.point(measured) {
            self.points.push(Point {
                name: case.name.to_string(),
                intensity,
                flops,
            });
        }
        self.write(
            case.name,
            measured.value,
            unit,
            [measured.low, measured.high],
        )
    }

    /// How much of what the roofline allows was reached.
    fn share(&self, case: &Case, measured: &Measured) -> String {
        let share = case.share(measured, self.roofline.as_ref());
        share.map_or(String::new(), |s| format!("{:.0} %", 100.0 * s))
    }

    /// How it stands to the earlier run, if there is one.
    fn against(&mut self, case: &Case, measured: &Measured) -> String {
        let Some(earlier) = &self.earlier else {
            return String::new();
        };
        let Some((ratio, verdict)) = earlier.compare(case.name, case.unit, measured) else {
            return "not in the earlier run; ".to_string();
        };
        let mark = match verdict {
            Verdict::Same => "within noise",
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
        };
        if verdict == Verdict::Worse {
            self.worse.push(case.name);
        }
        format!("{ratio:.2}x {mark}; ")
    }

    /// The cases that got worse, and the chart.
    pub fn finish(&self, svg: Option<&Path>) -> Result<()> {
        match self.worse.as_slice() {
            [] => {}
            worse => outln!("worse beyond noise: {}", worse.join(", ")),
        }
        if let (Some(path), Some(roofline)) = (svg, &self.roofline) {
            let title = format!("wgrad on {}", self.device);
            std::fs::write(path, chart::svg(&title, roofline, &self.points))?;
            outln!("chart {}", path.display());
        }
        Ok(())
    }

    /// A case that could not be measured.
    pub fn failed(&self, case: &Case, error: &dyn std::error::Error) {
        self.clear();
        outln!("{:<32} {:>12} {error}", case.name, "failed:");
    }

    fn write(&mut self, case: &str, value: f64, unit: &str, [low, high]: [f64; 2]) -> Result<()> {
        if let Some(json) = &mut self.json {
            let line = serde_json::json!({
                "case": case, "value": value, "unit": unit, "device": self.device,
                "low": low, "high": high,
            });
            writeln!(json, "{line}")?;
            json.flush()?;
        }
        Ok(())
    }
}

/// Three to five digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
