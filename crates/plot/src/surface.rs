//! Values on a grid over a rectangle of the plane, and their level lines by marching squares. Must not draw.

use crate::number::{Number, floats};

/// Values at the points of an even grid: `rows` x `columns` of them, row by row from the lowest y, each row from the lowest
/// x; the ends of both ranges are grid points.
#[derive(Clone, Debug)]
pub struct Surface {
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) values: Vec<f64>,
}

impl Surface {
    /// From values. A figure refuses them where their number is not `rows * columns`.
    ///
    /// ```
    /// use wgrad_plot::{Figure, Surface};
    /// let surface = Surface::new((0.0, 1.0), (0.0, 2.0), 2, 3, &[0, 1, 2, 3, 4, 5]);
    /// assert!(Figure::new("z").surface(&surface).to_svg().is_ok());
    /// let short = Surface::new((0.0, 1.0), (0.0, 2.0), 2, 3, &[0, 1]);
    /// assert!(Figure::new("z").surface(&short).to_svg().is_err());
    /// ```
    pub fn new<T: Number>(
        x: (f64, f64),
        y: (f64, f64),
        columns: usize,
        rows: usize,
        values: &[T],
    ) -> Surface {
        Surface {
            x,
            y,
            columns,
            rows,
            values: floats(values),
        }
    }

    /// From a function of x and y.
    ///
    /// ```
    /// use wgrad_plot::{Figure, Surface};
    /// let bowl = Surface::of((-1.0, 1.0), (-1.0, 1.0), 41, 41, |x, y| x * x + 3.0 * y * y);
    /// Figure::new("Bowl").contour(&bowl, 8).to_svg()?;
    /// # Ok::<(), wgrad_plot::PlotError>(())
    /// ```
    pub fn of(
        x: (f64, f64),
        y: (f64, f64),
        columns: usize,
        rows: usize,
        mut f: impl FnMut(f64, f64) -> f64,
    ) -> Surface {
        let place = |(lo, hi): (f64, f64), i: usize, n: usize| {
            lo + (hi - lo) * i as f64 / n.saturating_sub(1).max(1) as f64
        };
        let mut values = Vec::with_capacity(columns.saturating_mul(rows));
        for row in 0..rows {
            for column in 0..columns {
                values.push(f(place(x, column, columns), place(y, row, rows)));
            }
        }
        Surface {
            x,
            y,
            columns,
            rows,
            values,
        }
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let (rows, columns) = (self.rows, self.columns);
        let ends = [self.x.0, self.x.1, self.y.0, self.y.1];
        if rows < 2 || columns < 2 {
            return Some(format!(
                "the grid has {rows} x {columns} points, less than 2 x 2"
            ));
        }
        if rows.checked_mul(columns) != Some(self.values.len()) {
            let len = self.values.len();
            return Some(format!(
                "the grid has {rows} x {columns} points, but there are {len} values"
            ));
        }
        if ends.iter().any(|end| !end.is_finite()) || self.x.0 >= self.x.1 || self.y.0 >= self.y.1 {
            return Some(format!(
                "{:?} and {:?} are not two rising ranges",
                self.x, self.y
            ));
        }
        None
    }

    /// The least and the greatest finite value.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        range(&self.values)
    }

    /// With at most `most` points each way.
    pub(crate) fn thinned(&self, most: usize) -> Surface {
        if self.rows <= most && self.columns <= most {
            return self.clone();
        }
        let pick = |n: usize| -> Vec<usize> {
            let kept = n.min(most);
            (0..kept).map(|i| i * (n - 1) / (kept - 1).max(1)).collect()
        };
        let (rows, columns) = (pick(self.rows), pick(self.columns));
        let values = rows.iter().flat_map(|row| {
            columns
                .iter()
                .map(move |column| row * self.columns + column)
        });
        let values = values.map(|at| self.values[at]).collect();
        Surface {
            columns: columns.len(),
            rows: rows.len(),
            values,
            ..*self
        }
    }

    /// The pieces of the line at `level`, as pairs of points.
    pub(crate) fn level(&self, level: f64) -> Vec<[(f64, f64); 2]> {
        let mut pieces = Vec::new();
        for row in 0..self.rows - 1 {
            for column in 0..self.columns - 1 {
                self.cell(row, column, level, &mut pieces);
            }
        }
        pieces
    }

    /// Corners in order round the cell; an edge whose ends lie on both sides is crossed.
    fn cell(&self, row: usize, column: usize, level: f64, pieces: &mut Vec<[(f64, f64); 2]>) {
        let corners = [
            (row, column),
            (row, column + 1),
            (row + 1, column + 1),
            (row + 1, column),
        ];
        let value = |(row, column): (usize, usize)| self.values[row * self.columns + column];
        if corners.iter().any(|&corner| !value(corner).is_finite()) {
            return;
        }
        let above: usize = corners
            .iter()
            .filter(|&&corner| value(corner) >= level)
            .count();
        if above == 0 || above == 4 {
            return;
        }
        let mut crossings = Vec::with_capacity(4);
        for edge in 0..4 {
            let (a, b) = (corners[edge], corners[(edge + 1) % 4]);
            let (va, vb) = (value(a), value(b));
            if (va >= level) != (vb >= level) {
                let part = ((level / 2.0 - va / 2.0) / (vb / 2.0 - va / 2.0)).clamp(0.0, 1.0);
                let (pa, pb) = (self.place(a), self.place(b));
                crossings.push((pa.0 + (pb.0 - pa.0) * part, pa.1 + (pb.1 - pa.1) * part));
            }
        }
        if let [a, b] = crossings[..] {
            pieces.push([a, b]);
        } else if let [a, b, c, d] = crossings[..] {
            // A saddle: the middle decides which corners are joined.
            let middle = corners
                .iter()
                .map(|&corner| value(corner) / 4.0)
                .sum::<f64>();
            let joined = (middle >= level) == (value(corners[0]) >= level);
            pieces.extend(if joined {
                [[a, b], [c, d]]
            } else {
                [[d, a], [b, c]]
            });
        }
    }

    fn place(&self, (row, column): (usize, usize)) -> (f64, f64) {
        let x = self.x.0 + (self.x.1 - self.x.0) * column as f64 / (self.columns - 1) as f64;
        let y = self.y.0 + (self.y.1 - self.y.0) * row as f64 / (self.rows - 1) as f64;
        (x, y)
    }
}

/// The least and the greatest finite value.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((lo, hi)) => Some((f64::min(lo, v), f64::max(hi, v))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_lies_at_its_radius() {
        let surface = Surface::of((-2.0, 2.0), (-2.0, 2.0), 81, 81, |x, y| x * x + y * y);
        let pieces = surface.level(1.03);
        assert!(pieces.len() > 80);
        for point in pieces.iter().flatten() {
            assert!(
                (point.0.hypot(point.1).powi(2) - 1.03).abs() < 1e-3,
                "{point:?}"
            );
        }
        // Every end is the end of one other piece: the line is closed.
        let key = |p: &(f64, f64)| ((p.0 * 1e9).round() as i64, (p.1 * 1e9).round() as i64);
        let mut ends = std::collections::BTreeMap::new();
        for point in pieces.iter().flatten() {
            *ends.entry(key(point)).or_insert(0) += 1;
        }
        assert!(ends.values().all(|&n| n == 2));
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let surface = Surface::of((0.0, 1.0), (0.0, 1.0), 1000, 3, |x, _| x);
        let thin = surface.thinned(10);
        assert_eq!((thin.columns, thin.rows, thin.values.len()), (10, 3, 30));
        assert_eq!((thin.values[0], thin.values[9]), (0.0, 1.0));
    }
}
