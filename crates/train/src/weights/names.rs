//! Patterns of names: `*` stands for any text, dots too.

/// What each `*` of `pattern` stands for in `name`, if it fits; the first ones take as little as they can.
pub(super) fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let mut rest = name.strip_prefix(first)?;
    let middle: Vec<&str> = parts.collect();
    let Some((last, inner)) = middle.split_last() else {
        return rest.is_empty().then(Vec::new);
    };
    let mut found = Vec::with_capacity(middle.len());
    for part in inner {
        let at = rest.find(part)?;
        found.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    found.push(rest.strip_suffix(last)?);
    Some(found)
}

/// `name` by the rule that what fits `from` becomes `to`, whose `*` take what those of `from` stand for, in order.
pub(super) fn renamed(name: &str, from: &str, to: &str) -> Option<String> {
    let found = captures(from, name)?;
    let mut out = String::new();
    for (i, part) in to.split('*').enumerate() {
        if i > 0 {
            out.push_str(found.get(i - 1).copied().unwrap_or(""));
        }
        out.push_str(part);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_capture_and_rename() {
        assert_eq!(captures("a.*.w", "a.b.c.w"), Some(vec!["b.c"]));
        assert_eq!(captures("*", ""), Some(vec![""]));
        assert_eq!(captures("x", "xy"), None);
        assert_eq!(captures("a*a", "a"), None);
        let rule = |name| renamed(name, "layer*.conv*.weight", "stage*.*.kernel");
        assert_eq!(
            rule("layer1.conv2.weight").as_deref(),
            Some("stage1.2.kernel")
        );
        assert_eq!(rule("layer1.bn.weight"), None);
        assert_eq!(renamed("module.a", "module.*", "*").as_deref(), Some("a"));
    }
}
