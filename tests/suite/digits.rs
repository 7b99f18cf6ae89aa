//! The built-in digits are no toy: a linear softmax does not learn them, a convolutional network does.

use wgrad::data::{DeviceDataset, Loader, digits};
use wgrad::nn::{Adam, Context, Flatten, Linear, Sequential, gradients};
use wgrad::{Device, Generator, Optimizer, Reduction};

#[test]
fn a_linear_softmax_stays_under_95_percent() {
    let device = Device::cpu();
    let (train, test) = digits::train_test(12_000, 2_000, 1);
    let (mean, std) = train.mean_std();
    let on = |set| {
        DeviceDataset::new(set, &device)
            .unwrap()
            .normalized(mean.into(), std.into())
    };
    let (train, test) = (on(&train), on(&test));
    let mut model = Sequential::new()
        .with("flatten", Flatten::default())
        .with("fc", Linear::new(784, 10, &mut Generator::new(1), &device));
    let mut optimizer = Adam::new(1e-3);
    let mut context = Context::train(1);
    let mut loader = Loader::new(train, 128, 1).unwrap();
    while loader.epochs_done() < 8 {
        while let Some((x, y)) = loader.next_batch() {
            let loss = model
                .forward(&x, &mut context)
                .cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, &model).unwrap();
            optimizer.step(&mut model, &gradients).unwrap();
        }
    }
    let (x, y) = test.batch(&(0..2_000).collect::<Vec<_>>());
    let hits = model
        .forward(&x, &mut context)
        .argmax(1, false)
        .eq(&y)
        .sum();
    let accuracy = f64::from(hits.item::<i32>().unwrap()) / 2_000.0;
    println!(
        "linear softmax on built-in digits: {:.2} %",
        100.0 * accuracy
    );
    assert!((0.80..0.95).contains(&accuracy), "{accuracy}");
}
