//! `cargo xtask tidy`: the repository's own rules, those that no other tool checks. Each rule is one small
//! function with a test on a planted violation. It must read files only, never run anything but
//! `cargo metadata`, nor change anything but, where it is asked to, the pictures in ARCHITECTURE.md.

mod circles;
mod edges;
mod paths;
mod source;
mod text;

use std::collections::BTreeSet;
use std::path::Path;

use source::Source;

/// A broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// `path` or `path:line`, from the repository's root.
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

/// Checks every rule and prints how crates depend on each other. The error lists every finding. With `write`, what
/// documents copy from the code is written anew first.
pub(crate) fn tidy(root: &Path, write: bool) -> Result<(), String> {
    let sources = source::collect(root)?;
    let mut findings: BTreeSet<Finding> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    let (broken, picture) = edges::look(root)?;
    findings.extend(broken);
    if let Some(picture) = picture {
        println!("{picture}\n");
        findings.extend(edges_in_architecture(root, &picture, write)?);
    }
    findings.extend(circles::findings(&sources));
    findings.extend(changelog(root));
    findings.extend(examples_in_readme(
        &example_names(&sources),
        &read_or_empty(&root.join("README.md")),
    ));
    if findings.is_empty() {
        println!("{} files", sources.len());
        return Ok(());
    }
    let lines: Vec<String> = findings
        .iter()
        .map(|Finding { place, what }| format!("{place}: {what}"))
        .collect();
    Err(format!(
        "{}\n{} findings\nto repeat it:\n    cargo xtask tidy",
        lines.join("\n"),
        lines.len()
    ))
}

/// The rules that look at one file.
const RULES: [fn(&Source) -> Vec<Finding>; 9] = [
    text::header,
    text::creation,
    text::op_match,
    text::left_over_macros,
    text::left_over_notes,
    text::foreign_paths,
    text::length,
    text::function_length,
    edges::executors,
];

fn edges_in_architecture(
    root: &Path,
    picture: &str,
    write: bool,
) -> Result<Option<Finding>, String> {
    let path = root.join("ARCHITECTURE.md");
    let text = read_or_empty(&path);
    let Some(new) = edges::with_picture(&text, picture).filter(|new| write && *new != text) else {
        return Ok(edges::shown(&text, picture));
    };
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::write(&path, new).map_err(at)?;
    Ok(None)
}

fn read_or_empty(path: &Path) -> String {
    // A missing README names no example, which is then a finding.
    std::fs::read_to_string(path).unwrap_or_default()
}

fn changelog(root: &Path) -> Option<Finding> {
    let missing = read_or_empty(&root.join("CHANGELOG.md")).trim().is_empty();
    missing.then(|| Finding::new("CHANGELOG.md", "is missing or empty"))
}

fn example_names(sources: &[Source]) -> Vec<String> {
    let name = |source: &Source| match source.path.strip_prefix("examples/")?.split_once('/') {
        Some((folder, "main.rs")) => Some(folder.to_owned()),
        Some(_) => None,
        None => source
            .path
            .strip_prefix("examples/")?
            .strip_suffix(".rs")
            .map(str::to_owned),
    };
    sources.iter().filter_map(name).collect()
}

fn examples_in_readme(names: &[String], readme: &str) -> Vec<Finding> {
    let words: BTreeSet<&str> = readme
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-')
        .collect();
    let missing = names.iter().filter(|name| !words.contains(name.as_str()));
    missing
        .map(|name| Finding::new("README.md", format!("does not name the example `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_changelog_is_found() {
        let folder = std::env::temp_dir().join(format!("wgrad-xtask-tidy-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(changelog(&folder).is_some());
        std::fs::write(folder.join("CHANGELOG.md"), "# Changelog\n").unwrap();
        assert_eq!(changelog(&folder), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_example_that_the_readme_leaves_out_is_found() {
        let sources = [
            "examples/mnist.rs",
            "examples/gpt/main.rs",
            "examples/gpt/model.rs",
            "tests/a.rs",
        ]
        .map(|path| Source::new(path, ""));
        let names = example_names(&sources);
        assert_eq!(names, ["mnist", "gpt"]);
        let findings = examples_in_readme(&names, "Run `cargo run --example mnist` or mnist_gpt.");
        assert_eq!(
            findings,
            [Finding::new("README.md", "does not name the example `gpt`")]
        );
    }
}
