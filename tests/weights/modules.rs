//! Weights of whole modules: PyTorch's files into ours with its outputs, and ours into PyTorch's, strictly. Needs no Python for
//! the small ones, whose files and outputs are stored.

use super::{FIXTURES, python};
use std::collections::BTreeMap;
use std::path::Path;
use wgrad::nn::models::{EfficientNetLite, ResNet};
use wgrad::nn::{
    AttentionMasks, BatchNorm2d, Context, Conv2d, Flatten, Linear, Lstm, MaxPool2d,
    RecurrentOptions, Relu, Sequential, TransformerEncoderLayer, TransformerOptions,
};
use wgrad::train::weights::{LoadOptions, Weights};
use wgrad::{ConvOptions, Device, Generator, Module, Tensor};

/// A module with its forward pass.
trait Subject: Module {
    fn run(&mut self, x: &Tensor) -> Tensor;
}

impl Subject for Sequential {
    fn run(&mut self, x: &Tensor) -> Tensor {
        self.forward(x, &mut Context::eval())
    }
}

impl Subject for Lstm {
    fn run(&mut self, x: &Tensor) -> Tensor {
        self.forward(x, None, &mut Context::eval()).0
    }
}

impl Subject for TransformerEncoderLayer {
    fn run(&mut self, x: &Tensor) -> Tensor {
        self.forward(x, &AttentionMasks::none(), &mut Context::eval())
    }
}

impl Subject for ResNet {
    fn run(&mut self, x: &Tensor) -> Tensor {
        self.forward(x, &mut Context::eval())
    }
}

impl Subject for EfficientNetLite {
    fn run(&mut self, x: &Tensor) -> Tensor {
        self.forward(x, &mut Context::eval())
    }
}

/// The modules by name, with weights that do not matter, and the shapes of their inputs.
fn modules(seed: u64) -> Vec<(&'static str, Box<dyn Subject>, Vec<usize>)> {
    let (rng, d) = (&mut Generator::new(seed), &Device::cpu());
    let mlp = Sequential::new()
        .push(Linear::new(5, 7, rng, d))
        .push(Relu)
        .push(Linear::new(7, 3, rng, d));
    let same = ConvOptions::default().padding([1, 1]);
    let cnn = Sequential::new()
        .push(Conv2d::new(3, 4, [3, 3], same, rng, d))
        .push(BatchNorm2d::new(4, d))
        .push(Relu)
        .push(MaxPool2d::new(2))
        .push(Flatten::default())
        .push(Linear::new(64, 3, rng, d));
    let options = RecurrentOptions {
        num_layers: 2,
        bidirectional: true,
        batch_first: true,
        ..RecurrentOptions::default()
    };
    let lstm = Lstm::new(3, 4, &options, rng, d);
    let options = TransformerOptions::default()
        .dim_feedforward(16)
        .batch_first(true);
    let transformer = TransformerEncoderLayer::new(8, 2, &options, rng, d);
    let resnet = ResNet::resnet18(1000, rng, d);
    vec![
        ("mlp", Box::new(mlp), vec![4, 5]),
        ("cnn", Box::new(cnn), vec![2, 3, 8, 8]),
        ("lstm", Box::new(lstm), vec![2, 6, 3]),
        ("transformer", Box::new(transformer), vec![2, 5, 8]),
        ("resnet18", Box::new(resnet), vec![1, 3, 64, 64]),
    ]
}

fn input(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| (((i * 29 + 7) % 31) as f32 - 15.0) / 16.0;
    let all: Vec<f32> = (0..n).map(value).collect();
    Tensor::from_slice(&all, shape, &Device::cpu())
}

/// Asserts that all differ from PyTorch's by 1e-4 of the greatest at most.
#[track_caller]
fn close(got: &Tensor, want: &[f32], what: &str) {
    let got: Vec<f32> = got.to_vec().unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1e-2f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= 1e-4 * most,
            "{what}: element {i}: {g}, not {w}"
        );
    }
}

/// Loads every module's files of a folder, both forms, without options, and compares outputs; the names of those loaded.
fn check_folder(folder: &Path) -> Vec<&'static str> {
    let text = std::fs::read_to_string(folder.join("modules.json")).unwrap();
    let expected: BTreeMap<String, Vec<f32>> = serde_json::from_str(&text).unwrap();
    let mut done = Vec::new();
    for (seed, kind) in [(1, "pth"), (2, "safetensors")] {
        for (name, mut module, shape) in modules(seed) {
            let Some(want) = expected.get(name) else {
                continue;
            };
            let weights = Weights::read(folder.join(format!("{name}.{kind}"))).unwrap();
            let report = weights
                .load_into(&mut *module, &LoadOptions::new())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(report.is_complete(), "{name}: {report}");
            assert_eq!(report.loaded.len(), module.state().len(), "{name}");
            close(&module.run(&input(&shape)), want, name);
            // And back.
            let ours = Weights::of(&*module).unwrap();
            for bytes in [ours.to_pth().unwrap(), ours.to_safetensors().unwrap()] {
                let again = Weights::from_bytes(&bytes, name).unwrap();
                assert_eq!(again.arrays, ours.arrays);
            }
            done.push(name);
        }
    }
    done
}

#[test]
fn weights_of_pytorchs_modules_give_its_outputs() {
    let done = check_folder(Path::new(FIXTURES));
    assert_eq!(done[..4], ["mlp", "cnn", "lstm", "transformer"]);
    assert_eq!(done.len(), 8);
}

#[test]
fn fresh_weights_go_to_pytorch_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(FIXTURES).join("modules.py").display().to_string();
    let place = folder.path().display().to_string();
    if !python(&[&script, &place]) {
        return;
    }
    assert_eq!(check_folder(folder.path()).len(), 10);
    for (name, mut module, _) in modules(3) {
        let weights = Weights::read(folder.path().join(format!("{name}.pth"))).unwrap();
        weights
            .load_into(&mut *module, &LoadOptions::new())
            .unwrap();
        let ours = Weights::of(&*module).unwrap();
        let at = |kind: &str| folder.path().join(format!("ours.{name}.{kind}"));
        ours.save_pth(at("pth")).unwrap();
        ours.save_safetensors(at("safetensors")).unwrap();
    }
    assert!(python(&[&script, "check", &place]));
}

/// The pixels of a binary PPM: height, width and three bytes for each.
fn ppm(bytes: &[u8]) -> (usize, usize, &[u8]) {
    let mut fields = Vec::new();
    let mut at = 0;
    while fields.len() < 4 {
        let end = at
            + bytes[at..]
                .iter()
                .position(u8::is_ascii_whitespace)
                .unwrap();
        fields.push(std::str::from_utf8(&bytes[at..end]).unwrap());
        at = end + 1;
    }
    assert_eq!((fields[0], fields[3]), ("P6", "255"));
    let size = |i: usize| fields[i].parse().unwrap();
    (size(2), size(1), &bytes[at..])
}

/// The middle square as 224 rows and columns, scaled by ImageNet's means and deviations.
fn scaled((height, width, pixels): (usize, usize, &[u8])) -> Tensor {
    let side = height.min(width);
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let mut x = Vec::new();
    for c in 0..3 {
        for row in (0..224).map(|i| top + i * side / 224) {
            for column in (0..224).map(|i| left + i * side / 224) {
                let v = f32::from(pixels[(row * width + column) * 3 + c]) / 255.0;
                x.push((v - mean[c]) / std[c]);
            }
        }
    }
    Tensor::from_slice(&x, &[1, 3, 224, 224], &Device::cpu())
}

/// Published weights of EfficientNet-Lite0, where the folder that `WGRAD_WEIGHTS` names has them: a photograph's scores are
/// PyTorch's.
#[test]
fn published_weights_see_what_pytorch_sees() {
    let files = std::env::var_os("WGRAD_WEIGHTS").and_then(|f| std::fs::read_dir(f).ok());
    let paths = files
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let lite = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("lite0-57934424.pth");
    let Some(path) = { paths }.find(lite) else {
        println!("skipped: WGRAD_WEIGHTS has no efficientnet-lite0-57934424.pth");
        return;
    };
    let image = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/images/china.jpg"
    );
    if !Path::new(image).exists() {
        println!("skipped: no {image}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(FIXTURES).join("lite0.py").display().to_string();
    let (weights, place) = (
        path.display().to_string(),
        folder.path().display().to_string(),
    );
    if !python(&[&script, &weights, image, &place]) {
        return;
    }
    let mut net = EfficientNetLite::lite0(1000, &mut Generator::new(0), &Device::cpu());
    let report = Weights::read(&path)
        .unwrap()
        .load_into(&mut net, &LoadOptions::new())
        .unwrap();
    assert!(report.is_complete() && report.loaded.len() == net.state().len());
    let want: Vec<f32> =
        serde_json::from_slice(&std::fs::read(folder.path().join("scores.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.path().join("image.ppm")).unwrap();
    close(&net.run(&scaled(ppm(&bytes))), &want, "efficientnet-lite0");
    let best = (0..1000)
        .max_by(|&a, &b| want[a].total_cmp(&want[b]))
        .unwrap();
    println!("class {best} of 1000, score {}", want[best]);
}
