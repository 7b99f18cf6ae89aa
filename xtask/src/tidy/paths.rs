//! The paths that a Rust file names, from its code without comments and literals: those of `use`, and those that begin
//! with `crate`, `super` or `self` anywhere. It must not know what they lead to.

use std::ops::Range;

/// A path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    /// What a `use` calls it here.
    pub(super) name: Option<String>,
    /// Counted from 0.
    pub(super) line: usize,
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where `word` stands in `code` by itself.
fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
        })
}

/// The end of the block that opens at or after `at`.
fn block_end(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (ix, letter) in code[at..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + ix + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Modules that are declared in a file or stand in it: name, whether for tests only, and the block, if it has one here.
fn modules(code: &str) -> Vec<(&str, bool, Option<Range<usize>>)> {
    let of = |at: usize| {
        let rest = code[at + 3..].trim_start();
        let name = &rest[..rest.find(|letter| !is_word(letter))?];
        let after = rest[name.len()..].trim_start();
        let block = match after.chars().next()? {
            ';' => None,
            '{' => Some(at..block_end(code, at)),
            _ => return None,
        };
        // Attributes stand on the lines before.
        let before = code[..at].trim_end_matches(|letter| letter != '\n');
        let mut attributes = before.lines().rev().map(str::trim);
        let is_test = attributes
            .by_ref()
            .take_while(|line| line.starts_with("#["))
            .any(|line| line.starts_with("#[cfg(test") || line.starts_with("#[cfg(all(test"));
        (!name.is_empty()).then_some((name, is_test, block))
    };
    words(code, "mod").filter_map(of).collect()
}

/// The modules in files of their own that are there for tests only.
pub(super) fn test_modules(code: &str) -> Vec<String> {
    let all = modules(code).into_iter();
    all.filter(|(_, is_test, block)| *is_test && block.is_none())
        .map(|(name, ..)| name.to_owned())
        .collect()
}

/// `code` with the blocks of its tests blanked.
pub(super) fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (_, is_test, block) in modules(code) {
        for byte in block.filter(|_| is_test).into_iter().flatten() {
            if bytes[byte] != b'\n' {
                bytes[byte] = b' ';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All paths of a file.
pub(super) fn paths(code: &str) -> Vec<Path> {
    let inline: Vec<Range<usize>> = modules(code).into_iter().filter_map(|m| m.2).collect();
    let mut found = Vec::new();
    let mut seen: Vec<Range<usize>> = Vec::new();
    for at in words(code, "use") {
        let mut reader = Reader { code, at: at + 3 };
        let mut list = Vec::new();
        reader.tree(&mut Vec::new(), &mut list);
        seen.push(at..reader.at);
        found.extend(
            list.into_iter()
                .map(|(segments, name)| (at, segments, name)),
        );
    }
    for word in ["crate", "super", "self"] {
        for at in words(code, word) {
            let is_path = code[at + word.len()..].starts_with("::");
            let goes_on = code[..at].ends_with("::") || code[..at].ends_with('$');
            if is_path && !goes_on && !seen.iter().any(|range| range.contains(&at)) {
                let mut list = Vec::new();
                Reader { code, at }.tree(&mut Vec::new(), &mut list);
                found.extend(list.into_iter().map(|(segments, _)| (at, segments, None)));
            }
        }
    }
    let whole = |(at, mut segments, name): (usize, Vec<String>, Option<String>)| {
        let depth = inline.iter().filter(|block| block.contains(&at)).count();
        let ups = segments.iter().take_while(|s| *s == "super").count();
        // Modules that stand in this file are this module; their children have no file.
        segments.drain(..ups.min(depth));
        let is_outside = match segments.first().map(String::as_str) {
            Some("crate") => true,
            Some("super") => ups > depth,
            _ => depth == 0,
        };
        let line = code[..at].matches('\n').count();
        let name = name.filter(|_| depth == 0);
        is_outside.then_some(Path {
            segments,
            name,
            line,
        })
    };
    found.into_iter().filter_map(whole).collect()
}

/// Reads a path, or a tree of them.
struct Reader<'c> {
    code: &'c str,
    at: usize,
}

impl<'c> Reader<'c> {
    fn rest(&self) -> &'c str {
        &self.code[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn takes(&mut self, what: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(what);
        if there {
            self.at += what.len();
        }
        there
    }

    fn word(&mut self) -> &'c str {
        self.blanks();
        let rest = self.rest();
        let word = &rest[..rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// Adds the paths from here on, each behind `before`, and what each is called.
    fn tree(&mut self, before: &mut Vec<String>, list: &mut Vec<(Vec<String>, Option<String>)>) {
        let length = before.len();
        loop {
            if self.takes("{") {
                while !self.takes("}") && !self.rest().is_empty() {
                    let at = self.at;
                    self.tree(before, list);
                    self.takes(",");
                    // Whatever is no path.
                    if self.at == at {
                        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
                    }
                }
                break;
            }
            let word = self.word();
            let is_itself = word == "self" && !before.is_empty();
            if !word.is_empty() && !is_itself {
                before.push(word.to_owned());
            }
            let goes_on = !word.is_empty() && self.rest().starts_with("::");
            if goes_on {
                self.at += 2;
                continue;
            }
            if before.is_empty() {
                break;
            }
            let (at, is_glob) = (self.at, self.takes("*"));
            let alias = match !is_glob && self.word() == "as" {
                true => Some(self.word().to_owned()),
                false => {
                    self.at = at + usize::from(is_glob);
                    None
                }
            };
            let name = alias
                .or_else(|| before.last().cloned())
                .filter(|_| !is_glob);
            list.push((before.clone(), name));
            break;
        }
        before.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str) -> Vec<String> {
        let show = |path: Path| match path.name {
            Some(name) => format!("{} as {name}", path.segments.join("::")),
            None => path.segments.join("::"),
        };
        paths(code).into_iter().map(show).collect()
    }

    #[test]
    fn trees_of_paths_are_read() {
        assert_eq!(
            shown("pub use a::{b::C, d::{self, E as F}, g::*};\nuse h;\n"),
            [
                "a::b::C as C",
                "a::d as d",
                "a::d::E as F",
                "a::g",
                "h as h"
            ]
        );
        assert_eq!(
            shown("pub(crate) fn f(x: &crate::a::B<super::C>) { self::d::<u8>(); user(); }"),
            ["crate::a::B", "super::C", "self::d"]
        );
        assert_eq!(shown("$crate::a!(); x.self_; crate_::b();"), [""; 0]);
    }

    #[test]
    fn what_stands_in_this_file_is_this_module() {
        let code =
            "mod a {\n use super::B;\n use super::super::C;\n use crate::D;\n use e::F;\n}\n";
        assert_eq!(shown(code), ["super::C", "crate::D"]);
        assert_eq!(paths(code)[1].line, 3);
    }

    #[test]
    fn tests_are_left_out() {
        let code = "#[cfg(test)]\n#[rustfmt::skip]\nmod a;\nmod b;\n#[cfg(all(test, unix))]\nmod c { use crate::d; }\nuse crate::e;\n";
        assert_eq!(test_modules(code), ["a"]);
        assert_eq!(shown(&without_tests(code)), ["crate::e as e"]);
        assert_eq!(without_tests(code).len(), code.len());
    }
}
