//! Graph attention (Veličković et al. 2017): a node weighs its neighbours by a softmax over the edges that arrive.

use super::{Edges, segment_max, segment_sum};
use crate::layers::fail;
use crate::{Context, Dropout, Linear, Module, init};
use wgrad_graph::{Device, ErrorKind, Generator, Tensor};

/// Optional arguments of [`GatConv`].
#[derive(Clone, Copy, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct GatOptions {
    /// Heads, each with features and weights of its own; 1.
    pub heads: usize,
    /// Heads' features stand side by side; otherwise their mean is taken. true.
    pub concat: bool,
    /// Slope below 0 of what the softmax is taken of; 0.2.
    pub negative_slope: f64,
    /// Probability that an edge's weight is dropped in training; 0.
    pub dropout: f64,
    /// Adds a bias; true.
    pub bias: bool,
}

impl Default for GatOptions {
    fn default() -> GatOptions {
        GatOptions {
            heads: 1,
            concat: true,
            negative_slope: 0.2,
            dropout: 0.0,
            bias: true,
        }
    }
}

/// Parameters of PyTorch Geometric's layer: `att_src`, `att_dst [1, heads, out]`, `bias`, `lin.weight [heads · out, in]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct GatConv {
    /// Of the features at the beginning of an edge.
    pub att_src: Tensor,
    /// Of those at its end.
    pub att_dst: Tensor,
    /// Added after the sum.
    pub bias: Option<Tensor>,
    /// Of every node, without a bias.
    pub lin: Linear,
    options: GatOptions,
}

impl GatConv {
    /// With weights Xavier uniform and biases 0.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, GatConv, GatOptions};
    /// let device = Device::cpu();
    /// let options = GatOptions { heads: 3, ..GatOptions::default() };
    /// let layer = GatConv::new(4, 2, &options, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[3, 4], DType::F32, &device);
    /// let edges = Tensor::from_slice(&[0, 1, 1, 0], &[2, 2], &device);
    /// assert_eq!(layer.forward(&x, &edges, &mut Context::eval()).shape(), [3, 6]);
    /// ```
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        options: &GatOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> GatConv {
        let heads = options.heads;
        let all = heads.saturating_mul(out_channels);
        let width = if options.concat { all } else { out_channels };
        let mut draw = |shape: &[usize]| init::xavier_uniform(shape, 1.0, rng, device);
        GatConv {
            att_src: draw(&[1, heads, out_channels]),
            att_dst: draw(&[1, heads, out_channels]),
            bias: options.bias.then(|| init::zeros(&[width], device)),
            lin: Linear {
                weight: draw(&[all, in_channels]),
                bias: None,
            },
            options: *options,
        }
    }

    /// Features `[nodes, heads · out]`, or `[nodes, out]` of the mean, of nodes `x [nodes, in]` with edges `[2, edges]`
    /// (integers). Every node has one edge to itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, edge_index: &Tensor, cx: &mut Context) -> Tensor {
        let op = "gat_conv";
        let heads = self.options.heads;
        if x.rank() != 2 || heads == 0 {
            let message = format!("takes nodes [nodes, features], and heads: {heads}");
            return fail(op, ErrorKind::Shape, message, x);
        }
        let edges = match Edges::new(op, x, edge_index) {
            Ok(edges) => edges,
            Err(e) => return fail(op, e.kind(), e.message().into(), x),
        };
        let nodes = x.size(0);
        // An edge to itself that is in the list has no weight: the loops stand for it.
        let own = edges.from.eq(&edges.to);
        let loops = Tensor::arange(nodes, x.device()).lt_scalar(0.0);
        let left_out = Tensor::cat(&[&own, &loops], 0).unsqueeze(1);
        let edges = edges.with_loops(nodes);
        let y = self.lin.forward(x).unflatten(1, &[heads as isize, -1]);
        let part = |att: &Tensor| (&y * att).sum_dims(&[2], false);
        let (from, to) = (part(&self.att_src), part(&self.att_dst));
        let scores = from.index_select(0, &edges.from) + to.index_select(0, &edges.to);
        let scores = scores.leaky_relu(self.options.negative_slope);
        let weights = softmax(&scores, &left_out, &edges.to, nodes);
        let weights = Dropout::new(self.options.dropout).forward(&weights, cx);
        let messages = y.index_select(0, &edges.from) * weights.unsqueeze(2);
        let sum = segment_sum(&messages, &edges.to, nodes);
        let out = match self.options.concat {
            true => sum.flatten(1, 2),
            false => sum.mean_dims(&[1], false),
        };
        match &self.bias {
            Some(bias) => out + bias,
            None => out,
        }
    }
}

/// Of scores `[edges, heads]`, over the edges with the same end; 0 where an edge is left out.
#[track_caller]
fn softmax(scores: &Tensor, left_out: &Tensor, to: &Tensor, nodes: usize) -> Tensor {
    let least = scores.full_like(f64::from(f32::MIN));
    let held = Tensor::where_(left_out, &least, scores).stop_gradient();
    let most = segment_max(&held, to, nodes).index_select(0, to);
    let below = Tensor::where_(left_out, &scores.zeros_like(), &(scores - most));
    let e = Tensor::where_(left_out, &scores.zeros_like(), &below.exp());
    let sum = segment_sum(&e, to, nodes).index_select(0, to);
    e / sum
}
