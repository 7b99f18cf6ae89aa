//! Graph convolution (Kipf and Welling 2016): `D^(−1/2) (A + I) D^(−1/2) X W + b`.

use super::{Edges, segment_sum};
use crate::layers::fail;
use crate::{Linear, Module, init};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};

/// Parameters of PyTorch Geometric's layer: `lin.weight [out, in]` and `bias [out]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct GcnConv {
    /// Of every node, without a bias.
    pub lin: Linear,
    /// Added after the sum.
    pub bias: Option<Tensor>,
}

impl GcnConv {
    /// With weights Xavier uniform and biases 0.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let layer = wgrad_nn::GcnConv::new(4, 2, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[3, 4], DType::F32, &device);
    /// let edges = Tensor::from_slice(&[0, 1, 1, 0], &[2, 2], &device);
    /// assert_eq!(layer.forward(&x, &edges, None).shape(), [3, 2]);
    /// ```
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> GcnConv {
        let shape = [out_channels, in_channels];
        GcnConv {
            lin: Linear {
                weight: init::xavier_uniform(&shape, 1.0, rng, device),
                bias: None,
            },
            bias: Some(init::zeros(&[out_channels], device)),
        }
    }

    /// Without a bias.
    pub fn without_bias(self) -> GcnConv {
        GcnConv { bias: None, ..self }
    }

    /// Features `[nodes, out]` of nodes `x [nodes, in]` with edges `[2, edges]` (integers), which may have weights `[edges]`.
    /// Every node has an edge to itself of weight 1; one that is in the list keeps its weight.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, edge_index: &Tensor, weight: Option<&Tensor>) -> Tensor {
        let op = "gcn_conv";
        if x.rank() != 2 {
            return fail(
                op,
                ErrorKind::Shape,
                "takes nodes [nodes, features]".into(),
                x,
            );
        }
        let edges = match Edges::new(op, x, edge_index) {
            Ok(edges) => edges,
            Err(e) => return fail(op, e.kind(), e.message().into(), x),
        };
        let (nodes, count) = (x.size(0), edges.to.size(0));
        let weight = match weight {
            Some(w) if w.check().is_ok() && w.shape() != [count] => {
                let message = format!("{count} edges have weights {:?}", w.shape());
                return fail(op, ErrorKind::Shape, message, x);
            }
            Some(w) => w.cast(DType::F32),
            None => Tensor::ones(&[count], DType::F32, x.device()),
        };
        // Edges of nodes to themselves go into the loops.
        let own = edges.from.eq(&edges.to);
        let zero = weight.zeros_like();
        let is_own = segment_sum(&own.cast(DType::F32), &edges.to, nodes).gt_scalar(0.0);
        let given = segment_sum(&Tensor::where_(&own, &weight, &zero), &edges.to, nodes);
        let loops = Tensor::where_(&is_own, &given, &given.ones_like());
        let weight = Tensor::cat(&[&Tensor::where_(&own, &zero, &weight), &loops], 0);
        let edges = edges.with_loops(nodes);
        let degree = segment_sum(&weight, &edges.to, nodes);
        let alone = degree.le_scalar(0.0);
        let safe = Tensor::where_(&alone, &degree.ones_like(), &degree);
        let root = Tensor::where_(&alone, &degree.zeros_like(), &safe.rsqrt());
        let factor = weight * root.index_select(0, &edges.from) * root.index_select(0, &edges.to);
        let y = self.lin.forward(x);
        let messages = y.index_select(0, &edges.from) * factor.unsqueeze(1).cast(y.dtype());
        let sum = segment_sum(&messages, &edges.to, nodes);
        match &self.bias {
            Some(bias) => sum + bias,
            None => sum,
        }
    }
}
