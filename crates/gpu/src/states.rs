//! What Reduce combines, as WGSL: the type of a state, how an operand becomes one, two become one, and one a result.
//! Knows no loops.

use super::reduce::{Source, Template};
use super::source::{stored, whole_stored};
use crate::dtype::Class;
use crate::plan::ReduceKind;

impl Template {
    pub(super) fn partial_words(&self) -> u64 {
        match self.kind {
            _ if self.outputs_by_four => 4,
            ReduceKind::ArgMax => 2,
            _ => 1,
        }
    }

    /// WGSL type of what is combined.
    pub(super) fn state(&self) -> &'static str {
        match (self.kind, self.class, self.outputs_by_four) {
            (ReduceKind::Sum, Class::F32, false) => "f32",
            (ReduceKind::Sum, Class::F32, true) => "vec4<f32>",
            (ReduceKind::Sum, Class::I32, false) => "i32",
            (ReduceKind::Sum, Class::I32, true) => "vec4<i32>",
            (ReduceKind::Sum | ReduceKind::Max, _, false) => "u32",
            (ReduceKind::Sum | ReduceKind::Max, _, true) => "vec4<u32>",
            (ReduceKind::ArgMax, ..) => "vec2<u32>",
        }
    }

    /// What nothing combines to.
    pub(super) fn empty(&self) -> String {
        if self.outputs_by_four {
            format!("{}({})", self.state(), self.empty_element())
        } else {
            self.empty_element().to_owned()
        }
    }

    /// What nothing combines to, for one output. Not −∞ but its key.
    fn empty_element(&self) -> &'static str {
        match (self.kind, self.class) {
            (ReduceKind::Sum, Class::F32) => "0.0",
            (ReduceKind::Sum, Class::I32) => "0i",
            (ReduceKind::Max, Class::F32) => "0x007fffffu",
            (ReduceKind::Sum | ReduceKind::Max, _) => "0u",
            (ReduceKind::ArgMax, _) => "vec2<u32>(0u, 0xffffffffu)",
        }
    }

    /// How two states combine: a function's body.
    pub(super) fn join(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "return a + b;",
            ReduceKind::Max => "return max(a, b);",
            ReduceKind::ArgMax => "return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));",
        }
    }

    /// The operand's values as one state.
    pub(super) fn term(&self, values: &[String]) -> String {
        let lifted: Vec<String> = values.iter().map(|value| self.lift(value)).collect();
        match &lifted[..] {
            [one] => one.clone(),
            four if self.outputs_by_four => format!("{}({})", self.state(), four.join(", ")),
            four => format!(
                "join(join({}, {}), join({}, {}))",
                four[0], four[1], four[2], four[3]
            ),
        }
    }

    /// A state as what is stored.
    pub(super) fn result(&self, state: &str) -> String {
        if !self.outputs_by_four {
            return stored(self.output, &self.lower(state));
        }
        let each = ["x", "y", "z", "w"]
            .map(|part| stored(self.output, &self.lower(&format!("{state}.{part}"))));
        whole_stored(self.output, &each)
    }

    /// One operand's value as a state.
    fn lift(&self, value: &str) -> String {
        let element = if self.class == Class::Bool {
            format!("select(0u, 1u, {value})")
        } else {
            value.to_owned()
        };
        match self.kind {
            ReduceKind::Sum => element,
            ReduceKind::Max => format!("to_key({element})"),
            ReduceKind::ArgMax => format!("vec2<u32>(to_rank({element}), r)"),
        }
    }

    /// A state as a register of the output.
    pub(super) fn lower(&self, state: &str) -> String {
        match (self.kind, self.class) {
            (ReduceKind::Sum, _) => state.to_owned(),
            (ReduceKind::Max, Class::Bool) => format!("({state} != 0u)"),
            (ReduceKind::Max, _) => format!("from_key({state})"),
            (ReduceKind::ArgMax, _) => format!("bitcast<i32>({state}.y)"),
        }
    }

    pub(super) fn label(&self, source: Source<'_>) -> &'static str {
        match (source, self.kind) {
            (Source::Partials(_), _) => "reduce parts",
            (_, ReduceKind::Sum) => "reduce sum",
            (_, ReduceKind::Max) => "reduce max",
            (_, ReduceKind::ArgMax) => "reduce argmax",
        }
    }
}
