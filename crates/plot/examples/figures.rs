//! Every kind of figure, as the guide shows them:
//!
//!     cargo run -p wgrad-plot --example figures -- docs/figures
//!
//! A second argument, `light` or `dark`, forces the colours.

use std::f64::consts::TAU;
use std::path::PathBuf;

use wgrad_plot::{ColorMap, Figure, Grid, Network, Picture, PlotError, Surface, Theme};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .unwrap_or_else(|| "docs/figures".to_owned()),
    );
    let theme = match arguments.next().as_deref() {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::Auto,
    };
    std::fs::create_dir_all(&folder)?;
    let save = |name: &str, figure: Figure| -> Result<(), PlotError> {
        figure
            .theme(theme)
            .save(folder.join(name).with_extension("svg"))
    };
    save("line", line())?;
    save("scatter", scatter())?;
    save("bar", bar())?;
    save("histogram", histogram())?;
    save("box", boxes())?;
    save("heat_map", heat_map())?;
    save("contour", contour())?;
    save("regions", regions())?;
    save("quiver", quiver())?;
    save("images", images())?;
    save("film_strip", film_strip())?;
    save("confusion", confusion())?;
    save("roc", roc())?;
    save("calibration", calibration())?;
    save("network", karate())?;
    save("graph", derivative_graph())?;
    let small = |figure: Figure| figure.size(420, 320);
    Grid::new(2)
        .figure(small(line()))
        .figure(small(histogram()))
        .figure(small(contour()))
        .figure(small(scatter()))
        .theme(theme)
        .save(folder.join("grid.svg"))?;
    println!("figures in {}", folder.display());
    Ok(())
}

/// Numbers that look random and are the same each time.
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // Twelve even numbers add up to nearly a normal one.
    (0..n)
        .map(|_| (0..12).map(|_| next()).sum::<f64>() - 6.0)
        .collect()
}

fn line() -> Figure {
    let steps: Vec<usize> = (1..=3000).collect();
    let loss = |t: usize| 2.3 * (-(t as f64) / 400.0).exp() + 0.08;
    let losses: Vec<f64> = steps
        .iter()
        .zip(noise(3000, 1))
        .map(|(&t, e)| loss(t) * (0.25 * e).exp())
        .collect();
    let epochs: Vec<usize> = (1..=6).map(|epoch| epoch * 500).collect();
    let test: Vec<f64> = epochs.iter().map(|&t| loss(t) * 1.15 + 0.03).collect();
    Figure::new("Loss")
        .x("step")
        .y("cross-entropy, nats")
        .log_y()
        .smoothed("train", &steps, &losses, 0.98)
        .dotted_line("test", &epochs, &test)
}

fn blobs() -> Vec<(Vec<f64>, Vec<f64>)> {
    let blob = |k: usize| {
        let angle = TAU * k as f64 / 3.0;
        let xs = noise(150, 10 + k as u64)
            .into_iter()
            .map(|e| 1.6 * angle.cos() + 0.55 * e);
        let ys = noise(150, 20 + k as u64)
            .into_iter()
            .map(|e| 1.6 * angle.sin() + 0.55 * e);
        (xs.collect(), ys.collect())
    };
    (0..3).map(blob).collect()
}

fn scatter() -> Figure {
    let figure = Figure::new("Three blobs")
        .x("first feature")
        .y("second feature")
        .equal();
    let classes = ["first", "second", "third"];
    blobs()
        .iter()
        .zip(classes)
        .fold(figure, |figure, ((xs, ys), class)| {
            figure.scatter(class, xs, ys)
        })
}

fn bar() -> Figure {
    let labels = [
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "boot",
    ];
    Figure::new("Recall by class")
        .y("recall")
        .percent_y()
        .bar(
            "mlp",
            &labels,
            &[0.84, 0.97, 0.81, 0.89, 0.82, 0.95, 0.68, 0.95, 0.97, 0.96],
        )
        .bar(
            "cnn",
            &labels,
            &[0.88, 0.98, 0.88, 0.92, 0.89, 0.98, 0.76, 0.97, 0.98, 0.97],
        )
}

fn histogram() -> Figure {
    let after: Vec<f64> = noise(5000, 4).into_iter().map(|e| 0.3 + 0.6 * e).collect();
    Figure::new("Weights of the first layer")
        .x("weight")
        .y("count")
        .histogram("at the start", &noise(5000, 3), 60)
        .histogram("after training", &after, 60)
}

fn boxes() -> Figure {
    let spread = |seed, scale: f64| -> Vec<f64> {
        noise(200, seed).iter().map(|e| 0.9 + scale * e).collect()
    };
    Figure::new("Accuracy over 200 seeds")
        .y("test accuracy")
        .box_plot("sgd", &spread(5, 0.02))
        .box_plot("momentum", &spread(6, 0.012))
        .box_plot("adam", &spread(7, 0.008))
}

fn heat_map() -> Figure {
    let n = 24;
    let attention = (0..n * n).map(|at| {
        let (row, column) = (at / n, at % n);
        if column > row {
            f64::NAN
        } else {
            (-((row - column) as f64) / 4.0).exp() + 0.3 * f64::from(column == 0)
        }
    });
    Figure::new("Attention")
        .x("key")
        .y("query")
        .size(560, 480)
        .heat_map(n, n, &attention.collect::<Vec<_>>())
}

/// Rosenbrock's valley.
fn valley(x: f64, y: f64) -> f64 {
    (1.0 + 100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2)).log10()
}

fn contour() -> Figure {
    let surface = Surface::of((-2.0, 2.0), (-1.0, 3.0), 160, 160, valley);
    let (mut x, mut y) = (-1.7, 2.6);
    let mut path = (vec![x], vec![y]);
    for _ in 0..4000 {
        let (gx, gy) = (
            -400.0 * x * (y - x * x) - 2.0 * (1.0 - x),
            200.0 * (y - x * x),
        );
        (x, y) = (x - 0.001 * gx, y - 0.001 * gy);
        path.0.push(x);
        path.1.push(y);
    }
    Figure::new("Gradient descent in Rosenbrock's valley")
        .x("x")
        .y("y")
        .surface(&surface)
        .contour(&surface, 8)
        .colors(ColorMap::Grey)
        .line("descent", &path.0, &path.1)
}

fn regions() -> Figure {
    let nearest = |x: f64, y: f64| {
        let distance = |k: usize| {
            let angle = TAU * k as f64 / 3.0;
            (x - 1.6 * angle.cos()).hypot(y - 1.6 * angle.sin())
        };
        (0..3)
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
            .unwrap_or(0) as f64
    };
    let classes = Surface::of((-4.0, 4.0), (-3.5, 3.5), 200, 175, nearest);
    let figure = Figure::new("Decision regions")
        .x("first feature")
        .y("second feature")
        .regions(&classes);
    let names = ["first", "second", "third"];
    blobs()
        .iter()
        .zip(names)
        .fold(figure, |figure, ((xs, ys), class)| {
            figure.scatter(class, xs, ys)
        })
}

fn quiver() -> Figure {
    let places = (0..20 * 14).map(|at| {
        (
            f64::from(at % 20) / 2.5 - 3.8,
            f64::from(at / 20) / 2.5 - 2.6,
        )
    });
    let (xs, ys): (Vec<f64>, Vec<f64>) = places.unzip();
    let us: Vec<f64> = xs.iter().zip(&ys).map(|(x, y)| -y - 0.1 * x).collect();
    let vs: Vec<f64> = xs.iter().zip(&ys).map(|(x, y)| x - 0.1 * y).collect();
    Figure::new("Field of a game without rest")
        .x("first player")
        .y("second player")
        .equal()
        .quiver(&xs, &ys, &us, &vs)
}

/// A blurred ring with a gap, turned.
fn ring(angle: f64, radius: f64) -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y) = ((at % 28) as f64 - 13.5, (at / 28) as f64 - 13.5);
        let turned = (y.atan2(x) - angle).rem_euclid(TAU);
        let on = (-(x.hypot(y) - radius).powi(2) / 3.0).exp() * f64::from(turned > 0.8);
        (255.0 * on) as u8
    };
    (0..784).map(pixel).collect()
}

fn images() -> Figure {
    let picture = |at: usize| {
        let bytes = ring(at as f64 * 0.7, 6.0 + (at % 4) as f64);
        let right = at % 5 != 3;
        let caption = if right {
            format!("{at}, 98 %")
        } else {
            format!("{at} ≠ {}", at + 1)
        };
        Picture::grey(28, 28, &bytes).caption(caption).right(right)
    };
    Figure::new("Test images")
        .note("predicted, and how surely")
        .images(&(0..20).map(picture).collect::<Vec<_>>())
}

fn film_strip() -> Figure {
    let frame = |at: usize| {
        let noise = noise(784, 40 + at as u64);
        let share = at as f64 / 7.0;
        let pixels = ring(0.5, 8.0)
            .into_iter()
            .zip(noise)
            .map(|(p, e)| share * f64::from(p) / 127.5 + (1.0 - share) * e);
        let pixels: Vec<f64> = pixels.map(|p| p - share).collect();
        Picture::floats(28, 28, &pixels, (-1.0, 1.0)).caption(format!("step {}", at * 1000))
    };
    Figure::new("A sample as training goes on").film_strip(&(0..8).map(frame).collect::<Vec<_>>())
}

fn confusion() -> Figure {
    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let count = |at: usize| {
        let (row, column) = (at / 10, at % 10);
        if row == column {
            950 + 7 * row
        } else {
            (row * 7 + column * 3) % 11
        }
    };
    Figure::new("Test set").confusion(&names, &(0..100).map(count).collect::<Vec<_>>())
}

fn judged(seed: u64, skill: f64) -> (Vec<f64>, Vec<bool>) {
    let positive: Vec<bool> = noise(2000, seed).iter().map(|e| *e > 0.3).collect();
    let chance = |(e, is): (f64, &bool)| {
        1.0 / (1.0 + (-(e + skill * (f64::from(u8::from(*is)) - 0.5))).exp())
    };
    (
        noise(2000, seed + 1)
            .into_iter()
            .zip(&positive)
            .map(chance)
            .collect(),
        positive,
    )
}

fn roc() -> Figure {
    let (good, poor) = (judged(50, 2.5), judged(60, 1.0));
    Figure::new("Default within a year")
        .roc("logistic regression", &good.0, &good.1)
        .roc("balance only", &poor.0, &poor.1)
}

fn calibration() -> Figure {
    let (scores, positive) = judged(50, 2.5);
    Figure::new("Default within a year").calibration("logistic regression", &scores, &positive, 10)
}

/// Zachary's karate club (1977): who met whom outside, and whom each followed after the split.
fn karate() -> Figure {
    const MET: [&[usize]; 33] = [
        &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
        &[2, 3, 7, 13, 17, 19, 21, 30],
        &[3, 7, 8, 9, 13, 27, 28, 32],
        &[7, 12, 13],
        &[6, 10],
        &[6, 10, 16],
        &[16],
        &[],
        &[30, 32, 33],
        &[33],
        &[],
        &[],
        &[],
        &[33],
        &[32, 33],
        &[32, 33],
        &[],
        &[],
        &[32, 33],
        &[33],
        &[32, 33],
        &[],
        &[32, 33],
        &[25, 27, 29, 32, 33],
        &[25, 27, 31],
        &[31],
        &[29, 33],
        &[33],
        &[31, 33],
        &[32, 33],
        &[32, 33],
        &[32, 33],
        &[33],
    ];
    const INSTRUCTOR: [usize; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21];
    let node = |graph: Network, member: usize| {
        graph.node_in(
            (member + 1).to_string(),
            usize::from(!INSTRUCTOR.contains(&member)),
        )
    };
    let graph = (0..34).fold(Network::new(), node);
    let edges = MET
        .iter()
        .enumerate()
        .flat_map(|(from, all)| all.iter().map(move |&to| (from, to)));
    Figure::new("Karate club").network(&edges.fold(graph, |graph, (from, to)| graph.edge(from, to)))
}

fn derivative_graph() -> Figure {
    let graph = Network::directed()
        .node_in("x", 0)
        .node_in("w", 0)
        .node("x · w")
        .node("tanh")
        .node("mean")
        .node_in("1 / n", 1)
        .node_in("1 − tanh²", 1)
        .node_in("product", 1)
        .node_in("∂/∂w = xᵀ · product", 1);
    let edges = [
        (0, 2),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (3, 6),
        (5, 7),
        (6, 7),
        (7, 8),
        (0, 8),
    ];
    Figure::new("mean(tanh(x · w)) and its derivative").network(
        &edges
            .into_iter()
            .fold(graph, |graph, (from, to)| graph.edge(from, to)),
    )
}
