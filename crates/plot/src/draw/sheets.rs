//! What covers the axes with colours: cells, surfaces, decision regions, level lines. Many cells become one image. Must not
//! know how the axes came about.

use plotters_backend::BackendCoord;

use super::frame::Frame;
use super::lines::{moved, rounded};
use super::{Area, Failure, Raw, block};
use crate::backend::{Body, Pen};
use crate::bitmap::{Bitmap, Kind};
use crate::color_map::ColorMap;
use crate::layer::Cells;
use crate::scale::{self, Scale, Wish};
use crate::surface::Surface;
use crate::text;
use crate::theme::Ink;

/// More cells than this become one image.
const MOST_CELLS: usize = 400;
/// Images have at most so many pixels each way.
const MOST_PIXELS: usize = 1000;
pub(super) const CELL_FONT: i32 = 110;

/// A text within the axes.
pub(super) struct Label {
    pub(super) at: BackendCoord,
    pub(super) text: String,
    /// It needs the page behind it to be read.
    pub(super) backed: bool,
}

/// The colour of a number; none for what is not finite.
fn color(map: ColorMap, ends: Option<(f64, f64)>, value: f64) -> Option<[u8; 3]> {
    let (lo, hi) = ends?;
    let at = match hi / 2.0 - lo / 2.0 {
        span if span > 0.0 => (value / 2.0 - lo / 2.0) / span,
        _ => 0.5,
    };
    value.is_finite().then(|| map.at(at))
}

fn region_color(class: f64) -> Option<([u8; 3], u8)> {
    let hex = Ink::Series(class as usize).hex(false);
    let part = |at: usize| {
        hex.get(at..at + 2)
            .and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    Some(([part(1)?, part(3)?, part(5)?], 80)).filter(|_| class.is_finite())
}

/// A matrix.
pub(super) fn cells(
    inner: &Area<'_>,
    frame: &Frame,
    matrix: &Cells,
    map: ColorMap,
    ends: Option<(f64, f64)>,
    labels: &mut Vec<Label>,
) -> Result<(), Failure> {
    if matrix.values.len() > MOST_CELLS {
        let flat = Surface {
            x: (-0.5, matrix.columns as f64 - 0.5),
            y: (-0.5, matrix.rows as f64 - 0.5),
            columns: matrix.columns,
            rows: matrix.rows,
            values: matrix.values.clone(),
        };
        let share = |value: f64| {
            let rgb = region_color(0.0)?.0;
            value
                .is_finite()
                .then(|| (rgb, (220.0 * value.clamp(0.0, 1.0).sqrt()) as u8))
        };
        let mapped = |value: f64| color(map, ends, value).map(|rgb| (rgb, 255));
        return match matrix.shares {
            true => image(inner, frame, &flat, &share),
            false => image(inner, frame, &flat, &mapped),
        };
    }
    let wide = frame.width / matrix.columns.max(1) as f64;
    inner.draw(&Raw(&|body: &mut Body, origin| {
        for (at, &value) in matrix.values.iter().enumerate() {
            let (row, column) = ((at / matrix.columns) as f64, (at % matrix.columns) as f64);
            let fill = match (matrix.shares, color(map, ends, value)) {
                (true, _) => Pen::fill(Ink::Series(0), 0.65 * value.clamp(0.0, 1.0).sqrt()),
                (false, Some([r, g, b])) => Pen::fill(Ink::Rgb(r, g, b), 1.0),
                (false, None) => continue,
            };
            let pen = Pen {
                crisp: true,
                ..fill
            };
            let corners = (
                frame.near(column - 0.5, row - 0.5),
                frame.near(column + 0.5, row + 0.5),
            );
            if let ((Some(a), Some(b)), true) = (corners, pen.alpha > 0.0) {
                block(body, &pen, origin, a, b);
            }
        }
    }))?;
    for (at, label) in matrix.texts.iter().flatten().enumerate() {
        let (row, column) = ((at / matrix.columns) as f64, (at % matrix.columns) as f64);
        let fits = text::width(label, f64::from(CELL_FONT)) + 20.0 < wide;
        if let (Some(place), true) = (frame.place(column, row), fits && !label.is_empty()) {
            labels.push(Label {
                at: rounded(place),
                text: label.clone(),
                backed: false,
            });
        }
    }
    Ok(())
}

type Paint<'a> = &'a dyn Fn(f64) -> Option<([u8; 3], u8)>;

/// A surface by the color map.
pub(super) fn surface(
    inner: &Area<'_>,
    frame: &Frame,
    surface: &Surface,
    map: ColorMap,
    ends: Option<(f64, f64)>,
) -> Result<(), Failure> {
    sheet(inner, frame, surface, &|value| {
        color(map, ends, value).map(|rgb| (rgb, 255))
    })
}

/// Classes by the colours of the series.
pub(super) fn regions(inner: &Area<'_>, frame: &Frame, classes: &Surface) -> Result<(), Failure> {
    sheet(inner, frame, classes, &region_color)
}

/// A surface whose grid points are the middles of its pixels.
fn sheet(
    inner: &Area<'_>,
    frame: &Frame,
    surface: &Surface,
    paint: Paint<'_>,
) -> Result<(), Failure> {
    let half = |(lo, hi): (f64, f64), n: usize| {
        let half = (hi - lo) / (n - 1) as f64 / 2.0;
        (lo - half, hi + half)
    };
    let grown = Surface {
        x: half(surface.x, surface.columns),
        y: half(surface.y, surface.rows),
        ..surface.clone()
    };
    image(inner, frame, &grown, paint)
}

/// Values as pixels over the rectangle of the surface, its first row at the lowest y.
fn image(
    inner: &Area<'_>,
    frame: &Frame,
    surface: &Surface,
    paint: Paint<'_>,
) -> Result<(), Failure> {
    let surface = surface.thinned(MOST_PIXELS);
    let corners = (
        frame.near(surface.x.0, surface.y.0),
        frame.near(surface.x.1, surface.y.1),
    );
    let (Some(a), Some(b)) = corners else {
        return Ok(());
    };
    let (flip_x, flip_y) = (a.0 > b.0, a.1 > b.1);
    let mut bytes = Vec::with_capacity(surface.values.len() * 4);
    for row in 0..surface.rows {
        let row = if flip_y { surface.rows - 1 - row } else { row };
        for column in 0..surface.columns {
            let column = if flip_x {
                surface.columns - 1 - column
            } else {
                column
            };
            let value = surface.values[row * surface.columns + column];
            let ([r, g, b], alpha) = paint(value).unwrap_or(([0, 0, 0], 0));
            bytes.extend([r, g, b, alpha]);
        }
    }
    let (width, height) = (surface.columns as u32, surface.rows as u32);
    let uri = Bitmap {
        width,
        height,
        kind: Kind::Rgba,
        bytes,
    }
    .uri()?;
    let (low, high) = ((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
    inner.draw(&Raw(&|body: &mut Body, origin| {
        body.image(
            &uri,
            moved(rounded(low), origin),
            moved(rounded(high), origin),
        );
    }))?;
    Ok(())
}

/// Level lines, and where their numbers stand.
pub(super) fn contours(
    inner: &Area<'_>,
    frame: &Frame,
    surface: &Surface,
    levels: usize,
    labels: &mut Vec<Label>,
) -> Result<(), Failure> {
    let Some(range) = surface.range() else {
        return Ok(());
    };
    let scale = Scale::new(range, &Wish::default(), levels);
    let pen = Pen {
        alpha: 0.75,
        ..Pen::stroke(Ink::Muted, 12)
    };
    for (number, (level, _)) in scale.ticks().iter().enumerate() {
        let pieces = surface.level(*level);
        let place = |(x, y): (f64, f64)| frame.near(x, y).map(rounded);
        inner.draw(&Raw(&|body: &mut Body, origin| {
            for [a, b] in &pieces {
                if let (Some(a), Some(b)) = (place(*a), place(*b)) {
                    body.polyline(&pen, [moved(a, origin), moved(b, origin)], false);
                }
            }
        }))?;
        // Along a slanted line through the levels, so that numbers do not stand on each other.
        let spot = pieces
            .get(pieces.len() * (1 + number % 3) / 4)
            .and_then(|piece| place(piece[0]));
        let border = |(x, y): BackendCoord| {
            let (x, y) = (f64::from(x), f64::from(y));
            x > 150.0 && y > 100.0 && x < frame.width - 150.0 && y < frame.height - 100.0
        };
        let apart = |(x, y): BackendCoord| {
            labels
                .iter()
                .all(|label| (label.at.0 - x).abs() > 300 || (label.at.1 - y).abs() > 130)
        };
        if let Some(spot) = spot.filter(|&spot| border(spot) && apart(spot)) {
            labels.push(Label {
                at: spot,
                text: scale::number(*level),
                backed: true,
            });
        }
    }
    Ok(())
}
