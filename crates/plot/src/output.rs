//! A figure as text and as a file. Must not know its parts.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use crate::draw;
use crate::error::PlotError;
use crate::figure::Figure;
#[cfg(not(target_arch = "wasm32"))]
use crate::files;

impl Figure {
    /// The figure as SVG.
    ///
    /// # Errors
    /// The first fault of the calls before.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        draw::svg(self)
    }

    /// Writes the figure, whole or not at all. A path that ends in `.png` needs the feature `png`; all others become SVG.
    ///
    /// # Errors
    /// The first fault of the calls before, and the file system's.
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
        Err(PlotError::without_png(&self.title))
    }

    #[cfg(all(feature = "png", not(target_arch = "wasm32")))]
    fn png_for_file(&self) -> Result<Vec<u8>, PlotError> {
        self.to_png(2.0)
    }
}
