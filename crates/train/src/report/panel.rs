//! The report's look, and its panels that are no charts: grids of pictures and the heat map.
//!
//! Must not choose what is shown.

use super::Tile;
use super::canvas::{Anchor, Canvas, Color, Rect, Style};
use crate::metrics::ConfusionMatrix;
use crate::table::thousands;

pub(super) const PAGE: Color = [243, 245, 248];
pub(super) const PAPER: Color = [255, 255, 255];
pub(super) const INK: Color = [28, 36, 48];
pub(super) const MUTED: Color = [104, 116, 132];
pub(super) const RULE: Color = [229, 232, 237];
pub(super) const BLUE: Color = [38, 99, 203];
pub(super) const ORANGE: Color = [222, 110, 38];
pub(super) const GREEN: Color = [22, 134, 76];
pub(super) const RED: Color = [204, 48, 52];

/// Pixels per em of axis and tile labels.
pub(super) const SMALL: f32 = 15.0;
/// Above a panel's content.
const TITLE_HEIGHT: i32 = 56;
const PADDING: i32 = 24;
/// More classes than this would be less than a few pixels each.
const MAX_CLASSES: usize = 200;

/// A white sheet with a title, and something said at the right of it.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) aside: &'a str,
}

impl Panel<'_> {
    /// Draws the sheet; gives the place for its content.
    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect) -> Rect {
        canvas.fill(rect, PAPER);
        canvas.frame(rect, 1, RULE);
        let y = rect.y as f32 + 28.0;
        let style = Style::new(19.0, INK).bold();
        canvas.text(self.title, (rect.x + PADDING) as f32, y, style);
        let style = Style::new(SMALL, MUTED).anchor(Anchor::End);
        canvas.text(self.aside, (rect.right() - PADDING) as f32, y, style);
        rect.inset(PADDING, TITLE_HEIGHT, PADDING, PADDING)
    }
}

/// Pictures in rows, each with what was predicted, how surely, and what is true.
pub(super) struct TileGrid<'a> {
    pub(super) title: &'a str,
    pub(super) aside: String,
    pub(super) tiles: &'a [Tile<'a>],
    /// The side of a picture's square, in pixels.
    pub(super) side: i32,
}

impl TileGrid<'_> {
    const GAP: i32 = 18;
    const LABELS: i32 = 50;

    fn columns(&self, width: i32) -> i32 {
        ((width + Self::GAP) / (self.side + Self::GAP)).max(1)
    }

    /// The height of a panel of `width` that holds all tiles.
    pub(super) fn height(&self, width: i32) -> i32 {
        let columns = self.columns(width - 2 * PADDING) as usize;
        let rows = self.tiles.len().div_ceil(columns).max(1) as i32;
        TITLE_HEIGHT + rows * (self.side + Self::LABELS) + (rows - 1) * Self::GAP / 2 + PADDING - 6
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect) {
        let area = Panel {
            title: self.title,
            aside: &self.aside,
        }
        .draw(canvas, rect);
        let columns = self.columns(area.w);
        // Columns are spread over the whole width, so both edges line up with the title.
        let pitch = (area.w - self.side) as f32 / (columns - 1).max(1) as f32;
        for (i, tile) in self.tiles.iter().enumerate() {
            let (row, column) = (i as i32 / columns, i as i32 % columns);
            let x = area.x + (column as f32 * pitch).round() as i32;
            let y = area.y + row * (self.side + Self::LABELS + Self::GAP / 2);
            self.tile(canvas, tile, x, y, pitch.min((self.side + 40) as f32));
        }
        if self.tiles.is_empty() {
            let style = Style::new(SMALL, MUTED).anchor(Anchor::Middle);
            canvas.text(
                "none",
                (area.x + area.w / 2) as f32,
                (area.y + area.h / 2) as f32,
                style,
            );
        }
    }

    fn tile(&self, canvas: &mut Canvas, tile: &Tile<'_>, x: i32, y: i32, pitch: f32) {
        let color = if tile.truth == tile.predicted {
            GREEN
        } else {
            RED
        };
        let place = centered(
            Rect::new(x, y, self.side, self.side),
            tile.width,
            tile.height,
        );
        canvas.picture(place, tile.pixels, (tile.width, tile.height));
        canvas.frame(place, 2, color);
        let middle = x as f32 + self.side as f32 / 2.0;
        let bold = Style::new(SMALL, color).bold();
        let small = Style::new(13.0, MUTED);
        let percent = format!(" {}", percentage(tile.confidence));
        let room = pitch - 6.0;
        let name = canvas.fit(&tile.predicted, room - canvas.width(&percent, small), bold);
        let start = middle - (canvas.width(&name, bold) + canvas.width(&percent, small)) / 2.0;
        let line = (y + self.side) as f32 + 16.0;
        canvas.text(&name, start, line, bold);
        canvas.text(
            &percent,
            start + canvas.width(&name, bold),
            line + 1.0,
            small,
        );
        let truth = canvas.fit(&format!("true {}", tile.truth), room, small);
        canvas.text(&truth, middle, line + 18.0, small.anchor(Anchor::Middle));
    }
}

/// Rounded down, so that only certainty is 100%.
fn percentage(fraction: f32) -> String {
    let percent = 100.0 * fraction;
    if percent > 99.0 && percent < 100.0 {
        format!("{:.1}%", (percent * 10.0).floor() / 10.0)
    } else {
        format!("{percent:.0}%")
    }
}

/// The largest place of the picture's proportions in `square`; whole multiples where it grows.
fn centered(square: Rect, width: usize, height: usize) -> Rect {
    let longest = width.max(height) as f64;
    let exact = f64::from(square.w) / longest;
    let scale = if exact >= 1.0 { exact.floor() } else { exact };
    let side = |size: usize| ((size as f64 * scale).round() as i32).clamp(1, square.w);
    let (w, h) = (side(width), side(height));
    Rect::new(
        square.x + (square.w - w) / 2,
        square.y + (square.h - h) / 2,
        w,
        h,
    )
}

/// The confusion matrix as a heat map: blue on the diagonal, red beside it.
pub(super) struct HeatMap<'a>(pub(super) &'a ConfusionMatrix);

impl HeatMap<'_> {
    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect) {
        let matrix = self.0;
        let accuracy = matrix.accuracy().map_or_else(String::new, |accuracy| {
            format!(
                "{:.2}% of {} on the diagonal",
                100.0 * accuracy,
                thousands(matrix.total())
            )
        });
        let area = Panel {
            title: "Confusion matrix",
            aside: &accuracy,
        }
        .draw(canvas, rect);
        let classes = matrix.classes();
        if classes == 0 || classes > MAX_CLASSES {
            let text = format!("{classes} classes are not drawn");
            let style = Style::new(SMALL, MUTED).anchor(Anchor::Middle);
            canvas.text(
                &text,
                (area.x + area.w / 2) as f32,
                (area.y + area.h / 2) as f32,
                style,
            );
            return;
        }
        let grid = Grid::place(canvas, area, matrix);
        for truth in 0..classes {
            for predicted in 0..classes {
                self.cell(canvas, &grid, truth, predicted);
            }
        }
        canvas.frame(grid.rect, 1, RULE);
        self.labels(canvas, &grid);
    }

    fn cell(&self, canvas: &mut Canvas, grid: &Grid, truth: usize, predicted: usize) {
        let count = self.0.count(truth, predicted);
        let total = self.0.row_total(truth);
        let cell = grid.cell(truth, predicted);
        if count == 0 {
            return;
        }
        // The root makes a handful of mistakes among a thousand visible.
        let strength = (count as f64 / total as f64).sqrt() as f32;
        let (color, strength) = if truth == predicted {
            (BLUE, 0.1 + 0.9 * strength)
        } else {
            (RED, 0.06 + 0.94 * strength)
        };
        let color = mix(PAPER, color, strength);
        canvas.fill(cell, color);
        let size = grid.number_size;
        let ink = if strength > 0.5 { PAPER } else { INK };
        let style = Style::new(size, ink).anchor(Anchor::Middle);
        let text = count.to_string();
        if size >= 9.0 && canvas.width(&text, style) <= cell.w as f32 - 2.0 {
            canvas.text(
                &text,
                cell.x as f32 + cell.w as f32 / 2.0,
                cell.y as f32 + cell.h as f32 / 2.0,
                style,
            );
        }
    }

    fn labels(&self, canvas: &mut Canvas, grid: &Grid) {
        let style = Style::new(SMALL, INK);
        // Every n-th name, so that names stand at least a line apart.
        let stride = (20.0 / grid.pitch()).ceil().max(1.0) as usize;
        for (class, label) in self.0.labels().iter().enumerate().step_by(stride) {
            let cell = grid.cell(class, class);
            let (x, y) = (
                cell.x as f32 + cell.w as f32 / 2.0,
                cell.y as f32 + cell.h as f32 / 2.0,
            );
            let short = canvas.fit(label, grid.label_width, style);
            canvas.text(
                &short,
                grid.rect.x as f32 - 10.0,
                y,
                style.anchor(Anchor::End),
            );
            let below = grid.rect.bottom() as f32;
            if grid.turned {
                canvas.text(
                    &short,
                    x,
                    below + 10.0,
                    style.anchor(Anchor::End).vertical(),
                );
            } else {
                canvas.text(&short, x, below + 18.0, style.anchor(Anchor::Middle));
            }
            let recall = self
                .0
                .recall(class)
                .map_or("–".to_owned(), |recall| format!("{:.1}%", 100.0 * recall));
            canvas.text(
                &recall,
                grid.rect.right() as f32 + 66.0,
                y,
                style.color(MUTED).anchor(Anchor::End),
            );
        }
        let style = style.color(MUTED).anchor(Anchor::Middle);
        let (x, y) = (grid.rect.x as f32, grid.rect.y as f32);
        canvas.text(
            "predicted",
            x + grid.rect.w as f32 / 2.0,
            grid.bottom as f32 - 4.0,
            style,
        );
        canvas.text(
            "true",
            grid.left as f32 + 6.0,
            y + grid.rect.h as f32 / 2.0,
            style.vertical(),
        );
        canvas.text(
            "recall",
            grid.rect.right() as f32 + 66.0,
            y - 14.0,
            style.anchor(Anchor::End),
        );
    }
}

/// Where the heat map's cells and labels are.
struct Grid {
    rect: Rect,
    left: i32,
    bottom: i32,
    classes: i32,
    label_width: f32,
    number_size: f32,
    turned: bool,
}

impl Grid {
    fn place(canvas: &Canvas, area: Rect, matrix: &ConfusionMatrix) -> Self {
        const RECALL: i32 = 70;
        const TOP: i32 = 22;
        let style = Style::new(SMALL, INK);
        let widest = matrix
            .labels()
            .iter()
            .map(|label| canvas.width(label, style))
            .fold(8.0, f32::max);
        let label_width = widest.min(110.0);
        let left = label_width as i32 + 36;
        let classes = matrix.classes() as i32;
        let room = |below: i32| (area.w - left - RECALL).min(area.h - TOP - below).max(1);
        let turned = label_width > (room(52) / classes) as f32 - 4.0;
        let below = if turned { label_width as i32 + 36 } else { 52 };
        let side = room(below);
        let x = area.x + left + (area.w - left - RECALL - side) / 2;
        let number_size = (side as f32 / classes as f32 * 0.34).min(SMALL);
        Self {
            rect: Rect::new(x, area.y + TOP, side, side),
            left: x - left,
            bottom: area.y + TOP + side + below,
            classes,
            label_width,
            number_size,
            turned,
        }
    }

    fn pitch(&self) -> f32 {
        self.rect.w as f32 / self.classes as f32
    }

    /// A pixel is left between cells that are large enough.
    fn cell(&self, row: usize, column: usize) -> Rect {
        let gap = i32::from(self.pitch() >= 8.0);
        let edge = |at: usize| at as i32 * self.rect.w / self.classes;
        let (x, y) = (edge(column), edge(row));
        let (w, h) = (edge(column + 1) - x - gap, edge(row + 1) - y - gap);
        Rect::new(self.rect.x + x, self.rect.y + y, w.max(1), h.max(1))
    }
}

fn mix(from: Color, to: Color, part: f32) -> Color {
    let channel = |i: usize| f32::from(from[i]) + (f32::from(to[i]) - f32::from(from[i])) * part;
    [0, 1, 2].map(|i| channel(i).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certainty_is_a_hundred_percent() {
        let cases = [
            (1.0, "100%"),
            (0.99999, "99.9%"),
            (0.505, "50%"),
            (0.0, "0%"),
            (f32::NAN, "NaN%"),
        ];
        for (fraction, text) in cases {
            assert_eq!(percentage(fraction), text);
        }
    }

    #[test]
    fn pictures_keep_their_proportions() {
        let square = Rect::new(0, 0, 84, 84);
        let place = |w, h| centered(square, w, h);
        assert_eq!((place(28, 28).w, place(28, 28).h), (84, 84));
        assert_eq!(
            (place(32, 16).w, place(32, 16).h, place(32, 16).x),
            (64, 32, 10)
        );
        assert_eq!((place(840, 420).w, place(840, 420).h), (84, 42));
        assert_eq!(place(100_000, 1).h, 1);
    }
}
