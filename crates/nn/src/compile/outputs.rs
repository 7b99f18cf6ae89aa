//! What a compiled function may return: tensors, alone or several.

use wgrad_graph::Tensor;

/// What a compiled function returns: tensors alone.
pub trait Outputs: Sized {
    /// The tensors in order.
    fn into_tensors(self) -> Vec<Tensor>;

    /// The same from as many tensors; `None` if there are not so many.
    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self>;
}

impl Outputs for Vec<Tensor> {
    fn into_tensors(self) -> Vec<Tensor> {
        self
    }

    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        Some(tensors)
    }
}

impl Outputs for Tensor {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self]
    }

    fn from_tensors(mut tensors: Vec<Tensor>) -> Option<Self> {
        tensors.pop()
    }
}

impl<const N: usize> Outputs for [Tensor; N] {
    fn into_tensors(self) -> Vec<Tensor> {
        self.into()
    }

    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        tensors.try_into().ok()
    }
}

macro_rules! tuples {
    ($($n:literal: $($t:ident $x:ident),*;)*) => {$(
        impl Outputs for ($($t,)*) {
            fn into_tensors(self) -> Vec<Tensor> {
                let ($($x,)*) = self;
                vec![$($x),*]
            }

            fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
                let [$($x),*] = <[Tensor; $n]>::try_from(tensors).ok()?;
                Some(($($x,)*))
            }
        }
    )*};
}

tuples! {
    2: Tensor a, Tensor b;
    3: Tensor a, Tensor b, Tensor c;
    4: Tensor a, Tensor b, Tensor c, Tensor d;
}
