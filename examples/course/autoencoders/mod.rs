//! Lessons of the chapter; see `chapters.rs`.

pub mod contractive;
pub mod deep;
pub mod denoising;
pub mod linear;
pub mod sparse;
pub mod stacked;
