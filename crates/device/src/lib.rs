//! WGSL compute over wgpu: adapters, pooled buffers, reflected pipelines, one submit
//! per plan, readback, profiling.
//!
//! This crate is wgpu and nothing but wgpu. It knows no tensors, and may be used alone
//! for any compute kernel. Every type is `Send + Sync` on every target; whatever waits
//! is `async`, with a blocking twin where a thread may block.
//!
//! ```no_run
//! use wgrad_device::{Gpu, KernelSource, OpenOptions};
//!
//! # fn main() -> wgrad_device::Result<()> {
//! let gpu = Gpu::open_blocking(OpenOptions::default())?;
//! let kernel = gpu.kernel(KernelSource::new("double", "
//!     @group(0) @binding(0) var<storage, read> in_x: array<f32>;
//!     @group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
//!     @compute @workgroup_size(64)
//!     fn main(@builtin(global_invocation_id) id: vec3u) {
//!         if id.x < arrayLength(&in_x) { out_y[id.x] = 2.0 * in_x[id.x]; }
//!     }
//! "))?;
//! let x = gpu.buffer_from(&[1.0_f32, 2.0, 3.0])?;
//! let y = gpu.zeros::<f32>(3)?;
//! gpu.run(&kernel, &[&x, &y], [1, 1, 1])?;
//! assert_eq!(y.read_blocking()?, [2.0, 4.0, 6.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # What happens when
//! - One queue, in order: a buffer dropped while the GPU uses it may be handed out again
//!   at once, and [`Gpu::write`] takes effect before whatever is submitted next.
//! - Buffers, kernels, bind groups and staging buffers are cached; replaying a recorded
//!   sequence creates none ([`Gpu::stats`] counts them).
//! - Where memory is lacking, by the driver or by [`Gpu::set_memory_limit`], what waits to be used
//!   again is given back before an allocation fails: the pool's buffers, then the arenas'.
//! - Mistakes of the caller are typed errors of the call. What a driver reports later is
//!   kept and returned by the next submission or read; a lost device stays lost.

mod adapter;
mod arena;
mod bind;
mod buffer;
mod cache;
mod commands;
mod create;
mod download;
mod driver;
mod error;
mod gpu;
mod grid;
mod handle;
mod health;
mod kernel;
mod options;
mod pool;
mod probe;
mod profile;
mod reflect;
mod shared;
mod upload;

#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters_blocking;
pub use adapter::{
    AdapterInfo, AdapterKind, Features, Limits, MatrixScalar, MatrixShape, adapters,
};
pub use arena::{Arena, Lacking, Lease, Needs};
pub use bind::{Binding, BoundKernel, Recent};
pub use buffer::{Buffer, TypedBuffer};
pub use commands::{Commands, Submission};
pub use create::Created;
pub use download::Download;
pub use driver::DriverMemory;
pub use error::{Error, Result};
pub use gpu::{Gpu, Stats, Turns};
pub use grid::fold_groups;
pub use kernel::{Kernel, KernelSource};
pub use options::OpenOptions;
pub use pool::Memory;
pub use profile::Timing;
pub use reflect::{Access, BindingInfo, EntryPoint, Reflection, reflect, reflect_with};

/// Everything may be shared between threads, in a browser too.
const _: () = {
    const fn send_sync<T: Send + Sync>() {}
    send_sync::<Gpu>();
    send_sync::<Arena>();
    send_sync::<Buffer>();
    send_sync::<TypedBuffer<f32>>();
    send_sync::<Kernel>();
    send_sync::<BoundKernel>();
    send_sync::<Recent>();
    send_sync::<Commands>();
    send_sync::<Submission>();
    send_sync::<Download>();
    send_sync::<Error>();
};
