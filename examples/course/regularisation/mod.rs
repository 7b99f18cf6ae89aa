//! Lessons of the chapter; see `chapters.rs`.

pub mod adversarial;
pub mod bagging;
pub mod dropout;
pub mod early_stopping;
pub mod few_examples;
pub mod multi_task;
pub mod paths;
pub mod semi_supervised;
