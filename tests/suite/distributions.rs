//! Distributions against PyTorch's numbers (`data/distributions.json`), their derivatives against finite differences,
//! their draws against their own densities, and the special functions and matrix norms they come with.

mod draws;

use crate::support::{Subject, all, differs, executors, report, values};
use serde_json::Value;
use wgrad::distributions::*;
use wgrad::ops::Tolerance;
use wgrad::{DType, Device, Generator, GradcheckOptions, MatrixNorm, Tensor, eval, gradcheck};

fn data() -> Value {
    serde_json::from_str(include_str!("data/distributions.json")).expect("the table is sound")
}

fn number(v: &Value) -> f64 {
    match v.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(_) => f64::NAN,
        None => v.as_f64().expect("a number"),
    }
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().expect("a list").iter().map(number).collect()
}

fn tensor(v: &Value, device: &Device) -> Tensor {
    let shape: Vec<usize> = numbers(&v["shape"]).iter().map(|&n| n as usize).collect();
    let data: Vec<f32> = numbers(&v["data"]).iter().map(|&x| x as f32).collect();
    Tensor::from_slice(&data, &shape, device)
}

fn tensors(v: &Value, device: &Device) -> Vec<Tensor> {
    let list = v.as_array().expect("a list");
    list.iter().map(|t| tensor(t, device)).collect()
}

type Family = (Box<dyn Distribution>, Option<Tensor>);

/// The family of this name, and its entropy where it has one.
fn family(name: &str, p: &[Tensor], count: usize) -> Family {
    fn with<D: Entropy + 'static>(d: D) -> Family {
        let entropy = d.entropy();
        (Box::new(d), Some(entropy))
    }
    match name {
        "Normal" => with(Normal::new(&p[0], &p[1])),
        "LogNormal" => with(LogNormal::new(&p[0], &p[1])),
        "TruncatedNormal" => with(TruncatedNormal::new(&p[0], &p[1], &p[2], &p[3])),
        "Laplace" => with(Laplace::new(&p[0], &p[1])),
        "Gumbel" => with(Gumbel::new(&p[0], &p[1])),
        "Cauchy" => with(Cauchy::new(&p[0], &p[1])),
        "StudentT" => with(StudentT::new(&p[0], &p[1], &p[2])),
        "Uniform" => with(Uniform::new(&p[0], &p[1])),
        "Exponential" => with(Exponential::new(&p[0])),
        "Gamma" => with(Gamma::new(&p[0], &p[1])),
        "Beta" => with(Beta::new(&p[0], &p[1])),
        "Dirichlet" => with(Dirichlet::new(&p[0])),
        "Geometric" => with(Geometric::new(&p[0])),
        "Bernoulli" => with(Bernoulli::new(&p[0])),
        "Categorical" => with(Categorical::new(&p[0])),
        "Poisson" => (Box::new(Poisson::new(&p[0])), None),
        "Binomial" => (Box::new(Binomial::new(count, &p[0])), None),
        "Multinomial" => (Box::new(Multinomial::new(count, &p[0])), None),
        other => panic!("no family {other}"),
    }
}

fn divergence(from: &str, to: &str, p: &[Tensor], q: &[Tensor], count: usize) -> Tensor {
    macro_rules! two {
        ($p:ident, $q:ident) => {
            kl_divergence(&$p::new(&p[0], &p[1]), &$q::new(&q[0], &q[1]))
        };
    }
    match (from, to) {
        ("Normal", "Normal") => two!(Normal, Normal),
        ("LogNormal", _) => two!(LogNormal, LogNormal),
        ("Laplace", "Laplace") => two!(Laplace, Laplace),
        ("Laplace", _) => two!(Laplace, Normal),
        ("Uniform", "Uniform") => two!(Uniform, Uniform),
        ("Uniform", _) => two!(Uniform, Normal),
        ("Gamma", "Gamma") => two!(Gamma, Gamma),
        ("Beta", _) => two!(Beta, Beta),
        ("Gamma", _) => kl_divergence(&Gamma::new(&p[0], &p[1]), &Exponential::new(&q[0])),
        ("Exponential", "Gamma") => {
            kl_divergence(&Exponential::new(&p[0]), &Gamma::new(&q[0], &q[1]))
        }
        ("Exponential", _) => kl_divergence(&Exponential::new(&p[0]), &Exponential::new(&q[0])),
        ("Dirichlet", _) => kl_divergence(&Dirichlet::new(&p[0]), &Dirichlet::new(&q[0])),
        ("Poisson", _) => kl_divergence(&Poisson::new(&p[0]), &Poisson::new(&q[0])),
        ("Bernoulli", _) => kl_divergence(&Bernoulli::new(&p[0]), &Bernoulli::new(&q[0])),
        ("Geometric", _) => kl_divergence(&Geometric::new(&p[0]), &Geometric::new(&q[0])),
        ("Categorical", _) => kl_divergence(&Categorical::new(&p[0]), &Categorical::new(&q[0])),
        ("Binomial", _) => {
            kl_divergence(&Binomial::new(count, &p[0]), &Binomial::new(count, &q[0]))
        }
        other => panic!("no pair {other:?}"),
    }
}

/// The value of a case: categories are whole numbers.
fn value(case: &Value, device: &Device) -> Tensor {
    let v = tensor(&case["value"], device);
    if case["family"] == "Categorical" {
        v.cast(DType::I32)
    } else {
        v
    }
}

fn count(case: &Value) -> usize {
    case["count"].as_u64().unwrap_or(0) as usize
}

const TOLERANCE: Tolerance = Tolerance {
    rtol: 2e-5,
    atol: 2e-5,
};

/// Executors and the reference; the GPU has part of the cases unless all are asked for.
fn subjects() -> Vec<Subject> {
    let mut list = executors();
    list.push(Subject {
        name: "reference",
        device: Device::reference(),
    });
    list
}

#[test]
fn log_probabilities_entropies_and_moments_are_pytorchs() {
    let (mut failures, mut checked) = (Vec::new(), 0);
    let data = data();
    let some = ["TruncatedNormal", "Gamma", "Categorical", "StudentT"];
    for case in data["cases"].as_array().expect("cases") {
        let name = case["family"].as_str().expect("a name");
        for s in subjects() {
            if s.name == "gpu" && !all() && !some.contains(&name) {
                continue;
            }
            let (d, entropy) = family(name, &tensors(&case["params"], &s.device), count(case));
            let got = [
                ("log_prob", Some(d.log_prob(&value(case, &s.device)))),
                ("entropy", entropy),
                ("mean", Some(d.mean())),
                ("variance", Some(d.variance())),
            ];
            let list: Vec<&Tensor> = got.iter().filter_map(|g| g.1.as_ref()).collect();
            eval(&list).expect("values");
            for (what, t) in &got {
                let Some(t) = t.as_ref().filter(|_| !case[what].is_null()) else {
                    continue;
                };
                checked += 1;
                let bad = differs(
                    &values(t).expect("values"),
                    &numbers(&case[what]),
                    TOLERANCE,
                );
                failures.extend(bad.map(|m| format!("{name} {what} on {}: {m}", s.name)));
            }
        }
    }
    report("distributions against PyTorch", checked, &failures);
}

#[test]
fn divergences_are_pytorchs() {
    let (mut failures, mut checked) = (Vec::new(), 0);
    let data = data();
    for case in data["kl"].as_array().expect("cases") {
        let names = [&case["family"], &case["to"]].map(|n| n.as_str().expect("a name"));
        for device in [Device::cpu(), Device::reference()] {
            let (p, q) = (tensors(&case["p"], &device), tensors(&case["q"], &device));
            let kl = divergence(names[0], names[1], &p, &q, count(case));
            checked += 1;
            let tol = Tolerance {
                rtol: 1e-4,
                atol: 2e-5,
            };
            let bad = differs(&values(&kl).expect("values"), &numbers(&case["kl"]), tol);
            failures.extend(bad.map(|m| format!("{names:?} on {device}: {m}")));
        }
    }
    report("divergences against PyTorch", checked, &failures);
}

/// Log-probabilities by value and parameters, entropies and divergences by parameters.
#[test]
fn derivatives_equal_finite_differences() {
    let (mut failures, mut checked) = (Vec::new(), 0);
    let (data, device) = (data(), Device::reference());
    let options = GradcheckOptions {
        directions: 2,
        ..GradcheckOptions::default()
    };
    let mut check = |what: String, y: &Tensor, inputs: &[&Tensor]| {
        checked += 1;
        if let Err(e) = gradcheck(y, inputs, &options) {
            failures.push(format!("{what}: {e}"));
        }
    };
    for case in data["cases"].as_array().expect("cases") {
        let name = case["family"].as_str().expect("a name");
        let (mut p, mut v) = (tensors(&case["params"], &device), value(case, &device));
        if ["Categorical", "Multinomial"].contains(&name) {
            // The logarithm has no slope at a weight of 0.
            p[0] = (&p[0] + 0.1).detach().expect("weights");
        }
        if name == "Uniform" {
            // Off the bounds.
            v = ((&p[0] + &p[1]) * 0.5).detach().expect("the middle");
        }
        let (d, entropy) = family(name, &p, count(case));
        // Bounds of a support are steps; an infinite bound has no slope; counts are whole numbers.
        let params: Vec<&Tensor> = match name {
            "TruncatedNormal" => p[..2].iter().collect(),
            _ => p.iter().collect(),
        };
        let y = d.log_prob(&v);
        check(format!("{name} log_prob"), &y, &params);
        if ["Normal", "LogNormal", "Gamma", "Beta", "StudentT", "Gumbel"].contains(&name) {
            check(format!("{name} log_prob by value"), &y, &[&v]);
        }
        if let Some(e) = entropy {
            check(format!("{name} entropy"), &e, &params);
        }
    }
    for case in data["kl"].as_array().expect("cases") {
        let names = [&case["family"], &case["to"]].map(|n| n.as_str().expect("a name"));
        let (mut p, q) = (tensors(&case["p"], &device), tensors(&case["q"], &device));
        if names[0] == "Categorical" {
            p[0] = (&p[0] + 0.1).detach().expect("weights");
        }
        // Equal parameters lie on the kink of |x − y|.
        if names[0] == "Laplace" || names == ["Uniform", "Uniform"] {
            continue;
        }
        let kl = divergence(names[0], names[1], &p, &q, count(case));
        let inputs: Vec<&Tensor> = p.iter().chain(&q).collect();
        check(format!("divergence {names:?}"), &kl, &inputs);
    }
    report("derivatives of distributions", checked, &failures);
}

/// Gradients flow through reparameterised draws.
#[test]
fn reparameterised_draws_have_gradients() {
    let d = Device::reference();
    let t = |v: &[f32]| Tensor::new(v, &d);
    let (a, b) = (t(&[0.5, -1.0]), t(&[1.5, 0.5]));
    let (low, high) = (t(&[-2.0, -0.5]), t(&[0.0, 3.0]));
    let draw = |d: &dyn Reparameterized| d.rsample(&[3], &mut Generator::new(4));
    let cases: [(&str, Tensor, Vec<&Tensor>); 7] = [
        ("normal", draw(&Normal::new(&a, &b)), vec![&a, &b]),
        ("log-normal", draw(&LogNormal::new(&a, &b)), vec![&a, &b]),
        ("laplace", draw(&Laplace::new(&a, &b)), vec![&a, &b]),
        ("gumbel", draw(&Gumbel::new(&a, &b)), vec![&a, &b]),
        ("cauchy", draw(&Cauchy::new(&a, &b)), vec![&a, &b]),
        ("exponential", draw(&Exponential::new(&b)), vec![&b]),
        (
            "truncated",
            draw(&TruncatedNormal::new(&a, &b, &low, &high)),
            vec![&a, &b, &low, &high],
        ),
    ];
    for (name, y, inputs) in cases {
        assert_eq!(y.shape(), [3, 2], "{name}");
        gradcheck(&y, &inputs, &GradcheckOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let stopped = Normal::new(&a, &b).sample(&[3], &mut Generator::new(4));
    let g = wgrad::grad(&stopped.sum(), &[&a]).expect("a gradient");
    assert_eq!(values(&g[0]).expect("values"), [0.0, 0.0]);
}

#[test]
fn special_functions_and_matrix_norms_are_pytorchs() {
    let data = data();
    let special = &data["special"];
    for s in subjects() {
        let column = |name: &str, at: usize| -> Vec<f64> {
            let rows = special[name].as_array().expect("rows");
            rows.iter().map(|r| number(&r[at])).collect()
        };
        let input = |v: Vec<f64>| {
            let v: Vec<f32> = v.iter().map(|&x| x as f32).collect();
            Tensor::new(&v, &s.device)
        };
        let is = |what: &str, got: &Tensor, want: &[f64]| {
            let tol = Tolerance {
                rtol: 1e-5,
                atol: 1e-5,
            };
            let bad = differs(&values(got).expect("values"), want, tol);
            assert_eq!(bad, None, "{what} on {}", s.name);
        };
        let x = input(column("lgamma", 0));
        is("lgamma", &x.lgamma(), &column("lgamma", 1));
        is("digamma", &x.digamma(), &column("digamma", 1));
        let x = input(column("erfinv", 0));
        is("erfinv", &x.erfinv(), &column("erfinv", 1));
        for n in 1..=3u32 {
            let (orders, all) = (column("polygamma", 0), column("polygamma", 2));
            let mine = |v: &[f64]| -> Vec<f64> {
                let pairs = v.iter().zip(&orders).filter(|(_, o)| **o == f64::from(n));
                pairs.map(|(x, _)| *x).collect()
            };
            let x = input(mine(&column("polygamma", 1)));
            is("polygamma", &x.polygamma(n), &mine(&all));
        }
        let m = tensor(&data["matrix"], &s.device);
        for norm in data["matrix"]["norms"].as_array().expect("norms") {
            let ord = match norm["ord"].as_str() {
                Some("nuc") => MatrixNorm::Nuclear,
                Some("2") => MatrixNorm::Two,
                _ => MatrixNorm::MinusTwo,
            };
            let dims = [0, 1].map(|i| number(&norm["dims"][i]) as isize);
            let got = m.matrix_norm(ord, dims, false);
            is("matrix norm", &got, &numbers(&norm["value"]));
            assert_eq!(m.matrix_norm(ord, dims, true).rank(), 3);
        }
    }
    let m = tensor(&data["matrix"], &Device::reference());
    for ord in [MatrixNorm::Nuclear, MatrixNorm::Two] {
        let y = m.matrix_norm(ord, [0, 2], false);
        gradcheck(&y, &[&m], &GradcheckOptions::default()).expect("derivatives");
    }
    let bad = Tensor::new(&[1.0f32], &Device::cpu()).polygamma(101);
    assert!(bad.check().is_err());
}

#[test]
fn bad_shapes_are_errors_of_the_reader() {
    let d = Device::cpu();
    let (a, b) = (
        Tensor::new(&[1.0f32, 2.0], &d),
        Tensor::new(&[1.0f32, 2.0, 3.0], &d),
    );
    let normal = Normal::new(&a, &b);
    assert!(normal.log_prob(&a).check().is_err());
    assert!(normal.sample(&[3], &mut Generator::new(0)).check().is_err());
    let scalar = a.select(0, 0);
    assert!(Categorical::new(&scalar).entropy().check().is_err());
    assert!(Dirichlet::new(&scalar).mean().check().is_err());
    let pair = diagonal_normal(&a, &a);
    let single = Independent::new(Normal::new(&a, &a), 0);
    assert!(kl_divergence(&pair, &single).check().is_err());
    assert_eq!(
        kl_divergence(&pair, &pair).item::<f32>().expect("a number"),
        0.0
    );
}
