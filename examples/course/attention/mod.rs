//! Lessons of the chapter; see `chapters.rs`.

pub mod by_hand;
pub mod encoder;
pub mod gpt;
pub mod reversal;
pub mod set_anomaly;
