// Running value of h = factor * h before + x. A state is a map of the value before it: the factor by which that is
// multiplied, and what is added.

alias Element = f32;
alias State = vec2<f32>;

@group(0) @binding(4) var<storage, read> in_factor: array<f32>;

fn load_factor(at: u32) -> Element {
    return in_factor[at];
}

fn state_at(at: u32) -> State {
    return State(load_factor(at), load_x(at));
}

// Nothing stays nothing, whatever the product of many factors has become.
fn join(a: State, b: State) -> State {
    return State(a.x * b.x, select(a.y * b.x, 0.0, a.y == 0.0) + b.y);
}

fn lower(s: State) -> Element {
    return s.y;
}
