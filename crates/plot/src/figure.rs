//! A figure as it is built: title, axes, and what lies in them. Checks each input where it is given, keeps the first fault,
//! and tells it when the figure is drawn. Must not draw.

use crate::color_map::ColorMap;
use crate::error::PlotError;
use crate::layer::{Cells, Layer, LineLook, Mark};
use crate::network::Network;
use crate::number::{Number, floats};
use crate::picture::Picture;
use crate::scale::Wish;
use crate::theme::Theme;

/// One axis: what it shows, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) wish: Wish,
}

/// What a figure shows instead of axes.
#[derive(Clone, Debug)]
pub(crate) enum Panel {
    Images {
        pictures: Vec<Picture>,
        columns: Option<usize>,
        strip: bool,
    },
    Network(Network),
}

/// A figure: built by calls, then drawn.
///
/// Calls check what they are given; the first fault is what [`to_svg`](Figure::to_svg) and [`save`](Figure::save) return.
/// Values that are not finite are gaps, and a note says how many there are. The same calls give the same bytes.
///
/// ```
/// use wgrad_plot::Figure;
/// let (xs, train, test) = ([1, 2, 3], [0.9, 0.5, 0.3], [0.95, 0.6, 0.45]);
/// let svg = Figure::new("Loss")
///     .x("epoch")
///     .y("nats")
///     .log_y()
///     .line("train", &xs, &train)
///     .line("test", &xs, &test)
///     .to_svg()?;
/// assert!(svg.starts_with("<svg"));
/// # Ok::<(), wgrad_plot::PlotError>(())
/// ```
#[derive(Debug)]
#[must_use = "a figure is drawn by `save` or `to_svg`"]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) notes: Vec<String>,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) theme: Theme,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) equal: bool,
    pub(crate) colors: ColorMap,
    pub(crate) layers: Vec<Layer>,
    /// Layers of noisy values, which their means follow, and how much a mean keeps.
    smooth: Vec<(usize, f64)>,
    pub(crate) panel: Option<Panel>,
    pub(crate) error: Option<PlotError>,
}

impl Figure {
    /// An empty figure.
    pub fn new(title: impl Into<String>) -> Figure {
        Figure {
            title: title.into(),
            notes: Vec::new(),
            size: None,
            theme: Theme::Auto,
            x: Axis::default(),
            y: Axis::default(),
            equal: false,
            colors: ColorMap::default(),
            layers: Vec::new(),
            smooth: Vec::new(),
            panel: None,
            error: None,
        }
    }

    /// Names the x axis: what it shows, with its unit.
    pub fn x(mut self, label: impl Into<String>) -> Figure {
        self.x.label = label.into();
        self
    }

    /// Names the y axis.
    pub fn y(mut self, label: impl Into<String>) -> Figure {
        self.y.label = label.into();
        self
    }

    /// A logarithmic x axis; values that are not positive are gaps.
    pub fn log_x(mut self) -> Figure {
        self.x.wish.log = true;
        self
    }

    /// A logarithmic y axis; values that are not positive are gaps.
    pub fn log_y(mut self) -> Figure {
        self.y.wish.log = true;
        for &(at, keep) in &self.smooth {
            if let [raw, mean, ..] = &mut self.layers[at..]
                && let (Mark::Line { ys: raw, .. }, Mark::Line { ys: mean, .. }) =
                    (&raw.mark, &mut mean.mark)
            {
                *mean = mean_so_far(raw, keep, true);
            }
        }
        self
    }

    /// Shares of one on the y axis are written as percent.
    pub fn percent_y(mut self) -> Figure {
        self.y.wish.percent = true;
        self
    }

    /// The range of the x axis, instead of the data's.
    pub fn x_range(mut self, from: f64, to: f64) -> Figure {
        self.check_range("x_range", from, to, self.x.wish.log);
        self.x.wish.range = Some((from, to));
        self
    }

    /// The range of the y axis, instead of the data's.
    pub fn y_range(mut self, from: f64, to: f64) -> Figure {
        self.check_range("y_range", from, to, self.y.wish.log);
        self.y.wish.range = Some((from, to));
        self
    }

    /// One unit is as long on both axes.
    pub fn equal(mut self) -> Figure {
        self.equal = true;
        self
    }

    /// Pixels; 700 x 420 if not given, and as high as images need. Between 160 x 120 and 4000 x 4000.
    pub fn size(mut self, width: u32, height: u32) -> Figure {
        self.size = Some((width.clamp(160, 4000), height.clamp(120, 4000)));
        self
    }

    /// Light, dark, or as the reader's system.
    pub fn theme(mut self, theme: Theme) -> Figure {
        self.theme = theme;
        self
    }

    /// The colours of heat maps and surfaces.
    pub fn colors(mut self, colors: ColorMap) -> Figure {
        self.colors = colors;
        self
    }

    /// A remark below the title.
    pub fn note(mut self, text: impl Into<String>) -> Figure {
        self.notes.push(text.into());
        self
    }

    /// A line through points in the order given; what is not finite is a gap.
    pub fn line<X: Number, Y: Number>(self, name: &str, xs: &[X], ys: &[Y]) -> Figure {
        self.any_line("line", name, xs, ys, LineLook::default())
    }

    /// A dashed line.
    pub fn dashed<X: Number, Y: Number>(self, name: &str, xs: &[X], ys: &[Y]) -> Figure {
        self.any_line(
            "dashed",
            name,
            xs,
            ys,
            LineLook {
                dashed: true,
                ..LineLook::default()
            },
        )
    }

    /// A line with a dot at each point.
    pub fn dotted_line<X: Number, Y: Number>(self, name: &str, xs: &[X], ys: &[Y]) -> Figure {
        self.any_line(
            "dotted_line",
            name,
            xs,
            ys,
            LineLook {
                dots: true,
                ..LineLook::default()
            },
        )
    }

    /// Noisy values, faint, and their exponential mean over them: `m = keep * m + (1 - keep) * y`, divided by `1 - keep^t`
    /// for its start at zero; on a logarithmic axis the mean is that of logarithms. `keep` lies from 0 to below 1.
    pub fn smoothed<X: Number, Y: Number>(
        mut self,
        name: &str,
        xs: &[X],
        ys: &[Y],
        keep: f64,
    ) -> Figure {
        if !(0.0..1.0).contains(&keep) {
            self.fault(
                "smoothed",
                name,
                format!("keep is {keep}, not from 0 to below 1"),
            );
            return self;
        }
        let faint = LineLook {
            faint: true,
            ..LineLook::default()
        };
        let smooth = mean_so_far(&floats(ys), keep, self.y.wish.log);
        let at = self.layers.len();
        let mut figure = self
            .any_line("smoothed", name, xs, ys, faint)
            .line(name, xs, &smooth);
        if figure.layers.len() == at + 2 {
            figure.smooth.push((at, keep));
        }
        figure
    }

    fn any_line<X: Number, Y: Number>(
        mut self,
        call: &str,
        name: &str,
        xs: &[X],
        ys: &[Y],
        look: LineLook,
    ) -> Figure {
        let (xs, ys) = (floats(xs), floats(ys));
        if self.same_length(call, name, ("x", xs.len()), ("y", ys.len())) {
            self.push(name, Mark::Line { xs, ys, look });
        }
        self
    }

    /// The area between two lines: a confidence band.
    pub fn band<X: Number, Y: Number>(
        mut self,
        name: &str,
        xs: &[X],
        low: &[Y],
        high: &[Y],
    ) -> Figure {
        let (xs, low, high) = (floats(xs), floats(low), floats(high));
        if self.same_length("band", name, ("x", xs.len()), ("low", low.len()))
            && self.same_length("band", name, ("x", xs.len()), ("high", high.len()))
        {
            self.push(name, Mark::Band { xs, low, high });
        }
        self
    }

    /// Points.
    pub fn scatter<X: Number, Y: Number>(mut self, name: &str, xs: &[X], ys: &[Y]) -> Figure {
        let (xs, ys) = (floats(xs), floats(ys));
        if self.same_length("scatter", name, ("x", xs.len()), ("y", ys.len())) {
            self.push(name, Mark::Points { xs, ys });
        }
        self
    }

    /// A bar for each label. Several calls with the same labels stand side by side.
    pub fn bar<Y: Number>(
        mut self,
        name: &str,
        labels: &[impl AsRef<str>],
        heights: &[Y],
    ) -> Figure {
        let heights = floats(heights);
        let labels: Vec<String> = labels
            .iter()
            .map(|label| label.as_ref().to_owned())
            .collect();
        if !self.same_length(
            "bar",
            name,
            ("labels", labels.len()),
            ("heights", heights.len()),
        ) {
            return self;
        }
        match &self.x.wish.names {
            Some(old) if *old != labels => {
                self.fault(
                    "bar",
                    name,
                    "its labels are not those of the bars before".to_owned(),
                );
            }
            _ => {
                self.x.wish.names = Some(labels);
                self.push(name, Mark::Bars { heights });
            }
        }
        self
    }

    /// Counts of values in bins of one width; what is not finite is left out.
    pub fn histogram<T: Number>(mut self, name: &str, values: &[T], bins: usize) -> Figure {
        if !(1..=10_000).contains(&bins) {
            self.fault("histogram", name, format!("{bins} bins, not 1 to 10000"));
            return self;
        }
        let (edges, counts) = crate::stats::bins(&floats(values), bins);
        self.push(name, Mark::Histogram { edges, counts });
        self
    }

    /// A histogram that is counted already: `counts[i]` lie between `edges[i]` and `edges[i + 1]`.
    pub fn histogram_of<E: Number, C: Number>(
        mut self,
        name: &str,
        edges: &[E],
        counts: &[C],
    ) -> Figure {
        let (edges, counts) = (floats(edges), floats(counts));
        if counts.len() + 1 != edges.len() {
            let (e, c) = (edges.len(), counts.len());
            self.fault(
                "histogram_of",
                name,
                format!("{c} counts need {} edges, not {e}", c + 1),
            );
        } else if !edges.windows(2).all(|pair| pair[0] < pair[1]) {
            self.fault("histogram_of", name, "its edges do not rise".to_owned());
        } else {
            self.push(name, Mark::Histogram { edges, counts });
        }
        self
    }

    /// A box for a group of values: quartiles, whiskers to the last value within 1.5 times the box, and what lies beyond.
    pub fn box_plot<T: Number>(mut self, name: &str, values: &[T]) -> Figure {
        let names = self.x.wish.names.get_or_insert_with(Vec::new);
        let at = names.len();
        names.push(name.to_owned());
        let quartiles = crate::stats::quartiles(&floats(values));
        self.push("", Mark::Box { at, quartiles });
        self
    }

    /// A matrix by colour, its first row on top: `rows * columns` values, row by row.
    pub fn heat_map<T: Number>(mut self, rows: usize, columns: usize, values: &[T]) -> Figure {
        self.push_cells(
            "heat_map",
            Cells {
                rows,
                columns,
                values: floats(values),
                texts: None,
                shares: false,
            },
        );
        self
    }

    /// Names of a heat map's rows.
    pub fn row_names(mut self, names: &[impl AsRef<str>]) -> Figure {
        self.y.wish.names = Some(names.iter().map(|name| name.as_ref().to_owned()).collect());
        self
    }

    /// Names of a heat map's columns.
    pub fn column_names(mut self, names: &[impl AsRef<str>]) -> Figure {
        self.x.wish.names = Some(names.iter().map(|name| name.as_ref().to_owned()).collect());
        self
    }

    /// A vertical line at `x`, dashed.
    pub fn vertical(mut self, name: &str, x: f64) -> Figure {
        self.push(
            name,
            Mark::Rule {
                at: x,
                upright: true,
            },
        );
        self
    }

    /// A horizontal line at `y`, dashed.
    pub fn horizontal(mut self, name: &str, y: f64) -> Figure {
        self.push(
            name,
            Mark::Rule {
                at: y,
                upright: false,
            },
        );
        self
    }

    pub(crate) fn push(&mut self, name: &str, mark: Mark) {
        self.layers.push(Layer {
            name: name.to_owned(),
            ink: None,
            mark,
        });
    }

    /// Names of rows or columns whose number is not that of the cells; names may come before or after these.
    pub(crate) fn misnamed(&self) -> Option<PlotError> {
        let cells = self.layers.iter().find_map(|layer| match &layer.mark {
            Mark::Cells(cells) => Some(cells),
            _ => None,
        })?;
        let sides = [
            (&self.y.wish.names, "row_names", cells.rows, "rows"),
            (&self.x.wish.names, "column_names", cells.columns, "columns"),
        ];
        sides.into_iter().find_map(|(names, call, count, what)| {
            let given = names.as_ref()?.len();
            (given != count).then(|| PlotError::Input {
                figure: self.title.clone(),
                part: call.to_owned(),
                reason: format!("{given} names for {count} {what}"),
            })
        })
    }

    /// The part of a message that says which call it was.
    fn part(call: &str, name: &str) -> String {
        if name.is_empty() {
            call.to_owned()
        } else {
            format!("{call} {name:?}")
        }
    }

    pub(crate) fn fault(&mut self, call: &str, name: &str, reason: String) {
        let (figure, part) = (self.title.clone(), Figure::part(call, name));
        self.error.get_or_insert(PlotError::Input {
            figure,
            part,
            reason,
        });
    }

    pub(crate) fn same_length(
        &mut self,
        call: &str,
        name: &str,
        (left, left_len): (&'static str, usize),
        (right, right_len): (&'static str, usize),
    ) -> bool {
        if left_len != right_len {
            let (figure, part) = (self.title.clone(), Figure::part(call, name));
            let error = PlotError::Lengths {
                figure,
                part,
                left,
                left_len,
                right,
                right_len,
            };
            self.error.get_or_insert(error);
        }
        left_len == right_len
    }

    pub(crate) fn push_cells(&mut self, call: &str, cells: Cells) {
        let (rows, columns, len) = (cells.rows, cells.columns, cells.values.len());
        if rows.checked_mul(columns) != Some(len) {
            self.fault(
                call,
                "",
                format!("{rows} x {columns} cells, but {len} values"),
            );
            return;
        }
        self.y.wish.reversed = true;
        self.push("", Mark::Cells(cells));
    }

    fn check_range(&mut self, call: &str, from: f64, to: f64, log: bool) {
        if !(from.is_finite() && to.is_finite() && from < to && (!log || from > 0.0)) {
            let kind = if log { "positive " } else { "" };
            self.fault(call, "", format!("{from} to {to} is no rising {kind}range"));
        }
    }
}

/// Exponential means of values so far, of their logarithms if `log`; gaps where they have none.
fn mean_so_far(values: &[f64], keep: f64, log: bool) -> Vec<f64> {
    let (mut mean, mut weight) = (0.0, 0.0);
    let step = |&y: &f64| {
        let y = if log { y.ln() } else { y };
        if !y.is_finite() {
            return f64::NAN;
        }
        mean = keep * mean + (1.0 - keep) * y;
        weight = keep * weight + (1.0 - keep);
        let so_far = mean / weight;
        if log { so_far.exp() } else { so_far }
    };
    values.iter().map(step).collect()
}
