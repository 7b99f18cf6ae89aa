//! Lessons of the chapter; see `chapters.rs`.

pub mod default_cards;
pub mod features;
pub mod mnist;
pub mod one_against_rest;
pub mod outliers;
pub mod rain;
pub mod tables;
