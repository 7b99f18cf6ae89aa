//! Uniformly distributed 32-bit words: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011). Word `w` in row-major order is lane `w % 4` of the block with counter `[w / 4, ordinal, step]` and key
//! `seed`. Seed, step and ordinal are inputs of the plan, so no pass, replay or resume changes the bits.
//! Derivative: none, integers.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::math::philox4x32_10;
use crate::tensor::Tensor;
use std::hash::{Hash, Hasher};

/// See the module. Compared by shape alone: the numbers are not part of a plan.
#[derive(Clone, Debug)]
pub struct Random {
    /// Sizes of the result.
    pub shape: Vec<usize>,
    /// The stream's seed.
    pub seed: u64,
    /// The step of the training run.
    pub step: u64,
    /// The position of this draw within the step.
    pub ordinal: u32,
    /// The stream of a traced state that it was drawn from; 0 for none.
    pub stream: u64,
}

impl Random {
    fn words(&self) -> [u32; 5] {
        [self.seed as u32, (self.seed >> 32) as u32, self.step as u32, (self.step >> 32) as u32, self.ordinal]
    }
}

impl PartialEq for Random {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
    }
}

impl Eq for Random {}

impl Hash for Random {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shape.hash(state);
    }
}

impl Primitive for Random {
    const NAME: &'static str = "random";

    fn shape(&self, _: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(self.shape.clone())
    }

    fn dtype(&self, _: &[Operand]) -> Result<DType, String> {
        Ok(DType::U32)
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(Vec::new())
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // Without operands there is nothing to batch.
        x[0].clone()
    }

    fn reference(&self, _: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let [s0, s1, t0, t1, ordinal] = self.words();
        let mut word = 0u32;
        Array::from_index(shape, dtype, |_| {
            let block = philox4x32_10([word / 4, ordinal, t0, t1], [s0, s1]);
            word += 1;
            f64::from(block[((word - 1) % 4) as usize])
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::Random { scalars: self.words() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [vec![130], vec![3, 5], vec![], vec![0]]
            .map(|shape| Sample::special(Random { shape, seed: 0x1234_5678_9abc_def0, step: 7, ordinal: 3, stream: 0 }, Vec::new()))
            .to_vec()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
