//! From a skeleton in its unit box to strokes on the canvas: wobble, slant, scale, rotation, shift.

use super::SIZE;
use super::glyphs::{Knot, Stroke};
use super::raster::{Canvas, Pen};
use crate::rng::Rng;

/// Pixels from the top to the bottom of an undistorted digit.
const HEIGHT: f32 = 19.0;
/// Straight pieces to a curved span between two knots.
const PIECES: usize = 5;
/// The most knots a stroke may have.
const MAX_KNOTS: usize = 16;

/// One random hand: how the points of a digit's skeleton move.
pub(super) struct Warp {
    waves: [Wave; 2],
    /// Independent displacement of each knot, in parts of the box.
    jitter: f32,
    /// Row-major 2x2 matrix from the centred box to pixels.
    matrix: [f32; 4],
    shift: [f32; 2],
}

impl Warp {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let waves = [Wave::random(rng), Wave::random(rng)];
        let scale_y = HEIGHT * rng.range(0.84, 1.12);
        let scale_x = scale_y * rng.range(0.78, 1.12);
        let slant = 0.13 * rng.bell();
        let turns = 0.016 * rng.bell();
        let (sin, cos) = (sin_turns(turns), sin_turns(turns + 0.25));
        // rotation * [[1, -slant], [0, 1]] * scale; y points down, so slant leans to the right.
        let (xy, yy) = (-slant * scale_y, scale_y);
        Self {
            waves,
            jitter: rng.range(0.005, 0.02),
            matrix: [
                cos * scale_x,
                cos * xy - sin * yy,
                sin * scale_x,
                sin * xy + cos * yy,
            ],
            shift: [rng.range(-2.5, 2.5), rng.range(-2.1, 2.1)],
        }
    }

    /// A point of the unit box, in pixels.
    fn apply(&self, rng: &mut Rng, [x, y]: [f32; 2]) -> [f32; 2] {
        let dx = self.waves[0].at(x, y) + self.jitter * rng.bell();
        let dy = self.waves[1].at(x, y) + self.jitter * rng.bell();
        let (x, y) = (x + dx - 0.5, y + dy - 0.5);
        let [a, b, c, d] = self.matrix;
        let centre = SIZE as f32 * 0.5;
        [
            centre + self.shift[0] + a * x + b * y,
            centre + self.shift[1] + c * x + d * y,
        ]
    }

    /// Draws a stroke: a cubic Hermite span between each two knots, straight between corners.
    pub(super) fn draw_stroke(&self, rng: &mut Rng, stroke: Stroke, pen: Pen, canvas: &mut Canvas) {
        let mut points = [[0.0; 2]; MAX_KNOTS];
        let stroke = &stroke[..stroke.len().min(MAX_KNOTS)];
        for (point, knot) in points.iter_mut().zip(stroke) {
            *point = self.apply(rng, [knot.x, knot.y]);
        }
        let points = &points[..stroke.len()];
        let n_spans = stroke.len().saturating_sub(1);
        let step = 1.0 / n_spans.max(1) as f32;
        for i in 0..n_spans {
            let (start, end) = (i as f32 * step, (i + 1) as f32 * step);
            draw_span(
                stroke,
                points,
                i,
                (pen.radius(start), pen.radius(end)),
                canvas,
            );
        }
    }
}

/// The span from knot `i` to the next, with the pen's radius at its two ends.
fn draw_span(
    stroke: &[Knot],
    points: &[[f32; 2]],
    i: usize,
    (r0, r1): (f32, f32),
    canvas: &mut Canvas,
) {
    let (p0, p1) = (points[i], points[i + 1]);
    if stroke[i].corner && stroke[i + 1].corner {
        canvas.segment(p0, p1, r0, r1);
        return;
    }
    let (m0, m1) = (
        tangent(stroke, points, i, p0, p1),
        tangent(stroke, points, i + 1, p0, p1),
    );
    let (mut from, mut from_r) = (p0, r0);
    for piece in 1..=PIECES {
        let t = piece as f32 / PIECES as f32;
        let to = [0, 1].map(|k| hermite(t, p0[k], m0[k], p1[k], m1[k]));
        let to_r = r0 + (r1 - r0) * t;
        canvas.segment(from, to, from_r, to_r);
        (from, from_r) = (to, to_r);
    }
}

/// Catmull and Rom's tangent, half the chord between the neighbours; at a corner or an end the chord
/// of the span itself, which lets the curve run straight into it.
fn tangent(stroke: &[Knot], points: &[[f32; 2]], i: usize, p0: [f32; 2], p1: [f32; 2]) -> [f32; 2] {
    let inner = i > 0 && i + 1 < points.len() && !stroke[i].corner;
    if !inner {
        return [p1[0] - p0[0], p1[1] - p0[1]];
    }
    let (before, after) = (points[i - 1], points[i + 1]);
    [0.5 * (after[0] - before[0]), 0.5 * (after[1] - before[1])]
}

/// The cubic with values `p0`, `p1` and derivatives `m0`, `m1` at 0 and 1.
fn hermite(t: f32, p0: f32, m0: f32, p1: f32, m1: f32) -> f32 {
    let (t2, t3) = (t * t, t * t * t);
    let blend = 3.0 * t2 - 2.0 * t3;
    p0 + (p1 - p0) * blend + m0 * (t3 - 2.0 * t2 + t) + m1 * (t3 - t2)
}

/// A smooth displacement over the box: about one period across it.
struct Wave {
    amplitude: f32,
    frequency: [f32; 2],
    phase: f32,
}

impl Wave {
    fn random(rng: &mut Rng) -> Self {
        Self {
            amplitude: rng.range(0.0, 0.08),
            frequency: [rng.range(-1.1, 1.1), rng.range(-1.1, 1.1)],
            phase: rng.unit(),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let turns = self.frequency[0] * x + self.frequency[1] * y + self.phase;
        self.amplitude * sin_turns(turns)
    }
}

/// sin(2 pi `turns`) to 4e-6, the same bits on every machine: Taylor's series to the ninth power on
/// a quarter turn to either side.
fn sin_turns(turns: f32) -> f32 {
    let reduced = turns - (turns + 0.5).floor();
    let folded = if reduced > 0.25 {
        0.5 - reduced
    } else if reduced < -0.25 {
        -0.5 - reduced
    } else {
        reduced
    };
    let x = folded * std::f32::consts::TAU;
    let x2 = x * x;
    let tail = 1.0 / 120.0 + x2 * (-1.0 / 5040.0 + x2 * (1.0 / 362_880.0));
    x + x * x2 * (-1.0 / 6.0 + x2 * tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::glyphs;

    #[test]
    fn sine_is_accurate() {
        for i in -3000..3000 {
            let turns = i as f32 / 1000.0;
            let exact = (f64::from(turns) * std::f64::consts::TAU).sin();
            assert!(
                (f64::from(sin_turns(turns)) - exact).abs() < 6e-6,
                "{turns}"
            );
        }
    }

    #[test]
    fn no_stroke_has_more_knots_than_are_drawn() {
        let strokes = (0..10).flat_map(glyphs::variants).copied().flatten();
        assert!(
            strokes
                .clone()
                .all(|stroke| (2..=MAX_KNOTS).contains(&stroke.len()))
        );
        assert!(strokes.count() > 20);
    }

    #[test]
    fn spans_meet_their_knots() {
        assert_eq!(hermite(0.0, 3.0, 5.0, 7.0, -2.0), 3.0);
        assert_eq!(hermite(1.0, 3.0, 5.0, 7.0, -2.0), 7.0);
    }
}
