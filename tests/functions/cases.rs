//! Every function once or more: its name here, what PyTorch is asked, operands by formula, and the call. `expected.py` reads
//! the texts of this file and writes `expected.json`.
//!
//! Operands: a letter for the values, sizes after it. `f` floats, `p` positive, `q` between −1 and 1, `d` distinct, `s` special
//! (no gradient is asked for), `i` integers, `n` natural numbers, `b` truth values, `kN` indices below N.

use wgrad::{
    FftNorm, GridMode, GridPadding, GridSampleOptions, InterpolateOptions, Interpolation, PadMode,
    QuantileInterpolation as Q, Reduce, Reduction, Tensor,
};

/// One call.
pub struct Case {
    /// The function's name here.
    pub name: &'static str,
    /// The same for PyTorch, of operands `a`, `b`, `c`, `d`.
    pub torch: &'static str,
    /// Operands, separated by blanks.
    pub inputs: &'static str,
    /// The call.
    pub run: fn(&[Tensor]) -> Vec<Tensor>,
}

fn case(
    name: &'static str,
    torch: &'static str,
    inputs: &'static str,
    run: fn(&[Tensor]) -> Vec<Tensor>,
) -> Case {
    Case {
        name,
        torch,
        inputs,
        run,
    }
}

/// Functions of one tensor with PyTorch's name and no argument.
macro_rules! unary {
    ($all:ident; $($kind:literal: $($name:ident)*;)*) => {
        $($($all.push(case(stringify!($name), concat!("torch.", stringify!($name), "(a)"), $kind, |x| vec![x[0].$name()]));)*)*
    };
}

/// Functions of two tensors with PyTorch's name and no argument.
macro_rules! binary {
    ($all:ident; $($kind:literal: $($name:ident)*;)*) => {
        $($($all.push(case(stringify!($name), concat!("torch.", stringify!($name), "(a,b)"), $kind, |x| vec![x[0].$name(&x[1])]));)*)*
    };
}

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    elementwise(&mut all);
    reductions(&mut all);
    order(&mut all);
    shapes(&mut all);
    picks(&mut all);
    writes(&mut all);
    products(&mut all);
    signals(&mut all);
    made(&mut all);
    nets(&mut all);
    all
}

#[rustfmt::skip] // A line for each case.
fn elementwise(all: &mut Vec<Case>) {
    unary! { all;
        "f[3,4]": abs sign floor round trunc ceil frac exp expm1 sin cos tan atan tanh sigmoid erf erfc sinh cosh asinh square neg exp2 sinc deg2rad rad2deg relu;
        "p[3,4]": log log1p log2 log10 sqrt rsqrt lgamma digamma i0;
        "q[3,4]": asin acos atanh erfinv;
        "s[12]": abs sign floor round trunc ceil frac isnan isinf isfinite isposinf isneginf signbit exp exp2 log sqrt sinh cosh tanh sigmoid i0 logical_not deg2rad;
        "i[7]": abs neg sign bitwise_not square;
        "b[5]": bitwise_not logical_not;
    }
    binary! { all;
        "f[3,4] f[4]": add sub mul maximum minimum fmax fmin hypot logaddexp logaddexp2 copysign atan2 eq ne lt le gt ge logical_and logical_or logical_xor;
        "f[3,4] p[4]": div fmod remainder floor_divide heaviside xlogy;
        "p[3,4] f[4]": pow;
        "s[12] s[1,12]": maximum minimum fmax fmin logaddexp logaddexp2 copysign floor_divide remainder fmod heaviside eq ne lt le gt ge logical_and;
        "s[12,1] s[12]": floor_divide copysign fmax fmin logaddexp2;
        "i[7] i[7,1]": add sub mul bitwise_and bitwise_or bitwise_xor gcd lcm maximum minimum;
        "i[7] k40[7]": bitwise_right_shift;
        "b[4] b[4,1]": bitwise_and bitwise_or bitwise_xor logical_xor;
    }
    let more = [
        case("bitwise_left_shift", "torch.bitwise_left_shift(a.int(),b.int())", "i[7] k40[7]", |x| vec![x[0].bitwise_left_shift(&x[1])]),
        case("recip", "torch.reciprocal(a)", "p[3,4]", |x| vec![x[0].recip()]),
        case("acosh", "torch.acosh(a)", "p[3,4]", |x| vec![(&x[0] + 1.0).acosh()]),
        case("logit", "torch.logit(a)", "q[3,4]", |x| vec![((&x[0] + 1.0) * 0.5).logit()]),
        case("polygamma", "torch.polygamma(2,a)", "p[3]", |x| vec![x[0].polygamma(2)]),
        case("mvlgamma", "torch.mvlgamma(a+3,3)", "p[3]", |x| vec![(&x[0] + 3.0).mvlgamma(3)]),
        case("round_decimals", "torch.round(a,decimals=1)", "f[3]", |x| vec![x[0].round_decimals(1)]),
        case("powf", "torch.pow(a,1.5)", "p[3]", |x| vec![x[0].powf(1.5)]),
        case("addcmul", "torch.addcmul(a,b,c,value=0.5)", "f[3,4] f[4] f[3,1]", |x| vec![x[0].addcmul(&x[1], &x[2], 0.5)]),
        case("addcdiv", "torch.addcdiv(a,b,c,value=0.5)", "f[3,4] f[4] p[3,1]", |x| vec![x[0].addcdiv(&x[1], &x[2], 0.5)]),
        case("ldexp", "torch.ldexp(a,b)", "f[3,4] i[4]", |x| vec![x[0].ldexp(&x[1])]),
        case("rsub", "torch.rsub(a,b,alpha=2)", "f[3] f[3]", |x| vec![x[0].rsub(&x[1], 2.0)]),
        case("lerp", "torch.lerp(a,b,c)", "f[3] f[3] f[3]", |x| vec![x[0].lerp(&x[1], &x[2])]),
        case("lerp_scalar", "torch.lerp(a,b,0.7)", "f[3] f[3]", |x| vec![x[0].lerp_scalar(&x[1], 0.7)]),
        case("nan_to_num", "torch.nan_to_num(a,1.0,2.0,3.0)", "s[12]", |x| vec![x[0].nan_to_num(1.0, 2.0, 3.0)]),
        case("clamp", "torch.clamp(a,-0.5,0.75)", "f[3,4]", |x| vec![x[0].clamp(-0.5, 0.75)]),
        case("clamp_min", "torch.clamp(a,min=0.3)", "f[3,4]", |x| vec![x[0].clamp_min(0.3)]),
        case("clamp_max", "torch.clamp(a,max=0.3)", "f[3,4]", |x| vec![x[0].clamp_max(0.3)]),
        case("where_", "torch.where(a,b,c)", "b[4] f[3,4] f[4]", |x| vec![Tensor::where_(&x[0], &x[1], &x[2])]),
        case("masked_fill", "torch.masked_fill(a,b,0.5)", "f[3,4] b[4]", |x| vec![x[0].masked_fill(&x[1], 0.5)]),
        case("isclose", "torch.isclose(a.detach(),b.detach(),rtol=0.3,atol=0.1)", "f[3,4] f[4]", |x| vec![x[0].isclose(&x[1], 0.3, 0.1, false)]),
        case("isclose", "torch.isclose(a,b,rtol=0.3,atol=0.1,equal_nan=True)", "s[12] s[12,1]", |x| vec![x[0].isclose(&x[1], 0.3, 0.1, true)]),
        case("isin", "torch.isin(a,b)", "i[7] k3[4]", |x| vec![x[0].isin(&x[1])]),
        case("softplus", "F.softplus(a)", "f[3,4]", |x| vec![x[0].softplus()]),
        case("silu", "F.silu(a)", "f[3,4]", |x| vec![x[0].silu()]),
        case("silu", "F.silu(a)", "s[12]", |x| vec![x[0].silu()]),
        case("mish", "F.mish(a)", "f[3,4]", |x| vec![x[0].mish()]),
        case("gelu", "F.gelu(a)", "f[3,4]", |x| vec![x[0].gelu()]),
        case("relu6", "F.relu6(a)", "f[3,4]", |x| vec![x[0].relu6()]),
        case("elu", "F.elu(a,0.5)", "f[3,4]", |x| vec![x[0].elu(0.5)]),
        case("celu", "F.celu(a,0.5)", "f[3,4]", |x| vec![x[0].celu(0.5)]),
        case("selu", "F.selu(a)", "f[3,4]", |x| vec![x[0].selu()]),
        case("leaky_relu", "F.leaky_relu(a,0.1)", "f[3,4]", |x| vec![x[0].leaky_relu(0.1)]),
        case("prelu", "F.prelu(a,b)", "f[3,4] f[4]", |x| vec![x[0].prelu(&x[1])]),
        case("logsigmoid", "F.logsigmoid(a)", "f[3,4]", |x| vec![x[0].logsigmoid()]),
        case("hardtanh", "F.hardtanh(a)", "f[3,4]", |x| vec![x[0].hardtanh(-1.0, 1.0)]),
        case("hardsigmoid", "F.hardsigmoid(a)", "f[3,4]", |x| vec![x[0].hardsigmoid()]),
        case("hardswish", "F.hardswish(a)", "f[3,4]", |x| vec![x[0].hardswish()]),
        case("softsign", "F.softsign(a)", "f[3,4]", |x| vec![x[0].softsign()]),
        case("tanhshrink", "F.tanhshrink(a)", "f[3,4]", |x| vec![x[0].tanhshrink()]),
        case("softshrink", "F.softshrink(a,0.3)", "f[3,4]", |x| vec![x[0].softshrink(0.3)]),
        case("hardshrink", "F.hardshrink(a,0.3)", "f[3,4]", |x| vec![x[0].hardshrink(0.3)]),
        case("threshold", "F.threshold(a,0.3,2.0)", "f[3,4]", |x| vec![x[0].threshold(0.3, 2.0)]),
        case("glu", "F.glu(a,1)", "f[3,4]", |x| vec![x[0].glu(1)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn reductions(all: &mut Vec<Case>) {
    unary! { all;
        "f[3,4]": sum mean prod amax amin any all;
        "s[12]": sum mean amax amin any all;
    }
    let more = [
        case("sum_dims", "torch.sum(a,1,keepdim=True)", "f[3,4]", |x| vec![x[0].sum_dims(&[1], true)]),
        case("mean_dims", "torch.mean(a,(0,2))", "f[3,4,2]", |x| vec![x[0].mean_dims(&[0, 2], false)]),
        case("nansum", "torch.nansum(a,0)", "s[12]", |x| vec![x[0].nansum(&[0], false)]),
        case("nanmean", "torch.nanmean(a,0)", "s[3,5]", |x| vec![x[0].nanmean(&[0], false)]),
        case("var_dims", "torch.var(a,1)", "f[3,4]", |x| vec![x[0].var_dims(&[1], 1, false)]),
        case("std_dims", "torch.std(a,1)", "f[3,4]", |x| vec![x[0].std_dims(&[1], 1, false)]),
        case("var", "torch.var(a)", "f[3,4]", |x| vec![x[0].var(1)]),
        case("std", "torch.std(a)", "f[3,4]", |x| vec![x[0].std(1)]),
        case("var_mean", "torch.var_mean(a,1,keepdim=True)", "f[3,4]", |x| pair(x[0].var_mean(&[1], 1))),
        case("prod_dims", "torch.prod(a,1)", "f[3,4]", |x| vec![x[0].prod_dims(&[1], false)]),
        case("amax_dims", "torch.amax(a,1)", "f[3,4]", |x| vec![x[0].amax_dims(&[1], false)]),
        case("amin_dims", "torch.amin(a,1)", "f[3,4]", |x| vec![x[0].amin_dims(&[1], false)]),
        case("aminmax", "torch.aminmax(a,dim=1)", "f[3,4]", |x| pair(x[0].aminmax(1, false))),
        case("count_nonzero", "torch.count_nonzero(a,1)", "f[3,4]", |x| vec![x[0].count_nonzero(&[1], false)]),
        case("any_dims", "torch.any(a,1)", "f[3,4]", |x| vec![x[0].any_dims(&[1], false)]),
        case("all_dims", "torch.all(a,1)", "f[3,4]", |x| vec![x[0].all_dims(&[1], false)]),
        case("logsumexp", "torch.logsumexp(a,1)", "f[3,4]", |x| vec![x[0].logsumexp(1, false)]),
        case("softmax", "torch.softmax(a,1)", "f[3,4]", |x| vec![x[0].softmax(1)]),
        case("log_softmax", "torch.log_softmax(a,1)", "f[3,4]", |x| vec![x[0].log_softmax(1)]),
        case("softmin", "F.softmin(a,1)", "f[3,4]", |x| vec![x[0].softmin(1)]),
        case("cumsum", "torch.cumsum(a,1)", "f[3,4]", |x| vec![x[0].cumsum(1)]),
        case("cumprod", "torch.cumprod(a,1)", "f[3,4]", |x| vec![x[0].cumprod(1)]),
        case("cummax", "torch.cummax(a,1)[0]", "f[3,4]", |x| vec![x[0].cummax(1)]),
        case("cummin", "torch.cummin(a,1)[0]", "f[3,4]", |x| vec![x[0].cummin(1)]),
        case("logcumsumexp", "torch.logcumsumexp(a,1)", "f[3,4]", |x| vec![x[0].logcumsumexp(1)]),
        case("norm", "torch.norm(a)", "f[3,4]", |x| vec![x[0].norm()]),
        case("vector_norm", "torch.linalg.vector_norm(a,3,1)", "f[3,4]", |x| vec![x[0].vector_norm(3.0, &[1], false)]),
        case("dist", "torch.dist(a,b,3)", "f[3,4] p[4]", |x| vec![x[0].dist(&x[1], 3.0)]),
        case("trace", "torch.trace(a)", "f[3,4]", |x| vec![x[0].trace()]),
        case("renorm", "torch.renorm(a,2,0,1.5)", "f[3,4]", |x| vec![x[0].renorm(2.0, 0, 1.5)]),
        case("trapezoid", "torch.trapezoid(a,dx=0.5,dim=1)", "f[3,4]", |x| vec![x[0].trapezoid(0.5, 1)]),
        case("trapezoid_over", "torch.trapezoid(a,b,dim=1)", "f[3,4] d[4]", |x| vec![x[0].trapezoid_over(&x[1], 1)]),
        case("cumulative_trapezoid", "torch.cumulative_trapezoid(a,dx=0.5,dim=0)", "f[3,4]", |x| vec![x[0].cumulative_trapezoid(0.5, 0)]),
        case("cumulative_trapezoid_over", "torch.cumulative_trapezoid(a,b,dim=1)", "f[3,4] d[3,4]", |x| vec![x[0].cumulative_trapezoid_over(&x[1], 1)]),
        case("gradient", "torch.gradient(a,spacing=0.5,dim=1)[0]", "f[3,5]", |x| vec![x[0].gradient(0.5, 1, 1)]),
        case("gradient", "torch.gradient(a,spacing=2.0,dim=0,edge_order=2)[0]", "f[4,2]", |x| vec![x[0].gradient(2.0, 0, 2)]),
        case("sum_to_size", "a.sum_to_size(3,1)", "f[2,3,4]", |x| vec![x[0].sum_to_size(&[3, 1])]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn order(all: &mut Vec<Case>) {
    let more = [
        case("argmax", "torch.argmax(a)", "d[3,4]", |x| vec![x[0].argmax(None, false)]),
        case("argmax", "torch.argmax(a,1,keepdim=True)", "d[3,4]", |x| vec![x[0].argmax(1, true)]),
        case("argmin", "torch.argmin(a)", "d[3,4]", |x| vec![x[0].argmin(None, false)]),
        case("argmin", "torch.argmin(a,0)", "d[3,4]", |x| vec![x[0].argmin(0, false)]),
        case("argsort", "torch.sort(a,dim=1,stable=True)[1]", "f[3,4]", |x| vec![x[0].argsort(1, false)]),
        case("sort", "torch.sort(a)", "d[3,4]", |x| pair(x[0].sort(None, false))),
        case("sort", "torch.sort(a,0,descending=True)", "d[3,4]", |x| pair(x[0].sort(0, true))),
        case("topk", "torch.topk(a,2)", "d[3,4]", |x| pair(x[0].topk(2, None, true))),
        case("kthvalue", "torch.kthvalue(a,2,1)", "d[3,4]", |x| pair(x[0].kthvalue(2, 1, false))),
        case("median", "torch.median(a)", "d[3,4]", |x| vec![x[0].median(None, false).0]),
        case("median", "torch.median(a,1)", "d[3,4]", |x| pair(x[0].median(1, false))),
        case("nanmedian", "torch.nanmedian(a)", "s[12]", |x| vec![x[0].nanmedian(None, false).0]),
        case("nanmedian", "torch.nanmedian(a,1)", "d[3,4]", |x| pair(x[0].nanmedian(1, false))),
        case("nanmedian", "torch.nanmedian(a,1)[0]", "s[3,5]", |x| vec![x[0].nanmedian(1, false).0]),
        case("max_dim", "torch.max(a,1)", "d[3,4]", |x| pair(x[0].max_dim(1, false))),
        case("min_dim", "torch.min(a,1)", "d[3,4]", |x| pair(x[0].min_dim(1, false))),
        case("mode", "torch.mode(a,1)", "k3[4,7]", |x| pair(x[0].mode(1, false))),
        case("quantile", "torch.quantile(a,0.3)", "d[3,4]", |x| vec![x[0].quantile(0.3, None, false, Q::Linear)]),
        case("quantile", "torch.quantile(a,0.3,1,keepdim=True)", "d[3,5]", |x| vec![x[0].quantile(0.3, 1, true, Q::Linear)]),
        case("quantile", "torch.quantile(a,0.85,0,interpolation='lower')", "d[3,5]", |x| vec![x[0].quantile(0.85, 0, false, Q::Lower)]),
        case("quantile", "torch.quantile(a,0.85,0,interpolation='higher')", "d[3,5]", |x| vec![x[0].quantile(0.85, 0, false, Q::Higher)]),
        case("quantile", "torch.quantile(a,0.85,0,interpolation='midpoint')", "d[3,5]", |x| vec![x[0].quantile(0.85, 0, false, Q::Midpoint)]),
        case("quantile", "torch.quantile(a,0.25,0,interpolation='nearest')", "d[3,5]", |x| vec![x[0].quantile(0.25, 0, false, Q::Nearest)]),
        case("quantile", "torch.quantile(a,0.5,1)", "s[3,5]", |x| vec![x[0].quantile(0.5, 1, false, Q::Linear)]),
        case("quantiles", "torch.quantile(a,torch.tensor([0.1,0.5,1.0]),1)", "d[3,5]", |x| vec![x[0].quantiles(&[0.1, 0.5, 1.0], 1, false, Q::Linear)]),
        case("nanquantile", "torch.nanquantile(a,0.4,1)", "d[3,5]", |x| vec![x[0].nanquantile(0.4, 1, false, Q::Linear)]),
        case("nanquantile", "torch.nanquantile(a,0.5,1,interpolation='lower')", "s[3,5]", |x| vec![x[0].nanquantile(0.5, 1, false, Q::Lower)]),
        case("searchsorted", "torch.searchsorted(torch.sort(a)[0],b)", "d[3,6] f[3,4]", |x| vec![x[0].sort(None, false).0.searchsorted(&x[1], false)]),
        case("searchsorted", "torch.searchsorted(torch.sort(a)[0],b,right=True)", "k5[6] k7[3,4]", |x| vec![x[0].sort(None, false).0.searchsorted(&x[1], true)]),
        case("bucketize", "torch.bucketize(a,torch.sort(b)[0])", "s[12] f[5]", |x| vec![x[0].bucketize(&x[1].sort(None, false).0, false)]),
        case("histc", "torch.histc(a.detach(),5,-1,1)", "f[4,5]", |x| vec![x[0].histc(5, -1.0, 1.0)]),
        case("histc", "torch.histc(a.detach(),4)", "f[4,5]", |x| vec![x[0].histc(4, 0.0, 0.0)]),
        case("histogram", "torch.histogram(a.detach(),4,range=(-1.,1.),weight=b.detach(),density=True)", "f[9] p[9]", |x| pair(x[0].histogram(4, Some((-1.0, 1.0)), Some(&x[1]), true))),
        case("bincount", "torch.bincount(a,minlength=6)", "k4[7]", |x| vec![x[0].bincount(None, 6)]),
        case("bincount", "torch.bincount(a,b.detach())", "k4[7] f[7]", |x| vec![x[0].bincount(Some(&x[1].stop_gradient()), 0)]),
        case("unique", "torch.unique(a,return_inverse=True,return_counts=True)", "k5[3,4]", |x| { let u = x[0].unique(); vec![u.values, u.inverse, u.counts] }),
        case("unique_dim", "torch.unique(a,return_inverse=True,return_counts=True,dim=0)", "k2[6,2]", |x| { let u = x[0].unique_dim(0); vec![u.values, u.inverse, u.counts] }),
        case("unique_consecutive", "torch.unique_consecutive(a,return_inverse=True,return_counts=True)", "b[9]", |x| { let u = x[0].unique_consecutive(None); vec![u.values, u.inverse, u.counts] }),
        case("nonzero", "torch.nonzero(a)", "b[3,4]", |x| vec![x[0].nonzero()]),
        case("nonzero_static", "torch.nonzero_static(a,size=9,fill_value=-1)", "b[3,4]", |x| vec![x[0].nonzero_static(9, -1)]),
        case("masked_select", "torch.masked_select(a,b)", "f[3,4] b[4]", |x| vec![x[0].masked_select(&x[1])]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn shapes(all: &mut Vec<Case>) {
    let more = [
        case("reshape", "torch.reshape(a,(2,6))", "f[3,4]", |x| vec![x[0].reshape(&[2, 6])]),
        case("flatten", "torch.flatten(a,1)", "f[2,3,2]", |x| vec![x[0].flatten(1, -1)]),
        case("unflatten", "torch.unflatten(a,1,(2,-1))", "f[3,4]", |x| vec![x[0].unflatten(1, &[2, -1])]),
        case("permute", "torch.permute(a,(2,0,1))", "f[2,3,2]", |x| vec![x[0].permute(&[2, 0, 1])]),
        case("transpose", "torch.transpose(a,0,1)", "f[3,4]", |x| vec![x[0].transpose(0, 1)]),
        case("movedim", "torch.movedim(a,0,2)", "f[2,3,4]", |x| vec![x[0].movedim(0, 2)]),
        case("mt", "a.mT", "f[2,3,4]", |x| vec![x[0].mt()]),
        case("flip", "torch.flip(a,(0,))", "f[3,4]", |x| vec![x[0].flip(&[0])]),
        case("fliplr", "torch.fliplr(a)", "f[3,4]", |x| vec![x[0].fliplr()]),
        case("flipud", "torch.flipud(a)", "f[3,4]", |x| vec![x[0].flipud()]),
        case("rot90", "torch.rot90(a,1,(0,1))", "f[3,4]", |x| vec![x[0].rot90(1, [0, 1])]),
        case("rot90", "torch.rot90(a,-5,(2,0))", "f[2,3,4]", |x| vec![x[0].rot90(-5, [2, 0])]),
        case("roll", "torch.roll(a,(1,-2),(0,1))", "f[3,4]", |x| vec![x[0].roll(&[1, -2], &[0, 1])]),
        case("narrow", "torch.narrow(a,1,1,2)", "f[3,4]", |x| vec![x[0].narrow(1, 1, 2)]),
        case("select", "torch.select(a,1,2)", "f[3,4]", |x| vec![x[0].select(1, 2)]),
        case("squeeze_all", "torch.squeeze(a)", "f[3,1]", |x| vec![x[0].squeeze_all()]),
        case("unsqueeze", "torch.unsqueeze(a,1)", "f[3]", |x| vec![x[0].unsqueeze(1)]),
        case("expand", "a.expand(2,3)", "f[3]", |x| vec![x[0].expand(&[2, 3])]),
        case("broadcast_to", "torch.broadcast_to(a,(2,3))", "f[3]", |x| vec![x[0].broadcast_to(&[2, 3])]),
        case("broadcast_tensors", "torch.broadcast_tensors(a,b)", "f[3] f[2,1]", |x| Tensor::broadcast_tensors(&[&x[0], &x[1]])),
        case("repeat", "a.repeat(2,2)", "f[3]", |x| vec![x[0].repeat(&[2, 2])]),
        case("tile", "torch.tile(a,(2,))", "f[2,3]", |x| vec![x[0].tile(&[2])]),
        case("repeat_interleave", "torch.repeat_interleave(a,2,1)", "f[2,3]", |x| vec![x[0].repeat_interleave(2, 1)]),
        case("cat", "torch.cat((a,b),1)", "f[2,3] f[2,2]", |x| vec![Tensor::cat(&[&x[0], &x[1]], 1)]),
        case("stack", "torch.stack((a,b),1)", "f[2,3] f[2,3]", |x| vec![Tensor::stack(&[&x[0], &x[1]], 1)]),
        case("hstack", "torch.hstack((a,b))", "f[2,3] f[2,2]", |x| vec![Tensor::hstack(&[&x[0], &x[1]])]),
        case("vstack", "torch.vstack((a,b))", "f[3] f[2,3]", |x| vec![Tensor::vstack(&[&x[0], &x[1]])]),
        case("dstack", "torch.dstack((a,b))", "f[2,3] f[2,3]", |x| vec![Tensor::dstack(&[&x[0], &x[1]])]),
        case("column_stack", "torch.column_stack((a,b))", "f[3] f[3,2]", |x| vec![Tensor::column_stack(&[&x[0], &x[1]])]),
        case("block_diag", "torch.block_diag(a,b)", "f[2,3] f[2]", |x| vec![Tensor::block_diag(&[&x[0], &x[1]])]),
        case("split_size", "torch.split(a,2,1)", "f[2,5]", |x| x[0].split_size(2, 1)),
        case("split", "torch.split(a,[1,4],1)", "f[2,5]", |x| x[0].split(&[1, 4], 1)),
        case("chunk", "torch.chunk(a,2,1)", "f[2,5]", |x| x[0].chunk(2, 1)),
        case("tensor_split", "torch.tensor_split(a,3,1)", "f[2,5]", |x| x[0].tensor_split(3, 1)),
        case("tensor_split_at", "torch.tensor_split(a,(1,-1),1)", "f[2,5]", |x| x[0].tensor_split_at(&[1, -1], 1)),
        case("unbind", "torch.unbind(a,1)", "f[2,3]", |x| x[0].unbind(1)),
        case("atleast_1d", "torch.atleast_1d(a.sum())", "f[2]", |x| vec![x[0].sum().atleast_1d()]),
        case("atleast_2d", "torch.atleast_2d(a)", "f[2]", |x| vec![x[0].atleast_2d()]),
        case("atleast_3d", "torch.atleast_3d(a)", "f[2,3]", |x| vec![x[0].atleast_3d()]),
        case("diag", "torch.diag(a,1)", "f[3]", |x| vec![x[0].diag(1)]),
        case("diag", "torch.diag(a,-1)", "f[3,4]", |x| vec![x[0].diag(-1)]),
        case("diagflat", "torch.diagflat(a,1)", "f[2,2]", |x| vec![x[0].diagflat(1)]),
        case("diagonal", "torch.diagonal(a,1,0,2)", "f[3,2,4]", |x| vec![x[0].diagonal(1, 0, 2)]),
        case("diag_embed", "torch.diag_embed(a,-1)", "f[2,3]", |x| vec![x[0].diag_embed(-1, -2, -1)]),
        case("tril", "torch.tril(a,1)", "f[3,4]", |x| vec![x[0].tril(1)]),
        case("triu", "torch.triu(a,-1)", "f[3,4]", |x| vec![x[0].triu(-1)]),
        case("meshgrid", "torch.meshgrid(a,b,indexing='ij')", "f[3] f[2]", |x| Tensor::meshgrid(&[&x[0], &x[1]], false)),
        case("meshgrid", "torch.meshgrid(a,b,c,indexing='xy')", "f[3] f[2] f[4]", |x| Tensor::meshgrid(&[&x[0], &x[1], &x[2]], true)),
        case("cartesian_prod", "torch.cartesian_prod(a,b)", "f[3] f[2]", |x| vec![Tensor::cartesian_prod(&[&x[0], &x[1]])]),
        case("combinations", "torch.combinations(a,3)", "f[5]", |x| vec![x[0].combinations(3, false)]),
        case("combinations", "torch.combinations(a,2,with_replacement=True)", "f[4]", |x| vec![x[0].combinations(2, true)]),
        case("as_strided", "torch.as_strided(a,(2,3),(1,2),1)", "f[8]", |x| vec![x[0].as_strided(&[2, 3], &[1, 2], 1)]),
        case("unfold", "a.unfold(1,3,2)", "f[2,7]", |x| vec![x[0].unfold(1, 3, 2)]),
        case("diff", "torch.diff(a,2,1)", "f[2,5]", |x| vec![x[0].diff(2, 1, None, None)]),
        case("diff", "torch.diff(a,1,1,b,c)", "f[2,5] f[2,1] f[2,2]", |x| vec![x[0].diff(1, 1, Some(&x[1]), Some(&x[2]))]),
        case("diff", "torch.diff(a)", "b[9]", |x| vec![x[0].diff(1, -1, None, None)]),
        case("pad", "F.pad(a,(1,2),mode='reflect')", "f[2,4]", |x| vec![x[0].pad(&[1, 2], PadMode::Reflect)]),
        case("slice_scatter", "torch.slice_scatter(a,b,1,1,4,2)", "f[2,5] f[2,2]", |x| vec![x[0].slice_scatter(&x[1], 1, Some(1), Some(4), 2)]),
        case("select_scatter", "torch.select_scatter(a,b,1,2)", "f[2,5] f[2]", |x| vec![x[0].select_scatter(&x[1], 1, 2)]),
        case("diagonal_scatter", "torch.diagonal_scatter(a,b,1)", "f[3,4] f[3]", |x| vec![x[0].diagonal_scatter(&x[1], 1, 0, 1)]),
        case("as_strided_scatter", "a.put(torch.tensor([[1,2],[4,5]]),b)", "f[8] f[2,2]", |x| vec![x[0].as_strided_scatter(&x[1], &[2, 2], &[3, 1], 1)]),
        case("unravel_index", "torch.unravel_index(a,(2,3,4))", "k23[6]", |x| x[0].unravel_index(&[2, 3, 4])),
        case("vander", "torch.stack((a**3,a**2,a,a**0),1)", "f[3]", |x| vec![x[0].vander(Some(4), false)]),
        case("one_hot", "F.one_hot(a,5)", "k4[3]", |x| vec![x[0].one_hot(5)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn picks(all: &mut Vec<Case>) {
    let more = [
        case("gather", "torch.gather(a,1,b)", "f[3,4] k4[3,2]", |x| vec![x[0].gather(1, &x[1])]),
        case("index_select", "torch.index_select(a,1,b)", "f[3,4] k4[5]", |x| vec![x[0].index_select(1, &x[1])]),
        case("take_along_dim", "torch.take_along_dim(a,b,1)", "f[3,4] k4[3,2]", |x| vec![x[0].take_along_dim(&x[1], 1)]),
        case("take", "torch.take(a,b-4)", "f[3,4] k9[2,3]", |x| vec![x[0].take(&(&x[1] - 4))]),
        case("index", "a[b,c]", "f[3,4,2] k3[5] k4[2,1]", |x| vec![x[0].index(&[&x[1], &x[2]])]),
        case("index", "a[b-2]", "f[3,4] k3[5]", |x| vec![x[0].index(&[&(&x[1] - 2)])]),
        case("embedding", "F.embedding(b,a)", "f[5,3] k5[2,4]", |x| vec![x[1].embedding(&x[0], None)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn writes(all: &mut Vec<Case>) {
    let more = [
        case("index_put", "torch.index_put(a,(b,c),d,accumulate=True)", "f[3,4] k3[5] k4[5] f[5]", |x| vec![x[0].index_put(&[&x[1], &x[2]], &x[3], true)]),
        case("index_put", "torch.index_put(a,(b,),c)", "f[7,2] k7[3] f[3,2]", |x| vec![x[0].index_put(&[&x[1]], &x[2], false)]),
        case("index_copy", "torch.index_copy(a,1,b,c)", "f[2,7] k7[3] f[2,3]", |x| vec![x[0].index_copy(1, &x[1], &x[2])]),
        case("index_add", "torch.index_add(a,1,b,c,alpha=2)", "f[2,5] k5[3] f[2,3]", |x| vec![x[0].index_add(1, &x[1], &x[2], 2.0)]),
        case("index_fill", "torch.index_fill(a,1,b,0.5)", "f[2,5] k5[2]", |x| vec![x[0].index_fill(1, &x[1], 0.5)]),
        case("put", "a.put(b,c,accumulate=True)", "f[2,5] k10[2,2] f[4]", |x| vec![x[0].put(&x[1], &x[2], true)]),
        case("masked_scatter", "torch.masked_scatter(a,b,c)", "f[2,5] b[5] f[8]", |x| vec![x[0].masked_scatter(&x[1], &x[2])]),
        case("scatter", "torch.scatter(a,1,b,c)", "f[2,7] k7[2,3] f[2,3]", |x| vec![x[0].scatter(1, &x[1], &x[2])]),
        case("scatter_scalar", "torch.scatter(a,1,b,0.5)", "f[2,7] k7[2,3]", |x| vec![x[0].scatter_scalar(1, &x[1], 0.5)]),
        case("scatter_add", "torch.scatter_add(a,1,b,c)", "f[2,3] k3[2,5] f[2,5]", |x| vec![x[0].scatter_add(1, &x[1], &x[2])]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'sum')", "f[2,3] k3[2,5] f[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Sum, true)]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'mean',include_self=False)", "f[2,4] k3[2,5] f[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Mean, false)]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'mean')", "f[2,4] k3[2,5] f[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Mean, true)]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'prod')", "p[2,4] k3[2,5] p[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Prod, true)]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'prod',include_self=False)", "p[3,4] k3[2,5] p[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Prod, false)]),
        case("scatter_reduce", "torch.scatter_reduce(a,1,b,c,'amax')", "f[2,4] k3[2,5] f[2,5]", |x| vec![x[0].scatter_reduce(1, &x[1], &x[2], Reduce::Amax, true)]),
        case("scatter_reduce", "torch.scatter_reduce(a,0,b,c,'amin',include_self=False)", "f[4,3] k3[5,2] f[5,2]", |x| vec![x[0].scatter_reduce(0, &x[1], &x[2], Reduce::Amin, false)]),
        case("scatter_reduce", "torch.scatter_reduce(a,0,b,c,'amax')", "i[4] k3[6] i[6]", |x| vec![x[0].scatter_reduce(0, &x[1], &x[2], Reduce::Amax, true)]),
        case("index_reduce", "torch.index_reduce(a,1,b,c,'prod')", "p[2,4] k3[5] p[2,5]", |x| vec![x[0].index_reduce(1, &x[1], &x[2], Reduce::Prod, true)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn products(all: &mut Vec<Case>) {
    binary! { all;
        "f[3,4] f[4,2]": matmul mm;
        "f[2,3,4] f[4,2]": matmul;
        "f[2,3,4] f[2,4,2]": bmm matmul;
        "f[3,4] f[4]": mv inner;
        "f[4] f[4]": dot inner;
        "f[3] f[4]": outer;
        "f[2,3] f[3,2]": kron;
        "f[2] f[2,3,2]": kron;
        "f[2,3] f[4,3]": inner;
    }
    let more = [
        case("addmm", "torch.addmm(a,b,c,beta=0.5,alpha=2)", "f[2] f[3,4] f[4,2]", |x| vec![x[0].addmm(&x[1], &x[2], 0.5, 2.0)]),
        case("addmv", "torch.addmv(a,b,c,beta=0.5,alpha=2)", "f[3] f[3,4] f[4]", |x| vec![x[0].addmv(&x[1], &x[2], 0.5, 2.0)]),
        case("addr", "torch.addr(a,b,c,beta=0.5,alpha=2)", "f[3,4] f[3] f[4]", |x| vec![x[0].addr(&x[1], &x[2], 0.5, 2.0)]),
        case("baddbmm", "torch.baddbmm(a,b,c,beta=0.5,alpha=2)", "f[2,3,2] f[2,3,4] f[2,4,2]", |x| vec![x[0].baddbmm(&x[1], &x[2], 0.5, 2.0)]),
        case("addbmm", "torch.addbmm(a,b,c,beta=0.5,alpha=2)", "f[3,2] f[2,3,4] f[2,4,2]", |x| vec![x[0].addbmm(&x[1], &x[2], 0.5, 2.0)]),
        case("multi_dot", "torch.linalg.multi_dot((a,b,c))", "f[2,3] f[3,5] f[5,2]", |x| vec![Tensor::multi_dot(&[&x[0], &x[1], &x[2]])]),
        case("tensordot", "torch.tensordot(a,b,2)", "f[2,3,4] f[3,4,2]", |x| vec![x[0].tensordot(&x[1], &[-2, -1], &[0, 1])]),
        case("tensordot", "torch.tensordot(a,b,([2,0],[0,1]))", "f[2,3,4] f[4,2,2]", |x| vec![x[0].tensordot(&x[1], &[2, 0], &[0, 1])]),
        case("einsum", "torch.einsum('ij,kj->ki',a,b)", "f[2,3] f[4,3]", |x| vec![Tensor::einsum("ij,kj->ki", &[&x[0], &x[1]])]),
        case("linear", "F.linear(a,b,c)", "f[2,3] f[4,3] f[4]", |x| vec![x[0].linear(&x[1], Some(&x[2]))]),
        case("cross", "torch.cross(a,b,dim=1)", "f[2,3] f[1,3]", |x| vec![x[0].cross(&x[1], 1)]),
        case("cdist", "torch.cdist(a,b)", "d[3,4] f[2,4]", |x| vec![x[0].cdist(&x[1], 2.0)]),
        case("cdist", "torch.cdist(a,b,1.0)", "d[2,3,4] f[2,2,4]", |x| vec![x[0].cdist(&x[1], 1.0)]),
        case("cdist", "torch.cdist(a,b,float('inf'))", "d[3,4] f[2,4]", |x| vec![x[0].cdist(&x[1], f64::INFINITY)]),
        case("cdist", "torch.cdist(a,b,3.0)", "d[3,4] f[2,4]", |x| vec![x[0].cdist(&x[1], 3.0)]),
        case("pdist", "torch.pdist(a)", "d[4,3]", |x| vec![x[0].pdist(2.0)]),
        case("cov", "torch.cov(a)", "f[3,5]", |x| vec![x[0].cov(1, None, None)]),
        case("cov", "torch.cov(a,correction=0,fweights=b+1,aweights=c.detach())", "f[3,5] k4[5] p[5]", |x| vec![x[0].cov(0, Some(&(&x[1] + 1)), Some(&x[2].stop_gradient()))]),
        case("cov", "torch.cov(a)", "f[5]", |x| vec![x[0].cov(1, None, None)]),
        case("corrcoef", "torch.corrcoef(a)", "f[3,5]", |x| vec![x[0].corrcoef()]),
        case("pairwise_distance", "F.pairwise_distance(a,b)", "d[3,4] f[3,4]", |x| vec![x[0].pairwise_distance(&x[1], 2.0, 1e-6, false)]),
        case("cosine_similarity", "F.cosine_similarity(a,b)", "d[3,4] f[3,4]", |x| vec![x[0].cosine_similarity(&x[1], 1, 1e-8)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn signals(all: &mut Vec<Case>) {
    let more = [
        case("fft", "R(torch.fft.fft(C(a)))", "f[5,2]", |x| vec![x[0].fft(None, -1, FftNorm::Backward)]),
        case("fft", "R(torch.fft.fft(C(a),n=7,dim=0,norm='ortho'))", "f[5,3,2]", |x| vec![x[0].fft(Some(7), 0, FftNorm::Ortho)]),
        case("fft", "R(torch.fft.fft(C(a)))", "f[96,2]", |x| vec![x[0].fft(None, -1, FftNorm::Backward)]),
        case("fft", "R(torch.fft.fft(C(a)))", "f[67,2]", |x| vec![x[0].fft(None, -1, FftNorm::Backward)]),
        case("ifft", "R(torch.fft.ifft(C(a)))", "f[6,2]", |x| vec![x[0].ifft(None, -1, FftNorm::Backward)]),
        case("ifft", "R(torch.fft.ifft(C(a),norm='forward'))", "f[130,2]", |x| vec![x[0].ifft(None, -1, FftNorm::Forward)]),
        case("rfft", "R(torch.fft.rfft(a))", "f[3,8]", |x| vec![x[0].rfft(None, -1, FftNorm::Backward)]),
        case("rfft", "R(torch.fft.rfft(a,n=5,dim=0))", "f[7,2]", |x| vec![x[0].rfft(Some(5), 0, FftNorm::Backward)]),
        case("irfft", "torch.fft.irfft(C(a))", "f[5,2]", |x| vec![x[0].irfft(None, -1, FftNorm::Backward)]),
        case("irfft", "torch.fft.irfft(C(a),n=9,norm='ortho')", "f[5,2]", |x| vec![x[0].irfft(Some(9), -1, FftNorm::Ortho)]),
        case("fftn", "R(torch.fft.fftn(C(a)))", "f[4,3,2]", |x| vec![x[0].fftn(&[0, 1], FftNorm::Backward)]),
        case("ifftn", "R(torch.fft.ifftn(C(a)))", "f[4,3,2]", |x| vec![x[0].ifftn(&[0, 1], FftNorm::Backward)]),
        case("rfftn", "R(torch.fft.rfftn(a))", "f[4,6]", |x| vec![x[0].rfftn(&[0, 1], FftNorm::Backward)]),
        case("irfftn", "torch.fft.irfftn(C(a))", "f[4,4,2]", |x| vec![x[0].irfftn(None, &[0, 1], FftNorm::Backward)]),
        case("fftshift", "torch.fft.fftshift(a)", "f[5,4]", |x| vec![x[0].fftshift(&[0, 1])]),
        case("ifftshift", "torch.fft.ifftshift(a)", "f[5,4]", |x| vec![x[0].ifftshift(&[0, 1])]),
        case("stft", "R(torch.stft(a,8,3,window=torch.hann_window(8),return_complex=True))", "f[2,20]", |x| vec![x[0].stft(8, 3, Some(&Tensor::hann_window(8, true, x[0].device())), true, false)]),
        case("stft", "R(torch.stft(a,7,4,window=b,win_length=5,center=False,normalized=True,return_complex=True))", "f[20] p[5]", |x| vec![x[0].stft(7, 4, Some(&x[1]), false, true)]),
        case("istft", "torch.istft(torch.stft(a,8,3,window=torch.hann_window(8),return_complex=True),8,3,window=torch.hann_window(8),length=20)", "f[20]", |x| { let w = Tensor::hann_window(8, true, x[0].device()); vec![x[0].stft(8, 3, Some(&w), true, false).istft(8, 3, Some(&w), true, false, Some(20))] }),
        case("grid_sample", "F.grid_sample(a,b,align_corners=False)", "f[2,2,4,5] q[2,3,3,2]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions::default())]),
        case("grid_sample", "F.grid_sample(a,b,padding_mode='border',align_corners=True)", "f[1,2,4,5] q[1,3,3,2]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions { padding: GridPadding::Border, align_corners: true, ..Default::default() })]),
        case("grid_sample", "F.grid_sample(a,b,padding_mode='reflection',align_corners=False)", "f[1,2,4,5] q[1,3,3,2]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions { padding: GridPadding::Reflection, ..Default::default() })]),
        case("grid_sample", "F.grid_sample(a,b,mode='nearest',align_corners=False)", "f[1,2,4,5] q[1,3,3,2]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions { mode: GridMode::Nearest, ..Default::default() })]),
        case("grid_sample", "F.grid_sample(a,b,mode='bicubic',align_corners=True)", "f[1,2,4,5] q[1,3,3,2]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions { mode: GridMode::Bicubic, align_corners: true, ..Default::default() })]),
        case("grid_sample", "F.grid_sample(a,b,align_corners=False)", "f[1,2,3,4,5] q[1,2,2,3,3]", |x| vec![x[0].grid_sample(&(&x[1] * 1.3), &GridSampleOptions::default())]),
        case("affine_grid", "F.affine_grid(a,(2,1,3,4),align_corners=False)", "f[2,2,3]", |x| vec![x[0].affine_grid(&[2, 1, 3, 4], false)]),
        case("affine_grid", "F.affine_grid(a,(1,1,2,3,4),align_corners=True)", "f[1,3,4]", |x| vec![x[0].affine_grid(&[1, 1, 2, 3, 4], true)]),
        case("interpolate", "F.interpolate(a,(5,3),mode='bilinear',align_corners=False)", "f[1,2,4,5]", |x| vec![x[0].interpolate(&InterpolateOptions::size(&[5, 3]).mode(Interpolation::Bilinear))]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn made(all: &mut Vec<Case>) {
    let more = [
        case("arange_step", "torch.arange(1.0,4.0,0.5)", "f[1]", |x| vec![Tensor::arange_step(1.0, 4.0, 0.5, x[0].device())]),
        case("linspace", "torch.linspace(-1,2,7)", "f[1]", |x| vec![Tensor::linspace(-1.0, 2.0, 7, x[0].device())]),
        case("logspace", "torch.logspace(-1,2,7,base=2.0)", "f[1]", |x| vec![Tensor::logspace(-1.0, 2.0, 7, 2.0, x[0].device())]),
        case("eye", "torch.eye(3)", "f[1]", |x| vec![Tensor::eye(3, wgrad::DType::F32, x[0].device())]),
        case("tril_indices", "torch.tril_indices(3,4,1)", "f[1]", |x| vec![Tensor::tril_indices(3, 4, 1, x[0].device())]),
        case("triu_indices", "torch.triu_indices(3,4,-1)", "f[1]", |x| vec![Tensor::triu_indices(3, 4, -1, x[0].device())]),
        case("hann_window", "torch.hann_window(7)", "f[1]", |x| vec![Tensor::hann_window(7, true, x[0].device())]),
        case("hamming_window", "torch.hamming_window(7,periodic=False)", "f[1]", |x| vec![Tensor::hamming_window(7, false, 0.54, 0.46, x[0].device())]),
        case("blackman_window", "torch.blackman_window(7)", "f[1]", |x| vec![Tensor::blackman_window(7, true, x[0].device())]),
        case("bartlett_window", "torch.bartlett_window(7)", "f[1]", |x| vec![Tensor::bartlett_window(7, true, x[0].device())]),
        case("kaiser_window", "torch.kaiser_window(7)", "f[1]", |x| vec![Tensor::kaiser_window(7, true, 12.0, x[0].device())]),
        case("fftfreq", "torch.fft.fftfreq(7,0.5)", "f[1]", |x| vec![Tensor::fftfreq(7, 0.5, x[0].device())]),
        case("rfftfreq", "torch.fft.rfftfreq(7,0.5)", "f[1]", |x| vec![Tensor::rfftfreq(7, 0.5, x[0].device())]),
        case("zeros_like", "torch.zeros_like(a)", "f[2]", |x| vec![x[0].zeros_like()]),
        case("ones_like", "torch.ones_like(a)", "f[2]", |x| vec![x[0].ones_like()]),
        case("full_like", "torch.full_like(a,0.5)", "f[2]", |x| vec![x[0].full_like(0.5)]),
    ];
    all.extend(more);
}

#[rustfmt::skip] // A line for each case.
fn nets(all: &mut Vec<Case>) {
    let more = [
        case("l1_loss", "F.l1_loss(a,b)", "d[3,4] f[3,4]", |x| vec![x[0].l1_loss(&x[1], Reduction::Mean)]),
        case("mse_loss", "F.mse_loss(a,b)", "d[3,4] f[3,4]", |x| vec![x[0].mse_loss(&x[1], Reduction::Mean)]),
        case("huber_loss", "F.huber_loss(a,b,delta=0.5)", "d[3,4] f[3,4]", |x| vec![x[0].huber_loss(&x[1], 0.5, Reduction::Mean)]),
        case("huber_loss", "F.huber_loss(a,b,delta=float('inf'),reduction='none')", "d[3,4] f[3,4]", |x| vec![x[0].huber_loss(&x[1], f64::INFINITY, Reduction::None)]),
        case("smooth_l1_loss", "F.smooth_l1_loss(a,b)", "d[3,4] f[3,4]", |x| vec![x[0].smooth_l1_loss(&x[1], 1.0, Reduction::Mean)]),
        case("cross_entropy", "F.cross_entropy(a,b)", "f[3,4] k4[3]", |x| vec![x[0].cross_entropy(&x[1], Reduction::Mean)]),
        case("kl_div", "F.kl_div(a,b)", "f[3,4] p[3,4]", |x| vec![x[0].kl_div(&x[1], false, Reduction::Mean)]),
    ];
    all.extend(more);
}
