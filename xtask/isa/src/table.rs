//! The table of texts and what judges it: rules by the kind of kernel, why some kernels may break one, and a table of before that
//! nothing may be worse than. Must not compile anything.

use crate::listing::{Class, Loop};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Multiply-adds from which a loop is one of tiles, which fetches ahead.
const PRODUCT: usize = 64;
/// Bytes of code that an instruction cache of RDNA2 holds.
const CODE: f64 = 32768.0;
/// By how much a number may be worse than before.
const WORSE: f64 = 0.05;

/// What the loop of products of a kernel is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Least {
    /// Multiply-adds from which a loop is one of products.
    from: usize,
    /// Their share of what it issues.
    share: f64,
}

impl Least {
    /// By the kernel's label and its constants. The best loops that are known for each kind have a little more: a convolution has
    /// positions to count and to compare, a gradient two of them, and few channels leave few products for each load.
    pub fn of(label: &str, constants: &[(&str, f64)]) -> Least {
        let few_rows = constants.contains(&("TX", 32.0));
        let starts = |with: &str| label.starts_with(with);
        let (from, share) = match () {
            () if starts("conv") && label.ends_with("direct") => (1, 0.30),
            () if starts("conv input grad") || starts("conv weight grad") => (PRODUCT, 0.62),
            () if starts("conv") => (PRODUCT, 0.70),
            () if starts("matmul") && few_rows => (PRODUCT, 0.83),
            () if starts("matmul") => (PRODUCT, 0.87),
            () => (PRODUCT, 0.80),
        };
        Least { from, share }
    }
}

/// Why kernels may break a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Their names, with `*` for anything.
    pub pattern: String,
    /// The rule, as a finding says it.
    pub rule: String,
}

impl Explained {
    /// From a line: pattern, rule, reason. `None` where one is missing.
    pub fn read(line: &str) -> Option<Explained> {
        let cells: Vec<&str> = line.split('\t').collect();
        match cells[..] {
            [pattern, rule, reason] if !reason.trim().is_empty() => Some(Explained {
                pattern: pattern.to_owned(),
                rule: rule.to_owned(),
            }),
            _ => None,
        }
    }

    fn covers(&self, key: &str, finding: &str) -> bool {
        self.rule == finding && fits(&self.pattern, key)
    }
}

/// Whether `name` is one of those that a pattern with `*` stands for.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(first) else {
        return false;
    };
    (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
}

/// The rows without the findings that are explained, and the explanations that no finding needs.
pub fn without<'a>(rows: &[Row], explained: &'a [Explained]) -> (Vec<Row>, Vec<&'a Explained>) {
    let mut left = rows.to_vec();
    let mut needed = vec![false; explained.len()];
    for row in &mut left {
        let key = &row.key;
        row.findings.retain(|finding| {
            let mut kept = true;
            for (e, needed) in explained.iter().zip(&mut needed) {
                let covers = e.covers(key, finding);
                *needed |= covers;
                kept &= !covers;
            }
            kept
        });
    }
    let idle = explained.iter().zip(needed).filter(|(_, needed)| !needed);
    (left, idle.map(|(e, _)| e).collect())
}

/// What a target made of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Kernel and the first program that has it: the same from change to change.
    pub key: String,
    /// Numbers by column.
    pub numbers: BTreeMap<String, f64>,
    /// Rules that it breaks.
    pub findings: BTreeSet<String>,
}

/// Columns: statistics of the driver by its names, then those of the hottest loop.
const STATISTICS: [(&str, &str); 8] = [
    ("vgpr", "VGPRs"),
    ("sgpr", "SGPRs"),
    ("lds", "LDS size"),
    ("waves", "Subgroups per SIMD"),
    ("code", "Code size"),
    ("insts", "Instructions"),
    ("branches", "Branches"),
    ("latency", "Latency"),
];
const OF_LOOP: [&str; 8] = [
    "loop", "fma", "slots", "loads", "x4", "int mul", "trans", "early",
];

impl Row {
    /// What the driver's numbers and the hottest loop say.
    pub fn new(
        key: String,
        least: Least,
        statistics: &BTreeMap<String, f64>,
        hot: Option<&Loop>,
    ) -> Row {
        let of = |name: &str| statistics.get(name).copied().unwrap_or(0.0);
        let mut row = Row {
            key,
            ..Row::default()
        };
        for (column, name) in STATISTICS {
            row.numbers.insert(column.into(), of(name));
        }
        let spilled = of("Spilled VGPRs") + of("Spilled SGPRs") + of("Scratch size");
        let mut find = |rule: String| row.findings.insert(rule);
        if spilled > 0.0 {
            find("spills".into());
        }
        if of("Code size") > CODE {
            find("more code than an instruction cache holds".into());
        }
        if let Some(hot) = hot {
            let fma = hot.of(Class::Fma);
            if fma >= least.from && hot.share() < least.share {
                find(format!(
                    "less than {:.2} of its loop are products",
                    least.share
                ));
            }
            if fma >= PRODUCT && hot.early_waits > 0 {
                find("waits for memory before the products".into());
            }
            let numbers = [
                hot.listing.len(),
                fma,
                hot.slots,
                hot.of(Class::Memory),
                hot.wide_loads,
                hot.of(Class::IntegerProduct),
                hot.of(Class::Transcendental),
                hot.early_waits,
            ];
            for (column, n) in OF_LOOP.iter().zip(numbers) {
                row.numbers.insert((*column).into(), n as f64);
            }
        }
        row
    }

    fn get(&self, column: &str) -> f64 {
        self.numbers.get(column).copied().unwrap_or(0.0)
    }

    /// The share of products in the loop, if it is one of products.
    fn share(&self) -> Option<f64> {
        (self.get("fma") >= PRODUCT as f64).then(|| self.get("fma") / self.get("slots").max(1.0))
    }

    /// As a line of a table.
    pub fn line(&self) -> String {
        let mut line = self.key.clone();
        for column in STATISTICS.iter().map(|s| s.0).chain(OF_LOOP) {
            let _ = write!(line, "\t{}", self.get(column));
        }
        let findings: Vec<&str> = self.findings.iter().map(String::as_str).collect();
        line + "\t" + &findings.join("; ")
    }

    /// From such a line.
    pub fn read(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('\t').collect();
        let columns: Vec<&str> = STATISTICS.iter().map(|s| s.0).chain(OF_LOOP).collect();
        let (key, rest) = cells.split_first()?;
        let (findings, numbers) = rest.split_last()?;
        if numbers.len() != columns.len() {
            return None;
        }
        let pairs = columns.iter().zip(numbers);
        let pairs = pairs.map(|(c, n)| Some(((*c).to_owned(), n.parse().ok()?)));
        let findings = findings.split("; ").filter(|f| !f.is_empty());
        Some(Row {
            key: (*key).to_owned(),
            numbers: pairs.collect::<Option<_>>()?,
            findings: findings.map(str::to_owned).collect(),
        })
    }
}

/// The head of the table.
pub fn head() -> String {
    let columns = STATISTICS.iter().map(|s| s.0).chain(OF_LOOP);
    columns.fold("kernel".to_owned(), |head, c| head + "\t" + c) + "\tfindings"
}

/// What is worse than before: rules that were kept, and numbers.
pub fn worse(before: &BTreeMap<String, Row>, now: &[Row]) -> Vec<String> {
    let mut all = Vec::new();
    for row in now {
        let Some(was) = before.get(&row.key) else {
            all.extend(
                row.findings
                    .iter()
                    .map(|f| format!("{} (new): {f}", row.key)),
            );
            continue;
        };
        let broken = row.findings.difference(&was.findings);
        all.extend(broken.map(|f| format!("{}: {f}", row.key)));
        for column in ["vgpr", "code", "insts", "latency"] {
            let (a, b) = (was.get(column), row.get(column));
            if b > a * (1.0 + WORSE) {
                all.push(format!("{}: {column} {a} -> {b}", row.key));
            }
        }
        if let (Some(a), Some(b)) = (was.share(), row.share())
            && b < a * (1.0 - WORSE)
        {
            all.push(format!(
                "{}: products {a:.2} -> {b:.2} of its loop",
                row.key
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, insts: f64, spills: f64) -> Row {
        let statistics = [("Instructions", insts), ("Scratch size", spills)];
        let statistics = statistics.map(|(n, x)| (n.to_owned(), x));
        Row::new(key.into(), Least::of("map", &[]), &statistics.into(), None)
    }

    #[test]
    fn the_least_share_is_that_of_the_kind() {
        let share = |label, tx| Least::of(label, &[("TX", tx)]).share;
        assert_eq!(share("matmul tiled aligned", 16.0), 0.87);
        assert_eq!(share("matmul tiled", 32.0), 0.83);
        assert_eq!(share("conv tiled", 32.0), 0.70);
        assert_eq!(share("conv weight grad wide", 16.0), 0.62);
        let direct = Least::of("conv weight grad direct", &[]);
        assert_eq!((direct.from, direct.share), (1, 0.30));
        let products = Loop {
            count: [(Class::Fma, 12)].into(),
            slots: 41,
            ..Loop::default()
        };
        let findings =
            |least| Row::new("a".into(), least, &BTreeMap::new(), Some(&products)).findings;
        let found = ["less than 0.30 of its loop are products".to_owned()];
        assert_eq!(findings(direct), found.into());
        // Too few for a loop of tiles.
        assert!(findings(Least::of("matmul tiled", &[])).is_empty());
    }

    #[test]
    fn explained_findings_go_and_idle_explanations_are_found() {
        assert!(fits("*.64 conv*f16", "navi21.64 conv tiled of k3 f16") && fits("a", "a"));
        assert!(!fits("*.64 conv*f16", "navi21.64 conv tiled of k3 f32") && !fits("a", "ab"));
        let lines = [
            "a*\tspills\tbecause",
            "a*\tother\tbecause",
            "b\tspills\tbecause",
        ];
        let explained: Vec<Explained> = lines.iter().filter_map(|l| Explained::read(l)).collect();
        assert_eq!(explained.len(), 3);
        let rows = [row("ab", 1.0, 4.0), row("cb", 1.0, 4.0)];
        let (left, idle) = without(&rows, &explained);
        assert!(left[0].findings.is_empty() && left[1].findings.contains("spills"));
        assert_eq!(idle, [&explained[1], &explained[2]]);
        assert!(
            Explained::read("a\tspills\t ").is_none() && Explained::read("a\tspills").is_none()
        );
    }

    #[test]
    fn lines_are_read_back_and_worse_ones_found() {
        let before = [row("a", 100.0, 0.0), row("b", 100.0, 4.0)];
        let read: Vec<Row> = before.iter().filter_map(|r| Row::read(&r.line())).collect();
        assert_eq!(read.len(), 2);
        assert!(read[1].findings.contains("spills"));
        let before: BTreeMap<String, Row> = read.into_iter().map(|r| (r.key.clone(), r)).collect();
        assert!(worse(&before, &[row("a", 104.0, 0.0), row("b", 90.0, 4.0)]).is_empty());
        let found = worse(&before, &[row("a", 106.0, 8.0), row("c", 1.0, 1.0)]);
        assert_eq!(
            found,
            ["a: spills", "a: insts 100 -> 106", "c (new): spills"]
        );
        assert!(Row::read("a\t1\t2").is_none());
        assert_eq!(
            head().split('\t').count(),
            row("a", 1.0, 0.0).line().split('\t').count()
        );
    }
}
