//! Lessons of the chapter; see `chapters.rs`.

pub mod diffusion_digits;
pub mod diffusion_plane;
pub mod gan_gaussians;
pub mod gan_mnist;
pub mod pixels;
pub mod vae;
