//! Graphs and plans as text, for `WGRAD_DUMP` and snapshot tests.

use super::Graph;
use crate::plan::{Inst, Kernel, Plan, Rows, View};
use std::fmt::Write;

/// One line for each node.
pub(crate) fn graph_text(graph: &Graph) -> String {
    let mut out = String::new();
    for (n, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(|i| format!("%{i}")).collect();
        let leaf = node.leaf.map_or(String::new(), |l| format!(" leaf {l}"));
        let _ = writeln!(
            out,
            "%{n} = {}({}) {}{:?}{leaf}",
            node.op.name(),
            inputs.join(", "),
            node.dtype,
            node.shape
        );
    }
    let _ = writeln!(out, "outputs {:?}", graph.outputs);
    out
}

/// One line for each step, and the fused program of maps and reductions.
pub(crate) fn plan_text(plan: &Plan) -> String {
    let mut out = String::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let inputs: Vec<String> = step.inputs.iter().map(|&i| slot(plan, i)).collect();
        let outputs: Vec<String> = step.outputs().map(|o| slot(plan, o)).collect();
        let _ = write!(out, "{at:3} {} = {} ", outputs.join(" "), step.origin.name);
        let _ = match &step.kernel {
            Kernel::Map(m) => writeln!(out, "map{:?} store {}", m.shape, view(&m.store)),
            Kernel::Reduce(r) => {
                writeln!(out, "reduce {:?} {:?} over {:?}", r.kind, r.outer, r.inner)
            }
            Kernel::Rows(r) => writeln!(out, "rows {:?} of {:?}", r.outer, r.inner),
            Kernel::Loop(l) => {
                let way = if l.reverse { "back" } else { "on" };
                writeln!(out, "loop of {} rounds {way}, {:?}", l.length, l.writes)
            }
            k => writeln!(out, "{k:?}"),
        };
        let _ = writeln!(out, "      reads {}", inputs.join(" "));
        if let Some(then) = &step.then {
            let _ = writeln!(out, "    then map{:?}", then.shape);
            insts(&mut out, &then.expr.insts);
        }
        match &step.kernel {
            Kernel::Map(m) => insts(&mut out, &m.expr.insts),
            Kernel::Reduce(r) => insts(&mut out, &r.expr.insts),
            Kernel::Rows(r) => stages(&mut out, r),
            Kernel::Loop(l) => {
                for line in plan_text(&l.body).lines() {
                    let _ = writeln!(out, "    | {line}");
                }
            }
            _ => {}
        }
    }
    let _ = writeln!(
        out,
        "temps {:?} bytes, {} leaves, {} scalars",
        plan.temps, plan.n_leaves, plan.n_scalars
    );
    out
}

fn stages(out: &mut String, rows: &Rows) {
    for (s, stage) in rows.stages.iter().enumerate() {
        let to = stage
            .output
            .map_or(String::new(), |o| format!(" to output {o}"));
        let to = match stage.region {
            Some(r) if r.apart == 0 => format!("{to} {}+[{}]", r.offset, r.pitch),
            Some(r) => format!(
                "{to} {}+[{}] in runs of {}, {} apart",
                r.offset, r.pitch, r.run, r.apart
            ),
            None => to,
        };
        let _ = writeln!(out, "    stage {s} {:?}{to}", stage.kind);
        insts(out, &stage.expr.insts);
    }
}

fn slot(plan: &Plan, s: usize) -> String {
    let slot = &plan.slots[s];
    format!("{}[{}]@{:?}", slot.dtype, slot.len, slot.place)
}

fn view(v: &View) -> String {
    format!("{}+{:?}", v.offset, v.strides)
}

fn insts(out: &mut String, insts: &[Inst]) {
    for (reg, inst) in insts.iter().enumerate() {
        let _ = match inst {
            Inst::Load { input, view: v } => {
                writeln!(out, "      r{reg} = load {input} {}", view(v))
            }
            Inst::Gather {
                input,
                view: v,
                index,
                size,
                stride,
                ..
            } => {
                writeln!(
                    out,
                    "      r{reg} = gather {input} {} + r{index}*{stride} of {size}",
                    view(v)
                )
            }
            Inst::Index { view: v } => writeln!(out, "      r{reg} = index {}", view(v)),
            Inst::Random { view: v, scalar } => {
                writeln!(out, "      r{reg} = random {} s{scalar}", view(v))
            }
            Inst::Stage { stage, dtype } => {
                writeln!(out, "      r{reg} = stage {stage} {dtype}")
            }
            Inst::Scalar { scalar, dtype } => writeln!(out, "      r{reg} = s{scalar} {dtype}"),
            Inst::Literal { value, dtype } => writeln!(out, "      r{reg} = {value} {dtype}"),
            Inst::Apply {
                op, args, dtype, ..
            } => {
                let args: Vec<String> = args.iter().map(|a| format!("r{a}")).collect();
                writeln!(out, "      r{reg} = {} {} {dtype}", op.name, args.join(" "))
            }
        };
    }
}
