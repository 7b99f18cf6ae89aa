//! Rules about which crate may depend on which, read from `cargo metadata`: nothing later is visible to
//! anything earlier. It must look at declared dependencies only, not at what they pull in from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::run::Invocation;

/// What a crate may not reach, directly or through the project's other crates.
const FORBIDDEN: [(&str, &[&str]); 2] = [
    ("wgrad-device", &["wgrad-graph"]),
    ("wgrad-graph", &["wgrad-nn", "wgrad-data", "wgrad-train"]),
];

/// The one crate that sees wgpu.
const WGPU: (&str, &str) = ("wgrad-device", "wgpu");

/// Crates that stand alone: their tests only may use another crate of the project.
const ALONE: [&str; 2] = ["wgrad-derive", "wgrad-shaders"];

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

pub(crate) fn findings(root: &Path) -> Result<Vec<Finding>, String> {
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
    Ok(RULES.iter().flat_map(|rule| rule(&edges)).collect())
}

const RULES: [fn(&Edges) -> Vec<Finding>; 4] = [forbidden, wgpu, alone, bare];

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

fn forbidden(edges: &Edges) -> Vec<Finding> {
    let of = |&(from, to): &(&str, &[&str])| {
        let reached = reached(edges, from);
        let broken = to.iter().filter(|to| reached.contains(**to));
        broken
            .map(|to| Finding::new(from, format!("depends on {to}")))
            .collect::<Vec<_>>()
    };
    FORBIDDEN.iter().flat_map(of).collect()
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

fn alone(edges: &Edges) -> Vec<Finding> {
    let is_own = |edge: &&Edge| edge.at_run_time && edges.contains_key(&edge.to);
    let of = |from: &&str| {
        let own = edges.get(*from).into_iter().flatten().filter(is_own);
        let finding =
            |edge: &Edge| Finding::new(*from, format!("depends on {}; it stands alone", edge.to));
        own.map(finding).collect::<Vec<_>>()
    };
    ALONE.iter().flat_map(of).collect()
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

/// Every crate that `from` declares, of any kind, and what those need at run time.
fn reached(edges: &Edges, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = edges
        .get(from)
        .into_iter()
        .flatten()
        .map(|edge| edge.to.as_str())
        .collect();
    while let Some(next) = open.pop() {
        if reached.insert(next.to_owned()) {
            open.extend(
                edges
                    .get(next)
                    .into_iter()
                    .flatten()
                    .filter(|edge| edge.at_run_time)
                    .map(|edge| edge.to.as_str()),
            );
        }
    }
    reached
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

    #[test]
    fn a_step_backwards_is_found() {
        let direct = edges(&["wgrad-device -> wgrad-graph", "wgrad-graph ~> wgrad-nn"]);
        assert_eq!(
            texts(&forbidden(&direct)),
            [
                "wgrad-device depends on wgrad-graph",
                "wgrad-graph depends on wgrad-nn"
            ]
        );
        let indirect = edges(&["wgrad-graph -> helper", "helper -> wgrad-train"]);
        assert_eq!(
            texts(&forbidden(&indirect)),
            ["wgrad-graph depends on wgrad-train"]
        );
        let forwards = edges(&["wgrad-nn -> wgrad-graph", "wgrad-graph -> wgrad-device"]);
        assert_eq!(forbidden(&forwards), []);
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
    fn a_crate_that_stands_alone_is_held_to_it() {
        let edges = edges(&[
            "wgrad-derive -> wgrad-graph",
            "wgrad-shaders ~> wgrad-device",
        ]);
        assert_eq!(
            texts(&alone(&edges)),
            ["wgrad-derive depends on wgrad-graph; it stands alone"]
        );
        let outside = parse(
            r#"{"packages":[{"name":"wgrad-derive","dependencies":[{"name":"syn","kind":null}]}]}"#,
        );
        assert_eq!(alone(&outside.unwrap()), []);
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
