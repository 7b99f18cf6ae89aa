//! The loops of a Rows kernel as WGSL: over points, or over words that hold two of them, and what joins the results of its
//! threads. It must not know what a stage computes.

use super::reduce::{RUN, Template};
use super::rows::{Kernel, Loop, shared, with_keys};
use super::source::{param, stored};
use std::fmt::Write;

impl Kernel<'_> {
    /// A loop over the words of a row of elements of two bytes. The first and the last may hold an element of another row.
    pub(super) fn by_words(&self, outputs: &[usize], outer: String, inner: &str) -> Loop {
        let points = param(0);
        let odd = match self.rows_share_words() {
            true => format!("(o * {points}) & 1u"),
            false => "0u".to_owned(),
        };
        let outer = format!(
            "{outer}let odd = {odd};\nlet words = (points + odd + 1u) / 2u;\n\
             let first_word = (o * {points} - odd) / 2u;\n"
        );
        let (mut begin, mut end) = (String::new(), String::new());
        let guard = if self.grouped { "if (mine) " } else { "" };
        for output in outputs {
            let _ = writeln!(begin, "var word{output} = 0u;");
            let _ = match self.rows_share_words() {
                true => writeln!(
                    end,
                    "{guard}{{\nif (keep == 0u) {{ atomicStore(&out_{output}[first_word + word], word{output}); }}\n\
                     else {{ atomicAnd(&out_{output}[first_word + word], keep);\n\
                     atomicOr(&out_{output}[first_word + word], word{output}); }}\n}}"
                ),
                false => writeln!(
                    end,
                    "{guard}{{ out_{output}[first_word + word] = word{output}; }}"
                ),
            };
        }
        let keep = match self.rows_share_words() {
            true => {
                "let keep = select(0u, 0xffffu, 2u * word < odd) | \
                 select(0u, 0xffff0000u, 2u * word + 1u - odd >= points);\n"
            }
            false => "",
        };
        let inner = format!(
            "let word = r;\n{begin}for (var part = 0u; part < 2u; part++) {{\n\
             let r = 2u * word + part - odd;\nif (r < points) {{\n{inner}}}\n}}\n{keep}{end}"
        );
        Loop {
            outer,
            inner,
            n: "words",
            run: RUN / 2,
        }
    }

    /// The loop itself, and the joining of what its threads have. Runs of terms are added up first, then the runs.
    pub(super) fn run_loop(&self, text: &mut String, looped: &[usize], body: &Loop) {
        let Loop {
            outer,
            inner,
            n,
            run,
        } = body;
        let reduces: Vec<(usize, Template)> =
            self.reduces().filter(|(s, _)| looped.contains(s)).collect();
        let each = |f: &dyn Fn(usize, &Template) -> String| {
            let all = reduces.iter().map(|(s, template)| f(*s, template));
            all.collect::<String>()
        };
        let (start, step) = if self.grouped {
            ("lane", "LANES")
        } else {
            ("0u", "1u")
        };
        let start_with =
            |name: &str| each(&|s, t| format!("var {name}{s}: {} = {};\n", t.state(), t.empty()));
        let _ = write!(
            text,
            "{{\n{outer}{}for (var run = {start}; run < {n}; run += {run}u * {step}) {{\n\
             let run_end = min(run + {run}u * {step}, {n});\n{}\
             for (var r = run; r < run_end; r += {step}) {{\n{inner}}}\n{}}}\n",
            start_with("total"),
            start_with("sum"),
            each(&|s, _| format!("total{s} = join_{s}(total{s}, sum{s});\n")),
        );
        for (s, template) in &reduces {
            if self.grouped {
                let sh = shared(template.state());
                let _ = write!(
                    text,
                    "{sh}[local] = total{s};\nworkgroupBarrier();\n\
                     for (var half = LANES / 2u; half > 0u; half /= 2u) {{\n\
                     if (lane < half) {{ {sh}[local] = join_{s}({sh}[local], {sh}[local + half]); }}\n\
                     workgroupBarrier();\n}}\ntotal{s} = {sh}[local - lane];\nworkgroupBarrier();\n"
                );
            }
            let value = with_keys(&template.lower(&format!("total{s}")), template.class);
            // What other stages read is what is stored.
            let value = match self.rows.stages[*s].dtype {
                half if half.is_half() => format!("w_{half}_to_f32({})", stored(half, &value)),
                _ => value,
            };
            let _ = writeln!(text, "stage{s} = {value};");
        }
        text.push_str("}\n");
        for (s, _) in &reduces {
            self.store_one(text, *s);
        }
    }
}
