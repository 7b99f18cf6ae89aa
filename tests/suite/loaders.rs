//! Batches gathered, augmented and mixed inside a compiled step: each call draws anew, and draws what the function itself
//! would have drawn. A loader on threads feeds a training loop.

use crate::support::gpu;
use wgrad::data::augment::{Augment, RandomAffine, cutmix, mixup};
use wgrad::data::{Dataset, DeviceDataset, Gather, ImageDataset, Loader, dataset_fn, digits};
use wgrad::nn::{Context, compile};
use wgrad::{Device, PadMode, Result, Tensor};

/// Digits in three colours.
fn colored(n: usize) -> ImageDataset {
    let grey = digits::generate(n, 3);
    let mut pixels = Vec::new();
    for index in 0..n {
        let (image, _) = grey.get(index).expect("an image");
        for channel in 1..4_u8 {
            pixels.extend(image.iter().map(|&p| p / channel));
        }
    }
    let labels = grey.labels().to_vec();
    ImageDataset::with_channels("colored", pixels, labels, [3, 28, 28], 10).expect("a dataset")
}

fn augment() -> Augment {
    Augment::new()
        .horizontal_flip(0.5)
        .crop(2, Some((24, 24)), PadMode::Reflect)
        .affine(RandomAffine {
            degrees: 15.0,
            translate: (0.1, 0.1),
            scale: (0.9, 1.1),
            shear: 5.0,
            ..RandomAffine::default()
        })
        .color(0.2, 0.2, 0.2, 0.1)
        .erase(0.5)
        .noise(0.01)
}

/// Sums of the images and of the targets, `[2, 4]`.
fn step<D: Gather<Item = (Tensor, Tensor)>>(
    set: &D,
    cx: &mut Context,
    index: &Tensor,
) -> Result<Tensor> {
    let (x, y) = set.gather(index);
    let x = augment().apply(&x, &mut cx.rng);
    let mixed = mixup(&x, &y, 10, 0.4, &mut cx.rng);
    let classes = mixed.targets.argmax(1, false);
    let cut = cutmix(&mixed.images, &classes, 10, 1.0, &mut cx.rng);
    cx.next_step();
    let weights = Tensor::arange(10, x.device());
    let sums = [
        cut.images.mean_dims(&[1, 2, 3], false),
        (cut.targets * weights).sum_dims(&[1], false),
    ];
    Ok(Tensor::stack(&[&sums[0], &sums[1]], 0))
}

#[test]
fn augmentation_inside_a_compiled_step_draws_what_the_function_draws() {
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        let images = colored(24);
        let (mean, std) = images.channel_mean_std();
        let set = DeviceDataset::new(&images, &device).expect("room");
        let set = set
            .normalized_channels(&mean, &std)
            .expect("three channels");
        let part: Vec<u32> = (4..24).collect();
        let set = set.subset(&part).expect("a part");
        let own = set.clone();
        let mut compiled =
            compile(move |cx: &mut Context, inputs: &[Tensor]| step(&own, cx, &inputs[0]));
        let (mut cx, mut plain) = (Context::train(5), Context::train(5));
        let mut loader = Loader::new(set.clone(), 4, 1).expect("a loader");
        let mut seen: Vec<Vec<f32>> = Vec::new();
        while let Some(index) = loader.next_index() {
            let got = compiled.call(&mut cx, &[&index]).expect("a step");
            let got = got.to_vec::<f32>().expect("its result");
            let expected = step(&set, &mut plain, &index).expect("a step");
            let expected = expected.to_vec::<f32>().expect("its result");
            for (got, expected) in got.iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-4, "{got} {expected}");
            }
            seen.push(got);
        }
        assert_eq!(seen.len(), 5);
        let same = compiled
            .call(&mut cx, &[&set.index(&[0, 0, 0, 0])])
            .expect("a step");
        let same = same.to_vec::<f32>().expect("its result");
        assert!(
            same[1..4].iter().all(|v| *v != same[0]),
            "one image, four draws: {same:?}"
        );
    }
}

#[test]
fn a_loader_on_threads_puts_batches_on_the_device() {
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        let own = device.clone();
        let set = dataset_fn(50, move |indices: &[u32]| {
            let rows: Vec<f32> = indices.iter().flat_map(|&i| [i as f32, 1.0]).collect();
            Ok(Tensor::from_slice(&rows, &[indices.len(), 2], &own))
        });
        let mut loader = Loader::new(set, 8, 0)
            .expect("a loader")
            .prefetch(3, 4)
            .expect("threads");
        for _ in 0..3 {
            let mut sum = 0.0;
            for batch in loader.epoch() {
                sum += batch
                    .expect("a batch")
                    .sum()
                    .item::<f32>()
                    .expect("its sum");
            }
            assert_eq!(sum, (0..50).sum::<i32>() as f32 + 50.0);
        }
    }
}
