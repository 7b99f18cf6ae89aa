//! Picking and placing by index, and sorting.

use super::{calls, two};
use wgrad::EmbeddingOptions;

calls! {
    "gather" => |f| [f.t().gather(f.dim(), &f.t())];
    "index_select" => |f| [f.t().index_select(f.dim(), &f.t())];
    "scatter_add" => |f| [f.t().scatter_add(f.dim(), &f.t(), &f.t())];
    "scatter" => |f| [f.t().scatter(f.dim(), &f.t(), &f.t()), f.t().scatter_scalar(f.dim(), &f.t(), f.x())];
    "index_add" => |f| [f.t().index_add(f.dim(), &f.t(), &f.t(), f.x())];
    "index_fill" => |f| [f.t().index_fill(f.dim(), &f.t(), f.x())];
    "take_along_dim" => |f| [f.t().take_along_dim(&f.t(), f.dim())];
    "one_hot" => |f| [f.t().one_hot(f.n())];
    "embedding" => |f| {
        let options = EmbeddingOptions { padding_idx: f.b().then(|| f.i()), max_norm: f.b().then(|| f.x()), norm_type: f.x(), scale_grad_by_freq: f.b() };
        [f.t().embedding(&f.t(), options)]
    };
    "sort" => |f| two(f.t().sort(f.dim(), f.b()));
    "argsort" => |f| [f.t().argsort(f.dim(), f.b())];
    "topk" => |f| two(f.t().topk(f.n(), f.dim(), f.b()));
}
