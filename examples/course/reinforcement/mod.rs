//! Lessons of the chapter; see `chapters.rs`.

pub mod bandit;
pub mod cart_pole;
