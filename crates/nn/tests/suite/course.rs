//! Layers beyond PyTorch's: they start well, name their parameters, and learn.

use super::{close, devices, values};
use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
use wgrad_nn::{
    Abs, Adam, Checkpointed, Context, Dropout, Layer, Linear, LocallyConnected2d, Maxout, Module,
    Optimizer, Rbf, Relu, Sequential, TiledConv2d, gradients, loss,
};

fn names(m: &dyn Module) -> Vec<String> {
    m.named_parameters().into_iter().map(|(n, _)| n).collect()
}

#[test]
fn local_and_tiled_convolutions() {
    for d in devices() {
        let rng = &mut Generator::new(1);
        let o = ConvOptions::default().padding([1, 1]);
        let x = rng.normal(&[2, 3, 5, 4], &d);
        let local = LocallyConnected2d::new(3, 6, [5, 4], [3, 3], o, rng, &d);
        let tiled = TiledConv2d::new(3, 6, [2, 2], [3, 3], o, rng, &d);
        assert_eq!(names(&local), ["weight", "bias"]);
        assert_eq!(local.num_parameters(), 5 * 4 * 6 * (3 * 9 + 1));
        assert_eq!(tiled.num_parameters(), 2 * 2 * 6 * (3 * 9 + 1));
        assert_eq!(Layer::kind(&local), "LocallyConnected2d(3, 6, 3x3 at 5x4)");
        assert_eq!(Layer::kind(&tiled), "TiledConv2d(3, 6, 3x3, tile 2x2)");
        // The kernel at (1, 2) is the tile's (1, 0): the same with the tile's weights put there.
        let (i, j) = (1, 2);
        let at = |t: &Tensor, a, b| t.select(0, a).select(0, b);
        let y = tiled.forward(&x).select(-2, i).select(-1, j);
        let bias = tiled.bias.as_ref().expect("a bias");
        let bias = bias.select(-2, 1).select(-1, 0);
        let want = x.conv2d(&at(&tiled.weight, 1, 0), Some(&bias), &o);
        close(
            &values(&y),
            &values(&want.select(-2, i).select(-1, j)),
            1e-5,
        );
        let y = local.forward(&x).select(-2, i).select(-1, j);
        let bias = local.bias.as_ref().expect("a bias");
        let bias = bias.select(-2, i).select(-1, j);
        let want = x.conv2d(&at(&local.weight, i, j), Some(&bias), &o);
        close(
            &values(&y),
            &values(&want.select(-2, i).select(-1, j)),
            1e-5,
        );
        let without = local.without_bias();
        assert_eq!(names(&without), ["weight"]);
        assert!(tiled.without_bias().forward(&x).check().is_ok());
        assert!(without.forward(&x.narrow(1, 0, 2)).check().is_err());
    }
}

#[test]
fn units_learn() {
    let d = Device::cpu();
    let rng = &mut Generator::new(2);
    let x = rng.normal(&[64, 2], &d).detach().expect("data");
    // A ring: no affine map tells it apart.
    let y = x
        .square()
        .sum_dims(&[1], true)
        .gt_scalar(1.2)
        .cast(DType::F32);
    let train = |mut net: Sequential| {
        let mut optimizer = Adam::new(0.02);
        let mut last = 0.0;
        for _ in 0..200 {
            let out = net.forward(&x, &mut Context::eval());
            let l = loss::mse(&out, &y);
            let g = gradients(&l, &net).expect("gradients");
            optimizer.step(&mut net, &g).expect("a step");
            last = l.item::<f32>().expect("a loss");
        }
        last
    };
    let maxout = Maxout::new(2, 8, 4, rng, &d);
    assert_eq!(names(&maxout), ["linear.weight", "linear.bias"]);
    assert_eq!(Layer::kind(&maxout), "Maxout(2, 8, 4 pieces)");
    let rbf = Rbf::new(2, 16, rng, &d);
    assert_eq!(names(&rbf), ["centers", "widths"]);
    assert_eq!(Layer::kind(&rbf), "Rbf(2, 16)");
    let out = |n| Linear::new(n, 1, &mut Generator::new(3), &d);
    let nets = [
        Sequential::new().with("maxout", maxout).with("out", out(8)),
        Sequential::new().with("rbf", rbf).with("out", out(16)),
        Sequential::new()
            .with("fc", Linear::new(2, 16, rng, &d))
            .with("abs", Abs)
            .with("out", out(16)),
    ];
    for net in nets {
        let last = train(net);
        assert!(last < 0.08, "{last}");
    }
    let affine = train(Sequential::new().with("out", out(2)));
    assert!(affine > 0.15, "{affine}");
    let fixed = Rbf::with_centers(&x, 0.5);
    assert_eq!(fixed.forward(&x).shape(), [64, 64]);
}

/// The same network with and without a checkpoint: the same loss and gradients, dropout included.
#[test]
fn a_checkpoint_changes_no_number() {
    for d in devices() {
        let build = || {
            let rng = &mut Generator::new(4);
            Sequential::new()
                .with("a", Linear::new(5, 7, rng, &d))
                .with("drop", Dropout::new(0.4))
                .with("relu", Relu)
                .with("b", Linear::new(7, 3, rng, &d))
        };
        let x = Generator::new(9).normal(&[6, 5], &d);
        let run = |net: &mut dyn Layer| {
            let out = net.forward(&x, &mut Context::train(8));
            let l = out.square().mean();
            let g = wgrad_graph::grad(&l, &net.parameters().iter().collect::<Vec<_>>());
            let g = g.expect("gradients").iter().map(values).collect::<Vec<_>>();
            (values(&l), g)
        };
        let (mut plain, mut kept) = (build(), Checkpointed::new(build()));
        assert_eq!(names(&plain), names(&kept));
        assert_eq!(run(&mut plain), run(&mut kept));
        assert_eq!(kept.kind(), "Checkpointed(Sequential(4))");
    }
}
