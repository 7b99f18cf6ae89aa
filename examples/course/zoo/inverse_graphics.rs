//! A deep convolutional inverse graphics network: from the image back to the few numbers that drew it. It is a variational
//! autoencoder by convolutions whose code is told apart by how it is trained: in a group of images only one thing varies (the
//! place across, the place up, or the angle of a bar). The other numbers of the code must be the same for the whole group: they
//! are replaced by their mean, and drawn to it. No image is labelled, and yet each number comes to mean one thing. Source:
//! Kulkarni, Whitney, Kohli, Tenenbaum, Deep Convolutional Inverse Graphics Network, 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, Conv2d, ConvTranspose2d, Flatten, Linear, Relu, Sequential, Unflatten, compile,
    gradients,
};
use wgrad::plot::{Figure, Picture};
use wgrad::{
    ConvOptions, ConvTransposeOptions, DType, Device, Generator, Module, Optimizer, Reduction,
    Tensor,
};

const SIDE: usize = 32;
/// Groups of a batch, images of a group, and what varies.
const BATCH: [usize; 3] = [12, 8, 3];

#[derive(Module)]
struct Net {
    encoder: Sequential,
    decoder: Sequential,
}

impl Net {
    fn new(rng: &mut Generator, device: &Device) -> Net {
        let halve = ConvOptions::default().stride([2, 2]).padding([1, 1]);
        let double = ConvTransposeOptions::default()
            .stride([2, 2])
            .padding([1, 1]);
        let [to_16, to_8] =
            [(1, 16), (16, 32)].map(|(a, b)| Conv2d::new(a, b, [4, 4], halve, rng, device));
        let [from_8, from_16] = [(32, 16), (16, 1)]
            .map(|(a, b)| ConvTranspose2d::new(a, b, [4, 4], double, rng, device));
        let [down, code, up, wide] =
            [(2048, 64), (64, 6), (3, 64), (64, 2048)].map(|(a, b)| Linear::new(a, b, rng, device));
        let encoder = Sequential::new()
            .push(to_16)
            .push(Relu)
            .push(to_8)
            .push(Relu);
        let encoder = encoder
            .push(Flatten::default())
            .push(down)
            .push(Relu)
            .push(code);
        let decoder = Sequential::new().push(up).push(Relu).push(wide).push(Relu);
        let decoder = decoder
            .push(Unflatten::new(1, &[32, 8, 8]))
            .push(from_8)
            .push(Relu);
        Net {
            encoder,
            decoder: decoder.push(from_16),
        }
    }

    /// The bound's two parts and the groups' spread, of images of `factors` in groups that vary in `active` alone.
    fn loss(&mut self, factors: &Tensor, active: &Tensor, cx: &mut Context) -> Tensor {
        let x = bars(factors);
        let code = self.encoder.forward(&x, cx);
        let (mean, log_variance) = (code.narrow(1, 0, 3), code.narrow(1, 3, 3));
        let [groups, members, _] = BATCH.map(|n| n as isize);
        let grouped = mean.reshape(&[groups, members, 3]);
        let common = grouped.mean_dims(&[1], true);
        let spread = ((&grouped - &common).square() * (1.0 - active)).sum() / x.size(0) as f64;
        let clamped = Tensor::where_(&active.gt_scalar(0.5), &grouped, &common).reshape(&[-1, 3]);
        let noise = cx.rng.normal(clamped.shape(), x.device());
        let z = clamped + noise * (&log_variance * 0.5).exp();
        let logits = self.decoder.forward(&z, cx);
        let nats = logits.binary_cross_entropy_with_logits(&x, Reduction::BatchMean);
        let kl = mean.square() + log_variance.exp() - log_variance - 1.0;
        let kl = kl.sum() / (2.0 * x.size(0) as f64);
        nats + kl + spread
    }
}

/// Bars `[n, 1, 32, 32]` by geometry, of factors `[n, 3]` from −1 to 1: place across, place up, angle to ±60°.
fn bars(factors: &Tensor) -> Tensor {
    let axis = Tensor::linspace(-1.0, 1.0, SIDE, factors.device());
    let factor = |at: usize| factors.narrow(1, at, 1).reshape(&[-1, 1, 1, 1]);
    let x = axis.reshape(&[1, 1, 1, -1]) - factor(0) * 0.4;
    let y = -axis.reshape(&[1, 1, -1, 1]) - factor(1) * 0.4;
    let angle = factor(2) * 60f64.to_radians();
    let (cos, sin) = (angle.cos(), angle.sin());
    let (along, across) = (&x * &cos + &y * &sin, &y * cos - &x * sin);
    let within = (0.5 - along.abs()).minimum(&(0.12 - across.abs()));
    (within * 20.0).sigmoid()
}

/// Factors of a batch, where in each group one varies: `active [groups, 1, 3]`.
fn factors(active: &Tensor, rng: &mut Generator) -> Tensor {
    let ([groups, members, all], device) = (BATCH, active.device());
    let fixed = rng.uniform(&[groups, 1, all], device) * (1.0 - active);
    let varied = rng.uniform(&[groups, members, all], device) * active;
    ((fixed + varied) * 2.0 - 1.0).reshape(&[-1, all as isize])
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let cx = Context::train(lesson.seed + 1);
    let mut state = (Net::new(&mut rng, device), Adam::new(0.002), cx);
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let loss = net.loss(&factors(&b[0], &mut cx.rng), &b[0], cx);
        let gradients = gradients(&loss, net)?.clip_norm(10.0);
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let active = Tensor::eye(3, DType::F32, device).repeat(&[BATCH[0] / 3, 1]);
    let active = active.unsqueeze(1);
    for _ in 0..lesson.pick(1200, 700) {
        step.call(&mut state, &[&active])?;
    }

    // Correlations of each number of the code with each factor, over images in which all factors vary.
    let (Net { encoder, decoder }, eval) = (&mut state.0, &mut Context::eval());
    let truth = rng.uniform(&[500, 3], device) * 2.0 - 1.0;
    let code = encoder.forward(&bars(&truth), eval).narrow(1, 0, 3);
    let standard = |t: &Tensor| (t - t.mean_dims(&[0], true)) / t.std_dims(&[0], 0.0, true);
    let together = (standard(&code).t().matmul(&standard(&truth)) / 500.0).abs();
    let own = together.diagonal(0, 0, 1).amin().item::<f32>()?;
    let other = together.triu(1).maximum(&together.tril(-1)).amax();
    let (least, most) = lesson.pick((0.95, 0.2), (0.8, 0.4));
    lesson.at_least("correlation with the own factor", own.into(), least)?;
    let other = other.item::<f32>()?.into();
    lesson.at_most("correlation with another factor", other, most)?;
    let figure = Figure::new("|correlation|").x("factor").size(420, 360);
    let figure = figure.heat_map(3, 3, &together.to_vec::<f32>()?);
    let figure = figure.column_names(&["across", "up", "angle"]);
    let figure = figure.row_names(&["first", "second", "third"]);
    let title = "Each number of the code has come to mean one thing";
    lesson.figure("correlation", title, &figure.y("number of the code"))?;

    // Each number walks from low to high while the others stay where they are.
    let walk = Tensor::linspace(-1.7, 1.7, 9, device).reshape(&[1, 9, 1]);
    let codes = Tensor::eye(3, DType::F32, device).unsqueeze(1) * walk;
    let drawn = decoder.forward(&codes.flatten(0, 1), eval).sigmoid();
    let drawn = drawn.to_vec::<f32>()?;
    let images = drawn.chunks_exact(SIDE * SIDE);
    let images = images.map(|p| Picture::floats(SIDE, SIDE, p, (0.0, 1.0)));
    let figure = Figure::new("A walk along each number of the code");
    let figure = figure.image_grid(9, &images.collect::<Vec<_>>());
    lesson.figure("walk", "Across, up, and around", &figure)
}
