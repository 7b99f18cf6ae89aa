//! Sum over sorted dimensions, which are dropped. Floats are summed with an error that does not grow with the
//! length; integers wrap; sums of truth values and bytes are the API's business (it casts to i32).
//! The sum of nothing is 0. Derivative: the upstream gradient, spread over the reduced dimensions.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::plan::ReduceKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReduceSum {
    /// Sorted, distinct dimensions.
    pub dims: Vec<usize>,
}

/// The shape that is left when `dims` are dropped.
pub(crate) fn reduced_shape(x: &[Operand], dims: &[usize]) -> Result<Vec<usize>, String> {
    let shape = x[0].shape;
    if dims.iter().any(|&d| d >= shape.len()) || dims.windows(2).any(|w| w[0] >= w[1]) {
        return Err(format!("dimensions {dims:?} are not sorted dimensions of rank {}", shape.len()));
    }
    Ok((0..shape.len()).filter(|d| !dims.contains(d)).map(|d| shape[d]).collect())
}

/// Splits indices of the operand into kept ones and calls `f(position of the result, element)`, in row-major order.
pub(crate) fn for_each_reduced(x: &Array, dims: &[usize], mut f: impl FnMut(usize, f64)) {
    let kept: Vec<usize> = (0..x.shape.len()).filter(|d| !dims.contains(d)).collect();
    let mut at = 0;
    crate::shape::for_each_index(&x.shape, |i| {
        let o = kept.iter().fold(0, |p, &d| p * x.shape[d] + i[d]);
        f(o, x.data[at]);
        at += 1;
    });
}

/// `g`, which lacks `dims`, spread over `like`'s shape.
pub(crate) fn spread(g: &Tensor, like: &Tensor, dims: &[usize]) -> Tensor {
    let mut ones = like.shape().to_vec();
    for &d in dims {
        ones[d] = 1;
    }
    g.reshape_to(&ones).expand_to(like.shape())
}

/// Dimension lists that cover the layouts of the reduce kernels.
#[cfg(any(test, feature = "samples"))]
pub(crate) fn sample_dims() -> Vec<(Vec<usize>, Vec<usize>)> {
    vec![
        (vec![3, 5], vec![1]),
        (vec![3, 5], vec![0]),
        (vec![2, 3, 4], vec![0, 2]),
        (vec![2, 3, 4], vec![1]),
        (vec![7], vec![0]),
        (vec![1, 1], vec![0]),
        (vec![4, 3], vec![]),
    ]
}

impl Primitive for ReduceSum {
    const NAME: &'static str = "sum";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        reduced_shape(x, &self.dims)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            d => Ok(d),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(spread(upstream, &cx.inputs[0], &self.dims))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(ReduceSum { dims: self.dims.iter().map(|d| d + 1).collect() }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        for_each_reduced(x[0], &self.dims, |o, v| out.data[o] += v);
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Reduce { kind: ReduceKind::Sum, dims: self.dims.clone() }
    }

    fn tolerance() -> super::Tolerance {
        // Thousands of numbers up to 1 may cancel; each partial sum is rounded.
        super::Tolerance {
            rtol: 1e-5,
            atol: 2e-5,
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all: Vec<_> = sample_dims()
            .into_iter()
            .map(|(shape, dims)| Sample::new(ReduceSum { dims }, vec![SampleInput::f32(&shape, -2.0, 2.0)]))
            .collect();
        let all_dims = |shape: &[usize]| ReduceSum { dims: (0..shape.len()).collect() };
        for shape in [vec![3, 1000], vec![70, 65], vec![0, 4]] {
            all.push(Sample::special(all_dims(&shape), vec![SampleInput::f32(&shape, -1.0, 1.0)]));
        }
        all.push(Sample::special(ReduceSum { dims: vec![0] }, vec![SampleInput::f32(&[0, 4], -1.0, 1.0)]));
        all.push(Sample::special(ReduceSum { dims: vec![0] }, vec![SampleInput::f32(&[300, 33], 0.0, 1.0)]));
        all.push(Sample::special(ReduceSum { dims: vec![1] }, vec![SampleInput::ints(&[3, 9], DType::I32, -9, 9)]));
        let special = [1.0, f64::NAN, 2.0, f64::INFINITY, 1.0, 1.0];
        all.push(Sample::special(ReduceSum { dims: vec![1] }, vec![SampleInput::values(&[3, 2], DType::F32, &special)]));
        all
    }
}
