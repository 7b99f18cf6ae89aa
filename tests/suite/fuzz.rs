//! Random calls of the public operations with random, mostly invalid arguments: a clear error or a result, never a
//! panic, a hang or a raw GPU error. Arguments are small numbers, or absurd ones that must be refused before anything
//! is allocated.

use crate::support::{Random, all, gpu, values};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::{
    ConvOptions, DType, Device, ErrorKind, GradOptions, PadMode, PoolOptions, Reduction, Tensor,
    grad_with,
};

struct Fuzz {
    rng: Random,
    pool: Vec<Tensor>,
}

impl Fuzz {
    fn new(seed: u64, device: &Device) -> Fuzz {
        let mut rng = Random(seed);
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
            let dtype = [DType::I32, DType::Bool, DType::F16, DType::U8, DType::U32][rng.below(5)];
            pool.push(crate::support::tensor(
                &f.iter()
                    .map(|v| f64::from(v.abs() * 2.0))
                    .collect::<Vec<_>>(),
                shape,
                dtype,
                device,
            ));
        }
        Fuzz { rng, pool }
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

    fn pair(&mut self) -> [usize; 2] {
        [self.n(), self.n()]
    }
}

type Call = (&'static str, fn(&mut Fuzz) -> Vec<Tensor>);

macro_rules! calls {
    ($($name:literal => |$f:ident| $body:expr;)*) => {
        const CALLS: &[Call] = &[$(($name, |$f| { let out: Vec<Tensor> = Vec::from($body); out }),)*];
    };
}

fn two(pair: (Tensor, Tensor)) -> Vec<Tensor> {
    vec![pair.0, pair.1]
}

calls! {
    "add" => |f| [f.t().add(&f.t())];
    "sub" => |f| [f.t().sub(&f.t())];
    "mul" => |f| [f.t().mul(&f.t())];
    "div" => |f| [f.t().div(&f.t())];
    "pow" => |f| [f.t().pow(&f.t())];
    "fmod" => |f| [f.t().fmod(&f.t())];
    "remainder" => |f| [f.t().remainder(&f.t())];
    "floor_divide" => |f| [f.t().floor_divide(&f.t())];
    "maximum" => |f| [f.t().maximum(&f.t())];
    "atan2" => |f| [f.t().atan2(&f.t())];
    "eq" => |f| [f.t().eq(&f.t())];
    "lt" => |f| [f.t().lt(&f.t())];
    "where" => |f| [Tensor::where_(&f.t(), &f.t(), &f.t())];
    "scalars" => |f| { let x = f.x(); [f.t() * x, f.t() + x, f.t() / x] };
    "unary" => |f| { let t = f.t(); [t.exp(), t.log(), t.sqrt(), t.tanh(), t.abs(), t.floor(), t.erf(), t.logical_not(), t.isnan()] };
    "activation" => |f| { let t = f.t(); [t.relu(), t.sigmoid(), t.gelu(), t.silu(), t.softplus(), t.elu(f.x()), t.glu(f.dim())] };
    "clamp" => |f| [f.t().clamp(f.x(), f.x())];
    "cast" => |f| DType::ALL.map(|d| f.t().cast(d));
    "sum" => |f| [f.t().sum_dims(&f.dims(), f.b())];
    "mean" => |f| [f.t().mean_dims(&f.dims(), f.b())];
    "var" => |f| [f.t().var_dims(&f.dims(), f.n(), f.b())];
    "prod" => |f| [f.t().prod_dims(&f.dims(), f.b())];
    "amax" => |f| [f.t().amax_dims(&f.dims(), f.b())];
    "amin" => |f| [f.t().amin_dims(&f.dims(), f.b())];
    "argmax" => |f| [f.t().argmax(f.dim(), f.b())];
    "any" => |f| [f.t().any_dims(&f.dims(), f.b())];
    "logsumexp" => |f| [f.t().logsumexp(f.dim(), f.b())];
    "vector_norm" => |f| [f.t().vector_norm(f.x(), &f.dims(), f.b())];
    "cumsum" => |f| [f.t().cumsum(f.dim())];
    "cumprod" => |f| [f.t().cumprod(f.dim())];
    "logcumsumexp" => |f| [f.t().logcumsumexp(f.dim())];
    "softmax" => |f| [f.t().softmax(f.dim()), f.t().log_softmax(f.dim())];
    "reshape" => |f| [f.t().reshape(&f.is())];
    "flatten" => |f| [f.t().flatten(f.dim(), f.dim())];
    "permute" => |f| [f.t().permute(&f.dims())];
    "transpose" => |f| [f.t().transpose(f.dim(), f.dim())];
    "broadcast_to" => |f| [f.t().broadcast_to(&f.sizes())];
    "expand" => |f| [f.t().expand(&f.is())];
    "unsqueeze" => |f| [f.t().unsqueeze(f.dim()), f.t().squeeze(f.dim())];
    "narrow" => |f| [f.t().narrow(f.dim(), f.n(), f.n())];
    "select" => |f| [f.t().select(f.dim(), f.i())];
    "flip" => |f| [f.t().flip(&f.dims())];
    "roll" => |f| [f.t().roll(&f.is(), &f.dims())];
    "repeat" => |f| [f.t().repeat(&f.sizes())];
    "tril" => |f| [f.t().tril(f.i()), f.t().triu(f.i())];
    "diagonal" => |f| [f.t().diagonal(f.i(), f.dim(), f.dim()), f.t().diag_embed(f.i(), f.dim(), f.dim())];
    "chunk" => |f| f.t().chunk(f.n(), f.dim());
    "split" => |f| f.t().split(&f.sizes(), f.dim());
    "cat" => |f| [Tensor::cat(&[&f.t(), &f.t()], f.dim()), Tensor::cat(&[], f.dim())];
    "stack" => |f| [Tensor::stack(&[&f.t(), &f.t()], f.dim())];
    "pad" => |f| {
        let mode = [PadMode::Constant(f.x()), PadMode::Reflect, PadMode::Replicate, PadMode::Circular][f.rng.below(4)];
        [f.t().pad(&f.is(), mode)]
    };
    "gather" => |f| [f.t().gather(f.dim(), &f.t())];
    "index_select" => |f| [f.t().index_select(f.dim(), &f.t())];
    "scatter_add" => |f| [f.t().scatter_add(f.dim(), &f.t(), &f.t())];
    "take_along_dim" => |f| [f.t().take_along_dim(&f.t(), f.dim())];
    "one_hot" => |f| [f.t().one_hot(f.n())];
    "embedding" => |f| [f.t().embedding(&f.t(), Some(f.i()))];
    "sort" => |f| two(f.t().sort(f.dim(), f.b()));
    "topk" => |f| two(f.t().topk(f.n(), f.dim(), f.b()));
    "matmul" => |f| [f.t().matmul(&f.t()), f.t().bmm(&f.t()), f.t().mv(&f.t()), f.t().outer(&f.t())];
    "linear" => |f| [f.t().linear(&f.t(), Some(&f.t()))];
    "einsum" => |f| {
        let text = ["ij,jk->ik", "ii->i", "...i,i->...", "ab,bc,cd->ad", "i,,j", "->", "ij->kj", "i j , j", "...->...", "aab->b"][f.rng.below(10)];
        [Tensor::einsum(text, &[&f.t(), &f.t()]), Tensor::einsum(text, &[&f.t()])]
    };
    "conv2d" => |f| {
        let options = ConvOptions::default().stride(f.pair()).padding(f.pair()).dilation(f.pair()).groups(f.n());
        [f.t().conv2d(&f.t(), Some(&f.t()), &options), f.t().conv2d(&f.t(), None, &ConvOptions::default().padding([1, 1]))]
    };
    "conv1d" => |f| [f.t().conv1d(&f.t(), None, &ConvOptions::default().stride([f.n()]).padding([f.n()]))];
    "max_pool2d" => |f| [f.t().max_pool2d(&PoolOptions::windows(f.pair()).stride(f.pair()).padding(f.pair()))];
    "avg_pool2d" => |f| [f.t().avg_pool2d(&PoolOptions::windows(f.pair()).stride(f.pair()).padding(f.pair()))];
    "pixel_shuffle" => |f| [f.t().pixel_shuffle(f.n()), f.t().pixel_unshuffle(f.n())];
    "layer_norm" => |f| [f.t().rms_norm(&f.sizes(), Some(&f.t()), f.x())];
    "mse_loss" => |f| [f.t().mse_loss(&f.t(), Reduction::Mean), f.t().mse_loss(&f.t(), Reduction::None)];
    "cross_entropy" => |f| [f.t().cross_entropy(&f.t(), Reduction::Mean)];
    "nll_loss" => |f| [f.t().nll_loss(&f.t(), Reduction::Sum)];
    "full" => |f| { let d = f.pool[0].device().clone(); [Tensor::full(&f.sizes(), f.x(), DType::F32, &d)] };
    "from_slice" => |f| { let d = f.pool[0].device().clone(); [Tensor::from_slice(&[1.0f32, 2.0], &f.sizes(), &d)] };
}

/// Whether the message is one of wgrad's own and says what failed.
fn is_clear(e: &wgrad::Error) -> bool {
    !e.op().is_empty()
        && !e.message().is_empty()
        && e.kind() != ErrorKind::Internal
        && !e.to_string().contains("wgpu")
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
        match values(&t) {
            Ok(v) if v.len() == t.numel() => fine += 1,
            Ok(v) => return Err(format!("{} values for shape {:?}", v.len(), t.shape())),
            Err(e) if is_clear(&e) => refused += 1,
            Err(e) => return Err(format!("unclear error {e:?}")),
        }
        if t.check().is_ok() && t.dtype() == DType::F32 && t.numel() > 0 && f.b() {
            let inputs: Vec<&Tensor> = pool.iter().filter(|p| p.dtype() == DType::F32).collect();
            let options = GradOptions {
                allow_unused: true,
                ..Default::default()
            };
            match grad_with(&t.sum(), &inputs, &options)
                .and_then(|g| wgrad::eval(&g.iter().collect::<Vec<_>>()))
            {
                Err(e) if !is_clear(&e) => {
                    return Err(format!("unclear error of the gradient: {e:?}"));
                }
                _ => {}
            }
        }
    }
    Ok((fine, refused))
}

fn fuzz(device: &Device, name: &str, calls: usize, seed: u64) {
    let (mut fine, mut refused, mut failures) = (0, 0, Vec::new());
    for n in 0..calls {
        let mut f = Fuzz::new(seed + n as u64, device);
        let call = &CALLS[f.rng.below(CALLS.len())];
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
        if all() { 10_000 } else { 2_000 },
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
    fuzz(&device, "gpu", if all() { 500 } else { 60 }, 50_000);
}
