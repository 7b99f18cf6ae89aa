//! The table of texts and what judges it: rules that hold for any kernel, and a table of before that nothing may be worse than.
//! Must not compile anything.

use crate::listing::{Class, Loop};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Multiply-adds from which a loop is a product's.
const PRODUCT: usize = 64;
/// The least share of multiply-adds in a product's loop.
const SHARE: f64 = 0.8;
/// Bytes of code that an instruction cache of RDNA2 holds.
const CODE: f64 = 32768.0;
/// By how much a number may be worse than before.
const WORSE: f64 = 0.05;

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
    pub fn new(key: String, statistics: &BTreeMap<String, f64>, hot: Option<&Loop>) -> Row {
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
            if fma >= PRODUCT && hot.share() < SHARE {
                find(format!(
                    "less than {SHARE} of a product's loop are products"
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
        Row::new(key.into(), &statistics.into(), None)
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
