//! Several figures on one page, in rows. Must not look into them.

use std::fmt::Write as _;
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use crate::draw::{self, Drawn};
use crate::error::PlotError;
use crate::figure::Figure;
#[cfg(not(target_arch = "wasm32"))]
use crate::files;
use crate::theme::Theme;

/// Figures side by side, each with axes of its own.
///
/// ```
/// use wgrad_plot::{Figure, Grid};
/// let svg = Grid::new(2)
///     .figure(Figure::new("Loss").size(350, 300).line("train", &[1, 2], &[0.9, 0.5]))
///     .figure(Figure::new("Rate").size(350, 300).line("", &[1, 2], &[0.1, 0.05]))
///     .to_svg()?;
/// assert!(svg.contains("Loss") && svg.contains("Rate"));
/// # Ok::<(), wgrad_plot::PlotError>(())
/// ```
#[derive(Debug)]
#[must_use = "a grid is drawn by `save` or `to_svg`"]
pub struct Grid {
    columns: usize,
    theme: Theme,
    figures: Vec<Figure>,
}

impl Grid {
    /// With so many columns, at least one.
    pub fn new(columns: usize) -> Grid {
        Grid {
            columns: columns.max(1),
            theme: Theme::Auto,
            figures: Vec::new(),
        }
    }

    /// A further figure.
    pub fn figure(mut self, figure: Figure) -> Grid {
        self.figures.push(figure);
        self
    }

    /// Light, dark, or as the reader's system; the figures' own themes are not asked.
    pub fn theme(mut self, theme: Theme) -> Grid {
        self.theme = theme;
        self
    }

    /// The page as SVG.
    ///
    /// # Errors
    /// The first fault of the first figure that has one.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        self.svg_in(self.theme)
    }

    pub(crate) fn svg_in(&self, theme: Theme) -> Result<String, PlotError> {
        let drawn = self
            .figures
            .iter()
            .map(|figure| draw::elements(figure, theme));
        let drawn: Vec<Drawn> = drawn.collect::<Result<_, _>>()?;
        let mut elements = String::new();
        let (mut width, mut y) = (1, 0);
        for row in drawn.chunks(self.columns) {
            let mut x = 0;
            for figure in row {
                let (w, h) = (figure.width, figure.height);
                let _ = write!(
                    elements,
                    "<svg x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\n{}</svg>\n",
                    figure.elements
                );
                x += w;
            }
            width = width.max(x);
            y += row.iter().map(|figure| figure.height).max().unwrap_or(0);
        }
        let titles: Vec<&str> = self
            .figures
            .iter()
            .map(|figure| figure.title.as_str())
            .collect();
        let page = Drawn {
            elements,
            width,
            height: y.max(1),
        };
        Ok(draw::document(&titles.join(", "), theme, &page))
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// The first fault of the first figure that has one, and the file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("png"))
        {
            return files::write(path, &self.png_for_file()?);
        }
        files::write(path, self.to_svg()?.as_bytes())
    }

    #[cfg(not(any(feature = "png", target_arch = "wasm32")))]
    fn png_for_file(&self) -> Result<Vec<u8>, PlotError> {
        Err(PlotError::without_png(""))
    }

    #[cfg(all(feature = "png", not(target_arch = "wasm32")))]
    fn png_for_file(&self) -> Result<Vec<u8>, PlotError> {
        self.to_png(2.0)
    }

    #[cfg(feature = "png")]
    pub(crate) fn own_theme(&self) -> Theme {
        self.theme
    }
}
