//! JSON values as people read them. Must not parse.

use serde_json::Value;

/// A JSON value for people: texts without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
