//! The guide's first model in burn 0.22.1: a package of its own, with `burn = { version = "0.22.1", default-features = false,
//! features = ["std", "flex", "simd", "rayon", "optim"] }`, `flate2 = "1"` and `rand = "0.9"`; `WGRAD_DATA=FOLDER_WITH_MNIST cargo run --release`.

use std::io::Read;

use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use rand::seq::SliceRandom;

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    activation: Relu,
    output: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let (hidden, output) = (LinearConfig::new(784, 128).init(device), LinearConfig::new(128, 10).init(device));
        Self { hidden, activation: Relu::new(), output }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.activation.forward(self.hidden.forward(x)))
    }
}

fn read(name: &str, skip: usize) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let (mut bytes, dir) = (vec![], std::env::var("WGRAD_DATA")?);
    flate2::read::GzDecoder::new(std::fs::File::open(format!("{dir}/{name}-ubyte.gz"))?).read_to_end(&mut bytes)?;
    Ok(bytes.split_off(skip))
}

fn batch(x: &[u8], y: &[u8], rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let pixels: Vec<f32> =
        rows.iter().flat_map(|&r| &x[r * 784..][..784]).map(|&v| (f32::from(v) / 255. - 0.13) / 0.31).collect();
    let labels: Vec<i32> = rows.iter().map(|&r| i32::from(y[r])).collect();
    let x = Tensor::<1>::from_floats(pixels.as_slice(), device).reshape([rows.len(), 784]);
    (x, Tensor::from_ints(labels.as_slice(), device))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let (x, y) = (read("train-images-idx3", 16)?, read("train-labels-idx1", 8)?);
    let (u, v) = (read("t10k-images-idx3", 16)?, read("t10k-labels-idx1", 8)?);
    let mut model = Mlp::new(&device);
    let mut adam = AdamConfig::new().init();
    let mut rows: Vec<usize> = (0..y.len()).collect();
    let loss = CrossEntropyLossConfig::new().init(&device);
    for epoch in 0..2 {
        rows.shuffle(&mut rand::rng());
        let mut total = 0.;
        for rows in rows.chunks(64) {
            let (x, y) = batch(&x, &y, rows, &device);
            let loss = loss.forward(model.forward(x), y);
            total += loss.clone().into_scalar::<f32>();
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = adam.step(1e-3, model, grads);
        }
        println!("epoch {epoch}: loss {}", total / 938.);
    }
    let mut right = 0;
    for rows in (0..v.len()).collect::<Vec<_>>().chunks(500) {
        let (x, y) = batch(&u, &v, rows, &device);
        right += model.forward(x).argmax(1).reshape([rows.len()]).equal(y).int().sum().into_scalar::<i32>();
    }
    println!("accuracy {}", right as f64 / v.len() as f64);
    Ok(())
}
