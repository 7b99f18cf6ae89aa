//! k-means and principal components, on digits. k-means: `min Σ ‖x − c(x)‖²`, by turns of assigning and averaging. PCA: the
//! directions of largest variance, eigenvectors of the covariance. Source: Goodfellow, Bengio, Courville, Deep Learning, 5.8.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, KMeansOptions, Pca, Tensor, kmeans};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train, _) = lesson.digits()?;
    let n = lesson.pick(5000, 1500).min(train.len());
    let x =
        Tensor::from_slice(&train.images()[..n * 784], &[n, 784], device).cast(DType::F32) / 255.0;
    let labels = &train.labels()[..n];

    let mut rng = Generator::new(lesson.seed);
    let found = kmeans(&x, &KMeansOptions::new(20), &mut rng)?;
    let cluster = found.predict(&x).to_vec::<i32>()?;
    // Each cluster is called what most of it are.
    let mut counts = vec![[0usize; 10]; 20];
    for (&c, &label) in cluster.iter().zip(labels) {
        counts[c as usize][usize::from(label)] += 1;
    }
    let most: usize = counts
        .iter()
        .map(|c| c.iter().max().copied().unwrap_or_default())
        .sum();
    lesson.at_least("purity of 20 clusters", most as f64 / n as f64, 0.55)?;
    let centres = found.centers.to_vec::<f32>()?;
    let name = |c: usize| (0..10).max_by_key(|&d| counts[c][d]).unwrap_or_default();
    let pictures = centres.chunks_exact(784).enumerate();
    let pictures: Vec<Picture> = pictures
        .map(|(c, p)| Picture::floats(28, 28, p, (0.0, 1.0)).caption(name(c).to_string()))
        .collect();
    lesson.figure(
        "centres",
        "Means of the clusters",
        &Figure::new("20 means, called by most of their digits").image_grid(10, &pictures),
    )?;

    let pca = Pca::fit(&x, 50);
    let share = pca.explained_variance_ratio.cumsum(0).to_vec::<f32>()?;
    lesson.at_least("variance in 50 of 784 directions", share[49].into(), 0.75)?;
    let back = pca.inverse_transform(&pca.transform(&x));
    let left = (&x - &back).square().sum() / (&x - x.mean_dims(&[0], true)).square().sum();
    lesson.close(
        "left after going there and back",
        left.item::<f32>()?.into(),
        1.0 - f64::from(share[49]),
        0.01,
    )?;
    let number: Vec<usize> = (1..=50).collect();
    let figure = Figure::new("Variance explained")
        .x("directions")
        .y("share")
        .percent_y()
        .line("digits", &number, &share);
    lesson.figure("variance", "Few directions hold most", &figure)?;
    let plane = pca.transform(&x).get((.., ..2)).to_vec::<f32>()?;
    let figure = Figure::new("Digits in the first two directions")
        .x("first")
        .y("second");
    let figure = [0u8, 1, 4, 7].iter().fold(figure, |figure, &digit| {
        let own = || {
            plane
                .chunks_exact(2)
                .zip(labels)
                .filter(move |(_, l)| **l == digit)
                .take(150)
        };
        let (xs, ys): (Vec<f32>, Vec<f32>) = own().map(|(p, _)| (p[0], p[1])).unzip();
        figure.scatter(&digit.to_string(), &xs, &ys)
    });
    lesson.figure("plane", "Four digits, seen from two directions", &figure)
}
