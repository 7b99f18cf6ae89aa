//! The WGSL half of the elementary functions: `w_<name>`, in `math/*.wgsl`.
//!
//! A kernel takes the functions that it calls, with what they depend on, by [`prelude`]. The Rust twins
//! (`wgrad_graph::math`) hold the same operations in the same order; error bounds stand there and in the
//! headers of the WGSL files. Every file is a sequence of `fn`, `const` and `struct` items that begin in
//! column 0; a comment belongs to the item that follows it and is left out of the prelude.

use std::collections::BTreeSet;

const FILES: [&str; 8] = [
    include_str!("math/bits.wgsl"),
    include_str!("math/random.wgsl"),
    include_str!("math/exp.wgsl"),
    include_str!("math/pow.wgsl"),
    include_str!("math/trig.wgsl"),
    include_str!("math/hyper.wgsl"),
    include_str!("math/erf.wgsl"),
    include_str!("math/gamma.wgsl"),
];

const BUILTIN: &str = include_str!("math/builtin.wgsl");

/// A name that no WGSL item here has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no function `{0}` among the WGSL elementary functions")]
pub struct UnknownFunction(pub String);

struct Item {
    name: &'static str,
    function: bool,
    text: String,
    /// Places in [`items`] of the items named in the text, ascending, itself left out.
    needs: Vec<usize>,
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
}

/// The keyword and name of the item that a line opens.
fn opens(line: &'static str) -> Option<(bool, &'static str)> {
    let (keyword, rest) = line.split_once(' ')?;
    let name = identifiers(rest).next()?;
    matches!(keyword, "fn" | "const" | "struct").then_some((keyword == "fn", name))
}

fn parse() -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for line in FILES.iter().flat_map(|file| file.lines()) {
        let code = line.split("//").next().unwrap_or_default().trim_end();
        if let Some((function, name)) = opens(line) {
            items.push(Item {
                name,
                function,
                text: String::new(),
                needs: Vec::new(),
            });
        }
        if let Some(item) = items.last_mut().filter(|_| !code.is_empty()) {
            item.text.push_str(code);
            item.text.push('\n');
        }
    }
    let names: Vec<_> = items.iter().map(|item| item.name).collect();
    for (ix, item) in items.iter_mut().enumerate() {
        let used: BTreeSet<_> = identifiers(&item.text).collect();
        item.needs = (0..names.len())
            .filter(|&n| n != ix && used.contains(names[n]))
            .collect();
    }
    items
}

fn items() -> &'static [Item] {
    static ITEMS: std::sync::OnceLock<Vec<Item>> = std::sync::OnceLock::new();
    ITEMS.get_or_init(parse)
}

/// Emits an item after everything it needs. WGSL has no recursion, so this ends.
fn emit(ix: usize, done: &mut BTreeSet<usize>, source: &mut String) {
    if done.insert(ix) {
        let item = &items()[ix];
        for &need in &item.needs {
            emit(need, done, source);
        }
        source.push_str(&item.text);
    }
}

/// The source of the named functions (`w_exp`, …) and all they depend on, each item once, dependencies
/// first. The text depends on the set of names alone, not on their order or repetition.
///
/// # Errors
/// [`UnknownFunction`] for a name that is not here.
pub fn prelude(names: &[&str]) -> Result<String, UnknownFunction> {
    let wanted: Result<BTreeSet<usize>, _> = names
        .iter()
        .map(|name| {
            let found = items().iter().position(|item| item.name == *name);
            found.ok_or_else(|| UnknownFunction((*name).to_owned()))
        })
        .collect();
    let (mut done, mut source) = (BTreeSet::new(), String::new());
    for ix in wanted? {
        emit(ix, &mut done, &mut source);
    }
    Ok(source)
}

/// `text` with the functions that widen halves by the built-in, where it has them. For devices on which that gives the same
/// numbers.
pub fn with_builtin_halves(text: &str) -> String {
    let mut text = text.to_owned();
    for item in BUILTIN.split("\n\n").filter(|item| item.starts_with("fn ")) {
        let (head, _) = item.split_once('\n').unwrap_or_default();
        if let Some(begin) = text.find(head) {
            let end = text[begin..]
                .find("\n}\n")
                .map_or(text.len(), |n| begin + n + 3);
            text.replace_range(begin..end, &format!("{}\n", item.trim_end()));
        }
    }
    text
}

/// The source of everything.
pub fn all() -> String {
    let (mut done, mut source) = (BTreeSet::new(), String::new());
    for ix in 0..items().len() {
        emit(ix, &mut done, &mut source);
    }
    source
}

/// The names of all functions, helpers included, in the order of the files.
pub fn names() -> impl Iterator<Item = &'static str> {
    items()
        .iter()
        .filter(|item| item.function)
        .map(|item| item.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(source: &str) {
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
        let mut validator = naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            // Of `unpack2x16float`, which every WebGPU device has.
            naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        );
        validator
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
    }

    #[test]
    fn everything_is_valid() {
        validate(&all());
    }

    #[test]
    fn halves_are_widened_by_the_builtin_where_they_are_widened() {
        let text = prelude(&["w_f16_high_to_f32", "w_exp"]).expect("known functions");
        let other = with_builtin_halves(&text);
        validate(&other);
        assert_eq!(other.matches("unpack2x16float").count(), 2);
        assert!(!other.contains("5.9604645e-8"));
        assert_eq!(with_builtin_halves(&other), other);
        let none = prelude(&["w_exp"]).expect("a known function");
        assert_eq!(with_builtin_halves(&none), none);
    }

    #[test]
    fn each_function_is_valid_with_only_its_dependencies() {
        assert!(names().count() > 50);
        for name in names() {
            let source = prelude(&[name]).expect("a listed name");
            assert_eq!(source.matches(&format!("fn {name}(")).count(), 1);
            validate(&source);
        }
    }

    #[test]
    fn a_prelude_carries_no_more_than_it_needs() {
        let source = prelude(&["w_exp", "w_floor", "w_exp"]).expect("known names");
        assert_eq!(source, prelude(&["w_floor", "w_exp"]).expect("known names"));
        assert!(source.contains("fn w_expm1_poly(") && source.contains("const W_LN2_HI"));
        assert!(!source.contains("w_log") && !source.contains("w_sin") && !source.contains("//"));
        assert_eq!(prelude(&[]), Ok(String::new()));
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(
            prelude(&["w_exp", "w_nothing"]),
            Err(UnknownFunction("w_nothing".into()))
        );
    }
}
