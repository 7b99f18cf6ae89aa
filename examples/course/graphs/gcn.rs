//! Cora: 2,708 papers in seven fields, with the words in each and who cites whom. 140 labels are known. A network that sees the words
//! alone is poor; two graph convolutions, `softmax(Â relu(Â X W₀) W₁)`, spread what is known along the citations. Source: Kipf and Welling,
//! Semi-Supervised Classification with Graph Convolutional Networks, 2017: 81.5 %.

use crate::lesson::{Lesson, Result};
use wgrad::data::GraphDataset;
use wgrad::nn::{Adam, Context, Dropout, GcnConv, Linear, compile, gradients, loss};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Tensor};

#[derive(Module)]
enum Net {
    Gcn([GcnConv; 2]),
    Mlp([Linear; 2]),
}

impl Net {
    fn forward(&self, x: &Tensor, edges: &Tensor, cx: &mut Context) -> Tensor {
        let drop = Dropout::new(0.5);
        let layer = |at: usize, x: &Tensor| match self {
            Net::Gcn(layers) => layers[at].forward(x, edges, None),
            Net::Mlp(layers) => layers[at].forward(x),
        };
        let hidden = layer(0, &drop.forward(x, cx)).relu();
        layer(1, &drop.forward(&hidden, cx))
    }
}

/// Trains for some epochs; the accuracy on the test papers after each ten of them.
fn train(
    net: Net,
    cora: &GraphDataset,
    epochs: usize,
    seed: u64,
    lesson: &Lesson,
) -> Result<Vec<f32>> {
    let device = &lesson.device;
    let list = |list: &[i32]| Tensor::new(list, device);
    let (known, unknown, class) = (list(&cora.train), list(&cora.test), list(&cora.labels));
    let (x, edges) = (cora.x(device), cora.edge_index(device));
    // Only the first layer's weights are kept small, as in the paper.
    let adam = Adam::new(0.01).group(
        "first",
        |name, _| name.starts_with('0'),
        |adam| adam.weight_decay(5e-4),
    );
    let mut state = (net, adam, Context::train(seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let scores = net.forward(&b[0], &b[1], cx).index_select(0, &b[3]);
        let loss = loss::cross_entropy(&scores, &b[2].index_select(0, &b[3]));
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let mut curve = Vec::new();
    for epoch in 1..=epochs {
        step.call(&mut state, &[&x, &edges, &class, &known])?;
        if epoch % 10 == 0 {
            let scores = state.0.forward(&x, &edges, &mut Context::eval());
            let right = scores.argmax(-1, false).eq(&class).cast(DType::F32);
            curve.push(right.index_select(0, &unknown).mean().item::<f32>()?);
        }
    }
    Ok(curve)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(folder) = lesson.data("cora") else {
        lesson.say(
            "This lesson needs nodes.tsv and edges.tsv, made from github.com/tkipf/gcn, gcn/data.",
        );
        return Ok(());
    };
    let cora = GraphDataset::read(folder, 1433)?;
    let (epochs, runs) = lesson.pick((200, 5), (60, 1));
    let mut figure = Figure::new("Cora")
        .x("epoch")
        .y("accuracy on 1,000 test papers")
        .percent_y();
    let at: Vec<usize> = (1..=epochs / 10).map(|ten| ten * 10).collect();
    let mut means = Vec::new();
    for name in ["words and citations (GCN)", "words alone (MLP)"] {
        let mut ends = Vec::new();
        for run in 0..runs {
            let seed = lesson.seed * 100 + run;
            let mut rng = Generator::new(seed);
            let net = match means.len() {
                0 => Net::Gcn(
                    [(1433, 16), (16, 7)]
                        .map(|(from, to)| GcnConv::new(from, to, &mut rng, device)),
                ),
                _ => Net::Mlp(
                    [(1433, 16), (16, 7)].map(|(from, to)| Linear::new(from, to, &mut rng, device)),
                ),
            };
            let curve = train(net, &cora, epochs, seed, lesson)?;
            ends.push(f64::from(curve[curve.len() - 1]));
            if run == 0 {
                figure = figure.dotted_line(name, &at, &curve);
            }
        }
        lesson.say(format!("{name}: {ends:.3?}"));
        means.push(ends.iter().sum::<f64>() / runs as f64);
    }
    let (want, within) = lesson.pick((0.815, 0.01), (0.78, 0.08));
    lesson.close("GCN, mean of test accuracy", means[0], want, within)?;
    lesson.at_most("MLP", means[1], 0.65)?;
    lesson.figure("accuracy", "What neighbours add", &figure)
}
