//! Lessons of the chapter; see `chapters.rs`.

pub mod closed_form;
pub mod concise;
pub mod houses;
pub mod normal;
pub mod scratch;
pub mod temperature;
pub mod vectorised;
