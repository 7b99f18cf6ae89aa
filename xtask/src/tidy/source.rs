//! The files that tidy looks at, each with its text and, for Rust, the same text with comments and literals
//! blanked, so that rules about code do not stumble over words. It must hold no rule.

use std::path::Path;

/// The folders with the project's own files.
const FOLDERS: [&str; 8] = [
    "crates", "shaders", "examples", "tests", "benches", "xtask", "docs", ".ci",
];
const ENDINGS: [&str; 8] = ["rs", "wgsl", "md", "toml", "js", "html", "sh", "py"];

/// One file.
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with comments, strings and characters blanked; line breaks stay. Equal to `text` but for Rust.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            blank(text)
        } else {
            text.to_owned()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    pub(crate) fn is(&self, ending: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, own)| own == ending)
    }

    /// The place of the line at `ix`, counted from 0.
    pub(crate) fn at(&self, ix: usize) -> String {
        format!("{}:{}", self.path, ix + 1)
    }
}

/// Reads every file of the project below `root`, in the order of their paths.
pub(crate) fn collect(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        walk(root, folder, &mut sources)?;
    }
    for name in names(root)? {
        if is_ours(&name) && root.join(&name).is_file() {
            sources.push(read(root, &name)?);
        }
    }
    Ok(sources)
}

fn walk(root: &Path, folder: &str, sources: &mut Vec<Source>) -> Result<(), String> {
    if !root.join(folder).is_dir() {
        return Ok(());
    }
    for name in names(&root.join(folder))? {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(root, &path, sources)?;
            }
        } else if is_ours(&name) || folder == ".ci" {
            sources.push(read(root, &path)?);
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(at)?;
    let names: Result<Vec<_>, _> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect();
    let mut names = names.map_err(at)?;
    names.sort();
    Ok(names)
}

fn is_ours(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

fn read(root: &Path, path: &str) -> Result<Source, String> {
    let text =
        std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
    Ok(Source::new(path, &text))
}

/// Replaces Rust's comments, strings and characters by spaces, byte for byte, and keeps line breaks.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut ix = 0;
    while ix < bytes.len() {
        let length = literal_length(bytes, ix);
        let end = (ix + length).min(bytes.len());
        for byte in &mut out[ix..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        ix = end.max(ix + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The length of the comment or literal that begins at `ix`; 0 where none does.
fn literal_length(bytes: &[u8], ix: usize) -> usize {
    let rest = &bytes[ix..];
    let in_word = ix > 0 && (bytes[ix - 1].is_ascii_alphanumeric() || bytes[ix - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => rest
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => quoted_length(rest, b'"'),
        [b'\'', ..] => character_length(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_length(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !in_word => raw_length(rest, 2),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut ix) = (0, 0);
    while ix < rest.len() {
        match &rest[ix..] {
            [b'/', b'*', ..] => (depth, ix) = (depth + 1, ix + 2),
            [b'*', b'/', ..] => (depth, ix) = (depth - 1, ix + 2),
            _ => ix += 1,
        }
        if depth == 0 {
            return ix;
        }
    }
    rest.len()
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut ix = 1;
    while ix < rest.len() {
        match rest[ix] {
            b'\\' => ix += 2,
            byte if byte == quote => return ix + 1,
            _ => ix += 1,
        }
    }
    rest.len()
}

/// A quote opens a character if it is escaped or closed after one letter; else it is a lifetime's.
fn character_length(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted_length(rest, b'\'');
    }
    let letter = rest.get(1).map_or(1, |&byte| match byte {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    });
    if rest.get(1 + letter) == Some(&b'\'') {
        letter + 2
    } else {
        0
    }
}

/// `prefix` letters, then hashes, a quote, the text, a quote and as many hashes. 0 for a raw identifier.
fn raw_length(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let open = prefix + hashes + 1;
    let end = rest[open..]
        .windows(close.len())
        .position(|window| window == close);
    end.map_or(rest.len(), |end| open + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let blanked = |text: &str| blank(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(blanked("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(
            blanked(r#"a("b \" c", 'd', '\'', 'é', e)"#),
            "a( , , , , e)"
        );
        assert_eq!(
            blanked("fn f<'a>(x: &'a str) {}"),
            "fn f<'a>(x: &'a str) {}"
        );
        assert_eq!(blanked(r###"r#"a " b"# c br"d" r#type"###), "c r#type");
        assert_eq!(blanked("\"never closed"), "");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "a\n\"b\nc\"\n/* d\n*/ e\n";
        assert_eq!(blank(text).lines().count(), text.lines().count());
        assert_eq!(blank(text).len(), text.len());
    }

    #[test]
    fn the_projects_own_files_are_collected() {
        let root = std::env::temp_dir().join(format!("wgrad-xtask-source-{}", std::process::id()));
        for folder in ["crates/a/src", "crates/a/target", ".ci", ".git"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "crates/a/src/lib.rs",
            "crates/a/target/x.rs",
            "crates/a/logo.png",
            ".ci/run",
            ".git/y.rs",
            "README.md",
        ] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let paths: Vec<String> = collect(&root)
            .unwrap()
            .into_iter()
            .map(|source| source.path)
            .collect();
        assert_eq!(paths, ["crates/a/src/lib.rs", ".ci/run", "README.md"]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
