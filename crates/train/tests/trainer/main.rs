//! The trainer: loops, events, checkpoints under every mishap, mistakes that it finds.

mod events;
mod faults;
mod kill;
mod overhead;
mod resume;
mod support;
mod tools;
