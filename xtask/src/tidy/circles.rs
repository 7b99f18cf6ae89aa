//! Rules about modules of one crate: which use each other in a ring. Read from paths (`crate::…`, `super::…`, `use child::…`),
//! followed through re-exports; what a call of a method reaches is not seen. It must look at no other crate, and at no tests.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::paths::{Path, paths, test_modules, without_tests};
use super::source::Source;

/// The rings that remain: the folder, modules on a ring there, and why they stay. A row may hold part of a ring.
const KNOWN: &[(&str, &[&str], &str)] = &[
    (
        "crates/device/src",
        &[
            "arena", "bind", "buffer", "download", "kernel", "shared", "upload",
        ],
        "a device has one state, made of the caches and queues that these files keep, and each goes through it to the driver",
    ),
    (
        "crates/graph/src",
        &[
            "autodiff",
            "checkpoint",
            "history",
            "linalg",
            "links",
            "loops",
            "mark",
            "number",
            "ops",
            "reference",
            "tensor",
        ],
        "a tensor is a node with its primitive, and a primitive's derivative, batch rule and samples are tensors",
    ),
    (
        "crates/cpu/src/run",
        &["kernel", "memory", "prepared", "ready", "segments"],
        "a step may be a loop, whose body is a plan, prepared and run as the plan around it is",
    ),
    (
        "crates/gpu/src",
        &["prepared", "rounds", "run"],
        "what a plan records may be a loop, which records its body's plan in the same way",
    ),
    (
        "crates/graph/src",
        &[
            "debug", "depth", "device", "eval", "host", "outcome", "passes", "run", "tune",
        ],
        "a tensor knows its device, which keeps the plans of what was run there; too long a chain is run while it is recorded",
    ),
    (
        "crates/graph/src/ops",
        &["conv", "conv_input_grad", "conv_weight_grad"],
        "the derivatives of each of these products are the other two",
    ),
    (
        "crates/gpu/src",
        &["columns", "reduce"],
        "one way of a reduction, apart for its length: it fills the template of the others",
    ),
    (
        "crates/nn/src",
        &["gradients", "host", "module", "optim", "variable"],
        "a module shows the optimisers and variables that it holds, and an optimiser steps a module",
    ),
    (
        "crates/nn/src/optim",
        &["half", "state"],
        "an update in f16 is the update in f32 between casts, and the state asks for either",
    ),
    (
        "crates/train/src/weights",
        &["error", "load"],
        "loading fails with an error that holds the report which loading makes",
    ),
    (
        "crates/cli/src/bench",
        &["case", "kernels", "roofline"],
        "a case is timed by what lists the cases, and judged by the roofline, which is measured as a case is",
    ),
    (
        "crates/cli/src/bench",
        &["first_step", "training"],
        "the first step is that of a training, and is listed with the others",
    ),
];

/// A module: its names from the crate's root on.
type Name = Vec<String>;

/// What a crate's files say of its modules.
#[derive(Default)]
struct Crate {
    /// The folder of its sources.
    folder: String,
    modules: BTreeMap<Name, Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    paths: Vec<Path>,
    /// Names that it takes in, and the paths they stand for.
    names: BTreeMap<String, Vec<String>>,
}

/// Modules of a folder that use one another, and where.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Rings of modules that stand in no table, and rows of the table that no ring needs.
pub(crate) fn findings(sources: &[Source]) -> Vec<Finding> {
    judged(&rings(sources), KNOWN)
}

/// A ring: its folder, its modules, and one way around it.
#[derive(Debug, PartialEq, Eq)]
struct Ring {
    folder: String,
    members: BTreeSet<String>,
    around: String,
}

fn judged(rings: &[Ring], known: &[(&str, &[&str], &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ring in rings {
        let rows = known.iter().filter(|(folder, ..)| *folder == ring.folder);
        let is_listed = |member: &&String| {
            rows.clone()
                .any(|(_, members, _)| members.contains(&member.as_str()))
        };
        let new: Vec<&str> = ring
            .members
            .iter()
            .filter(|member| !is_listed(member))
            .map(String::as_str)
            .collect();
        if !new.is_empty() {
            let around = &ring.around;
            let what = format!(
                "modules use each other in a ring: {around} (new: {})",
                new.join(", ")
            );
            findings.push(Finding::new(&ring.folder, what));
        }
    }
    for (folder, members, _) in known {
        let still = |member: &&&str| {
            let mut rings = rings.iter().filter(|ring| ring.folder == *folder);
            rings.any(|ring| ring.members.contains(**member))
        };
        for member in members.iter().filter(|member| !still(member)) {
            let what = format!("`{member}` is listed in a ring that it has left (circles.rs)");
            findings.push(Finding::new(*folder, what));
        }
    }
    findings
}

fn rings(sources: &[Source]) -> Vec<Ring> {
    crates(sources)
        .iter()
        .flat_map(|one| {
            let folders = uses(one);
            folders.into_iter().flat_map(|(inside, uses)| {
                let folder = [std::slice::from_ref(&one.folder), &inside[..]]
                    .concat()
                    .join("/");
                rings_of(&folder, &uses)
            })
        })
        .collect()
}

/// The crates among the sources, without their tests.
fn crates(sources: &[Source]) -> Vec<Crate> {
    let mut crates: BTreeMap<&str, Vec<(Name, &Source)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is("rs")) {
        if let Some((folder, file)) = source.path.split_once("/src/") {
            crates
                .entry(folder)
                .or_default()
                .push((name_of(file), source));
        }
    }
    let of = |(folder, files): (&str, Vec<(Name, &Source)>)| {
        let tests: Vec<Name> = files
            .iter()
            .flat_map(|(name, source)| {
                let inside = test_modules(&source.code).into_iter();
                inside
                    .map(|test| [&name[..], &[test]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
        let is_test = |name: &Name| tests.iter().any(|test| name.starts_with(test));
        let files = files.into_iter().filter(|(name, _)| !is_test(name));
        let modules = files.map(|(name, source)| (name, module(source))).collect();
        Crate {
            folder: format!("{folder}/src"),
            modules,
        }
    };
    crates.into_iter().map(of).collect()
}

/// The module that a file below `src` holds.
fn name_of(file: &str) -> Name {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut name: Name = stem.split('/').map(str::to_owned).collect();
    let last = name.last().map(String::as_str);
    let is_root = name.len() == 1 && matches!(last, Some("lib" | "main"));
    if is_root || last == Some("mod") {
        name.pop();
    }
    name
}

fn module(source: &Source) -> Module {
    let paths = paths(&without_tests(&source.code));
    let taken = paths.iter().filter_map(|path| {
        let name = path.name.clone()?;
        Some((name, path.segments.clone()))
    });
    Module {
        file: source.path.clone(),
        names: taken.collect(),
        paths,
    }
}

/// For each folder, which of its modules use which.
fn uses(one: &Crate) -> BTreeMap<Name, Uses> {
    let mut folders: BTreeMap<Name, Uses> = BTreeMap::new();
    for (from, module) in &one.modules {
        for path in &module.paths {
            let Some(to) = one.resolve(from, &path.segments, 0) else {
                continue;
            };
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // What is above or below is another matter: a room uses its parts, and they what stands in its door.
            if common == from.len() || common == to.len() {
                continue;
            }
            let place = format!("{}:{}", module.file, path.line + 1);
            let folder = folders.entry(from[..common].to_vec()).or_default();
            let uses = folder.entry(from[common].clone()).or_default();
            uses.entry(to[common].clone()).or_insert(place);
        }
    }
    folders
}

impl Crate {
    /// The module that `segments` lead to from `from`, through names that modules take in.
    fn resolve(&self, from: &[String], segments: &[String], depth: usize) -> Option<Name> {
        /// Re-exports of re-exports.
        const DEEPEST: usize = 8;
        let ups = segments.iter().take_while(|s| *s == "super").count();
        let first = segments.first()?.as_str();
        let (mut at, rest) = match first {
            "crate" => (Vec::new(), &segments[1..]),
            "self" => (from.to_vec(), &segments[1..]),
            "super" => (
                from[..from.len().checked_sub(ups)?].to_vec(),
                &segments[ups..],
            ),
            _ => {
                let child = [from, &segments[..1]].concat();
                (
                    self.modules.contains_key(&child).then(|| from.to_vec())?,
                    segments,
                )
            }
        };
        for (ix, segment) in rest.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            let taken = self.modules.get(&at).and_then(|m| m.names.get(segment));
            return match taken.filter(|_| depth < DEEPEST) {
                Some(taken) => {
                    let whole = [&taken[..], &rest[ix + 1..]].concat();
                    self.resolve(&at, &whole, depth + 1).or(Some(at))
                }
                None => Some(at),
            };
        }
        Some(at)
    }
}

/// What `from` reaches in one step or more.
fn reached<'u>(uses: &'u Uses, from: &str) -> BTreeSet<&'u str> {
    let mut reached = BTreeSet::new();
    let next = |from: &str| uses.get(from).into_iter().flat_map(|to| to.keys());
    let mut open: Vec<&String> = next(from).collect();
    while let Some(to) = open.pop() {
        if reached.insert(to.as_str()) {
            open.extend(next(to));
        }
    }
    reached
}

fn rings_of(folder: &str, uses: &Uses) -> Vec<Ring> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = uses
        .keys()
        .map(|from| (from.as_str(), reached(uses, from)))
        .collect();
    let mut rings: Vec<Ring> = Vec::new();
    for (from, to) in &reach {
        let is_mutual = |to: &&&str| reach.get(**to).is_some_and(|back| back.contains(from));
        let members: BTreeSet<String> =
            to.iter().filter(is_mutual).map(|&m| m.to_owned()).collect();
        if members.contains(*from) && rings.iter().all(|ring| ring.members != members) {
            rings.push(Ring {
                folder: folder.to_owned(),
                around: around(uses, from),
                members,
            });
        }
    }
    rings
}

/// The shortest way from a module back to itself, with a place for each step.
fn around(uses: &Uses, from: &str) -> String {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([from]);
    while let Some(at) = open.pop_front() {
        for to in uses.get(at).into_iter().flat_map(|to| to.keys()) {
            if !before.contains_key(to.as_str()) {
                before.insert(to, at);
                open.push_back(to);
            }
        }
    }
    let mut way = vec![from];
    while let Some(&at) = way.last().and_then(|last| before.get(last)) {
        way.push(at);
        if at == from {
            break;
        }
    }
    way.reverse();
    let step = |pair: &[&str]| format!("{} ► {} at {}", pair[0], pair[1], uses[pair[0]][pair[1]]);
    way.windows(2).map(step).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(file, text)| Source::new(&format!("crates/a/src/{file}.rs"), text))
            .collect();
        let ring = |ring: Ring| (ring.folder, ring.members.into_iter().collect());
        rings(&sources).into_iter().map(ring).collect()
    }

    fn ring(folder: &str, members: &[&str]) -> (String, Vec<String>) {
        let members = members.iter().map(|&m| m.to_owned()).collect();
        (folder.to_owned(), members)
    }

    #[test]
    fn two_modules_that_use_each_other_are_found() {
        let ab = [ring("crates/a/src", &["b", "c"])];
        let root = ("lib", "mod b;\nmod c;\n");
        assert_eq!(
            found(&[root, ("b", "use crate::c::C;"), ("c", "use super::b;")]),
            ab
        );
        assert_eq!(
            found(&[
                root,
                ("b", "fn b() { crate::c::c() }"),
                ("c", "use crate::{b::B};")
            ]),
            ab
        );
        assert_eq!(
            found(&[root, ("b", "use crate::c::C;"), ("c", "use std::b;")]),
            []
        );
        // Comments, literals and tests are no use.
        let tests =
            "// crate::b\n#[cfg(test)]\nmod tests { use crate::b; }\nconst A: &str = \"crate::b\";";
        assert_eq!(found(&[root, ("b", "use crate::c::C;"), ("c", tests)]), []);
        let declared = ("c", "#[cfg(test)]\nmod check;\n");
        assert_eq!(
            found(&[
                root,
                ("b", "use crate::c::C;"),
                declared,
                ("c/check", "use crate::b;")
            ]),
            []
        );
    }

    #[test]
    fn a_ring_of_three_through_a_name_of_the_root_is_found() {
        let files = [
            (
                "lib",
                "mod b;\nmod c;\nmod d;\npub use b::{Big as B, other};\n",
            ),
            ("b", "use crate::c::C;"),
            ("c/mod", "mod inside;"),
            ("c/inside", "use super::super::d::D;"),
            ("d", "impl D { fn d(&self, b: &crate::B) {} }"),
        ];
        assert_eq!(found(&files), [ring("crates/a/src", &["b", "c", "d"])]);
    }

    #[test]
    fn folders_have_rings_of_their_own_and_parents_are_none() {
        let files = [
            ("lib", "mod c;"),
            ("c/mod", "mod b;\nmod d;\nuse d::D;\npub struct C;"),
            ("c/b", "use super::{C, D};"),
            ("c/d", "use super::b;\nmod inline { use super::super::C; }"),
        ];
        assert_eq!(found(&files), [ring("crates/a/src/c", &["b", "d"])]);
        let parents = [
            files[0],
            files[1],
            ("c/b", "use super::C;"),
            ("c/d", "use crate::c;"),
        ];
        assert_eq!(found(&parents), []);
    }

    #[test]
    fn only_what_no_row_lists_is_a_finding_and_no_row_stays_for_nothing() {
        let ring = |members: &[&str]| Ring {
            folder: "f".to_owned(),
            members: members.iter().map(|&m| m.to_owned()).collect(),
            around: "b ► c at f/b.rs:1, c ► b at f/c.rs:1".to_owned(),
        };
        let whats = |rings: &[Ring], known: &[(&str, &[&str], &str)]| -> Vec<String> {
            let findings = judged(rings, known).into_iter();
            findings.map(|finding| finding.what).collect()
        };
        let row: (&str, &[&str], &str) = ("f", &["b", "c"], "why");
        assert_eq!(whats(&[ring(&["b", "c"])], &[row]), [""; 0]);
        assert_eq!(
            whats(&[ring(&["b", "c", "d"])], &[row]),
            ["modules use each other in a ring: b ► c at f/b.rs:1, c ► b at f/c.rs:1 (new: d)"]
        );
        assert_eq!(whats(&[ring(&["b", "c"])], &[]).len(), 1);
        assert_eq!(
            whats(&[], &[("f", &["b"], "why")]),
            ["`b` is listed in a ring that it has left (circles.rs)"]
        );
    }

    #[test]
    fn the_way_around_names_places() {
        let sources = [
            ("lib", ""),
            ("b", "\nuse crate::c::C;"),
            ("c", "use crate::b::B;"),
        ]
        .map(|(file, text)| Source::new(&format!("x/src/{file}.rs"), text));
        let all = rings(&sources);
        assert_eq!(
            all[0].around,
            "b ► c at x/src/b.rs:2, c ► b at x/src/c.rs:1"
        );
    }
}
