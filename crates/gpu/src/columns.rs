//! Reductions down the columns of a large matrix on a software adapter: a thread goes down four times four columns, so
//! that what the processor fetches of a row is used whole. Must not choose when: that is `reduce`.

use super::call::{Arg, Call, Grid, Words};
use super::reduce::{RUN, Source, Template, rounds_of};
use super::source::{ENTRY, param, with_prelude};
use super::step::StepView;
use std::fmt::Write;
use wgrad_device::Error;

/// Quads of columns of a thread, and of a workgroup of 8.
pub(super) const QUADS: u64 = 4;
const GROUP: u64 = 8 * QUADS;

/// Rows that one thread goes down, at most.
const ROWS: u64 = 512;

/// Workgroups that keep a software adapter busy.
const BUSY: u64 = 16;

/// Pieces that the rows are cut into, for so many quads of columns and so many rows.
pub(super) fn parts(quads: u64, rows: u64) -> u64 {
    let for_threads = BUSY / quads.div_ceil(GROUP);
    for_threads.max(rows / ROWS).min(rows / 64).clamp(1, 128)
}

impl Template {
    /// The dispatch of a reduction by `Template::outputs_by_four` to `out`, parts if it is scratch; `params` begin as
    /// `reduce::lower` has them.
    pub(super) fn down_columns(
        &self,
        view: &StepView<'_>,
        source: Source<'_>,
        params: Words,
        [quads, parts]: [u64; 2],
        out: Arg,
    ) -> Result<Call, Error> {
        let (mut text, args, constants) = self.declarations(view, source, &params, out);
        self.columns(&mut text, source, out == Arg::Output);
        let label = self.label(source);
        let rounds = match source {
            Source::Expr { rounds, .. } => rounds,
            Source::Partials(_) => 0,
        };
        Ok(Call {
            iterations: rounds_of(u64::from(params.words[3]), rounds, 1),
            label,
            wgsl: with_prelude(label, text)?.into(),
            constants,
            args,
            params,
            grid: Grid::Groups(quads.div_ceil(GROUP) * parts),
        })
    }

    /// The functions `term_at` and `main`.
    fn columns(&self, text: &mut String, source: Source<'_>, last: bool) {
        let Source::Expr { body, values, .. } = source else {
            return;
        };
        let (state, empty) = (self.state(), self.empty());
        let (rows, quads, parts, part_len) = (param(0), param(1), param(2), param(3));
        let _ = write!(
            text,
            "fn term_at(o: u32, r: u32) -> {state} {{\n{}{}return {};\n}}\n\
             @compute @workgroup_size(8)\n{ENTRY}\
             let per_part = ({quads} + {}u) / {GROUP}u;\nlet part = group / per_part;\n\
             if (part >= {parts}) {{ return; }}\n\
             let first = (group - part * per_part) * {GROUP}u + local;\n\
             let begin = part * {part_len};\nlet end = min(begin + {part_len}, {rows});\n",
            body.outer,
            body.inner,
            self.term(values),
            GROUP - 1
        );
        let each = |f: &dyn Fn(u64) -> String| (0..QUADS).map(f).collect::<String>();
        text.push_str(&each(&|j| {
            format!(
                "let o{j} = min(first + {}u, {quads} - 1u);\nvar total{j} = {empty};\n",
                8 * j
            )
        }));
        let _ = write!(
            text,
            "for (var run = begin; run < end; run += {RUN}u) {{\nlet run_end = min(run + {RUN}u, end);\n{}\
             for (var r = run; r < run_end; r += 1u) {{\n{}}}\n{}}}\n",
            each(&|j| format!("var sum{j} = {empty};\n")),
            each(&|j| format!("sum{j} = join(sum{j}, term_at(o{j}, r));\n")),
            each(&|j| format!("total{j} = join(total{j}, sum{j});\n")),
        );
        text.push_str(&each(&|j| {
            let total = format!("total{j}");
            let value = if last { self.result(&total) } else { total };
            format!(
                "if (first + {ahead}u < {quads}) {{ out_0[part * {quads} + first + {ahead}u] = {value}; }}\n",
                ahead = 8 * j
            )
        }));
        text.push_str("}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn rows_are_cut_where_columns_are_few_or_long() {
        assert_eq!(parts(1024, 4096), 8);
        assert_eq!(parts(32, 4096), 16);
        assert_eq!(parts(1024, 100), 1);
        assert_eq!(parts(1, 40), 1);
    }
}
