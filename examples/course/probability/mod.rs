//! Lessons of the chapter; see `chapters.rs`.

pub mod bayes;
pub mod coins;
pub mod covariance;
pub mod likelihood;
