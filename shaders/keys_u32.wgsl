// Words that order as the elements do.

alias Element = u32;

fn to_key(x: Element) -> u32 {
    return x;
}

fn to_rank(x: Element) -> u32 {
    return x;
}

fn from_key(key: u32) -> Element {
    return key;
}
