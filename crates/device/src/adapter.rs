//! Adapters as plain data, and the choice of one.
//!
//! Must not open a device. A software adapter is chosen only when it is asked for,
//! by name or by `allow_software`: on such a machine a CPU executor is faster.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// What stands behind an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card with its own memory.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU shared out by a hypervisor.
    Virtual,
    /// Unknown, which is what browsers say.
    Other,
    /// A software rasteriser.
    Cpu,
}

/// The numbers of a device that planning kernels needs. Bytes, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Storage buffers a kernel may bind.
    pub max_storage_buffers: u32,
    /// Uniform buffers a kernel may bind.
    pub max_uniform_buffers: u32,
    /// Invocations in a workgroup.
    pub max_invocations: u32,
    /// Invocations in each dimension of a workgroup.
    pub max_workgroup_size: [u32; 3],
    /// Workgroup memory of a kernel.
    pub workgroup_memory: u32,
    /// One storage binding.
    pub max_binding_bytes: u64,
    /// One uniform binding.
    pub max_uniform_bytes: u64,
    /// One buffer.
    pub max_buffer_bytes: u64,
    /// Workgroups in each dimension of a dispatch.
    pub max_groups: u32,
    /// Multiple that the offset of a storage binding must be of.
    pub storage_alignment: u32,
    /// Multiple that the offset of a uniform binding must be of.
    pub uniform_alignment: u32,
    /// Smallest subgroup, in invocations.
    pub min_subgroup_size: u32,
    /// Largest subgroup, in invocations.
    pub max_subgroup_size: u32,
}

/// Optional features, as WGSL and this crate name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// `enable f16;`
    pub f16: bool,
    /// Subgroup operations in compute.
    pub subgroups: bool,
    /// `subgroupBarrier()`.
    pub subgroup_barrier: bool,
    /// Timestamps around a dispatch.
    pub timestamps: bool,
    /// Atomic add, exchange, load and store on f32 in storage.
    pub f32_atomics: bool,
    /// `enable wgpu_cooperative_matrix;` (only when opened with that option).
    pub cooperative_matrix: bool,
}

/// Element type of a cooperative matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixScalar {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
}

/// One multiply-add `C[m, n] += A[m, k] B[k, n]` that the adapter has in hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixShape {
    /// Rows of A and C.
    pub m: u32,
    /// Columns of B and C.
    pub n: u32,
    /// Columns of A and rows of B.
    pub k: u32,
    /// Elements of A and B.
    pub operand: MatrixScalar,
    /// Elements of C.
    pub accumulator: MatrixScalar,
}

/// An adapter: a GPU as one backend shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// Name, empty in browsers that hide it.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// Kind of hardware.
    pub kind: AdapterKind,
    /// Driver and its version.
    pub driver: String,
    /// What the adapter allows; a device may have been opened with less.
    pub limits: Limits,
    /// What the adapter offers; a device may have been opened with less.
    pub features: Features,
    /// Cooperative matrix shapes, empty where there are none.
    pub matrices: Vec<MatrixShape>,
}

impl core::fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = if self.name.is_empty() {
            "unnamed"
        } else {
            &self.name
        };
        write!(f, "{name} ({}, {:?})", self.backend, self.kind)
    }
}

/// Every adapter, the likely fastest first: an adapter's place is its number. Empty where there is no WebGPU.
pub async fn adapters() -> Vec<AdapterInfo> {
    enumerate().await.iter().map(info).collect()
}

/// Blocking twin of [`adapters`].
#[cfg(not(target_arch = "wasm32"))]
#[must_use]
pub fn adapters_blocking() -> Vec<AdapterInfo> {
    pollster::block_on(adapters())
}

/// The adapter that `name` and `allow_software` choose.
pub(crate) async fn choose(name: Option<&str>, allow_software: bool) -> Result<wgpu::Adapter> {
    let mut found = enumerate().await;
    let listed: Vec<(String, AdapterKind)> = found
        .iter()
        .map(|adapter| adapter.get_info())
        .map(|info| (info.name, kind(info.device_type)))
        .collect();
    match pick(&listed, name, allow_software) {
        Some(index) => Ok(found.swap_remove(index)),
        None => Err(Error::NoAdapter {
            wanted: match name {
                Some(part) => format!("`{part}`"),
                None => "a hardware GPU".to_owned(),
            },
            available: found.iter().map(|a| info(a).to_string()).collect(),
        }),
    }
}

/// Which of the listed adapters is meant: by number, where `name` is one of theirs, else the first whose name contains it,
/// else the first that is hardware, or any.
fn pick(
    listed: &[(String, AdapterKind)],
    name: Option<&str>,
    allow_software: bool,
) -> Option<usize> {
    let Some(part) = name else {
        let fits = |kind| allow_software || kind != AdapterKind::Cpu;
        return listed.iter().position(|(_, kind)| fits(*kind));
    };
    let number = part.bytes().all(|b| b.is_ascii_digit());
    let number = part.parse().ok().filter(|&n| number && n < listed.len());
    let part = part.to_lowercase();
    let named = || {
        listed
            .iter()
            .position(|(name, _)| name.to_lowercase().contains(&part))
    };
    number.or_else(named)
}

/// One instance for the process: loading and unloading Vulkan drivers per device is
/// slow and, with some drivers, unsafe while another thread uses them.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
        desc.backends = wgpu::Backends::PRIMARY;
        // Indirect dispatches are not used, and their validation costs a dispatch each.
        desc.flags
            .remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
        wgpu::Instance::new(desc)
    })
}

async fn enumerate() -> Vec<wgpu::Adapter> {
    #[cfg(target_arch = "wasm32")]
    let mut found: Vec<wgpu::Adapter> = {
        // A browser shows one adapter for each preference; ask for the fast one.
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance().request_adapter(&options).await;
        adapter.into_iter().collect()
    };
    #[cfg(not(target_arch = "wasm32"))]
    let mut found = instance().enumerate_adapters(wgpu::Backends::PRIMARY).await;
    found.sort_by_key(|adapter| kind(adapter.get_info().device_type));
    found
}

fn kind(device_type: wgpu::DeviceType) -> AdapterKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Cpu,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

pub(crate) fn info(adapter: &wgpu::Adapter) -> AdapterInfo {
    let info = adapter.get_info();
    AdapterInfo {
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        backend: match info.backend {
            wgpu::Backend::BrowserWebGpu => "webgpu".to_owned(),
            backend => backend.to_str().to_owned(),
        },
        kind: kind(info.device_type),
        limits: limits(&adapter.limits(), &info),
        features: features(adapter.features()),
        matrices: matrices(adapter),
        name: info.name,
    }
}

pub(crate) fn limits(limits: &wgpu::Limits, info: &wgpu::AdapterInfo) -> Limits {
    Limits {
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_uniform_buffers: limits.max_uniform_buffers_per_shader_stage,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_size: [
            limits.max_compute_workgroup_size_x,
            limits.max_compute_workgroup_size_y,
            limits.max_compute_workgroup_size_z,
        ],
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        // Storage bindings are multiples of 4 bytes, and Vulkan says 2^31 - 1.
        max_binding_bytes: limits.max_storage_buffer_binding_size & !3,
        max_uniform_bytes: limits.max_uniform_buffer_binding_size & !15,
        max_buffer_bytes: limits.max_buffer_size & !3,
        max_groups: limits.max_compute_workgroups_per_dimension,
        storage_alignment: limits.min_storage_buffer_offset_alignment,
        uniform_alignment: limits.min_uniform_buffer_offset_alignment,
        min_subgroup_size: info.subgroup_min_size,
        max_subgroup_size: info.subgroup_max_size,
    }
}

pub(crate) fn features(features: wgpu::Features) -> Features {
    use wgpu::Features as F;
    Features {
        f16: features.contains(F::SHADER_F16),
        subgroups: features.contains(F::SUBGROUP),
        subgroup_barrier: features.contains(F::SUBGROUP_BARRIER),
        timestamps: features.contains(F::TIMESTAMP_QUERY),
        f32_atomics: features.contains(F::SHADER_FLOAT32_ATOMIC),
        cooperative_matrix: features.contains(F::EXPERIMENTAL_COOPERATIVE_MATRIX),
    }
}

fn matrices(adapter: &wgpu::Adapter) -> Vec<MatrixShape> {
    let scalar = |kind| match kind {
        wgpu::CooperativeScalarType::F32 => MatrixScalar::F32,
        wgpu::CooperativeScalarType::F16 => MatrixScalar::F16,
        wgpu::CooperativeScalarType::I32 => MatrixScalar::I32,
        wgpu::CooperativeScalarType::U32 => MatrixScalar::U32,
    };
    let shapes = adapter.cooperative_matrix_properties();
    shapes
        .into_iter()
        .map(|shape| MatrixShape {
            m: shape.m_size,
            n: shape.n_size,
            k: shape.k_size,
            operand: scalar(shape.ab_type),
            accumulator: scalar(shape.cr_type),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{AdapterKind, pick};

    #[test]
    fn adapters_are_chosen_by_number_or_by_part_of_a_name() {
        let list = |names: &[(&str, AdapterKind)]| {
            let all = names.iter().map(|(name, kind)| (name.to_string(), *kind));
            all.collect::<Vec<_>>()
        };
        let (card, soft) = (AdapterKind::Discrete, AdapterKind::Cpu);
        let two = list(&[
            ("NVIDIA GeForce RTX 4090", card),
            ("NVIDIA GeForce RTX 4090", card),
            ("Radeon RX 7900", card),
            ("llvmpipe (LLVM 15.0.6, 256 bits)", soft),
        ]);
        let named = |part: &str| pick(&two, Some(part), true);
        for n in 0..4 {
            assert_eq!(named(&n.to_string()), Some(n));
        }
        // Digits that are nobody's number are part of a name.
        assert_eq!(named("4090"), Some(0));
        assert_eq!(named("7900"), Some(2));
        assert_eq!(named("256"), Some(3));
        assert_eq!(named("4"), Some(0));
        assert_eq!(named("rtx 4090"), Some(0));
        assert_eq!(named("LLVMPIPE"), Some(3));
        assert_eq!(named("+1"), None);
        assert_eq!(named("123456789012345678901234567890"), None);
        assert_eq!(pick(&two, None, false), Some(0));
        assert_eq!(pick(&two[3..], None, false), None);
        assert_eq!(pick(&two[3..], None, true), Some(0));
        assert_eq!(pick(&[], Some("0"), true), None);
    }
}
