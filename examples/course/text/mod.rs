//! Lessons of the chapter; see `chapters.rs`.

pub mod bigram;
pub mod entities;
pub mod gender;
pub mod mlp;
pub mod negation;
pub mod one_hot;
pub mod sentiment;
pub mod word2vec;
