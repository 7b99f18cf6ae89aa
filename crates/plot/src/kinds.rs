//! The kinds of figures that are more than marks between axes: surfaces, fields, judgements of classifiers, images and
//! graphs, as further calls on [`Figure`]. Must not draw.

use crate::figure::{Figure, Panel};
use crate::layer::{Cells, Layer, LineLook, Mark};
use crate::network::Network;
use crate::number::{Number, floats};
use crate::picture::Picture;
use crate::stats;
use crate::surface::Surface;
use crate::theme::Ink;

impl Figure {
    /// A surface by colour, with a scale of colours beside it.
    pub fn surface(mut self, surface: &Surface) -> Figure {
        if self.sound("surface", surface) {
            self.push("", Mark::Surface(surface.clone()));
        }
        self
    }

    /// About `levels` lines of equal height, each with its number.
    pub fn contour(mut self, surface: &Surface, levels: usize) -> Figure {
        if !(1..=100).contains(&levels) {
            self.fault("contour", "", format!("{levels} levels, not 1 to 100"));
        } else if self.sound("contour", surface) {
            self.push(
                "",
                Mark::Contours {
                    surface: surface.thinned(200),
                    levels,
                },
            );
        }
        self
    }

    /// The classes that a model decides for on a grid, in the colours of the series: class 0 has that of the first.
    pub fn regions(mut self, classes: &Surface) -> Figure {
        let odd = classes
            .values
            .iter()
            .find(|class| class.is_finite() && (**class < 0.0 || class.fract() != 0.0));
        if let Some(odd) = odd {
            self.fault("regions", "", format!("{odd} is no class"));
        } else if self.sound("regions", classes) {
            self.push("", Mark::Regions(classes.clone()));
        }
        self
    }

    /// A field of arrows: at `(x, y)` one towards `(x + u, y + v)`. The longest is about as long as arrows are apart.
    pub fn quiver<T: Number>(mut self, xs: &[T], ys: &[T], us: &[T], vs: &[T]) -> Figure {
        let (xs, ys, us, vs) = (floats(xs), floats(ys), floats(us), floats(vs));
        let same = self.same_length("quiver", "", ("x", xs.len()), ("y", ys.len()))
            && self.same_length("quiver", "", ("x", xs.len()), ("u", us.len()))
            && self.same_length("quiver", "", ("x", xs.len()), ("v", vs.len()));
        if same {
            self.push("", Mark::Arrows { xs, ys, us, vs });
        }
        self
    }

    /// Counts `[true class, predicted class]`; colours are shares of the true class.
    ///
    /// ```
    /// use wgrad_plot::Figure;
    /// Figure::new("Test").confusion(&["cat", "dog"], &[48, 2, 5, 45]).to_svg()?;
    /// # Ok::<(), wgrad_plot::PlotError>(())
    /// ```
    pub fn confusion<T: Number>(mut self, classes: &[impl AsRef<str>], counts: &[T]) -> Figure {
        let counts = floats(counts);
        let n = classes.len();
        if n.checked_mul(n) != Some(counts.len()) || n == 0 {
            let len = counts.len();
            self.fault(
                "confusion",
                "",
                format!("{n} classes need {n} x {n} counts, not {len}"),
            );
            return self;
        }
        if let Some(odd) = counts
            .iter()
            .find(|count| !(count.is_finite() && **count >= 0.0))
        {
            self.fault("confusion", "", format!("{odd} is no count"));
            return self;
        }
        let shares = counts.chunks(n).flat_map(|row| {
            let sum: f64 = row.iter().sum();
            row.iter()
                .map(move |count| if sum > 0.0 { count / sum } else { 0.0 })
        });
        let texts = counts.iter().map(|count| {
            if *count == 0.0 {
                String::new()
            } else {
                format!("{count}")
            }
        });
        let cells = Cells {
            rows: n,
            columns: n,
            values: shares.collect(),
            texts: Some(texts.collect()),
            shares: true,
        };
        self.push_cells("confusion", cells);
        self.size.get_or_insert((560, 500));
        self.row_names(classes)
            .column_names(classes)
            .or_x("predicted")
            .or_y("true")
    }

    /// A receiver operating characteristic, with the area under it in the legend; ties count one half. Calls add curves.
    ///
    /// ```
    /// use wgrad_plot::Figure;
    /// let figure = Figure::new("ROC").roc("model", &[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
    /// assert!(figure.to_svg()?.contains("AUC 0.750"));
    /// # Ok::<(), wgrad_plot::PlotError>(())
    /// ```
    pub fn roc<T: Number>(mut self, name: &str, scores: &[T], positive: &[bool]) -> Figure {
        let scores = floats(scores);
        if !self.same_length(
            "roc",
            name,
            ("scores", scores.len()),
            ("positive", positive.len()),
        ) {
            return self;
        }
        if let Some(odd) = scores.iter().find(|score| !score.is_finite()) {
            self.fault("roc", name, format!("a score is {odd}"));
            return self;
        }
        let Some(roc) = stats::roc(&scores, positive) else {
            let given = positive.iter().filter(|&&is| is).count();
            self.fault(
                "roc",
                name,
                format!(
                    "{given} of {} are positive; it needs both kinds",
                    positive.len()
                ),
            );
            return self;
        };
        self.diagonal("chance");
        let name = format!("{name} (AUC {:.3})", roc.area);
        let mark = Mark::Line {
            xs: roc.false_rates,
            ys: roc.true_rates,
            look: LineLook::default(),
        };
        self.push(&name, mark);
        self.size.get_or_insert((520, 480));
        self.or_x("false positive rate")
            .or_y("true positive rate")
            .x_range(0.0, 1.0)
            .y_range(0.0, 1.0)
    }

    /// How often what is given probability p is positive, in `bins` even bins. Calls add curves.
    ///
    /// ```
    /// use wgrad_plot::Figure;
    /// Figure::new("Calibration").calibration("model", &[0.1, 0.4, 0.9], &[false, true, true], 10).to_svg()?;
    /// # Ok::<(), wgrad_plot::PlotError>(())
    /// ```
    pub fn calibration<T: Number>(
        mut self,
        name: &str,
        probabilities: &[T],
        positive: &[bool],
        bins: usize,
    ) -> Figure {
        let values = floats(probabilities);
        if !self.same_length(
            "calibration",
            name,
            ("probabilities", values.len()),
            ("positive", positive.len()),
        ) {
            return self;
        }
        if let Some(odd) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            self.fault("calibration", name, format!("{odd} is no probability"));
            return self;
        }
        if !(1..=1000).contains(&bins) {
            self.fault("calibration", name, format!("{bins} bins, not 1 to 1000"));
            return self;
        }
        self.diagonal("calibrated");
        let found = stats::calibration(&values, positive, bins);
        let (xs, ys): (Vec<f64>, Vec<f64>) = found.iter().map(|(p, share, _)| (*p, *share)).unzip();
        self.size.get_or_insert((520, 480));
        self.dotted_line(name, &xs, &ys)
            .or_x("predicted probability")
            .or_y("share of positives")
            .x_range(0.0, 1.0)
            .y_range(0.0, 1.0)
    }

    /// Images in rows, each with its caption; as many columns as fit.
    pub fn images(self, pictures: &[Picture]) -> Figure {
        self.show("images", pictures, None, false)
    }

    /// Images in so many columns.
    pub fn image_grid(mut self, columns: usize, pictures: &[Picture]) -> Figure {
        if !(1..=64).contains(&columns) {
            self.fault("image_grid", "", format!("{columns} columns, not 1 to 64"));
            return self;
        }
        self.show("image_grid", pictures, Some(columns), false)
    }

    /// Frames one after the other, numbered where they have no caption: how a sample or a filter changes with time.
    pub fn film_strip(self, frames: &[Picture]) -> Figure {
        self.show("film_strip", frames, None, true)
    }

    /// Nodes and edges.
    pub fn network(mut self, network: &Network) -> Figure {
        match network.fault() {
            Some(reason) => self.fault("network", "", reason),
            None => self.put_panel("network", Panel::Network(network.clone())),
        }
        self
    }

    fn show(
        mut self,
        call: &str,
        pictures: &[Picture],
        columns: Option<usize>,
        strip: bool,
    ) -> Figure {
        for (number, picture) in pictures.iter().enumerate() {
            if let Err(reason) = &picture.pixels {
                self.fault(call, "", format!("image {number}: {reason}"));
                return self;
            }
        }
        let panel = Panel::Images {
            pictures: pictures.to_vec(),
            columns,
            strip,
        };
        self.put_panel(call, panel);
        self
    }

    fn put_panel(&mut self, call: &str, panel: Panel) {
        if self.panel.is_some() {
            self.fault(
                call,
                "",
                "the figure shows images or a graph already; a Grid holds several figures"
                    .to_owned(),
            );
        }
        self.panel = Some(panel);
    }

    fn sound(&mut self, call: &str, surface: &Surface) -> bool {
        if let Some(reason) = surface.fault() {
            self.fault(call, "", reason);
            return false;
        }
        true
    }

    /// Once, from (0, 0) to (1, 1).
    fn diagonal(&mut self, name: &str) {
        if self.layers.iter().any(|layer| layer.name == name) {
            return;
        }
        let look = LineLook {
            dashed: true,
            ..LineLook::default()
        };
        let mark = Mark::Line {
            xs: vec![0.0, 1.0],
            ys: vec![0.0, 1.0],
            look,
        };
        self.layers.push(Layer {
            name: name.to_owned(),
            ink: Some(Ink::Muted),
            mark,
        });
    }

    fn or_x(self, label: &str) -> Figure {
        if self.x.label.is_empty() {
            self.x(label)
        } else {
            self
        }
    }

    fn or_y(self, label: &str) -> Figure {
        if self.y.label.is_empty() {
            self.y(label)
        } else {
            self
        }
    }
}
