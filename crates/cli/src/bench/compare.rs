//! An earlier run's JSON lines, and how a new result stands to one of them.

use super::case::{Measured, Unit};
use crate::Result;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Medians closer than this are the same, whatever the quartiles say.
const SAME: f64 = 0.03;

/// A result of an earlier run.
#[derive(Clone, Debug, PartialEq)]
struct Before {
    value: f64,
    low: f64,
    high: f64,
    unit: String,
    device: String,
}

/// Results of an earlier run, by case.
#[derive(Debug, Default)]
pub struct Earlier(HashMap<String, Before>);

/// How a result stands to the earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Within the noise of both.
    Same,
    Better,
    Worse,
}

impl Earlier {
    /// Reads the file that `--json` wrote.
    pub fn read(path: &Path) -> Result<Earlier> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Earlier::parse(&text).map_err(|e| format!("{}: {e}", path.display()).into())
    }

    fn parse(text: &str) -> Result<Earlier> {
        let mut all = HashMap::new();
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
        {
            let value: Value =
                serde_json::from_str(line).map_err(|e| format!("line {}: {e}", number + 1))?;
            let (name, before) =
                entry(&value).ok_or_else(|| format!("line {}: no result", number + 1))?;
            all.insert(name, before);
        }
        Ok(Earlier(all))
    }

    /// How many times better the new result is (a time that halves is 2), and whether that is beyond noise: the
    /// quartiles of the two runs do not overlap. `None` for a case that the earlier run does not have in this unit.
    pub fn compare(&self, case: &str, unit: Unit, new: &Measured) -> Option<(f64, Verdict)> {
        let old = self.0.get(case).filter(|old| old.unit == unit.name())?;
        let up = new.value / old.value;
        let ratio = if unit.is_time() { 1.0 / up } else { up };
        let apart = new.low > old.high || new.high < old.low;
        let verdict = match ratio {
            _ if !apart || (ratio - 1.0).abs() < SAME => Verdict::Same,
            r if r > 1.0 => Verdict::Better,
            _ => Verdict::Worse,
        };
        Some((ratio, verdict))
    }

    /// Devices other than this one that the earlier run used.
    pub fn other_devices(&self, device: &str) -> Vec<&str> {
        let mut others: Vec<&str> = self.0.values().map(|b| b.device.as_str()).collect();
        others.retain(|other| *other != device);
        others.sort_unstable();
        others.dedup();
        others
    }
}

/// `low` and `high` may be missing, for files that other programs wrote.
fn entry(line: &Value) -> Option<(String, Before)> {
    let value = line["value"].as_f64()?;
    let before = Before {
        value,
        low: line["low"].as_f64().unwrap_or(value),
        high: line["high"].as_f64().unwrap_or(value),
        unit: line["unit"].as_str()?.to_string(),
        device: line["device"].as_str().unwrap_or_default().to_string(),
    };
    Some((line["case"].as_str()?.to_string(), before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(low: f64, value: f64, high: f64) -> Measured {
        Measured {
            value,
            low,
            high,
            note: String::new(),
        }
    }

    #[test]
    fn only_what_lies_outside_the_noise_is_marked() {
        let lines = r#"{"case":"a","value":100.0,"unit":"GB/s","device":"cpu","low":95.0,"high":105.0}
{"case":"t","value":2.0,"unit":"s","device":"cpu"}"#;
        let earlier = Earlier::parse(lines).unwrap();
        let a = |m| earlier.compare("a", Unit::Gbytes, &m).unwrap();
        assert_eq!(a(measured(85.0, 90.0, 96.0)), (0.9, Verdict::Same));
        assert_eq!(a(measured(85.0, 90.0, 94.0)), (0.9, Verdict::Worse));
        assert_eq!(a(measured(110.0, 120.0, 130.0)), (1.2, Verdict::Better));
        let t = earlier.compare("t", Unit::Seconds, &measured(0.9, 1.0, 1.1));
        assert_eq!(t, Some((2.0, Verdict::Better)));
        assert_eq!(
            earlier.compare("a", Unit::Gflops, &measured(1.0, 1.0, 1.0)),
            None
        );
        assert_eq!(earlier.other_devices("gpu"), ["cpu"]);
    }

    #[test]
    fn a_damaged_file_is_an_error_with_its_line() {
        let error = Earlier::parse("{\"case\":\"a\",\"value\":1,\"unit\":\"s\"}\n{").unwrap_err();
        assert!(error.to_string().starts_with("line 2"), "{error}");
        assert!(Earlier::parse("{\"case\":1}").is_err());
    }
}
