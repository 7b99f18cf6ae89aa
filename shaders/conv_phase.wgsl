// Phases of the gradient of a convolution's input, for its operands. Positions of the input that lie a stride apart meet the
// same taps, and those taps meet neighbouring positions of the output. Each such phase is a convolution of stride 1 with a part
// of the taps, so that neither a division by the stride nor a product with a zero between positions is left.
//
// On one side: input position i = first + stride m meets tap t = tap + step j at output position p where
// p stride = i + pad - t dilation, which is base + m - j reach. With c the common divisor of stride and dilation, step is
// stride / c and reach dilation / c; a phase whose i + pad is no multiple of c beyond that of t dilation meets no tap.

// All strides are 1: there is one phase.
override DENSE: bool = false;

// One side of a phase.
struct Side {
    // Input positions: the first, and how many.
    first: u32,
    count: u32,
    // Taps: the first, and how many. Where there is none, the first is one that exists: it may be fetched ahead.
    tap: u32,
    taps: u32,
    // Output position where the first tap meets the first position; may lie outside.
    base: i32,
}

struct Phase {
    d: Side,
    h: Side,
    w: Side,
}

// a * b modulo m, for a and b below m.
fn product_modulo(a: u32, b: u32, m: u32) -> u32 {
    if (QUICK) {
        // No stride reaches 2^11.
        let ab = a * b;
        return ab - quotient(ab, m, 1.0 / f32(m)) * m;
    }
    var rest = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
        rest = rest * 2u;
        rest -= select(0u, m, rest >= m);
        rest += select(0u, a, ((b << bit) >> 31u) == 1u);
        rest -= select(0u, m, rest >= m);
    }
    return rest;
}

// `inverse` is that of reach, modulo step.
fn side(first: u32, size: u32, kernel: u32, stride: u32, pad: u32, dilation: u32, step: u32, inverse: u32) -> Side {
    if (DENSE) {
        return Side(0u, size, 0u, kernel, i32(pad));
    }
    let per_stride = 1.0 / f32(stride);
    let per_step = 1.0 / f32(step);
    let count = quotient(size - first + stride - 1u, stride, per_stride);
    let at = first + pad;
    let lines = quotient(at, stride, per_stride);
    let rest = at - lines * stride;
    let divisor = quotient(stride, step, per_step);
    let part = quotient(rest, divisor, 1.0 / f32(divisor));
    let tap = product_modulo(part, inverse, step);
    let meets = part * divisor == rest && tap < kernel;
    let taps = select(0u, quotient(kernel - tap + step - 1u, step, per_step), meets);
    let base = i32(lines) - i32(quotient(tap * dilation - rest, stride, per_stride));
    return Side(first, count, select(0u, tap, meets), taps, select(0, base, meets));
}

fn phase_at(index: u32) -> Phase {
    let line = index / params.phases_w;
    let d = line / params.phases_h;
    let h = line - d * params.phases_h;
    let w = index - line * params.phases_w;
    return Phase(
        side(d, params.in_d, params.kernel_d, params.stride_d, params.pad_d, params.dilation_d, params.step_d, params.inverse_d),
        side(h, params.in_h, params.kernel_h, params.stride_h, params.pad_h, params.dilation_h, params.step_h, params.inverse_h),
        side(w, params.in_w, params.kernel_w, params.stride_w, params.pad_w, params.dilation_w, params.step_w, params.inverse_w),
    );
}

// Positions and taps of a phase.
fn positions(phase: Phase) -> u32 {
    return phase.d.count * phase.h.count * phase.w.count;
}

fn taps_of(phase: Phase) -> u32 {
    return phase.d.taps * phase.h.taps * phase.w.taps;
}
