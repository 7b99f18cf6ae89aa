//! The programs whose texts are looked at: what models are made of, in f32 and f16, at sizes that choose each kernel. It must
//! not know a kernel.

use wgrad_graph::{
    AttentionOptions, ConvOptions, DType, Device, GradOptions, PoolOptions, Reduction, Tensor,
    grad_with,
};

/// Calls `f` with the name and the results of every program, one at a time.
///
/// # Errors
/// A program that cannot be recorded.
pub fn each(mut f: impl FnMut(&str, &[&Tensor]) -> Result<(), String>) -> Result<(), String> {
    for dtype in [DType::F32, DType::F16] {
        of_dtype(dtype, &mut f)?;
    }
    updates(&mut f)
}

/// The same for the programs whose leaves are of this dtype.
fn of_dtype(dtype: DType, f: &mut Take<'_>) -> Result<(), String> {
    let of = Of { dtype };
    of.products(f)?;
    of.convolutions(f)?;
    of.rows(f)?;
    of.maps(f)?;
    of.attention(f)?;
    of.others(f)
}

type Take<'f> = dyn FnMut(&str, &[&Tensor]) -> Result<(), String> + 'f;

/// Programs of one dtype.
struct Of {
    dtype: DType,
}

impl Of {
    /// A leaf. No program runs, so that it may hold anything that is no constant.
    fn leaf(&self, shape: &[usize]) -> Result<Tensor, String> {
        let n = shape.iter().product();
        let t = Tensor::from_slice(&vec![0.5f32; n], shape, &Device::cpu()).cast(self.dtype);
        t.detach().map_err(|e| e.to_string())
    }

    fn name(&self, name: &str) -> String {
        format!("{name} {}", self.dtype)
    }

    fn run(&self, f: &mut Take<'_>, name: &str, y: &Tensor) -> Result<(), String> {
        f(&self.name(name), &[y])
    }

    /// The result and the gradients of `of` for an upstream gradient.
    fn both(&self, f: &mut Take<'_>, name: &str, y: Tensor, of: &[&Tensor]) -> Result<(), String> {
        let options = GradOptions {
            upstream: Some(self.leaf(y.shape())?.cast(y.dtype())),
            ..GradOptions::default()
        };
        let mut all = grad_with(&y, of, &options).map_err(|e| e.to_string())?;
        all.push(y);
        f(&self.name(name), &all.iter().collect::<Vec<_>>())
    }

    fn products(&self, f: &mut Take<'_>) -> Result<(), String> {
        for n in [256, 512, 1024, 2048, 4096] {
            let (a, b) = (self.leaf(&[n, n])?, self.leaf(&[n, n])?);
            self.run(f, &format!("product nn {n}"), &a.matmul(&b))?;
            self.run(f, &format!("product nt {n}"), &a.matmul(&b.t()))?;
            self.run(f, &format!("product tn {n}"), &a.t().matmul(&b))?;
            self.run(f, &format!("product tt {n}"), &a.t().matmul(&b.t()))?;
        }
        let [x, w] = [&[128, 784], &[256, 784]].map(|s| self.leaf(s));
        let (x, w, b) = (x?, w?, self.leaf(&[256])?);
        let y = x.linear(&w, Some(&b)).relu();
        self.both(f, "linear relu 128x784x256", y, &[&x, &w, &b])?;
        let [x, w] = [&[4096, 1024], &[4096, 1024]].map(|s| self.leaf(s));
        let y = x?.linear(&w?, Some(&self.leaf(&[4096])?)).gelu();
        self.run(f, "linear gelu 4096x1024x4096", &y)?;
        let y = self.leaf(&[1, 4096])?.matmul(&self.leaf(&[4096, 4096])?);
        self.run(f, "row by matrix 4096", &y)
    }

    fn convolutions(&self, f: &mut Take<'_>) -> Result<(), String> {
        // Name, batch, planes in and out, side, taps, padding, stride, groups.
        let cases = [
            ("k3 64", 32, 64, 64, 28, 3, 1, 1, 1),
            ("k3 256", 32, 256, 256, 14, 3, 1, 1, 1),
            ("k1 64-256", 32, 64, 256, 56, 1, 0, 1, 1),
            ("k3 128-256 s2", 32, 128, 256, 28, 3, 1, 2, 1),
            ("k7 3-64 s2", 32, 3, 64, 224, 7, 3, 2, 1),
            ("k3 1-32", 64, 1, 32, 28, 3, 1, 1, 1),
            ("k4 64-128 s2", 64, 64, 128, 14, 4, 1, 2, 1),
            ("depthwise k3", 32, 64, 64, 28, 3, 1, 1, 64),
            ("depthwise k3 s2", 32, 96, 96, 56, 3, 1, 2, 96),
        ];
        for (name, n, from, to, side, taps, padding, stride, groups) in cases {
            let x = self.leaf(&[n, from, side, side])?;
            let w = self.leaf(&[to, from / groups, taps, taps])?;
            let options = ConvOptions::default()
                .padding([padding; 2])
                .stride([stride; 2])
                .groups(groups);
            let y = x.conv2d(&w, None, &options);
            self.both(f, &format!("convolution {name}"), y, &[&x, &w])?;
        }
        let (x, w, b) = (
            self.leaf(&[32, 64, 28, 28])?,
            self.leaf(&[64, 64, 3, 3])?,
            self.leaf(&[64])?,
        );
        let y = x.conv2d(&w, Some(&b), &ConvOptions::default().padding([1; 2]));
        self.run(f, "convolution bias relu", &y.relu())?;
        let y = x.max_pool2d(&PoolOptions::new(2));
        self.both(f, "max pool", y, &[&x])?;
        let y = x.avg_pool2d(&PoolOptions::new(2));
        self.both(f, "mean pool", y, &[&x])
    }

    fn rows(&self, f: &mut Take<'_>) -> Result<(), String> {
        let x = self.leaf(&[4096, 1024])?;
        self.both(f, "softmax 4096x1024", x.softmax(-1), &[&x])?;
        self.both(f, "log softmax 4096x1024", x.log_softmax(-1), &[&x])?;
        let (w, b) = (self.leaf(&[1024])?, self.leaf(&[1024])?);
        let y = x.layer_norm(&[1024], Some(&w), Some(&b), 1e-5);
        self.both(f, "layer norm 4096x1024", y, &[&x, &w, &b])?;
        self.run(f, "softmax 64x128", &self.leaf(&[64, 128])?.softmax(-1))?;
        self.run(f, "softmax 16x50000", &self.leaf(&[16, 50000])?.softmax(-1))?;
        let q = self.leaf(&[4096, 4096])?;
        self.run(f, "sum over rows", &q.sum_dims(&[0], false))?;
        self.run(f, "sum along rows", &q.sum_dims(&[1], false))?;
        self.run(f, "sum of all", &q.sum())?;
        self.run(f, "maximum along rows", &q.amax_dims(&[1], false))?;
        self.run(f, "argmax along rows", &q.argmax(1, false))?;
        self.run(f, "variance along rows", &q.var_dims(&[1], 1.0, false))?;
        self.run(f, "sums so far", &q.cumsum(1))?;
        self.run(f, "sums so far down", &q.cumsum(0))?;
        self.run(f, "logarithms of sums so far", &q.logcumsumexp(1))?;
        self.run(f, "maxima so far", &q.cummax(1))
    }

    fn maps(&self, f: &mut Take<'_>) -> Result<(), String> {
        let q = self.leaf(&[4096, 4096])?;
        self.run(f, "2x + 1 relu", &(&q * 2.0 + 1.0).relu())?;
        self.run(f, "gelu", &q.gelu())?;
        self.run(f, "exp + tanh", &(q.exp() + q.tanh()))?;
        self.run(f, "sin + log", &(q.sin() + q.abs().log()))?;
        self.run(f, "transposed", &(q.t() + 1.0))?;
        let row = self.leaf(&[4096])?;
        self.run(f, "plus a row", &(&q + &row))
    }

    fn attention(&self, f: &mut Take<'_>) -> Result<(), String> {
        let [q, k, v] = [(); 3].map(|()| self.leaf(&[8, 8, 512, 64]));
        let (q, k, v) = (q?, k?, v?);
        let options = AttentionOptions::default();
        let y = q.scaled_dot_product_attention(&k, &v, &options);
        self.both(f, "attention", y, &[&q, &k, &v])?;
        let y = q.scaled_dot_product_attention(&k, &v, &options.is_causal(true));
        self.run(f, "causal attention", &y)?;
        // Scores that are too large to be kept.
        let [q, k, v] = [(); 3].map(|()| self.leaf(&[1, 8, 4096, 64]));
        let (q, k, v) = (q?, k?, v?);
        let y = q.scaled_dot_product_attention(&k, &v, &AttentionOptions::default());
        self.both(f, "long attention", y, &[&q, &k, &v])
    }

    fn others(&self, f: &mut Take<'_>) -> Result<(), String> {
        let numbers = |n: i32, below: i32| {
            let numbers: Vec<i32> = (0..n).map(|i| i * 7919 % below).collect();
            Tensor::from_slice(&numbers, &[n as usize], &Device::cpu())
        };
        let w = self.leaf(&[32000, 512])?;
        let y = numbers(4096, 32000).embedding(&w, None);
        self.both(f, "embedding", y, &[&w])?;
        let short = self.leaf(&[1024, 512])?;
        self.run(f, "short rows sorted", &short.argsort(1, false))?;
        let long = self.leaf(&[4, 100_000])?;
        self.run(f, "long rows sorted", &long.argsort(1, true))?;
        let scores = self.leaf(&[4096, 1000])?;
        let loss = scores.cross_entropy(&numbers(4096, 1000), Reduction::Mean);
        self.both(f, "cross entropy", loss, &[&scores])
    }
}

/// What optimisers do with a parameter, in f32.
fn updates(f: &mut Take<'_>) -> Result<(), String> {
    let of = Of { dtype: DType::F32 };
    let [p, g, m, v] = [(); 4].map(|()| of.leaf(&[256, 784]));
    let (p, g, m, v) = (p?, g?, m?, v?);
    let m1 = &m * 0.9 + &g * 0.1;
    let v1 = &v * 0.999 + g.square() * 0.001;
    let p1 = &p - &m1 * 1e-3 / (v1.sqrt() + 1e-8);
    f("update adam", &[&p1, &m1, &v1])?;
    let m1 = &m * 0.9 + &g;
    f("update momentum", &[&(&p - &m1 * 0.01), &m1])?;
    let v1 = &v * 0.99 + g.square() * 0.01;
    f(
        "update rmsprop",
        &[&(&p - &g * 0.01 / (v1.sqrt() + 1e-8)), &v1],
    )
}

#[cfg(test)]
mod tests {
    use super::of_dtype;
    use std::collections::BTreeMap;
    use wgrad_graph::{DType, planning};
    use wgrad_plan::DeviceClass;

    /// Dispatches of each program on devices of a class.
    fn dispatches(dtype: DType, class: DeviceClass) -> BTreeMap<String, Vec<&'static str>> {
        let mut all = BTreeMap::new();
        let counted = of_dtype(dtype, &mut |name, results| {
            let plan = planning::planned_for_gpu(results, wgrad_gpu::config(class).epilogues);
            let texts = wgrad_gpu::texts(&plan, class).map_err(|e| e.to_string())?;
            let name = name.trim_end_matches(&dtype.to_string()).to_owned();
            all.insert(name, texts.iter().map(|text| text.label).collect());
            Ok(())
        });
        counted.expect("programs");
        all
    }

    #[test]
    fn floats_of_two_bytes_take_no_dispatch_more() {
        let mut more = Vec::new();
        for class in [DeviceClass::Discrete, DeviceClass::Software] {
            let of_f32 = dispatches(DType::F32, class);
            for dtype in [DType::F16, DType::BF16] {
                for (name, labels) in dispatches(dtype, class) {
                    // On a software adapter a thread would have to round too many lines of a table: a pass does.
                    if class == DeviceClass::Software && name.starts_with("embedding") {
                        continue;
                    }
                    // Attention reads and writes f32. Where two operations stand before what is repeated, as for a mean of
                    // two bytes, their result is stored, of the pooled size.
                    if name.starts_with("long attention") || name.starts_with("mean pool") {
                        continue;
                    }
                    let before = &of_f32[&name];
                    if labels.len() > before.len() {
                        more.push(format!(
                            "{name}{dtype} {class:?}: {labels:?}, not {before:?}"
                        ));
                    }
                }
            }
        }
        assert!(
            more.is_empty(),
            "{} take more:\n{}",
            more.len(),
            more.join("\n")
        );
    }
}
