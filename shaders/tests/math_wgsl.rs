//! The WGSL elementary functions, run on whatever adapter is there, against their Rust twins.
//!
//! The twins are accurate (`math.rs`), so a bound on the distance between the two bounds the error on
//! the device. A device may flush subnormals: where the argument or the result is one, zero stands for it.
//! With `WGRAD_REQUIRE_GPU=1` a machine without an adapter fails; without it each test says that it was
//! skipped.

use wgrad_plan::math;

use std::sync::OnceLock;

use wgrad_device::{Error, Gpu, KernelSource, OpenOptions};
use wgrad_shaders::math::prelude;

fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || {
        let options = OpenOptions {
            allow_software: true,
            ..OpenOptions::default()
        };
        match Gpu::open_blocking(options) {
            Ok(gpu) => Some(gpu),
            Err(error @ Error::NoAdapter { .. }) => {
                let required = std::env::var_os("WGRAD_REQUIRE_GPU").is_some_and(|v| v == "1");
                assert!(!required, "WGRAD_REQUIRE_GPU=1, but {error}");
                println!("skipped: no adapter");
                None
            }
            Err(error) => panic!("{error}"),
        }
    };
    GPU.get_or_init(open).as_ref()
}

/// Runs `out_z[ix] = <expression of a and b, both f32>` over two slices of patterns.
fn run(gpu: &Gpu, function: &str, expression: &str, a: &[u32], b: &[u32]) -> Vec<u32> {
    let functions = prelude(&[function]).expect("a known function");
    let source = format!(
        "{functions}
        @group(0) @binding(0) var<storage, read> in_a: array<u32>;
        @group(0) @binding(1) var<storage, read> in_b: array<u32>;
        @group(0) @binding(2) var<storage, read_write> out_z: array<u32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {{
            let ix = id.x;
            if ix >= arrayLength(&in_a) {{ return; }}
            let a = bitcast<f32>(in_a[ix]);
            let b = bitcast<f32>(in_b[ix]);
            out_z[ix] = {expression};
        }}"
    );
    let kernel = gpu
        .kernel(KernelSource::new(function, &source))
        .expect("a valid kernel");
    let (x, y) = (
        gpu.buffer_from(a).expect("room"),
        gpu.buffer_from(b).expect("room"),
    );
    let z = gpu.zeros::<u32>(a.len()).expect("room");
    let groups = a.len().div_ceil(64) as u32;
    gpu.run(&kernel, &[&x, &y, &z], [groups, 1, 1])
        .expect("a run");
    z.read_blocking().expect("a result")
}

/// Every exponent and many significands, the range that networks use, and special values.
fn patterns() -> Vec<f32> {
    let special = [
        0.0,
        1.0,
        0.5,
        2.0,
        3.0,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    let special = special.into_iter().flat_map(|x: f32| [x, -x]);
    let dense = (-16_000..16_000).map(|i| i as f32 / 1600.0);
    let wide = (0..=u32::MAX).step_by(131_071).map(f32::from_bits);
    special.chain(dense).chain(wide).collect()
}

fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// Distance in representable numbers, subnormals counted as zero.
fn distance(got: f32, want: f32) -> u32 {
    let (got, want) = (flushed(got), flushed(want));
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() {
            0
        } else {
            u32::MAX
        };
    }
    let edge = |x: f32| x.abs() <= f32::MIN_POSITIVE * 1.000_01;
    if got == want || edge(got) && edge(want) {
        return 0;
    }
    let place = |x: f32| {
        let b = x.to_bits() as i32;
        if b < 0 {
            i64::from(i32::MIN) - i64::from(b)
        } else {
            i64::from(b)
        }
    };
    (place(got) - place(want))
        .unsigned_abs()
        .min(u64::from(u32::MAX)) as u32
}

#[derive(Default)]
struct Tally {
    worst: u32,
    at: (f32, f32),
    got: f32,
    want: f32,
    same: usize,
    n: usize,
}

impl Tally {
    fn add(&mut self, at: (f32, f32), got: f32, want: [f32; 2]) {
        let d = want
            .map(|w| distance(got, w))
            .into_iter()
            .min()
            .unwrap_or(0);
        self.n += 1;
        self.same += usize::from(d == 0);
        if d > self.worst {
            (self.worst, self.at, self.got, self.want) = (d, at, got, want[0]);
        }
    }

    fn check(&self, name: &str, limit: u32) {
        let Self {
            worst,
            at,
            got,
            want,
            same,
            n,
        } = self;
        println!(
            "{name:12} {worst} apart at {at:?}, {:.4} equal",
            *same as f64 / *n as f64
        );
        assert!(
            *worst <= limit,
            "{name}{at:?}: {got:e} is {worst} from {want:e}"
        );
    }
}

fn unary(name: &str, limit: u32, twin: fn(f32) -> f32) {
    let Some(gpu) = gpu() else { return };
    let x = patterns();
    let a: Vec<u32> = x.iter().map(|x| x.to_bits()).collect();
    let z = run(gpu, name, &format!("bitcast<u32>({name}(a))"), &a, &a);
    let mut tally = Tally::default();
    for (&x, z) in x.iter().zip(z) {
        tally.add((x, x), f32::from_bits(z), [twin(x), twin(flushed(x))]);
    }
    tally.check(name, limit);
}

/// Pairs of all special values, of the range that networks use, and of arbitrary patterns.
fn pairs() -> Vec<(f32, f32)> {
    let edge = [
        0.0,
        1.0,
        0.5,
        2.0,
        3.0,
        16_777_217.0,
        f32::INFINITY,
        f32::NAN,
    ];
    let edge: Vec<f32> = edge.into_iter().flat_map(|x: f32| [x, -x]).collect();
    let mut pairs: Vec<_> = edge
        .iter()
        .flat_map(|&x| edge.iter().map(move |&y| (x, y)))
        .collect();
    for i in 0..60_000 {
        let [a, b, c, d] = math::philox4x32_10([i, 0, 0, 0], [3, 4]);
        let unit = |w: u32| (w >> 8) as f32 / 8_388_608.0;
        pairs.push(match d % 3 {
            0 => (f32::from_bits(a), f32::from_bits(b)),
            1 => (unit(a) * 10.0 - 5.0, (unit(b) * 20.0 - 10.0).round()),
            _ => (unit(a) * 4.0, unit(b) * 40.0 - 40.0 * unit(c)),
        });
    }
    pairs
}

fn binary(name: &str, limit: u32, twin: fn(f32, f32) -> f32) {
    let Some(gpu) = gpu() else { return };
    let pairs = pairs();
    let (a, b): (Vec<u32>, Vec<u32>) = pairs
        .iter()
        .map(|(x, y)| (x.to_bits(), y.to_bits()))
        .unzip();
    let z = run(gpu, name, &format!("bitcast<u32>({name}(a, b))"), &a, &b);
    let mut tally = Tally::default();
    for ((x, y), z) in pairs.into_iter().zip(z) {
        tally.add(
            (x, y),
            f32::from_bits(z),
            [twin(x, y), twin(flushed(x), flushed(y))],
        );
    }
    tally.check(name, limit);
}

#[test]
fn exponentials_and_logarithms() {
    unary("w_exp", 1, math::exp);
    unary("w_exp2", 1, math::exp2);
    unary("w_expm1", 2, math::expm1);
    unary("w_log", 1, math::log);
    unary("w_log1p", 2, math::log1p);
    unary("w_log2", 2, math::log2);
    unary("w_log10", 2, math::log10);
}

#[test]
fn circular_functions() {
    unary("w_sin", 2, math::sin);
    unary("w_cos", 2, math::cos);
    unary("w_tan", 5, math::tan);
    unary("w_atan", 3, math::atan);
    unary("w_asin", 3, math::asin);
    unary("w_acos", 3, math::acos);
    binary("w_atan2", 3, math::atan2);
}

#[test]
fn hyperbolic_functions() {
    unary("w_tanh", 3, math::tanh);
    unary("w_sinh", 3, math::sinh);
    unary("w_cosh", 3, math::cosh);
    unary("w_asinh", 4, math::asinh);
    unary("w_acosh", 4, math::acosh);
    unary("w_atanh", 4, math::atanh);
}

#[test]
fn error_functions_and_powers() {
    unary("w_erf", 2, math::erf);
    unary("w_erfc", 4, math::erfc);
    unary("w_gelu", 300, math::gelu);
    binary("w_pow", 4, math::pow);
    unary("w_sqrt", 3, math::sqrt);
    unary("w_rsqrt", 4, math::rsqrt);
    unary("w_recip", 3, math::recip);
}

#[test]
fn gamma_functions() {
    let Some(gpu) = gpu() else { return };
    let x: Vec<f32> = patterns()
        .into_iter()
        .filter(|x| flushed(*x) == *x)
        .collect();
    let a: Vec<u32> = x.iter().map(|x| x.to_bits()).collect();
    for (name, twin) in [
        ("w_lgamma", math::lgamma as fn(f32) -> f32),
        ("w_digamma", math::digamma),
        ("w_polygamma(1.0, ", |x| math::polygamma(1.0, x)),
        ("w_polygamma(2.0, ", |x| math::polygamma(2.0, x)),
        ("w_erfinv", math::erfinv),
    ] {
        // The name, with an open argument list or without.
        let call = if name.ends_with(' ') {
            name.to_string()
        } else {
            format!("{name}(")
        };
        let function = name.split('(').next().unwrap_or(name);
        let z = run(gpu, function, &format!("bitcast<u32>({call}a))"), &a, &a);
        let (mut worst, mut at) = (0.0, 0.0);
        for (&x, z) in x.iter().zip(z) {
            let (got, want) = (f64::from(f32::from_bits(z)), f64::from(twin(x)));
            if got == want || got.is_nan() && want.is_nan() {
                continue;
            }
            let e = (got - want).abs() / want.abs().max(if x > 0.0 { 1e-30 } else { 1.0 });
            if e.is_nan() || e > worst {
                (worst, at) = (e, x);
            }
        }
        println!("{name} {worst:e} at {at}");
        assert!(worst < 3e-6, "{name}({at}): relative distance {worst:e}");
    }
}

#[test]
fn what_is_exact_is_exact() {
    for (name, twin) in [
        ("w_round", math::round as fn(f32) -> f32),
        ("w_floor", math::floor),
        ("w_ceil", math::ceil),
        ("w_trunc", math::trunc),
    ] {
        unary(name, 0, twin);
    }
    binary("w_max", 0, math::max);
    binary("w_min", 0, math::min);
    binary("w_fmod", 0, math::fmod);
    binary("w_remainder", 0, math::remainder);
}

#[test]
fn half_precision_conversions_are_exact() {
    let Some(gpu) = gpu() else { return };
    let halves: Vec<u32> = (0..0x1_0000).collect();
    let z = run(
        gpu,
        "w_f16_to_f32",
        "bitcast<u32>(w_f16_to_f32(in_a[ix]))",
        &halves,
        &halves,
    );
    let nan = |x: u32| x & 0x7fff_ffff > 0x7f80_0000;
    for (&h, &z) in halves.iter().zip(&z) {
        let want = math::f16_to_f32(h as u16).to_bits();
        assert!(z == want || nan(z) && nan(want), "{h:x}: {z:x}");
    }
    let call = "bitcast<u32>(w_f16_high_to_f32((in_a[ix] << 16u) | 0x5a5au))";
    let high = run(gpu, "w_f16_high_to_f32", call, &halves, &halves);
    assert_eq!(high, z);
    let near = z.iter().flat_map(|&b| {
        [
            b,
            b.wrapping_add(0x0fff),
            b.wrapping_add(0x1000),
            b.wrapping_add(0x1001),
        ]
    });
    let a: Vec<u32> = near.chain(patterns().iter().map(|x| x.to_bits())).collect();
    let z = run(
        gpu,
        "w_f16_from_f32",
        "w_f16_from_f32(bitcast<f32>(in_a[ix]))",
        &a,
        &a,
    );
    for (&a, z) in a.iter().zip(z) {
        let want = u32::from(math::f16_from_f32(f32::from_bits(a)));
        assert!(
            z == want || nan(a) && z & 0x7fff > 0x7c00,
            "{a:x}: {z:x} is not {want:x}"
        );
    }
}

#[test]
fn bf16_conversions_are_exact() {
    let Some(gpu) = gpu() else { return };
    let halves: Vec<u32> = (0..0x1_0000).collect();
    let call = "bitcast<u32>(w_bf16_to_f32(in_a[ix]))";
    let z = run(gpu, "w_bf16_to_f32", call, &halves, &halves);
    let nan = |x: u32| x & 0x7fff_ffff > 0x7f80_0000;
    for (&h, &z) in halves.iter().zip(&z) {
        assert!(z == h << 16 || nan(z) && nan(h << 16), "{h:x}: {z:x}");
    }
    let call = "bitcast<u32>(w_bf16_high_to_f32((in_a[ix] << 16u) | 0x5a5au))";
    let high = run(gpu, "w_bf16_high_to_f32", call, &halves, &halves);
    assert_eq!(high, z);
    let near = halves
        .iter()
        .flat_map(|h| [0, 0x7fff, 0x8000, 0x8001].map(|low| h << 16 | low));
    let a: Vec<u32> = near.chain(patterns().iter().map(|x| x.to_bits())).collect();
    let call = "w_bf16_from_f32(bitcast<f32>(in_a[ix]))";
    for (&a, z) in a.iter().zip(run(gpu, "w_bf16_from_f32", call, &a, &a)) {
        let want = u32::from(math::bf16_from_f32(f32::from_bits(a)));
        assert!(
            z == want || nan(a) && z & 0x7fff > 0x7f80,
            "{a:x}: {z:x} is not {want:x}"
        );
    }
    let call = "bitcast<u32>(w_f32_sticky(in_a[ix]))";
    for (&a, z) in a.iter().zip(run(gpu, "w_f32_sticky", call, &a, &a)) {
        assert_eq!(z, math::f32_sticky(a).to_bits(), "{a:x}");
    }
}

#[test]
fn philox_words_are_the_same() {
    let Some(gpu) = gpu() else { return };
    let ctr: Vec<u32> = (0..4096u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    for (ix, field) in ["x", "y", "z", "w"].iter().enumerate() {
        let call = format!(
            "w_philox(vec4<u32>(in_a[ix], 7u, ~in_b[ix], 9u), vec2<u32>(in_b[ix], 11u)).{field}"
        );
        let z = run(gpu, "w_philox", &call, &ctr, &ctr);
        for (&c, z) in ctr.iter().zip(z) {
            assert_eq!(z, math::philox4x32_10([c, 7, !c, 9], [c, 11])[ix]);
        }
    }
}
