//! Pieces of HTML from untrusted text. Must not know what a page shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) use wgrad_plot::escape;

/// Text that is longer is cut: nobody reads it.
const LONGEST: usize = 2000;

/// `<name>content</name>`; the content is HTML already.
pub(super) fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// Text of files, escaped, and cut where it is very long.
pub(super) fn text(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => escape(text),
        Some((at, _)) => escape(&text[..at]) + "…",
    }
}

/// A table. `right` tells the columns of numbers.
pub(super) fn table(columns: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    let cell = |tag: &str, at: usize, content: &str| {
        let kind = if right.get(at) == Some(&true) {
            "n"
        } else {
            "wrap"
        };
        format!("<{tag} class={kind}>{}</{tag}>", text(content))
    };
    let head: String = columns
        .iter()
        .enumerate()
        .map(|(at, column)| cell("th", at, column))
        .collect();
    let row = |row: &Vec<String>| -> String {
        element(
            "tr",
            &row.iter()
                .enumerate()
                .map(|(at, content)| cell("td", at, content))
                .collect::<String>(),
        )
    };
    let rows: String = rows.iter().map(row).collect();
    let head = if columns.is_empty() {
        String::new()
    } else {
        element("tr", &head)
    };
    format!("<div class=scroll><table>{head}{rows}</table></div>")
}

/// A figure as an image: nothing in it is run, whatever it holds, and it follows the page's light or dark.
pub(super) fn image(svg: &str, title: &str) -> String {
    let uri = STANDARD.encode(svg);
    format!(
        "<img alt=\"{}\" src=\"data:image/svg+xml;base64,{uri}\">",
        text(title)
    )
}

/// JSON that no HTML parser takes for the end of its element.
pub(super) fn json_in_html(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // All of these stand within strings only.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", letter as u32))
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_element() {
        let value = Value::from("</script><!--\u{2028}&");
        let text = json_in_html(&value);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
