//! A restricted Boltzmann machine has no weights within a layer, so a whole layer is drawn at once: `P(h = 1 | v) = σ(v W + c)`,
//! `P(v = 1 | h) = σ(h Wᵀ + b)`. Contrastive divergence takes one such step for the dream: `ΔW = ⟨v hᵀ⟩_data − ⟨v hᵀ⟩_1`.
//! Source: Hinton, Training Products of Experts by Minimizing Contrastive Divergence, 2002.

use crate::lesson::{Lesson, Result};
use wgrad::nn::compile;
use wgrad::plot::{Figure, Grid, Picture};
use wgrad::{DType, Generator, Module, Tensor};

#[derive(Module)]
struct Rbm {
    weight: Tensor,
    visible: Tensor,
    hidden: Tensor,
    rng: Generator,
}

impl Rbm {
    fn up(&self, v: &Tensor) -> Tensor {
        (v.matmul(&self.weight) + &self.hidden).sigmoid()
    }

    fn down(&self, h: &Tensor) -> Tensor {
        (h.matmul(&self.weight.t()) + &self.visible).sigmoid()
    }

    /// One step of contrastive divergence on `v [batch, 784]`; the squared error of the dream.
    fn learn(&mut self, v: &Tensor, rate: f64) -> Tensor {
        let h = self.up(v);
        let drawn = self.rng.bernoulli_of(&h, h.shape()).cast(DType::F32);
        let dream = self.down(&drawn);
        let dreamt = self.up(&dream);
        let scale = rate / v.size(0) as f64;
        self.weight = &self.weight + (v.t().matmul(&h) - dream.t().matmul(&dreamt)) * scale;
        self.visible = &self.visible + (v - &dream).sum_dims(&[0], false) * scale;
        self.hidden = &self.hidden + (&h - &dreamt).sum_dims(&[0], false) * scale;
        self.rng.next_step();
        (v - dream).square().mean()
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train, test) = lesson.digits()?;
    let grey = |bytes: &[u8], n: usize| {
        Tensor::from_slice(&bytes[..n * 784], &[n, 784], device).cast(DType::F32) / 255.0
    };
    let (n, units, rounds) = lesson.pick((20_000, 128, 10), (4000, 64, 4));
    let x = grey(train.images(), n.min(train.len()));
    let unseen = grey(test.images(), 200);
    let mut rng = Generator::new(lesson.seed);
    let mut rbm = Rbm {
        weight: rng.normal(&[784, units], device) * 0.01,
        visible: Tensor::zeros(&[784], DType::F32, device),
        hidden: Tensor::zeros(&[units], DType::F32, device),
        rng: Generator::new(lesson.seed + 1),
    };
    let error = |rbm: &Rbm| {
        (&unseen - rbm.down(&rbm.up(&unseen)))
            .square()
            .mean()
            .item::<f32>()
    };
    let before = error(&rbm)?;
    let mut step = compile(|rbm: &mut Rbm, v: &[Tensor]| Ok(rbm.learn(&v[0], 0.1)));
    let mut errors = Vec::new();
    for _ in 0..rounds {
        let order = rng.permutation(x.size(0), device);
        let mut last = None;
        for at in (0..x.size(0) / 100 * 100).step_by(100) {
            last = Some(step.call(&mut rbm, &[&x.index_select(0, &order.narrow(0, at, 100))])?);
        }
        errors.push(last.ok_or("no batch")?.item::<f32>()?);
    }
    let after = error(&rbm)?;
    lesson.say(format!(
        "squared error of unseen digits: {before:.4}, then {after:.4}"
    ));
    lesson.at_most(
        "error after, by error before",
        f64::from(after / before),
        lesson.pick(0.12, 0.3),
    )?;

    let columns = rbm.weight.t().to_vec::<f32>()?;
    let filters: Vec<Picture> = columns
        .chunks_exact(784)
        .take(32)
        .map(|w| Picture::floats(28, 28, w, (-0.5, 0.5)))
        .collect();
    let rebuilt = rbm.down(&rbm.up(&unseen)).to_vec::<f32>()?;
    let unseen = unseen.to_vec::<f32>()?;
    let both = |at: usize| {
        [&unseen, &rebuilt].map(|all| Picture::floats(28, 28, &all[at * 784..][..784], (0.0, 1.0)))
    };
    let pairs: Vec<Picture> = (0..8).flat_map(both).collect();
    let all = Grid::new(1)
        .figure(Figure::new("Weights of 32 units").image_grid(16, &filters))
        .figure(
            Figure::new("Unseen digits, each beside what it is rebuilt as").image_grid(16, &pairs),
        );
    lesson.grid("units", "Strokes, found without labels", &all)
}
