// The mask of attention: truth values that say what is seen, or numbers that are added. Not a module: see
// `attention_common.wgsl`.

fn masked(score: f32, mask_first: u32, query: u32, key: u32) -> f32 {
    let word = in_mask[mask_first + query * params.mask.w + key * params.mask_column];
    if (params.mask_is_truth != 0u) {
        return select(params.minus_infinity, score, word != 0u);
    }
    return score + bitcast<f32>(word);
}
