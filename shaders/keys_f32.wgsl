// Words that order as the elements do, NaN greatest.

alias Element = f32;

fn to_key(x: Element) -> u32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return 0xffffffffu;
    }
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// Like to_key, and the two zeros are equal.
fn to_rank(x: Element) -> u32 {
    if (bitcast<u32>(x) == 0x80000000u) {
        return 0x80000000u;
    }
    return to_key(x);
}

fn from_key(key: u32) -> Element {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}
