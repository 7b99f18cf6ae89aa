//! How modules are put together: enums, borrowed modules, lists and maps, initial values, the caller's line, frozen and
//! shared parts, and that bad arguments are errors that say where.

use super::{devices, spread, values};
use wgrad_graph::{ConvOptions, ConvTransposeOptions, DType, Device, ErrorKind, Generator, Tensor};
use wgrad_nn::*;

#[derive(Module)]
#[module(crate = wgrad_nn)]
enum Choice {
    Nothing,
    One(Linear),
    Two(Linear, #[module(buffer)] Tensor),
    Named {
        scale: Tensor,
        #[module(watch)]
        label: &'static str,
    },
}

#[test]
fn an_enum_shows_the_variant_that_is_there() {
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let linear = Linear::new(2, 3, rng, &d);
    let scale = Tensor::new(&[1.0f32], &d);
    let mut choices = vec![
        Choice::Nothing,
        Choice::One(linear.clone()),
        Choice::Two(linear.clone(), scale.clone()),
        Choice::Named { scale, label: "x" },
    ];
    let names: Vec<String> = choices.state().into_iter().map(|(n, _)| n).collect();
    let want = [
        "1.weight",
        "1.bias",
        "2.0.weight",
        "2.0.bias",
        "2.1",
        "3.scale",
    ];
    assert_eq!(names, want);
    assert_eq!(choices.buffers()[0].0, "2.1");
    let copies = choices.duplicate().expect("every variant can be copied");
    assert_eq!(copies.state().len(), want.len());
    let mut kinds = 0;
    choices.visit_host(&mut |host| kinds += usize::from(matches!(host, Host::Value(_))));
    // The list's length, four variants, a label, and whether two biases are there.
    assert_eq!(kinds, 1 + 4 + 1 + 2);
    assert!(matches!(&copies[3], Choice::Named { label: "x", .. }));
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
enum Way {
    Once(Tensor),
    Twice(Tensor),
}

#[test]
fn a_compiled_function_follows_an_enum() {
    for d in devices() {
        let mut step = compile(|way: &mut Way, _: &[Tensor]| {
            Ok(match way {
                Way::Once(w) => w.sum(),
                Way::Twice(w) => w.sum() * 2.0,
            })
        });
        let w = Tensor::new(&[1.0f32, 2.0], &d);
        for (mut way, want) in [
            (Way::Once(w.clone()), 3.0),
            (Way::Twice(w.clone()), 6.0),
            (Way::Once(w), 3.0),
        ] {
            for _ in 0..3 {
                assert_eq!(
                    step.call(&mut way, &[]).unwrap().item::<f32>().unwrap(),
                    want
                );
            }
        }
    }
}

#[test]
fn a_failed_call_puts_an_enums_variant_back() {
    let d = Device::cpu();
    let mut step = compile(|way: &mut Way, _: &[Tensor]| {
        let Way::Once(w) = way else {
            return Err(wgrad_graph::Error::new(ErrorKind::Value, "step", "twice"));
        };
        *way = Way::Twice(&*w * 2.0);
        Err::<Tensor, _>(wgrad_graph::Error::new(ErrorKind::Value, "step", "once"))
    });
    let mut way = Way::Once(Tensor::new(&[1.0f32, 2.0], &d));
    for _ in 0..3 {
        let error = step.call(&mut way, &[]).unwrap_err();
        assert_eq!(error.message(), "once");
        let Way::Once(w) = &way else {
            panic!("the variant was not put back")
        };
        assert_eq!(values(w), [1.0, 2.0]);
    }
}

#[test]
fn borrowed_modules_are_a_state() {
    for d in devices() {
        let x = Tensor::from_slice(&spread(12), &[4, 3], &d);
        let fresh = || {
            (
                Linear::new(3, 2, &mut Generator::new(3), &d),
                Adam::new(0.1),
            )
        };
        let ((mut a, mut adam), (mut b, mut other)) = (fresh(), fresh());
        {
            let mut step = compile(|(net, adam): &mut (&mut Linear, &mut Adam), x: &[Tensor]| {
                let loss = Linear::forward(net, &x[0]).square().mean();
                let gradients = gradients(&loss, &**net)?;
                adam.step(&mut **net, &gradients)?;
                Ok(loss)
            });
            let mut state = (&mut a, &mut adam);
            for _ in 0..4 {
                step.call(&mut state, &[&x]).unwrap();
            }
        }
        for _ in 0..4 {
            let loss = b.forward(&x).square().mean();
            let gradients = gradients(&loss, &b).unwrap();
            other.step(&mut b, &gradients).unwrap();
        }
        super::close(&values(&a.weight), &values(&b.weight), 1e-6);
        assert_eq!(adam.steps(), 4);
    }
}

#[test]
fn a_layers_error_has_the_callers_line() {
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let conv = Conv2d::new(3, 4, [3, 3], ConvOptions::default(), rng, &d);
    let inner = Sequential::new().push(conv).push(Relu);
    let both = Concat::new(1).with("a", inner).with("b", Identity);
    let mut net = Sequential::new()
        .with("both", both)
        .with("flatten", Flatten::default());
    let x = Tensor::ones(&[1, 2, 8, 8], DType::F32, &d);
    let y = net.forward(&x, &mut Context::eval());
    let error = y.check().unwrap_err();
    let place = error.location().expect("a place");
    assert!(place.file().ends_with("structure.rs"), "{error}");
    assert!(error.to_string().contains("in layer \"0\""), "{error}");
    // A layer of one's own keeps its lines.
    let mut own = Sequential::new().push(Own);
    let y = own.forward(&x, &mut Context::eval());
    assert_eq!(y.location().line(), OWN_LINE);
    // So does a bad index, which only the run finds.
    let mut words = Sequential::new().push(Embedding::new(3, 2, rng, &d));
    let y = words.forward(&Tensor::new(&[7], &d), &mut Context::eval());
    let error = y.to_vec::<f32>().unwrap_err();
    assert!(
        error.location().unwrap().file().ends_with("structure.rs"),
        "{error}"
    );
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Own;

const OWN_LINE: u32 = line!() + 4;

impl Layer for Own {
    fn forward(&mut self, x: &Tensor, _: &mut Context) -> Tensor {
        x + 1.0
    }

    fn kind(&self) -> String {
        "Own".to_string()
    }
}

#[test]
fn initial_values_replace_old_ones_or_nothing() {
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let mut net = Sequential::new()
        .push(Linear::new(4, 3, rng, &d))
        .push(BatchNorm1d::new(3, &d));
    net.init(|name, old| {
        name.ends_with("weight")
            .then(|| init::constant(old.shape(), 0.5, old.device()))
    })
    .unwrap();
    let of = |net: &Sequential, name: &str| {
        let found = net.state().into_iter().find(|(n, _)| n == name);
        values(&found.expect("a tensor of this name").1)
    };
    assert_eq!(of(&net, "0.weight"), [0.5; 12]);
    assert_eq!(of(&net, "1.weight"), [0.5; 3]);
    assert_eq!(of(&net, "1.running_var"), [1.0; 3]);
    let error = net
        .init(|_, old| init::zeros(&[7], old.device()))
        .unwrap_err();
    for name in ["0.weight", "0.bias", "1.running_mean"] {
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(of(&net, "0.weight"), [0.5; 12]);
    // What stands in two places stays one tensor, and is asked for once.
    let shared = Linear::new(2, 2, rng, &d);
    let mut two = [shared.clone(), shared];
    let mut asked = 0;
    two.init(|_, old| {
        asked += 1;
        init::ones(old.shape(), old.device())
    })
    .unwrap();
    assert!(asked == 2 && two[0].weight.same(&two[1].weight));
    assert_eq!(values(&two[1].bias.clone().unwrap()), [1.0, 1.0]);
}

#[test]
fn initialisers_have_their_structure() {
    for d in devices() {
        let rng = &mut Generator::new(4);
        for shape in [
            &[6, 6][..],
            &[40, 40],
            &[5, 12],
            &[12, 5],
            &[8, 3, 2, 2],
            &[1, 7],
        ] {
            let w = init::orthogonal(shape, 2.0, rng, &d).flatten(1, -1);
            let (rows, columns) = (w.size(0), w.size(1));
            let square = if rows <= columns {
                w.matmul(&w.t())
            } else {
                w.t().matmul(&w)
            };
            let n = rows.min(columns);
            let want: Vec<f64> = (0..n * n)
                .map(|i| if i % (n + 1) == 0 { 4.0 } else { 0.0 })
                .collect();
            super::close(&values(&square), &want, 2e-4);
        }
        let w = values(&init::sparse(&[10, 4], 0.31, 2.0, rng, &d));
        for column in 0..4 {
            assert_eq!((0..10).filter(|r| w[r * 4 + column] == 0.0).count(), 4);
        }
        let w = init::dirac(&[4, 2, 3, 3], 2, &d);
        let x = Tensor::from_slice(&spread(4 * 20), &[1, 4, 4, 5], &d);
        let same = ConvOptions::default().padding([1, 1]).groups(2);
        assert_eq!(values(&x.conv2d(&w, None, &same)), values(&x));
    }
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let bad = [
        init::orthogonal(&[3], 1.0, rng, &d),
        init::dirac(&[3, 2], 1, &d),
        init::dirac(&[3, 2, 2], 2, &d),
        init::eye(&[3], &d),
        init::sparse(&[2, 2, 2], 0.1, 1.0, rng, &d),
        init::sparse(&[2, 2], 1.5, 1.0, rng, &d),
        init::trunc_normal(&[2], 0.0, -1.0, -2.0, 2.0, rng, &d),
    ];
    assert!(bad.iter().all(|t| t.check().is_err()));
}

#[test]
fn bad_layers_are_errors_that_say_why() {
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let cx = &mut Context::train(0);
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &d);
    let (plain, up) = (
        ConvOptions::<2>::default(),
        ConvTransposeOptions::<2>::default(),
    );
    let image = ones(&[1, 4, 3, 3]);
    let bad = [
        (
            "groups",
            Conv2d::new(5, 4, [3, 3], plain.groups(2), rng, &d).forward(&ones(&[1, 5, 4, 4])),
        ),
        (
            "groups",
            Conv2d::new(4, 5, [3, 3], plain.groups(2), rng, &d).forward(&image),
        ),
        (
            "groups",
            ConvTranspose2d::new(4, 5, [3, 3], up.groups(2), rng, &d).forward(&image),
        ),
        (
            "conv2d",
            Conv2d::new(4, 4, [5, 5], plain, rng, &d).forward(&image),
        ),
        (
            "output padding",
            ConvTranspose2d::new(4, 4, [3, 3], up, rng, &d).forward_sized(&image, [9, 9]),
        ),
        ("max_pool2d", MaxPool2d::new(4).forward(&image)),
        ("groups", GroupNorm::new(3, 4, &d).forward(&image)),
        ("4", GroupNorm::new(2, 4, &d).forward(&ones(&[1, 6]))),
        ("batch_norm", BatchNorm2d::new(3, &d).forward(&image, cx)),
        (
            "more than one value",
            BatchNorm1d::new(3, &d).forward(&ones(&[1, 3]), cx),
        ),
        (
            "instance_norm",
            InstanceNorm2d::new(4).forward(&ones(&[4, 3]), cx),
        ),
        ("does not end in", RmsNorm::new(&[5], &d).forward(&image)),
        ("channels", Dropout2d::new(0.5).forward(&ones(&[4]), cx)),
        ("within [0, 1]", AlphaDropout::new(1.5).forward(&image, cx)),
        ("within [0, 1]", DropPath::new(-0.5).forward(&image, cx)),
        ("at least 0", GaussianNoise::new(-1.0).forward(&image, cx)),
        (
            "no range",
            RRelu {
                lower: 0.5,
                upper: 0.1,
            }
            .forward(&image, cx),
        ),
        ("halves", SwiGlu { dim: -1 }.forward(&image)),
        (
            "integers",
            Embedding::new(3, 2, rng, &d).forward(&ones(&[2])),
        ),
        (
            "padding_idx",
            Embedding::new(3, 2, rng, &d).padding_idx(3).weight,
        ),
        (
            "weights",
            EmbeddingBag::new(3, 2, BagMode::Mean, rng, &d)
                .forward_weighted(&Tensor::from_slice(&[1], &[1, 1], &d), &ones(&[1, 1])),
        ),
        (
            "bilinear",
            Bilinear::new(3, 4, 2, rng, &d).forward(&ones(&[2, 3]), &ones(&[3, 4])),
        ),
        (
            "shortcut",
            Residual::new(Linear::new(3, 2, rng, &d)).forward(&image, cx),
        ),
        ("no branches", Concat::new(0).forward(&image, cx)),
        (
            "two branches",
            Concat::new(0)
                .with("a", Relu)
                .with("a", Relu)
                .forward(&image, cx),
        ),
        ("groups", ChannelShuffle::new(3).forward(&image)),
        ("spatial", GlobalAvgPool.forward(&ones(&[2, 3]))),
        (
            "no dimension",
            WeightNorm::over(Linear::new(3, 2, rng, &d), Some(2)).forward(&image, cx),
        ),
    ];
    let mut wrong = Vec::new();
    for (i, (part, t)) in bad.iter().enumerate() {
        match t.check() {
            Err(e) => {
                let here = e
                    .location()
                    .is_some_and(|l| l.file().ends_with("structure.rs"));
                if !here || !e.to_string().contains(part) {
                    wrong.push(format!("case {i}: {e}, without {part:?}"));
                }
            }
            Ok(t) => wrong.push(format!("case {i} ({part}) gives {:?}", t.shape())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn noise_falls_where_it_should_and_repeats() {
    for d in devices() {
        let x = Tensor::ones(&[40, 25, 2, 3], DType::F32, &d);
        let draw = |seed| values(&Dropout2d::new(0.25).forward(&x, &mut Context::train(seed)));
        let y = draw(1);
        assert!(y == draw(1) && y != draw(2));
        assert!(y.chunks(6).all(|c| c.iter().all(|&v| v == c[0])));
        let dropped = y.chunks(6).filter(|c| c[0] == 0.0).count();
        assert!((190..310).contains(&dropped), "{dropped} of 1,000 channels");
        let y = values(
            &DropPath::new(0.5)
                .batch_wise()
                .forward(&x, &mut Context::train(3)),
        );
        assert!(y.iter().all(|&v| v == y[0]) && (y[0] == 0.0 || y[0] == 2.0));
        let y = values(&GaussianDropout::new(0.2).forward(&x, &mut Context::train(3)));
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let var = y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / y.len() as f64;
        assert!(
            (mean - 1.0).abs() < 0.03 && (var - 0.25).abs() < 0.03,
            "{mean} {var}"
        );
        let y = values(&RRelu::default().forward(&-&x, &mut Context::train(3)));
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        assert!((mean + 11.0 / 48.0).abs() < 0.01, "{mean}");
        let cx = &mut Context::eval();
        for y in [
            Dropout3d::new(0.5).forward(&x, cx),
            FeatureAlphaDropout::new(0.5).forward(&x, cx),
            GaussianNoise::new(1.0).forward(&x, cx),
            DropPath::new(0.5).forward(&x, cx),
        ] {
            assert!(y.same(&x));
        }
    }
}

#[test]
fn alpha_dropout_keeps_mean_and_variance() {
    let x = Generator::new(9).normal(&[200, 200], &Device::cpu());
    for y in [
        AlphaDropout::new(0.3).forward(&x, &mut Context::train(1)),
        FeatureAlphaDropout::new(0.3).forward(&x.unsqueeze(-1), &mut Context::train(1)),
    ] {
        let (mean, std) = (
            y.mean().item::<f32>().unwrap(),
            y.std(1.0).item::<f32>().unwrap(),
        );
        assert!(
            mean.abs() < 0.03 && (std - 1.0).abs() < 0.03,
            "{mean} {std}"
        );
    }
}

#[test]
fn word_vectors_are_read_or_refused() {
    let d = Device::cpu();
    let text = "3 2\nnew york 1 2\n. 0.5 -0.5\nnew york 9 9\n";
    let vectors = WordVectors::parse(text).unwrap();
    assert_eq!((vectors.words.len(), vectors.dim), (2, 2));
    assert_eq!(vectors.get("new york"), Some([1.0, 2.0].as_slice()));
    let (words, missing) = vectors.embedding_of(&["x", ".", "y"], &mut Generator::new(0), &d);
    assert_eq!(missing, [0, 2]);
    assert_eq!(values(&words.weight)[2..4], [0.5, -0.5]);
    for (text, part) in [
        ("", "no vectors"),
        ("a", "line 1"),
        ("a 1 2\nb 1", "line 2: 1 values"),
        ("a 1 2\nb 1 x", "\"x\" is no finite"),
        ("a 1 inf", "no finite"),
        ("5 2\na 1 2", "header says 5"),
        ("1 18446744073709551615\na 1 2", "line 2"),
    ] {
        let error = WordVectors::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn frozen_parts_are_saved_and_not_trained() {
    let (d, rng) = (Device::cpu(), &mut Generator::new(0));
    let mut net = (
        Embedding::new(5, 3, rng, &d).freeze(),
        Frozen::new(Linear::new(3, 3, rng, &d)),
        Linear::new(3, 1, rng, &d),
    );
    assert_eq!((net.num_parameters(), net.state().len()), (4, 5));
    let before = net.state();
    let x = net.0.forward(&Tensor::new(&[1, 4], &d));
    let x = net.1.forward(&x, &mut Context::eval());
    let loss = net.2.forward(&x).square().mean();
    let gradients = gradients(&loss, &net).unwrap();
    Sgd::new(0.1).step(&mut net, &gradients).unwrap();
    let after = net.state();
    for (i, ((name, old), (_, new))) in before.iter().zip(&after).enumerate() {
        assert_eq!(values(old) == values(new), i < 3, "{name}");
    }
}
