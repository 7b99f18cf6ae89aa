//! A number in a compiled function's state that changes from call to call and is an input of its plan. Runs nothing.

use crate::host::Host;
use crate::module::{Kind, Module};
use std::ops::{Add, Div, Mul, Sub};
use wgrad_graph::{DType, Device, Number, Tensor};

/// A number that may change in each step without a new trace: a loss's weight, a temperature, a noise level. In a
/// compiled function's state it is an input of the plan, where a plain `f64` would be built in and traced anew.
///
/// Operators exist with tensors on either side; the number has the tensor's dtype. It is no tensor of the tree, so
/// [`Module::state`] and checkpoints do not hold it: keep [`Variable::get`] beside them, as with a learning rate. A clone
/// is a number of its own. A compiled function that itself reads or sets it on the host runs itself in each call.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Variable, compile};
/// let mut scaled = compile(|beta: &mut Variable, x: &[Tensor]| Ok(&x[0] * &*beta));
/// let mut beta = Variable::new(0.5);
/// let x = Tensor::new(&[2.0f32], &Device::cpu());
/// assert_eq!(scaled.call(&mut beta, &[&x])?.item::<f32>()?, 1.0);
/// beta.set(3.0);
/// assert_eq!(scaled.call(&mut beta, &[&x])?.item::<f32>()?, 6.0);
/// assert_eq!(scaled.traces(), 1);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Variable(
    Number,
    /// Whether it is part of the state of the function that is being traced.
    bool,
);

impl Variable {
    /// With this value.
    pub fn new(value: f64) -> Variable {
        Variable(Number::new(value), false)
    }

    /// Its value.
    #[track_caller]
    pub fn get(&self) -> f64 {
        self.0.get()
    }

    /// Another value from now on. Tensors that were recorded before keep theirs.
    pub fn set(&mut self, value: f64) {
        // Another cell, for what was recorded may be computed later.
        self.0 = Number::new(value);
    }

    /// A rank-0 tensor of the number.
    #[track_caller]
    pub fn tensor(&self, dtype: DType, device: &Device) -> Tensor {
        if !self.1 {
            wgrad_graph::replay::observe("a variable that is no part of the state is used");
        }
        self.0.tensor(dtype, device)
    }

    /// A rank-0 tensor of the number, with the dtype and device of `tensor`.
    #[track_caller]
    pub fn like(&self, tensor: &Tensor) -> Tensor {
        self.tensor(tensor.dtype(), tensor.device())
    }

    /// The cell that it is kept in.
    pub(crate) fn cell(&self) -> &Number {
        &self.0
    }

    /// Keeps it in another cell, which has its value.
    pub(crate) fn set_cell(&mut self, cell: Number, traced: bool) {
        (self.0, self.1) = (cell, traced);
    }
}

impl Clone for Variable {
    fn clone(&self) -> Variable {
        Variable::new(self.0.get())
    }
}

impl Module for Variable {
    fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Variable(self));
    }

    fn duplicate(&self) -> Option<Variable> {
        Some(self.clone())
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident;)*) => {$(
        impl $trait<&Variable> for &Tensor {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, rhs: &Variable) -> Tensor {
                $trait::$method(self, rhs.like(self))
            }
        }

        impl $trait<&Variable> for Tensor {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, rhs: &Variable) -> Tensor {
                $trait::$method(&self, rhs)
            }
        }

        impl $trait<&Tensor> for &Variable {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, rhs: &Tensor) -> Tensor {
                $trait::$method(self.like(rhs), rhs)
            }
        }

        impl $trait<Tensor> for &Variable {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, rhs: Tensor) -> Tensor {
                $trait::$method(self, &rhs)
            }
        }
    )*};
}

operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}
