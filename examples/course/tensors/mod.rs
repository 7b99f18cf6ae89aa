//! Lessons of the chapter; see `chapters.rs`.

pub mod arrays;
pub mod eigenvectors;
pub mod linear_system;
pub mod norms;
