// Running sum.

alias Element = f32;
alias State = Element;

fn lift(x: Element) -> State {
    return x;
}

fn join(a: State, b: State) -> State {
    return a + b;
}

fn lower(s: State) -> Element {
    return s;
}
