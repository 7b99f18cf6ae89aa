//! Rules about which crate may depend on which, read from `cargo metadata`: one table, and the picture that it makes. It
//! must look at declared dependencies only, not at what they pull in from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Finding;
use super::source::Source;
use crate::run::Invocation;

/// Which of the project's crates each may depend on: at run time, and in its tests beyond that. An executor sees no
/// tensor, the layers see no executor, and nobody sees who comes after.
const MAY: [(&str, &[&str], &[&str]); 26] = [
    ("wgrad-plan", &[], &[]),
    ("wgrad-plot", &[], &[]),
    ("wgrad-report", &["wgrad-plot"], &[]),
    ("wgrad-device", &[], &[]),
    ("wgrad-shaders", &[], &["wgrad-device", "wgrad-plan"]),
    ("wgrad-derive", &[], &[]),
    // Tests of executors plan with the graph.
    ("wgrad-cpu", &["wgrad-plan"], &["wgrad-graph"]),
    (
        "wgrad-gpu",
        &["wgrad-device", "wgrad-plan", "wgrad-shaders"],
        &["wgrad-graph"],
    ),
    (
        "wgrad-graph",
        &["wgrad-cpu", "wgrad-device", "wgrad-gpu", "wgrad-plan"],
        &["wgrad-shaders"],
    ),
    ("wgrad-nn", &["wgrad-derive", "wgrad-graph"], &[]),
    ("wgrad-data", &["wgrad-graph"], &[]),
    ("wgrad-metrics", &["wgrad-graph", "wgrad-nn"], &[]),
    ("wgrad-stats", &["wgrad-graph"], &[]),
    (
        "wgrad-train",
        &[
            "wgrad-data",
            "wgrad-graph",
            "wgrad-metrics",
            "wgrad-nn",
            "wgrad-plot",
            "wgrad-report",
        ],
        &[],
    ),
    (
        "wgrad",
        &[
            "wgrad-data",
            "wgrad-device",
            "wgrad-graph",
            "wgrad-metrics",
            "wgrad-nn",
            "wgrad-plot",
            "wgrad-report",
            "wgrad-stats",
            "wgrad-train",
        ],
        &[],
    ),
    // What the command line and the page time.
    ("wgrad-shapes", &["wgrad-graph", "wgrad-nn"], &[]),
    ("wgrad-cli", &["wgrad", "wgrad-shapes"], &[]),
    ("wgrad-course", &["wgrad"], &[]),
    ("wgrad-tests", &[], &["wgrad"]),
    ("wgrad-benches", &[], &["wgrad"]),
    // The page's training runs on the parts, so that they can be tested without a browser.
    (
        "wgrad-web-training",
        &["wgrad-data", "wgrad-graph", "wgrad-nn"],
        &[],
    ),
    ("wgrad-web-bindgen", &[], &[]),
    ("wgrad-web-shapes", &["wgrad-graph", "wgrad-shapes"], &[]),
    (
        "wgrad-web",
        &["wgrad", "wgrad-shapes", "wgrad-web-training"],
        &[],
    ),
    ("xtask", &[], &[]),
    // A tool that looks at what an executor compiles.
    (
        "wgrad-isa",
        &["wgrad-graph", "wgrad-gpu", "wgrad-plan"],
        &[],
    ),
];

/// The files of the graph that know executors; to all others a plan is data.
const KNOW_EXECUTORS: [&str; 6] = [
    "crates/graph/src/device.rs",
    "crates/graph/src/eval.rs",
    "crates/graph/src/outcome.rs",
    // A test of how long preparing takes.
    "crates/graph/src/passes/scaling.rs",
    "crates/graph/src/run.rs",
    "crates/graph/src/tune/",
];

/// The one crate that sees wgpu.
const WGPU: (&str, &str) = ("wgrad-device", "wgpu");

/// Crates that bring nothing along at run time but [`DERIVES`].
const BARE: [&str; 1] = ["wgrad-shaders"];

/// Crates that only write code.
const DERIVES: [&str; 1] = ["thiserror"];

/// One declared dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    to: String,
    /// Needed by the library itself, not only by its tests or build script.
    at_run_time: bool,
}

type Edges = BTreeMap<String, BTreeSet<Edge>>;

/// The findings, and the picture of the edges, if there is one.
pub(crate) fn look(root: &Path) -> Result<(Vec<Finding>, Option<String>), String> {
    let mut edges = Edges::new();
    for manifest in ["Cargo.toml", "crates/web/Cargo.toml"] {
        let arguments = [
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--manifest-path",
            manifest,
        ];
        edges.extend(parse(&Invocation::new("cargo", &arguments).output(root)?)?);
    }
    let findings = RULES.iter().flat_map(|rule| rule(&edges)).collect();
    Ok((findings, picture(&edges)))
}

const RULES: [fn(&Edges) -> Vec<Finding>; 4] = [tabled, circles, wgpu, bare];

fn parse(metadata: &str) -> Result<Edges, String> {
    let value: Value =
        serde_json::from_str(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = value["packages"]
        .as_array()
        .ok_or("cargo metadata: no packages")?;
    let edge = |dependency: &Value| {
        let to = dependency["name"].as_str()?.to_owned();
        Some(Edge {
            to,
            at_run_time: dependency["kind"].is_null(),
        })
    };
    let package = |package: &Value| {
        let edges = package["dependencies"]
            .as_array()?
            .iter()
            .map(edge)
            .collect::<Option<_>>()?;
        Some((package["name"].as_str()?.to_owned(), edges))
    };
    packages
        .iter()
        .map(package)
        .collect::<Option<_>>()
        .ok_or_else(|| "cargo metadata: unknown form".to_owned())
}

/// Every edge between crates of the project stands in [`MAY`], and every crate there exists.
fn tabled(edges: &Edges) -> Vec<Finding> {
    let row = |name: &str| MAY.iter().find(|(from, ..)| *from == name);
    let mut findings = Vec::new();
    for (from, all) in edges {
        let Some((_, run, tests)) = row(from) else {
            findings.push(Finding::new(from, "is not in the table of edges"));
            continue;
        };
        for edge in all.iter().filter(|edge| edges.contains_key(&edge.to)) {
            let to = edge.to.as_str();
            let (in_tests, may_run) = (!edge.at_run_time, run.contains(&to));
            if !(may_run || in_tests && tests.contains(&to)) {
                let when = if in_tests { " in its tests" } else { "" };
                findings.push(Finding::new(from, format!("depends on {to}{when}")));
            }
        }
    }
    let gone = MAY.iter().filter(|(from, ..)| !edges.contains_key(*from));
    findings.extend(
        gone.map(|(from, ..)| Finding::new(*from, "stands in the table of edges, but is no crate")),
    );
    findings
}

/// What a crate needs of the project's own at run time.
fn own<'e>(edges: &'e Edges, from: &str) -> impl Iterator<Item = &'e str> {
    let all = edges.get(from).into_iter().flatten();
    all.filter(|edge| edge.at_run_time && edges.contains_key(&edge.to))
        .map(|edge| edge.to.as_str())
}

/// No crate reaches itself.
fn circles(edges: &Edges) -> Vec<Finding> {
    let is_in_one = |from: &&String| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = own(edges, from).collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(own(edges, next));
            }
        }
        reached.contains(from.as_str())
    };
    edges
        .keys()
        .filter(is_in_one)
        .map(|from| Finding::new(from, "depends on itself by way of others"))
        .collect()
}

/// How many crates stand below each at most; none for crates in a circle. Crates of nothing but tests stand above what
/// they test.
fn levels(edges: &Edges) -> BTreeMap<&str, usize> {
    let is_needed = |name: &str| edges.values().flatten().any(|edge| edge.to == name);
    let below = |from: &str| -> Vec<&str> {
        let own: Vec<&str> = own(edges, from).collect();
        if !own.is_empty() || is_needed(from) {
            return own;
        }
        let tested = edges[from].iter().map(|edge| edge.to.as_str());
        tested.filter(|to| edges.contains_key(*to)).collect()
    };
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    loop {
        let before = levels.len();
        for from in edges.keys().map(String::as_str) {
            let known: Option<Vec<usize>> = below(from)
                .into_iter()
                .map(|to| levels.get(to).copied())
                .collect();
            if let Some(known) = known {
                levels.insert(from, known.iter().max().map_or(0, |level| level + 1));
            }
        }
        if levels.len() == before {
            return levels;
        }
    }
}

/// The crates by levels, each with what it depends on; none if they stand in a circle.
fn picture(edges: &Edges) -> Option<String> {
    let levels = levels(edges);
    if levels.len() != edges.len() {
        return None;
    }
    let short = |name: &str| name.strip_prefix("wgrad-").unwrap_or(name).to_owned();
    let join = |names: Vec<String>| names.join(" ");
    let mut lines = Vec::new();
    for level in (0..=levels.values().max().copied()?).rev() {
        let names = edges.keys().filter(|name| levels[name.as_str()] == level);
        for (ix, name) in names.enumerate() {
            let margin = if ix == 0 {
                level.to_string()
            } else {
                String::new()
            };
            let run = join(own(edges, name).map(short).collect());
            let tests: Vec<String> = edges[name]
                .iter()
                .filter(|edge| !edge.at_run_time && edges.contains_key(&edge.to))
                .filter(|edge| own(edges, name).all(|to| to != edge.to))
                .map(|edge| short(&edge.to))
                .collect();
            let mut line = format!("{margin:>2} │ {:<12}", short(name));
            if !run.is_empty() {
                line += &format!(" ──► {run}");
            }
            if !tests.is_empty() {
                line += &format!(" ┄┄► {}", join(tests));
            }
            lines.push(line.trim_end().to_owned());
        }
    }
    let foot = "   └─ level   ──► at run time, only to lower levels   ┄┄► in tests only";
    lines.push(foot.to_owned());
    Some(lines.join("\n"))
}

/// Where the picture stands in ARCHITECTURE.md.
const OPENING: &str = "<!-- The edges, as `cargo xtask tidy --write` draws them. -->\n```text\n";
const CLOSING: &str = "\n```\n";

/// `text` with the picture in its place; none if it has no place.
pub(crate) fn with_picture(text: &str, picture: &str) -> Option<String> {
    let begin = text.find(OPENING)? + OPENING.len();
    let end = begin - 1 + text[begin - 1..].find(CLOSING)?;
    Some([&text[..begin], picture, &text[end..]].concat())
}

/// ARCHITECTURE.md shows the edges as they are.
pub(crate) fn shown(text: &str, picture: &str) -> Option<Finding> {
    const PAGE: &str = "ARCHITECTURE.md";
    match with_picture(text, picture) {
        None => Some(Finding::new(
            PAGE,
            "has no place for the edges of the crates",
        )),
        Some(new) if new != text => Some(Finding::new(
            PAGE,
            "shows other edges than there are; `cargo xtask tidy --write` draws them anew",
        )),
        Some(_) => None,
    }
}

/// In the graph, only [`KNOW_EXECUTORS`] name an executor or the device crate.
pub(crate) fn executors(source: &Source) -> Vec<Finding> {
    const EXECUTORS: [&str; 3] = ["wgrad_cpu::", "wgrad_gpu::", "wgrad_device::"];
    let is_of_graph = source.path.starts_with("crates/graph/src/") && source.is("rs");
    if !is_of_graph
        || KNOW_EXECUTORS
            .iter()
            .any(|may| source.path.starts_with(may))
    {
        return Vec::new();
    }
    // Tests stand last.
    let tests = source
        .code
        .find("#[cfg(test)]")
        .unwrap_or(source.code.len());
    let lines = source.code[..tests].lines().enumerate();
    lines
        .filter(|(_, line)| EXECUTORS.iter().any(|name| line.contains(name)))
        .map(|(ix, _)| {
            Finding::new(
                source.at(ix),
                "names an executor; to the graph a plan is data",
            )
        })
        .collect()
}

fn wgpu(edges: &Edges) -> Vec<Finding> {
    let (owner, wgpu) = WGPU;
    let others = edges
        .iter()
        .filter(|(from, to)| *from != owner && to.iter().any(|edge| edge.to == wgpu));
    others
        .map(|(from, _)| Finding::new(from, format!("depends on {wgpu}; only {owner} may")))
        .collect()
}

fn bare(edges: &Edges) -> Vec<Finding> {
    let is_needed = |edge: &&Edge| edge.at_run_time && !DERIVES.contains(&edge.to.as_str());
    let of = |from: &&str| {
        let needed = edges.get(*from).into_iter().flatten().filter(is_needed);
        let finding = |edge: &Edge| Finding::new(*from, format!("needs {} at run time", edge.to));
        needed.map(finding).collect::<Vec<_>>()
    };
    BARE.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from -> to` at run time, `from ~> to` in tests.
    fn edges(lines: &[&str]) -> Edges {
        let mut edges = Edges::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let edge = Edge {
                to: words[2].to_owned(),
                at_run_time: words[1] == "->",
            };
            edges.entry(words[0].to_owned()).or_default().insert(edge);
            edges.entry(words[2].to_owned()).or_default();
        }
        edges
    }

    fn texts(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|Finding { place, what }| format!("{place} {what}"))
            .collect()
    }

    /// Edges with every crate of the table.
    fn with_all(lines: &[&str]) -> Edges {
        let mut edges = edges(lines);
        for (from, ..) in MAY {
            edges.entry(from.to_owned()).or_default();
        }
        edges
    }

    #[test]
    fn an_edge_outside_the_table_is_found() {
        let planted = with_all(&[
            "wgrad-device -> wgrad-graph",
            "wgrad-cpu -> wgrad-graph",
            "wgrad-graph ~> wgrad-nn",
            "wgrad-nn -> wgrad-cpu",
            "wgrad-data -> wgrad-train",
            "wgrad-derive -> helper",
        ]);
        assert_eq!(
            texts(&tabled(&planted)),
            [
                "helper is not in the table of edges",
                "wgrad-cpu depends on wgrad-graph",
                "wgrad-data depends on wgrad-train",
                "wgrad-derive depends on helper",
                "wgrad-device depends on wgrad-graph",
                "wgrad-graph depends on wgrad-nn in its tests",
                "wgrad-nn depends on wgrad-cpu",
            ]
        );
        let sound = with_all(&[
            "wgrad-cpu -> wgrad-plan",
            "wgrad-cpu ~> wgrad-graph",
            "wgrad-data ~> wgrad-graph",
            "wgrad -> wgrad-train",
        ]);
        assert_eq!(tabled(&sound), []);
        let mut fewer = sound;
        fewer.remove("wgrad-web-bindgen");
        let gone = ["wgrad-web-bindgen stands in the table of edges, but is no crate"];
        assert_eq!(texts(&tabled(&fewer)), gone);
    }

    #[test]
    fn a_circle_is_found_and_has_no_picture() {
        let ring = edges(&["a -> b", "b -> c", "c -> a", "d -> a"]);
        let on_it =
            ["a", "b", "c"].map(|name| format!("{name} depends on itself by way of others"));
        assert_eq!(texts(&circles(&ring)), on_it);
        assert_eq!(picture(&ring), None);
        let in_tests = edges(&["a -> b", "b ~> a"]);
        assert_eq!(circles(&in_tests), []);
    }

    #[test]
    fn the_picture_has_each_crate_above_what_it_needs() {
        let edges = edges(&[
            "wgrad-a -> wgrad-b",
            "wgrad-a -> c",
            "c -> wgrad-b",
            "wgrad-b ~> c",
        ]);
        let want = [
            " 2 │ a            ──► c b",
            " 1 │ c            ──► b",
            " 0 │ b            ┄┄► c",
        ];
        let picture = picture(&edges).unwrap();
        assert_eq!(picture.lines().take(3).collect::<Vec<_>>(), want);
        let page = format!("# Map\n\n{OPENING}old{CLOSING}\nmore\n");
        assert!(shown(&page, &picture).is_some());
        assert!(shown("# Map\n", &picture).is_some());
        let new = with_picture(&page, &picture).unwrap();
        assert_eq!(shown(&new, &picture), None);
        assert!(new.starts_with("# Map\n") && new.ends_with("```\n\nmore\n"));
        let empty = with_picture(&format!("{OPENING}```\n"), &picture).unwrap();
        assert_eq!(empty, format!("{OPENING}{picture}{CLOSING}"));
    }

    #[test]
    fn an_executor_in_a_pass_is_found() {
        let text = "use wgrad_cpu::Executor;\n// wgrad_cpu::\n#[cfg(test)]\nuse wgrad_gpu::A;\n";
        let places = |path: &str| -> Vec<String> {
            let findings = executors(&Source::new(path, text));
            findings.into_iter().map(|finding| finding.place).collect()
        };
        assert_eq!(
            places("crates/graph/src/passes/rows.rs"),
            ["crates/graph/src/passes/rows.rs:1"]
        );
        assert_eq!(places("crates/graph/src/run.rs"), [""; 0]);
        assert_eq!(places("crates/nn/src/run.rs"), [""; 0]);
    }

    #[test]
    fn wgpu_elsewhere_is_found() {
        let edges = edges(&["wgrad-device -> wgpu", "wgrad-web ~> wgpu"]);
        assert_eq!(
            texts(&wgpu(&edges)),
            ["wgrad-web depends on wgpu; only wgrad-device may"]
        );
    }

    #[test]
    fn shaders_bring_nothing_along() {
        let edges = edges(&[
            "wgrad-shaders -> naga",
            "wgrad-shaders -> thiserror",
            "wgrad-shaders ~> walkdir",
        ]);
        assert_eq!(
            texts(&bare(&edges)),
            ["wgrad-shaders needs naga at run time"]
        );
    }

    #[test]
    fn metadata_is_read() {
        let metadata = r#"{"packages":[{"name":"a","dependencies":[
            {"name":"b","kind":null},{"name":"c","kind":"dev"},{"name":"d","kind":"build"}]}]}"#;
        let kinds: Vec<(String, bool)> = parse(metadata).unwrap()["a"]
            .iter()
            .map(|edge| (edge.to.clone(), edge.at_run_time))
            .collect();
        assert_eq!(
            kinds,
            [
                ("b".to_owned(), true),
                ("c".to_owned(), false),
                ("d".to_owned(), false)
            ]
        );
        assert!(parse("{}").is_err());
    }
}
