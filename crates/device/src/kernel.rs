//! Kernels: WGSL, validated, reflected and compiled once.
//!
//! Must not know what a kernel computes. A kernel is keyed by its whole source, entry
//! point and constants; the bind group layout follows from the source.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustc_hash::{FxHashMap, FxHasher};

use crate::cache::Bounded;
use crate::create::PipelineSource;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::health::{Scope, lock};
use crate::reflect::{Access, BindingInfo, EntryPoint, Source, capabilities};
use crate::shared::Shared;

/// Half the number of kernels that a device keeps.
const KEPT: usize = 1024;

/// What a kernel is compiled from.
#[derive(Clone, Copy, Debug)]
pub struct KernelSource<'a> {
    /// Name in errors, profiles and graphics debuggers.
    pub label: &'a str,
    /// The WGSL module.
    pub wgsl: &'a str,
    /// Name of the `@compute` function.
    pub entry: &'a str,
    /// Values of `override` constants, by name (or by `@id` in decimal).
    pub constants: &'a [(&'a str, f64)],
    /// Keep run-time checks even on a trusted device: for WGSL that somebody else wrote.
    pub checked: bool,
}

impl<'a> KernelSource<'a> {
    /// The function `main` of `wgsl`.
    #[must_use]
    pub fn new(label: &'a str, wgsl: &'a str) -> Self {
        Self {
            label,
            wgsl,
            entry: "main",
            constants: &[],
            checked: false,
        }
    }

    /// With values of `override` constants.
    #[must_use]
    pub fn constants(mut self, constants: &'a [(&'a str, f64)]) -> Self {
        self.constants = constants;
        self
    }

    fn key(&self) -> Key {
        Key {
            wgsl: self.wgsl.into(),
            entry: self.entry.into(),
            constants: self
                .constants
                .iter()
                .map(|(name, value)| ((*name).into(), value.to_bits()))
                .collect(),
            checked: self.checked,
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = FxHasher::default();
        (self.wgsl, self.entry, self.checked).hash(&mut hasher);
        for (name, value) in self.constants {
            (name, value.to_bits()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The owned identity of a source, so that a hash collision is a miss.
struct Key {
    wgsl: Box<str>,
    entry: Box<str>,
    constants: Box<[(Box<str>, u64)]>,
    checked: bool,
}

impl Key {
    fn is(&self, source: &KernelSource<'_>) -> bool {
        let constants = source.constants.iter();
        *self.wgsl == *source.wgsl
            && *self.entry == *source.entry
            && self.checked == source.checked
            && self.constants.len() == source.constants.len()
            && self
                .constants
                .iter()
                .zip(constants)
                .all(|((a, x), (b, y))| **a == **b && *x == y.to_bits())
    }
}

/// A bind group layout that all kernels with the same bindings share.
pub(crate) struct Layout {
    pub(crate) id: u64,
    pub(crate) group: Handle<wgpu::BindGroupLayout>,
    pipeline: Handle<wgpu::PipelineLayout>,
}

pub(crate) struct KernelInner {
    pub(crate) id: u64,
    pub(crate) label: Arc<str>,
    pub(crate) entry: EntryPoint,
    pub(crate) layout: Arc<Layout>,
    pub(crate) pipeline: Handle<wgpu::ComputePipeline>,
    pub(crate) shared: Arc<Shared>,
}

/// A compiled kernel. Cloning shares it.
#[derive(Clone)]
pub struct Kernel {
    pub(crate) inner: Arc<KernelInner>,
}

impl core::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Kernel({})", self.inner.label)
    }
}

impl Kernel {
    /// Its label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Unique among all kernels of the process; a cached kernel keeps its own.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Its bindings, by number.
    #[must_use]
    pub fn bindings(&self) -> &[BindingInfo] {
        &self.inner.entry.bindings
    }

    /// Invocations in each dimension of a workgroup.
    #[must_use]
    pub fn workgroup_size(&self) -> [u32; 3] {
        self.inner.entry.workgroup_size
    }
}

/// Without the kernel's reference to the device, which would be a cycle.
#[derive(Clone)]
struct Compiled {
    key: Arc<Key>,
    id: u64,
    label: Arc<str>,
    entry: EntryPoint,
    layout: Arc<Layout>,
    pipeline: Handle<wgpu::ComputePipeline>,
}

/// Layouts are few (one for each sequence of access kinds) and are never dropped.
type Layouts = FxHashMap<Vec<(u32, Access)>, Arc<Layout>>;

/// Compiled kernels of one device.
pub(crate) struct KernelCache {
    kernels: Mutex<Bounded<u64, Compiled>>,
    layouts: Mutex<Layouts>,
}

impl Default for KernelCache {
    fn default() -> Self {
        Self {
            kernels: Mutex::new(Bounded::new(KEPT)),
            layouts: Mutex::default(),
        }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn compile(shared: &Arc<Shared>, source: &KernelSource<'_>) -> Result<Kernel> {
    shared.health.alive()?;
    let hash = source.hash();
    let cached = lock(&shared.kernels.kernels).get(&hash).cloned();
    let compiled = match cached {
        Some(compiled) if compiled.key.is(source) => compiled,
        // Not under the lock: threads may compile different kernels side by side.
        _ => {
            let compiled = build(shared, source)?;
            lock(&shared.kernels.kernels).insert(hash, compiled.clone());
            compiled
        }
    };
    Ok(Kernel {
        inner: Arc::new(KernelInner {
            id: compiled.id,
            label: compiled.label,
            entry: compiled.entry,
            layout: compiled.layout,
            pipeline: compiled.pipeline,
            shared: shared.clone(),
        }),
    })
}

fn build(shared: &Shared, source: &KernelSource<'_>) -> Result<Compiled> {
    let reflection = Source {
        label: source.label,
        wgsl: source.wgsl,
        constants: source.constants,
    }
    .reflect(capabilities(&shared.features))?;
    let Some(entry) = reflection.entry(source.entry).cloned() else {
        return Err(Error::Shader {
            label: source.label.to_owned(),
            message: format!("there is no @compute function `{}`", source.entry),
        });
    };
    check_limits(shared, source.label, &entry)?;
    let scope = || Scope::Pipeline(source.label.to_owned());
    let layout = layout(shared, scope(), &entry.bindings)?;
    let pipeline = shared.health.scoped(&shared.device, scope(), || {
        shared.create.pipeline(&PipelineSource {
            label: source.label,
            wgsl: source.wgsl,
            entry: source.entry,
            constants: source.constants,
            unchecked: shared.options.trusted && !source.checked,
            layout: &layout.pipeline,
        })
    })?;
    Ok(Compiled {
        key: Arc::new(source.key()),
        id: next_id(),
        label: source.label.into(),
        entry,
        layout,
        pipeline: pipeline.into(),
    })
}

fn layout(shared: &Shared, scope: Scope, bindings: &[BindingInfo]) -> Result<Arc<Layout>> {
    let key: Vec<_> = bindings.iter().map(|b| (b.binding, b.access)).collect();
    let mut layouts = lock(&shared.kernels.layouts);
    if let Some(layout) = layouts.get(&key) {
        return Ok(layout.clone());
    }
    let (group, pipeline) = shared
        .health
        .scoped(&shared.device, scope, || shared.create.layout(bindings))?;
    let layout = Arc::new(Layout {
        id: next_id(),
        group: group.into(),
        pipeline: pipeline.into(),
    });
    layouts.insert(key, layout.clone());
    Ok(layout)
}

/// wgpu would refuse these too, but later and with a longer message.
fn check_limits(shared: &Shared, label: &str, entry: &EntryPoint) -> Result<()> {
    let limits = &shared.limits;
    let fail = |message: String| {
        Err(Error::Pipeline {
            label: label.to_owned(),
            message,
        })
    };
    let size = entry.workgroup_size;
    let invocations: u64 = size.iter().map(|&n| u64::from(n)).product();
    let over = (0..3).any(|d| size[d] > limits.max_workgroup_size[d]);
    if over || invocations > u64::from(limits.max_invocations) || invocations == 0 {
        return fail(format!(
            "workgroup size {size:?} ({invocations} invocations) does not fit the device's \
             {:?} and {} invocations",
            limits.max_workgroup_size, limits.max_invocations
        ));
    }
    if entry.workgroup_bytes > u64::from(limits.workgroup_memory) {
        return fail(format!(
            "{} bytes of workgroup memory; the device has {}",
            entry.workgroup_bytes, limits.workgroup_memory
        ));
    }
    let uniforms = |b: &&BindingInfo| b.access == Access::Uniform;
    let n_uniform = entry.bindings.iter().filter(uniforms).count();
    let n_storage = entry.bindings.len() - n_uniform;
    if n_storage > limits.max_storage_buffers as usize
        || n_uniform > limits.max_uniform_buffers as usize
    {
        return fail(format!(
            "{n_storage} storage and {n_uniform} uniform buffers; the device allows {} and {}",
            limits.max_storage_buffers, limits.max_uniform_buffers
        ));
    }
    Ok(())
}
