//! What lies within the axes, as data: one entry for each call on a figure, and the ranges that they need. Must not draw.

use crate::stats::Quartiles;
use crate::surface::{self, Surface};
use crate::theme::Ink;

/// One call on a figure.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Stands in the legend; empty: not there.
    pub(crate) name: String,
    /// Instead of the color that its name has.
    pub(crate) ink: Option<Ink>,
    pub(crate) mark: Mark,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineLook {
    pub(crate) dashed: bool,
    pub(crate) faint: bool,
    pub(crate) dots: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Mark {
    Line {
        xs: Vec<f64>,
        ys: Vec<f64>,
        look: LineLook,
    },
    Band {
        xs: Vec<f64>,
        low: Vec<f64>,
        high: Vec<f64>,
    },
    Points {
        xs: Vec<f64>,
        ys: Vec<f64>,
    },
    Bars {
        heights: Vec<f64>,
    },
    Histogram {
        edges: Vec<f64>,
        counts: Vec<f64>,
    },
    Box {
        at: usize,
        quartiles: Option<Quartiles>,
    },
    Cells(Cells),
    Surface(Surface),
    Contours {
        surface: Surface,
        levels: usize,
    },
    Regions(Surface),
    Arrows {
        xs: Vec<f64>,
        ys: Vec<f64>,
        us: Vec<f64>,
        vs: Vec<f64>,
    },
    Rule {
        at: f64,
        upright: bool,
    },
}

/// A matrix, its first row on top.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
    /// Written into the cells.
    pub(crate) texts: Option<Vec<String>>,
    /// Shares of one, drawn in the color of the first series; else by the color map.
    pub(crate) shares: bool,
}

/// The range of numbers of one axis so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    /// All values are whole numbers.
    pub(crate) whole: bool,
    log: bool,
}

impl Span {
    pub(crate) fn new(log: bool) -> Span {
        Span {
            lo: f64::INFINITY,
            hi: f64::NEG_INFINITY,
            whole: true,
            log,
        }
    }

    fn add(&mut self, values: &[f64]) {
        for &value in values {
            if value.is_finite() && (value > 0.0 || !self.log) {
                self.lo = self.lo.min(value);
                self.hi = self.hi.max(value);
                self.whole &= value.fract() == 0.0;
            }
        }
    }

    pub(crate) fn found(&self) -> Option<(f64, f64)> {
        (self.lo <= self.hi).then_some((self.lo, self.hi))
    }
}

/// What the layers need of both axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) x: Span,
    pub(crate) y: Span,
    /// Room beside the data; what fills its cells wants none.
    pub(crate) pad: (bool, bool),
    /// Bars stand on zero.
    pub(crate) zero: bool,
}

impl Need {
    pub(crate) fn of(layers: &[Layer], log: (bool, bool)) -> Need {
        let mut need = Need {
            x: Span::new(log.0),
            y: Span::new(log.1),
            pad: (false, false),
            zero: false,
        };
        layers.iter().for_each(|layer| need.add(&layer.mark));
        let full = |layer: &Layer| {
            matches!(
                layer.mark,
                Mark::Surface(_) | Mark::Regions(_) | Mark::Contours { .. }
            )
        };
        if layers.iter().any(full) {
            need.pad = (false, false);
        }
        need
    }

    fn add(&mut self, mark: &Mark) {
        let (x, y) = (&mut self.x, &mut self.y);
        match mark {
            Mark::Line { xs, ys, .. } => {
                add_pairs(x, y, xs, ys);
                self.pad.1 = true;
            }
            Mark::Band { xs, low, high } => {
                add_pairs(x, y, xs, low);
                add_pairs(x, y, xs, high);
                self.pad.1 = true;
            }
            Mark::Points { xs, ys } => {
                add_pairs(x, y, xs, ys);
                self.pad = (true, true);
            }
            Mark::Bars { heights } => {
                x.add(&[-0.6, heights.len() as f64 - 0.4]);
                y.add(heights);
                (self.zero, self.pad.1) = (true, true);
            }
            Mark::Histogram { edges, counts } => {
                x.add(edges);
                y.add(counts);
                (self.zero, self.pad.1) = (true, true);
            }
            Mark::Box { at, quartiles } => {
                x.add(&[*at as f64 - 0.6, *at as f64 + 0.6]);
                if let Some(found) = quartiles {
                    y.add(&found.five);
                    y.add(&found.outliers);
                }
                self.pad.1 = true;
            }
            Mark::Cells(cells) => {
                x.add(&[-0.5, cells.columns as f64 - 0.5]);
                y.add(&[-0.5, cells.rows as f64 - 0.5]);
            }
            Mark::Surface(s) | Mark::Contours { surface: s, .. } | Mark::Regions(s) => {
                x.add(&[s.x.0, s.x.1]);
                y.add(&[s.y.0, s.y.1]);
                // What lies between the ends is not.
                (x.whole, y.whole) = (false, false);
            }
            Mark::Arrows { xs, ys, .. } => {
                add_pairs(x, y, xs, ys);
                self.pad = (true, true);
            }
            Mark::Rule { at, upright } => {
                if *upright {
                    x.add(&[*at])
                } else {
                    y.add(&[*at])
                }
            }
        }
    }
}

/// Values of which both axes can show theirs.
fn add_pairs(x: &mut Span, y: &mut Span, xs: &[f64], ys: &[f64]) {
    for (&at, &value) in xs.iter().zip(ys) {
        let fits = |value: f64, span: &Span| value.is_finite() && (value > 0.0 || !span.log);
        if fits(at, x) && fits(value, y) {
            x.add(&[at]);
            y.add(&[value]);
        }
    }
}

impl Layer {
    /// How many values the axes cannot show, of how many.
    pub(crate) fn unseen(&self, log: (bool, bool)) -> (usize, usize) {
        let bad = |value: f64, log: bool| !value.is_finite() || log && value <= 0.0;
        let pairs = |xs: &[f64], ys: &[f64]| {
            let unseen = xs
                .iter()
                .zip(ys)
                .filter(|(x, y)| bad(**x, log.0) || bad(**y, log.1));
            (unseen.count(), xs.len())
        };
        match &self.mark {
            Mark::Line { xs, ys, .. } | Mark::Points { xs, ys } | Mark::Arrows { xs, ys, .. } => {
                pairs(xs, ys)
            }
            Mark::Bars { heights } => (
                heights.iter().filter(|height| !height.is_finite()).count(),
                heights.len(),
            ),
            Mark::Cells(cells) => (
                cells
                    .values
                    .iter()
                    .filter(|value| !value.is_finite())
                    .count(),
                cells.values.len(),
            ),
            _ => (0, 0),
        }
    }

    /// The range of the colours it needs.
    pub(crate) fn colors(&self) -> Option<(f64, f64)> {
        match &self.mark {
            Mark::Cells(cells) if !cells.shares => surface::range(&cells.values),
            Mark::Surface(surface) => surface.range(),
            _ => None,
        }
    }
}
