//! Lessons of the chapter; see `chapters.rs`.

pub mod batch_norm;
pub mod decay;
pub mod distillation;
pub mod hints;
pub mod initialisation;
pub mod optimisers;
pub mod pretraining;
pub mod transfer;
