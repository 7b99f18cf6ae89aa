// Words that order as the elements do.

alias Element = i32;

fn to_key(x: Element) -> u32 {
    return bitcast<u32>(x) ^ 0x80000000u;
}

fn to_rank(x: Element) -> u32 {
    return to_key(x);
}

fn from_key(key: u32) -> Element {
    return bitcast<i32>(key ^ 0x80000000u);
}
