//! The tree of named tensors: visiting it, counting it, saving and loading its state. Knows no layer and no
//! derivative; tensors are shared by handle, so two places that hold one tensor stay tied when both are replaced.

use crate::host::{Host, hashed};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use wgrad_graph::{
    ConvOptions, ConvTransposeOptions, Device, Error, ErrorKind, Generator, Mark, PoolOptions,
    Result, Tensor, eval,
};

/// What a tensor of a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Trained by an optimiser.
    Parameter,
    /// State that is saved but not trained, such as running statistics.
    Buffer,
}

/// A tree of named tensors. Derive it: see [`derive@crate::Module`].
///
/// Names are paths joined by dots, as PyTorch's: `conv1.weight`. Numbers, strings and options of layers are modules
/// without tensors, so plain fields need no attribute.
///
/// There is no module whose numbers are not shown: what cannot be watched does not compile.
///
/// ```compile_fail
/// # use wgrad_nn::Module;
/// struct Mode;
///
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)]
/// struct Net {
///     mode: Mode, // no module; with `#[module(watch)]` and `Hash + Clone` it is watched
/// }
/// ```
///
/// ```compile_fail
/// # use wgrad_nn::{Kind, Module, Tensor};
/// struct Scale(f64);
///
/// impl Module for Scale {
///     fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}
///     fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}
///     // `visit_host` is missing, which would show the number as `Host::Value(&mut self.0)`.
/// }
/// ```
///
/// All three visits of one tree show the same things in the same order, whatever it is asked for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no module, so a compiled function cannot watch it",
    label = "does not implement `Module`",
    note = "a field whose type is `Hash + Clone` can be marked `#[module(watch)]`",
    note = "a field that never changes once a compiled function has been called can be marked `#[module(constant)]`"
)]
pub trait Module: Send + Sync {
    /// Shows every tensor of the tree, in a fixed order, under its name, which starts with `path`.
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor));

    /// As [`Module::visit`], in the same order, for replacing tensors.
    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor));

    /// Shows what the tree holds besides tensors and what its computations depend on: numbers, random streams and
    /// optimisers, so that [`compile`](crate::compile()) can keep up with them. What says which parts there are goes before
    /// those parts. The derive macro does it for every field.
    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>));

    /// A copy that shares tensors by handle, if one can be made: from it a compiled function that removes this from an
    /// `Option` or a `Vec` of its state, and then fails, has it put back. The derive macro makes it of the fields' copies.
    fn duplicate(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// A number that tells types apart, for what stands behind a `Box<dyn …>`.
    fn type_key(&self) -> u64 {
        hashed(&std::any::type_name::<Self>())
    }

    /// The parameters with their names, in visiting order. A tensor that stands in two places comes twice.
    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        named(self, Some(Kind::Parameter))
    }

    /// The parameters, in visiting order.
    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters()
            .into_iter()
            .map(|(_, t)| t)
            .collect()
    }

    /// The buffers with their names, in visiting order.
    fn buffers(&self) -> Vec<(String, Tensor)> {
        named(self, Some(Kind::Buffer))
    }

    /// Elements of all parameters; one that stands in two places counts once.
    fn num_parameters(&self) -> usize {
        let by_identity: HashMap<usize, usize> = self
            .parameters()
            .iter()
            .map(|t| (identity(t), t.numel()))
            .collect();
        by_identity.values().sum()
    }

    /// Parameters and buffers with their names: what a checkpoint holds.
    fn state(&self) -> Vec<(String, Tensor)> {
        named(self, None)
    }

    /// Replaces every parameter and buffer by the tensor of its name.
    ///
    /// # Errors
    /// A name is missing, unexpected or given twice, or a tensor is invalid or has another shape, dtype or device: one
    /// error lists them all, and nothing is changed.
    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let given = by_name("load_state", state)?;
        let problems = mismatches(&self.state(), &given);
        if !problems.is_empty() {
            return Err(Error::new(
                ErrorKind::Value,
                "load_state",
                problems.join("; "),
            ));
        }
        replace(self, &mut |name, _| given.get(name).map(|&t| t.clone()));
        Ok(())
    }

    /// Replaces parameters and buffers by what `f` makes of their names and old values: a tensor, or `None` to keep one.
    /// Tensors that stand in two places are asked for once, under the first name.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{Linear, Module, init};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let mut net = Linear::new(4, 3, rng, &device);
    /// net.init(|name, old| match name {
    ///     "bias" => init::zeros(old.shape(), old.device()),
    ///     _ => init::orthogonal(old.shape(), 1.0, rng, old.device()),
    /// })?;
    /// assert_eq!(net.bias.unwrap().to_vec::<f32>()?, [0.0; 3]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// A new tensor is invalid or has another shape, dtype or device: one error lists them all, and nothing is changed.
    fn init<T: Into<Option<Tensor>>>(&mut self, mut f: impl FnMut(&str, &Tensor) -> T) -> Result<()>
    where
        Self: Sized,
    {
        let mut new: HashMap<usize, Option<Tensor>> = HashMap::new();
        let mut problems = Vec::new();
        let old = self.state();
        for (name, tensor) in &old {
            new.entry(identity(tensor)).or_insert_with(|| {
                let fresh = f(name, tensor).into()?;
                problems.extend(mismatch(name, tensor, &fresh));
                Some(fresh)
            });
        }
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::Value, "init", problems.join("; ")));
        }
        let mut by_name = HashMap::new();
        for (name, tensor) in &old {
            by_name.insert(name.as_str(), new.get(&identity(tensor)).cloned().flatten());
        }
        replace(self, &mut |name, _| by_name.get(name).cloned().flatten());
        Ok(())
    }

    /// Moves every tensor to a device, waiting for it. Not in a browser: see [`to_device_async`].
    ///
    /// # Errors
    /// A tensor cannot be computed or the device has no room for it; nothing is moved then.
    #[cfg(not(target_arch = "wasm32"))]
    fn to_device(&mut self, device: &Device) -> Result<()> {
        let state = self.state();
        eval(&state.iter().map(|(_, t)| t).collect::<Vec<_>>())?;
        let moved: Vec<Tensor> = state
            .iter()
            .map(|(_, t)| t.to(device))
            .collect::<Result<_>>()?;
        replace_in_order(self, &moved);
        Ok(())
    }
}

/// Moves every tensor of a module to a device.
///
/// # Errors
/// As [`Module::to_device`].
pub async fn to_device_async(model: &mut dyn Module, device: &Device) -> Result<()> {
    let state = model.state();
    eval(&state.iter().map(|(_, t)| t).collect::<Vec<_>>())?;
    let mut moved = Vec::with_capacity(state.len());
    for (_, tensor) in &state {
        moved.push(tensor.to_async(device).await?);
    }
    replace_in_order(model, &moved);
    Ok(())
}

/// The name of a child: `path.name`, or `name` at the root. For implementing [`Module`] by hand.
///
/// ```
/// assert_eq!(wgrad_nn::join("conv1", "weight"), "conv1.weight");
/// assert_eq!(wgrad_nn::join("", "weight"), "weight");
/// ```
pub fn join<'n>(path: &'n str, name: &'n str) -> Cow<'n, str> {
    match path {
        "" => Cow::Borrowed(name),
        NAMELESS => Cow::Borrowed(NAMELESS),
        _ => Cow::Owned([path, ".", name].concat()),
    }
}

/// The path of a visit that asks for no names: none are made.
pub(crate) const NAMELESS: &str = "\0";

/// A number that two handles share exactly if they are the same node: where the node keeps its device.
/// Valid while a handle lives.
pub(crate) fn identity(tensor: &Tensor) -> usize {
    std::ptr::from_ref(tensor.device()).addr()
}

fn named<M: Module + ?Sized>(model: &M, wanted: Option<Kind>) -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    model.visit("", &mut |name, kind, tensor| {
        if wanted.is_none_or(|k| k == kind) {
            out.push((name.to_string(), tensor.clone()));
        }
    });
    out
}

/// Puts what `new` gives into the tree. Places that held one tensor get one tensor: what the first of them gets.
pub(crate) fn replace<M: Module + ?Sized>(
    model: &mut M,
    new: &mut dyn FnMut(&str, Kind) -> Option<Tensor>,
) {
    // The old tensors stay alive meanwhile, so that no new node takes the place of one.
    let mut done: HashMap<usize, (Tensor, Tensor)> = HashMap::new();
    model.visit_mut("", &mut |name, kind, tensor| {
        let key = identity(tensor);
        if let Some((_, shared)) = done.get(&key) {
            *tensor = shared.clone();
        } else if let Some(fresh) = new(name, kind) {
            let old = std::mem::replace(tensor, fresh.clone());
            Mark::pass_on(&old, &fresh);
            done.insert(key, (old, fresh));
        }
    });
}

/// Puts one tensor for each of [`Module::state`], in its order.
fn replace_in_order<M: Module + ?Sized>(model: &mut M, new: &[Tensor]) {
    let names: Vec<String> = model.state().into_iter().map(|(name, _)| name).collect();
    let by_name: HashMap<&str, &Tensor> = names.iter().map(String::as_str).zip(new).collect();
    replace(model, &mut |name, _| by_name.get(name).map(|&t| t.clone()));
}

/// Tensors by name; a name given twice is an error of `op`.
pub(crate) fn by_name<'a>(
    op: &str,
    state: &'a [(String, Tensor)],
) -> Result<BTreeMap<&'a str, &'a Tensor>> {
    let mut map = BTreeMap::new();
    for (name, tensor) in state {
        if map.insert(name.as_str(), tensor).is_some() {
            return Err(Error::new(
                ErrorKind::Value,
                op,
                format!("{name} is given twice"),
            ));
        }
    }
    Ok(map)
}

fn mismatches(have: &[(String, Tensor)], given: &BTreeMap<&str, &Tensor>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, tensor) in have {
        match given.get(name.as_str()) {
            None => problems.push(format!("missing {name}")),
            Some(new) => problems.extend(mismatch(name, tensor, new)),
        }
    }
    let unexpected = given
        .keys()
        .filter(|g| !have.iter().any(|(name, _)| name == *g));
    problems.extend(unexpected.map(|name| format!("unexpected {name}")));
    problems
}

/// Why `new` cannot stand in the place of `old`.
pub(crate) fn mismatch(name: &str, old: &Tensor, new: &Tensor) -> Option<String> {
    if let Err(e) = new.check() {
        return Some(format!("{name} is invalid: {e}"));
    }
    if old.device() != new.device() {
        return Some(format!(
            "{name} lives on {}, not on {}",
            new.device(),
            old.device()
        ));
    }
    let same = (old.shape(), old.dtype()) == (new.shape(), new.dtype());
    (!same).then(|| {
        format!(
            "{name} is {}{:?}, not {}{:?}",
            new.dtype(),
            new.shape(),
            old.dtype(),
            old.shape()
        )
    })
}

impl Module for Tensor {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        visitor(path, Kind::Parameter, self);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        visitor(path, Kind::Parameter, self);
    }

    fn visit_host(&mut self, _: &mut dyn FnMut(Host<'_>)) {}

    fn duplicate(&self) -> Option<Tensor> {
        Some(self.clone())
    }
}

impl<M: Module + 'static> Module for Option<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        if let Some(m) = self {
            m.visit(path, visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        if let Some(m) = self {
            m.visit_mut(path, visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(self));
        if let Some(m) = self {
            m.visit_host(visitor);
        }
    }

    fn duplicate(&self) -> Option<Option<M>> {
        match self {
            Some(m) => m.duplicate().map(Some),
            None => Some(None),
        }
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        (**self).visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        (**self).visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Number((**self).type_key()));
        (**self).visit_host(visitor);
    }
}

/// A module that is somebody else's: `(&mut net, &mut optimizer)` can be a compiled function's state.
impl<M: Module + ?Sized> Module for &mut M {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        (**self).visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        (**self).visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Number((**self).type_key()));
        (**self).visit_host(visitor);
    }

    fn type_key(&self) -> u64 {
        (**self).type_key()
    }
}

impl<M: Module> Module for [M] {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (i, m) in self.iter().enumerate() {
            m.visit(&join(path, &i.to_string()), visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        for (i, m) in self.iter_mut().enumerate() {
            m.visit_mut(&join(path, &i.to_string()), visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Number(self.len() as u64));
        visit_parts(self, visitor);
    }
}

/// Shows the host's side of each element under its number.
fn visit_parts<M: Module>(parts: &mut [M], visitor: &mut dyn FnMut(Host<'_>)) {
    for (i, part) in parts.iter_mut().enumerate() {
        visitor(Host::Enter(&i));
        part.visit_host(visitor);
        visitor(Host::Leave);
    }
}

impl<M: Module + 'static> Module for Vec<M> {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        self.as_slice().visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        self.as_mut_slice().visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(self));
        visit_parts(self, visitor);
    }

    fn duplicate(&self) -> Option<Vec<M>> {
        self.iter().map(M::duplicate).collect()
    }
}

impl<M: Module, const N: usize> Module for [M; N] {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        self.as_slice().visit(path, visitor);
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
        self.as_mut_slice().visit_mut(path, visitor);
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visit_parts(self, visitor);
    }

    fn duplicate(&self) -> Option<[M; N]> {
        let copies: Option<Vec<M>> = self.iter().map(M::duplicate).collect();
        copies?.try_into().ok()
    }
}

macro_rules! tuples {
    ($($($name:ident $at:tt),+;)*) => {$(
        impl<$($name: Module),+> Module for ($($name,)+) {
            fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
                $(self.$at.visit(&join(path, stringify!($at)), visitor);)+
            }

            fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &mut Tensor)) {
                $(self.$at.visit_mut(&join(path, stringify!($at)), visitor);)+
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
                $(
                    visitor(Host::Enter(&stringify!($at)));
                    self.$at.visit_host(visitor);
                    visitor(Host::Leave);
                )+
            }

            fn duplicate(&self) -> Option<Self> {
                Some(($(self.$at.duplicate()?,)+))
            }
        }
    )*};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
}

macro_rules! without_tensors {
    ($({$($generics:tt)*} $t:ty |$x:ident, $visitor:ident| $host:expr;)*) => {$(
        impl<$($generics)*> Module for $t {
            fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

            fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

            fn visit_host(&mut self, $visitor: &mut dyn FnMut(Host<'_>)) {
                let $x = self;
                $host
            }

            fn duplicate(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

macro_rules! watched {
    ($({$($generics:tt)*} $t:ty;)*) => {
        without_tensors! {$({$($generics)*} $t |x, visitor| visitor(Host::Value(x));)*}
    };
}

watched! {
    {} bool;
    {} char;
    {} String;
    {} &'static str;
    {} i8;
    {} i16;
    {} i32;
    {} i64;
    {} isize;
    {} u8;
    {} u16;
    {} u32;
    {} u64;
    {} usize;
    {} f32;
    {} f64;
    {const N: usize} ConvOptions<N>;
    {const N: usize} ConvTransposeOptions<N>;
    {const N: usize} PoolOptions<N>;
}

without_tensors! {
    {} () |_x, _visitor| ();
    {T: Send + Sync + 'static} PhantomData<T> |_x, _visitor| ();
    {} Generator |x, visitor| visitor(Host::Generator(x));
}
