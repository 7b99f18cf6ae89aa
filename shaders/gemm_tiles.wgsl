// Four neighbours of the tiles that a product's workgroups share, which lie as numbers: to write a component may be to write its
// vector, so that threads that each write one would race. Not a module: see `gemm_tiled.wgsl`.

fn a_from(i: u32) -> vec4<f32> {
    return vec4<f32>(sh_a[4u * i], sh_a[4u * i + 1u], sh_a[4u * i + 2u], sh_a[4u * i + 3u]);
}

fn a_put(i: u32, v: vec4<f32>) {
    sh_a[4u * i] = v.x;
    sh_a[4u * i + 1u] = v.y;
    sh_a[4u * i + 2u] = v.z;
    sh_a[4u * i + 3u] = v.w;
}

fn b_from(i: u32) -> vec4<f32> {
    return vec4<f32>(sh_b[4u * i], sh_b[4u * i + 1u], sh_b[4u * i + 2u], sh_b[4u * i + 3u]);
}

fn b_put(i: u32, v: vec4<f32>) {
    sh_b[4u * i] = v.x;
    sh_b[4u * i + 1u] = v.y;
    sh_b[4u * i + 2u] = v.z;
    sh_b[4u * i + 3u] = v.w;
}
