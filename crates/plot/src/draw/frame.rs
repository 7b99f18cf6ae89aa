//! The rectangle between the axes: from values to tenths of a pixel. Must not draw.

use crate::scale::Scale;

/// A place in tenths of a pixel, not rounded.
pub(crate) type Place = (f64, f64);

/// Two scales over a rectangle whose upper left corner is `(x0, y0)`.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Frame {
    /// Where a point lies; `None` for what the axes cannot show.
    pub(crate) fn place(&self, x: f64, y: f64) -> Option<Place> {
        Some((
            self.x.unit(x)? * self.width,
            (1.0 - self.y.unit(y)?) * self.height,
        ))
    }

    /// The same, kept near the rectangle.
    pub(crate) fn near(&self, x: f64, y: f64) -> Option<Place> {
        let (px, py) = self.place(x, y)?;
        Some((
            px.clamp(-2.0 * self.width, 3.0 * self.width),
            py.clamp(-2.0 * self.height, 3.0 * self.height),
        ))
    }

    /// Where bars stand: at zero if the axis has it, else at its end.
    pub(crate) fn ground(&self) -> f64 {
        let (lo, hi) = self.y.ends();
        0.0f64.clamp(lo, hi)
    }
}
