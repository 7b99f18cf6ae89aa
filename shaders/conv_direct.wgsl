// Convolution with one thread for each element of the result, for groups of so few channels (depthwise) that a
// tile of a matrix product would be mostly empty. `kernels.rs` puts it behind the operands of the forward
// product or of the gradient of the input.

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    if (i >= params.out_len) {
        return;
    }
    let line = i / params.n_cols;
    let col = i - line * params.n_cols;
    let z = line / params.n_rows;
    let row = line - z * params.n_rows;
    let a = a_row(z, row);
    let b = b_col(z, col);
    var sum = 0.0;
    for (var k = 0u; k < params.n_sum; k++) {
        sum = fma(a_at(a, a_col(k)), b_at(b_row(k), b), sum);
    }
    let at = out_row(z, row) + out_col(z, col);
    out_c[at] = finish(sum, at);
}
