//! Functions beyond PyTorch's, the gamma functions, draws that compare words alone, and checkpoints.

use super::calls;
use wgrad::{ConvOptions, Generator, PoolOptions, checkpoint};

calls! {
    "gamma functions" => |f| { let t = f.t(); [t.lgamma(), t.digamma(), t.polygamma(f.n() as u32), t.erfinv()] };
    "local convolution" => |f| {
        let options = ConvOptions::default().stride(f.array()).padding(f.array()).dilation(f.array()).groups(f.n());
        let (w, b) = (f.t().reshape(&f.is()), f.t());
        [f.t().local_conv2d(&w, Some(&b), &options), f.t().tiled_conv2d(&w, Some(&b), &options), f.t().convolve2d(&f.t(), None, &options)]
    };
    "local convolution that fits" => |f| {
        let kernels = f.t().reshape(&[1, 1, 1, -1, 1, 1]);
        [f.t().local_conv2d(&kernels, None, &ConvOptions::default()), f.t().tiled_conv2d(&kernels, None, &ConvOptions::default())]
    };
    "local_conv1d" => |f| [f.t().local_conv1d(&f.t(), f.maybe().as_ref(), &ConvOptions::default().stride(f.array()))];
    "weighted pooling" => |f| {
        let options = PoolOptions::windows([3, 4]).stride(f.array()).padding(f.array()).dilation(f.array());
        [f.t().weighted_avg_pool2d(&f.t(), &options), f.t().l2_pool2d(&options)]
    };
    "units" => |f| [f.t().maxout(f.n(), f.dim()), f.t().squared_distances(&f.t())];
    "draws" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        [rng.integers(f.i() as i32, f.i() as i32, &f.sizes(), &d), rng.permutation(f.n() % 99, &d), rng.bernoulli_of(&f.t(), &f.sizes()), rng.shuffle(&f.t(), f.dim())]
    };
    "checkpoint" => |f| {
        let (a, b) = (f.t(), f.t());
        let (c, d) = checkpoint(|| (a.matmul(&b).tanh(), a.sin() * &b));
        [c, d]
    };
}
