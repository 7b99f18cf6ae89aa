//! Zachary's karate club: who met whom outside it. Four members' communities are known, those of the other thirty are found by a graph
//! convolution, which mixes each node with its neighbours: `H′ = D^(−½) (A + I) D^(−½) H W`. The club's members have no features but
//! themselves, `H = I`. Two such layers let a member hear of friends' friends; the hidden one's sixteen units are drawn by their first two
//! principal components. Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, 2017, figure 3.

use crate::lesson::{Lesson, Result};
use wgrad::data::GraphDataset;
use wgrad::nn::{Adam, GcnConv, compile, gradients, loss};
use wgrad::plot::{Figure, Grid, Network};
use wgrad::{Device, Generator, Module, Optimizer, Pca, Tensor};

#[derive(Module)]
struct Net {
    first: GcnConv,
    second: GcnConv,
}

impl Net {
    /// Hidden units `[34, 16]` of each member, and scores of the communities.
    fn forward(&self, x: &Tensor, edges: &Tensor) -> (Tensor, Tensor) {
        let hidden = self.first.forward(x, edges, None).tanh();
        let scores = self.second.forward(&hidden, edges, None);
        (hidden, scores)
    }
}

/// Communities found with these first weights, and the hidden units in the plane at some of the steps.
fn train(
    club: &GraphDataset,
    steps: usize,
    seed: u64,
    device: &Device,
) -> Result<(Vec<i32>, Vec<(usize, Vec<f32>)>)> {
    let mut rng = Generator::new(seed);
    let net = Net {
        first: GcnConv::new(34, 16, &mut rng, device),
        second: GcnConv::new(16, 4, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.01));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let (hidden, scores) = net.forward(&b[0], &b[1]);
        let loss =
            loss::cross_entropy(&scores.index_select(0, &b[3]), &b[2].index_select(0, &b[3]));
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok([hidden, scores.argmax(-1, false)])
    });
    let (x, edges) = (club.x(device), club.edge_index(device));
    let (class, known) = (
        Tensor::new(&club.labels, device),
        Tensor::new(&club.train, device),
    );
    let (mut said, mut film) = (Vec::new(), Vec::new());
    for t in 0..=steps {
        let [hidden, answers] = step.call(&mut state, &[&x, &edges, &class, &known])?;
        if [0, 25, 75, steps].contains(&t) {
            said = answers.to_vec::<i32>()?;
            let places = Pca::fit(&hidden, 2).transform(&hidden);
            film.push((t, places.to_vec::<f32>()?));
        }
    }
    Ok((said, film))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let club = GraphDataset::karate_club();
    // The mean over several first weights; the last run is drawn.
    let runs = lesson.pick(10, 3);
    let (mut shares, mut last) = (Vec::new(), (Vec::new(), Vec::new()));
    for run in 0..runs {
        last = train(&club, 200, lesson.seed * 100 + run, device)?;
        let right = club
            .test
            .iter()
            .filter(|&&m| last.0[m as usize] == club.labels[m as usize]);
        shares.push(right.count() as f64 / club.test.len() as f64);
    }
    lesson.say(format!("right of the thirty, by run: {shares:.2?}"));
    let mean = shares.iter().sum::<f64>() / runs as f64;
    let least = lesson.pick(0.75, 0.6);
    lesson.at_least("of thirty unknown members found, mean", mean, least)?;

    let (said, film) = last;
    let mut grid = Grid::new(2);
    for (t, places) in film {
        let mut figure = Figure::new(format!("After {t} steps"))
            .x("first component")
            .y("second component")
            .size(420, 340);
        for community in 0..4 {
            let of = |axis: usize| -> Vec<f32> {
                let members = (0..34).filter(|&m| club.labels[m] == community);
                members.map(|m| places[2 * m + axis]).collect()
            };
            figure = figure.scatter(&format!("community {community}"), &of(0), &of(1));
        }
        grid = grid.figure(figure);
    }
    lesson.grid("places", "The hidden layer pulls communities apart", &grid)?;
    let mut graph = Network::new();
    for member in 0..34 {
        let mark = if club.train.contains(&member) {
            "*"
        } else {
            ""
        };
        graph = graph.node_in(
            format!("{}{mark}", member + 1),
            said[member as usize] as usize,
        );
    }
    for edge in &club.edges {
        graph = graph.edge(edge[0] as usize, edge[1] as usize);
    }
    let figure = Figure::new("The karate club").network(&graph);
    lesson.figure("club", "Communities found from four labels (*)", &figure)
}
