//! What the hottest loop of a listing of AMD's assembly is made of. Must not know a kernel.

use std::collections::BTreeMap;

/// What an instruction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A multiply-add of floats.
    Fma,
    /// Any other vector arithmetic of floats.
    Float,
    /// Reciprocals, exponentials and their like: four times as long.
    Transcendental,
    /// A product of integers: four times as long.
    IntegerProduct,
    /// Any other vector instruction: integers, comparisons, moves.
    Vector,
    /// Global memory.
    Memory,
    /// Workgroup memory.
    Workgroup,
    /// Scalar loads, arithmetic, branches, waits, barriers.
    Scalar,
}

impl Class {
    fn of(instruction: &str) -> Class {
        let op = instruction.split_whitespace().next().unwrap_or_default();
        let Some(vector) = op.strip_prefix("v_") else {
            return match op {
                _ if op.starts_with("ds_") => Class::Workgroup,
                _ if ["buffer_", "global_", "flat_"]
                    .iter()
                    .any(|p| op.starts_with(p)) =>
                {
                    Class::Memory
                }
                _ => Class::Scalar,
            };
        };
        let starts = |all: &[&str]| all.iter().any(|p| vector.starts_with(p));
        let float = ["f32", "f16", "f64"].iter().any(|f| vector.contains(f));
        match () {
            () if float && starts(&["fma", "mac", "mad", "pk_fma", "dot"]) => Class::Fma,
            () if starts(&["exp_", "log_", "rcp_", "rsq_", "sqrt_", "sin_", "cos_"]) => {
                Class::Transcendental
            }
            () if starts(&["mul_lo", "mul_hi", "mad_u", "mad_i", "mul_i32", "mul_u32"]) => {
                Class::IntegerProduct
            }
            () if float && !starts(&["cvt", "cmp"]) => Class::Float,
            () => Class::Vector,
        }
    }

    /// Slots that it takes of those for vector instructions.
    fn slots(self) -> usize {
        match self {
            Class::Transcendental | Class::IntegerProduct => 4,
            Class::Fma | Class::Float | Class::Vector => 1,
            Class::Memory | Class::Workgroup | Class::Scalar => 0,
        }
    }
}

/// The innermost loop with most multiply-adds, or most instructions where there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loop {
    /// Its instructions, as they stand.
    pub listing: Vec<String>,
    /// How many of each class.
    pub count: BTreeMap<Class, usize>,
    /// Slots for vector instructions that it takes.
    pub slots: usize,
    /// Loads of global memory of sixteen bytes.
    pub wide_loads: usize,
    /// Waits for one of its own loads before the first multiply-add behind them.
    pub early_waits: usize,
}

impl Loop {
    /// How many of a class.
    pub fn of(&self, class: Class) -> usize {
        self.count.get(&class).copied().unwrap_or(0)
    }

    /// The share of multiply-adds among vector instructions.
    pub fn share(&self) -> f64 {
        self.of(Class::Fma) as f64 / self.slots.max(1) as f64
    }
}

/// Instructions of blocks, which begin with a line `BB7:`.
fn blocks(assembly: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    for line in assembly.lines() {
        let line = line.split(';').next().unwrap_or_default().trim_end();
        let label = line.strip_prefix("BB").and_then(|l| l.strip_suffix(':'));
        if let Some(number) = label.and_then(|l| l.parse().ok()) {
            blocks.push((number, Vec::new()));
        } else if let Some((_, block)) = blocks.last_mut()
            && !line.trim().is_empty()
        {
            block.push(line.trim());
        }
    }
    blocks
}

/// Ranges of blocks from the target of a backward branch to the branch, those of one head together.
fn loops(blocks: &[(usize, Vec<&str>)]) -> Vec<(usize, usize)> {
    let mut heads: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, (_, block)) in blocks.iter().enumerate() {
        for line in block {
            let mut words = line.split_whitespace();
            let branches = words
                .next()
                .is_some_and(|op| op.starts_with("s_branch") || op.starts_with("s_cbranch"));
            let target = words
                .next()
                .and_then(|w| w.strip_prefix("BB")?.parse::<usize>().ok());
            let to = target.and_then(|t| blocks.iter().position(|b| b.0 == t));
            if let Some(to) = to.filter(|&to| branches && to <= at) {
                let end = heads.entry(to).or_insert(at);
                *end = at.max(*end);
            }
        }
    }
    heads.into_iter().collect()
}

/// The hottest loop of a listing, if it has one.
pub fn hottest(assembly: &str) -> Option<Loop> {
    let blocks = blocks(assembly);
    let all = loops(&blocks);
    let inner = |&(a, b): &(usize, usize)| {
        !all.iter()
            .any(|&(c, d)| (c, d) != (a, b) && c >= a && d <= b)
    };
    let found = all.iter().filter(|l| inner(l)).map(|&(from, to)| {
        let lines = blocks[from..=to].iter().flat_map(|b| &b.1);
        measured(lines.copied().collect())
    });
    found.max_by_key(|l| (l.of(Class::Fma), l.listing.len()))
}

fn measured(lines: Vec<&str>) -> Loop {
    let mut l = Loop::default();
    let (mut loaded, mut multiplied) = (0, false);
    // As many, the last ones, may be under way behind a wait.
    let waits = |line: &str| {
        let left = line.strip_prefix("s_waitcnt")?.split_once("vmcnt(")?.1;
        left.split_once(')')?.0.parse::<usize>().ok()
    };
    for line in &lines {
        let class = Class::of(line);
        *l.count.entry(class).or_default() += 1;
        l.slots += class.slots();
        let load = class == Class::Memory && line.contains("load");
        l.wide_loads += usize::from(load && line.contains("x4"));
        loaded += usize::from(load);
        multiplied |= class == Class::Fma && loaded > 0;
        let waits = waits(line).is_some_and(|left| left < loaded);
        l.early_waits += usize::from(waits && !multiplied);
    }
    l.listing = lines.into_iter().map(str::to_owned).collect();
    l
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_of_a_listing() {
        let text = "
BB0:
  s_mov_b32 s0, 0
BB1:
  buffer_load_dwordx4 v[0:3], v4, s[4:7], 0 offen
  s_waitcnt vmcnt(0)   ; at once
  ds_read_b128 v[8:11], v5
  v_fma_f32 v1, v2, v3, v4
  v_fmac_f32_e32 v1, v2, v3
  v_mul_lo_u32 v1, v2, v3
  v_cmp_gt_f32 vcc, v1, v2
  v_rcp_f32_e32 v1, v2
  v_add_f32 v1, v2, v3
  s_cbranch_scc1 BB1
BB2:
  s_endpgm
";
        let l = hottest(text).expect("a loop");
        assert_eq!(
            (l.of(Class::Fma), l.of(Class::Float), l.of(Class::Vector)),
            (2, 1, 1)
        );
        assert_eq!(
            (
                l.of(Class::Memory),
                l.of(Class::Workgroup),
                l.of(Class::Scalar)
            ),
            (1, 1, 2)
        );
        assert_eq!(
            (l.slots, l.wide_loads, l.early_waits, l.listing.len()),
            (12, 1, 1, 10)
        );
        assert!((l.share() - 2.0 / 12.0).abs() < 1e-12);
        assert!(hottest("BB0:\n s_endpgm\n").is_none());
    }
}
