//! Lessons of the chapter; see `chapters.rs`.

pub mod folding;
pub mod perceptron;
pub mod xor;
