//! How our times stand to another program's: a ratio above 1 is ours. Shown by kind, and as a distribution.

use crate::Result;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use wgrad::plot::Figure;
use wgrad_shapes::{Shape, Timed};

/// Lines below this lost.
const LOST: f64 = 0.8;
/// Borders between the bars of the distribution.
const BORDERS: [f64; 8] = [0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0];

/// Another program's times by case.
pub struct Others(HashMap<String, [f64; 2]>);

impl Others {
    pub fn read(path: &Path) -> Result<Others> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let shapes = wgrad_shapes::read(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let times = shapes
            .iter()
            .filter_map(|shape| Some((shape.key(), shape.times()?)));
        let times: HashMap<_, _> = times.collect();
        if times.is_empty() {
            return Err(format!("{}: no line has fwd_ms and both_ms", path.display()).into());
        }
        Ok(Others(times))
    }

    /// Their time by ours, forward and with gradients.
    pub fn ratio(&self, timed: &Timed) -> Option<[f64; 2]> {
        let [forward, both] = self.0.get(&timed.shape.key())?;
        Some([forward / timed.forward, both / timed.both])
    }
}

/// Ratios so far.
#[derive(Default)]
pub struct Ratios {
    all: Vec<(String, String, [f64; 2])>,
    missing: usize,
}

impl Ratios {
    pub fn add(&mut self, shape: &Shape, ratio: Option<[f64; 2]>) {
        match ratio {
            Some(ratio) => self
                .all
                .push((shape.kind().to_string(), shape.short(), ratio)),
            None => self.missing += 1,
        }
    }

    /// Geometric means by kind, what lost, and bars.
    pub fn print(&self) {
        let mut kinds: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
        for (kind, _, ratio) in &self.all {
            kinds.entry(kind).or_default().push(*ratio);
        }
        outln!(
            "\n{:<18} {:>6} {:>8} {:>8} {:>8}",
            "geometric mean",
            "lines",
            "forward",
            "both",
            "lowest"
        );
        let every: Vec<[f64; 2]> = self.all.iter().map(|(_, _, ratio)| *ratio).collect();
        for (kind, ratios) in kinds.into_iter().chain([("all", every)]) {
            let lowest = ratios.iter().map(|r| r[1]).fold(f64::INFINITY, f64::min);
            let [forward, both] = [0, 1].map(|i| geometric(ratios.iter().map(|r| r[i])));
            outln!(
                "{kind:<18} {:>6} {forward:>8.2} {both:>8.2} {lowest:>8.2}",
                ratios.len()
            );
        }
        self.bars();
        let mut lost: Vec<_> = self.all.iter().filter(|(_, _, r)| r[1] < LOST).collect();
        lost.sort_by(|a, b| a.2[1].total_cmp(&b.2[1]));
        outln!("\nbelow {LOST} with all gradients: {}", lost.len());
        for (_, name, ratio) in lost {
            outln!("{:>8.2} {name}", ratio[1]);
        }
        if self.missing > 0 {
            outln!("{} lines have no time to compare with", self.missing);
        }
    }

    fn bars(&self) {
        outln!("\nlines by their ratio with all gradients");
        let counts = distribution(self.all.iter().map(|(_, _, ratio)| ratio[1]));
        for (i, count) in counts.iter().enumerate() {
            let from = if i == 0 { 0.0 } else { BORDERS[i - 1] };
            let to = BORDERS
                .get(i)
                .map_or("     ".to_string(), |to| format!("{to:>5}"));
            outln!("{from:>5} –{to} {count:>4} {}", "█".repeat(*count));
        }
    }

    /// The ratios in order, as a figure.
    pub fn draw(&self, svg: Option<&Path>) -> Result<()> {
        let Some(path) = svg else { return Ok(()) };
        let sorted = |i: usize| {
            let mut all: Vec<f64> = self.all.iter().map(|(_, _, ratio)| ratio[i]).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let [forward, both] = [sorted(0), sorted(1)];
        let at: Vec<f64> = (1..=both.len()).map(|n| n as f64).collect();
        let figure = Figure::new("The other's time by ours").log_y();
        let figure = figure
            .x("lines, in order of their ratio")
            .y("ratio, above 1 ours is faster");
        let figure = figure.line("with all gradients", &at, &both);
        let figure = figure
            .line("forward", &at, &forward)
            .horizontal("equal", 1.0);
        figure.save(path)?;
        outln!("chart {}", path.display());
        Ok(())
    }
}

fn geometric(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, n), r| (sum + r.ln(), n + 1));
    (sum / f64::from(count)).exp()
}

fn distribution(ratios: impl Iterator<Item = f64>) -> [usize; BORDERS.len() + 1] {
    let mut counts = [0; BORDERS.len() + 1];
    ratios.for_each(|r| counts[BORDERS.partition_point(|b| *b <= r)] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_whatever_was_added_to_it() {
        let line = r#"{"kind": "gelu", "input": [8]}"#;
        let shape = Shape::parse(line).unwrap();
        let theirs = shape.with_times(2.0, 6.0);
        let dir = std::env::temp_dir().join(format!("wgrad-against-{}.jsonl", std::process::id()));
        std::fs::write(&dir, theirs).unwrap();
        let others = Others::read(&dir).unwrap();
        std::fs::write(&dir, line).unwrap();
        assert!(Others::read(&dir).is_err(), "no line has times");
        std::fs::remove_file(&dir).unwrap();
        let timed = Timed {
            shape,
            forward: 1.0,
            both: 2.0,
        };
        assert_eq!(others.ratio(&timed), Some([2.0, 3.0]));
    }

    #[test]
    fn means_and_bars_count_every_line() {
        assert!((geometric([0.5, 2.0].into_iter()) - 1.0).abs() < 1e-12);
        assert_eq!(
            distribution([0.1, 0.8, 0.99, 9.0].into_iter()),
            [1, 0, 2, 0, 0, 0, 0, 0, 1]
        );
    }
}
