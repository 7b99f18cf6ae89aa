//! What lies between the axes: lines, points, bars, boxes, cells, surfaces, arrows. Everything is cut off at the axes. Must
//! not know how the axes came about.

use super::frame::{Frame, Place};
use super::lines::{self, moved, rounded};
use super::sheets::{self, CELL_FONT};
use super::{Area, Failure, Raw, Words, block, ink, write_text};
use crate::backend::{Body, Pen};
use crate::figure::Figure;
use crate::layer::{LineLook, Mark};
use crate::stats::Quartiles;
use crate::text;
use crate::theme::{Ink, SERIES};
use plotters_backend::BackendCoord;

/// Draws all layers, one over the other.
pub(super) fn draw(
    figure: &Figure,
    inner: &Area<'_>,
    frame: &Frame,
    colors: Option<(f64, f64)>,
) -> Result<(), Failure> {
    let end = (frame.width as i32, frame.height as i32);
    inner.draw(&Raw(&|body: &mut Body, (x, y)| {
        body.clip((x, y), (x + end.0, y + end.1))
    }))?;
    let bars = figure
        .layers
        .iter()
        .filter(|layer| matches!(layer.mark, Mark::Bars { .. }))
        .count();
    let mut bar = 0;
    let mut labels = Vec::new();
    for (number, layer) in figure.layers.iter().enumerate() {
        let ink = ink(&figure.layers, number);
        let late = matches!(ink, Ink::Series(series) if series >= SERIES);
        match &layer.mark {
            Mark::Line { xs, ys, look } => {
                let look = LineLook {
                    dashed: look.dashed || late,
                    ..*look
                };
                line(inner, frame, (xs, ys), look, ink)?;
            }
            Mark::Band { xs, low, high } => band(inner, frame, (xs, low, high), ink)?,
            Mark::Points { xs, ys } => points(inner, frame, (xs, ys), ink)?,
            Mark::Bars { heights } => {
                draw_bars(inner, frame, heights, (bar, bars), ink)?;
                bar += 1;
            }
            Mark::Histogram { edges, counts } => histogram(inner, frame, (edges, counts), ink)?,
            Mark::Box {
                at,
                quartiles: Some(found),
            } => draw_box(inner, frame, *at, found, ink)?,
            Mark::Box {
                quartiles: None, ..
            } => {}
            Mark::Cells(cells) => {
                sheets::cells(inner, frame, cells, figure.colors, colors, &mut labels)?
            }
            Mark::Surface(surface) => {
                sheets::surface(inner, frame, surface, figure.colors, colors)?;
            }
            Mark::Regions(surface) => sheets::regions(inner, frame, surface)?,
            Mark::Contours { surface, levels } => {
                sheets::contours(inner, frame, surface, *levels, &mut labels)?
            }
            Mark::Arrows { xs, ys, us, vs } => arrows(inner, frame, (xs, ys, us, vs), ink)?,
            Mark::Rule { at, upright } => rule(inner, frame, *at, *upright, ink)?,
        }
    }
    inner.draw(&Raw(&|body: &mut Body, _| body.unclip()))?;
    labels
        .iter()
        .try_for_each(|label| write_label(inner, label))
}

/// Writes a label, over a patch of the page if it stands on lines.
fn write_label(inner: &Area<'_>, label: &sheets::Label) -> Result<(), Failure> {
    if label.backed {
        let half = text::width(&label.text, f64::from(CELL_FONT)) / 2.0 + 20.0;
        let (x, y) = (f64::from(label.at.0), f64::from(label.at.1));
        let corners = ((x - half, y - 75.0), (x + half, y + 75.0));
        inner.draw(&Raw(&|body: &mut Body, origin| {
            block(
                body,
                &Pen::fill(Ink::Page, 0.75),
                origin,
                corners.0,
                corners.1,
            );
        }))?;
    }
    write_text(
        inner,
        &label.text,
        label.at,
        &Words::new(CELL_FONT).middle().centered(),
    )?;
    Ok(())
}

type Pairs<'a> = (&'a [f64], &'a [f64]);

fn places<'a>(frame: &'a Frame, (xs, ys): Pairs<'a>) -> impl Iterator<Item = Option<Place>> + 'a {
    xs.iter().zip(ys).map(|(&x, &y)| frame.place(x, y))
}

fn line(
    inner: &Area<'_>,
    frame: &Frame,
    pairs: Pairs<'_>,
    look: LineLook,
    ink: Ink,
) -> Result<(), Failure> {
    let runs = lines::runs(places(frame, pairs), frame.width, frame.height);
    let width = if look.faint { 10 } else { 18 };
    let pen = Pen {
        alpha: if look.faint { 0.32 } else { 1.0 },
        dash: look.dashed.then_some((60, 40)),
        round: true,
        ..Pen::stroke(ink, width)
    };
    let dot = Pen {
        dash: None,
        ..Pen {
            width: 56,
            ..pen.clone()
        }
    };
    inner.draw(&Raw(&|body: &mut Body, origin| {
        for run in &runs {
            match run[..] {
                // A point on its own would be a line of no length.
                [point] => body.dot(&dot, moved(point, origin)),
                _ => body.polyline(&pen, run.iter().map(|&point| moved(point, origin)), false),
            }
        }
    }))?;
    if look.dots {
        let dots = lines::dots(
            places(frame, pairs).flatten(),
            pairs.0.len(),
            frame.width,
            frame.height,
        );
        draw_dots(inner, &dots, &dot)?;
    }
    Ok(())
}

fn draw_dots(inner: &Area<'_>, dots: &[BackendCoord], pen: &Pen) -> Result<(), Failure> {
    inner.draw(&Raw(&|body: &mut Body, origin| {
        dots.iter()
            .for_each(|&dot| body.dot(pen, moved(dot, origin)));
    }))?;
    Ok(())
}

fn points(inner: &Area<'_>, frame: &Frame, pairs: Pairs<'_>, ink: Ink) -> Result<(), Failure> {
    let dots = lines::dots(
        places(frame, pairs).flatten(),
        pairs.0.len(),
        frame.width,
        frame.height,
    );
    let width = match pairs.0.len() {
        0..100 => 64,
        100..1000 => 48,
        1000..10_000 => 32,
        _ => 20,
    };
    draw_dots(
        inner,
        &dots,
        &Pen {
            alpha: 0.8,
            round: true,
            ..Pen::stroke(ink, width)
        },
    )
}

/// Tenths of a pixel beyond the axes where areas end.
const EDGE: f64 = 150.0;

fn band(
    inner: &Area<'_>,
    frame: &Frame,
    (xs, low, high): (&[f64], &[f64], &[f64]),
    ink: Ink,
) -> Result<(), Failure> {
    // Cut at the axes by moving, not by leaving out: an area that lost a corner would have a slanted edge.
    let inside = |(x, y): Place| (x, y.clamp(-EDGE, frame.height + EDGE));
    let near = |ys: &[f64]| -> Vec<Option<Place>> {
        let places = xs.iter().zip(ys).map(|(&x, &y)| frame.near(x, y));
        places.map(|place| place.map(inside)).collect()
    };
    let (low, high) = (near(low), near(high));
    let mut both: Vec<Vec<(Place, Place)>> = vec![Vec::new()];
    for pair in low.into_iter().zip(high) {
        match (pair, both.last_mut()) {
            ((Some(low), Some(high)), Some(run)) => run.push((low, high)),
            _ => both.push(Vec::new()),
        }
    }
    for run in both.into_iter().filter(|run| run.len() > 1) {
        let (low, high): (Vec<Place>, Vec<Place>) = run.into_iter().unzip();
        let there = lines::runs(low.into_iter().map(Some), 1e9, 1e9);
        let back = lines::runs(high.into_iter().map(Some), 1e9, 1e9);
        let mut outline: Vec<BackendCoord> = there.into_iter().flatten().collect();
        outline.extend(
            back.into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .into_iter()
                .rev(),
        );
        inner.draw(&Raw(&|body: &mut Body, origin| {
            let pen = Pen::fill(ink, 0.2);
            body.polyline(
                &pen,
                outline.iter().map(|&point| moved(point, origin)),
                true,
            );
        }))?;
    }
    Ok(())
}

fn draw_bars(
    inner: &Area<'_>,
    frame: &Frame,
    heights: &[f64],
    (bar, bars): (usize, usize),
    ink: Ink,
) -> Result<(), Failure> {
    let width = 0.8 / bars.max(1) as f64;
    let ground = frame.ground();
    let pen = Pen::fill(ink, 0.85);
    inner.draw(&Raw(&|body: &mut Body, origin| {
        for (at, &height) in heights.iter().enumerate() {
            let from = at as f64 - 0.4 + width * bar as f64;
            let corners = (
                frame.near(from, ground),
                frame.near(from + width * 0.96, height),
            );
            if let (Some(a), Some(b)) = corners {
                block(body, &pen, origin, a, b);
            }
        }
    }))?;
    Ok(())
}

fn histogram(
    inner: &Area<'_>,
    frame: &Frame,
    (edges, counts): (&[f64], &[f64]),
    ink: Ink,
) -> Result<(), Failure> {
    // One outline over all bins: seams between them would shine through.
    let ground = frame.ground();
    let mut outline = Vec::new();
    let mut put = |x: f64, y: f64| outline.extend(frame.near(x, y).map(rounded));
    if let (Some(&first), Some(&last)) = (edges.first(), edges.last()) {
        put(first, ground);
        for (pair, &count) in edges.windows(2).zip(counts) {
            let count = if frame.y.unit(count).is_some() {
                count
            } else {
                ground
            };
            put(pair[0], count);
            put(pair[1], count);
        }
        put(last, ground);
    }
    inner.draw(&Raw(&|body: &mut Body, origin| {
        let outline = || outline.iter().map(|&point| moved(point, origin));
        body.polyline(&Pen::fill(ink, 0.4), outline(), true);
        body.polyline(&Pen::stroke(ink, 12), outline(), false);
    }))?;
    Ok(())
}

fn draw_box(
    inner: &Area<'_>,
    frame: &Frame,
    at: usize,
    found: &Quartiles,
    ink: Ink,
) -> Result<(), Failure> {
    let at = at as f64;
    let [low, lower, middle, upper, high] = found.five;
    let fill = Pen::fill(ink, 0.25);
    let thin = Pen::stroke(ink, 14);
    let thick = Pen::stroke(ink, 26);
    inner.draw(&Raw(&|body: &mut Body, origin| {
        let mut stroke = |pen: &Pen, points: &[(f64, f64)], closed: bool| {
            let places = points.iter().filter_map(|&(x, y)| frame.near(x, y));
            body.polyline(
                pen,
                places.map(|place| moved(rounded(place), origin)),
                closed,
            );
        };
        let corners = [
            (at - 0.28, lower),
            (at + 0.28, lower),
            (at + 0.28, upper),
            (at - 0.28, upper),
        ];
        stroke(&fill, &corners, true);
        stroke(&thin, &corners, true);
        stroke(&thin, &[(at, lower), (at, low)], false);
        stroke(&thin, &[(at, upper), (at, high)], false);
        stroke(&thin, &[(at - 0.14, low), (at + 0.14, low)], false);
        stroke(&thin, &[(at - 0.14, high), (at + 0.14, high)], false);
        stroke(&thick, &[(at - 0.28, middle), (at + 0.28, middle)], false);
    }))?;
    let xs = vec![at; found.outliers.len()];
    let outliers = places(frame, (&xs, &found.outliers)).flatten();
    let dots = lines::dots(outliers, xs.len(), frame.width, frame.height);
    draw_dots(
        inner,
        &dots,
        &Pen {
            round: true,
            alpha: 0.8,
            ..Pen::stroke(ink, 40)
        },
    )
}

fn arrows(
    inner: &Area<'_>,
    frame: &Frame,
    (xs, ys, us, vs): (&[f64], &[f64], &[f64], &[f64]),
    ink: Ink,
) -> Result<(), Failure> {
    let longest = us
        .iter()
        .zip(vs)
        .map(|(u, v)| u.hypot(*v))
        .filter(|length| length.is_finite());
    let longest = longest.fold(0.0, f64::max);
    let apart = (frame.width * frame.height / xs.len().max(1) as f64)
        .sqrt()
        .clamp(60.0, 900.0);
    let pen = Pen {
        round: true,
        ..Pen::stroke(ink, 12)
    };
    let every = xs.len().div_ceil(10_000).max(1);
    inner.draw(&Raw(&|body: &mut Body, origin| {
        for at in (0..xs.len()).step_by(every) {
            let (Some(place), true) = (frame.place(xs[at], ys[at]), longest > 0.0) else {
                continue;
            };
            let (dx, dy) = (
                us[at] / longest * apart * 0.95,
                -vs[at] / longest * apart * 0.95,
            );
            if !(dx.is_finite() && dy.is_finite()) || place.0.abs() > 1e6 || place.1.abs() > 1e6 {
                continue;
            }
            arrow(body, &pen, place, (place.0 + dx, place.1 + dy), origin, 0.3);
        }
    }))?;
    Ok(())
}

/// A line from `a` to `b` with a head that is `head` of its length, but no larger than eight pixels.
pub(super) fn arrow(
    body: &mut Body,
    pen: &Pen,
    a: Place,
    b: Place,
    origin: BackendCoord,
    head: f64,
) {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx.hypot(dy);
    if length < 5.0 {
        return body.dot(
            &Pen {
                width: 2 * pen.width,
                round: true,
                ..pen.clone()
            },
            moved(rounded(a), origin),
        );
    }
    let size = (head * length).min(80.0) / length;
    let wing = |side: f64| {
        (
            b.0 - size * (dx - side * 0.5 * dy),
            b.1 - size * (dy + side * 0.5 * dx),
        )
    };
    body.polyline(pen, [a, b].map(|p| moved(rounded(p), origin)), false);
    body.polyline(
        pen,
        [wing(1.0), b, wing(-1.0)].map(|p| moved(rounded(p), origin)),
        false,
    );
}

fn rule(inner: &Area<'_>, frame: &Frame, at: f64, upright: bool, ink: Ink) -> Result<(), Failure> {
    let place = match upright {
        true => frame.x.unit(at).map(|unit| unit * frame.width),
        false => frame.y.unit(at).map(|unit| (1.0 - unit) * frame.height),
    };
    let Some(place) = place.filter(|place| place.abs() < 1e6) else {
        return Ok(());
    };
    let ends = match upright {
        true => [(place, 0.0), (place, frame.height)],
        false => [(0.0, place), (frame.width, place)],
    };
    let pen = Pen {
        dash: Some((60, 40)),
        ..Pen::stroke(ink, 14)
    };
    inner.draw(&Raw(&|body: &mut Body, origin| {
        body.polyline(&pen, ends.map(|end| moved(rounded(end), origin)), false);
    }))?;
    Ok(())
}
