//! What can go wrong on a device, as one cloneable type.
//!
//! Must not panic and must not lose wgpu's own message: a driver's complaint is
//! carried in `message`, with the kernel or the byte counts it belongs to.

/// Result of a device call.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// An error of the device layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits the request.
    #[error("no adapter matches {wanted}; available: {}", list(.available))]
    NoAdapter {
        /// What was asked for, in words.
        wanted: String,
        /// Names and kinds of the adapters that are there.
        available: Vec<String>,
    },
    /// The adapter refused to make a device.
    #[error("adapter `{adapter}` refused a device: {message}")]
    RequestDevice {
        /// Name of the adapter.
        adapter: String,
        /// The backend's message.
        message: String,
    },
    /// The device is gone; every buffer on it is lost.
    #[error("the device was lost: {reason}")]
    DeviceLost {
        /// The backend's reason.
        reason: String,
    },
    /// The device has no memory left.
    #[error("out of device memory while allocating {bytes} bytes")]
    OutOfMemory {
        /// Bytes asked for; 0 where the backend did not say which call failed.
        bytes: u64,
    },
    /// A size is over a limit of the device; nothing was asked of the driver.
    #[error("{what} of {bytes} bytes is over the device's limit of {limit} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Bytes asked for.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
    },
    /// WGSL that does not parse or validate; the message shows the source line.
    #[error("kernel `{label}`: {message}")]
    Shader {
        /// Label of the kernel.
        label: String,
        /// Message with the offending line.
        message: String,
    },
    /// A valid shader that this device cannot make a pipeline of.
    #[error("kernel `{label}`: no pipeline: {message}")]
    Pipeline {
        /// Label of the kernel.
        label: String,
        /// The reason.
        message: String,
    },
    /// Buffers that do not fit the bindings of a kernel.
    #[error("kernel `{kernel}`: {message}")]
    Binding {
        /// Label of the kernel.
        kernel: String,
        /// Which binding and why.
        message: String,
    },
    /// A grid that the device cannot launch.
    #[error("kernel `{kernel}`: grid {groups:?} is over {limit} groups in a dimension")]
    Grid {
        /// Label of the kernel.
        kernel: String,
        /// The requested workgroup counts.
        groups: [u32; 3],
        /// The device's limit in every dimension.
        limit: u32,
    },
    /// A byte range outside its buffer, or not aligned as WebGPU asks.
    #[error("{what}: bytes {offset}..{offset}+{len} of a buffer of {size} bytes: {message}")]
    Range {
        /// The call.
        what: &'static str,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        len: u64,
        /// Length of the buffer in bytes.
        size: u64,
        /// What is wrong with it.
        message: &'static str,
    },
    /// Reading back failed.
    #[error("readback failed: {message}")]
    Map {
        /// The reason.
        message: String,
    },
    /// The device lacks a feature.
    #[error("the device does not support {what}")]
    Unsupported {
        /// The feature.
        what: &'static str,
    },
    /// An error that the backend reported outside any call, kept until [`crate::Gpu::clear_error`].
    #[error("device error: {message}")]
    Backend {
        /// The backend's message.
        message: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
