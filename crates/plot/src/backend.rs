//! What `plotters` draws, as SVG. Coordinates are tenths of a pixel. Each colour of the theme is written twice: as an
//! attribute, for viewers without style sheets, and as a class, by which the dark form changes it. Neighbours of one style
//! become one path, so that files stay small. Must not know what a figure is.

use std::convert::Infallible;
use std::fmt::Write as _;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle, FontTransform,
};

use crate::text;
use crate::theme::{Ink, Theme};

type Outcome = Result<(), DrawingErrorKind<Infallible>>;

/// Tenths of a pixel in a pixel.
pub(crate) const UNIT: f64 = 10.0;

/// How a path is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pen {
    pub(crate) ink: Ink,
    pub(crate) alpha: f64,
    /// Tenths of a pixel; 0 fills.
    pub(crate) width: u32,
    /// Tenths of a pixel, on and off.
    pub(crate) dash: Option<(u32, u32)>,
    pub(crate) round: bool,
    /// Edges without shades of their own: areas that touch show no line between them.
    pub(crate) crisp: bool,
}

impl Pen {
    pub(crate) fn stroke(ink: Ink, width: u32) -> Pen {
        Pen {
            ink,
            alpha: 1.0,
            width,
            dash: None,
            round: false,
            crisp: false,
        }
    }

    pub(crate) fn fill(ink: Ink, alpha: f64) -> Pen {
        Pen {
            alpha,
            ..Pen::stroke(ink, 0)
        }
    }
}

/// The elements of one figure, as far as they are drawn.
#[derive(Debug)]
pub(crate) struct Body {
    out: String,
    dark: bool,
    path: Option<(Pen, String, Option<BackendCoord>)>,
    clips: usize,
}

/// Stands for the figure's own prefix of identifiers until its content is known.
const PREFIX: &str = "\u{1}";

impl Body {
    pub(crate) fn new(theme: Theme) -> Body {
        Body {
            out: String::new(),
            dark: theme == Theme::Dark,
            path: None,
            clips: 0,
        }
    }

    /// The elements. Identifiers begin with a number made from the content, so that figures on one page do not share any.
    pub(crate) fn finish(mut self) -> String {
        self.flush();
        let hash = self
            .out
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        self.out.replace(PREFIX, &format!("w{hash:016x}"))
    }

    fn flush(&mut self) {
        let Some((pen, path, _)) = self.path.take() else {
            return;
        };
        if path.is_empty() {
            return;
        }
        let _ = write!(self.out, "<path d=\"{path}\"");
        if pen.width == 0 {
            let fill = self.paint("fill", pen.ink, pen.alpha);
            let crisp = if pen.crisp {
                " shape-rendering=\"crispEdges\""
            } else {
                ""
            };
            let _ = write!(self.out, "{fill}{crisp}");
        } else {
            let stroke = self.paint("stroke", pen.ink, pen.alpha);
            let width = decimal(pen.width as i32);
            let _ = write!(self.out, " fill=\"none\"{stroke} stroke-width=\"{width}\"");
            if let Some((on, off)) = pen.dash {
                let (on, off) = (decimal(on as i32), decimal(off as i32));
                let _ = write!(self.out, " stroke-dasharray=\"{on} {off}\"");
            }
            let _ = match pen.round {
                true => write!(
                    self.out,
                    " stroke-linecap=\"round\" stroke-linejoin=\"round\""
                ),
                false => write!(self.out, " stroke-linejoin=\"round\""),
            };
        }
        self.out.push_str("/>\n");
    }

    /// Attributes of a colour.
    fn paint(&self, what: &str, ink: Ink, alpha: f64) -> String {
        let mut text = String::new();
        if let Some(number) = ink.number() {
            let _ = write!(text, " class=\"w{}{number}\"", &what[..1]);
        }
        let _ = write!(text, " {what}=\"{}\"", ink.hex(self.dark));
        if alpha < 0.999 {
            let _ = write!(text, " {what}-opacity=\"{}\"", trimmed(alpha));
        }
        text
    }

    /// The path that goes on in this style.
    fn path(&mut self, pen: &Pen) -> &mut (Pen, String, Option<BackendCoord>) {
        let same = self.path.as_ref().is_some_and(|(old, ..)| old == pen);
        if !same {
            self.flush();
        }
        self.path
            .get_or_insert_with(|| (pen.clone(), String::new(), None))
    }

    /// A polyline, or a polygon where it is closed.
    pub(crate) fn polyline(
        &mut self,
        pen: &Pen,
        points: impl IntoIterator<Item = BackendCoord>,
        closed: bool,
    ) {
        let (_, path, _) = self.path(pen);
        let mut last: Option<BackendCoord> = None;
        let mut lines = 0;
        for (x, y) in points {
            match last {
                None => {
                    let _ = write!(path, "M{} {}", decimal(x), decimal(y));
                }
                Some(same) if same == (x, y) => continue,
                Some((px, py)) => {
                    let (dx, dy) = (decimal(x - px), decimal(y - py));
                    // One letter serves all lines that follow.
                    let before = match (lines, dx.starts_with('-')) {
                        (0, _) => "l",
                        (_, true) => "",
                        (_, false) => " ",
                    };
                    let space = if dy.starts_with('-') { "" } else { " " };
                    let _ = write!(path, "{before}{dx}{space}{dy}");
                    lines += 1;
                }
            }
            last = Some((x, y));
        }
        if closed && last.is_some() {
            path.push('z');
        }
    }

    /// A round dot, the width of the pen across; many become one path.
    pub(crate) fn dot(&mut self, pen: &Pen, (x, y): BackendCoord) {
        let (_, path, last) = self.path(pen);
        let _ = match *last {
            // From the end of the dot before, which has no length.
            Some((px, py)) => write!(path, "m{} {}h0", decimal(x - px), decimal(y - py)),
            None => write!(path, "M{} {}h0", decimal(x), decimal(y)),
        };
        *last = Some((x, y));
    }

    /// Whatever is drawn until [`Body::unclip`] is cut off at this rectangle.
    pub(crate) fn clip(&mut self, (x0, y0): BackendCoord, (x1, y1): BackendCoord) {
        self.flush();
        let number = self.clips;
        self.clips += 1;
        let (x, y, w, h) = (decimal(x0), decimal(y0), decimal(x1 - x0), decimal(y1 - y0));
        let _ = writeln!(
            self.out,
            "<clipPath id=\"{PREFIX}c{number}\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/></clipPath><g clip-path=\"url(#{PREFIX}c{number})\">"
        );
    }

    pub(crate) fn unclip(&mut self) {
        self.flush();
        self.out.push_str("</g>\n");
    }

    /// Pixels given as an address, over this rectangle, without smoothing.
    pub(crate) fn image(&mut self, uri: &str, (x0, y0): BackendCoord, (x1, y1): BackendCoord) {
        self.flush();
        let (x, y, w, h) = (decimal(x0), decimal(y0), decimal(x1 - x0), decimal(y1 - y0));
        let _ = writeln!(
            self.out,
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" image-rendering=\"optimizeSpeed\" style=\"image-rendering:pixelated\" href=\"{uri}\"/>"
        );
    }

    /// A text whose anchor is `(x, y)`.
    fn text(&mut self, content: &str, style: &impl BackendTextStyle, (x, y): BackendCoord) {
        self.flush();
        let color = style.color();
        let size = style.size();
        // From the anchor to the baseline, for fonts as tall as most are.
        let down = match style.anchor().v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.35,
            VPos::Bottom => -0.22,
        };
        let down = (down * size) as i32;
        let (angle, bx, by) = match style.transform() {
            FontTransform::None => (0, x, y + down),
            FontTransform::Rotate90 => (90, x - down, y),
            FontTransform::Rotate180 => (180, x, y - down),
            FontTransform::Rotate270 => (-90, x + down, y),
        };
        let (bx, by) = (decimal(bx), decimal(by));
        let _ = write!(self.out, "<text x=\"{bx}\" y=\"{by}\"");
        if angle != 0 {
            let _ = write!(self.out, " transform=\"rotate({angle} {bx} {by})\"");
        }
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        let bold = match style.style() {
            FontStyle::Bold => " font-weight=\"600\"",
            _ => "",
        };
        let fill = self.paint("fill", Ink::of(color.rgb), color.alpha);
        let size = trimmed(size / UNIT);
        let content = text::escape(content);
        let _ = writeln!(
            self.out,
            "{anchor}{bold} font-size=\"{size}\"{fill}>{content}</text>"
        );
    }
}

/// Tenths as a decimal number, as short as it goes.
pub(crate) fn decimal(tenths: i32) -> String {
    let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    let sign = if tenths < 0 { "-" } else { "" };
    match (whole, tenth) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, tenth) => format!("{sign}.{tenth}"),
        (whole, tenth) => format!("{sign}{whole}.{tenth}"),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The backend that `plotters` draws on.
#[derive(Debug)]
pub(crate) struct Svg<'a> {
    pub(crate) body: &'a mut Body,
    /// Tenths of a pixel.
    pub(crate) size: (u32, u32),
}

fn pen(style: &impl BackendStyle, fill: bool) -> Option<Pen> {
    let BackendColor { alpha, rgb } = style.color();
    let ink = Ink::of(rgb);
    let pen = match fill {
        true => Pen::fill(ink, alpha),
        false => Pen {
            alpha,
            ..Pen::stroke(ink, style.stroke_width().max(1))
        },
    };
    (alpha > 0.0).then_some(pen)
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Outcome {
        Ok(())
    }

    fn present(&mut self) -> Outcome {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Outcome {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Outcome {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (x0, y0): BackendCoord,
        (x1, y1): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Outcome {
        if let Some(pen) = pen(style, fill) {
            let corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
            self.body.polyline(&pen, corners, true);
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Outcome {
        if let Some(pen) = pen(style, false) {
            self.body.polyline(&pen, path, false);
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Outcome {
        let Some(pen) = pen(style, fill) else {
            return Ok(());
        };
        if fill {
            let dot = Pen {
                width: 2 * radius,
                round: true,
                ..pen
            };
            self.body.dot(&dot, center);
            return Ok(());
        }
        let corner = |at: i32| {
            let angle = f64::from(at) * std::f64::consts::TAU / 32.0;
            let reach = f64::from(radius);
            let (x, y) = (reach * angle.cos(), reach * angle.sin());
            (center.0 + x.round() as i32, center.1 + y.round() as i32)
        };
        self.body.polyline(&pen, (0..32).map(corner), true);
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Outcome {
        if let Some(pen) = pen(style, true) {
            self.body.polyline(&pen, corners, true);
        }
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        pos: BackendCoord,
    ) -> Outcome {
        if style.color().alpha > 0.0 && !text.is_empty() {
            self.body.text(text, style, pos);
        }
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size();
        Ok((text::width(text, size).ceil() as u32, size.ceil() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_short_and_exact() {
        let mut body = Body::new(Theme::Light);
        let pen = Pen::stroke(Ink::Rgb(0, 0, 0), 10);
        body.polyline(&pen, [(10, 20), (15, 20), (15, 5), (40, 5)], false);
        body.polyline(&pen, [(0, 0), (7, -3)], false);
        let text = body.finish();
        assert!(
            text.contains("d=\"M1 2l.5 0 0-1.5 2.5 0M0 0l.7-.3\""),
            "{text}"
        );
    }

    #[test]
    fn decimals_are_tenths() {
        let cases = [
            (0, "0"),
            (-3, "-.3"),
            (105, "10.5"),
            (-120, "-12"),
            (i32::MIN, "-214748364.8"),
        ];
        for (tenths, text) in cases {
            assert_eq!(decimal(tenths), text);
        }
    }
}
