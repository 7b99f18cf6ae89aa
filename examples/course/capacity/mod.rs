//! Lessons of the chapter; see `chapters.rs`.

pub mod bias_variance;
pub mod polynomials;
pub mod splines;
pub mod validation;
