//! Lessons of the chapter; see `chapters.rs`.

pub mod gat;
pub mod gcn;
pub mod karate;
