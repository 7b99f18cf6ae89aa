//! Lines and clouds of points as short as the picture allows: split at gaps, thinned to what pixels can show, and cut off
//! far outside. Works on places; must not know values or colours.

use std::collections::HashSet;

use plotters_backend::BackendCoord;

use super::frame::Place;

/// Lines with fewer points are left alone.
const FEW: usize = 1500;
/// Tenths of a pixel that are one column of a thinned line.
const COLUMN: f64 = 5.0;
/// Points of a line that goes back and forth, at most.
const MOST: usize = 20_000;
/// Tenths of a pixel beyond the rectangle where lines end.
const BEYOND: f64 = 200.0;

/// The parts of a line between its gaps, thinned and cut.
pub(crate) fn runs(
    points: impl Iterator<Item = Option<Place>>,
    width: f64,
    height: f64,
) -> Vec<Vec<BackendCoord>> {
    let mut runs: Vec<Vec<Place>> = vec![Vec::new()];
    for point in points {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs.into_iter()
        .flat_map(|run| cut(&thin(run), width, height))
        .collect()
}

fn thin(run: Vec<Place>) -> Vec<Place> {
    if run.len() <= FEW {
        return run;
    }
    if run.windows(2).all(|pair| pair[0].0 <= pair[1].0) {
        return run
            .chunk_by(|a, b| (a.0 / COLUMN).floor() == (b.0 / COLUMN).floor())
            .flat_map(extremes)
            .collect();
    }
    let mut kept = vec![run[0]];
    for &point in &run[1..] {
        let last = kept[kept.len() - 1];
        if (point.0 - last.0).hypot(point.1 - last.1) >= COLUMN {
            kept.push(point);
        }
    }
    let every = kept.len().div_ceil(MOST).max(1);
    kept.into_iter().step_by(every).collect()
}

/// First, lowest, highest and last of a column, in their order.
fn extremes(column: &[Place]) -> Vec<Place> {
    let by_height = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
    let low = (0..column.len()).min_by(by_height).unwrap_or(0);
    let high = (0..column.len()).max_by(by_height).unwrap_or(0);
    let mut kept = vec![0, low, high, column.len() - 1];
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|at| column[at]).collect()
}

/// The parts within the rectangle and a border round it.
fn cut(run: &[Place], width: f64, height: f64) -> Vec<Vec<BackendCoord>> {
    let bounds = (-BEYOND, -BEYOND, width + BEYOND, height + BEYOND);
    let inside =
        |p: &Place| p.0 >= bounds.0 && p.0 <= bounds.2 && p.1 >= bounds.1 && p.1 <= bounds.3;
    if run.iter().all(inside) {
        return vec![run.iter().copied().map(rounded).collect()];
    }
    let mut parts: Vec<Vec<BackendCoord>> = Vec::new();
    let mut open = false;
    for pair in run.windows(2) {
        let Some((a, b)) = segment(pair[0], pair[1], bounds) else {
            open = false;
            continue;
        };
        match parts.last_mut() {
            Some(part) if open => part.push(rounded(b)),
            _ => parts.push(vec![rounded(a), rounded(b)]),
        }
        open = inside(&pair[1]);
    }
    parts
}

/// The part of a segment within bounds (Liang and Barsky, 1984).
fn segment(a: Place, b: Place, (x0, y0, x1, y1): (f64, f64, f64, f64)) -> Option<(Place, Place)> {
    // Products of larger numbers would not be finite.
    let tame = |p: Place| (p.0.clamp(-1e12, 1e12), p.1.clamp(-1e12, 1e12));
    let (a, b) = (tame(a), tame(b));
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (step, room) in [
        (-dx, a.0 - x0),
        (dx, x1 - a.0),
        (-dy, a.1 - y0),
        (dy, y1 - a.1),
    ] {
        if step == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if step < 0.0 {
            from = from.max(room / step);
        } else {
            to = to.min(room / step);
        }
    }
    let at = |part: f64| (a.0 + dx * part, a.1 + dy * part);
    (from <= to).then(|| (at(from), at(to)))
}

/// Points of a cloud, one for each small square, fewer for many points.
pub(crate) fn dots(
    points: impl Iterator<Item = Place>,
    count: usize,
    width: f64,
    height: f64,
) -> Vec<BackendCoord> {
    let inside =
        |p: &Place| p.0 >= -20.0 && p.0 <= width + 20.0 && p.1 >= -20.0 && p.1 <= height + 20.0;
    let points = points.filter(inside);
    let square = match count {
        0..3_000 => return points.map(rounded).collect(),
        3_000..30_000 => 15.0,
        _ => 30.0,
    };
    let mut taken = HashSet::new();
    let key = |p: &Place| ((p.0 / square).floor() as i32, (p.1 / square).floor() as i32);
    points
        .filter(|p| taken.insert(key(p)))
        .map(rounded)
        .collect()
}

pub(crate) fn rounded(place: Place) -> BackendCoord {
    (place.0.round() as i32, place.1.round() as i32)
}

/// A place of an area on the page.
pub(super) fn moved((x, y): BackendCoord, (x0, y0): BackendCoord) -> BackendCoord {
    (x + x0, y + y0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_points_keep_their_extremes() {
        let wave = (0..1_000_000).map(|i| {
            let x = f64::from(i) / 1e6 * 6000.0;
            let y = if i == 777_777 {
                3000.0
            } else {
                1500.0 + 500.0 * (x / 300.0).sin()
            };
            Some((x, y))
        });
        let runs = runs(wave, 6000.0, 3000.0);
        assert_eq!(runs.len(), 1);
        assert!(runs[0].len() < 5000, "{}", runs[0].len());
        assert!(runs[0].iter().any(|point| point.1 == 3000));
    }

    #[test]
    fn gaps_split_and_the_outside_is_cut_on_the_line() {
        let points = [
            Some((0.0, 0.0)),
            None,
            Some((10.0, 10.0)),
            Some((1e9, 1e9)),
            Some((50.0, 50.0)),
        ];
        let runs = runs(points.into_iter(), 100.0, 100.0);
        assert_eq!(runs[0], [(0, 0)]);
        assert_eq!(runs[1], [(10, 10), (300, 300)]);
        assert_eq!(runs[2], [(300, 300), (50, 50)]);
    }
}
