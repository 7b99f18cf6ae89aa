//! Figures: from plain slices to SVG, light and dark, through `plotters`.
//!
//! One vocabulary for examples, reports and notebooks. [`Figure`] is built by calls and then drawn; a [`Grid`] holds several.
//!
//! | kind | call |
//! |---|---|
//! | curves | [`line`](Figure::line), [`dashed`](Figure::dashed), [`dotted_line`](Figure::dotted_line), [`smoothed`](Figure::smoothed), [`band`](Figure::band) |
//! | points, bars, distributions | [`scatter`](Figure::scatter), [`bar`](Figure::bar), [`histogram`](Figure::histogram), [`box_plot`](Figure::box_plot) |
//! | matrices and surfaces | [`heat_map`](Figure::heat_map), [`surface`](Figure::surface), [`contour`](Figure::contour), [`regions`](Figure::regions), [`quiver`](Figure::quiver) |
//! | classifiers | [`confusion`](Figure::confusion), [`roc`](Figure::roc), [`calibration`](Figure::calibration) |
//! | images and graphs | [`images`](Figure::images), [`image_grid`](Figure::image_grid), [`film_strip`](Figure::film_strip), [`network`](Figure::network) |
//!
//! ```
//! use wgrad_plot::Figure;
//! let steps: Vec<u32> = (0..100).collect();
//! let losses: Vec<f32> = steps.iter().map(|&t| (-0.05 * t as f32).exp()).collect();
//! let folder = std::env::temp_dir();
//! Figure::new("Loss").x("step").y("nats").log_y().line("train", &steps, &losses).save(folder.join("loss.svg"))?;
//! # Ok::<(), wgrad_plot::PlotError>(())
//! ```
//!
//! An SVG follows the reader's light or dark setting where it is shown as a file, in a README or a page. Data may be empty, not
//! finite, huge or a million points long: a figure is drawn all the same, thinned to what pixels can show, and says what it
//! leaves out. Must not know tensors, and must not read anything: what is shown is given as slices.

mod backend;
mod bitmap;
mod color_map;
mod draw;
mod error;
mod figure;
#[cfg(not(target_arch = "wasm32"))]
mod files;
mod grid;
mod kinds;
mod layer;
mod network;
mod number;
mod output;
mod picture;
#[cfg(feature = "png")]
mod raster;
mod scale;
mod stats;
mod surface;
mod text;
mod theme;

pub use bitmap::png_bytes;
pub use color_map::ColorMap;
pub use error::PlotError;
pub use figure::Figure;
pub use grid::Grid;
pub use network::Network;
pub use number::Number;
pub use picture::Picture;
pub use surface::Surface;
pub use text::escape;
pub use theme::{Theme, theme_rules};
