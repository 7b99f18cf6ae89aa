//! Dropout: how much falls, and that it repeats.

use super::{devices, values};
use wgrad_graph::{DType, Device, ErrorKind, Tensor, grad};
use wgrad_nn::{Context, Dropout};

const N: usize = 20_000;

#[test]
fn drops_its_share_and_scales_the_rest() {
    let x = Tensor::ones(&[N], DType::F32, &Device::cpu());
    for p in [0.1, 0.5, 0.9] {
        let y = values(&Dropout::new(p).forward(&x, &mut Context::train(1)));
        let kept = f64::from((1.0 / (1.0 - p)) as f32);
        assert!(y.iter().all(|&v| v == 0.0 || (v - kept).abs() < 1e-6));
        let share = y.iter().filter(|&&v| v == 0.0).count() as f64 / N as f64;
        // Four standard deviations of a binomial share.
        assert!(
            (share - p).abs() < 4.0 * (p * (1.0 - p) / N as f64).sqrt(),
            "{share}, not {p}"
        );
    }
}

#[test]
fn masks_are_named_by_seed_and_step() {
    let mask = |device: &Device, cx: &mut Context| {
        values(&Dropout::new(0.5).forward(&Tensor::ones(&[64], DType::F32, device), cx))
    };
    let cpu = Device::cpu();
    let first = mask(&cpu, &mut Context::train(7));
    assert_eq!(first, mask(&cpu, &mut Context::train(7)));
    for device in devices() {
        assert_eq!(first, mask(&device, &mut Context::train(7)));
    }
    assert_ne!(first, mask(&cpu, &mut Context::train(8)));
    let mut cx = Context::train(7);
    assert_eq!(first, mask(&cpu, &mut cx));
    assert_ne!(first, mask(&cpu, &mut cx));
    cx.next_step();
    let second = mask(&cpu, &mut cx);
    assert_ne!(first, second);
    let mut resumed = Context {
        training: true,
        rng: wgrad_graph::Generator::from_state([7, 1, 0]),
    };
    assert_eq!(second, mask(&cpu, &mut resumed));
}

#[test]
fn borders() {
    for d in devices() {
        let x = Tensor::new(&[1.0f32, f32::NAN, f32::INFINITY], &d);
        assert!(Dropout::new(0.5).forward(&x, &mut Context::eval()).same(&x));
        assert!(
            Dropout::new(0.0)
                .forward(&x, &mut Context::train(0))
                .same(&x)
        );
        let y = Dropout::new(1.0).forward(&x, &mut Context::train(0));
        assert_eq!(values(&y), [0.0; 3]);
        assert_eq!(values(&grad(&y.sum(), &[&x]).unwrap()[0]), [0.0; 3]);
        let wrong = Dropout::new(1.5).forward(&x, &mut Context::train(0));
        assert_eq!(wrong.check().unwrap_err().kind(), ErrorKind::Value);
    }
}

#[test]
fn the_gradient_has_the_mask_of_the_value() {
    for d in devices() {
        let x = Tensor::ones(&[100], DType::F32, &d);
        let y = Dropout::new(0.3).forward(&x, &mut Context::train(2));
        let g = grad(&y.sum(), &[&x]).unwrap();
        assert_eq!(values(&g[0]), values(&y));
    }
}
