//! Lessons of the chapter; see `chapters.rs`.

pub mod edge_cost;
pub mod efficient;
pub mod feature_maps;
pub mod filters;
pub mod kernels;
pub mod matrix_product;
pub mod mnist1d;
pub mod properties;
pub mod residual;
pub mod unshared;
pub mod vgg;
