//! Why a figure could not be made. Every message names the figure, the part of it, and the sizes.

#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;

/// Why a figure could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// Two inputs of one part differ in length.
    #[error("figure {figure:?}: {part}: {left} has {left_len} values, {right} has {right_len}")]
    Lengths {
        /// Title of the figure.
        figure: String,
        /// The call and the name of the series.
        part: String,
        /// The first input.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// The second input.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// An input that the part cannot show.
    #[error("figure {figure:?}: {part}: {reason}")]
    Input {
        /// Title of the figure.
        figure: String,
        /// The call and the name of the series.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The drawing itself failed.
    #[error("figure {figure:?}: {reason}")]
    Drawing {
        /// Title of the figure.
        figure: String,
        /// What the drawing library or the rasteriser said.
        reason: String,
    },
    /// The file could not be written; an old one is whole.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("{}: cannot write: {source}", path.display())]
    File {
        /// The file asked for.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl PlotError {
    /// What a caller without the feature `png` is told.
    #[cfg(not(any(feature = "png", target_arch = "wasm32")))]
    pub(crate) fn without_png(figure: &str) -> PlotError {
        let reason = "a PNG needs the feature `png` of wgrad-plot; an SVG does not".to_owned();
        PlotError::Drawing {
            figure: figure.to_owned(),
            reason,
        }
    }

    /// The same once more; a figure that is drawn twice fails twice.
    pub(crate) fn again(&self) -> PlotError {
        match self {
            PlotError::Lengths {
                figure,
                part,
                left,
                left_len,
                right,
                right_len,
            } => PlotError::Lengths {
                figure: figure.clone(),
                part: part.clone(),
                left,
                left_len: *left_len,
                right,
                right_len: *right_len,
            },
            PlotError::Input {
                figure,
                part,
                reason,
            } => PlotError::Input {
                figure: figure.clone(),
                part: part.clone(),
                reason: reason.clone(),
            },
            other => PlotError::Drawing {
                figure: String::new(),
                reason: other.to_string(),
            },
        }
    }
}
