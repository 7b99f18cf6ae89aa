//! Reductions, scans and norms.

use super::{calls, two};
use wgrad::MatrixNorm;

calls! {
    "sum" => |f| [f.t().sum_dims(&f.dims(), f.b())];
    "mean" => |f| [f.t().mean_dims(&f.dims(), f.b())];
    "var" => |f| [f.t().var_dims(&f.dims(), f.x(), f.b()), f.t().std_dims(&f.dims(), f.x(), f.b())];
    "var_mean" => |f| two(f.t().var_mean(&f.dims(), f.x()));
    "prod" => |f| [f.t().prod_dims(&f.dims(), f.b())];
    "amax" => |f| [f.t().amax_dims(&f.dims(), f.b())];
    "amin" => |f| [f.t().amin_dims(&f.dims(), f.b())];
    "whole" => |f| { let t = f.t(); [t.sum(), t.mean(), t.amax(), t.amin(), t.prod(), t.var(f.x()), t.std(f.x()), t.norm(), t.any(), t.all()] };
    "argmax" => |f| [f.t().argmax(f.dim(), f.b()), f.t().argmin(f.dim(), f.b())];
    "max_dim" => |f| { let mut out = two(f.t().max_dim(f.dim(), f.b())); out.extend(two(f.t().min_dim(f.dim(), f.b()))); out };
    "median" => |f| two(f.t().median(f.dim(), f.b()));
    "kthvalue" => |f| two(f.t().kthvalue(f.n(), f.dim(), f.b()));
    "any" => |f| [f.t().any_dims(&f.dims(), f.b()), f.t().all_dims(&f.dims(), f.b()), f.t().count_nonzero(&f.dims(), f.b())];
    "nansum" => |f| [f.t().nansum(&f.dims(), f.b()), f.t().nanmean(&f.dims(), f.b())];
    "logsumexp" => |f| [f.t().logsumexp(f.dim(), f.b()), f.t().logsumexp_dims(&f.dims(), f.b())];
    "vector_norm" => |f| [f.t().vector_norm(f.x(), &f.dims(), f.b())];
    "matrix_norm" => |f| {
        let ord = f.one_of(&[MatrixNorm::Frobenius, MatrixNorm::One, MatrixNorm::MinusOne, MatrixNorm::Infinity, MatrixNorm::MinusInfinity, MatrixNorm::Nuclear, MatrixNorm::Two, MatrixNorm::MinusTwo]);
        [f.t().matrix_norm(ord, [f.dim(), f.dim()], f.b())]
    };
    "normalize" => |f| [f.t().normalize(f.x(), f.dim(), f.x()), f.t().normalize_dims(f.x(), &f.dims(), f.x())];
    "cumsum" => |f| [f.t().cumsum(f.dim()), f.t().cumsum_reverse(f.dim())];
    "cumprod" => |f| [f.t().cumprod(f.dim())];
    "cummax" => |f| [f.t().cummax(f.dim()), f.t().cummin(f.dim())];
    "logcumsumexp" => |f| [f.t().logcumsumexp(f.dim())];
    "softmax" => |f| [f.t().softmax(f.dim()), f.t().log_softmax(f.dim()), f.t().softmin(f.dim())];
}
