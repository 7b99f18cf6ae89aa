//! Lessons of the chapter; see `chapters.rs`.

pub mod interaction;
pub mod least_squares;
pub mod selection;
