//! Where tensors live and who runs them: the fast cpu executor, a GPU, or the reference. Owns the choice of a device
//! and the cache of plans. Knows no operation.

use crate::error::{Error, ErrorKind, Result};
use crate::passes::{Graph, Limits};
use crate::plan::Plan;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use wgrad_plan::DeviceClass;

/// A device: a cheap clone, `Send + Sync`. Tensors belong to one device; two handles are equal if they name the same
/// opened device.
///
/// ```
/// use wgrad_graph::Device;
/// let device = Device::cpu();
/// assert_eq!(device, Device::cpu());
/// assert_eq!(device.to_string(), "cpu");
/// ```
#[derive(Clone)]
pub struct Device(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) kind: Kind,
    pub(crate) limits: Limits,
    /// Of the reference: whether nothing is rounded between operations.
    pub(crate) exact: bool,
    plans: Mutex<PlanCache>,
}

pub(crate) enum Kind {
    #[cfg(feature = "cpu")]
    Cpu(CpuState),
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuState>),
    Reference,
}

#[cfg(feature = "cpu")]
pub(crate) struct CpuState {
    pub(crate) executor: wgrad_cpu::Executor,
}

#[cfg(feature = "gpu")]
pub(crate) struct GpuState {
    pub(crate) executor: wgrad_gpu::Executor,
    pub(crate) outcomes: Arc<crate::outcome::Outcomes>,
    pub(crate) name: String,
    pub(crate) software: bool,
}

/// How a device plans, for tests and for finding faults; users need none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Fuse element-wise operations (default). Without it each is a kernel of its own.
    pub fuse: bool,
    /// Use no more than what every WebGPU adapter offers, and no optional feature.
    pub minimum_limits: bool,
    /// Choose a GPU's kernels as for this class of adapter, whatever it is.
    pub class: Option<DeviceClass>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fuse: true,
            minimum_limits: false,
            class: None,
        }
    }
}

/// Bytes that a device's tensors take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes in use.
    pub live_bytes: u64,
    /// Bytes that wait to be used again.
    pub pooled_bytes: u64,
    /// The most bytes that were ever in use.
    pub peak_bytes: u64,
}

/// Plans kept for a device; the oldest goes when there are more.
const MAX_PLANS: usize = 256;

/// What the cpu executor allows.
#[cfg(any(feature = "cpu", test))]
pub(crate) const CPU_LIMITS: Limits = Limits {
    max_inputs: 32,
    max_insts: 256,
    fuse: true,
    host: true,
    epilogues: false,
    align: 1,
};

#[derive(Default)]
struct PlanCache {
    by_hash: FxHashMap<u64, Vec<Arc<CachedPlan>>>,
    order: VecDeque<u64>,
}

/// A plan and the graph it was made for.
pub(crate) struct CachedPlan {
    pub(crate) graph: Graph,
    pub(crate) plan: Plan,
    /// What its steps may write to the status word of a run.
    #[cfg(feature = "gpu")]
    pub(crate) checks: Vec<u32>,
    #[cfg(feature = "gpu")]
    pub(crate) prepared: Option<wgrad_gpu::Prepared>,
    #[cfg(feature = "cpu")]
    pub(crate) on_cpu: Option<wgrad_cpu::Prepared>,
}

impl CachedPlan {
    /// The name and place of a node of its own graph.
    pub(crate) fn site(&self, node: usize) -> Option<crate::run::Site> {
        self.graph.site(node)
    }
}

impl Device {
    fn with(kind: Kind, limits: Limits) -> Device {
        Device(Arc::new(Inner {
            kind,
            limits,
            exact: false,
            plans: Mutex::default(),
        }))
    }

    /// The fast executor on all cores. Always the same device.
    #[cfg(feature = "cpu")]
    pub fn cpu() -> Device {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device::cpu_with(&Settings::default()))
            .clone()
    }

    /// A cpu device of its own, with settings.
    #[cfg(feature = "cpu")]
    pub fn cpu_with(settings: &Settings) -> Device {
        let state = CpuState {
            executor: wgrad_cpu::Executor::new(),
        };
        let max_inputs = match settings.minimum_limits {
            true => 6,
            false => CPU_LIMITS.max_inputs,
        };
        Device::with(
            Kind::Cpu(state),
            Limits {
                max_inputs,
                fuse: settings.fuse,
                ..CPU_LIMITS
            },
        )
    }

    /// The oracle: every operation as recorded, one at a time, rounded to its dtype. Slow. Always the same device.
    pub fn reference() -> Device {
        static REFERENCE: OnceLock<Device> = OnceLock::new();
        let limits = Limits {
            max_inputs: 32,
            max_insts: 256,
            fuse: false,
            host: false,
            epilogues: false,
            align: 1,
        };
        REFERENCE
            .get_or_init(|| Device::with(Kind::Reference, limits))
            .clone()
    }

    /// The reference without rounding: floats stay f64 from the leaves to the tensors that are asked for, which alone are
    /// rounded to their dtype. It judges compositions of operations, on which executors that round alike may agree
    /// although all of them are wrong. Always the same device.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1e30f32], &Device::exact());
    /// assert_eq!((&x * &x / &x).item::<f32>()?, 1e30);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn exact() -> Device {
        static EXACT: OnceLock<Device> = OnceLock::new();
        let inner = || Inner {
            kind: Kind::Reference,
            limits: Device::reference().0.limits.clone(),
            exact: true,
            plans: Mutex::default(),
        };
        EXACT.get_or_init(|| Device(Arc::new(inner()))).clone()
    }

    /// A GPU whose adapter has this number or whose name contains `name` (any case), hardware before software; `None`: any
    /// adapter.
    ///
    /// # Errors
    /// No such adapter: the error lists those there are. Or the adapter refuses a device.
    #[cfg(feature = "gpu")]
    pub async fn gpu(name: Option<&str>) -> Result<Device> {
        Device::gpu_with(name, &Settings::default()).await
    }

    /// As [`Device::gpu`], with settings.
    ///
    /// # Errors
    /// As [`Device::gpu`].
    #[cfg(feature = "gpu")]
    pub async fn gpu_with(name: Option<&str>, settings: &Settings) -> Result<Device> {
        let options = wgrad_device::OpenOptions {
            name: name.map(str::to_string),
            minimum_limits: settings.minimum_limits,
            allow_software: true,
            trusted: !cfg!(debug_assertions),
            ..Default::default()
        };
        let gpu = wgrad_device::Gpu::open(options)
            .await
            .map_err(|e| from_device(&e))?;
        Device::over(gpu, settings)
    }

    #[cfg(feature = "gpu")]
    fn over(gpu: wgrad_device::Gpu, settings: &Settings) -> Result<Device> {
        let name = gpu.info().name.clone();
        let software = gpu.info().kind == wgrad_device::AdapterKind::Cpu;
        // One binding is the status word, one the output.
        let bindings = gpu.limits().max_storage_buffers as usize;
        let max_inputs = bindings.saturating_sub(2).min(32);
        let class = settings.class.unwrap_or_else(|| wgrad_gpu::class_of(&gpu));
        let config = wgrad_gpu::config(class);
        let align = (gpu.limits().storage_alignment as usize / 4).max(1);
        let executor = wgrad_gpu::Executor::new(gpu, class).map_err(|e| from_device(&e))?;
        #[cfg(not(target_arch = "wasm32"))]
        let executor = match settings.class.is_some() || settings.minimum_limits {
            true => executor,
            false => with_choices(executor, crate::tune::cache::directory()),
        };
        let limits = Limits {
            max_inputs,
            max_insts: 256,
            fuse: settings.fuse,
            host: false,
            epilogues: config.epilogues,
            align,
        };
        Ok(Device::with(
            Kind::Gpu(Box::new(GpuState {
                outcomes: crate::outcome::Outcomes::new(executor.words().clone()),
                executor,
                name,
                software,
            })),
            limits,
        ))
    }

    /// The device that `WGRAD_DEVICE` names (see [`Device::open`]); without it the best GPU that is hardware, else
    /// the cpu: a software adapter is never chosen over it.
    ///
    /// # Errors
    /// `WGRAD_DEVICE` names what is not there, or neither a GPU nor the cpu executor was compiled in.
    pub async fn best() -> Result<Device> {
        if let Some(name) = env_device() {
            return Device::open(&name).await;
        }
        #[cfg(feature = "gpu")]
        if let Ok(device) = Device::gpu(None).await
            && !device.is_software()
        {
            return Ok(device);
        }
        #[cfg(feature = "cpu")]
        return Ok(Device::cpu());
        #[cfg(not(feature = "cpu"))]
        Err(Error::new(
            ErrorKind::Device,
            "best",
            "there is no hardware GPU and the feature `cpu` is off",
        ))
    }

    /// Opens a device by name: `cpu`, `reference`, `exact`, `gpu`, `gpu:<part of the adapter's name>` or `gpu:<number>`, as
    /// `wgrad devices` lists them, so that each of several equal cards can be opened. Digits that are no adapter's number are
    /// part of a name: `gpu:4090`.
    ///
    /// # Errors
    /// The name has another form, or no such adapter is there.
    pub async fn open(name: &str) -> Result<Device> {
        match name.split_once(':').unwrap_or((name, "")) {
            #[cfg(feature = "cpu")]
            ("cpu", "") => Ok(Device::cpu()),
            ("reference", "") => Ok(Device::reference()),
            ("exact", "") => Ok(Device::exact()),
            #[cfg(feature = "gpu")]
            ("gpu", part) => Device::gpu((!part.is_empty()).then_some(part)).await,
            ("best", "") => Box::pin(Device::best()).await,
            _ => {
                let message = format!(
                    "no device {name:?}: use cpu, gpu, gpu:<part of the adapter's name>, gpu:<number>, reference or exact"
                );
                Err(Error::new(ErrorKind::Device, "open", message))
            }
        }
    }

    /// [`Device::best`], waiting for it.
    ///
    /// # Errors
    /// As [`Device::best`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn best_blocking() -> Result<Device> {
        pollster::block_on(Device::best())
    }

    /// [`Device::open`], waiting for it.
    ///
    /// # Errors
    /// As [`Device::open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_blocking(name: &str) -> Result<Device> {
        pollster::block_on(Device::open(name))
    }

    /// [`Device::gpu_with`], waiting for it.
    ///
    /// # Errors
    /// As [`Device::gpu`].
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu_blocking(name: Option<&str>, settings: &Settings) -> Result<Device> {
        pollster::block_on(Device::gpu_with(name, settings))
    }

    /// Whether this is a GPU adapter that runs on the processor.
    pub fn is_software(&self) -> bool {
        match &self.0.kind {
            #[cfg(feature = "gpu")]
            Kind::Gpu(gpu) => gpu.software,
            _ => false,
        }
    }

    /// Whether what runs here is waited for when it is read.
    pub(crate) fn is_gpu(&self) -> bool {
        #[cfg(feature = "gpu")]
        return matches!(self.0.kind, Kind::Gpu(_));
        #[cfg(not(feature = "gpu"))]
        false
    }

    /// The layer below, to run kernels of one's own; `None` where this is no GPU.
    #[cfg(feature = "gpu")]
    pub fn as_gpu(&self) -> Option<&wgrad_device::Gpu> {
        match &self.0.kind {
            Kind::Gpu(gpu) => Some(gpu.executor.gpu()),
            _ => None,
        }
    }

    /// How many choices of kernels were read when the device was opened: those of an earlier `Device::tune`. 0 where
    /// nothing was tuned.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn tuned(&self) -> usize {
        match &self.0.kind {
            Kind::Gpu(gpu) => gpu.executor.choices().len(),
            _ => 0,
        }
    }

    /// What the device's tensors and plans hold now. Devices on the host share their memory, and what they hold.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let t = Tensor::new(&[0.0f32; 1000], &device);
    /// assert!(device.memory().live_bytes >= 4000);
    /// # t.check()?; Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn memory(&self) -> DeviceMemory {
        #[cfg(feature = "gpu")]
        if let Kind::Gpu(gpu) = &self.0.kind {
            let memory = gpu.executor.gpu().stats().memory;
            return DeviceMemory {
                live_bytes: memory.live_bytes,
                pooled_bytes: memory.pooled_bytes,
                peak_bytes: memory.peak_bytes,
            };
        }
        let [live_bytes, pooled_bytes] = crate::storage::held();
        DeviceMemory {
            live_bytes,
            pooled_bytes,
            peak_bytes: crate::storage::peak(),
        }
    }

    /// The most bytes that tensors and plans may take, memory that waits to be used again included; `None`: all there is.
    pub fn memory_limit(&self) -> Option<u64> {
        #[cfg(feature = "gpu")]
        if let Kind::Gpu(gpu) = &self.0.kind {
            return gpu.executor.gpu().memory_limit();
        }
        crate::storage::limit()
    }

    /// Sets the most bytes that tensors and plans may take. What goes beyond is an error of kind
    /// [`OutOfMemory`](ErrorKind::OutOfMemory) that names the operation, after all that waits to be used again was given back;
    /// nothing is lost, and smaller work goes on. Devices on the host share their memory, and the limit. What kernels need only
    /// while they run, and a GPU's staging memory, are not counted.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, ErrorKind, Tensor};
    /// let device = Device::cpu();
    /// device.set_memory_limit(Some(device.memory().live_bytes + (8 << 20)));
    /// let large = Tensor::ones(&[1 << 22], DType::F32, &device).detach(); // 16 MiB
    /// assert_eq!(large.unwrap_err().kind(), ErrorKind::OutOfMemory);
    /// Tensor::ones(&[1 << 20], DType::F32, &device).detach()?; // 4 MiB
    /// device.set_memory_limit(None);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn set_memory_limit(&self, bytes: Option<u64>) {
        #[cfg(feature = "gpu")]
        if let Kind::Gpu(gpu) = &self.0.kind {
            return gpu.executor.gpu().set_memory_limit(bytes);
        }
        crate::storage::set_limit(bytes);
    }

    /// Gives back what waits to be used again: free buffers, and the memory of temporaries. That happens by itself when memory
    /// runs out; this is for what others need of it before.
    ///
    /// ```
    /// use wgrad_graph::Device;
    /// let device = Device::cpu();
    /// device.empty_cache();
    /// ```
    pub fn empty_cache(&self) {
        #[cfg(feature = "gpu")]
        if let Kind::Gpu(gpu) = &self.0.kind {
            return gpu.executor.gpu().trim();
        }
        crate::storage::give_back();
    }

    /// Plans that are kept to be run again: a loop whose number grows records something new each time.
    pub fn cached_plans(&self) -> usize {
        self.0.plans.lock().map_or(0, |cache| cache.order.len())
    }

    /// The cached plan whose graph `fits`, else what `make` makes, which is then kept.
    pub(crate) fn cached_plan(
        &self,
        hash: u64,
        fits: impl Fn(&Graph) -> bool,
        make: impl FnOnce() -> Result<CachedPlan>,
    ) -> Result<Arc<CachedPlan>> {
        let known = |cache: &PlanCache| {
            cache
                .by_hash
                .get(&hash)?
                .iter()
                .find(|p| fits(&p.graph))
                .cloned()
        };
        if let Some(plan) = self.0.plans.lock().ok().and_then(|cache| known(&cache)) {
            return Ok(plan);
        }
        let plan = Arc::new(make()?);
        if let Ok(mut cache) = self.0.plans.lock() {
            cache.insert(hash, plan.clone());
        }
        Ok(plan)
    }
}

/// With the choices that were written for this device, if there are any: times nothing.
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub(crate) fn with_choices(
    mut executor: wgrad_gpu::Executor,
    directory: Option<std::path::PathBuf>,
) -> wgrad_gpu::Executor {
    use crate::tune::cache;
    let info = executor.gpu().info().clone();
    if let Some(directory) = directory
        && let Some(list) = cache::read(&directory, &info)
        && !executor.choose(&list)
    {
        cache::refuse(
            &cache::file(&directory, &info),
            "it holds what is no choice",
        );
    }
    executor
}

#[cfg(not(target_arch = "wasm32"))]
fn env_device() -> Option<String> {
    std::env::var("WGRAD_DEVICE").ok().filter(|s| !s.is_empty())
}

#[cfg(target_arch = "wasm32")]
fn env_device() -> Option<String> {
    None
}

/// An error of the layer below as a tensor's.
#[cfg(feature = "gpu")]
pub(crate) fn from_device(e: &wgrad_device::Error) -> Error {
    let kind = match e {
        wgrad_device::Error::NoAdapter { .. } | wgrad_device::Error::RequestDevice { .. } => {
            ErrorKind::Device
        }
        wgrad_device::Error::DeviceLost { .. } => ErrorKind::DeviceLost,
        wgrad_device::Error::OutOfMemory { .. } | wgrad_device::Error::TooLarge { .. } => {
            ErrorKind::OutOfMemory
        }
        wgrad_device::Error::Unsupported { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, "gpu", e.to_string())
}

impl PlanCache {
    fn insert(&mut self, hash: u64, plan: Arc<CachedPlan>) {
        self.by_hash.entry(hash).or_default().push(plan);
        self.order.push_back(hash);
        if self.order.len() > MAX_PLANS
            && let Some(oldest) = self.order.pop_front()
            && let Some(plans) = self.by_hash.get_mut(&oldest)
        {
            plans.remove(0);
            if plans.is_empty() {
                self.by_hash.remove(&oldest);
            }
        }
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            #[cfg(feature = "cpu")]
            Kind::Cpu(_) => f.write_str("cpu"),
            #[cfg(feature = "gpu")]
            Kind::Gpu(gpu) => write!(f, "gpu ({})", gpu.name),
            Kind::Reference if self.0.exact => f.write_str("exact"),
            Kind::Reference => f.write_str("reference"),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}
