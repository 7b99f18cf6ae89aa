//! Kinds of GPU adapters, by which kernels are chosen.

/// Kinds of GPU adapters that differ in which kernels are best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceClass {
    /// One that runs on the processor.
    Software,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A card with its own memory.
    Discrete,
    /// One that does not say, as in browsers.
    Unknown,
}
