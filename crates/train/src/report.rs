//! The training picture: curves, confusion matrix, test samples and the worst mistakes in one PNG.
//!
//! Works on plain data and its own fonts (DejaVu Sans, linked in), so that the same input gives the
//! same bytes on every machine. Must not read a device, and must not fail because there is little,
//! nothing or NaN to show.

mod canvas;
mod chart;
mod panel;

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use canvas::{Anchor, Canvas, Rect, Style};
use chart::{Axis, Chart, Series};
use panel::{BLUE, HeatMap, INK, MUTED, ORANGE, PAGE, TileGrid};

#[cfg(not(target_arch = "wasm32"))]
use crate::files::{FileError, write_atomic};
use crate::log::EpochRecord;
use crate::metrics::ConfusionMatrix;

/// Width of the picture, in pixels; its height follows from what is shown.
pub const WIDTH: u32 = 1600;
/// Tiles shown in one grid; what comes after them is left out.
pub const MAX_TILES: usize = 120;

const MARGIN: i32 = 32;
const GAP: i32 = 24;
const CHART_HEIGHT: i32 = 430;
const HEAT_MAP_HEIGHT: i32 = 740;
const NOTE_LINE: i32 = 26;
const MAX_NOTE_LINES: usize = 12;

/// One sample with what was predicted for it.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    /// `[height, width]` grey or `[height, width, 3]` RGB bytes.
    pub pixels: &'a [u8],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Name of the true class.
    pub truth: String,
    /// Name of the predicted class; green if it equals `truth`, else red.
    pub predicted: String,
    /// Probability of the predicted class, 0 to 1.
    pub confidence: f32,
}

/// What the picture shows.
#[derive(Clone, Debug, Default)]
pub struct Report<'a> {
    /// The heading.
    pub title: String,
    /// Short remarks under the heading: device, dataset, time, accuracy.
    pub notes: Vec<String>,
    /// Training loss of each step, the first one step 1.
    pub losses: &'a [f32],
    /// Accuracies (and losses, shown at `step`) of each epoch.
    pub epochs: &'a [EpochRecord],
    /// Counts on the test set.
    pub confusion: Option<&'a ConfusionMatrix>,
    /// Some test samples.
    pub samples: Vec<Tile<'a>>,
    /// Wrong predictions, the highest loss first.
    pub mistakes: Vec<Tile<'a>>,
}

/// Why a report could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file could not be written; an old one is whole.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("report {0}")]
    File(#[from] FileError),
    /// A tile whose bytes do not fit its size.
    #[error("report: {which}[{index}] has {bytes} bytes, but is {height} x {width}, grey or RGB")]
    Tile {
        /// `samples` or `mistakes`.
        which: &'static str,
        /// Which of them.
        index: usize,
        /// Bytes given.
        bytes: usize,
        /// Columns given.
        width: usize,
        /// Rows given.
        height: usize,
    },
    /// The font that is linked in could not be read.
    #[error("report: the font is damaged")]
    Font,
    /// The PNG could not be encoded.
    #[error("report: {0}")]
    Encode(#[from] png::EncodingError),
}

impl Report<'_> {
    /// Draws the picture and replaces the file at `path` by it, whole or not at all.
    ///
    /// # Errors
    /// A tile whose bytes do not fit its size, and the file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn render_png(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let png = self.to_png()?;
        Ok(write_atomic(path.as_ref(), |out| out.write_all(&png))?)
    }

    /// The picture as PNG bytes.
    ///
    /// # Errors
    /// A tile whose bytes do not fit its size.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        check_tiles("samples", &self.samples)?;
        check_tiles("mistakes", &self.mistakes)?;
        Ok(self.draw()?.into_image().encode()?)
    }

    fn draw(&self) -> Result<Canvas, ReportError> {
        let notes = self.note_lines(&Canvas::new(1, 1, PAGE)?);
        let samples = grid("Test samples", &self.samples, 84);
        let mistakes = grid("Worst mistakes", &self.mistakes, 112);
        let width = WIDTH as i32 - 2 * MARGIN;
        let half = (width - GAP) / 2;

        let charts = 92 + notes.len() as i32 * NOTE_LINE;
        let middle = charts + CHART_HEIGHT + GAP;
        let middle_height = self.middle_height(&samples, width, half);
        let bottom = middle + middle_height + if middle_height > 0 { GAP } else { 0 };
        let bottom_height = mistakes.height(width);

        let mut canvas = Canvas::new(WIDTH, (bottom + bottom_height + MARGIN) as u32, PAGE)?;
        self.heading(&mut canvas, &notes);
        let column = |index: i32, y, h| Rect::new(MARGIN + index * (half + GAP), y, half, h);
        self.loss_chart()
            .draw(&mut canvas, column(0, charts, CHART_HEIGHT));
        self.accuracy_chart()
            .draw(&mut canvas, column(1, charts, CHART_HEIGHT));
        let full = Rect::new(MARGIN, middle, width, middle_height);
        match self.confusion {
            Some(matrix) if self.samples.is_empty() => HeatMap(matrix).draw(&mut canvas, full),
            Some(matrix) => {
                HeatMap(matrix).draw(&mut canvas, column(0, middle, middle_height));
                samples.draw(&mut canvas, column(1, middle, middle_height));
            }
            None if self.samples.is_empty() => {}
            None => samples.draw(&mut canvas, full),
        }
        mistakes.draw(&mut canvas, Rect::new(MARGIN, bottom, width, bottom_height));
        Ok(canvas)
    }

    fn middle_height(&self, samples: &TileGrid<'_>, width: i32, half: i32) -> i32 {
        match (self.confusion, self.samples.is_empty()) {
            (Some(_), true) => HEAT_MAP_HEIGHT,
            (Some(_), false) => HEAT_MAP_HEIGHT.max(samples.height(half)),
            (None, false) => samples.height(width),
            (None, true) => 0,
        }
    }

    fn heading(&self, canvas: &mut Canvas, notes: &[String]) {
        let style = Style::new(32.0, INK).bold();
        let title = canvas.fit(&self.title, (WIDTH as i32 - 2 * MARGIN) as f32, style);
        canvas.text(&title, MARGIN as f32, 50.0, style);
        for (i, line) in notes.iter().enumerate() {
            let y = (92 + i as i32 * NOTE_LINE) as f32;
            canvas.text(
                line,
                MARGIN as f32,
                y,
                Style::new(17.0, MUTED).anchor(Anchor::Start),
            );
        }
    }

    /// Notes joined while they fit into a line.
    fn note_lines(&self, canvas: &Canvas) -> Vec<String> {
        let style = Style::new(17.0, MUTED);
        let room = (WIDTH as i32 - 2 * MARGIN) as f32;
        let mut lines: Vec<String> = Vec::new();
        for note in &self.notes {
            let joined = lines.last().map(|last| format!("{last}   ·   {note}"));
            match (joined, lines.last_mut()) {
                (Some(joined), Some(last)) if canvas.width(&joined, style) <= room => {
                    *last = joined
                }
                _ => lines.push(canvas.fit(note, room, style)),
            }
        }
        lines.truncate(MAX_NOTE_LINES);
        lines
    }

    fn loss_chart(&self) -> Chart {
        let raw = numbered(self.losses.iter().map(|&loss| f64::from(loss)));
        let mut series = vec![Series {
            name: "each step",
            color: BLUE,
            width: 1.2,
            alpha: 0.28,
            markers: false,
            points: raw,
        }];
        if let Some(points) = smooth(self.losses) {
            series.push(Series {
                name: "smoothed",
                color: BLUE,
                width: 2.6,
                alpha: 1.0,
                markers: false,
                points,
            });
        } else {
            series[0].alpha = 1.0;
            series[0].width = 2.6;
        }
        let test = points(self.epochs, |epoch| {
            (epoch.step, epoch.test_loss.map(f64::from))
        });
        if !test.is_empty() {
            series.push(Series {
                name: "test",
                color: ORANGE,
                width: 2.0,
                alpha: 1.0,
                markers: true,
                points: test,
            });
        }
        let last = series
            .iter()
            .flat_map(|series| &series.points)
            .map(|point| point.0)
            .fold(1.0, f64::max);
        let y = loss_axis(&series);
        let bad = self.losses.iter().filter(|loss| !loss.is_finite()).count();
        Chart {
            title: "Loss".to_owned(),
            x_label: "step",
            y_label: "loss",
            x: Axis::linear(0.0, last, 6, 1.0, ""),
            y,
            series,
            note: (bad > 0)
                .then(|| format!("{bad} of {} losses are not finite", self.losses.len())),
        }
    }

    fn accuracy_chart(&self) -> Chart {
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        let curve = |name, color, points| Series {
            name,
            color,
            width: 2.6,
            alpha: 1.0,
            markers: true,
            points,
        };
        let train = points(self.epochs, |epoch| {
            (epoch.epoch, percent(epoch.train_accuracy))
        });
        let test = points(self.epochs, |epoch| {
            (epoch.epoch, percent(epoch.test_accuracy))
        });
        let series = vec![curve("train", BLUE, train), curve("test", ORANGE, test)];
        let low = finite(&series)
            .map(|point| point.1)
            .fold(100.0, f64::min)
            .clamp(0.0, 99.5);
        let first = self
            .epochs
            .iter()
            .map(|epoch| epoch.epoch)
            .min()
            .unwrap_or(0) as f64;
        let last = self
            .epochs
            .iter()
            .map(|epoch| epoch.epoch)
            .max()
            .unwrap_or(1) as f64;
        Chart {
            title: "Accuracy".to_owned(),
            x_label: "epoch",
            y_label: "accuracy",
            x: Axis::linear(first - 0.3, last + 0.3, 10, 1.0, ""),
            y: Axis::linear((low - 0.15 * (100.0 - low)).max(0.0), 100.0, 5, 0.0, "%"),
            series,
            note: None,
        }
    }
}

fn check_tiles(which: &'static str, tiles: &[Tile<'_>]) -> Result<(), ReportError> {
    for (index, tile) in tiles.iter().enumerate() {
        let (width, height, bytes) = (tile.width, tile.height, tile.pixels.len());
        let area = width.checked_mul(height).filter(|&area| area > 0);
        let fits = area.is_some_and(|area| bytes == area || Some(bytes) == area.checked_mul(3));
        if !fits {
            return Err(ReportError::Tile {
                which,
                index,
                bytes,
                width,
                height,
            });
        }
    }
    Ok(())
}

fn grid<'a>(title: &'a str, tiles: &'a [Tile<'a>], side: i32) -> TileGrid<'a> {
    let more = tiles.len().saturating_sub(MAX_TILES);
    let aside = if more > 0 {
        format!("and {more} more")
    } else {
        "predicted, and how surely".to_owned()
    };
    let aside = if tiles.is_empty() {
        String::new()
    } else {
        aside
    };
    TileGrid {
        title,
        aside,
        tiles: &tiles[..tiles.len() - more],
        side,
    }
}

fn numbered(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    values
        .enumerate()
        .map(|(i, value)| ((i + 1) as f64, value))
        .collect()
}

fn points(
    epochs: &[EpochRecord],
    point: impl Fn(&EpochRecord) -> (u64, Option<f64>),
) -> Vec<(f64, f64)> {
    epochs
        .iter()
        .map(point)
        .filter_map(|(x, y)| Some((x as f64, y?)))
        .collect()
}

fn finite(series: &[Series]) -> impl Iterator<Item = &(f64, f64)> {
    series
        .iter()
        .flat_map(|series| &series.points)
        .filter(|point| point.1.is_finite())
}

/// Logarithmic if no loss is negative and they span more than a decade. Zeros lie on the lower edge.
fn loss_axis(series: &[Series]) -> Axis {
    let (min, max) = finite(series).fold((f64::MAX, f64::MIN), |(min, max), p| {
        (min.min(p.1), max.max(p.1))
    });
    if min > max {
        return Axis::linear(0.0, 1.0, 5, 0.0, "");
    }
    let least = finite(series)
        .map(|point| point.1)
        .filter(|&loss| loss > 0.0)
        .fold(f64::MAX, f64::min);
    if min >= 0.0 && max > 10.0 * least {
        // One lucky batch must not squeeze the rest of the curve.
        return Axis::log(least.max(1e-6 * max), max * 1.05);
    }
    let pad = 0.05 * (max - min);
    Axis::linear(
        if min >= 0.0 {
            (min - pad).max(0.0)
        } else {
            min - pad
        },
        max + pad,
        5,
        0.0,
        "",
    )
}

/// The exponential mean `m = b m + (1 - b) loss`, divided by `1 - b^t` for its start at zero, over
/// about a fortieth of the run. `None` for runs too short to need it. What is not finite is a gap.
fn smooth(losses: &[f32]) -> Option<Vec<(f64, f64)>> {
    let span = (losses.len() / 40).min(200);
    if span < 2 {
        return None;
    }
    let keep = 1.0 - 1.0 / span as f64;
    let (mut mean, mut weight) = (0.0, 0.0);
    Some(numbered(losses.iter().map(|&loss| {
        if !loss.is_finite() {
            return f64::NAN;
        }
        mean = keep * mean + (1.0 - keep) * f64::from(loss);
        weight = keep * weight + (1.0 - keep);
        mean / weight
    })))
}

#[cfg(test)]
mod tests;
