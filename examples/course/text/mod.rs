//! Lessons of the chapter; see `chapters.rs`.

pub mod bigram;
pub mod char_lm;
pub mod dates;
pub mod entities;
pub mod gender;
pub mod lstm;
pub mod mlp;
pub mod negation;
pub mod one_hot;
pub mod sentiment;
pub mod spelling;
pub mod word2vec;
