//! Rules about what stands in one file. Words that a rule forbids are spelt in halves here, for tidy reads its
//! own source too.

use super::Finding;
use super::source::{self, Source};

/// Longer files are two rooms that want a wall.
const MAX_LINES: usize = 600;

/// Longer functions do two things, or hold a table that wants a name.
const MAX_FN_LINES: usize = 80;

/// Products whose loop is unrolled by hand, with each accumulator in a register of its own. As arrays behind pointers the
/// accumulators would be left to each driver's compiler, and nobody has measured what those make of it.
const UNROLLED: [&str; 3] = [
    "shaders/gemm_lanes.wgsl",
    "shaders/gemm_tiled.wgsl",
    "shaders/gemm_wide.wgsl",
];

/// Every Rust and WGSL module opens with a comment that says what it is for.
pub(crate) fn header(source: &Source) -> Vec<Finding> {
    let opening = match () {
        () if source.is("rs") => "//!",
        () if source.is("wgsl") => "//",
        () => return Vec::new(),
    };
    let is_preamble = |line: &str| line.is_empty() || line.starts_with("#!");
    let first = source
        .text
        .lines()
        .map(str::trim)
        .find(|line| !is_preamble(line))
        .unwrap_or_default();
    let is_header = first
        .strip_prefix(opening)
        .is_some_and(|words| !words.trim().is_empty());
    if is_header {
        Vec::new()
    } else {
        vec![Finding::new(
            source.at(0),
            format!("does not open with a `{opening}` header"),
        )]
    }
}

/// wgpu objects are created in one module of the device crate.
pub(crate) fn creation(source: &Source) -> Vec<Finding> {
    const OBJECTS: [&str; 11] = [
        "bind_group",
        "bind_group_layout",
        "buffer",
        "buffer_init",
        "command_encoder",
        "compute_pipeline",
        "pipeline_cache",
        "pipeline_layout",
        "query_set",
        "shader_module",
        "shader_module_trusted",
    ];
    if !source.path.starts_with("crates/device/")
        || source.path == "crates/device/src/create.rs"
        || !source.is("rs")
    {
        return Vec::new();
    }
    let creates = |line: &str| {
        line.split(".create_").skip(1).any(|rest| {
            let name: String = rest.chars().take_while(|letter| is_word(*letter)).collect();
            OBJECTS.contains(&name.as_str()) && rest[name.len()..].trim_start().starts_with('(')
        })
    };
    lines_where(&source.code, creates, |ix| {
        Finding::new(source.at(ix), "creates a wgpu object outside create.rs")
    })
}

/// Only the registration in `ops/mod.rs` may match on the primitives; everything else asks their rules.
/// The device crate cannot see them: what bears the same name there is naga's.
pub(crate) fn op_match(source: &Source) -> Vec<Finding> {
    let may = ["crates/graph/src/ops/mod.rs", "crates/device/"];
    if !source.is("rs") || may.iter().any(|may| source.path.starts_with(may)) {
        return Vec::new();
    }
    // A module may have an `Op` of its own, an instruction of the CPU's programs for one.
    let own = concat!("enum O", "p");
    if words_at(&source.code, own).any(|at| !source.code[at + own.len()..].starts_with(is_word)) {
        return Vec::new();
    }
    let is_arm = |line: &str| {
        line.contains("=>")
            && words_at(line, concat!("O", "p::"))
                .next()
                .is_some_and(|at| at < line.find("=>").unwrap_or(0))
    };
    lines_where(&source.code, is_arm, |ix| {
        Finding::new(source.at(ix), "matches on primitives outside ops/mod.rs")
    })
}

/// No macro that is meant for the time of writing only.
pub(crate) fn left_over_macros(source: &Source) -> Vec<Finding> {
    const MACROS: [&str; 3] = [
        concat!("db", "g!"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
    ];
    if !source.is("rs") {
        return Vec::new();
    }
    let finding = |name: &str, ix| Finding::new(source.at(ix), format!("holds `{name}`"));
    let of = |name: &'static str| {
        lines_where(
            &source.code,
            |line| words_at(line, name).next().is_some(),
            move |ix| finding(name, ix),
        )
    };
    MACROS.into_iter().flat_map(of).collect()
}

/// No note that something is unfinished: finish it or write it down where users read.
pub(crate) fn left_over_notes(source: &Source) -> Vec<Finding> {
    const NOTES: [&str; 3] = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let is_note = |line: &str, note: &str| {
        words_at(line, note).any(|at| !line[at + note.len()..].starts_with(is_word))
    };
    let of = |note: &'static str| {
        lines_where(
            &source.text,
            |line| is_note(line, note),
            |ix| Finding::new(source.at(ix), format!("holds a `{note}`")),
        )
    };
    NOTES.into_iter().flat_map(of).collect()
}

/// No path of a machine that the project was written on. The two folders beside the checkout that hold test
/// data may be named; tests that use them say so when they are absent.
pub(crate) fn foreign_paths(source: &Source) -> Vec<Finding> {
    const OUTSIDE: &str = concat!("sha", "red/");
    const ROOT: &str = concat!("/wo", "rk");
    const ALLOWED: [&str; 2] = [
        concat!("../sha", "red/conformance"),
        concat!("../sha", "red/data"),
    ];
    let is_foreign = |line: &str| {
        let rest = ALLOWED
            .iter()
            .fold(line.to_owned(), |line, allowed| line.replace(allowed, ""));
        let quoted = rest
            .match_indices(OUTSIDE)
            .any(|(at, _)| rest[..at].ends_with(['"', '`', '\'', '/', '(']));
        let rooted = rest.match_indices(ROOT).any(|(at, _)| {
            let end = &rest[at + ROOT.len()..];
            !rest[..at].ends_with(|letter: char| is_word(letter) || ".}/-".contains(letter))
                && !end.starts_with(|letter: char| is_word(letter) || letter == '-')
        });
        quoted || rooted
    };
    lines_where(&source.text, is_foreign, |ix| {
        Finding::new(source.at(ix), "names a path outside the repository")
    })
}

/// No file of Rust or WGSL has more than [`MAX_LINES`] lines.
pub(crate) fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let is_long = lines > MAX_LINES && (source.is("rs") || source.is("wgsl"));
    is_long
        .then(|| {
            let what = format!("has {lines} lines, more than {MAX_LINES}");
            Finding::new(&source.path, what)
        })
        .into_iter()
        .collect()
}

/// No function of Rust or WGSL has more than [`MAX_FN_LINES`] lines, from its `fn` to its closing brace.
pub(crate) fn function_length(source: &Source) -> Vec<Finding> {
    if !source.is("rs") && !source.is("wgsl") {
        return Vec::new();
    }
    let code = match source.is("wgsl") {
        true => source::blank(&source.text),
        false => source.code.clone(),
    };
    let functions = words_at(&code, "fn").filter_map(|at| Function::at(&code, at));
    let long: Vec<Finding> = functions
        .filter(|function| function.lines > MAX_FN_LINES)
        .map(|Function { name, line, lines }| {
            let what = format!("`{name}` has {lines} lines, more than {MAX_FN_LINES}");
            Finding::new(source.at(line), what)
        })
        .collect();
    match (UNROLLED.contains(&source.path.as_str()), long.is_empty()) {
        (true, true) => vec![Finding::new(
            &source.path,
            "is listed as unrolled in xtask/src/tidy/text.rs, but has no long function",
        )],
        (true, false) => Vec::new(),
        (false, _) => long,
    }
}

/// A function with a body.
struct Function<'a> {
    name: &'a str,
    /// Of its `fn`, counted from 0.
    line: usize,
    lines: usize,
}

impl<'a> Function<'a> {
    /// The function whose `fn` stands at `at` of code without comments and literals, if one does.
    fn at(code: &'a str, at: usize) -> Option<Function<'a>> {
        let rest = code[at..].strip_prefix("fn")?;
        let name = rest.trim_start();
        let length = name.find(|letter| !is_word(letter)).unwrap_or(name.len());
        // A pointer's type has no name.
        if rest.starts_with(is_word) || length == 0 {
            return None;
        }
        let (mut nested, mut braces) = (0, 0);
        for (end, letter) in code[at..].char_indices() {
            match letter {
                '(' | '[' => nested += 1,
                ')' | ']' => nested -= 1,
                // A declaration.
                ';' if nested == 0 && braces == 0 => return None,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => continue,
            }
            if letter == '}' && braces == 0 && nested == 0 {
                let count = |text: &str| text.matches('\n').count();
                return Some(Function {
                    name: &name[..length],
                    line: count(&code[..at]),
                    lines: count(&code[at..at + end]) + 1,
                });
            }
        }
        None
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where `word` begins in `line` without being the end of a longer one.
fn words_at<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| !line[..at].ends_with(is_word))
}

fn lines_where(
    text: &str,
    holds: impl Fn(&str) -> bool,
    finding: impl Fn(usize) -> Finding,
) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| holds(line))
        .map(|(ix, _)| finding(ix))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        rule(&Source::new(path, text))
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_missing_header_is_found() {
        assert_eq!(places(header, "a.rs", "use b;\n//! late\n"), ["a.rs:1"]);
        assert_eq!(places(header, "a.rs", ""), ["a.rs:1"]);
        assert_eq!(places(header, "a.rs", "//!\n"), ["a.rs:1"]);
        assert_eq!(places(header, "a.wgsl", "fn main() {}\n"), ["a.wgsl:1"]);
        assert_eq!(places(header, "a.rs", "#![no_std]\n\n//! Does a.\n"), NONE);
        assert_eq!(places(header, "a.wgsl", "// Does a.\n"), NONE);
        assert_eq!(places(header, "a.md", "text"), NONE);
    }

    #[test]
    fn creation_elsewhere_is_found() {
        let text = "//! x\nlet a = device.create_buffer(&b);\n// device.create_buffer(\nself.create_buffer_view(c)\n";
        assert_eq!(
            places(creation, "crates/device/src/gpu.rs", text),
            ["crates/device/src/gpu.rs:2"]
        );
        assert_eq!(places(creation, "crates/device/src/create.rs", text), NONE);
        assert_eq!(places(creation, "crates/graph/src/lib.rs", text), NONE);
    }

    #[test]
    fn a_match_on_primitives_is_found() {
        let text = "match op {\n    Op::Add(a) => a,\n    BinaryOp::Add => b,\n    // Op::Add => c\n    x => Op::Add(x),\n}\n";
        assert_eq!(
            places(op_match, "crates/graph/src/passes/fuse.rs", text),
            ["crates/graph/src/passes/fuse.rs:2"]
        );
        assert_eq!(places(op_match, "crates/graph/src/ops/mod.rs", text), NONE);
        let own = format!("{}{text}", concat!("enum O", "p<'a> { Add(&'a str) }\n"));
        assert_eq!(
            places(op_match, "crates/graph/src/exec/program.rs", &own),
            NONE
        );
    }

    #[test]
    fn left_over_macros_are_found() {
        let text = concat!(
            "db",
            "g!(a);\nlet b = \"to",
            "do!\";\nto",
            "do!()\nmydb",
            "g!(c)\n"
        );
        assert_eq!(places(left_over_macros, "a.rs", text), ["a.rs:1", "a.rs:3"]);
    }

    #[test]
    fn left_over_notes_are_found() {
        let text = concat!(
            "// TO",
            "DO: a\n// TO",
            "DOs\n# FIX",
            "ME\n'XX",
            "X'\nXX",
            "XX\n"
        );
        assert_eq!(
            places(left_over_notes, "a.toml", text),
            ["a.toml:1", "a.toml:3", "a.toml:4"]
        );
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let text = concat!(
            "cd /wo",
            "rk/main\n",
            "a \"sha",
            "red/notes\"\n",
            "b \"../sha",
            "red/data/x\"\n",
            "c ../sha",
            "red/conformance\n",
            "d /wo",
            "rkgroup\n",
            "e a/wo",
            "rk\n",
            "f sha",
            "red/private arrays\n",
            "g `../sha",
            "red/other`\n",
        );
        assert_eq!(
            places(foreign_paths, "a.md", text),
            ["a.md:1", "a.md:2", "a.md:8"]
        );
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(
            places(length, "a.rs", &"\n".repeat(MAX_LINES + 1)),
            ["a.rs"]
        );
        assert_eq!(places(length, "a.rs", &"\n".repeat(MAX_LINES)), NONE);
        assert_eq!(places(length, "a.md", &"\n".repeat(MAX_LINES + 1)), NONE);
    }

    /// A function of `lines` lines, from `fn` on.
    fn function(head: &str, lines: usize) -> String {
        format!("{head} {{{}}}\n", "\n".repeat(lines - 1))
    }

    #[test]
    fn long_functions_are_found() {
        let (longest, longer) = (MAX_FN_LINES, MAX_FN_LINES + 1);
        let found = |path: &str, text: &str| places(function_length, path, text);
        assert_eq!(found("a.rs", &function("fn a()", longest)), NONE);
        assert_eq!(found("a.rs", &function("fn a()", longer)), ["a.rs:1"]);
        assert_eq!(found("a.wgsl", &function("fn a()", longer)), ["a.wgsl:1"]);
        assert_eq!(found("a.md", &function("fn a()", longer)), NONE);
        let method = function(
            "impl A {\n    pub(crate) unsafe fn a<T: B<[u8; 2]>>(x: [u8; 3]) -> [u8; 4]\nwhere T: C",
            longer,
        );
        assert_eq!(found("a.rs", &format!("{method}}}")), ["a.rs:2"]);
        // Inside another, both are too long; in a trait, a declaration has no length.
        let inner = format!("fn a() {{\n{}}}\n", function("fn b()", longer));
        assert_eq!(found("a.rs", &inner), ["a.rs:1", "a.rs:2"]);
        let declared = format!("trait A {{ fn a(); {} }}", function("fn b()", longest));
        assert_eq!(found("a.rs", &declared), NONE);
        // Braces in words do not count, nor do types of functions.
        let words = format!("fn a() {{ \"{{\" }}\n// fn b() {{\n{}", "\n".repeat(longer));
        assert_eq!(found("a.rs", &words), NONE);
        let pointer = format!("const A: fn(u8) -> u8 = {{{}}};", "\n".repeat(longer));
        assert_eq!(found("a.rs", &pointer), NONE);
        let finding = &function_length(&Source::new("a.rs", &function("fn long()", longer)))[0];
        assert_eq!(finding.what, "`long` has 81 lines, more than 80");
        // Exceptions are by name, and none stays that is not needed.
        assert_eq!(found(UNROLLED[0], &function("fn a()", longer)), NONE);
        assert_eq!(found(UNROLLED[0], &function("fn a()", 1)), [UNROLLED[0]]);
    }
}
