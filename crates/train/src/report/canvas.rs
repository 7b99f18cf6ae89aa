//! An RGB canvas with anti-aliased lines and text; what `plotters` does not give without system fonts.
//!
//! Must not know what is drawn. Everything is clipped to the canvas; y points down.

use ab_glyph::{Font, FontRef, PxScale, PxScaleFont, ScaleFont, point};

use super::ReportError;

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// A rectangle in whole pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Rect {
    pub(super) fn new(x: i32, y: i32, w: i32, h: i32) -> Self {
        Self { x, y, w, h }
    }

    /// The rectangle without a border.
    pub(super) fn inset(self, left: i32, top: i32, right: i32, bottom: i32) -> Self {
        let (w, h) = (self.w - left - right, self.h - top - bottom);
        Self::new(self.x + left, self.y + top, w.max(1), h.max(1))
    }

    pub(super) fn right(self) -> i32 {
        self.x + self.w
    }

    pub(super) fn bottom(self) -> i32 {
        self.y + self.h
    }
}

/// Where a text stands relative to its x (or, if vertical, its y).
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks; `size` is pixels per em.
#[derive(Clone, Copy)]
pub(super) struct Style {
    size: f32,
    color: Color,
    bold: bool,
    anchor: Anchor,
    vertical: bool,
}

impl Style {
    pub(super) fn new(size: f32, color: Color) -> Self {
        Self {
            size,
            color,
            bold: false,
            anchor: Anchor::Start,
            vertical: false,
        }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    pub(super) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// Turned to read upwards.
    pub(super) fn vertical(self) -> Self {
        Self {
            vertical: true,
            ..self
        }
    }
}

/// Height of a digit, in ems; centres text on its y.
const DIGIT_HEIGHT: f32 = 0.729;

/// RGB pixels, row by row.
pub(super) struct Picture {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Picture {
    fn new(width: u32, height: u32, background: Color) -> Picture {
        let pixels = width as usize * height as usize;
        Picture {
            width,
            height,
            bytes: background.repeat(pixels),
        }
    }

    fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The pixel in this column and row, if there is one.
    fn pixel_mut(&mut self, x: u32, y: u32) -> Option<&mut [u8]> {
        let at = 3 * (y as usize * self.width as usize + x as usize);
        let inside = x < self.width && y < self.height;
        inside.then(|| &mut self.bytes[at..at + 3])
    }

    /// As a PNG.
    pub(super) fn encode(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()?;
        Ok(out)
    }
}

pub(super) struct Canvas {
    image: Picture,
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32, background: Color) -> Result<Self, ReportError> {
        let font = |bytes| FontRef::try_from_slice(bytes).map_err(|_| ReportError::Font);
        Ok(Self {
            image: Picture::new(width, height, background),
            regular: font(dejavu::sans::regular())?,
            bold: font(dejavu::sans::bold())?,
        })
    }

    pub(super) fn into_image(self) -> Picture {
        self.image
    }

    pub(super) fn blend(&mut self, x: i32, y: i32, color: Color, alpha: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
            return;
        };
        if let Some(pixel) = self.image.pixel_mut(x, y) {
            for (old, new) in pixel.iter_mut().zip(color) {
                let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * alpha;
                *old = mixed.round() as u8;
            }
        }
    }

    pub(super) fn fill(&mut self, rect: Rect, color: Color) {
        for y in rect.y..rect.bottom() {
            for x in rect.x..rect.right() {
                self.blend(x, y, color, 1.0);
            }
        }
    }

    /// A border of `thickness` around `rect`, outside of it.
    pub(super) fn frame(&mut self, rect: Rect, thickness: i32, color: Color) {
        let outer = rect.inset(-thickness, -thickness, -thickness, -thickness);
        let t = thickness;
        self.fill(Rect { h: t, ..outer }, color);
        self.fill(
            Rect {
                y: rect.bottom(),
                h: t,
                ..outer
            },
            color,
        );
        self.fill(Rect { w: t, ..outer }, color);
        self.fill(
            Rect {
                x: rect.right(),
                w: t,
                ..outer
            },
            color,
        );
    }

    pub(super) fn disc(&mut self, (x, y): (f32, f32), radius: f32, color: Color) {
        self.polyline(&[(x, y), (x, y)], 2.0 * radius, color, 1.0);
    }

    /// A line with round joints. Coverage is gathered before blending, so that a translucent line
    /// is even where it crosses itself.
    pub(super) fn polyline(&mut self, points: &[(f32, f32)], width: f32, color: Color, alpha: f32) {
        let Some(mut mask) = Mask::around(points, width, self.image.dimensions()) else {
            return;
        };
        for pair in points.windows(2) {
            mask.segment(pair[0], pair[1], width / 2.0);
        }
        for (i, &coverage) in mask
            .coverage
            .iter()
            .enumerate()
            .filter(|(_, coverage)| **coverage > 0.0)
        {
            let (row, column) = (i as i32 / mask.area.w, i as i32 % mask.area.w);
            self.blend(
                mask.area.x + column,
                mask.area.y + row,
                color,
                coverage * alpha,
            );
        }
    }

    /// Draws `text` with the middle of its digits at `y` (or, if vertical, at `x`).
    pub(super) fn text(&mut self, text: &str, x: f32, y: f32, style: Style) {
        let shift = match style.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -self.width(text, style) / 2.0,
            Anchor::End => -self.width(text, style),
        };
        let drop = (style.size * DIGIT_HEIGHT / 2.0).round();
        let mut pixels = Vec::new();
        self.layout(text, style, |px, py, coverage| {
            pixels.push((px, py, coverage))
        });
        for (px, py, coverage) in pixels {
            let (along, across) = (px + shift.round() as i32, py + drop as i32);
            let (px, py) = if style.vertical {
                (across, -along)
            } else {
                (along, across)
            };
            self.blend(
                x.round() as i32 + px,
                y.round() as i32 + py,
                style.color,
                coverage,
            );
        }
    }

    /// The advance of `text`, in pixels.
    pub(super) fn width(&self, text: &str, style: Style) -> f32 {
        self.layout(text, style, |_, _, _| {})
    }

    /// `text`, or as much of it as fits into `width` pixels with an ellipsis.
    pub(super) fn fit(&self, text: &str, width: f32, style: Style) -> String {
        if self.width(text, style) <= width {
            return text.to_owned();
        }
        let mut kept = String::new();
        for letter in text.chars() {
            if self.width(&format!("{kept}{letter}…"), style) > width {
                break;
            }
            kept.push(letter);
        }
        kept.push('…');
        kept
    }

    /// Calls `pixel` for each covered pixel, from a baseline that starts at (0, 0); gives the advance.
    fn layout(&self, text: &str, style: Style, mut pixel: impl FnMut(i32, i32, f32)) -> f32 {
        let font = scaled(
            if style.bold {
                &self.bold
            } else {
                &self.regular
            },
            style.size,
        );
        let mut pen = 0.0;
        let mut last = None;
        for letter in text.chars() {
            let id = font.glyph_id(if letter.is_control() { ' ' } else { letter });
            pen += last.map_or(0.0, |last| font.kern(last, id));
            let glyph = id.with_scale_and_position(font.scale(), point(pen, 0.0));
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, coverage| {
                    pixel(
                        corner.x as i32 + x as i32,
                        corner.y as i32 + y as i32,
                        coverage.min(1.0),
                    );
                });
            }
            pen += font.h_advance(id);
            last = Some(id);
        }
        pen
    }

    /// Draws a picture of `channels` 1 or 3 into `rect`: whole pixels if it grows, means if it shrinks.
    pub(super) fn picture(&mut self, rect: Rect, pixels: &[u8], (width, height): (usize, usize)) {
        let channels = pixels.len() / (width * height);
        for y in 0..rect.h {
            for x in 0..rect.w {
                let columns = source_range(x, rect.w, width);
                let rows = source_range(y, rect.h, height);
                let color = [0, 1, 2].map(|channel| {
                    mean(
                        pixels,
                        width,
                        channels,
                        rows.clone(),
                        columns.clone(),
                        channel.min(channels - 1),
                    )
                });
                self.blend(rect.x + x, rect.y + y, color, 1.0);
            }
        }
    }
}

/// The pixels of a picture side of `size` that one of `drawn` pixels shows; never empty.
fn source_range(at: i32, drawn: i32, size: usize) -> std::ops::Range<usize> {
    let (at, drawn) = (at as usize, drawn as usize);
    let start = at * size / drawn;
    start..((at + 1) * size / drawn).max(start + 1)
}

fn mean(
    pixels: &[u8],
    width: usize,
    channels: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    channel: usize,
) -> u8 {
    let count = rows.len() * columns.len();
    let at = |(row, column): (usize, usize)| {
        usize::from(pixels[(row * width + column) * channels + channel])
    };
    let sum: usize = rows
        .flat_map(|row| columns.clone().map(move |column| (row, column)))
        .map(at)
        .sum();
    (sum / count) as u8
}

/// `ab_glyph` scales by the font's height, the rest of the world by its em.
fn scaled<'a>(font: &'a FontRef<'static>, size: f32) -> PxScaleFont<&'a FontRef<'static>> {
    let ems = font.height_unscaled() / font.units_per_em().unwrap_or(2048.0);
    font.as_scaled(PxScale::from(size * ems))
}

/// Coverage of a part of the canvas.
struct Mask {
    area: Rect,
    coverage: Vec<f32>,
}

impl Mask {
    /// `None` if nothing of the line lies on the canvas, or a point is not finite.
    fn around(points: &[(f32, f32)], width: f32, (columns, rows): (u32, u32)) -> Option<Self> {
        if points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
            return None;
        }
        let (columns, rows) = (columns as f32, rows as f32);
        let reach = width / 2.0 + 1.0;
        let low = |side: f32, limit: f32| (side - reach).floor().clamp(0.0, limit) as i32;
        let high = |side: f32, limit: f32| (side + reach).ceil().clamp(0.0, limit) as i32;
        let min = points
            .iter()
            .copied()
            .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))?;
        let max = points
            .iter()
            .copied()
            .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
        let (x, y) = (low(min.0, columns), low(min.1, rows));
        let (w, h) = (high(max.0, columns) - x, high(max.1, rows) - y);
        (w > 0 && h > 0).then(|| Self {
            area: Rect::new(x, y, w, h),
            coverage: vec![0.0; (w * h) as usize],
        })
    }

    fn segment(&mut self, a: (f32, f32), b: (f32, f32), radius: f32) {
        let reach = radius + 1.0;
        let area = self.area;
        let span = |a: f32, b: f32, start: i32, size: i32| {
            let low = ((a.min(b) - reach).floor() as i32 - start).clamp(0, size);
            low..((a.max(b) + reach).ceil() as i32 - start).clamp(low, size)
        };
        for row in span(a.1, b.1, area.y, area.h) {
            for column in span(a.0, b.0, area.x, area.w) {
                let center = ((area.x + column) as f32 + 0.5, (area.y + row) as f32 + 0.5);
                let coverage = (radius + 0.5 - distance(center, a, b)).clamp(0.0, 1.0);
                let cell = &mut self.coverage[(row * area.w + column) as usize];
                *cell = cell.max(coverage);
            }
        }
    }
}

/// From `p` to the segment `a`–`b`.
fn distance(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let t = if length > 0.0 {
        ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length
    } else {
        0.0
    };
    let t = t.clamp(0.0, 1.0);
    (p.0 - a.0 - t * dx).hypot(p.1 - a.1 - t * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Color = [255; 3];
    const BLACK: Color = [0; 3];

    fn dark(canvas: &Canvas) -> usize {
        let pixels = canvas.image.bytes.chunks(3);
        pixels.filter(|pixel| pixel[0] < 128).count()
    }

    #[test]
    fn lines_cover_their_area() {
        let mut canvas = Canvas::new(40, 20, WHITE).unwrap();
        canvas.polyline(&[(5.0, 10.0), (35.0, 10.0)], 4.0, BLACK, 1.0);
        assert!((115..=140).contains(&dark(&canvas)), "{}", dark(&canvas));
    }

    #[test]
    fn what_lies_outside_is_clipped() {
        let mut canvas = Canvas::new(10, 10, WHITE).unwrap();
        canvas.fill(Rect::new(-5, -5, 3, 3), BLACK);
        canvas.polyline(&[(-50.0, -50.0), (-40.0, 90.0)], 3.0, BLACK, 1.0);
        canvas.polyline(&[(f32::NAN, 1.0), (2.0, f32::INFINITY)], 3.0, BLACK, 1.0);
        canvas.text("outside", 500.0, -300.0, Style::new(14.0, BLACK));
        assert_eq!(dark(&canvas), 0);
    }

    #[test]
    fn text_is_drawn_and_measured() {
        let style = Style::new(20.0, BLACK);
        for style in [style, style.bold(), style.vertical().anchor(Anchor::Middle)] {
            let mut canvas = Canvas::new(200, 200, WHITE).unwrap();
            canvas.text("Loss 0.25 żółć 手\n", 100.0, 100.0, style);
            assert!(dark(&canvas) > 100);
        }
        let canvas = Canvas::new(1, 1, WHITE).unwrap();
        assert!((canvas.width("00", style) - 2.0 * canvas.width("0", style)).abs() < 0.01);
        let short = canvas.fit("a long label", 60.0, style);
        assert!(
            short.ends_with('…') && canvas.width(&short, style) <= 60.0,
            "{short}"
        );
    }

    #[test]
    fn pictures_grow_and_shrink() {
        let mut canvas = Canvas::new(8, 4, BLACK).unwrap();
        canvas.picture(Rect::new(0, 0, 4, 4), &[10, 20, 30, 40], (2, 2));
        assert_eq!(*canvas.image.pixel_mut(3, 0).unwrap(), [20; 3]);
        assert_eq!(*canvas.image.pixel_mut(1, 3).unwrap(), [30; 3]);
        canvas.picture(Rect::new(4, 0, 1, 1), &[0, 0, 9, 2, 4, 9], (2, 1));
        assert_eq!(*canvas.image.pixel_mut(4, 0).unwrap(), [1, 2, 9]);
    }
}
