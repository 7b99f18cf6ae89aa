//! The networks that are trained: those of the MNIST example, a small character model, and a perceptron so small
//! that only its overhead counts. Knows no timing.

use wgrad::nn::{
    Context, Conv2d, Embedding, Flatten, Linear, Lstm, MaxPool2d, RecurrentOptions, Relu,
    Sequential,
};
use wgrad::{ConvOptions, Device, Generator, Module, Reduction, Tensor};

/// A network with its loss.
pub trait Network: Module {
    /// The loss of one batch, a scalar.
    fn loss(&mut self, x: &Tensor, y: &Tensor, context: &mut Context) -> Tensor;
}

/// Images `[batch, 1, 28, 28]` and classes `[batch]`.
impl Network for Sequential {
    fn loss(&mut self, x: &Tensor, y: &Tensor, context: &mut Context) -> Tensor {
        self.forward(x, context).cross_entropy(y, Reduction::Mean)
    }
}

/// The perceptron of the MNIST example: 784-256-128-10.
pub fn mlp(rng: &mut Generator, device: &Device) -> Sequential {
    Sequential::new()
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(784, 256, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(256, 128, rng, device))
        .with("relu2", Relu)
        .with("fc3", Linear::new(128, 10, rng, device))
}

/// The convolutional network of the MNIST example.
pub fn cnn(rng: &mut Generator, device: &Device) -> Sequential {
    let same = ConvOptions::default().padding([1, 1]);
    Sequential::new()
        .with("conv1", Conv2d::new(1, 32, [3, 3], same, rng, device))
        .with("relu1", Relu)
        .with("pool1", MaxPool2d::new(2))
        .with("conv2", Conv2d::new(32, 64, [3, 3], same, rng, device))
        .with("relu2", Relu)
        .with("pool2", MaxPool2d::new(2))
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(3136, 128, rng, device))
        .with("relu3", Relu)
        .with("fc2", Linear::new(128, 10, rng, device))
}

/// A perceptron 16-32-10: its arithmetic takes a few microseconds.
pub fn small(rng: &mut Generator, device: &Device) -> Sequential {
    Sequential::new()
        .with("fc1", Linear::new(16, 32, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(32, 10, rng, device))
}

/// Kinds of characters.
pub const CHARACTERS: usize = 65;
const FEATURES: usize = 64;
const HIDDEN: usize = 128;

/// A language model over characters: embedding 65 to 64, LSTM 128, linear to 65.
#[derive(Module)]
pub struct CharModel {
    embedding: Embedding,
    lstm: Lstm,
    out: Linear,
}

impl CharModel {
    /// With fresh weights.
    pub fn new(rng: &mut Generator, device: &Device) -> CharModel {
        let options = RecurrentOptions::default().batch_first(true);
        CharModel {
            embedding: Embedding::new(CHARACTERS, FEATURES, rng, device),
            lstm: Lstm::new(FEATURES, HIDDEN, &options, rng, device),
            out: Linear::new(HIDDEN, CHARACTERS, rng, device),
        }
    }
}

/// Tokens `[batch, time]` and the tokens after them `[batch * time]`.
impl Network for CharModel {
    fn loss(&mut self, x: &Tensor, y: &Tensor, context: &mut Context) -> Tensor {
        let embedded = self.embedding.forward(x);
        let (hidden, _) = self.lstm.forward(&embedded, None, context);
        let logits = self.out.forward(&hidden);
        logits
            .reshape(&[-1, CHARACTERS as isize])
            .cross_entropy(y, Reduction::Mean)
    }
}
