//! What optimisers do to each element, in one loop where operation by operation would take several. The arithmetic is that
//! of the operations, each rounded. Knows no program: `pairs.rs` finds where they fit.

use crate::plan::BlockFn;
use crate::simd::simd_fn;

/// `x * s + y * t` of lanes x and y and numbers s and t: a moving average.
pub(crate) const AVERAGE: BlockFn = |out, args| {
    let [x, y, s, t] = args else { return };
    let [x, y] = [x, y].map(|a| floats(a));
    average(
        bytemuck::cast_slice_mut(out),
        x,
        y,
        [s, t].map(|n| number(n)),
    );
};

/// `x * s + y * z * t` of lanes x, y and z and numbers s and t: one of squares.
pub(crate) const AVERAGE_OF_PRODUCTS: BlockFn = |out, args| {
    let [x, y, z, s, t] = args else { return };
    let factors = [y, z].map(|a| floats(a));
    let numbers = [s, t].map(|n| number(n));
    average_of_products(bytemuck::cast_slice_mut(out), floats(x), factors, numbers);
};

/// `p - m / (sqrt(v) * c + e) * l` of lanes p, m and v and numbers c, e and l: the step of Adam and its like.
pub(crate) const ADAPTIVE_STEP: BlockFn = |out, args| {
    let [p, m, v, c, e, l] = args else { return };
    let lanes = [p, m, v].map(|a| floats(a));
    let numbers = [c, e, l].map(|n| number(n));
    adaptive_step(bytemuck::cast_slice_mut(out), lanes, numbers);
};

fn floats(lanes: &[u32]) -> &[f32] {
    bytemuck::cast_slice(lanes)
}

fn number(lanes: &[u32]) -> f32 {
    f32::from_bits(lanes[0])
}

simd_fn! {
    fn average(out: &mut [f32], x: &[f32], y: &[f32], numbers: [f32; 2]) {
        let [s, t] = numbers;
        for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
            *out = x * s + y * t;
        }
    }
}

simd_fn! {
    fn average_of_products(out: &mut [f32], x: &[f32], factors: [&[f32]; 2], numbers: [f32; 2]) {
        let ([y, z], [s, t]) = (factors, numbers);
        for (((out, &x), &y), &z) in out.iter_mut().zip(x).zip(y).zip(z) {
            *out = x * s + y * z * t;
        }
    }
}

simd_fn! {
    fn adaptive_step(out: &mut [f32], lanes: [&[f32]; 3], numbers: [f32; 3]) {
        let ([p, m, v], [c, e, l]) = (lanes, numbers);
        for (((out, &p), &m), &v) in out.iter_mut().zip(p).zip(m).zip(v) {
            *out = p - m / (v.sqrt() * c + e) * l;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Rng;

    #[test]
    fn each_is_its_operations_one_by_one() {
        for n in [1, 15, 16, 100, 1024] {
            let mut rng = Rng(n as u64);
            let lanes: Vec<Vec<u32>> = (0..3)
                .map(|_| rng.floats(n).iter().map(|x| x.abs().to_bits()).collect())
                .collect();
            let numbers = [0.9f32, 1e-3, 0.1].map(|x| [x.to_bits()]);
            let [c, e, l] = numbers.each_ref().map(|x| &x[..]);
            let [x, y, z] = [&lanes[0][..], &lanes[1], &lanes[2]];
            let f = |v: &[u32], i: usize| f32::from_bits(v[if v.len() == 1 { 0 } else { i }]);
            let run = |block: BlockFn, args: &[&[u32]]| {
                let mut out = vec![0; n];
                block(&mut out, args);
                out
            };
            let average = run(AVERAGE, &[x, y, c, e]);
            let squares = run(AVERAGE_OF_PRODUCTS, &[x, y, z, c, e]);
            let step = run(ADAPTIVE_STEP, &[x, y, z, c, e, l]);
            for i in 0..n {
                let [x, y, z, c, e, l] = [x, y, z, c, e, l].map(|v| f(v, i));
                let (a, b) = (x * c, y * e);
                assert_eq!(f(&average, i), a + b);
                let b = y * z;
                let b = b * e;
                assert_eq!(f(&squares, i), a + b);
                let below = z.sqrt() * c;
                let below = below + e;
                let quotient = y / below;
                let scaled = quotient * l;
                assert_eq!(f(&step, i), x - scaled);
            }
        }
    }
}
