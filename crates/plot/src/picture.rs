//! One image of an image grid or a film strip: pixels and a caption. Must not place it.

use crate::bitmap::{Bitmap, Kind};
use crate::number::Number;

/// A small image with a caption.
///
/// ```
/// use wgrad_plot::{Figure, Picture};
/// let digit = Picture::grey(2, 2, &[0, 255, 255, 0]).caption("7, not 1").right(false);
/// Figure::new("Mistakes").images(&[digit]).to_svg()?;
/// # Ok::<(), wgrad_plot::PlotError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Picture {
    pub(crate) pixels: Result<Bitmap, String>,
    pub(crate) caption: String,
    pub(crate) right: Option<bool>,
}

impl Picture {
    fn of(width: usize, height: usize, bytes: Vec<u8>, kind: Kind, channels: usize) -> Picture {
        let area = width
            .checked_mul(height)
            .and_then(|area| area.checked_mul(channels));
        let side = |side: usize| u32::try_from(side).ok().filter(|&side| side > 0);
        let pixels = match (area == Some(bytes.len()), side(width), side(height)) {
            (true, Some(width), Some(height)) => Ok(Bitmap {
                width,
                height,
                kind,
                bytes,
            }),
            _ => Err(format!(
                "{} bytes are no image of {height} x {width} x {channels}",
                bytes.len()
            )),
        };
        Picture {
            pixels,
            caption: String::new(),
            right: None,
        }
    }

    /// Grey bytes `[height, width]`, 0 black. A figure refuses bytes that do not fit.
    pub fn grey(width: usize, height: usize, bytes: &[u8]) -> Picture {
        Picture::of(width, height, bytes.to_vec(), Kind::Grey, 1)
    }

    /// RGB bytes `[height, width, 3]`.
    pub fn rgb(width: usize, height: usize, bytes: &[u8]) -> Picture {
        Picture::of(width, height, bytes.to_vec(), Kind::Rgb, 3)
    }

    /// Numbers `[channels, height, width]` with 1 or 3 channels, as networks hold images: `range.0` becomes 0, `range.1`
    /// 255. What is not finite becomes 0.
    ///
    /// ```
    /// use wgrad_plot::{Figure, Picture};
    /// let generated = Picture::floats(2, 1, &[-1.0, 1.0], (-1.0, 1.0));
    /// Figure::new("Samples").images(&[generated]).to_svg()?;
    /// # Ok::<(), wgrad_plot::PlotError>(())
    /// ```
    pub fn floats<T: Number>(
        width: usize,
        height: usize,
        values: &[T],
        range: (f64, f64),
    ) -> Picture {
        let byte = |value: T| {
            let at = (value.to_f64() - range.0) / (range.1 - range.0);
            (at.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let area = width.saturating_mul(height);
        let color = area > 0 && Some(values.len()) == area.checked_mul(3);
        if color {
            let bytes =
                (0..area).flat_map(|at| [0, 1, 2].map(|channel| byte(values[channel * area + at])));
            return Picture::of(width, height, bytes.collect(), Kind::Rgb, 3);
        }
        let bytes = values.iter().map(|&value| byte(value)).collect();
        Picture::of(width, height, bytes, Kind::Grey, 1)
    }

    /// What stands below it.
    #[must_use]
    pub fn caption(mut self, text: impl Into<String>) -> Picture {
        self.caption = text.into();
        self
    }

    /// Whether what was predicted is right: the caption is green or red, with a mark for who does not see these colours.
    #[must_use]
    pub fn right(mut self, is: bool) -> Picture {
        self.right = Some(is);
        self
    }
}
