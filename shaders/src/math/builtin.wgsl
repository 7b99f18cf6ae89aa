// Functions of `bits.wgsl` by the built-in: one instruction instead of thirteen. WGSL lets it flush subnormals, so that it takes
// their place only where all patterns were tried.

fn w_f16_to_f32(h: u32) -> f32 {
    return unpack2x16float(h).x;
}

fn w_f16_high_to_f32(h: u32) -> f32 {
    return unpack2x16float(h).y;
}
