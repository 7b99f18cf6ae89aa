//! Lessons of the chapter; see `chapters.rs`.

pub mod batches;
pub mod rates;
pub mod surfaces;
