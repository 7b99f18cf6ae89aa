//! Figures as PNG, through a rasteriser with fonts of its own (DejaVu Sans), so that a figure looks the same on every
//! machine. Behind the feature `png`. Must not draw: it only turns SVG into pixels.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::draw;
use crate::error::PlotError;
use crate::figure::Figure;
use crate::grid::Grid;
use crate::theme::Theme;

/// Pixels each way that a picture may have.
const MOST: f32 = 16_000.0;

impl Figure {
    /// The figure as PNG, `scale` pixels for each of its own; light unless its theme is dark.
    ///
    /// # Errors
    /// As [`to_svg`](Figure::to_svg), and a scale that makes no picture or one of more than 16000 pixels each way.
    pub fn to_png(&self, scale: f32) -> Result<Vec<u8>, PlotError> {
        let theme = forced(self.theme);
        let svg = draw::document(&self.title, theme, &draw::elements(self, theme)?);
        rasterise(&self.title, &svg, scale)
    }
}

impl Grid {
    /// The page as PNG, `scale` pixels for each of its own; light unless its theme is dark.
    ///
    /// # Errors
    /// As [`Figure::to_png`].
    pub fn to_png(&self, scale: f32) -> Result<Vec<u8>, PlotError> {
        rasterise("", &self.svg_in(forced(self.own_theme()))?, scale)
    }
}

fn forced(theme: Theme) -> Theme {
    if theme == Theme::Dark {
        Theme::Dark
    } else {
        Theme::Light
    }
}

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

fn rasterise(figure: &str, svg: &str, scale: f32) -> Result<Vec<u8>, PlotError> {
    let failed = |reason: String| PlotError::Drawing {
        figure: figure.to_owned(),
        reason,
    };
    let options = Options {
        fontdb: fonts(),
        font_family: "DejaVu Sans".to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))?;
    let (width, height) = (tree.size().width() * scale, tree.size().height() * scale);
    if !(width >= 1.0 && height >= 1.0 && width <= MOST && height <= MOST) {
        return Err(failed(format!(
            "a scale of {scale} makes {width} x {height} pixels"
        )));
    }
    let mut pixels = Pixmap::new(width.round() as u32, height.round() as u32)
        .ok_or_else(|| failed("no room for the pixels".to_owned()))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|e| failed(e.to_string()))
}
