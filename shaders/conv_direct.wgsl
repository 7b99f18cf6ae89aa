// Convolution, and the gradient of its input, for groups of so few channels (depthwise) that a tile of a matrix product would be
// mostly empty. A thread computes four neighbours of a line of the result, or of a phase of it: see `conv_phase.wgsl`. What the
// four share of a line of the slid image is loaded once: see `conv_columns.wgsl`.
//
// A workgroup takes lines of one plane of the result, (image, group, channel), or of tile_rows planes that are small; tile_cols
// workgroups share a plane that is large.

// The gradient of the input, not the convolution.
override INPUT_GRAD: bool = false;

// Four elements of the result, and what they are the sum of.
struct Line {
    count: u32,
    // The first element, and how far apart they lie.
    to: u32,
    apart: u32,
    // Planes of the slid image begin here; where in them the first tap of the first element is; what the next one adds.
    plane: u32,
    at: vec3<i32>,
    tap: vec3<i32>,
    taps: vec3<u32>,
    // The first weight; what a channel and a tap further along each side add.
    weight: u32,
    along: vec4<u32>,
}

fn slid() -> vec3<u32> {
    if (INPUT_GRAD) {
        return vec3<u32>(params.out_d, params.out_h, params.out_w);
    }
    return vec3<u32>(params.in_d, params.in_h, params.in_w);
}

fn channels() -> u32 {
    return select(params.in_channels, params.out_channels, INPUT_GRAD);
}

// Item `local` of workgroup `wg`; of no elements where there is none.
fn line_of(wg: u32, local: u32) -> Line {
    let sharing = wg / params.tile_cols;
    let planes = params.batch * params.groups * params.n_rows;
    let together = (planes + params.tile_rows - 1u) / params.tile_rows;
    let index = sharing / together;
    var phase: Phase;
    var size = vec3<u32>(params.out_d, params.out_h, params.out_w);
    if (INPUT_GRAD) {
        phase = phase_at(index);
        size = vec3<u32>(phase.d.count, phase.h.count, phase.w.count);
    }
    let quads = (size.z + 3u) / 4u;
    let items = size.x * size.y * quads;
    let all = (wg - sharing * params.tile_cols) * 64u + local;
    let nth = quotient_of(all, items);
    let plane = (sharing - index * together) * params.tile_rows + nth;
    let item = all - nth * items;
    let row = quotient_of(item, quads);
    let w = 4u * (item - row * quads);
    var d = 0u;
    if (DEEP) {
        d = quotient_of(row, size.y);
    }
    let at = vec3<i32>(vec3<u32>(d, row - d * size.y, w));
    let exists = nth < params.tile_rows && plane < planes;
    let count = select(0u, min(size.z - w, 4u), exists);
    if (INPUT_GRAD) {
        return of_phase(phase, plane, at, count);
    }
    return of_output(plane, at, count);
}

// Image and group of a plane of the result, as one number; the group; the channel.
fn of_plane(plane: u32) -> vec3<u32> {
    let both = quotient_of(plane, params.n_rows);
    let image = quotient_of(both, params.groups);
    return vec3<u32>(both, both - image * params.groups, plane - both * params.n_rows);
}

fn of_output(plane: u32, at: vec3<i32>, count: u32) -> Line {
    let p = of_plane(plane);
    let size = vec2<u32>(params.out_h, params.out_w);
    let to = (u32(at.x) * size.x + u32(at.y)) * size.y + u32(at.z);
    return Line(
        count,
        plane * params.size_out + to,
        1u,
        p.x * params.in_channels * params.size_in,
        at * stride() - padding(),
        vec3<i32>(vec3<u32>(params.dilation_d, params.dilation_h, params.dilation_w)),
        vec3<u32>(params.kernel_d, params.kernel_h, params.kernel_w),
        (p.y * params.n_rows + p.z) * params.in_channels * params.taps,
        vec4<u32>(params.taps, params.kernel_h * params.kernel_w, params.kernel_w, 1u),
    );
}

fn of_phase(phase: Phase, plane: u32, at: vec3<i32>, count: u32) -> Line {
    let p = of_plane(plane);
    let first = vec3<i32>(vec3<u32>(phase.d.first, phase.h.first, phase.w.first));
    let side = params.kernel_w;
    let tap = (phase.d.tap * params.kernel_h + phase.h.tap) * side + phase.w.tap;
    return Line(
        count,
        plane * params.size_in + u32(in_offset(first + at * stride())),
        params.stride_w,
        p.x * params.out_channels * params.size_out,
        at + vec3<i32>(phase.d.base, phase.h.base, phase.w.base),
        -vec3<i32>(vec3<u32>(params.reach_d, params.reach_h, params.reach_w)),
        vec3<u32>(phase.d.taps, phase.h.taps, phase.w.taps),
        (p.y * params.out_channels * params.n_rows + p.z) * params.taps + tap,
        vec4<u32>(params.n_rows * params.taps, params.step_d * params.kernel_h * side, params.step_h * side, params.step_w),
    );
}

// The columns of a thread, in the order in which taps meet them: of a gradient from the last of the four.
fn columns_of(l: Line) -> Columns {
    if (INPUT_GRAD) {
        return columns(l.at.z + 3, -1, slid().z);
    }
    return columns(l.at.z, 1, slid().z);
}

// Tap t of a line, if there is one: phases may have one less.
fn with_tap(l: Line, weight: u32, t: u32, v: Values, sum: vec4<f32>) -> vec4<f32> {
    if (t >= UNROLLED || (INPUT_GRAD && !DENSE && t >= l.taps.z)) {
        return sum;
    }
    return fma(vec4<f32>(load_a(i32(weight + t * l.along.w))), met(v, t), sum);
}

// With all taps of a line, whose weights begin at `weight`.
fn with_line(l: Line, weight: u32, line: i32, inside: bool, c: Columns, before: vec4<f32>) -> vec4<f32> {
    var sum = before;
    if (UNROLLED == 0u) {
        let apart = select(i32(params.stride_w), 1, INPUT_GRAD);
        var w = l.at.z;
        for (var t = 0u; t < l.taps.z; t++) {
            let v = values(line, inside, columns(w, apart, slid().z));
            sum = fma(vec4<f32>(load_a(i32(weight + t * l.along.w))), v.x, sum);
            w += l.tap.z;
        }
        return sum;
    }
    let v = values(line, inside, c);
    sum = with_tap(l, weight, 0u, v, sum);
    sum = with_tap(l, weight, 1u, v, sum);
    sum = with_tap(l, weight, 2u, v, sum);
    sum = with_tap(l, weight, 3u, v, sum);
    sum = with_tap(l, weight, 4u, v, sum);
    sum = with_tap(l, weight, 5u, v, sum);
    return with_tap(l, weight, 6u, v, sum);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = wg.x + num.x * (wg.y + num.y * wg.z);
    if (index >= params.n_splits) {
        return;
    }
    let l = line_of(index, local);
    if (l.count == 0u) {
        return;
    }
    let size = slid();
    let pitch = i32(size.z);
    let c = columns_of(l);
    var sum = vec4<f32>();
    for (var channel = 0u; channel < channels(); channel++) {
        for (var d = 0u; d < select(1u, l.taps.x, DEEP); d++) {
            let z = l.at.x + i32(d) * l.tap.x;
            let in_depth = !DEEP | (u32(z) < size.x);
            let deep = channel * size.x + select(0u, min(u32(z), size.x - 1u), DEEP);
            let first = i32(l.plane + deep * size.y * size.z);
            let end = first + i32(size.y - 1u) * pitch;
            var weight = l.weight + channel * l.along.x + d * l.along.y;
            var h = l.at.y;
            var at = first + h * pitch;
            for (var tap = 0u; tap < l.taps.y; tap++) {
                let inside = in_depth & (u32(h) < size.y);
                sum = with_line(l, weight, clamp(at, first, end), inside, c, sum);
                weight += l.along.z;
                h += l.tap.y;
                at += l.tap.y * pitch;
            }
        }
    }
    if (INPUT_GRAD && UNROLLED > 0u) {
        sum = sum.wzyx;
    }
    for (var i = 0u; i < 4u; i++) {
        if (i < l.count) {
            let to = l.to + i * l.apart;
            out_c[to] = finish(sum.x, to);
            sum = sum.yzwx;
        }
    }
}
