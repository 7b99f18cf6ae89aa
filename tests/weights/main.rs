//! Files of PyTorch (fixtures, and fresh ones where a Python with PyTorch is named), round trips, and damaged files.

mod gpt;
#[path = "../../examples/gpt/model.rs"]
mod model;
mod modules;
#[path = "../../examples/gpt/training.rs"]
mod training;

use std::collections::BTreeMap;
use std::path::Path;
use wgrad::nn::{Adam, BatchNorm1d, Linear, Sequential, Variable};
use wgrad::train::DType;
use wgrad::train::session::to_tensor;
use wgrad::train::weights::{LoadOptions, Weights, load, save};
use wgrad::{Device, Generator, Module, Optimizer, Tensor};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/fixtures");

/// Element `i` of the fixtures.
fn expected(i: usize, float: bool) -> f64 {
    let whole = (i * 7 % 11) as f64 - 5.0;
    if float { whole / 4.0 } else { whole }
}

fn floats(weights: &Weights, name: &str) -> Vec<f64> {
    let t = to_tensor(&weights.arrays[name], &Device::cpu());
    let t = t.cast(wgrad::DType::F32);
    t.to_vec::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect()
}

fn check_fixture(path: &Path) {
    let w = Weights::read(path).unwrap();
    let shapes = [
        ("f32", vec![2, 3], DType::F32),
        ("f64", vec![3], DType::F32),
        ("f16", vec![5], DType::F16),
        ("bf16", vec![5], DType::BF16),
        ("i64", vec![4], DType::I32),
        ("i32", vec![4], DType::I32),
        ("i16", vec![4], DType::I32),
        ("i8", vec![4], DType::I32),
        ("u8", vec![5], DType::U8),
        ("bool", vec![3], DType::Bool),
        ("scalar", vec![], DType::F32),
        ("empty", vec![0, 3], DType::F32),
        ("transposed", vec![6, 4], DType::F32),
        ("part", vec![2, 3], DType::F32),
        ("tied", vec![4, 6], DType::F32),
    ];
    assert_eq!(w.arrays.len(), shapes.len());
    for (name, shape, dtype) in &shapes {
        let array = &w.arrays[*name];
        assert_eq!((&array.shape, array.dtype), (shape, *dtype), "{name}");
    }
    for name in ["f32", "f64", "f16", "bf16", "tied"] {
        for (i, v) in floats(&w, name).into_iter().enumerate() {
            assert_eq!(v, expected(i, true), "{name} {i}");
        }
    }
    for name in ["i64", "i32", "i16", "i8"] {
        for (i, v) in floats(&w, name).into_iter().enumerate() {
            assert_eq!(v, expected(i, false), "{name} {i}");
        }
    }
    assert_eq!(floats(&w, "u8"), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(floats(&w, "bool"), [1.0, 0.0, 1.0]);
    assert_eq!(floats(&w, "scalar"), [1.25]);
    let turned: Vec<f64> = (0..24).map(|k| expected(k % 4 * 6 + k / 4, true)).collect();
    assert_eq!(floats(&w, "transposed"), turned);
    let part: Vec<f64> = [8, 9, 10, 14, 15, 16].map(|i| expected(i, true)).to_vec();
    assert_eq!(floats(&w, "part"), part);
}

#[test]
fn files_of_pytorch_are_read() {
    for name in ["zipped.pth", "legacy.pth"] {
        check_fixture(&Path::new(FIXTURES).join(name));
    }
    let nested = Weights::read(Path::new(FIXTURES).join("nested.pth")).unwrap();
    assert_eq!(nested.metadata["epoch"], "3");
    assert_eq!(nested.metadata["list.1"], "a");
    let (mut rng, device) = (Generator::new(0), Device::cpu());
    let mut net = Sequential::new()
        .with("0", Linear::new(3, 2, &mut rng, &device))
        .with("1", BatchNorm1d::new(2, &device));
    let report = nested
        .section("model")
        .load_into(&mut net, &LoadOptions::new())
        .unwrap();
    assert_eq!(report.loaded.len(), 6, "{report}");
    let weight = net.state()[0].1.to_vec::<f32>().unwrap();
    let want: Vec<f32> = (0..6).map(|i| expected(i, true) as f32).collect();
    assert_eq!(weight, want);
}

/// Runs a script with the Python that `WGRAD_TORCH_PYTHON` names; false where it names none.
fn python(arguments: &[&str]) -> bool {
    let Some(python) = std::env::var_os("WGRAD_TORCH_PYTHON") else {
        println!("skipped: WGRAD_TORCH_PYTHON names no Python with PyTorch");
        return false;
    };
    let run = std::process::Command::new(python)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    true
}

#[test]
fn fresh_files_of_pytorch_are_read_and_ours_are_read_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let make = Path::new(FIXTURES).join("make.py");
    let place = folder.path().display().to_string();
    if !python(&[&make.display().to_string(), &place]) {
        return;
    }
    check_fixture(&at("zipped.pth"));
    check_fixture(&at("legacy.pth"));
    let weights = Weights::read(at("zipped.pth")).unwrap();
    weights.save_pth(at("ours.pth")).unwrap();
    weights.save_safetensors(at("ours.safetensors")).unwrap();
    let script = "
import sys, torch
from safetensors.torch import load_file
a = torch.load(sys.argv[1] + '/zipped.pth', weights_only=True)
b = torch.load(sys.argv[1] + '/ours.pth', weights_only=True)
c = load_file(sys.argv[1] + '/ours.safetensors')
assert b['bf16'].dtype == c['bf16'].dtype == torch.bfloat16
for other in (b, c):
    assert set(a) == set(other), other.keys()
    for k in a:
        assert a[k].shape == other[k].shape and torch.equal(a[k].double(), other[k].double()), k
";
    assert!(python(&["-c", script, &place]));
}

#[test]
fn weights_go_round_in_both_forms() {
    let w = Weights::read(Path::new(FIXTURES).join("zipped.pth")).unwrap();
    for bytes in [w.to_pth().unwrap(), w.to_safetensors().unwrap()] {
        let again = Weights::from_bytes(&bytes, "again").unwrap();
        assert_eq!(again.arrays, w.arrays);
    }
}

/// The first byte of a header's length may be that of a pickle.
#[test]
fn headers_of_every_length_are_told_from_pickles() {
    let mut first = [false; 256];
    for n in 0..2100 {
        let mut w = Weights::default();
        w.metadata.insert("text".into(), "x".repeat(n));
        let bytes = w.to_safetensors().unwrap();
        first[usize::from(bytes[0])] = true;
        let again = Weights::from_bytes(&bytes, "header").unwrap();
        assert_eq!(again.metadata["text"].len(), n);
    }
    assert!(first.iter().step_by(8).all(|&seen| seen));
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_loaded() {
    let (mut rng, device) = (Generator::new(0), Device::cpu());
    let source = Linear::new(3, 2, &mut rng, &device);
    let mut weights = Weights::of(&source).unwrap();
    let bias = weights.arrays.remove("bias").unwrap();
    weights.arrays.insert("extra".into(), bias);
    let mut wide = Linear::new(4, 2, &mut rng, &device);
    let before = wide.weight.to_vec::<f32>().unwrap();
    let error = weights
        .load_into(&mut wide, &LoadOptions::new())
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "missing: bias",
        "unexpected: extra",
        "weight (f32[2, 3] in the file",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(wide.weight.to_vec::<f32>().unwrap(), before);
    let mut fits = Linear::new(3, 2, &mut rng, &device);
    let options = LoadOptions::new().rename("extra", "bias");
    assert!(
        weights
            .load_into(&mut fits, &options)
            .unwrap()
            .is_complete()
    );
    let options = LoadOptions::new().partial();
    let report = weights.load_into(&mut wide, &options).unwrap();
    assert_eq!(report.loaded.len() + report.missing.len(), 1);
}

#[derive(Module)]
struct Run {
    nets: Vec<Linear>,
    adams: Vec<Adam>,
    rng: Generator,
    noise: Variable,
    epoch: u64,
    name: String,
}

fn fresh(nets: usize) -> Run {
    let mut rng = Generator::new(nets as u64);
    let device = Device::cpu();
    Run {
        nets: (0..nets)
            .map(|_| Linear::new(2, 1, &mut rng, &device))
            .collect(),
        adams: (0..nets).map(|_| Adam::new(0.1)).collect(),
        rng: Generator::new(9),
        noise: Variable::new(0.0),
        epoch: 0,
        name: "new".into(),
    }
}

fn steps(run: &mut Run, n: usize) -> Vec<f32> {
    let mut losses = Vec::new();
    for _ in 0..n {
        let x: Tensor = run.rng.uniform(&[4, 2], &Device::cpu());
        run.rng.next_step();
        for (net, adam) in run.nets.iter_mut().zip(&mut run.adams) {
            let loss = net.forward(&x).square().mean();
            let gradients = wgrad::nn::gradients(&loss, net).unwrap();
            adam.step(net, &gradients).unwrap();
            losses.push(loss.item::<f32>().unwrap());
        }
        run.epoch += 1;
    }
    losses
}

#[test]
fn a_whole_state_goes_on_where_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut run = fresh(2);
    steps(&mut run, 3);
    run.adams[1].set_lr(0.02);
    run.noise.set(0.3);
    run.name = "tuned".into();
    save(&mut run, &path).unwrap();
    let want = steps(&mut run, 3);
    let mut again = fresh(2);
    load(&mut again, &path).unwrap();
    assert_eq!(
        (again.epoch, again.noise.get(), again.name.as_str()),
        (3, 0.3, "tuned")
    );
    assert_eq!(steps(&mut again, 3), want);
    // Another number of models: refused, and nothing is changed.
    let mut other = fresh(3);
    let (before, first) = (other.state(), other.rng.state());
    let error = load(&mut other, &path).unwrap_err().to_string();
    assert!(error.contains("2 parts"), "{error}");
    assert!(
        before
            .iter()
            .zip(other.state())
            .all(|(a, b)| a.1.same(&b.1))
    );
    assert_eq!(
        (other.rng.state(), other.epoch, other.adams[0].steps()),
        (first, 0, 0)
    );
}

#[test]
fn hostile_pickles_give_errors() {
    let cases: [(&[u8], &str); 9] = [
        (
            b"cposix\nsystem\n(X\x02\x00\x00\x00lstR.",
            "no part of a state dictionary",
        ),
        (b"c__builtin__\neval\n.", "no part of a state dictionary"),
        (b"(i__main__\nX\n.", "none that weights need"),
        (b"h\x05.", "nothing is remembered"),
        (b"r\xff\xff\xff\xff.", "stack is empty"),
        (b"Nr\xff\xff\xff\xff.", "too large"),
        (b"X\xff\xff\xff\xff", "cut short"),
        (b"N", "cut short"),
        (b"((((t", "cut short"),
    ];
    let read = |bytes: &[u8]| match Weights::from_bytes(&[b"\x80\x02", bytes].concat(), "hostile") {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    };
    for (bytes, want) in cases {
        let error = read(bytes);
        assert!(error.contains(want), "{bytes:?}: {error}");
    }
    // A million lists in each other, and one that holds itself: read to the end, and then no file of PyTorch.
    let mut deep = vec![b']'; 1_000_000];
    deep.extend(vec![b'a'; 999_999]);
    deep.push(b'.');
    for bytes in [&deep[..], b"]q\x00h\x00a."] {
        let error = read(bytes);
        assert!(error.contains("neither safetensors nor"), "{error}");
    }
}

/// A small generator of numbers for damage.
struct Damage(u64);

impl Damage {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

#[test]
fn ten_thousand_damaged_files_never_panic() {
    let read = |name: &str| std::fs::read(Path::new(FIXTURES).join(name)).unwrap();
    let whole = Weights::read(Path::new(FIXTURES).join("zipped.pth")).unwrap();
    let files = [
        read("zipped.pth"),
        read("legacy.pth"),
        read("nested.pth"),
        whole.to_safetensors().unwrap(),
        whole.to_pth().unwrap(),
    ];
    let mut random = Damage(1);
    let mut refused = 0;
    for round in 0..10_000 {
        let mut bytes = files[round % files.len()].clone();
        for _ in 0..=random.below(6) {
            // Most of what matters stands in the first quarter, or at the end of an archive.
            let n = bytes.len();
            let at = match random.below(3) {
                0 => random.below(n / 4),
                1 => n - 1 - random.below(n.min(600)),
                _ => random.below(n),
            };
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let from = random.below(bytes.len());
                    bytes[at] = bytes[from];
                }
            }
        }
        refused += usize::from(Weights::from_bytes(&bytes, "damaged").is_err());
    }
    println!("10000 damaged files, {refused} refused");
    assert!(refused > 3_000, "{refused} refused");
}

/// Files of others: every `.pth` and `.safetensors` in the folder that `WGRAD_WEIGHTS` names, compared with what PyTorch
/// reads there: names, shapes and sums of magnitudes.
#[test]
fn files_of_others_are_read_as_pytorch_reads_them() {
    let Some(folder) = std::env::var_os("WGRAD_WEIGHTS") else {
        println!("skipped: WGRAD_WEIGHTS names no folder");
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let listing = out.path().join("listing.json");
    let script = "
import json, pathlib, sys, torch
from safetensors.torch import load_file
out = {}
for p in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    d = load_file(p) if p.suffix == '.safetensors' else torch.load(p, weights_only=True, map_location='cpu')
    out[str(p)] = {k: [list(v.shape), float(v.double().abs().sum())] for k, v in d.items()}
pathlib.Path(sys.argv[2]).write_text(json.dumps(out))
";
    let folder = folder.to_string_lossy().into_owned();
    if !python(&["-c", script, &folder, &listing.display().to_string()]) {
        return;
    }
    let text = std::fs::read_to_string(&listing).unwrap();
    let files: BTreeMap<String, BTreeMap<String, (Vec<usize>, f64)>> =
        serde_json::from_str(&text).unwrap();
    assert!(!files.is_empty());
    for (path, want) in files {
        let weights = Weights::read(&path).unwrap();
        assert!(
            weights.arrays.keys().eq(want.keys()),
            "{path}: names differ"
        );
        for (name, (shape, sum)) in want {
            assert_eq!(weights.arrays[&name].shape, shape, "{path}: {name}");
            let got: f64 = floats(&weights, &name).iter().map(|v| v.abs()).sum();
            assert!(
                (got - sum).abs() <= 1e-9 * sum.max(1.0),
                "{path}: {name}: {got} {sum}"
            );
        }
        println!("{path}: {} arrays", weights.arrays.len());
    }
}
