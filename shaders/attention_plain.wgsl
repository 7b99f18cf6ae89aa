// The mask of attention where there is none. Not a module: see `attention_common.wgsl`.

fn masked(score: f32, mask_first: u32, query: u32, key: u32) -> f32 {
    return score;
}
