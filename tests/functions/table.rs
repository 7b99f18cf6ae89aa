//! The tables in the docs, from the source, the cases and PyTorch's names; a stale one is a failure.

use crate::cases::{Case, cases};
use crate::names::{ALIASES, GROUPS, LAYERS, MISSING};
use crate::{devices, json, operands};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wgrad::{DType, Device, Tensor};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rust files below a folder.
fn sources(folder: &Path, out: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

fn read(folders: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for folder in folders {
        sources(&root().join(folder), &mut all);
    }
    all
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// The public functions of tensors with the first sentence of their docs. Macros name theirs as `name => …` or `name,`.
fn functions() -> BTreeMap<String, String> {
    let folders = [
        "crates/graph/src/api",
        "crates/graph/src/composite",
        "crates/graph/src/linalg",
    ];
    let mut all = BTreeMap::new();
    for text in read(&folders) {
        let mut doc = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(more) = line.strip_prefix("///") {
                if !doc.contains(". ") && !doc.ends_with('.') {
                    doc.push_str(more);
                }
                continue;
            }
            let name = match line.strip_prefix("pub fn ") {
                Some(rest) => identifier(rest),
                // A line of a macro's list.
                None if line.contains(" => ") && !doc.is_empty() => identifier(line),
                None => "",
            };
            let method = line.starts_with("pub fn")
                && !line.contains("(self,")
                && !line.contains("(mut self");
            if !name.is_empty()
                && (method || line.contains(" => "))
                && name.starts_with(char::is_lowercase)
            {
                let sentence = doc.split(". ").next().unwrap_or("").trim();
                all.insert(name.to_owned(), sentence.trim_end_matches('.').to_owned());
            }
            if !line.starts_with('#') {
                doc.clear();
            }
        }
    }
    all
}

/// Every name that the sources declare: functions, types, and the lists of macros.
fn declared() -> BTreeSet<String> {
    let folders = ["crates/graph/src", "crates/nn/src", "crates/train/src"];
    let mut all = BTreeSet::new();
    for text in read(&folders) {
        for line in text.lines().map(str::trim) {
            for word in ["pub fn ", "pub async fn ", "pub struct ", "pub enum "] {
                if let Some(rest) = line.strip_prefix(word) {
                    all.insert(identifier(rest).to_owned());
                }
            }
            if line.contains("=>") || line.ends_with(',') || line.ends_with(';') {
                all.insert(identifier(line).to_owned());
                for part in line.split(", ") {
                    all.insert(identifier(part).to_owned());
                }
            }
        }
    }
    all
}

/// Which dtypes the values of a case may have.
fn dtypes(case: &Case) -> Vec<&'static str> {
    let device = Device::reference();
    let inputs = operands(case, &device);
    let first = inputs[0].dtype();
    let takes = |dtype: DType| {
        let cast: Vec<Tensor> = inputs
            .iter()
            .map(|x| match x.dtype() == first {
                true => x.cast(dtype),
                false => x.clone(),
            })
            .collect();
        (case.run)(&cast).iter().all(|y| y.check().is_ok())
    };
    let all = DType::ALL.into_iter().filter(|d| takes(*d));
    all.map(DType::name).collect()
}

/// The executors on which the first case of a function runs. Those at hand have to; a GPU that is missing is believed.
fn executors(case: &Case) -> &'static str {
    for (name, device) in devices() {
        let outputs = (case.run)(&operands(case, &device));
        for y in &outputs {
            let bytes = wgrad::block_on(y.to_bytes_async());
            assert!(bytes.is_ok(), "{} on {name}: {bytes:?}", case.name);
        }
    }
    let device = Device::reference();
    let outputs = (case.run)(&operands(case, &device));
    match outputs.iter().any(|y| !y.host_steps().is_empty()) {
        true => "reference, cpu, gpu; a host step",
        false => "reference, cpu, gpu",
    }
}

fn function_table() -> String {
    let expected = json("expected.json");
    let (mut by_name, mut graded): (BTreeMap<&str, Vec<Case>>, BTreeSet<&str>) = Default::default();
    for case in cases() {
        let key = format!("{}|{}|{}", case.name, case.torch, case.inputs);
        if expected.get(&key).is_some_and(|e| e.get("grad").is_some()) {
            graded.insert(case.name);
        }
        by_name.entry(case.name).or_default().push(case);
    }
    let mut out = String::from(
        "# Functions of tensors\n\nRenewed by `WGRAD_BLESS=1 cargo test -p wgrad-tests --test functions`. Dtypes are those that the function takes for its values;\nderivatives are compared with PyTorch's numbers, forward too, on every executor. Functions without these entries are\ncompared by `tests/conformance`.\n\n| function | what | asked of PyTorch | dtypes | derivative | executors |\n|---|---|---|---|---|---|\n",
    );
    for (name, doc) in functions() {
        let what = doc.replace('|', "\\|");
        let Some(list) = by_name.get(name.as_str()) else {
            let _ = writeln!(out, "| `{name}` | {what} | | | | |");
            continue;
        };
        let case = &list[0];
        let derivative = if graded.contains(name.as_str()) {
            "PyTorch's"
        } else {
            "none"
        };
        let _ = writeln!(
            out,
            "| `{name}` | {what} | `{}` | {} | {derivative} | {} |",
            case.torch.replace('|', "\\|"),
            dtypes(case).join(", "),
            executors(case)
        );
    }
    out
}

/// Whether a name fits a pattern with `*` at its ends.
fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.split_whitespace()
        .filter_map(|p| p.split_once('='))
        .collect()
}

/// PyTorch's table, the names that count, and those covered.
fn torch_table() -> (String, usize, usize, Vec<String>) {
    let declared = declared();
    let (aliases, layers) = (pairs(ALIASES), pairs(LAYERS));
    let (mut covered, mut missing, mut unexplained) = (String::new(), String::new(), Vec::new());
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut count, mut there) = (0, 0);
    for (name, kinds) in json("names.json") {
        let places: Vec<&str> = kinds
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let callable = kinds
            .as_object()
            .unwrap()
            .values()
            .any(|k| k == &Value::from("call"));
        let property = [
            "T", "mT", "H", "mH", "ndim", "shape", "dtype", "device", "itemsize", "nbytes",
        ];
        let group = GROUPS
            .iter()
            .find(|(_, list)| list.split_whitespace().any(|p| fits(p, &name)));
        let own = declared.contains(&name);
        let target = aliases
            .get(name.as_str())
            .or_else(|| layers.get(name.as_str()))
            .filter(|t| declared.contains(**t) || ["clone", "pos"].contains(*t));
        let reason = MISSING.iter().find(|(n, _)| *n == name);
        if let (Some((title, _)), None, false) = (group, target, own) {
            groups.entry(title).or_default().push(name);
        } else if !callable && !property.contains(&name.as_str()) {
            groups
                .entry("no functions: modules, types, dtypes and constants")
                .or_default()
                .push(name);
        } else if own || target.is_some() {
            (count, there) = (count + 1, there + 1);
            let ours = target.map_or(name.as_str(), |t| t);
            let _ = writeln!(covered, "| `{name}` | {} | `{ours}` |", places.join(", "));
        } else {
            count += 1;
            let why = match (reason, layers.get(name.as_str())) {
                (Some((_, why)), _) => (*why).to_owned(),
                (None, Some(layer)) => format!("a layer, `nn::{layer}`, not yet there"),
                _ => {
                    unexplained.push(name.clone());
                    continue;
                }
            };
            let _ = writeln!(missing, "| `{name}` | {} | {why} |", places.join(", "));
        }
    }
    let mut out = format!(
        "# PyTorch's functions\n\nRenewed by `WGRAD_BLESS=1 cargo test -p wgrad-tests --test functions`, from the public names of `torch`, `torch.Tensor` and\n`torch.nn.functional` 2.15 by `dir()`. {there} of {count} functions are there.\n\n## Missing\n\n| name | in | why |\n|---|---|---|\n{missing}\n## There\n\n| name | in | here |\n|---|---|---|\n{covered}\n## Not counted\n\n"
    );
    for (title, list) in groups {
        let _ = writeln!(out, "- {title}: {}", list.join(", "));
    }
    (out, count, there, unexplained)
}

fn renewed(name: &str, now: &str) {
    let path = root().join("docs").join(name);
    if std::env::var("WGRAD_BLESS").is_ok_and(|v| v == "1") {
        std::fs::write(&path, now).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == now,
        "docs/{name} is out of date: run with WGRAD_BLESS=1"
    );
}

#[test]
fn the_table_of_functions_is_up_to_date() {
    renewed("functions.md", &function_table());
}

#[test]
fn the_table_of_pytorchs_names_is_up_to_date_and_nine_tenths_are_there() {
    let (text, count, there, unexplained) = torch_table();
    assert!(
        unexplained.is_empty(),
        "neither there nor explained: {}",
        unexplained.join(" ")
    );
    assert!(there * 10 >= count * 9, "{there} of {count}");
    renewed("pytorch.md", &text);
}
