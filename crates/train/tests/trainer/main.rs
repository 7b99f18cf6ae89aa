//! The trainer: loops, events, checkpoints under every mishap, mistakes that it finds.

mod events;
mod faults;
mod kill;
mod resume;
mod support;
mod tools;
