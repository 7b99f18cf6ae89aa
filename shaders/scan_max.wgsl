// Running maximum of keys that order as the elements do, NaN greatest. Behind a keys file.

alias State = u32;

fn lift(x: Element) -> State {
    return to_key(x);
}

fn join(a: State, b: State) -> State {
    return max(a, b);
}

fn lower(s: State) -> Element {
    return from_key(s);
}
