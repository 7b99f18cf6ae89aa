//! `+ − * /` and unary minus for every pair of `Tensor`, `&Tensor` and number.

use crate::tensor::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! between_tensors {
    ($trait:ident $method:ident; $($a:ty, $b:ty);*) => {$(
        impl $trait<$b> for $a {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: $b) -> Tensor {
                #[allow(clippy::needless_borrow, reason = "one body for owned and borrowed operands")]
                Tensor::$method(&self, &other)
            }
        }
    )*};
}

macro_rules! all_pairs {
    ($($trait:ident $method:ident;)*) => {$(
        between_tensors! { $trait $method; Tensor, Tensor; Tensor, &Tensor; &Tensor, Tensor; &Tensor, &Tensor }
    )*};
}

all_pairs! { Add add; Sub sub; Mul mul; Div div; }

/// A Rust number that may stand right of an operator: `f32`, `f64`, `i32`.
pub trait Scalar: Copy {
    /// The value.
    fn value(self) -> f64;
}

impl Scalar for f32 {
    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl Scalar for i32 {
    fn value(self) -> f64 {
        f64::from(self)
    }
}

macro_rules! number_right {
    ($($trait:ident $method:ident, $t:ty;)*) => {$(
        impl<S: Scalar> $trait<S> for $t {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: S) -> Tensor {
                Tensor::$method(&self, &self.weak(other.value())).beside(&self)
            }
        }
    )*};
}

number_right! {
    Add add, Tensor; Add add, &Tensor; Sub sub, Tensor; Sub sub, &Tensor;
    Mul mul, Tensor; Mul mul, &Tensor; Div div, Tensor; Div div, &Tensor;
}

/// Left of an operator a literal must have one type: `f64` or `i32`.
macro_rules! number_left {
    ($($trait:ident $method:ident, $n:ty, $t:ty;)*) => {$(
        impl $trait<$t> for $n {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: $t) -> Tensor {
                #[allow(clippy::needless_borrow, reason = "one body for owned and borrowed operands")]
                Tensor::$method(&other.weak(f64::from(self)), &other).beside(&other)
            }
        }
    )*};
}

number_left! {
    Add add, f64, Tensor; Add add, f64, &Tensor; Sub sub, f64, Tensor; Sub sub, f64, &Tensor;
    Mul mul, f64, Tensor; Mul mul, f64, &Tensor; Div div, f64, Tensor; Div div, f64, &Tensor;
    Add add, i32, Tensor; Add add, i32, &Tensor; Sub sub, i32, Tensor; Sub sub, i32, &Tensor;
    Mul mul, i32, Tensor; Mul mul, i32, &Tensor; Div div, i32, Tensor; Div div, i32, &Tensor;
}

impl Neg for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

impl Neg for &Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
