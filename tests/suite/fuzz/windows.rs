//! Convolutions, pooling, blocks and resampling.

use super::{Fuzz, calls, two};
use wgrad::{
    ConvOptions, ConvTransposeOptions, InterpolateOptions, Interpolation, PoolOptions, Tensor,
    UnfoldOptions,
};

fn conv<const N: usize>(f: &mut Fuzz) -> ConvOptions<N> {
    let options = ConvOptions::default().groups(if f.b() { 1 } else { f.n() });
    let options = if f.b() {
        options.stride(f.array())
    } else {
        options
    };
    let options = if f.b() {
        options.dilation(f.array())
    } else {
        options
    };
    match f.rng.below(3) {
        0 => options,
        1 => options.same(),
        _ => options.padding(f.array()),
    }
}

fn back<const N: usize>(f: &mut Fuzz) -> ConvTransposeOptions<N> {
    let options = ConvTransposeOptions::default().groups(if f.b() { 1 } else { f.n() });
    let options = if f.b() {
        options.stride(f.array())
    } else {
        options
    };
    let options = if f.b() {
        options.dilation(f.array())
    } else {
        options
    };
    let options = if f.b() {
        options.output_padding(f.array())
    } else {
        options
    };
    if f.b() {
        options.padding(f.array())
    } else {
        options
    }
}

fn pool<const N: usize>(f: &mut Fuzz) -> PoolOptions<N> {
    let options = PoolOptions::windows(f.array())
        .ceil_mode(f.b())
        .count_include_pad(f.b());
    let options = if f.b() {
        options.stride(f.array())
    } else {
        options
    };
    let options = if f.b() {
        options.padding(f.array())
    } else {
        options
    };
    let options = if f.rng.below(4) == 0 {
        options.dilation(f.array())
    } else {
        options
    };
    if f.rng.below(4) == 0 {
        options.divisor_override(f.i())
    } else {
        options
    }
}

fn blocks(f: &mut Fuzz) -> UnfoldOptions {
    let options = UnfoldOptions::new(f.array());
    let options = if f.b() {
        options.stride(f.array())
    } else {
        options
    };
    let options = if f.b() {
        options.padding(f.array())
    } else {
        options
    };
    if f.b() {
        options.dilation(f.array())
    } else {
        options
    }
}

fn sizes<const N: usize>(f: &mut Fuzz) -> [Option<usize>; N] {
    std::array::from_fn(|_| if f.b() { Some(f.n()) } else { None })
}

fn resize(f: &mut Fuzz) -> InterpolateOptions {
    use Interpolation::*;
    let size = f.b().then(|| f.sizes());
    let scale_factor = f.b().then(|| (0..f.rng.below(4)).map(|_| f.x()).collect());
    InterpolateOptions {
        size,
        scale_factor,
        mode: f.one_of(&[
            Nearest,
            NearestExact,
            Linear,
            Bilinear,
            Bicubic,
            Trilinear,
            Area,
        ]),
        align_corners: f.b(),
        recompute_scale_factor: f.b(),
        antialias: f.rng.below(4) == 0,
    }
}

calls! {
    "conv1d" => |f| { let o = conv(f); [f.t().conv1d(&f.t(), f.maybe().as_ref(), &o)] };
    "conv2d" => |f| { let o = conv(f); [f.t().conv2d(&f.t(), f.maybe().as_ref(), &o), f.t().conv2d(&f.t(), None, &ConvOptions::default().padding([1, 1]))] };
    "conv3d" => |f| { let o = conv(f); [f.t().unsqueeze(0).conv3d(&f.t().unsqueeze(0), f.maybe().as_ref(), &o)] };
    "conv_transpose1d" => |f| { let o = back(f); [f.t().conv_transpose1d(&f.t(), f.maybe().as_ref(), &o)] };
    "conv_transpose2d" => |f| { let o = back(f); [f.t().conv_transpose2d(&f.t(), f.maybe().as_ref(), &o), f.t().conv_transpose2d(&f.t(), None, &ConvTransposeOptions::default())] };
    "conv_transpose3d" => |f| { let o = back(f); [f.t().unsqueeze(0).conv_transpose3d(&f.t().unsqueeze(0), f.maybe().as_ref(), &o)] };
    "max_pool" => |f| { let (a, b, c) = (pool(f), pool(f), pool(f)); [f.t().max_pool1d(&a), f.t().max_pool2d(&b), f.t().max_pool3d(&c)] };
    "max_pool_with_indices" => |f| { let o = pool(f); two(f.t().max_pool2d_with_indices(&o)) };
    "avg_pool" => |f| { let (a, b, c) = (pool(f), pool(f), pool(f)); [f.t().avg_pool1d(&a), f.t().avg_pool2d(&b), f.t().avg_pool3d(&c)] };
    "lp_pool" => |f| { let (a, b, c) = (pool(f), pool(f), pool(f)); [f.t().lp_pool1d(f.x(), &a), f.t().lp_pool2d(f.x(), &b), f.t().lp_pool3d(f.x(), &c)] };
    "adaptive_avg_pool" => |f| { let (a, b, c) = (sizes(f), sizes(f), sizes(f)); [f.t().adaptive_avg_pool1d(a), f.t().adaptive_avg_pool2d(b), f.t().adaptive_avg_pool3d(c)] };
    "adaptive_max_pool" => |f| { let (a, b) = (sizes(f), sizes(f)); [f.t().adaptive_max_pool1d(a).0, f.t().adaptive_max_pool2d(b).0] };
    "interpolate" => |f| { let (a, b) = (resize(f), resize(f)); [f.t().interpolate(&a), f.t().interpolate(&b)] };
    "pixel_shuffle" => |f| [f.t().pixel_shuffle(f.n()), f.t().pixel_unshuffle(f.n())];
    "unfold" => |f| { let o = blocks(f); [f.t().unfold2d(&o)] };
    "fold" => |f| { let o = blocks(f); [f.t().fold2d(f.array(), &o)] };
    "local_response_norm" => |f| {
        let o = wgrad::LocalResponseNormOptions { alpha: f.x(), beta: f.x(), k: f.x() };
        [f.t().local_response_norm(f.n(), &o), Tensor::local_response_norm(&f.t(), 3, &wgrad::LocalResponseNormOptions::default())]
    };
}
