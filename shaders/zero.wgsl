// Zeros, word by word: for what may not be cleared where a run has failed.

@group(0) @binding(0) var<storage, read_write> out_y: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    if (i < arrayLength(&out_y)) {
        out_y[i] = 0u;
    }
}
