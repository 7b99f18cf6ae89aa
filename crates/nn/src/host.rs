//! What a module holds besides its tensors: numbers, streams, optimisers, and which parts are there at all. Says how each is
//! watched, saved and put back; knows no layer and no plan.

use crate::optim::Hooks;
use crate::variable::Variable;
use std::any::Any;
use std::fmt::{Debug, Display};
use std::hash::{DefaultHasher, Hash, Hasher};
use wgrad_graph::{ConvOptions, ConvTransposeOptions, Generator, PoolOptions, Tensor};

/// One thing that a module shows to [`Module::visit_host`](crate::Module::visit_host).
pub enum Host<'a> {
    /// What follows belongs to the field, element or layer of this name, up to its [`Host::Leave`].
    Enter(&'a dyn Display),
    /// The end of what [`Host::Enter`] began.
    Leave,
    /// A number that a compiled function does not change, as bits. One that it may change is a [`Host::Value`].
    Number(u64),
    /// A number, text or set of options, or how many parts there are.
    Value(&'a mut dyn Value),
    /// A tensor that is no part of [`Module::state`](crate::Module::state), as in a field that is skipped.
    Tensor(&'a mut Tensor),
    /// A stream of random numbers.
    Generator(&'a mut Generator),
    /// An optimiser.
    Optimizer(&'a mut dyn Hooks),
    /// A number that changes without a new plan.
    Variable(&'a mut Variable),
}

/// What [`Value::save`] has kept.
pub type Saved = Box<dyn Any + Send>;

/// A value that what a module computes may depend on: a compiled function is traced anew when it has changed, and has it
/// back as it was when a call fails.
pub trait Value {
    /// Equal values have equal bits.
    fn bits(&self) -> u64;

    /// The value for messages.
    fn show(&self) -> String;

    /// A copy, for putting it back.
    fn save(&self) -> Saved;

    /// Puts a saved value back. False if that cannot be done.
    fn restore(&mut self, saved: &Saved) -> bool;
}

/// Any value that can be hashed and cloned, as a [`Value`]: what `#[module(watch)]` makes of a field.
///
/// ```
/// use wgrad_nn::{Value, Watched};
/// let mut mode = "same";
/// let (saved, bits) = (Watched(&mut mode).save(), Watched(&mut mode).bits());
/// mode = "valid";
/// assert_ne!(Watched(&mut mode).bits(), bits);
/// assert!(Watched(&mut mode).restore(&saved) && mode == "same");
/// ```
pub struct Watched<'a, T>(pub &'a mut T);

impl<T: Hash + Clone + Send + 'static> Value for Watched<'_, T> {
    fn bits(&self) -> u64 {
        hashed(&*self.0)
    }

    fn show(&self) -> String {
        format!("{} {:x}", std::any::type_name::<T>(), self.bits())
    }

    fn save(&self) -> Saved {
        Box::new(self.0.clone())
    }

    fn restore(&mut self, saved: &Saved) -> bool {
        put_back(self.0, saved)
    }
}

/// Options, a text or a type as a number.
pub(crate) fn hashed(x: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    x.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn put_back<T: Clone + 'static>(place: &mut T, saved: &Saved) -> bool {
    let saved = saved.downcast_ref::<T>();
    if let Some(value) = saved {
        place.clone_from(value);
    }
    saved.is_some()
}

/// Implements [`Value`] for types that are `Clone` and `Debug`, by their bits.
macro_rules! values {
    ($({$($generics:tt)*} $t:ty |$x:ident| $bits:expr;)*) => {$(
        impl<$($generics)*> Value for $t {
            fn bits(&self) -> u64 {
                let $x = self;
                $bits
            }

            fn show(&self) -> String {
                shown(self)
            }

            fn save(&self) -> Saved {
                Box::new(self.clone())
            }

            fn restore(&mut self, saved: &Saved) -> bool {
                put_back(self, saved)
            }
        }
    )*};
}
pub(crate) use values;

pub(crate) fn shown(x: &dyn Debug) -> String {
    format!("{x:?}")
}

values! {
    {} bool |x| u64::from(*x);
    {} char |x| u64::from(*x);
    {} String |x| hashed(x);
    {} &'static str |x| hashed(x);
    {} i8 |x| *x as u64;
    {} i16 |x| *x as u64;
    {} i32 |x| *x as u64;
    {} i64 |x| *x as u64;
    {} isize |x| *x as u64;
    {} u8 |x| u64::from(*x);
    {} u16 |x| u64::from(*x);
    {} u32 |x| u64::from(*x);
    {} u64 |x| *x;
    {} usize |x| *x as u64;
    {} f32 |x| u64::from(x.to_bits());
    {} f64 |x| x.to_bits();
    {const N: usize} ConvOptions<N> |x| hashed(x);
    {const N: usize} ConvTransposeOptions<N> |x| hashed(x);
    {const N: usize} PoolOptions<N> |x| hashed(x);
}

impl<M: crate::Module + 'static> Value for Option<M> {
    fn bits(&self) -> u64 {
        u64::from(self.is_some())
    }

    fn show(&self) -> String {
        (if self.is_some() { "present" } else { "absent" }).to_string()
    }

    fn save(&self) -> Saved {
        Box::new((self.is_some(), self.as_ref().and_then(M::duplicate)))
    }

    fn restore(&mut self, saved: &Saved) -> bool {
        let Some((present, copy)) = saved.downcast_ref::<(bool, Option<M>)>() else {
            return false;
        };
        if self.is_some() != *present {
            *self = copy.as_ref().and_then(M::duplicate);
        }
        self.is_some() == *present
    }
}

/// Which variant an enum holds, as a [`Value`]: what `#[derive(Module)]` shows of one. Kept are the modules in it.
///
/// ```
/// use wgrad_nn::{Value, Variant};
/// let mut choice = Some(1.0f32);
/// let index = |c: &Option<f32>| u64::from(c.is_some());
/// let saved = Variant(&mut choice, index).save();
/// choice = None;
/// assert!(Variant(&mut choice, index).restore(&saved) && choice == Some(1.0));
/// ```
pub struct Variant<'a, M>(pub &'a mut M, pub fn(&M) -> u64);

impl<M: crate::Module + 'static> Value for Variant<'_, M> {
    fn bits(&self) -> u64 {
        (self.1)(self.0)
    }

    fn show(&self) -> String {
        format!("variant {}", self.bits())
    }

    fn save(&self) -> Saved {
        Box::new((self.bits(), self.0.duplicate()))
    }

    fn restore(&mut self, saved: &Saved) -> bool {
        let Some((bits, copy)) = saved.downcast_ref::<(u64, Option<M>)>() else {
            return false;
        };
        if self.bits() != *bits
            && let Some(copy) = copy.as_ref().and_then(M::duplicate)
        {
            *self.0 = copy;
        }
        self.bits() == *bits
    }
}

impl<M: crate::Module + 'static> Value for Vec<M> {
    fn bits(&self) -> u64 {
        self.len() as u64
    }

    fn show(&self) -> String {
        format!("{} parts", self.len())
    }

    fn save(&self) -> Saved {
        let copies: Vec<Option<M>> = self.iter().map(M::duplicate).collect();
        Box::new(copies)
    }

    fn restore(&mut self, saved: &Saved) -> bool {
        let Some(copies) = saved.downcast_ref::<Vec<Option<M>>>() else {
            return false;
        };
        self.truncate(copies.len());
        let missing = copies[self.len()..]
            .iter()
            .map_while(|c| c.as_ref()?.duplicate());
        self.extend(missing);
        self.len() == copies.len()
    }
}
