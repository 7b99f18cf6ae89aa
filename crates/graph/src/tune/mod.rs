//! Choosing the kernels of matrix products and convolutions by measuring them, for those who ask for it: a device is
//! opened without timing anything. Each candidate must give what the cpu gives before its time counts; the winners go
//! to a file (`cache`) that the next opening of the same device reads. Knows candidates as what the executor offers.

pub(crate) mod cache;
#[cfg(feature = "cpu")]
mod measure;
#[cfg(feature = "cpu")]
mod shapes;

#[cfg(feature = "cpu")]
pub use measure::{TuneEvent, TuneOptions, TuneReport, Tuned};
#[cfg(feature = "cpu")]
pub use shapes::TuneShape;
#[cfg(feature = "cpu")]
pub use wgrad_cpu::{Fit, FitChoice, FitOptions, fit_convolutions};
