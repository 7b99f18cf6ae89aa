// What a result replaces, if the run has failed: word by word.

@group(0) @binding(0) var<storage, read> in_old: array<u32>;
@group(0) @binding(1) var<storage, read_write> out_new: array<u32>;
@group(0) @binding(2) var<uniform> run_status: vec4<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    if (run_status.x != 0u && i < arrayLength(&out_new) && i < arrayLength(&in_old)) {
        out_new[i] = in_old[i];
    }
}
