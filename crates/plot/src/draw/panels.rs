//! Figures without axes: images in rows, film strips, graphs. Must not know values or scales.

use plotters_backend::BackendCoord;

use super::lines::rounded;
use super::marks::arrow;
use super::{Area, Failure, MARGIN, Raw, Words, write_text};
use crate::backend::{Body, Pen};
use crate::figure::Panel;
use crate::network::{Layout, Network};
use crate::picture::Picture;
use crate::text;
use crate::theme::Ink;

const CAPTION: i32 = 110;
const GAP: i32 = 90;
/// Images are at most as wide as this (or as they have pixels), and at least as wide as that.
const WIDEST: i32 = 1400;
const NARROWEST: i32 = 560;
/// More images are left out, and a line says so.
const MOST: usize = 400;
const NODE_FONT: i32 = 110;

/// Rows and columns of images, and how large each is.
struct Tiles {
    columns: usize,
    width: i32,
    height: i32,
    caption: i32,
    rows: usize,
    more: i32,
}

impl Tiles {
    fn new(pictures: &[Picture], columns: Option<usize>, strip: bool, room: i32) -> Tiles {
        let shown = pictures.len().min(MOST);
        let most = ((room + GAP) / (NARROWEST + GAP)).max(1) as usize;
        let columns = columns.unwrap_or(most).clamp(1, shown.max(1));
        let pixels = |picture: &Picture| match &picture.pixels {
            Ok(pixels) => i32::try_from(pixels.width).unwrap_or(WIDEST).min(4000) * 10,
            Err(_) => 0,
        };
        let widest = pictures.iter().map(pixels).fold(WIDEST, i32::max);
        let width = ((room + GAP) / columns as i32 - GAP).clamp(40, widest);
        let slim = |picture: &Picture| match &picture.pixels {
            Ok(pixels) => f64::from(pixels.height) / f64::from(pixels.width),
            Err(_) => 1.0,
        };
        let tallest = pictures
            .iter()
            .map(slim)
            .fold(0.0, f64::max)
            .clamp(0.05, 4.0);
        let named = strip || pictures.iter().any(|picture| !picture.caption.is_empty());
        Tiles {
            columns,
            width,
            height: (f64::from(width) * tallest) as i32,
            caption: if named { CAPTION + 60 } else { 0 },
            rows: shown.div_ceil(columns),
            more: if pictures.len() > MOST { 200 } else { 0 },
        }
    }

    fn height(&self) -> i32 {
        self.rows as i32 * (self.height + self.caption + GAP) + self.more
    }
}

/// The height that a panel wants, given its width.
pub(super) fn height(panel: &Panel, room: i32) -> i32 {
    match panel {
        Panel::Images {
            pictures,
            columns,
            strip,
        } => Tiles::new(pictures, *columns, *strip, room)
            .height()
            .clamp(200, 38_000),
        Panel::Network(network) => match network.layout().layers {
            Some((_, depth)) => (depth as i32 * 620).clamp(600, 38_000),
            None => 4600,
        },
    }
}

/// Draws images in rows.
pub(super) fn images(
    area: &Area<'_>,
    pictures: &[Picture],
    columns: Option<usize>,
    strip: bool,
) -> Result<(), Failure> {
    let room = area.dim_in_pixel().0 as i32 - 2 * MARGIN;
    let tiles = Tiles::new(pictures, columns, strip, room);
    for (number, picture) in pictures.iter().take(MOST).enumerate() {
        let (row, column) = (
            (number / tiles.columns) as i32,
            (number % tiles.columns) as i32,
        );
        let x = MARGIN + column * (tiles.width + GAP);
        let y = row * (tiles.height + tiles.caption + GAP);
        image(area, picture, (x, y), &tiles)?;
        let caption = match (picture.caption.is_empty(), strip) {
            (true, true) => (number + 1).to_string(),
            _ => picture.caption.clone(),
        };
        let (mark, ink) = match picture.right {
            Some(true) => ("✓ ", Ink::Good),
            Some(false) => ("✗ ", Ink::Bad),
            None => ("", Ink::Muted),
        };
        let caption = text::fit(
            &format!("{mark}{caption}"),
            f64::from(tiles.width + GAP - 20),
            f64::from(CAPTION),
        );
        let place = (x + tiles.width / 2, y + tiles.height + 40);
        write_text(
            area,
            &caption,
            place,
            &Words::new(CAPTION).ink(ink).centered(),
        )?;
    }
    let words = Words::new(CAPTION).ink(Ink::Muted);
    if pictures.is_empty() {
        write_text(area, "no images", (MARGIN, 20), &words)?;
    }
    if pictures.len() > MOST {
        let rest = format!("and {} more", pictures.len() - MOST);
        write_text(area, &rest, (MARGIN, tiles.height() - tiles.more), &words)?;
    }
    Ok(())
}

/// The pixels in the middle of their tile, with a thin border.
fn image(
    area: &Area<'_>,
    picture: &Picture,
    (x, y): BackendCoord,
    tiles: &Tiles,
) -> Result<(), Failure> {
    let pixels = picture.pixels.as_ref().map_err(Clone::clone)?;
    let (w, h) = (f64::from(pixels.width), f64::from(pixels.height));
    let scale = (f64::from(tiles.width) / w).min(f64::from(tiles.height) / h);
    let (w, h) = (((w * scale) as i32).max(1), ((h * scale) as i32).max(1));
    let (x, y) = (x + (tiles.width - w) / 2, y + (tiles.height - h) / 2);
    let uri = pixels.uri()?;
    area.draw(&Raw(&|body: &mut Body, (x0, y0)| {
        let (a, b) = ((x0 + x, y0 + y), (x0 + x + w, y0 + y + h));
        body.image(&uri, a, b);
        let border = Pen {
            alpha: 0.5,
            ..Pen::stroke(Ink::Muted, 6)
        };
        body.polyline(&border, [a, (b.0, a.1), b, (a.0, b.1)], true);
    }))?;
    Ok(())
}

/// Draws a graph.
pub(super) fn network(area: &Area<'_>, network: &Network) -> Result<(), Failure> {
    let (width, height) = area.dim_in_pixel();
    let (width, height) = (
        f64::from(width) - 2.0 * f64::from(MARGIN),
        f64::from(height) - f64::from(MARGIN),
    );
    let layout = network.layout();
    let place = |(x, y): (f64, f64)| (f64::from(MARGIN) + x * width, y * height);
    let boxes = boxes(network, &layout, width);
    area.draw(&Raw(&|body: &mut Body, origin| {
        for (&(from, to), bends) in network.edges.iter().zip(&layout.bends) {
            let mut points = vec![place(layout.nodes[from])];
            points.extend(bends.iter().map(|&bend| place(bend)));
            points.push(place(layout.nodes[to]));
            edge(
                body,
                &points,
                (boxes[from], boxes[to]),
                network.arrows,
                origin,
            );
        }
        for (node, &at) in layout.nodes.iter().enumerate() {
            draw_node(body, place(at), boxes[node], network.groups[node], origin);
        }
    }))?;
    for (node, &at) in layout.nodes.iter().enumerate() {
        let name = text::fit(
            &network.names[node],
            2.0 * boxes[node].0,
            f64::from(NODE_FONT),
        );
        write_text(
            area,
            &name,
            rounded(place(at)),
            &Words::new(NODE_FONT).middle().centered(),
        )?;
    }
    Ok(())
}

/// Half of each node's width and height.
fn boxes(network: &Network, layout: &Layout, width: f64) -> Vec<(f64, f64)> {
    let most = match layout.layers {
        Some((widest, _)) => (width / widest.max(1) as f64 - 120.0).clamp(120.0, 2400.0),
        None => 700.0,
    };
    let half = |name: &String| {
        let wanted = text::width(&text::clean(name), f64::from(NODE_FONT)) + 110.0;
        (wanted.clamp(200.0, most.max(200.0)) / 2.0, 100.0)
    };
    network.names.iter().map(half).collect()
}

fn draw_node(
    body: &mut Body,
    (x, y): (f64, f64),
    (w, h): (f64, f64),
    group: Option<usize>,
    origin: BackendCoord,
) {
    let ink = group.map_or(Ink::Muted, Ink::Series);
    let cut = 40.0;
    let corners = [
        (x - w + cut, y - h),
        (x + w - cut, y - h),
        (x + w, y - h + cut),
        (x + w, y + h - cut),
        (x + w - cut, y + h),
        (x - w + cut, y + h),
        (x - w, y + h - cut),
        (x - w, y - h + cut),
    ];
    let corners = || {
        corners
            .map(rounded)
            .map(|(x, y)| (x + origin.0, y + origin.1))
    };
    // Edges end at the border; a page behind the tint hides those that pass below.
    body.polyline(&Pen::fill(Ink::Page, 1.0), corners(), true);
    body.polyline(&Pen::fill(ink, 0.18), corners(), true);
    body.polyline(&Pen::stroke(ink, 12), corners(), true);
}

fn edge(
    body: &mut Body,
    points: &[(f64, f64)],
    boxes: ((f64, f64), (f64, f64)),
    arrows: bool,
    origin: BackendCoord,
) {
    let pen = Pen {
        alpha: 0.85,
        round: true,
        ..Pen::stroke(Ink::Muted, 11)
    };
    let last = points.len() - 1;
    let start = border(points[0], points[1], boxes.0);
    let end = border(points[last], points[last - 1], boxes.1);
    let mut path: Vec<(f64, f64)> = points.to_vec();
    path[0] = start;
    let before = path[last - 1];
    if arrows {
        body.polyline(
            &pen,
            path[..last].iter().map(|&p| shifted(p, origin)),
            false,
        );
        arrow(body, &pen, before, end, origin, 0.4);
    } else {
        path[last] = end;
        body.polyline(&pen, path.iter().map(|&p| shifted(p, origin)), false);
    }
}

fn shifted(place: (f64, f64), origin: BackendCoord) -> BackendCoord {
    let (x, y) = rounded(place);
    (x + origin.0, y + origin.1)
}

/// Where the line from the middle of a box towards a point leaves the box.
fn border(middle: (f64, f64), towards: (f64, f64), (w, h): (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - middle.0, towards.1 - middle.1);
    let part = (w / dx.abs().max(1e-9))
        .min(h / dy.abs().max(1e-9))
        .min(1.0);
    (middle.0 + dx * part, middle.1 + dy * part)
}
