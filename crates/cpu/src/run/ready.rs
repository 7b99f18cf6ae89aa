//! A kernel made ready: what its family works out once. It must not know the plan around it.

use crate::dtype::DType;
use crate::plan::{Held, Kernel};
use crate::program::Program;
use crate::{map, reduce, rows};

/// A kernel made ready.
#[derive(Debug)]
pub(crate) enum Ready {
    /// A map, if it has anything to do.
    Map(Option<Program>),
    /// A reduction.
    Reduce(reduce::Ready),
    /// Rows.
    Rows(rows::Ready),
    /// A product whose right operand is packed for several.
    Matmul(Packed),
    /// A loop's body.
    Loop(Box<super::Prepared>),
    /// Any other kernel: its data say all.
    Plain,
}

/// A packed operand that several products of a plan read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// Which of [`Prepared::packs`](super::Prepared::packs).
    pub(crate) pack: usize,
    /// Whether this product is the first to read it, and packs it.
    pub(crate) first: bool,
    /// Whether it is the same in all rounds of the loop whose body this is.
    pub(crate) constant: bool,
}

impl Ready {
    /// Prepares `kernel`, whose output has elements of `dtype`; inputs `held` are what outputs hold before.
    pub(crate) fn new(kernel: &Kernel, dtype: DType, held: &[Held]) -> Ready {
        match kernel {
            Kernel::Map(m) => Ready::Map(map::prepare(m, dtype, held)),
            Kernel::Reduce(r) => Ready::Reduce(reduce::prepare(r)),
            Kernel::Rows(r) => Ready::Rows(rows::prepare(r, held)),
            Kernel::Loop(l) => Ready::Loop(Box::new(super::Prepared::of_body(l))),
            _ => Ready::Plain,
        }
    }
}
