//! How the time of each pass grows: programs of one form at two sizes, and random graphs. A pass that looks through all
//! steps for each step takes sixteen times as long for four times as much.

use super::tests::{LIMITS, tensor};
use super::{Limits, collect, plan_replacing, timed};
use crate::{ConvOptions, Tensor, grad};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

thread_local! {
    static TOOK: RefCell<BTreeMap<&'static str, Duration>> = const { RefCell::new(BTreeMap::new()) };
}

/// Now, and how long this thread has been on a processor, which the system tells to a few milliseconds.
pub(super) struct Clock {
    now: Instant,
    busy: Option<Duration>,
}

pub(super) fn clock() -> Clock {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanos = stat
        .ok()
        .and_then(|s| s.split_whitespace().next()?.parse().ok());
    Clock {
        now: Instant::now(),
        busy: nanos.map(Duration::from_nanos),
    }
}

/// How exact the system's time is.
const TICK: Duration = Duration::from_millis(4);

/// A pass has ended. Time in which others had the processor does not count, where it is known.
pub(super) fn took(name: &'static str, began: Clock) {
    let ended = clock();
    let passed = ended.now.duration_since(began.now);
    let busy = ended.busy.zip(began.busy);
    let length = busy.map_or(passed, |(ended, began)| {
        passed.min(ended.saturating_sub(began) + TICK)
    });
    TOOK.with_borrow_mut(|took| *took.entry(name).or_default() += length);
}

/// What a program gives, and the leaves that results may take the place of.
type Program = (Vec<Tensor>, Vec<Option<Tensor>>);

/// The least time of each pass over a few runs.
fn times(program: &Program, limits: &Limits) -> BTreeMap<&'static str, Duration> {
    let mut least: BTreeMap<&'static str, Duration> = BTreeMap::new();
    for _ in 0..3 {
        TOOK.with_borrow_mut(BTreeMap::clear);
        let results: Vec<&Tensor> = program.0.iter().collect();
        let collected = timed("collect", || collect(&results));
        let leaf = |t: &Tensor| collected.leaves.iter().position(|l| l.tensor.same(t));
        let replaced = program.1.iter().map(|t| t.as_ref().and_then(leaf));
        let replaced: Vec<Option<usize>> = replaced.collect();
        let graph = timed("graph", || collected.graph());
        assert!(timed("matches", || collected.matches(&graph)));
        let plan = plan_replacing(&graph, &replaced, limits);
        #[cfg(feature = "cpu")]
        timed("prepare", || wgrad_cpu::Prepared::new(&plan));
        timed("text", || {
            super::plan_text(&plan).len() + super::graph_text(&graph).len()
        });
        TOOK.with_borrow(|took| {
            for (&name, &time) in took {
                let least = least.entry(name).or_insert(time);
                *least = time.min(*least);
            }
        });
    }
    least
}

/// Fails if some pass takes much more than four times as long for four times as much.
fn in_proportion(what: &str, n: usize, program: impl Fn(usize) -> Program) {
    let card = Limits {
        max_inputs: 6,
        host: false,
        epilogues: true,
        ..LIMITS
    };
    for limits in [LIMITS, card] {
        let [short, long] = [n, 4 * n].map(|n| times(&program(n), &limits));
        for (pass, &time) in &long {
            let before = short.get(pass).copied().unwrap_or_default();
            // What takes next to nothing is not worth a ratio.
            let most = 9 * before + 4 * TICK;
            assert!(
                time <= most,
                "{what}: {pass} takes {before:?} for {n} and {time:?} for four times as many\n{short:?}\n{long:?}"
            );
        }
    }
}

fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 18);
    if let Err(panic) = thread.spawn(f).expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

fn results(list: Vec<Tensor>) -> Program {
    (list, Vec::new())
}

#[test]
fn element_wise_work_in_any_form() {
    on_small_stack(|| {
        let (x, a) = (tensor(&[6, 8]), tensor(&[6, 8]));
        in_proportion("a chain", 4000, |n| {
            results(vec![(0..n).fold(x.clone(), |t, _| t * &a + 0.5)])
        });
        in_proportion("a chain whose every part is a result", 500, |n| {
            let mut t = x.clone();
            results(
                (0..n)
                    .map(|_| {
                        t = (&t * &a).tanh() + 0.5;
                        t.clone()
                    })
                    .collect(),
            )
        });
        in_proportion("everything twice", 1000, |n| {
            results(vec![(0..n).fold(x.clone(), |t, _| &t * t.sigmoid())])
        });
        in_proportion("a sum of many leaves", 3000, |n| {
            let terms = (0..n).map(|_| tensor(&[6, 8]));
            results(terms.reduce(|a, b| a + b).into_iter().collect())
        });
        in_proportion("one operand of many", 3000, |n| {
            let y = x.exp();
            results((0..n).map(|i| &y * (i as f64) + &a).collect())
        });
        in_proportion("a chain and its gradient", 500, |n| {
            let y = (0..n).fold(x.clone(), |t, _| (t * &a).tanh() + 0.5);
            results(grad(&y.sum(), &[&x, &a]).expect("gradients"))
        });
    });
}

#[test]
fn views_in_any_form() {
    on_small_stack(|| {
        let x = tensor(&[6, 8]);
        in_proportion("views of views", 2000, |n| {
            results(vec![(0..n).fold(x.clone(), |y, i| match i % 3 {
                0 => y.t(),
                1 => y.flip(&[0]),
                _ => y.reshape(&[8, 6]),
            })])
        });
        in_proportion("views between additions", 1000, |n| {
            results(vec![(0..n).fold(x.clone(), |y, i| match i % 2 {
                0 => y.t() + 0.5,
                _ => y.reshape(&[6, 8]) * 0.5,
            })])
        });
        in_proportion("what is left of a list, and its head", 1000, |n| {
            let mut list = tensor(&[n + 1, 4]);
            let w = tensor(&[4, 4]);
            let mut sum = tensor(&[1, 4]);
            for _ in 0..n {
                sum = (sum + list.narrow(0, 0, 1)).matmul(&w);
                list = list.narrow(0, 1, list.size(0) - 1);
            }
            results(vec![sum])
        });
        in_proportion("a concatenation of many, read in parts", 1000, |n| {
            let parts: Vec<Tensor> = (0..n).map(|i| &x * (1.0 + i as f64)).collect();
            let whole = Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0).tanh();
            let again: Vec<Tensor> = (0..n).map(|i| whole.narrow(0, 6 * i, 6).exp()).collect();
            results(vec![Tensor::cat(&again.iter().collect::<Vec<_>>(), 0)])
        });
    });
}

#[test]
fn products_and_convolutions_in_a_row() {
    on_small_stack(|| {
        let (x, w) = (tensor(&[6, 8]), tensor(&[8, 8]));
        in_proportion("products", 600, |n| {
            results(vec![(0..n).fold(x.clone(), |y, _| y.matmul(&w))])
        });
        in_proportion("layers and their gradients", 250, |n| {
            let layers: Vec<Tensor> = (0..n).map(|_| tensor(&[8, 8])).collect();
            let y = layers.iter().fold(x.clone(), |y, w| y.matmul(w).tanh());
            let list = grad(&y.square().sum(), &layers.iter().collect::<Vec<_>>());
            let list = list.expect("gradients");
            let new = layers.iter().zip(&list).map(|(w, g)| w - g * 0.1).collect();
            (new, layers.into_iter().map(Some).collect())
        });
        in_proportion("batched products and softmax", 100, |n| {
            let k = tensor(&[16, 8, 8]);
            let y = (0..n).fold(tensor(&[16, 8, 8]), |y, _| y.matmul(&k).softmax(-1));
            results(vec![y])
        });
        in_proportion("convolutions and their gradients", 50, |n| {
            let layers: Vec<Tensor> = (0..n).map(|_| tensor(&[3, 3, 3, 3])).collect();
            let options = ConvOptions::default().padding([1, 1]);
            let y = layers.iter().fold(tensor(&[16, 3, 5, 5]), |y, w| {
                y.conv2d(w, None, &options).relu()
            });
            results(grad(&y.square().sum(), &layers.iter().collect::<Vec<_>>()).expect("gradients"))
        });
    });
}

/// A recurrent layer with gates, its states kept and read by a second one that runs the other way.
fn recurrence(steps: usize) -> Program {
    let (x, h0) = (tensor(&[steps, 4, 8]), tensor(&[4, 8]));
    let weights: Vec<Tensor> = (0..4).map(|_| tensor(&[8, 32])).collect();
    let layer = |products: &Tensor, w: &Tensor, back: bool| {
        let (mut h, mut c) = (h0.clone(), h0.clone());
        let mut all = Vec::new();
        for i in 0..steps {
            let at = if back { steps - 1 - i } else { i };
            let gates = products.narrow(0, at, 1).squeeze(0) + h.matmul(w);
            let gate = |i: usize| gates.narrow(1, 8 * i, 8);
            c = gate(1).sigmoid() * c + gate(0).sigmoid() * gate(2).tanh();
            h = gate(3).sigmoid() * c.tanh();
            all.push(h.clone());
        }
        if back {
            all.reverse();
        }
        Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
    };
    let y = layer(&x.matmul(&weights[0]), &weights[1], false);
    let y = layer(&y.matmul(&weights[2]), &weights[3], true);
    let list = grad(&y.square().mean(), &weights.iter().collect::<Vec<_>>()).expect("gradients");
    let new = weights
        .iter()
        .zip(&list)
        .map(|(w, g)| w - g * 0.1)
        .collect();
    (new, weights.into_iter().map(Some).collect())
}

#[test]
fn recurrent_layers_one_after_the_other() {
    on_small_stack(|| in_proportion("two recurrent layers", 100, recurrence));
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// A graph of `n` operations on `[8, 8]`, each on operands among the last `reach` ones.
fn random(n: usize, seed: u64, reach: usize) -> Program {
    let mut dice = Dice(seed);
    let mut pool: Vec<Tensor> = (0..4).map(|_| tensor(&[8, 8])).collect();
    let index = Tensor::new(&[3i32, 1, 7, 0, 2, 2, 5, 6], pool[0].device());
    let w = pool[0].clone();
    for _ in 0..n {
        let mut pick = || {
            let back = dice.roll(reach.min(pool.len()));
            pool[pool.len() - 1 - back].clone()
        };
        let (a, b) = (pick(), pick());
        pool.push(match dice.roll(16) {
            0 => a.tanh(),
            1 => a.sigmoid() * 0.5,
            2 => a * b,
            3 | 4 => a + b,
            5 => a.maximum(&b),
            6 => a.t(),
            7 => a.reshape(&[4, 16]).t().reshape(&[8, 8]),
            8 => a.flip(&[1]),
            9 => Tensor::cat(&[&a.narrow(0, 0, 3), &b.narrow(0, 2, 5)], 0),
            10 => a.sum_dims(&[1], true).expand(&[8, 8]) * 0.1,
            11 => a.matmul(&w) * 0.1,
            12 => a.index_select(0, &index),
            13 => a.softmax(-1),
            14 => a.cumsum(0) * 0.1,
            _ => (a - &w).square() * 0.1,
        });
    }
    let mut list: Vec<Tensor> = (0..8)
        .map(|_| pool[dice.roll(pool.len())].clone())
        .collect();
    list.extend(pool.pop());
    results(list)
}

#[test]
fn random_graphs() {
    on_small_stack(|| {
        for seed in 1..4 {
            for reach in [4, 40, usize::MAX] {
                let what = format!("random graph {seed} with operands among {reach}");
                in_proportion(&what, 600, |n| random(n, seed, reach));
            }
        }
    });
}
