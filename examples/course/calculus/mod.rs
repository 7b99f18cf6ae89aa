//! Lessons of the chapter; see `chapters.rs`.

pub mod accumulation;
pub mod chain_rule;
pub mod limit;
pub mod symbols;
