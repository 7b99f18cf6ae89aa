//! Lessons of the chapter; see `chapters.rs`.

pub mod boltzmann;
pub mod clusters;
pub mod deconvolutional;
pub mod deep_belief;
pub mod echo_state;
pub mod extreme_learning;
pub mod hopfield;
pub mod inverse_graphics;
pub mod kohonen;
pub mod liquid_state;
pub mod markov_chain;
pub mod neural_turing;
pub mod radial_basis;
pub mod rbm;
pub mod support_vector;
