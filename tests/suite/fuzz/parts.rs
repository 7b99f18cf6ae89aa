//! Shapes, parts and padding.

use super::calls;
use wgrad::{PadMode, Subscript, Tensor};

calls! {
    "reshape" => |f| [f.t().reshape(&f.is())];
    "flatten" => |f| [f.t().flatten(f.dim(), f.dim()), f.t().unflatten(f.dim(), &f.is())];
    "permute" => |f| [f.t().permute(&f.dims())];
    "transpose" => |f| [f.t().transpose(f.dim(), f.dim()), f.t().movedim(f.dim(), f.dim())];
    "broadcast_to" => |f| [f.t().broadcast_to(&f.sizes())];
    "expand" => |f| [f.t().expand(&f.is())];
    "unsqueeze" => |f| [f.t().unsqueeze(f.dim()), f.t().squeeze(f.dim()), f.t().squeeze_dims(&f.dims()), f.t().squeeze_all()];
    "narrow" => |f| [f.t().narrow(f.dim(), f.n(), f.n())];
    "select" => |f| [f.t().select(f.dim(), f.i())];
    "select_scatter" => |f| [f.t().select_scatter(&f.t(), f.dim(), f.i())];
    "slice" => |f| { let (start, end) = (f.b().then(|| f.i()), f.b().then(|| f.i())); [f.t().slice(f.dim(), start, end, f.i())] };
    "slice_scatter" => |f| { let (start, end) = (f.b().then(|| f.i()), f.b().then(|| f.i())); [f.t().slice_scatter(&f.t(), f.dim(), start, end, f.i())] };
    "get" => |f| {
        let list: Vec<Subscript> = (0..f.rng.below(5)).map(|_| if f.b() { Subscript::At(f.i()) } else {
            Subscript::Range { start: f.b().then(|| f.i()), end: f.b().then(|| f.i()), step: f.i() }
        }).collect();
        [f.t().get(&list[..]), f.t().set(&list[..], &f.t()), f.t().set_scalar(&list[..], f.x())]
    };
    "flip" => |f| [f.t().flip(&f.dims())];
    "roll" => |f| [f.t().roll(&f.is(), &f.dims())];
    "repeat" => |f| [f.t().repeat(&f.sizes())];
    "repeat_interleave" => |f| [f.t().repeat_interleave(f.n(), f.dim()), f.t().repeat_interleave_each(&f.sizes(), f.dim())];
    "tril" => |f| [f.t().tril(f.i()), f.t().triu(f.i())];
    "diagonal" => |f| [f.t().diagonal(f.i(), f.dim(), f.dim()), f.t().diag_embed(f.i(), f.dim(), f.dim()), f.t().trace()];
    "chunk" => |f| f.t().chunk(f.n(), f.dim());
    "split" => |f| f.t().split(&f.sizes(), f.dim());
    "split_size" => |f| f.t().split_size(f.n(), f.dim());
    "unbind" => |f| f.t().unbind(f.dim());
    "cat" => |f| { let list = f.ts(); [Tensor::cat(&list.iter().collect::<Vec<_>>(), f.dim())] };
    "stack" => |f| { let list = f.ts(); [Tensor::stack(&list.iter().collect::<Vec<_>>(), f.dim())] };
    "pad" => |f| {
        let mode = [PadMode::Constant(f.x()), PadMode::Reflect, PadMode::Replicate, PadMode::Circular][f.rng.below(4)];
        [f.t().pad(&f.is(), mode)]
    };
}
