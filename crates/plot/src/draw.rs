//! From a figure to SVG: the page, title, notes and legend, then axes with what lies in them, or a panel. Must not change
//! or check data; what cannot be shown was refused or is left out here.

mod axes;
mod frame;
mod lines;
mod marks;
mod panels;
mod sheets;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Drawable, PointCollection};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, TextStyle};
use plotters_backend::{BackendCoord, DrawingErrorKind, FontStyle};
use std::convert::Infallible;
use std::fmt::Write as _;

use crate::backend::{Body, Pen, Svg, UNIT};
use crate::error::PlotError;
use crate::figure::{Figure, Panel};
use crate::layer::{Layer, Mark};
use crate::text;
use crate::theme::{Ink, SERIES, Theme, theme_rules};

/// What stopped a drawing.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl From<DrawingAreaErrorKind<Infallible>> for Failure {
    fn from(error: DrawingAreaErrorKind<Infallible>) -> Failure {
        Failure(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure(reason)
    }
}

pub(crate) type Area<'a> = DrawingArea<Svg<'a>, Shift>;

/// Sizes in tenths of a pixel.
pub(crate) const MARGIN: i32 = 140;
pub(crate) const FONT: i32 = 120;
const TITLE: i32 = 160;
const LINE: i32 = 180;

/// The elements of a figure and its size in pixels.
pub(crate) struct Drawn {
    pub(crate) elements: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The whole file.
pub(crate) fn svg(figure: &Figure) -> Result<String, PlotError> {
    Ok(document(
        &figure.title,
        figure.theme,
        &elements(figure, figure.theme)?,
    ))
}

/// Elements within their outermost tag.
pub(crate) fn document(title: &str, theme: Theme, drawn: &Drawn) -> String {
    let (w, h) = (drawn.width, drawn.height);
    let title = text::escape(title);
    let mut out = String::with_capacity(drawn.elements.len() + 2000);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"wgrad-plot\" role=\"img\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" font-family=\"system-ui,'Segoe UI','DejaVu Sans',Helvetica,Arial,sans-serif\">\n<title>{title}</title>\n"
    );
    if theme == Theme::Auto {
        let rules = theme_rules("", true);
        let _ = writeln!(
            out,
            "<style>@media(prefers-color-scheme:dark){{{rules}}}</style>"
        );
    }
    out.push_str(&drawn.elements);
    out.push_str("</svg>\n");
    out
}

/// Draws the figure.
pub(crate) fn elements(figure: &Figure, theme: Theme) -> Result<Drawn, PlotError> {
    let failed = |reason: String| PlotError::Drawing {
        figure: figure.title.clone(),
        reason,
    };
    if let Some(error) = &figure.error {
        return Err(error.again());
    }
    if let Some(error) = figure.misnamed() {
        return Err(error);
    }
    if figure.panel.is_some() && !figure.layers.is_empty() {
        return Err(failed(
            "images and graphs have no axes; a Grid puts them beside other figures".to_owned(),
        ));
    }
    let width = figure.size.map_or(700, |size| size.0);
    let head = Head::new(figure, width as i32 * 10 - 2 * MARGIN);
    let height = match (&figure.size, &figure.panel) {
        (Some(size), _) => size.1,
        (None, Some(panel)) => {
            let inner = panels::height(panel, width as i32 * 10 - 2 * MARGIN);
            ((inner + head.height() + 2 * MARGIN) as u32).div_ceil(10)
        }
        (None, None) => 420,
    };
    let size = (width * UNIT as u32, height * UNIT as u32);
    let mut body = Body::new(theme);
    page(
        figure,
        &head,
        Svg {
            body: &mut body,
            size,
        },
    )
    .map_err(|Failure(reason)| failed(reason))?;
    Ok(Drawn {
        elements: body.finish(),
        width,
        height,
    })
}

fn page(figure: &Figure, head: &Head, svg: Svg<'_>) -> Result<(), Failure> {
    let root = svg.into_drawing_area();
    root.fill(&Ink::Page.color(1.0))?;
    head.draw(&root)?;
    let (_, rest) = root.split_vertically(MARGIN + head.height());
    match &figure.panel {
        Some(Panel::Images {
            pictures,
            columns,
            strip,
        }) => panels::images(&rest, pictures, *columns, *strip),
        Some(Panel::Network(network)) => panels::network(&rest, network),
        None => axes::draw(figure, &rest),
    }
}

/// What a named series looks like in the legend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Swatch {
    Line { dashed: bool },
    Dot,
    Block,
}

/// What stands above the axes.
struct Head {
    title: String,
    notes: Vec<String>,
    /// Lines of entries: where each begins, its name, ink and look.
    legend: Vec<Vec<(i32, String, Ink, Swatch)>>,
}

impl Head {
    fn new(figure: &Figure, room: i32) -> Head {
        let mut notes = figure.notes.clone();
        notes.extend(unseen(figure));
        let fit = |note: &String| text::fit(note, f64::from(room), f64::from(FONT));
        Head {
            title: text::fit(&figure.title, f64::from(room), 1.04 * f64::from(TITLE)),
            notes: notes.iter().map(fit).collect(),
            legend: legend(figure, room),
        }
    }

    fn height(&self) -> i32 {
        let title = if self.title.is_empty() { 0 } else { 240 };
        title + LINE * (self.notes.len() + self.legend.len()) as i32 + 90
    }

    fn draw(&self, root: &Area<'_>) -> Result<(), Failure> {
        let mut y = MARGIN;
        if !self.title.is_empty() {
            write_text(root, &self.title, (MARGIN, y), &Words::new(TITLE).bold())?;
            y += 240;
        }
        for note in &self.notes {
            write_text(root, note, (MARGIN, y), &Words::new(FONT).ink(Ink::Muted))?;
            y += LINE;
        }
        for line in &self.legend {
            for (x, name, ink, swatch) in line {
                let (x, middle) = (MARGIN + x, y + 65);
                root.draw(&Raw(&|body: &mut Body, _| {
                    draw_swatch(body, *swatch, *ink, (x, middle))
                }))?;
                write_text(root, name, (x + SWATCH, middle), &Words::new(FONT).middle())?;
            }
            y += LINE;
        }
        Ok(())
    }
}

/// A swatch with its gap.
const SWATCH: i32 = 260;
const MOST_LEGEND_LINES: usize = 4;

fn draw_swatch(body: &mut Body, swatch: Swatch, ink: Ink, (x, y): BackendCoord) {
    match swatch {
        Swatch::Line { dashed } => {
            let pen = Pen {
                dash: dashed.then_some((60, 40)),
                ..Pen::stroke(ink, 24)
            };
            body.polyline(&pen, [(x, y), (x + 200, y)], false);
        }
        Swatch::Dot => {
            let pen = Pen {
                round: true,
                ..Pen::stroke(ink, 80)
            };
            body.dot(&pen, (x + 100, y));
        }
        Swatch::Block => {
            let corners = [
                (x + 40, y - 50),
                (x + 160, y - 50),
                (x + 160, y + 50),
                (x + 40, y + 50),
            ];
            body.polyline(&Pen::fill(ink, 0.85), corners, true);
        }
    }
}

fn legend(figure: &Figure, room: i32) -> Vec<Vec<(i32, String, Ink, Swatch)>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut lines: Vec<Vec<(i32, String, Ink, Swatch)>> = vec![Vec::new()];
    let mut x = 0;
    let mut left_out = 0;
    for (number, layer) in figure.layers.iter().enumerate() {
        if layer.name.is_empty() || seen.contains(&layer.name.as_str()) {
            continue;
        }
        seen.push(&layer.name);
        let name = text::fit(
            &layer.name,
            f64::from(room - SWATCH).min(3200.0),
            f64::from(FONT),
        );
        let width = SWATCH + text::width(&name, f64::from(FONT)) as i32 + 180;
        if x > 0 && x + width > room + 180 {
            x = 0;
            if lines.len() == MOST_LEGEND_LINES {
                left_out += 1;
                x = room;
                continue;
            }
            lines.push(Vec::new());
        }
        let entry = (
            x,
            name,
            ink(&figure.layers, number),
            swatch(&figure.layers, layer),
        );
        if let Some(line) = lines.last_mut() {
            line.push(entry);
        }
        x += width;
    }
    if let (true, Some(entry)) = (
        left_out > 0,
        lines.last_mut().and_then(|line| line.last_mut()),
    ) {
        entry.1 = format!("and {} more", left_out + 1);
        entry.2 = Ink::Muted;
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn swatch(layers: &[Layer], layer: &Layer) -> Swatch {
    match &layer.mark {
        Mark::Line { look, .. } => Swatch::Line {
            dashed: look.dashed || layer.is_late(layers),
        },
        Mark::Rule { .. } => Swatch::Line { dashed: true },
        Mark::Points { .. } => Swatch::Dot,
        _ => Swatch::Block,
    }
}

impl Layer {
    /// Its place among the names that have colours.
    fn series(&self, layers: &[Layer]) -> Option<usize> {
        let mut names: Vec<&str> = Vec::new();
        for layer in layers.iter().filter(|layer| layer.ink.is_none()) {
            let is_self = std::ptr::eq(layer, self);
            let known = names
                .iter()
                .position(|name| *name == layer.name && !name.is_empty());
            if is_self {
                return Some(known.unwrap_or(names.len()));
            }
            if known.is_none() && layer.counts() {
                names.push(&layer.name);
            }
        }
        None
    }

    /// Whether it takes a color of its own.
    fn counts(&self) -> bool {
        !matches!(
            self.mark,
            Mark::Cells(_)
                | Mark::Surface(_)
                | Mark::Contours { .. }
                | Mark::Regions(_)
                | Mark::Box { .. }
        )
    }

    /// Whether its color was there before.
    fn is_late(&self, layers: &[Layer]) -> bool {
        self.series(layers).is_some_and(|series| series >= SERIES)
    }
}

/// The color of a layer.
pub(crate) fn ink(layers: &[Layer], number: usize) -> Ink {
    let layer = &layers[number];
    layer
        .ink
        .unwrap_or_else(|| Ink::Series(layer.series(layers).unwrap_or(0)))
}

/// A note on values that cannot be shown.
fn unseen(figure: &Figure) -> Option<String> {
    let log = (figure.x.wish.log, figure.y.wish.log);
    let mut sums = (0, 0);
    for layer in &figure.layers {
        let is_mean = matches!(&layer.mark, Mark::Line { look, .. } if look.faint);
        let (unseen, of) = layer.unseen(log);
        if unseen > 0 && !is_mean {
            sums = (sums.0 + unseen, sums.1 + of);
        }
    }
    let why = if log.0 || log.1 {
        "finite and positive"
    } else {
        "finite"
    };
    (sums.0 > 0).then(|| {
        format!(
            "{} of {} values are not {why} and not shown",
            sums.0, sums.1
        )
    })
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    size: i32,
    ink: Ink,
    bold: bool,
    across: HPos,
    upright: VPos,
}

impl Words {
    pub(crate) fn new(size: i32) -> Words {
        Words {
            size,
            ink: Ink::Text,
            bold: false,
            across: HPos::Left,
            upright: VPos::Top,
        }
    }

    pub(crate) fn ink(self, ink: Ink) -> Words {
        Words { ink, ..self }
    }

    pub(crate) fn bold(self) -> Words {
        Words { bold: true, ..self }
    }

    /// The anchor lies at half its height.
    pub(crate) fn middle(self) -> Words {
        Words {
            upright: VPos::Center,
            ..self
        }
    }

    /// The anchor lies at half its width.
    pub(crate) fn centered(self) -> Words {
        Words {
            across: HPos::Center,
            ..self
        }
    }

    pub(crate) fn style(self) -> TextStyle<'static> {
        let font = ("sans-serif", f64::from(self.size)).into_font();
        let font = if self.bold {
            font.style(FontStyle::Bold)
        } else {
            font
        };
        let color = self.ink.color(1.0).to_backend_color();
        TextStyle {
            font,
            color,
            pos: Pos::new(self.across, self.upright),
        }
    }
}

pub(crate) fn write_text(
    area: &Area<'_>,
    text: &str,
    at: BackendCoord,
    words: &Words,
) -> Result<(), Failure> {
    Ok(area.draw_text(text, &words.style(), at)?)
}

/// Something that `plotters` has no element for, drawn at the area's upper left corner.
pub(crate) struct Raw<'f>(pub(crate) &'f dyn Fn(&mut Body, BackendCoord));

impl<'p> PointCollection<'p, BackendCoord> for &'p Raw<'_> {
    type Point = BackendCoord;
    type IntoIter = std::iter::Once<BackendCoord>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::once((0, 0))
    }
}

impl Drawable<Svg<'_>> for Raw<'_> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut corner: I,
        backend: &mut Svg<'_>,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        (self.0)(backend.body, corner.next().unwrap_or((0, 0)));
        Ok(())
    }
}

/// A filled rectangle between two corners, which may lie outside.
fn block(body: &mut Body, pen: &Pen, origin: BackendCoord, a: frame::Place, b: frame::Place) {
    let corners = [a, (b.0, a.1), b, (a.0, b.1)];
    body.polyline(
        pen,
        corners.map(|corner| lines::moved(lines::rounded(corner), origin)),
        true,
    );
}
