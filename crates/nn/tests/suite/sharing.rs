//! Gradients that are asked for in several calls: what they share.

use super::values;
use wgrad_graph::{ConvOptions, Device, Generator, Tensor, explain};
use wgrad_nn::{BatchNorm2d, Context, Linear, Module, Optimizer, Sgd, gradients, loss};

/// A convolution that keeps height and width.
#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Conv {
    weight: Tensor,
    options: ConvOptions<2>,
}

impl Conv {
    fn new(from: usize, to: usize, size: usize, rng: &mut Generator, d: &Device) -> Conv {
        Conv {
            weight: rng.normal(&[to, from, size, size], d) * 0.2,
            options: ConvOptions::default().padding([size / 2, size / 2]),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(&self.weight, None, &self.options)
    }
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Block {
    conv1: Conv,
    norm1: BatchNorm2d,
    conv2: Conv,
    norm2: BatchNorm2d,
    shortcut: Option<Conv>,
}

impl Block {
    fn new(from: usize, to: usize, rng: &mut Generator, d: &Device) -> Block {
        Block {
            conv1: Conv::new(from, to, 3, rng, d),
            norm1: BatchNorm2d::new(to, d),
            conv2: Conv::new(to, to, 3, rng, d),
            norm2: BatchNorm2d::new(to, d),
            shortcut: (from != to).then(|| Conv::new(from, to, 1, rng, d)),
        }
    }

    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.norm1.forward(&self.conv1.forward(x), cx).relu();
        let y = self.norm2.forward(&self.conv2.forward(&y), cx);
        match &self.shortcut {
            Some(conv) => (y + conv.forward(x)).relu(),
            None => (y + x).relu(),
        }
    }
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct ResNet {
    stem: Conv,
    norm: BatchNorm2d,
    blocks: Vec<Block>,
    head: Linear,
}

impl ResNet {
    fn new(d: &Device) -> ResNet {
        let rng = &mut Generator::new(0);
        ResNet {
            stem: Conv::new(1, 3, 3, rng, d),
            norm: BatchNorm2d::new(3, d),
            blocks: vec![
                Block::new(3, 3, rng, d),
                Block::new(3, 4, rng, d),
                Block::new(4, 4, rng, d),
            ],
            head: Linear::new(4, 2, rng, d),
        }
    }

    fn loss(&mut self, x: &Tensor, y: &Tensor) -> Tensor {
        let cx = &mut Context::train(0);
        let mut x = self.norm.forward(&self.stem.forward(x), cx).relu();
        for block in &mut self.blocks {
            x = block.forward(&x, cx);
        }
        loss::cross_entropy(&self.head.forward(&x.mean_dims(&[2, 3], false)), y)
    }
}

fn count(tensors: &[&Tensor], word: &str) -> usize {
    explain(tensors).unwrap().matches(word).count()
}

fn setup(d: &Device) -> (ResNet, Tensor) {
    let mut net = ResNet::new(d);
    let x = Generator::new(1).normal(&[2, 1, 6, 6], d);
    let loss = net.loss(&x, &Tensor::new(&[0, 1], d));
    (net, loss)
}

/// Gradients by one group, then by the other: what both need is recorded once.
#[test]
fn two_calls_share_what_one_computes() {
    let d = Device::cpu();
    let (net, loss) = setup(&d);
    let whole = gradients(&loss, &net).unwrap();
    let whole: Vec<Tensor> = whole.of().to_vec();
    let whole: Vec<&Tensor> = whole.iter().collect();
    let wanted =
        [" conv(", " conv_input_grad", " conv_weight_grad", " matmul"].map(|w| count(&whole, w));
    assert_eq!(wanted[1], 14, "seven in the graph, seven in the plan");
    for flip in [false, true] {
        let (net, loss) = setup(&d);
        let (mut a, mut b): (Vec<Tensor>, Vec<Tensor>) =
            net.parameters().into_iter().partition(|t| t.rank() > 1);
        if flip {
            (a, b) = (b, a);
        }
        let first = gradients(&loss, &a).unwrap();
        let second = gradients(&loss, &b).unwrap();
        let again = gradients(&loss, &a).unwrap();
        assert!(first.of().iter().zip(again.of()).all(|(x, y)| x.same(y)));
        let both: Vec<&Tensor> = first.of().iter().chain(second.of()).collect();
        let got =
            [" conv(", " conv_input_grad", " conv_weight_grad", " matmul"].map(|w| count(&both, w));
        assert_eq!(got, wanted);
        let all = gradients(&loss, &net).unwrap();
        for (name, g) in all.iter() {
            let of = |list: &[Tensor]| list.iter().any(|t| t.same(g));
            assert!(of(first.of()) || of(second.of()), "{name}");
        }
    }
}

/// The same values whether gradients were asked for at once, in parts, or anew with the first ones gone: on a GPU the same bits; on the
/// cpu a sum may be part of another step, whose chains end at other places.
#[test]
fn shared_gradients_have_the_values_of_others() {
    for d in super::devices() {
        let (net, loss) = setup(&d);
        let whole = gradients(&loss, &net).unwrap();
        let want: Vec<Vec<f64>> = whole.of().iter().map(values).collect();
        let (other, loss) = setup(&d);
        for at in (0..want.len()).rev() {
            let one = gradients(&loss, &other.parameters()[at]).unwrap();
            if at % 3 != 0 {
                continue;
            }
            match d == Device::cpu() {
                false => assert_eq!(values(&one[0]), want[at]),
                true => super::close(&values(&one[0]), &want[at], 1e-7),
            }
        }
        let again = gradients(&loss, &other).unwrap();
        for (g, want) in again.of().iter().zip(&want) {
            super::close(&values(g), want, 1e-5);
        }
        assert_eq!(net.num_parameters(), other.num_parameters());
    }
}

/// Sums and products of the same operands in another order are one.
#[test]
fn the_order_of_operands_makes_no_difference() {
    let d = Device::cpu();
    let [a, b, c] = [0, 1, 2].map(|seed| Generator::new(seed).normal(&[3, 3], &d));
    wgrad_graph::eval(&[&a, &b, &c]).unwrap();
    let steps = |x: &Tensor, y: &Tensor| count(&[&x.matmul(&c), &y.matmul(&c)], "= matmul");
    let one = steps(&(&a + &b), &(&a + &b));
    assert_eq!(steps(&(&a + &b), &(&b + &a)), one);
    assert_eq!(steps(&(&a * &b), &(&b * &a)), one);
    assert_eq!(steps(&(&a - &b), &(&b - &a)), one + 1);
}

/// Reading one gradient computes those that are held with it.
#[test]
fn reading_gradients_one_by_one_is_one_run() {
    let d = Device::cpu();
    let (net, loss) = setup(&d);
    let g = gradients(&loss, &net).unwrap();
    let dropped = g.clone().freeze(|name| name != "head.bias");
    values(&g[0]);
    let all: Vec<&Tensor> = g.of().iter().chain([g.loss()]).collect();
    assert_eq!(explain(&all).unwrap(), "", "all have values");
    assert_eq!(dropped.len(), 1);
    // A sibling that cannot be computed does not stand in the way.
    let (x, y) = (Tensor::new(&[1.0f32], &d), Tensor::new(&[2.0f32, 3.0], &d));
    let bad = y.index_select(0, &Tensor::new(&[7], &d));
    let loss = (&x * 3.0).sum() + (&bad * &bad).sum();
    let g = wgrad_graph::grad(&loss, &[&x, &y]).unwrap();
    assert!(g[1].to_vec::<f32>().is_err());
    assert_eq!(values(&g[0]), [3.0]);
}

/// A step that fails leaves running statistics as they were, on every device.
#[test]
fn a_failed_step_leaves_running_statistics() {
    for d in super::devices() {
        let mut net = ResNet::new(&d);
        let mut sgd = Sgd::new(0.1).momentum(0.9);
        let x = Generator::new(1).normal(&[2, 1, 6, 6], &d);
        let good = Tensor::new(&[0, 1], &d);
        let loss = net.loss(&x, &good);
        let g = gradients(&loss, &net).unwrap();
        sgd.step(&mut net, &g).unwrap();
        let before: Vec<Vec<f64>> = net.state().iter().map(|(_, t)| values(t)).collect();
        for _ in 0..2 {
            // An index that only the loss meets; the statistics alone could be computed.
            net.loss(&(&x + 1.0), &good);
            let loss = net.loss(&(&x * 2.0), &Tensor::new(&[0, 5], &d));
            let g = gradients(&loss, &net).unwrap();
            let stepped = sgd.step(&mut net, &g);
            assert!(stepped.is_err() || loss.item::<f32>().is_err());
            let now: Vec<Vec<f64>> = net.state().iter().map(|(_, t)| values(t)).collect();
            assert_eq!(now, before);
            assert_eq!(sgd.steps(), 1);
        }
        let loss = net.loss(&x, &good);
        let g = gradients(&loss, &net).unwrap();
        sgd.step(&mut net, &g).unwrap();
        assert_ne!(
            values(net.norm.running_mean.as_ref().expect("tracked")),
            before[3]
        );
    }
}
