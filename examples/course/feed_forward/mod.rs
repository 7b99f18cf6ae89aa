//! Lessons of the chapter; see `chapters.rs`.

pub mod cosine;
pub mod depth;
pub mod folding;
pub mod perceptron;
pub mod units;
pub mod xor;
