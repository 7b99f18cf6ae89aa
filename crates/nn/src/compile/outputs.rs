//! What a compiled function may return: tensors, alone or several, or none.

use wgrad_graph::Tensor;

/// What a compiled function returns: tensors alone, for what else it computes on the host is not there when its plan runs.
/// Nothing, a tensor, tuples, arrays and vectors of tensors, or a struct of tensors that derives it:
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Outputs, compile};
/// #[derive(Outputs)]
/// #[outputs(crate = wgrad_nn)] // not needed where the crate `wgrad` is used
/// struct Moments {
///     mean: Tensor,
///     variance: Tensor,
/// }
/// let mut moments = compile(|_: &mut (), x: &[Tensor]| {
///     Ok(Moments { mean: x[0].mean(), variance: x[0].var(0.0) })
/// });
/// let of = moments.call(&mut (), &[&Tensor::new(&[1.0f32, 3.0], &Device::cpu())])?;
/// assert_eq!((of.mean.item::<f32>()?, of.variance.item::<f32>()?), (2.0, 1.0));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a compiled function returns tensors, and `{Self}` is none",
    label = "no tensor, nor made of tensors",
    note = "return `Ok` of a `Tensor`, of a tuple, an array or a `Vec` of tensors, of `()`, or of a struct of tensors with `#[derive(Outputs)]`; read numbers from the outputs of `call`"
)]
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

impl Outputs for () {
    fn into_tensors(self) -> Vec<Tensor> {
        Vec::new()
    }

    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        tensors.is_empty().then_some(())
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
    1: Tensor a;
    2: Tensor a, Tensor b;
    3: Tensor a, Tensor b, Tensor c;
    4: Tensor a, Tensor b, Tensor c, Tensor d;
    5: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e;
    6: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f;
    7: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g;
    8: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h;
    9: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h, Tensor i;
    10: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h, Tensor i, Tensor j;
    11: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h, Tensor i, Tensor j, Tensor k;
    12: Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h, Tensor i, Tensor j, Tensor k, Tensor l;
}
