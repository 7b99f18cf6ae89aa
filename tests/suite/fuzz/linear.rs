//! Matrix products, Einstein sums, attention and linear algebra.

use super::{calls, two};
use wgrad::{AttentionOptions, PinvOptions, Tensor, Triangle};

/// Equations, some of them nonsense.
const EQUATIONS: &[&str] = &[
    "ij,jk->ik",
    "ii->i",
    "...i,i->...",
    "ab,bc,cd->ad",
    "i,,j",
    "->",
    "ij->kj",
    "i j , j",
    "...->...",
    "aab->b",
    "ij,ij",
    "i...,...i->i",
    ",->",
    "abc->",
    "abcd,d->abc",
    "a->aa",
    "->->",
    "..",
    "é,a->a",
    "",
];

calls! {
    "matmul" => |f| [f.t().matmul(&f.t()), f.t().bmm(&f.t()), f.t().mm(&f.t()), f.t().mv(&f.t()), f.t().dot(&f.t()), f.t().outer(&f.t())];
    "linear" => |f| [f.t().linear(&f.t(), f.maybe().as_ref())];
    "einsum" => |f| {
        let text = f.one_of(EQUATIONS);
        let list = f.ts();
        [Tensor::einsum(text, &list.iter().collect::<Vec<_>>()), Tensor::einsum(text, &[&f.t()])]
    };
    "attention" => |f| {
        let options = AttentionOptions { attn_mask: f.maybe(), is_causal: f.b(), scale: f.b().then(|| f.x()), enable_gqa: f.b() };
        [f.t().scaled_dot_product_attention(&f.t(), &f.t(), &options)]
    };
    "determinants" => |f| { let t = f.t(); let (sign, log) = t.slogdet(); [t.det(), t.logdet(), sign, log, t.inv()] };
    "solve" => |f| [f.t().solve(&f.t()), f.t().solve_right(&f.t())];
    "triangles" => |f| {
        let which = f.one_of(&[Triangle::Lower, Triangle::Upper]);
        [f.t().solve_triangular(&f.t(), which, f.b(), f.b()), f.t().cholesky(which), f.t().cholesky_solve(&f.t(), which)]
    };
    "eigh" => |f| { let which = f.one_of(&[Triangle::Lower, Triangle::Upper]); let mut out = two(f.t().eigh(which)); out.push(f.t().eigvalsh(which)); out };
    "svd" => |f| { let (u, s, v) = f.t().svd(f.b()); [u, s, v, f.t().svdvals()] };
    "qr" => |f| two(f.t().qr(f.b()));
    "lstsq" => |f| { let rcond = f.b().then(|| f.x()); [f.t().lstsq(&f.t(), rcond)] };
    "pinv" => |f| { let o = PinvOptions { atol: f.b().then(|| f.x()), rtol: f.b().then(|| f.x()) }; [f.t().pinv(&o), f.t().matrix_rank(&o)] };
    "powers" => |f| [f.t().matrix_exp(), f.t().matrix_power(f.i().clamp(-4, 4) as i32)];
}
