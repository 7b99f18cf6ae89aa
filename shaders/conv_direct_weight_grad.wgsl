// Gradient of a convolution's weight for so few channels that a tile of a matrix product would be mostly empty. A workgroup sums
// the taps of up to three neighbouring lines of one kernel plane, (group, output channel, input channel), over a part of the lines
// of the output in all images. A thread takes four neighbours of every so manyth line: what of an input line they and the taps
// share is loaded once: see `conv_columns.wgsl`. Without unrolled taps a workgroup has one tap alone.
//
// n_splits parts: of split_len lines, each of which tile_rows parts share; tile_cols threads to a line of a part.

const THREADS: u32 = 64u;
// Lines of taps of a workgroup.
const LINES: u32 = 3u;

// Sums of each thread, those of one tap together.
var<workgroup> sums: array<f32, 1365>;

fn sum_of(sum: f32, a: vec4<f32>, b: vec4<f32>) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// Taps of a line.
struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

// Tap t of a line, which is a constant, if there is one.
fn with_tap(t: u32, sum: f32, g: vec4<f32>, v: Values) -> f32 {
    if (t >= max(UNROLLED, 1u)) {
        return sum;
    }
    return sum_of(sum, g, met(v, t));
}

// With what four neighbours `g` of the output add that meet this line.
fn with_line(s: Sums, g: vec4<f32>, line: i32, inside: bool, c: Columns) -> Sums {
    let v = values(line, inside, c);
    let x = with_tap(0u, s.low.x, g, v);
    let y = with_tap(1u, s.low.y, g, v);
    let z = with_tap(2u, s.low.z, g, v);
    let w = with_tap(3u, s.low.w, g, v);
    let high = vec3<f32>(with_tap(4u, s.high.x, g, v), with_tap(5u, s.high.y, g, v), with_tap(6u, s.high.z, g, v));
    return Sums(vec4<f32>(x, y, z, w), vec4<f32>(high, 0.0));
}

// Puts what this thread has of tap `at` where it is added up.
fn put(at: u32, local: u32, x: f32) {
    sums[at * 65u + local] = x;
}

fn put_line(line: u32, local: u32, s: Sums) {
    let at = line * max(UNROLLED, 1u);
    put(at, local, s.low.x);
    if (UNROLLED > 1u) {
        put(at + 1u, local, s.low.y);
    }
    if (UNROLLED > 2u) {
        put(at + 2u, local, s.low.z);
    }
    if (UNROLLED > 3u) {
        put(at + 3u, local, s.low.w);
    }
    if (UNROLLED > 4u) {
        put(at + 4u, local, s.high.x);
    }
    if (UNROLLED > 5u) {
        put(at + 5u, local, s.high.y);
    }
    if (UNROLLED > 6u) {
        put(at + 6u, local, s.high.z);
    }
}

// Where a workgroup's kernel plane is, and which of its taps it sums: from where on, and of how many lines.
struct Task {
    kernel: u32,
    // Output channel of all groups, and input channel of all groups.
    out_plane: u32,
    in_plane: u32,
    tap: vec3<u32>,
    n_lines: u32,
}

fn task_of(plane: u32) -> Task {
    let unrolled = UNROLLED > 0u;
    let lines = select(params.kernel_h * params.kernel_w, (params.kernel_h + LINES - 1u) / LINES, unrolled);
    let in_kernel = lines * params.kernel_d;
    let kernel = plane / in_kernel;
    let rest = plane - kernel * in_kernel;
    let d = rest / lines;
    let nth = rest - d * lines;
    let h = select(nth / params.kernel_w, nth * LINES, unrolled);
    let w = select(nth - h * params.kernel_w, 0u, unrolled);
    let out_plane = kernel / params.in_channels;
    let channel = kernel - out_plane * params.in_channels;
    let in_plane = (out_plane / params.out_channels) * params.in_channels + channel;
    return Task(kernel, out_plane, in_plane, vec3<u32>(d, h, w), select(1u, min(LINES, params.kernel_h - h), unrolled));
}

// A line of the output: where it begins in a, where its image of b does, and where its window is there.
struct Row {
    a: i32,
    b: i32,
    d: i32,
    h: i32,
}

// Elements of an image of a, and of b.
fn images() -> vec2<i32> {
    let size = vec2<u32>(params.out_channels * params.size_out, params.in_channels * params.size_in);
    return vec2<i32>(params.groups * size);
}

fn row_of(line: u32, task: Task) -> Row {
    let in_image = params.out_d * params.out_h;
    let image = quotient_of(line, in_image);
    let rest = line - image * in_image;
    var d = 0u;
    if (DEEP) {
        d = quotient_of(rest, params.out_h);
    }
    let to = i32(image) * images();
    let corner = vec2<i32>(task.tap.xy * vec2<u32>(params.dilation_d, params.dilation_h)) - padding().xy;
    let at = vec2<i32>(vec2<u32>(d, rest - d * params.out_h)) * stride().xy + corner;
    return Row(
        to.x + i32(task.out_plane * params.size_out + rest * params.out_w),
        to.y + i32(task.in_plane * params.size_in),
        at.x,
        at.y,
    );
}

// What so many lines further add, as far as no image or plane ends.
fn step_of(lines: i32) -> Row {
    let height = i32(params.out_h);
    let planes = lines / height;
    let h = lines - planes * height;
    let n = select(planes, planes / i32(params.out_d), DEEP);
    let d = planes - n * i32(params.out_d);
    let to = n * images();
    let s = stride();
    return Row(to.x + (d * height + h) * i32(params.out_w), to.y, d * s.x, h * s.y);
}

// `end` is where lines and planes of windows end.
fn next(before: Row, step: Row, end: vec2<i32>) -> Row {
    let s = stride();
    var row = Row(before.a + step.a, before.b + step.b, before.d + step.d, before.h + step.h);
    var image_ends = row.h >= end.y;
    row.h -= select(0, i32(params.out_h) * s.y, image_ends);
    if (DEEP) {
        row.d += select(0, s.x, image_ends);
        image_ends = row.d >= end.x;
        row.d -= select(0, i32(params.out_d) * s.x, image_ends);
    }
    row.a += select(0, images().x - i32(params.size_out), image_ends);
    row.b += select(0, images().y, image_ends);
    return row;
}

// Four neighbours of a line of the output; zeros beyond its end.
fn four(line: i32, c: Columns) -> vec4<f32> {
    let v = vec4<f32>(load_a(line + c.c0.at), load_a(line + c.c1.at), load_a(line + c.c2.at), load_a(line + c.c3.at));
    return select(vec4<f32>(), v, vec4<bool>(c.c0.inside, c.c1.inside, c.c2.inside, c.c3.inside));
}

// The sums of a thread, by line.
struct All {
    x: Sums,
    y: Sums,
    z: Sums,
}

fn with_row(all: All, g: vec4<f32>, row: Row, n_lines: u32, c: Columns) -> All {
    let pitch = i32(params.in_w);
    let depth = i32(params.in_h) * pitch;
    var first = row.b;
    var in_depth = true;
    if (DEEP) {
        in_depth = u32(row.d) < params.in_d;
        first += i32(min(u32(row.d), params.in_d - 1u)) * depth;
    }
    let last = first + depth - pitch;
    let between = i32(params.dilation_h);
    let at = first + row.h * pitch;
    let h = row.h + between;
    var s = all;
    s.x = with_line(s.x, g, clamp(at, first, last), in_depth & (u32(row.h) < params.in_h), c);
    if (n_lines > 1u) {
        s.y = with_line(s.y, g, clamp(at + between * pitch, first, last), in_depth & (u32(h) < params.in_h), c);
    }
    if (n_lines > 2u) {
        let inside = in_depth & (u32(h + between) < params.in_h);
        s.z = with_line(s.z, g, clamp(at + 2 * between * pitch, first, last), inside, c);
    }
    return s;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = wg.x + num.x * (wg.y + num.y * wg.z);
    let plane = index / params.n_splits;
    if (plane >= params.n_planes) {
        return;
    }
    let part = index - plane * params.n_splits;
    let split = part / params.tile_rows;
    let share = part - split * params.tile_rows;
    let task = task_of(plane);

    // Lines that this thread goes through, and its place across them.
    let across = params.tile_cols;
    let at_once = THREADS / across;
    let my_line = local / across;
    let begin = split * params.split_len + my_line;
    let end = min((split + 1u) * params.split_len, params.batch * params.out_d * params.out_h);
    let s = stride();
    let step = step_of(i32(at_once));
    let corner = vec2<i32>(task.tap.xy * vec2<u32>(params.dilation_d, params.dilation_h)) - padding().xy;
    let windows = vec2<i32>(vec2<u32>(params.out_d, params.out_h)) * s.xy + corner;
    var all = All();
    let my_quad = share * across + local - my_line * across;
    for (var quad = my_quad; my_line < at_once && 4u * quad < params.out_w; quad += across * params.tile_rows) {
        let w = i32(4u * quad);
        let of_a = columns(w, 1, params.out_w);
        let from_w = w * s.z + i32(task.tap.z * params.dilation_w) - i32(params.pad_w);
        let of_b = columns(from_w, select(1, s.z, UNROLLED == 0u), params.in_w);
        var row = row_of(begin, task);
        for (var i = begin; i < end; i += at_once) {
            all = with_row(all, four(row.a, of_a), row, task.n_lines, of_b);
            row = next(row, step, windows);
        }
    }

    put_line(0u, local, all.x);
    if (UNROLLED > 0u) {
        put_line(1u, local, all.y);
        put_line(2u, local, all.z);
    }
    workgroupBarrier();
    let of_line = max(UNROLLED, 1u);
    let line = local / of_line;
    if (line >= task.n_lines) {
        return;
    }
    var sum = 0.0;
    for (var i = 0u; i < THREADS; i += 8u) {
        let at = local * 65u + i;
        let low = (sums[at] + sums[at + 1u]) + (sums[at + 2u] + sums[at + 3u]);
        sum += low + ((sums[at + 4u] + sums[at + 5u]) + (sums[at + 6u] + sums[at + 7u]));
    }
    let tap = (task.tap.x * params.kernel_h + task.tap.y + line) * params.kernel_w + task.tap.z + local - line * of_line;
    let to = task.kernel * params.taps + tap;
    out_c[part * params.out_len + to] = finish(sum, to);
}
