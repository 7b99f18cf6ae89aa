//! Layers made of layers: residual connections, branches that are concatenated, parts that are not trained, and lists and
//! maps of modules. They add names to paths and no arithmetic but sums and concatenations.

use crate::layer::{called_from, located};
use crate::{Context, Host, Kind, Layer, Module, join};
use wgrad_graph::{Error, ErrorKind, Tensor};

/// A list of modules, named by their numbers: `blocks.0.weight`.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, Module, ModuleList};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let list: ModuleList<Linear> = (0..3).map(|_| Linear::new(2, 2, rng, &device)).collect();
/// assert_eq!(list.named_parameters()[2].0, "1.weight");
/// ```
pub type ModuleList<M> = Vec<M>;

/// Modules by name, in the order in which they were added.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, Module, ModuleDict};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut heads = ModuleDict::new();
/// heads.insert("age", Linear::new(4, 1, rng, &device));
/// heads.insert("class", Linear::new(4, 3, rng, &device));
/// assert_eq!(heads.named_parameters()[2].0, "class.weight");
/// assert_eq!(heads["class"].weight.shape(), [3, 4]);
/// assert!(heads.get("size").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ModuleDict<M> {
    entries: Vec<(String, M)>,
}

impl<M> Default for ModuleDict<M> {
    fn default() -> ModuleDict<M> {
        ModuleDict {
            entries: Vec::new(),
        }
    }
}

impl<M> ModuleDict<M> {
    /// No modules.
    pub fn new() -> ModuleDict<M> {
        ModuleDict::default()
    }

    /// Adds a module, or puts it in the place of the one of this name, which is returned.
    pub fn insert(&mut self, name: impl Into<String>, module: M) -> Option<M> {
        let name = name.into();
        match self.get_mut(&name) {
            Some(place) => Some(std::mem::replace(place, module)),
            None => {
                self.entries.push((name, module));
                None
            }
        }
    }

    /// Takes a module out.
    pub fn remove(&mut self, name: &str) -> Option<M> {
        let at = self.entries.iter().position(|(n, _)| n == name)?;
        Some(self.entries.remove(at).1)
    }

    /// The module of this name.
    pub fn get(&self, name: &str) -> Option<&M> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, m)| m)
    }

    /// The module of this name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut M> {
        self.entries
            .iter_mut()
            .find(|(n, _)| n == name)
            .map(|(_, m)| m)
    }

    /// Names and modules, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &M)> {
        self.entries.iter().map(|(n, m)| (n.as_str(), m))
    }

    /// Names and modules, in order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut M)> {
        self.entries.iter_mut().map(|(n, m)| (n.as_str(), m))
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<M> std::ops::Index<&str> for ModuleDict<M> {
    type Output = M;

    /// The module of this name.
    ///
    /// # Panics
    /// There is none; [`ModuleDict::get`] does not panic.
    fn index(&self, name: &str) -> &M {
        match self.get(name) {
            Some(module) => module,
            None => panic!("no module is named {name:?}"),
        }
    }
}

impl<M: Module + 'static> Module for ModuleDict<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, module) in &self.entries {
            module.visit(&join(path, name), visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for (name, module) in &mut self.entries {
            module.visit_mut(&join(path, name), visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(&mut Entries(self)));
        for (name, module) in &mut self.entries {
            visitor(Host::Enter(&*name));
            module.visit_host(visitor);
            visitor(Host::Leave);
        }
    }

    fn duplicate(&self) -> Option<ModuleDict<M>> {
        let copy = |(name, module): &(String, M)| Some((name.clone(), module.duplicate()?));
        let entries: Option<_> = self.entries.iter().map(copy).collect();
        Some(ModuleDict { entries: entries? })
    }
}

/// Which modules a map holds.
struct Entries<'a, M>(&'a mut ModuleDict<M>);

impl<M: Module + 'static> crate::Value for Entries<'_, M> {
    fn bits(&self) -> u64 {
        let names: Vec<&str> = self.0.iter().map(|(n, _)| n).collect();
        crate::host::hashed(&names)
    }

    fn show(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(n, _)| n).collect();
        format!("{names:?}")
    }

    fn save(&self) -> crate::Saved {
        let copy = |(name, module): &(String, M)| (name.clone(), module.duplicate());
        let copies: Vec<(String, Option<M>)> = self.0.entries.iter().map(copy).collect();
        Box::new(copies)
    }

    fn restore(&mut self, saved: &crate::Saved) -> bool {
        let Some(copies) = saved.downcast_ref::<Vec<(String, Option<M>)>>() else {
            return false;
        };
        let mut old = std::mem::take(&mut self.0.entries);
        for (name, copy) in copies {
            let module = match old.iter().position(|(n, _)| n == name) {
                Some(at) => Some(old.swap_remove(at).1),
                None => copy.as_ref().and_then(M::duplicate),
            };
            self.0.entries.extend(module.map(|m| (name.clone(), m)));
        }
        self.0.entries.len() == copies.len()
    }
}

/// `layer(x) + shortcut(x)`, the shortcut the identity unless told otherwise (He et al. 2016).
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Context, Layer, Linear, Residual};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut block = Residual::new(Linear::new(4, 4, rng, &device));
/// let x = Tensor::ones(&[2, 4], DType::F32, &device);
/// assert_eq!(block.forward(&x, &mut Context::eval()).shape(), [2, 4]);
/// let mut wider = Residual::new(Linear::new(4, 8, rng, &device)).shortcut(Linear::new(4, 8, rng, &device));
/// assert_eq!(wider.forward(&x, &mut Context::eval()).shape(), [2, 8]);
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Residual<L, S = super::Identity> {
    /// What is learned beside the shortcut.
    pub layer: L,
    /// The way around it.
    pub shortcut: S,
}

impl<L: Layer> Residual<L> {
    /// A layer with the identity beside it.
    pub fn new(layer: L) -> Residual<L> {
        Residual {
            layer,
            shortcut: super::Identity,
        }
    }

    /// With a layer as the shortcut, such as a convolution of 1 by 1 where sizes change.
    pub fn shortcut<S: Layer>(self, shortcut: S) -> Residual<L, S> {
        Residual {
            layer: self.layer,
            shortcut,
        }
    }
}

impl<L: Layer + 'static, S: Layer + 'static> Layer for Residual<L, S> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let (y, around) = (self.layer.forward(x, cx), self.shortcut.forward(x, cx));
        let fits = y.shape() == around.shape();
        if fits || y.check().is_err() || around.check().is_err() {
            return y + around;
        }
        let (from, to) = (around.shape(), y.shape());
        let message = format!("a shortcut of shape {from:?} does not fit a layer's {to:?}");
        super::fail("residual", ErrorKind::Shape, message, x)
    }

    fn kind(&self) -> String {
        format!("Residual({})", self.layer.kind())
    }
}

/// Named branches of one input, their outputs concatenated along a dimension: the inception block.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Concat, Context, Identity, Layer, Linear};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut both = Concat::new(-1).with("x", Identity).with("fc", Linear::new(4, 3, rng, &device));
/// let x = Tensor::ones(&[2, 4], DType::F32, &device);
/// assert_eq!(both.forward(&x, &mut Context::eval()).shape(), [2, 7]);
/// ```
pub struct Concat {
    dim: isize,
    branches: Vec<(String, Box<dyn Layer>)>,
    error: Option<Error>,
}

impl Concat {
    /// No branches yet; outputs are joined along `dim`, 1 for channels.
    pub fn new(dim: isize) -> Concat {
        Concat {
            dim,
            branches: Vec::new(),
            error: None,
        }
    }

    /// With one more branch. A name used before makes every output invalid.
    pub fn with(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Concat {
        let name = name.into();
        if self.branches.iter().any(|(n, _)| *n == name) {
            let message = format!("two branches are named {name:?}");
            self.error
                .get_or_insert(Error::new(ErrorKind::Value, "concat", message));
        }
        self.branches.push((name, Box::new(layer)));
        self
    }
}

impl Module for Concat {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, layer) in &self.branches {
            layer.visit(&join(path, name), visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for (name, layer) in &mut self.branches {
            layer.visit_mut(&join(path, name), visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        self.dim.visit_host(visitor);
        visitor(Host::Number(self.branches.len() as u64));
        for (name, layer) in &mut self.branches {
            visitor(Host::Enter(&*name));
            layer.visit_host(visitor);
            visitor(Host::Leave);
        }
    }
}

impl Layer for Concat {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        if let Some(e) = &self.error {
            return Tensor::invalid(e.clone(), &[], x.dtype(), x.device());
        }
        if self.branches.is_empty() {
            return super::fail("concat", ErrorKind::Value, "no branches".to_string(), x);
        }
        let place = std::panic::Location::caller();
        let mut outputs = Vec::with_capacity(self.branches.len());
        for (name, layer) in &mut self.branches {
            let y = called_from(place, || layer.forward(x, cx));
            outputs.push(if x.check().is_ok() {
                located(y, name)
            } else {
                y
            });
        }
        Tensor::cat(&outputs.iter().collect::<Vec<_>>(), self.dim)
    }

    fn kind(&self) -> String {
        format!("Concat({}, {} branches)", self.dim, self.branches.len())
    }
}

/// A module whose parameters are buffers: saved and loaded under their own names, and trained by no optimiser.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Frozen, Linear, Module};
/// let fc = Frozen::new(Linear::new(4, 3, &mut Generator::new(0), &Device::cpu()));
/// assert_eq!((fc.num_parameters(), fc.state()[0].0.as_str()), (0, "weight"));
/// ```
#[derive(Clone, Debug)]
pub struct Frozen<M> {
    /// The module itself.
    pub module: M,
}

impl<M> Frozen<M> {
    /// The module, not trained.
    pub fn new(module: M) -> Frozen<M> {
        Frozen { module }
    }
}

impl<M: Module> Module for Frozen<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        self.module.visit(path, &mut |path, _, tensor| {
            visitor(path, Kind::Buffer, tensor)
        });
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        self.module.visit_mut(path, &mut |path, _, tensor| {
            visitor(path, Kind::Buffer, tensor)
        });
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        self.module.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<Frozen<M>> {
        self.module.duplicate().map(Frozen::new)
    }
}

impl<L: Layer> Layer for Frozen<L> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        self.module.forward(x, cx)
    }

    fn kind(&self) -> String {
        format!("Frozen({})", self.module.kind())
    }
}
