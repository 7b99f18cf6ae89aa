//! Drawing on a small grey canvas: strokes by distance, blur, and the way to bytes. Knows nothing
//! of digits.

use super::{PIXELS, SIZE};
use crate::rng::Rng;

/// A pen whose radius changes linearly along a stroke, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    start: f32,
    end: f32,
}

impl Pen {
    /// A pen of about `radius`.
    pub(super) fn random(rng: &mut Rng, radius: f32) -> Self {
        Self {
            start: radius * rng.range(0.8, 1.15),
            end: radius * rng.range(0.7, 1.15),
        }
    }

    /// The radius at `t` from 0, the stroke's start, to 1.
    pub(super) fn radius(self, t: f32) -> f32 {
        self.start + (self.end - self.start) * t
    }
}

/// `[28, 28]` of ink from 0 to 1; pixel (x, y) covers the square from (x, y) to (x + 1, y + 1).
pub(super) struct Canvas {
    ink: [f32; PIXELS],
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { ink: [0.0; PIXELS] }
    }

    pub(super) fn clear(&mut self) {
        self.ink = [0.0; PIXELS];
    }

    /// Draws a segment with round ends whose radius goes from `r0` at `from` to `r1` at `to`.
    ///
    /// A pixel's ink is the radius minus its centre's distance plus a half, within 0 and 1: the
    /// covered part of a pixel that a straight edge crosses. Where strokes overlap the darker stays.
    pub(super) fn segment(&mut self, from: [f32; 2], to: [f32; 2], r0: f32, r1: f32) {
        let reach = r0.max(r1) + 0.5;
        let (x0, x1) = pixel_range(from[0].min(to[0]) - reach, from[0].max(to[0]) + reach);
        let (y0, y1) = pixel_range(from[1].min(to[1]) - reach, from[1].max(to[1]) + reach);
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length2 = dx * dx + dy * dy;
        // A point: any t will do, and the division must not make NaN.
        let scale = if length2 > 1e-12 { 1.0 / length2 } else { 0.0 };
        for y in y0..y1 {
            let py = y as f32 + 0.5 - from[1];
            let row = &mut self.ink[y * SIZE + x0.min(x1)..y * SIZE + x1];
            for (x, ink) in row.iter_mut().enumerate() {
                let px = (x0 + x) as f32 + 0.5 - from[0];
                let t = ((px * dx + py * dy) * scale).clamp(0.0, 1.0);
                let (ex, ey) = (px - t * dx, py - t * dy);
                let distance = (ex * ex + ey * ey).sqrt();
                let cover = r0 + (r1 - r0) * t + 0.5 - distance;
                *ink = ink.max(cover.min(1.0));
            }
        }
    }

    /// Moves `weight` (up to a third) of each pixel's ink to each of its two neighbours, along the
    /// rows and then along the columns; what crosses the border is lost.
    pub(super) fn blur(&mut self, weight: f32) {
        let centre = 1.0 - 2.0 * weight;
        for row in self.ink.chunks_exact_mut(SIZE) {
            let mut left = 0.0;
            for x in 0..SIZE {
                let (here, right) = (row[x], if x + 1 < SIZE { row[x + 1] } else { 0.0 });
                row[x] = centre * here + weight * (left + right);
                left = here;
            }
        }
        let mut above = [0.0; SIZE];
        for y in 0..SIZE {
            let (head, below) = self.ink.split_at_mut((y + 1) * SIZE);
            let row = &mut head[y * SIZE..];
            for x in 0..SIZE {
                let (here, under) = (row[x], below.get(x).copied().unwrap_or(0.0));
                row[x] = centre * here + weight * (above[x] + under);
                above[x] = here;
            }
        }
    }

    /// Writes bytes: `ink` is the grey of full ink, `noise` the half-width of uniform noise. Noise
    /// below zero is cut off, so about half of a noisy background stays 0.
    pub(super) fn write(&self, rng: &mut Rng, ink: f32, noise: f32, out: &mut [u8]) {
        if noise <= 0.0 {
            for (byte, &cover) in out.iter_mut().zip(&self.ink) {
                *byte = (cover * ink + 0.5) as u8;
            }
            return;
        }
        let scale = noise * (1.0 / 127.5);
        for (bytes, covers) in out.chunks_mut(8).zip(self.ink.chunks(8)) {
            let word = rng.word().to_le_bytes();
            for ((byte, &cover), random) in bytes.iter_mut().zip(covers).zip(word) {
                // The cast saturates at 0 and 255.
                *byte = (cover * ink + (f32::from(random) - 127.5) * scale + 0.5) as u8;
            }
        }
    }
}

/// The pixels whose squares touch `low..high`, within the canvas.
fn pixel_range(low: f32, high: f32) -> (usize, usize) {
    // The casts saturate, so a point far outside gives an empty range.
    (
        low.max(0.0) as usize,
        (high.max(0.0) as usize + 1).min(SIZE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(canvas: &Canvas, x: usize, y: usize) -> f32 {
        canvas.ink[y * SIZE + x]
    }

    #[test]
    fn segment_covers_by_distance() {
        let mut canvas = Canvas::new();
        canvas.segment([5.0, 10.5], [20.0, 10.5], 1.5, 1.5);
        assert_eq!(
            [8, 9, 10, 11, 12].map(|y| at(&canvas, 12, y)),
            [0.0, 1.0, 1.0, 1.0, 0.0]
        );
        assert_eq!(at(&canvas, 25, 10), 0.0);
    }

    #[test]
    fn segments_outside_and_points_are_harmless() {
        let mut canvas = Canvas::new();
        canvas.segment([-50.0, -50.0], [-40.0, -60.0], 1.0, 2.0);
        canvas.segment([100.0, 5.0], [90.0, 400.0], 1.0, 2.0);
        assert!(canvas.ink.iter().all(|&ink| ink == 0.0));
        canvas.segment([3.5, 3.5], [3.5, 3.5], 0.5, 0.5);
        assert_eq!(canvas.ink.iter().sum::<f32>(), 1.0);
        assert_eq!(at(&canvas, 3, 3), 1.0);
    }

    #[test]
    fn blur_keeps_the_ink() {
        let mut canvas = Canvas::new();
        canvas.ink[14 * SIZE + 14] = 1.0;
        canvas.blur(0.25);
        let row = [13, 14, 15].map(|x| at(&canvas, x, 13));
        assert_eq!(row, [0.0625, 0.125, 0.0625]);
        assert_eq!(at(&canvas, 14, 14), 0.25);
        assert_eq!(canvas.ink.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn bytes_saturate() {
        let mut canvas = Canvas::new();
        canvas.ink[..PIXELS / 2].fill(1.0);
        let mut out = vec![7; PIXELS];
        canvas.write(&mut Rng::new(0, 0, 0), 200.0, 0.0, &mut out);
        assert_eq!((out[0], out[PIXELS - 1]), (200, 0));
        canvas.write(&mut Rng::new(0, 0, 0), 255.0, 40.0, &mut out);
        assert!(out[..PIXELS / 2].iter().all(|&p| p >= 214));
        assert!(out[PIXELS / 2..].iter().all(|&p| p <= 41));
    }
}
