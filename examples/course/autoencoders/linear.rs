//! A linear autoencoder, `x̂ = V W x`, with the squared error as its loss, finds the subspace of the first principal components, though not
//! these themselves: any basis of it will do. Source: Baldi and Hornik, Neural Networks and Principal Component Analysis, 1989;
//! Goodfellow, Bengio, Courville, Deep Learning, 14.1.

use crate::lesson::{Lesson, Result};
use wgrad::data::{Mnist, digits};
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{Generator, Optimizer, Tensor, Triangle};

/// The principal subspace's dimensions.
const K: usize = 6;

/// The greatest principal angle of two orthonormal bases `[features, K]`, in degrees: its cosine is the least singular value of the
/// bases' product.
fn angle(a: &Tensor, b: &Tensor) -> wgrad::Result<f64> {
    let cosines = a.t().matmul(b).svdvals().to_vec::<f32>()?;
    Ok(f64::from(cosines[K - 1]).min(1.0).acos().to_degrees())
}

/// The angle to `components` and the loss as descent goes on, and the decoder's columns at its end.
type Trained = (Vec<usize>, Vec<f64>, f32, Tensor);

fn train(x: &Tensor, components: &Tensor, lesson: &Lesson) -> Result<Trained> {
    let (device, steps) = (&lesson.device, lesson.pick(3000, 500));
    let mut rng = Generator::new(lesson.seed);
    let encoder = Linear::new(196, K, &mut rng, device).without_bias();
    let decoder = Linear::new(K, 196, &mut rng, device).without_bias();
    let mut state = ([encoder, decoder], Adam::new(0.01));
    let mut step = compile(|(net, adam): &mut ([Linear; 2], Adam), b: &[Tensor]| {
        let back = net[1].forward(&net[0].forward(&b[0]));
        let loss = (back - &b[0]).square().mean();
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let (mut at, mut angles, mut loss) = (Vec::new(), Vec::new(), 0.0);
    for t in 0..=steps {
        if t % (steps / 20) == 0 {
            at.push(t);
            angles.push(angle(components, &state.0[1].weight.qr(false).0)?);
        }
        state
            .1
            .set_lr(0.01 * (1.0 - t as f64 / steps as f64) + 1e-5);
        loss = step.call(&mut state, &[x])?.item::<f32>()?;
    }
    Ok((at, angles, loss, state.0[1].weight.clone()))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let set = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?.0,
        None => digits::generate(4000, lesson.seed),
    };
    let x = set.truncated(4000).downsampled(2)?.pixels(device)?;
    let x = (&x - x.mean_dims(&[0], true)).detach()?;

    // The eigenvectors of the covariance with the greatest values, which come last.
    let covariance = x.t().matmul(&x) / x.size(0) as f64;
    let (values, vectors) = covariance.eigh(Triangle::Lower);
    let components = vectors.narrow(1, 196 - K, K).detach()?;
    let rest = values.narrow(0, 0, 196 - K).sum().item::<f32>()? / 196.0;

    let (at, angles, loss, columns) = train(&x, &components, lesson)?;
    let end = angles[angles.len() - 1];
    lesson.at_most(
        "greatest principal angle, degrees",
        end,
        lesson.pick(1.0, 15.0),
    )?;
    let share = f64::from(loss / rest);
    lesson.close(
        "its error by that of PCA",
        share,
        1.0,
        lesson.pick(0.01, 0.05),
    )?;
    let figure = Figure::new("Angle to the principal subspace")
        .x("step")
        .y("degrees")
        .log_y();
    let figure = figure.dotted_line("greatest angle", &at, &angles);
    lesson.figure("angle", "Descent finds the principal subspace", &figure)?;

    let both = Tensor::cat(&[&components.flip(&[1]).t(), &columns.t()], 0).to_vec::<f32>()?;
    let mut pictures = Vec::new();
    for (at, column) in both.chunks_exact(196).enumerate() {
        let most = f64::from(column.iter().fold(0.0f32, |m, v| m.max(v.abs())));
        let name = if at < K { "PCA" } else { "learned" };
        let picture = Picture::floats(14, 14, column, (-most, most));
        pictures.push(picture.caption(format!("{name} {}", at % K + 1)));
    }
    let figure = Figure::new("Components, and columns of the decoder").image_grid(K, &pictures);
    lesson.figure("bases", "Two bases of one subspace", &figure)
}
