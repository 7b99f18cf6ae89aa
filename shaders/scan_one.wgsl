
// The state of the element at a place, for operations of one operand.
fn state_at(at: u32) -> State {
    return lift(load_x(at));
}
