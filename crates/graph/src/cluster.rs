//! k-means: Lloyd's algorithm from a k-means++ start. Runs one plan for each iteration; reads back one number.

use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::eval_async;
use crate::rng::Generator;
use crate::tensor::Tensor;

/// How [`kmeans`] looks for clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KMeansOptions {
    /// Number of clusters.
    pub clusters: usize,
    /// Iterations at most; 100.
    pub max_iterations: usize,
}

impl KMeansOptions {
    /// For so many clusters.
    pub fn new(clusters: usize) -> KMeansOptions {
        KMeansOptions {
            clusters,
            max_iterations: 100,
        }
    }

    /// With another bound on the iterations.
    pub fn max_iterations(self, max_iterations: usize) -> KMeansOptions {
        KMeansOptions {
            max_iterations,
            ..self
        }
    }
}

/// Clusters that were found.
#[derive(Clone)]
pub struct KMeans {
    /// `[clusters, features]`.
    pub centers: Tensor,
    /// The nearest centre of each vector, `[n]`, i32.
    pub labels: Tensor,
    /// The sum of the squared distances to the nearest centres, a number.
    pub inertia: Tensor,
    /// Iterations that were run.
    pub iterations: usize,
    /// Whether the last iteration changed nothing.
    pub converged: bool,
}

impl KMeans {
    /// The nearest centre of each vector of `x [n, features]`: `[n]`, i32.
    #[track_caller]
    pub fn predict(&self, x: &Tensor) -> Tensor {
        x.squared_distances(&self.centers).argmin(-1, false)
    }
}

/// Finds clusters of the vectors `x [n, features]` (Lloyd 1982): the start is drawn by k-means++ (Arthur and
/// Vassilvitskii 2007), then each vector goes to its nearest centre and each centre to the mean of its vectors, until no
/// vector changes. A centre without vectors stays where it is. The same generator gives the same clusters.
///
/// # Errors
/// `x` is no matrix of floats, has fewer vectors than there are clusters, or running fails.
pub async fn kmeans_async(
    x: &Tensor,
    options: &KMeansOptions,
    rng: &mut Generator,
) -> Result<KMeans> {
    x.check()?;
    let fail = |m: String| {
        let e = Error::new(ErrorKind::Shape, "kmeans", m);
        Err(e.with_operands(vec![(x.shape().to_vec(), x.dtype())]))
    };
    if x.rank() != 2 || !x.dtype().is_float() {
        return fail("takes vectors [n, features] of floats".into());
    }
    if options.clusters == 0 || options.clusters > x.size(0) {
        return fail(format!(
            "{} clusters of {} vectors",
            options.clusters,
            x.size(0)
        ));
    }
    let mut state = KMeans {
        centers: start(x, options.clusters, rng),
        labels: Tensor::full(&[x.size(0)], -1.0, DType::I32, x.device()),
        inertia: Tensor::scalar(f64::INFINITY, DType::F32, x.device()),
        iterations: 0,
        converged: false,
    };
    while state.iterations < options.max_iterations && !state.converged {
        let distances = x.squared_distances(&state.centers);
        let labels = distances.argmin(-1, false);
        let changed = labels.ne(&state.labels).cast(DType::I32).sum();
        state.centers = moved(x, &labels, &state.centers);
        eval_async(&[&changed, &state.centers, &labels]).await?;
        state.converged = changed.item_async::<i32>().await? == 0;
        state.labels = labels;
        state.iterations += 1;
    }
    let distances = x.squared_distances(&state.centers);
    state.labels = distances.argmin(-1, false);
    state.inertia = distances.amin_dims(&[-1], false).sum();
    eval_async(&[&state.centers, &state.labels, &state.inertia]).await?;
    Ok(state)
}

/// [`kmeans_async`], waiting for it. Not in a browser.
///
/// # Errors
/// As [`kmeans_async`].
///
/// ```
/// use wgrad_graph::{Device, Generator, KMeansOptions, Tensor, kmeans};
/// let d = Device::cpu();
/// let x = Tensor::from_slice(&[0.0f32, 0.1, 5.0, 5.2, 5.1, 0.2], &[6, 1], &d);
/// let found = kmeans(&x, &KMeansOptions::new(2), &mut Generator::new(3))?;
/// let labels = found.labels.to_vec::<i32>()?;
/// assert!(found.converged && labels[0] == labels[5] && labels[0] != labels[2]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn kmeans(x: &Tensor, options: &KMeansOptions, rng: &mut Generator) -> Result<KMeans> {
    crate::eval::block_on(kmeans_async(x, options, rng))
}

/// Centres among the vectors: the first at random, each next with probability proportional to the squared distance to
/// the nearest before it.
fn start(x: &Tensor, clusters: usize, rng: &mut Generator) -> Tensor {
    let first = rng.integers(0, x.size(0) as i32, &[1], x.device());
    let mut centers = vec![x.index_select(0, &first)];
    let mut nearest = x.squared_distances(&centers[0]).squeeze(-1);
    while centers.len() < clusters {
        // The logarithm of 0 keeps a vector from being drawn twice; if all are 0, the first is.
        let next = rng.categorical(&nearest.log(), &[1]);
        let center = x.index_select(0, &next);
        nearest = nearest.minimum(&x.squared_distances(&center).squeeze(-1));
        centers.push(center);
    }
    Tensor::cat(&centers.iter().collect::<Vec<_>>(), 0)
}

/// The means of the vectors of each label; the old centres where there is none.
fn moved(x: &Tensor, labels: &Tensor, centers: &Tensor) -> Tensor {
    let members = labels.one_hot(centers.size(0)).cast(x.dtype());
    let counts = members.sum_dims(&[0], false).unsqueeze(-1);
    let means = members.t().matmul(x) / counts.clamp_min(1.0);
    Tensor::where_(&counts.gt_scalar(0.0), &means, centers)
}
