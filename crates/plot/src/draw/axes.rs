//! Axes: how much room their labels need, where the ticks are, and the mesh. What lies within is drawn by `marks`. Must
//! give every figure axes, whatever its data.

use plotters::chart::ChartBuilder;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::Frame;
use super::{Area, FONT, Failure, MARGIN, Raw, Words, marks, write_text};
use crate::backend::Body;
use crate::bitmap::{Bitmap, Kind};
use crate::color_map::ColorMap;
use crate::figure::{Axis, Figure};
use crate::layer::{Mark, Need, Span};
use crate::scale::{Scale, Wish};
use crate::text;
use crate::theme::Ink;

const TICK_FONT: i32 = 110;
const TICK: i32 = 40;
/// From an axis to its tick labels.
const LABEL_GAP: i32 = 2 * TICK;
/// Room for the name of an axis.
const NAME: i32 = 210;
/// Room for the scale of colours.
const COLOR_BAR: i32 = 760;
/// Names on axes are cut to this.
const LONGEST_NAME: f64 = 1600.0;

/// Draws axes and what lies in them.
pub(super) fn draw(figure: &Figure, area: &Area<'_>) -> Result<(), Failure> {
    let plan = Plan::new(figure, area.dim_in_pixel());
    let mut chart = ChartBuilder::on(area)
        .margin_right(plan.right)
        .margin_bottom(MARGIN)
        .margin_left(MARGIN)
        .x_label_area_size(plan.below)
        .y_label_area_size(plan.left)
        .build_cartesian_2d(plan.x.clone(), plan.y.clone())?;
    let ticks = Words::new(TICK_FONT).ink(Ink::Muted);
    let quiet = |_: &f64| String::new();
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(Ink::Muted.color(0.6))
        .bold_line_style(plotters::style::ShapeStyle::from(Ink::Grid.color(1.0)).stroke_width(8))
        .light_line_style(Ink::Grid.color(0.0))
        .label_style(ticks.style())
        .axis_desc_style(Words::new(FONT).style())
        .set_all_tick_mark_size(TICK)
        .x_desc(text::fit(
            &figure.x.label,
            f64::from(plan.width),
            f64::from(FONT),
        ))
        .y_desc(text::fit(
            &figure.y.label,
            f64::from(plan.height),
            f64::from(FONT),
        ));
    if plan.upright {
        mesh.x_label_formatter(&quiet);
    }
    if figure
        .layers
        .iter()
        .any(|layer| matches!(layer.mark, Mark::Cells(_)))
    {
        mesh.disable_mesh();
    }
    mesh.draw()?;
    let inner = chart.plotting_area().strip_coord_spec();
    let (width, height) = inner.dim_in_pixel();
    let frame = Frame {
        x: plan.x,
        y: plan.y,
        width: f64::from(width),
        height: f64::from(height),
    };
    if plan.upright {
        upright_labels(&inner, &frame)?;
    }
    let colors = figure.layers.iter().filter_map(|layer| layer.colors());
    let colors = colors.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let colors = colors.map(|ends| figure.colors.ends(ends));
    marks::draw(figure, &inner, &frame, colors)?;
    if let Some(ends) = colors {
        color_bar(&inner, figure.colors, ends)?;
    }
    if plan.empty {
        let middle = (width as i32 / 2, height as i32 / 2);
        write_text(
            &inner,
            "no data",
            middle,
            &Words::new(FONT).ink(Ink::Muted).middle().centered(),
        )?;
    }
    Ok(())
}

/// Where everything goes, in tenths of a pixel.
struct Plan {
    x: Scale,
    y: Scale,
    left: i32,
    right: i32,
    below: i32,
    width: i32,
    height: i32,
    /// The x axis's labels stand upright.
    upright: bool,
    empty: bool,
}

impl Plan {
    fn new(figure: &Figure, (width, height): (u32, u32)) -> Plan {
        let (width, height) = (width as i32, height as i32);
        let log = (figure.x.wish.log, figure.y.wish.log);
        let need = Need::of(&figure.layers, log);
        let empty = need.x.found().is_none() || need.y.found().is_none();
        let name = |axis: &Axis| if axis.label.is_empty() { 0 } else { NAME };
        let has_colors = figure.layers.iter().any(|layer| layer.colors().is_some());
        let right = if has_colors {
            MARGIN + COLOR_BAR
        } else {
            MARGIN + 60
        };
        let mut below = LABEL_GAP + TICK_FONT + 60 + name(&figure.x);
        let mut inner_height = (height - below - MARGIN).max(100);
        let x_ends = ends(&need.x, &figure.x.wish, need.pad.0, false);
        let y_ends = ends(&need.y, &figure.y.wish, need.pad.1, need.zero);
        let wish = |axis: &Axis, span: &Span| Wish {
            whole: span.whole,
            ..axis.wish.clone()
        };
        let (x_wish, y_wish) = (wish(&figure.x, &need.x), wish(&figure.y, &need.y));
        let mut y = Scale::new(y_ends, &y_wish, (inner_height / 420) as usize);
        shorten(&mut y, f64::from(width) * 0.3);
        let mut left = LABEL_GAP + widest(&y) as i32 + 60 + name(&figure.y);
        let mut inner_width = (width - left - right - MARGIN).max(100);
        let (mut x, upright) = x_scale(x_ends, &x_wish, inner_width);
        if upright {
            shorten(&mut x, f64::from(height) * 0.3);
            below = LABEL_GAP + widest(&x) as i32 + 60 + name(&figure.x);
            inner_height = (height - below - MARGIN).max(100);
        }
        if figure.equal && !log.0 && !log.1 {
            let (x_even, y_even) = even(
                x_ends,
                y_ends,
                f64::from(inner_width) / f64::from(inner_height),
            );
            x = x_scale(x_even, &x_wish, inner_width).0;
            y = Scale::new(y_even, &y_wish, (inner_height / 420) as usize);
            left = LABEL_GAP + widest(&y) as i32 + 60 + name(&figure.y);
            inner_width = (width - left - right - MARGIN).max(100);
        }
        Plan {
            x,
            y,
            left,
            right,
            below,
            width: inner_width,
            height: inner_height,
            upright,
            empty,
        }
    }
}

/// The range of an axis with room beside the data.
fn ends(span: &Span, wish: &Wish, pad: bool, zero: bool) -> (f64, f64) {
    if let Some(range) = wish.range {
        return range;
    }
    let Some((lo, hi)) = span.found() else {
        return if wish.log { (0.1, 1.0) } else { (0.0, 1.0) };
    };
    if wish.log {
        let by = if pad {
            (hi / lo).powf(0.04).min(10.0)
        } else {
            1.0
        };
        return (lo / by, hi * by);
    }
    let (lo, hi) = if zero {
        (lo.min(0.0), hi.max(0.0))
    } else {
        (lo, hi)
    };
    let by = if pad {
        0.045 * (hi / 2.0 - lo / 2.0) * 2.0
    } else {
        0.0
    };
    let below = if zero && lo == 0.0 { 0.0 } else { by };
    let above = if zero && hi == 0.0 { 0.0 } else { by };
    (lo - below, hi + above)
}

/// The ranges widened so that one unit is as long on both axes; `wide` is width by height.
fn even(x: (f64, f64), y: (f64, f64), wide: f64) -> ((f64, f64), (f64, f64)) {
    let (dx, dy) = (x.1 - x.0, y.1 - y.0);
    if !(dx > 0.0 && dy > 0.0 && dx.is_finite() && dy.is_finite()) {
        return (x, y);
    }
    let grown =
        |(lo, hi): (f64, f64), to: f64| ((lo + hi) / 2.0 - to / 2.0, (lo + hi) / 2.0 + to / 2.0);
    match dx / dy < wide {
        true => (grown(x, dy * wide), y),
        false => (x, grown(y, dx / wide)),
    }
}

fn widest(scale: &Scale) -> f64 {
    scale
        .labels()
        .map(|label| text::width(label, f64::from(TICK_FONT)))
        .fold(0.0, f64::max)
}

fn shorten(scale: &mut Scale, room: f64) {
    scale.relabel(|label| text::fit(label, room.min(LONGEST_NAME), f64::from(TICK_FONT)));
}

/// The x axis with as many labels as fit, and whether they must stand upright.
fn x_scale(ends: (f64, f64), wish: &Wish, width: i32) -> (Scale, bool) {
    let crowded = |scale: &Scale, gap: f64| {
        let sum: f64 = scale
            .labels()
            .map(|label| text::width(label, f64::from(TICK_FONT)) + gap)
            .sum();
        sum > f64::from(width)
    };
    if wish.names.is_none() {
        let mut most = (width / 500).max(2) as usize;
        let mut scale = Scale::new(ends, wish, most);
        while most > 2 && crowded(&scale, 200.0) {
            most -= 1;
            scale = Scale::new(ends, wish, most);
        }
        return (scale, false);
    }
    let mut scale = Scale::new(ends, wish, 60);
    let count = scale.ticks().len().max(1);
    let each = f64::from(width) / count as f64;
    if widest(&scale) + 60.0 <= each {
        return (scale, false);
    }
    // Short names, as those of many classes, are thinned rather than turned.
    if widest(&scale) < 400.0 && count > 12 {
        scale.thin(((widest(&scale) + 60.0) / each).ceil() as usize);
        return (scale, false);
    }
    if each < 150.0 {
        scale.thin((150.0 / each).ceil() as usize);
    }
    (scale, true)
}

fn upright_labels(inner: &Area<'_>, frame: &Frame) -> Result<(), Failure> {
    let mut style = Words::new(TICK_FONT).ink(Ink::Muted).style();
    style.pos.h_pos = HPos::Right;
    style.pos.v_pos = VPos::Center;
    let style = style.transform(plotters::style::FontTransform::Rotate270);
    for (at, label) in frame.x.ticks() {
        if let Some(unit) = frame.x.unit(*at) {
            let x = (unit * frame.width).round() as i32;
            inner.draw_text(label, &style, (x, frame.height as i32 + LABEL_GAP))?;
        }
    }
    Ok(())
}

/// Which number each colour stands for, right of the axes.
fn color_bar(inner: &Area<'_>, map: ColorMap, ends: (f64, f64)) -> Result<(), Failure> {
    let (width, height) = inner.dim_in_pixel();
    let (x, width_of_bar, height) = (width as i32 + 140, 140, height as i32);
    let steps = 128;
    let bytes = (0..steps).flat_map(|step| map.at(1.0 - f64::from(step) / f64::from(steps - 1)));
    let bitmap = Bitmap {
        width: 1,
        height: steps,
        kind: Kind::Rgb,
        bytes: bytes.collect(),
    };
    let uri = bitmap.uri()?;
    inner.draw(&Raw(&|body: &mut Body, (x0, y0)| {
        body.image(&uri, (x0 + x, y0), (x0 + x + width_of_bar, y0 + height));
    }))?;
    let mut scale = Scale::new(ends, &Wish::default(), (height / 420) as usize);
    shorten(&mut scale, f64::from(COLOR_BAR - 320));
    for (at, label) in scale.ticks() {
        if let Some(unit) = scale.unit(*at) {
            let y = ((1.0 - unit) * f64::from(height)).round() as i32;
            let words = Words::new(TICK_FONT).ink(Ink::Muted).middle();
            write_text(inner, label, (x + width_of_bar + 60, y), &words)?;
        }
    }
    Ok(())
}
