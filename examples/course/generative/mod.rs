//! Lessons of the chapter; see `chapters.rs`.

pub mod pixels;
