//! Graph attention: a node weighs its neighbours by what they are, `αᵢⱼ = softmaxⱼ(leaky_relu(aᵀ [W hᵢ, W hⱼ]))`, where the graph
//! convolution weighs them by their numbers of edges alone. Source: Veličković et al., Graph Attention Networks, 2018: 83.0 % on Cora.

use crate::lesson::{Lesson, Result};
use wgrad::data::GraphDataset;
use wgrad::nn::{Adam, Context, Dropout, GatConv, GatOptions, compile, gradients, loss};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Tensor};

#[derive(Module)]
struct Net {
    first: GatConv,
    second: GatConv,
}

impl Net {
    fn forward(&self, x: &Tensor, edges: &Tensor, cx: &mut Context) -> Tensor {
        let drop = Dropout::new(0.6);
        let x = self.first.forward(&drop.forward(x, cx), edges, cx).elu(1.0);
        self.second.forward(&drop.forward(&x, cx), edges, cx)
    }
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
    let (x, edges, class) = (
        cora.x(device),
        cora.edge_index(device),
        Tensor::new(&cora.labels, device),
    );
    let (known, unknown) = (
        Tensor::new(&cora.train, device),
        Tensor::new(&cora.test, device),
    );

    let mut rng = Generator::new(lesson.seed);
    let (heads, wide) = lesson.pick((8, 8), (4, 4));
    let options = GatOptions {
        heads,
        dropout: 0.6,
        ..GatOptions::default()
    };
    let one = GatOptions {
        heads: 1,
        concat: false,
        ..options
    };
    let net = Net {
        first: GatConv::new(1433, wide, &options, &mut rng, device),
        second: GatConv::new(heads * wide, 7, &one, &mut rng, device),
    };
    lesson.say(format!("{} parameters", net.num_parameters()));
    let adam = Adam::new(lesson.pick(0.005, 0.02)).weight_decay(5e-4);
    let mut state = (net, adam, Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let scores = net.forward(&b[0], &b[1], cx).index_select(0, &b[3]);
        let loss = loss::cross_entropy(&scores, &b[2].index_select(0, &b[3]));
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let epochs = lesson.pick(200, 30);
    let (mut at, mut curve) = (Vec::new(), Vec::new());
    for epoch in 1..=epochs {
        step.call(&mut state, &[&x, &edges, &class, &known])?;
        if epoch % (epochs / 10) == 0 {
            let scores = state.0.forward(&x, &edges, &mut Context::eval());
            let right = scores.argmax(-1, false).eq(&class).cast(DType::F32);
            at.push(epoch);
            curve.push(right.index_select(0, &unknown).mean().item::<f32>()?);
        }
    }
    let end = curve[curve.len() - 1].into();
    lesson.at_least("accuracy on 1,000 test papers", end, lesson.pick(0.8, 0.7))?;
    let figure = Figure::new("Cora by graph attention")
        .x("epoch")
        .y("test accuracy")
        .percent_y();
    let figure = figure
        .dotted_line("GAT", &at, &curve)
        .horizontal("GCN", 0.815);
    lesson.figure("accuracy", "Neighbours weighed", &figure)
}
