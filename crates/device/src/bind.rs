//! Bindings: buffer ranges checked against a kernel, and the bind groups of them.
//!
//! Every rule that wgpu would enforce by a validation error is checked here first, so
//! that a caller's mistake is a typed error of the call that made it.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, Weak};

use rustc_hash::FxHasher;

use crate::buffer::{Buffer, Slot};
use crate::cache::Bounded;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::health::lock;
use crate::kernel::Kernel;
use crate::reflect::{Access, BindingInfo};
use crate::shared::Shared;

/// Half the number of bind groups that a device keeps.
const KEPT: usize = 4096;

/// A byte range of a buffer for one binding of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The buffer.
    pub buffer: &'a Buffer,
    /// First byte within it.
    pub offset: u64,
    /// Bytes; rounded up to a multiple of 4 (16 for a uniform).
    pub size: u64,
}

impl<'a> Binding<'a> {
    /// All of `buffer`.
    #[must_use]
    pub fn whole(buffer: &'a Buffer) -> Self {
        Self {
            buffer,
            offset: 0,
            size: buffer.len(),
        }
    }
}

impl<'a> From<&'a Buffer> for Binding<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        Self::whole(buffer)
    }
}

/// A binding resolved to the underlying buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    id: u64,
    offset: u64,
    size: u64,
}

/// A bind group. The cache alone keeps it for longer than a call, so that evicting it frees its buffers' memory.
pub(crate) type Group = Arc<Handle<wgpu::BindGroup>>;

#[derive(Clone)]
struct Entry {
    layout: u64,
    ranges: Arc<[Bound]>,
    group: Group,
}

/// Bind groups of one device.
pub(crate) struct BindCache {
    groups: Mutex<Bounded<u64, Entry>>,
}

impl Default for BindCache {
    fn default() -> Self {
        Self {
            groups: Mutex::new(Bounded::new(KEPT)),
        }
    }
}

impl BindCache {
    /// Forgets the groups of these buffers, which would keep their memory alive.
    pub(crate) fn evict(&self, ids: &HashSet<u64>) {
        let keep = |entry: &Entry| !entry.ranges.iter().any(|bound| ids.contains(&bound.id));
        lock(&self.groups).retain(keep);
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.groups).len()
    }
}

/// A kernel with its buffers, checked once: dispatching it looks nothing up.
#[derive(Clone)]
pub struct BoundKernel {
    pub(crate) inner: Arc<BoundInner>,
}

pub(crate) struct BoundInner {
    pub(crate) kernel: Kernel,
    pub(crate) group: Group,
    /// Keeps the buffers out of the pool.
    _slots: Vec<Arc<Slot>>,
}

impl core::fmt::Debug for BoundKernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "BoundKernel({})", self.kernel().label())
    }
}

impl BoundKernel {
    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.inner.kernel
    }
}

impl Kernel {
    /// Binds buffers in the order of their binding numbers, uniform or storage alike.
    ///
    /// # Errors
    /// [`Error::Binding`] where number, size, alignment or aliasing is wrong;
    /// [`Error::TooLarge`]; [`Error::DeviceLost`].
    pub fn bind(&self, bindings: &[Binding<'_>]) -> Result<BoundKernel> {
        let mut scratch = Vec::new();
        let shared = &self.inner.shared;
        let group = bind_group(shared, self, bindings, &mut scratch)?;
        let slots = bindings.iter().map(|b| b.buffer.slot.clone());
        Ok(BoundKernel {
            inner: Arc::new(BoundInner {
                kernel: self.clone(),
                group,
                _slots: slots.collect(),
            }),
        })
    }
}

/// Sets of buffers that a [`Recent`] tells apart.
const RECENT: usize = 8;

/// The bind groups that one dispatch of a replayed sequence used last, so that a few sets of buffers in turn are
/// found without a look-up. For one kernel, and one length of each binding, alone. Keeps no memory alive.
#[derive(Default)]
pub struct Recent {
    /// The latest at the end.
    sets: Vec<Set>,
}

struct Set {
    /// Underlying buffer and first byte of each binding.
    key: Vec<(u64, u64)>,
    group: Weak<Handle<wgpu::BindGroup>>,
}

impl core::fmt::Debug for Recent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Recent({} sets)", self.sets.len())
    }
}

impl Set {
    fn is(&self, bindings: &[Binding<'_>]) -> bool {
        let same = |(&(id, start), b): (&(u64, u64), &Binding<'_>)| {
            id == b.buffer.id() && start == b.start()
        };
        self.key.len() == bindings.len() && self.key.iter().zip(bindings).all(same)
    }
}

impl Binding<'_> {
    /// First byte within the underlying buffer.
    fn start(&self) -> u64 {
        self.buffer.offset() + self.offset
    }
}

impl Recent {
    /// The bind group of `bindings`: one of these, else from the cache of all.
    pub(crate) fn group(
        &mut self,
        shared: &Shared,
        kernel: &Kernel,
        bindings: &[Binding<'_>],
        scratch: &mut Vec<Bound>,
    ) -> Result<Group> {
        if let Some(at) = self.sets.iter().rposition(|set| set.is(bindings)) {
            if let Some(group) = self.sets[at].group.upgrade() {
                return Ok(group);
            }
            self.sets.remove(at);
        }
        let group = bind_group(shared, kernel, bindings, scratch)?;
        if self.sets.len() == RECENT {
            self.sets.remove(0);
        }
        self.sets.push(Set {
            key: bindings
                .iter()
                .map(|b| (b.buffer.id(), b.start()))
                .collect(),
            group: Arc::downgrade(&group),
        });
        Ok(group)
    }
}

/// The bind group of `bindings`, from the cache where it is there.
pub(crate) fn bind_group(
    shared: &Shared,
    kernel: &Kernel,
    bindings: &[Binding<'_>],
    scratch: &mut Vec<Bound>,
) -> Result<Group> {
    shared.health.alive()?;
    resolve(shared, kernel, bindings, scratch)?;
    let layout = &kernel.inner.layout;
    let mut hasher = FxHasher::default();
    (layout.id, &*scratch).hash(&mut hasher);
    let hash = hasher.finish();
    let same = |entry: &&Entry| entry.layout == layout.id && *entry.ranges == **scratch;
    if let Some(entry) = lock(&shared.binds.groups).get(&hash).filter(same) {
        return Ok(entry.group.clone());
    }
    check_aliases(kernel, scratch)?;
    let ranges = bindings.iter().zip(&*scratch).zip(kernel.bindings());
    let group = shared.create.bind_group(
        &layout.group,
        ranges.map(|((binding, bound), info)| {
            let range = wgpu::BufferBinding {
                buffer: binding.buffer.raw(),
                offset: bound.offset,
                size: wgpu::BufferSize::new(bound.size),
            };
            (info.binding, range)
        }),
    );
    let group = Arc::new(Handle::from(group));
    let entry = Entry {
        layout: layout.id,
        ranges: scratch.as_slice().into(),
        group: group.clone(),
    };
    lock(&shared.binds.groups).insert(hash, entry);
    Ok(group)
}

fn error(kernel: &Kernel, info: &BindingInfo, message: &str) -> Error {
    Error::Binding {
        kernel: kernel.label().to_owned(),
        message: format!("binding {} `{}`: {message}", info.binding, info.name),
    }
}

fn resolve(
    shared: &Shared,
    kernel: &Kernel,
    bindings: &[Binding<'_>],
    bounds: &mut Vec<Bound>,
) -> Result<()> {
    let infos = kernel.bindings();
    if bindings.len() != infos.len() {
        let names: Vec<_> = infos.iter().map(|info| info.name.as_str()).collect();
        return Err(Error::Binding {
            kernel: kernel.label().to_owned(),
            message: format!(
                "{} buffers given, {} bindings declared: {names:?}",
                bindings.len(),
                infos.len()
            ),
        });
    }
    bounds.clear();
    for (binding, info) in bindings.iter().zip(infos) {
        bounds.push(resolve_one(shared, kernel, binding, info)?);
    }
    Ok(())
}

fn resolve_one(
    shared: &Shared,
    kernel: &Kernel,
    binding: &Binding<'_>,
    info: &BindingInfo,
) -> Result<Bound> {
    let fail = |message: String| Err(error(kernel, info, &message));
    let limits = &shared.limits;
    let uniform = info.access == Access::Uniform;
    let (multiple, alignment, limit) = if uniform {
        (16, limits.uniform_alignment, limits.max_uniform_bytes)
    } else {
        (4, limits.storage_alignment, limits.max_binding_bytes)
    };
    let Binding {
        buffer,
        offset,
        size,
    } = *binding;
    if shared.owns(buffer).is_err() {
        return fail("the buffer lives on another device".to_owned());
    }
    if size == 0 {
        return fail("no bytes are bound".to_owned());
    }
    if offset
        .checked_add(size)
        .is_none_or(|end| end > buffer.len())
    {
        let len = buffer.len();
        return fail(format!("bytes {offset}..{offset}+{size} of {len}"));
    }
    let start = binding.start();
    if !start.is_multiple_of(u64::from(alignment)) {
        return fail(format!("offset {start} is not a multiple of {alignment}"));
    }
    // Rounded up, it stays within the underlying buffer, whose size is a multiple of
    // 4; a uniform that would not is bound to the end.
    let padded = size
        .next_multiple_of(multiple)
        .min(buffer.capacity() - start);
    if padded < info.min_size {
        let least = info.min_size;
        return fail(format!("{size} bytes are bound, the type needs {least}"));
    }
    if padded > limit {
        return Err(Error::TooLarge {
            what: if uniform {
                "a uniform binding"
            } else {
                "a storage binding"
            },
            bytes: padded,
            limit,
        });
    }
    Ok(Bound {
        id: buffer.id(),
        offset: start,
        size: padded,
    })
}

/// WebGPU tracks a whole buffer: in one dispatch it may be read through several
/// bindings, or written, but not both, and written ranges may not overlap.
fn check_aliases(kernel: &Kernel, bounds: &[Bound]) -> Result<()> {
    let infos = kernel.bindings();
    for (i, a) in bounds.iter().enumerate() {
        for (j, b) in bounds.iter().enumerate().skip(i + 1) {
            let writes = |k: usize| infos[k].access == Access::ReadWrite;
            if a.id != b.id || !(writes(i) || writes(j)) {
                continue;
            }
            let overlap = a.offset < b.offset + b.size && b.offset < a.offset + a.size;
            if !(writes(i) && writes(j)) || overlap {
                let message = format!(
                    "shares a buffer with `{}`, and one of them writes",
                    infos[i].name
                );
                return Err(error(kernel, &infos[j], &message));
            }
        }
    }
    Ok(())
}
