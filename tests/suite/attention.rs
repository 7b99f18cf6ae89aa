//! Fused attention against the composition it stands for: values and gradients on every executor over lengths, heads, masks and
//! special values, and memory by the length, as plans say.

use crate::models::own_devices;
use crate::support::{Random, Subject, differs, executors, gpu_minimum, report, tensor, values};
use wgrad::nn::compile;
use wgrad::ops::attention::Attention;
use wgrad::ops::attention_scores::Scores;
use wgrad::ops::{Op, Tolerance};
use wgrad::{AttentionOptions, DType, Device, Result, Tensor, grad};

/// What weighs the results in the loss, whose gradients are compared.
const TOLERANCE: Tolerance = Tolerance {
    rtol: 1e-4,
    atol: 1e-5,
};

/// Sizes of an attention: batch, heads, queries, keys, features, value features.
type Sizes = [usize; 6];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mask {
    None,
    Causal,
    /// Truth values for each query and key, some queries seeing nothing.
    Truth,
    /// Truth values for the keys of each batch, as those of padded sequences.
    Padding,
    /// Numbers for all.
    Numbers,
}

struct Case {
    sizes: Sizes,
    mask: Mask,
    scale: f64,
}

impl Case {
    fn operands(&self, device: &Device) -> Vec<Tensor> {
        let [a, b, l, s, d, e] = self.sizes;
        let mut rng = Random(7);
        let mut of = |shape: &[usize]| {
            let n = shape.iter().product();
            let numbers: Vec<f64> = (0..n).map(|_| rng.uniform(-1.0, 1.0)).collect();
            tensor(&numbers, shape, DType::F32, device)
        };
        let mut all = vec![of(&[a, b, l, d]), of(&[a, b, s, d]), of(&[a, b, s, e])];
        let truth = |shape: &[usize], hidden: &dyn Fn(usize) -> bool| {
            let n: usize = shape.iter().product();
            let seen: Vec<f64> = (0..n).map(|i| f64::from(u8::from(!hidden(i)))).collect();
            tensor(&seen, shape, DType::Bool, device)
        };
        match self.mask {
            Mask::None | Mask::Causal => {}
            Mask::Truth => {
                let hidden = |i: usize| i * 7 % 11 < 5 || (i / s.max(1)) % 3 == 1;
                all.push(truth(&[1, 1, l, s], &hidden));
            }
            Mask::Padding => all.push(truth(&[a, 1, 1, s], &|i| i % s.max(1) > s / 2)),
            Mask::Numbers => all.push(of(&[1, b, l, s])),
        }
        all
    }

    fn fused(&self, x: &[Tensor], device: &Device) -> Tensor {
        let scores = Scores::new(self.scale, self.mask == Mask::Causal);
        let op = Op::from(Attention { scores });
        Tensor::apply(op, &x.iter().collect::<Vec<_>>(), device)
    }

    /// The composition: small enough for the method to choose it.
    fn composed(&self, x: &[Tensor]) -> Tensor {
        let scores = (&x[0] * self.scale).matmul(&x[1].mt());
        let [_, _, l, s, ..] = self.sizes;
        let device = x[0].device();
        let seen = |i: usize| f64::from(u8::from(i % s.max(1) <= i / s.max(1)));
        let causal = || {
            let all: Vec<f64> = (0..l * s).map(seen).collect();
            tensor(&all, &[1, 1, l, s], DType::Bool, device)
        };
        let mask = match self.mask {
            Mask::Causal => Some(causal()),
            _ => x.get(3).cloned(),
        };
        let scores = match mask {
            // Sums of nothing.
            _ if s == 0 => return scores.matmul(&x[2]),
            None => return scores.softmax(-1).matmul(&x[2]),
            Some(m) if m.dtype() == DType::Bool => {
                scores.masked_fill(&m.logical_not(), f64::NEG_INFINITY)
            }
            Some(m) => scores + m,
        };
        // Rows that see nothing are zero, and must not meet a softmax.
        let nothing = scores.amax_dims(&[-1], true).eq_scalar(f64::NEG_INFINITY);
        let some = scores.masked_fill(&nothing, 0.0).softmax(-1);
        some.masked_fill(&nothing, 0.0).matmul(&x[2])
    }

    /// The result and the gradients of all floats.
    fn results(&self, y: &Tensor, x: &[Tensor], device: &Device) -> Result<Vec<Vec<f64>>> {
        let n = y.numel();
        let weights: Vec<f64> = (0..n)
            .map(|i| ((i * 29 % 31) as f64 - 15.0) * 0.1)
            .collect();
        let w = tensor(&weights, y.shape(), DType::F32, device);
        let floats: Vec<&Tensor> = x.iter().filter(|t| t.dtype() == DType::F32).collect();
        let mut all = vec![y.clone()];
        all.extend(grad(&(y * &w).sum(), &floats)?);
        all.iter().map(values).collect()
    }

    /// What is wrong with the fused one on a device.
    fn wrong(&self, subject: &Subject, tol: Tolerance) -> Option<String> {
        let run = || -> Result<Option<String>> {
            let x = self.operands(&subject.device);
            let got = self.results(&self.fused(&x, &subject.device), &x, &subject.device)?;
            let want = self.results(&self.composed(&x), &x, &subject.device)?;
            let bad = got.iter().zip(&want).enumerate();
            Ok(bad
                .filter_map(|(i, (g, w))| differs(g, w, tol).map(|m| format!("result {i}: {m}")))
                .next())
        };
        let what = format!("{} {:?} {:?}", subject.name, self.sizes, self.mask);
        match run() {
            Ok(None) => None,
            Ok(Some(m)) => Some(format!("{what}: {m}")),
            Err(e) => Some(format!("{what}: {e}")),
        }
    }
}

/// Around the blocks of all executors, one row, none, unequal lengths, and heads as wide as there may be.
const SIZES: [Sizes; 14] = [
    [1, 1, 1, 1, 1, 1],
    [2, 3, 5, 7, 4, 3],
    [1, 2, 31, 33, 16, 16],
    [1, 1, 32, 64, 32, 32],
    [2, 1, 57, 113, 20, 40],
    [1, 2, 129, 130, 64, 64],
    [1, 1, 300, 17, 8, 8],
    [1, 1, 9, 300, 33, 65],
    [1, 1, 70, 260, 128, 128],
    [1, 1, 3, 0, 4, 4],
    [1, 1, 0, 3, 4, 4],
    [1, 2, 600, 520, 12, 12],
    // A GPU takes several dispatches for rows that are so long.
    [1, 1, 40, 20_000, 4, 4],
    [1, 1, 15_000, 40, 4, 4],
];

const MASKS: [Mask; 5] = [
    Mask::None,
    Mask::Causal,
    Mask::Truth,
    Mask::Padding,
    Mask::Numbers,
];

#[test]
fn fused_attention_equals_the_composition() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for subject in &executors() {
        for (n, sizes) in SIZES.into_iter().enumerate() {
            for (m, mask) in MASKS.into_iter().enumerate() {
                // Of no keys nothing depends on a mask.
                if sizes[3] == 0 && mask == Mask::Numbers {
                    continue;
                }
                // A software adapter takes its time: some of the masks for each.
                if subject.name != "cpu" && (n + m) % 3 > 0 {
                    continue;
                }
                let case = Case {
                    sizes,
                    mask,
                    scale: 0.3,
                };
                count += 1;
                failures.extend(case.wrong(subject, TOLERANCE));
            }
        }
    }
    report("fused attention", count, &failures);
}

#[test]
fn large_scores_neither_overflow_nor_get_coarse() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for subject in &executors() {
        for (mask, scale) in [(Mask::None, 30.0), (Mask::Causal, 1e3), (Mask::Truth, 1e3)] {
            let case = Case {
                sizes: [1, 2, 40, 70, 2, 8],
                mask,
                scale,
            };
            count += 1;
            // Scores of a thousand are rounded to 6e-5, and differently where features are summed in another order.
            let tol = Tolerance {
                rtol: 3e-3,
                atol: 1e-3 * scale,
            };
            failures.extend(case.wrong(subject, tol));
        }
    }
    report("large scores", count, &failures);
}

/// Scores that are exact in any order: equal ones of ten thousand are weighed as equal ones of 0 are, gradients too.
#[test]
fn the_greatest_score_costs_no_digits() {
    for subject in executors() {
        let at = |q: f64| {
            let device = &subject.device;
            let x = vec![
                tensor(&[q], &[1, 1, 1, 1], DType::F32, device),
                tensor(&vec![64.0; 100], &[1, 1, 100, 1], DType::F32, device),
                tensor(
                    &(0..100).map(f64::from).collect::<Vec<_>>(),
                    &[1, 1, 100, 1],
                    DType::F32,
                    device,
                ),
            ];
            let case = Case {
                sizes: [1, 1, 1, 100, 1, 1],
                mask: Mask::None,
                scale: 1.0,
            };
            let y = case.fused(&x, device);
            case.results(&y, &x, device).expect("results")
        };
        let (small, large) = (at(0.0), at(256.0));
        let tol = Tolerance {
            rtol: 2e-6,
            atol: 1e-7,
        };
        for i in [0, 3] {
            assert_eq!(differs(&large[i], &small[i], tol), None, "{}", subject.name);
        }
    }
}

/// What is not finite stays in the rows that see it, and rows of it are those of the composition.
#[test]
fn what_is_not_finite_is_that_of_the_composition() {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for subject in executors() {
        let device = &subject.device;
        for (operand, value) in [0, 1, 2].into_iter().flat_map(|i| special.map(|v| (i, v))) {
            for mask in [Mask::None, Mask::Causal] {
                let case = Case {
                    sizes: [1, 1, 40, 40, 3, 3],
                    mask,
                    scale: 1.0,
                };
                let mut x = case.operands(device);
                let mut numbers = values(&x[operand]).expect("numbers");
                // Before all blocks, so that all that see it are in blocks that have it.
                numbers[1] = value;
                x[operand] = tensor(&numbers, &[1, 1, 40, 3], DType::F32, device);
                let got = values(&case.fused(&x, device)).expect("values");
                let want = values(&case.composed(&x)).expect("values");
                let wrong = differs(&got, &want, TOLERANCE);
                assert_eq!(
                    wrong, None,
                    "{}: {value} in operand {operand}, {mask:?}",
                    subject.name
                );
            }
        }
        // All scores −∞: NaN where nothing is hidden, zeros where a mask says so.
        let x = |mask: bool| {
            let mut x = vec![
                tensor(&[1.0; 2], &[1, 1, 2, 1], DType::F32, device),
                tensor(&[f64::NEG_INFINITY; 3], &[1, 1, 3, 1], DType::F32, device),
                tensor(&[1.0; 3], &[1, 1, 3, 1], DType::F32, device),
            ];
            x.extend(mask.then(|| tensor(&[1.0; 3], &[1, 1, 1, 3], DType::Bool, device)));
            x
        };
        for (masked, want) in [(false, f64::NAN), (true, 0.0)] {
            let case = Case {
                sizes: [1, 1, 2, 3, 1, 1],
                mask: Mask::None,
                scale: 1.0,
            };
            let got = values(&case.fused(&x(masked), device)).expect("values");
            assert_eq!(
                differs(&got, &[want; 2], TOLERANCE),
                None,
                "{}",
                subject.name
            );
        }
    }
}

/// Bytes of temporaries for a loss and its gradients, by the public method.
fn bytes(device: &Device, length: usize, options: &AttentionOptions) -> f64 {
    let options = options.clone();
    let zeros = || Tensor::zeros(&[1, 20, length, 64], DType::F32, device).detach();
    let x = [(); 3].map(|()| zeros().expect("an operand"));
    let mut step = compile(move |_: &mut (), x: &[Tensor]| -> Result<Vec<Tensor>> {
        let y = x[0].scaled_dot_product_attention(&x[1], &x[2], &options);
        grad(&y.square().sum(), &[&x[0], &x[1], &x[2]])
    });
    let cost = step.cost(&mut (), &[&x[0], &x[1], &x[2]]);
    cost.expect("a cost").expect("a plan").temporary_bytes as f64
}

#[test]
fn memory_grows_with_the_length() {
    for device in own_devices() {
        for causal in [false, true] {
            let options = AttentionOptions::default().is_causal(causal);
            let of = |length| bytes(&device, length, &options);
            // Lengths for which the method fuses: their scores would take more than 64 MiB.
            let [a, b, c] = [1024, 2048, 4096].map(of);
            println!("{device}: causal {causal}: {a} {b} {c} bytes");
            assert!(b < 2.2 * a && c < 2.2 * b, "{device}: {a} {b} {c}");
            let scores = 4.0 * 20.0 * 4096.0 * 4096.0;
            assert!(c < scores / 8.0, "{device}: {c} bytes of {scores}");
        }
    }
}

/// The method fuses where scores are large: with heads as layers lay them, keys that heads share, masks of several ranks.
#[test]
fn the_method_gives_the_same_where_it_fuses() {
    let mut subjects = executors();
    subjects.extend(gpu_minimum().map(|device| Subject {
        name: "gpu minimum",
        device,
    }));
    for Subject { name, device } in subjects {
        let mut rng = Random(3);
        let mut of = |shape: &[usize]| {
            let n = shape.iter().product();
            let numbers: Vec<f64> = (0..n).map(|_| rng.uniform(-1.0, 1.0)).collect();
            tensor(&numbers, shape, DType::F32, &device)
        };
        let long = 4200;
        let (q, k, v) = (
            of(&[1, 40, 4, 8]),
            of(&[1, long, 2, 8]),
            of(&[1, long, 2, 8]),
        );
        // Forty queries are few: as many as are fused alone.
        let many = q.expand(&[110, 40, 4, 8]);
        let heads = |t: &Tensor| t.permute(&[0, 2, 1, 3]);
        let mask = of(&[1, 1, 40, long]);
        let options = AttentionOptions {
            enable_gqa: true,
            attn_mask: Some(mask.clone()),
            ..AttentionOptions::default()
        };
        let one = heads(&q).scaled_dot_product_attention(&heads(&k), &heads(&v), &options);
        let wide = |t: &Tensor| heads(&t.expand(&[110, long as isize, 2, 8]));
        let all = heads(&many).scaled_dot_product_attention(&wide(&k), &wide(&v), &options);
        let want = values(&one).expect("values");
        let got = values(&all.narrow(0, 109, 1)).expect("values");
        assert_eq!(differs(&got, &want, TOLERANCE), None, "{name}");
    }
}
