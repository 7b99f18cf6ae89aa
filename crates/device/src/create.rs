//! Every `create_*` call of wgpu, each counted.
//!
//! Nothing else in the crate creates a wgpu object, so the counters prove that a
//! replayed plan creates none. Must not cache or validate: its callers do.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::handle::Handle;
use crate::reflect::{Access, BindingInfo};

/// How many objects of each kind a device has created since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// Buffers, staging buffers included.
    pub buffers: u64,
    /// Shader modules.
    pub shader_modules: u64,
    /// Bind group layouts.
    pub bind_group_layouts: u64,
    /// Compute pipelines.
    pub pipelines: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Command encoders.
    pub encoders: u64,
    /// Query sets.
    pub query_sets: u64,
}

/// Creates wgpu objects.
pub(crate) struct Creator {
    device: Handle<wgpu::Device>,
    buffers: AtomicU64,
    shader_modules: AtomicU64,
    layouts: AtomicU64,
    pipelines: AtomicU64,
    bind_groups: AtomicU64,
    encoders: AtomicU64,
    query_sets: AtomicU64,
}

/// What a pipeline is compiled from.
pub(crate) struct PipelineSource<'a> {
    pub(crate) label: &'a str,
    pub(crate) wgsl: &'a str,
    pub(crate) entry: &'a str,
    pub(crate) constants: &'a [(&'a str, f64)],
    /// Leave out bounds checks, loop bounds and the zeroing of workgroup memory.
    pub(crate) unchecked: bool,
    pub(crate) layout: &'a wgpu::PipelineLayout,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Creator {
    pub(crate) fn new(device: Handle<wgpu::Device>) -> Self {
        Self {
            device,
            buffers: AtomicU64::new(0),
            shader_modules: AtomicU64::new(0),
            layouts: AtomicU64::new(0),
            pipelines: AtomicU64::new(0),
            bind_groups: AtomicU64::new(0),
            encoders: AtomicU64::new(0),
            query_sets: AtomicU64::new(0),
        }
    }

    pub(crate) fn created(&self) -> Created {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Created {
            buffers: get(&self.buffers),
            shader_modules: get(&self.shader_modules),
            bind_group_layouts: get(&self.layouts),
            pipelines: get(&self.pipelines),
            bind_groups: get(&self.bind_groups),
            encoders: get(&self.encoders),
            query_sets: get(&self.query_sets),
        }
    }

    pub(crate) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.any_buffer(label, size, usage, false)
    }

    /// A buffer that the host may write at once.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn mapped_buffer(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        self.any_buffer(label, size, usage, true)
    }

    fn any_buffer(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
        mapped: bool,
    ) -> wgpu::Buffer {
        count(&self.buffers);
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: mapped,
        })
    }

    pub(crate) fn layout(
        &self,
        bindings: &[BindingInfo],
    ) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        count(&self.layouts);
        let entries: Vec<_> = bindings.iter().map(layout_entry).collect();
        let group = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            });
        let pipeline = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&group)],
                immediate_size: 0,
            });
        (group, pipeline)
    }

    pub(crate) fn pipeline(&self, source: &PipelineSource<'_>) -> wgpu::ComputePipeline {
        let module = self.shader_module(source);
        count(&self.pipelines);
        self.device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(source.label),
                layout: Some(source.layout),
                module: &module,
                entry_point: Some(source.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: source.constants,
                    zero_initialize_workgroup_memory: !source.unchecked,
                },
                cache: None,
            })
    }

    fn shader_module(&self, source: &PipelineSource<'_>) -> wgpu::ShaderModule {
        count(&self.shader_modules);
        let desc = wgpu::ShaderModuleDescriptor {
            label: Some(source.label),
            source: wgpu::ShaderSource::Wgsl(source.wgsl.into()),
        };
        if source.unchecked {
            // SAFETY: whoever opened the device as trusted and did not ask for checks on
            // this kernel promises that it indexes no memory out of range and that its
            // loops end. Checks off is what every kernel's inner loop needs for speed.
            unsafe {
                self.device
                    .create_shader_module_trusted(desc, wgpu::ShaderRuntimeChecks::unchecked())
            }
        } else {
            self.device.create_shader_module(desc)
        }
    }

    pub(crate) fn bind_group<'a>(
        &self,
        layout: &wgpu::BindGroupLayout,
        ranges: impl Iterator<Item = (u32, wgpu::BufferBinding<'a>)>,
    ) -> wgpu::BindGroup {
        count(&self.bind_groups);
        let entries: Vec<_> = ranges
            .map(|(binding, range)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(range),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout,
            entries: &entries,
        })
    }

    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        count(&self.encoders);
        self.device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None })
    }

    pub(crate) fn timestamps(&self, n: u32) -> wgpu::QuerySet {
        count(&self.query_sets);
        self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: n,
        })
    }
}

fn layout_entry(binding: &BindingInfo) -> wgpu::BindGroupLayoutEntry {
    let ty = match binding.access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding.binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        // The minimum size is left open so that kernels that differ only in it share
        // one layout, and with it their bind groups.
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
