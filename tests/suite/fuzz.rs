//! Random calls of the public operations with random, mostly invalid arguments: a clear error or the reference's
//! result, never a panic, a hang or a raw GPU error. Arguments are small numbers, or absurd ones that must be refused
//! before anything is allocated. `WGRAD_TEST_ALL=1` makes 50,000 calls on the cpu and 2,000 on a GPU; how many is printed.
//! `WGRAD_FUZZ_TRACE` names each call before it is made.

mod course;
mod elementwise;
mod layers;
mod linear;
mod losses;
mod parts;
mod picking;
mod sequences;
mod sums;
mod windows;

use crate::support::{Random, all, expected, gpu, values};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::{DType, Device, ErrorKind, GradOptions, Reduction, Tensor, grad_with};

/// A source of arguments.
pub(crate) struct Fuzz {
    rng: Random,
    pool: Vec<Tensor>,
    /// The floats of two bytes in the pool.
    half: DType,
}

/// Makes calls of operations of one kind.
pub(crate) type Call = (&'static str, fn(&mut Fuzz) -> Vec<Tensor>);

/// Tables of calls: a name, then what is called with random arguments.
macro_rules! calls {
    ($($name:literal => |$f:ident| $body:expr;)*) => {
        pub(super) const CALLS: &[super::Call] =
            &[$(($name, |$f| { let out: Vec<wgrad::Tensor> = Vec::from($body); out }),)*];
    };
}
use calls;

fn two(pair: (Tensor, Tensor)) -> Vec<Tensor> {
    vec![pair.0, pair.1]
}

fn every_call() -> Vec<&'static Call> {
    let tables = [
        course::CALLS,
        elementwise::CALLS,
        layers::CALLS,
        linear::CALLS,
        losses::CALLS,
        parts::CALLS,
        picking::CALLS,
        sequences::CALLS,
        sums::CALLS,
        windows::CALLS,
    ];
    tables.iter().flat_map(|table| table.iter()).collect()
}

impl Fuzz {
    fn new(seed: u64, device: &Device) -> Fuzz {
        let mut rng = Random(seed);
        let half = if seed.is_multiple_of(4) {
            DType::BF16
        } else {
            DType::F16
        };
        let shapes: &[&[usize]] = &[
            &[],
            &[1],
            &[4],
            &[0],
            &[3, 4],
            &[4, 3],
            &[2, 3, 4],
            &[1, 2, 5, 5],
            &[2, 4, 6, 6],
            &[2, 0, 3],
            &[3, 2, 3, 3],
            &[4, 1, 3, 3],
        ];
        let mut pool = Vec::new();
        for shape in shapes {
            let n: usize = shape.iter().product();
            let f: Vec<f32> = (0..n).map(|_| rng.uniform(-2.0, 2.0) as f32).collect();
            pool.push(Tensor::from_slice(&f, shape, device));
            pool.push(Tensor::from_slice(&f, shape, device));
            let dtype = [DType::I32, DType::Bool, half, DType::U8, DType::U32][rng.below(5)];
            pool.push(crate::support::tensor(
                &f.iter()
                    .map(|v| f64::from(v.abs() * 2.0))
                    .collect::<Vec<_>>(),
                shape,
                dtype,
                device,
            ));
        }
        Fuzz { rng, pool, half }
    }

    fn t(&mut self) -> Tensor {
        let n = self.rng.below(self.pool.len());
        self.pool[n].clone()
    }

    fn dim(&mut self) -> isize {
        match self.rng.below(20) {
            0 => isize::MAX,
            1 => isize::MIN,
            _ => self.rng.below(9) as isize - 4,
        }
    }

    fn dims(&mut self) -> Vec<isize> {
        (0..self.rng.below(5)).map(|_| self.dim()).collect()
    }

    fn n(&mut self) -> usize {
        match self.rng.below(16) {
            0 => usize::MAX,
            1 => 1 << 31,
            2 => 1 << 62,
            _ => self.rng.below(6),
        }
    }

    fn sizes(&mut self) -> Vec<usize> {
        (0..self.rng.below(5)).map(|_| self.n()).collect()
    }

    fn i(&mut self) -> isize {
        match self.rng.below(16) {
            0 => isize::MAX,
            1 => isize::MIN,
            2 => 1 << 40,
            _ => self.rng.below(11) as isize - 5,
        }
    }

    fn is(&mut self) -> Vec<isize> {
        (0..self.rng.below(6)).map(|_| self.i()).collect()
    }

    fn x(&mut self) -> f64 {
        [
            0.0,
            1.0,
            -1.0,
            0.5,
            2.0,
            1e30,
            -3.7,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ][self.rng.below(10)]
    }

    fn b(&mut self) -> bool {
        self.rng.below(2) == 0
    }

    fn array<const N: usize>(&mut self) -> [usize; N] {
        std::array::from_fn(|_| self.n())
    }

    /// A tensor or none.
    fn maybe(&mut self) -> Option<Tensor> {
        let t = self.t();
        self.b().then_some(t)
    }

    /// Some tensors, at times none.
    fn ts(&mut self) -> Vec<Tensor> {
        (0..self.rng.below(4)).map(|_| self.t()).collect()
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.below(list.len())]
    }

    fn reduction(&mut self) -> Reduction {
        self.one_of(&[
            Reduction::None,
            Reduction::Mean,
            Reduction::Sum,
            Reduction::BatchMean,
        ])
    }

    fn device(&self) -> Device {
        self.pool[0].device().clone()
    }
}

/// Whether the message is one of wgrad's own and says what failed.
fn is_clear(e: &wgrad::Error) -> bool {
    !e.op().is_empty()
        && !e.message().is_empty()
        && e.kind() != ErrorKind::Internal
        && !e.to_string().contains("wgpu")
}

/// Whether the tensor's device and the reference agree: on whether there is a result, and on its elements. The result's
/// presence, or what is wrong.
fn agreed(t: &Tensor, half: DType) -> Result<bool, String> {
    // Random matrices may be as good as singular, where every rounding shows.
    let judged = t.host_steps().is_empty();
    let (got, want) = match (values(t), expected(t)) {
        (Err(e), _) if !is_clear(&e) => return Err(format!("unclear error {e:?}")),
        // The evaluator does not look for bad indices.
        (Err(e), _) if e.kind() == ErrorKind::Index => return Ok(false),
        (Err(_), Err(_)) => return Ok(false),
        (Ok(_), Err(e)) => return Err(format!("of {:?} the reference refuses: {e}", t.shape())),
        (Err(e), Ok(_)) => return Err(format!("{:?} is the reference's result: {e}", t.shape())),
        (Ok(got), Ok(want)) => (got, want.data),
    };
    if got.len() != t.numel() || want.len() != t.numel() {
        let m = format!("{} values, {} of the reference", got.len(), want.len());
        return Err(format!("{m} for shape {:?}", t.shape()));
    }
    let tolerance = match t.dtype() {
        // Operands may have been halves.
        DType::F32 if half == DType::F16 => 1e-2,
        DType::F16 => 3e-2,
        DType::F32 => 8e-2,
        DType::BF16 => 0.25,
        _ => 0.0,
    };
    // Sums of huge terms, integers that wrap, halves that overflow before the end, and the sign of a zero that divides
    // are not judged; nor is NaN on a GPU, whose compiler may assume that there is none.
    let gpu = t.device().to_string().starts_with("gpu");
    let most = if t.dtype() == DType::F16 { 1e4 } else { 1e8 };
    let close = |g: f64, w: f64| {
        g == w
            || (w.is_nan() && (gpu || g.is_nan()))
            || (w.is_infinite() && (g.is_infinite() || most < 1e8))
            || (w.is_finite() && (w.abs() > most || (g - w).abs() <= tolerance * (1.0 + w.abs())))
    };
    match (0..got.len()).find(|&i| judged && !close(got[i], want[i])) {
        Some(i) => Err(format!(
            "{} at {i} of {:?}, not {}",
            got[i],
            t.shape(),
            want[i]
        )),
        None => Ok(true),
    }
}

/// Makes the call, reads its results, and a gradient of the first float among them.
fn attempt(f: &mut Fuzz, call: &Call) -> Result<(usize, usize), String> {
    let (mut fine, mut refused) = (0, 0);
    let pool = f.pool.clone();
    for t in call.1(f) {
        // What is legal but large is not worth computing here.
        if t.check().is_ok() && t.numel() > 20_000 {
            continue;
        }
        match agreed(&t, f.half)? {
            true => fine += 1,
            false => refused += 1,
        }
        if t.check().is_ok() && t.dtype() == DType::F32 && t.numel() > 0 && f.b() {
            let inputs: Vec<&Tensor> = pool.iter().filter(|p| p.dtype() == DType::F32).collect();
            let options = GradOptions {
                allow_unused: true,
                ..Default::default()
            };
            match grad_with(&t.sum(), &inputs, &options) {
                Ok(list) => {
                    for (g, x) in list.iter().zip(&inputs) {
                        agreed(g, f.half)
                            .map_err(|m| format!("gradient for {:?}: {m}", x.shape()))?;
                    }
                }
                Err(e) if !is_clear(&e) => return Err(format!("unclear gradient error: {e:?}")),
                Err(_) => {}
            }
        }
    }
    Ok((fine, refused))
}

/// A number from the environment: `WGRAD_FUZZ_SEED` moves the seeds, `WGRAD_FUZZ_CALLS` sets how many calls are made.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn fuzz(device: &Device, name: &str, calls: usize, seed: u64) {
    let seed = setting("WGRAD_FUZZ_SEED").unwrap_or(0) + seed;
    let calls = setting("WGRAD_FUZZ_CALLS").map_or(calls, |n| n as usize);
    let every = every_call();
    let (mut fine, mut refused, mut failures) = (0, 0, Vec::new());
    for n in 0..calls {
        let mut f = Fuzz::new(seed + n as u64, device);
        let call = every[f.rng.below(every.len())];
        if std::env::var_os("WGRAD_FUZZ_TRACE").is_some() {
            println!("{name} call {n} {}", call.0);
        }
        match catch_unwind(AssertUnwindSafe(|| attempt(&mut f, call))) {
            Ok(Ok((a, b))) => (fine, refused) = (fine + a, refused + b),
            Ok(Err(m)) => failures.push(format!("{name} call {n} {}: {m}", call.0)),
            Err(p) => {
                let text = p
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()));
                failures.push(format!(
                    "{name} call {n} {}: panic {}",
                    call.0,
                    text.unwrap_or_default()
                ));
            }
        }
    }
    println!(
        "{name}: {calls} calls, {fine} results, {refused} refusals, {} failures",
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
    assert!(
        fine > calls / 10 && refused > calls / 10,
        "the arguments are too tame or too wild"
    );
}

#[test]
fn random_calls_on_the_cpu() {
    // A device of its own: the status word is the device's.
    fuzz(
        &Device::cpu_with(&wgrad::Settings::default()),
        "cpu",
        if all() { 50_000 } else { 2_000 },
        1,
    );
}

#[test]
fn random_calls_on_the_gpu() {
    if gpu().is_none() {
        return;
    }
    let Ok(device) = Device::gpu_blocking(None, &wgrad::Settings::default()) else {
        panic!("the adapter is gone")
    };
    fuzz(&device, "gpu", if all() { 2_000 } else { 60 }, 50_000);
}
