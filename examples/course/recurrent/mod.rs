//! Lessons of the chapter; see `chapters.rs`.

pub mod bidirectional;
pub mod gradients;
pub mod leaky;
pub mod lstm;
pub mod patterns;
pub mod recall;
pub mod teacher_forcing;
pub mod time_delay;
pub mod unfolding;
pub mod variants;
