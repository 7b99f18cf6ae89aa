//! A deep convolutional generative adversarial network (Radford et al. 2016) for images of 28 by 28: two networks, two
//! optimisers, one step for a round of both.

use super::super::case::Unit;
use super::step::{Model, Step, Trained, descend, plain};
use wgrad::nn::{
    Adam, BatchNorm2d, Context, Conv2d, ConvTranspose2d, Flatten, LeakyRelu, Linear, Relu,
    Sequential, Tanh,
};
use wgrad::{ConvOptions, ConvTransposeOptions, Device, Generator, Module, Reduction, Tensor};

const NOISE: usize = 100;
const BATCH: usize = 64;

pub const DCGAN: Model = Model {
    name: "dcgan_28_b64",
    unit: Unit::Samples,
    amount: BATCH,
    build,
    batch: |rng, device| {
        let real = rng.uniform(&[BATCH, 1, 28, 28], device) * 2.0 - 1.0;
        vec![real, rng.normal(&[BATCH, NOISE, 1, 1], device)]
    },
};

#[derive(Module)]
struct Networks {
    generator: Sequential,
    discriminator: Sequential,
}

/// Noise `[batch, 100, 1, 1]` to images.
fn generator(rng: &mut Generator, device: &Device) -> Sequential {
    let first = ConvTransposeOptions::default();
    let twice = first.stride([2, 2]).padding([1, 1]);
    let mut up = |from, to, kernel, options| {
        ConvTranspose2d::new(from, to, [kernel; 2], options, rng, device).without_bias()
    };
    Sequential::new()
        .push(up(NOISE, 128, 7, first))
        .push(BatchNorm2d::new(128, device))
        .push(Relu)
        .push(up(128, 64, 4, twice))
        .push(BatchNorm2d::new(64, device))
        .push(Relu)
        .push(up(64, 1, 4, twice))
        .push(Tanh)
}

/// Images to a logit. Its first layer is not normalised, as in the paper.
fn discriminator(rng: &mut Generator, device: &Device) -> Sequential {
    let half = ConvOptions::default().stride([2, 2]).padding([1, 1]);
    let leaky = LeakyRelu {
        negative_slope: 0.2,
    };
    let mut down = |from, to| Conv2d::new(from, to, [4, 4], half, rng, device).without_bias();
    let layers = Sequential::new()
        .push(down(1, 64))
        .push(leaky)
        .push(down(64, 128))
        .push(BatchNorm2d::new(128, device))
        .push(leaky)
        .push(Flatten::default());
    layers.push(Linear::new(128 * 7 * 7, 1, rng, device))
}

fn bce(logits: &Tensor, label: f64) -> Tensor {
    logits.binary_cross_entropy_with_logits(&logits.full_like(label), Reduction::Mean)
}

/// Both losses, the generator's in the form that does not saturate, each with the norm of its gradients.
fn round(
    networks: &mut Networks,
    [d_adam, g_adam]: &mut [Adam; 2],
    cx: &mut Context,
    batch: &[Tensor],
) -> wgrad::Result<Vec<Tensor>> {
    let (generator, discriminator) = (&mut networks.generator, &mut networks.discriminator);
    let fake = generator.forward(&batch[1], cx);
    let real = bce(&discriminator.forward(&batch[0], cx), 1.0);
    let d_loss = real + bce(&discriminator.forward(&fake.stop_gradient(), cx), 0.0);
    let d_norm = descend(&d_loss, discriminator, d_adam)?;
    let g_loss = bce(&discriminator.forward(&fake, cx), 1.0);
    let g_norm = descend(&g_loss, generator, g_adam)?;
    Ok(vec![d_loss, d_norm, g_loss, g_norm])
}

fn build(device: &Device) -> Box<dyn Step> {
    let rng = &mut Generator::new(0);
    let networks = Networks {
        generator: generator(rng, device),
        discriminator: discriminator(rng, device),
    };
    let adam = || {
        let adam = Adam::new(2e-4).betas(0.5, 0.999).weight_decay(1e-4);
        adam.group("plain", plain, |g| g.weight_decay(0.0))
    };
    let rest = ([adam(), adam()], Context::train(0));
    Box::new(Trained::new(
        networks,
        rest,
        |networks, (adams, cx), batch| round(networks, adams, cx, batch),
    ))
}
