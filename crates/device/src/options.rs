//! How a device is opened. It must not open one.

/// How to open a device. The default takes the fastest hardware GPU with all it offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Part of the adapter's name, in any case, or its number: its place in [`crate::adapters`]. A software adapter may
    /// be named too.
    pub name: Option<String>,
    /// Open with WebGPU's default limits (8 storage buffers, 256 invocations, 16 KiB of
    /// workgroup memory, 128 MiB bindings) and no optional feature.
    pub minimum_limits: bool,
    /// Take a software adapter where there is no other.
    pub allow_software: bool,
    /// Compile kernels without bounds checks, loop bounds and zeroing of workgroup
    /// memory. Whoever sets it promises that every kernel not marked
    /// [`crate::KernelSource::checked`] indexes within its buffers and ends.
    pub trusted: bool,
    /// Ask for cooperative matrices, an experimental feature, where present.
    pub cooperative_matrix: bool,
}
