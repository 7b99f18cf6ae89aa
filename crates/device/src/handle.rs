//! Handles of wgpu objects whose thread safety is settled here, once.
//!
//! wgpu's types nest so deeply that a user's crate, asked whether a tensor is `Sync`, would run into the compiler's
//! recursion limit and be told to raise it. Must not wrap anything but wgpu's own handles.

use std::ops::Deref;

/// A type of wgpu's that the compiler has found to be `Send + Sync`, here and not in the user's crate.
pub(crate) trait Shareable: Send + Sync {}

impl Shareable for wgpu::Device {}
impl Shareable for wgpu::Queue {}
impl Shareable for wgpu::Buffer {}
impl Shareable for wgpu::BindGroup {}
impl Shareable for wgpu::BindGroupLayout {}
impl Shareable for wgpu::PipelineLayout {}
impl Shareable for wgpu::ComputePipeline {}
impl Shareable for wgpu::SubmissionIndex {}

/// A wgpu object.
#[derive(Clone)]
pub(crate) struct Handle<T>(T);

// SAFETY: `Shareable` is implemented above for types that are Send + Sync, which its bounds prove.
unsafe impl<T: Shareable> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for Handle<T> {}

impl<T> From<T> for Handle<T> {
    fn from(object: T) -> Handle<T> {
        Handle(object)
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Handle<T> {
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}
