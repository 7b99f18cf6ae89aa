//! Metrics as JSON lines: one object a line, one line an event, `event` its first key.
//!
//! ```text
//! {"event":"step","step":1,"loss":2.3025851}
//! {"event":"epoch","epoch":1,"step":938,"train_loss":0.31,"train_accuracy":0.91,…}
//! {"event":"end","test_accuracy":0.9921,"samples_per_second":81000.0,"device":"…","data":"…"}
//! ```
//!
//! An f32 is written with the fewest digits that read back, as f32, to the same bits. JSON has no
//! NaN and no infinity: such a value is `null`, and a second key, the first one with `_text`
//! appended, says which: `"loss":null,"loss_text":"NaN"` (or `"inf"`, `"-inf"`). A value that was
//! not measured has no key. Lines are buffered until an epoch or the end; a run that is killed may
//! leave half a line, which [`MetricsWriter::append`] removes.
//!
//! Must not decide what is measured, or when.

#[cfg(not(target_arch = "wasm32"))]
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
#[cfg(not(target_arch = "wasm32"))]
use std::io::{Read, Seek, SeekFrom};
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

/// A failed operation on a log: where it goes, what was being done, and the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("metrics log {target}: cannot {action}: {source}")]
pub struct LogError {
    /// The file's path or the stream's name.
    pub target: String,
    /// What was being done, as a verb phrase.
    pub action: &'static str,
    /// The system's reason.
    pub source: io::Error,
}

/// A value in an event.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Field<'a> {
    /// A float; see the module's page for how it is written.
    F32(f32),
    /// A float.
    F64(f64),
    /// A count.
    U64(u64),
    /// A flag.
    Bool(bool),
    /// Text.
    Text(&'a str),
}

/// What is known at the end of an epoch. Fractions are 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done since the beginning of training.
    pub step: u64,
    /// Mean loss on the training set.
    pub train_loss: Option<f32>,
    /// Fraction of the training set that was right.
    pub train_accuracy: Option<f64>,
    /// Mean loss on the test set.
    pub test_loss: Option<f32>,
    /// Fraction of the test set that was right.
    pub test_accuracy: Option<f64>,
    /// Wall time of the epoch.
    pub seconds: f64,
}

/// What is known at the end of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndRecord {
    /// Fraction of the test set that was right, 0 to 1.
    pub test_accuracy: Option<f64>,
    /// Training throughput.
    pub samples_per_second: f64,
    /// Wall time of the run.
    pub seconds: f64,
    /// The device's name.
    pub device: String,
    /// The dataset's name.
    pub data: String,
}

/// Writes events to a file or a stream.
pub struct MetricsWriter {
    out: BufWriter<Box<dyn Write + Send>>,
    target: String,
}

impl std::fmt::Debug for MetricsWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsWriter")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl MetricsWriter {
    /// A new file at `path`; an old one is emptied.
    ///
    /// # Errors
    /// The file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn create(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let target = path.as_ref().display().to_string();
        let file = File::create(path).map_err(failed(&target, "create it"))?;
        Ok(Self::new(file, target))
    }

    /// Continues the file at `path`, or makes it. A last line without its newline was cut off by a
    /// crash and is removed.
    ///
    /// # Errors
    /// The file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn append(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let target = path.as_ref().display().to_string();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed(&target, "open it"))?;
        remove_partial_line(&mut file)
            .map_err(failed(&target, "remove its unfinished last line"))?;
        Ok(Self::new(file, target))
    }

    /// Continues the file at `path` after `step`, or makes it: from the first line of a later step, or of an end, on
    /// it is cut off, for a run that was killed after its last checkpoint writes those again.
    ///
    /// # Errors
    /// The file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn resume(path: impl AsRef<Path>, step: u64) -> Result<Self, LogError> {
        let target = path.as_ref().display().to_string();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed(&target, "open it"))?;
        cut_after_step(&mut file, step).map_err(failed(&target, "cut off its later steps"))?;
        Ok(Self::new(file, target))
    }

    /// Standard output.
    pub fn stdout() -> Self {
        Self::new(io::stdout(), "standard output")
    }

    /// Any writer; `target` names it in errors.
    pub fn new(out: impl Write + Send + 'static, target: impl Into<String>) -> Self {
        Self {
            out: BufWriter::new(Box::new(out)),
            target: target.into(),
        }
    }

    /// A training step, counted from 1, and its loss.
    ///
    /// # Errors
    /// The writer's, when a full buffer is passed on.
    pub fn step(&mut self, step: u64, loss: f32) -> Result<(), LogError> {
        self.event(
            "step",
            &[("step", Field::U64(step)), ("loss", Field::F32(loss))],
        )
    }

    /// The end of an epoch; everything so far is flushed.
    ///
    /// # Errors
    /// The writer's.
    pub fn epoch(&mut self, record: &EpochRecord) -> Result<(), LogError> {
        let mut fields = vec![
            ("epoch", Field::U64(record.epoch)),
            ("step", Field::U64(record.step)),
        ];
        fields.extend(
            record
                .train_loss
                .map(|loss| ("train_loss", Field::F32(loss))),
        );
        fields.extend(
            record
                .train_accuracy
                .map(|value| ("train_accuracy", Field::F64(value))),
        );
        fields.extend(record.test_loss.map(|loss| ("test_loss", Field::F32(loss))));
        fields.extend(
            record
                .test_accuracy
                .map(|value| ("test_accuracy", Field::F64(value))),
        );
        fields.push(("seconds", Field::F64(record.seconds)));
        self.event("epoch", &fields)?;
        self.flush()
    }

    /// The end of the run; everything is flushed.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(&mut self, record: &EndRecord) -> Result<(), LogError> {
        let mut fields: Vec<_> = record
            .test_accuracy
            .map(|value| ("test_accuracy", Field::F64(value)))
            .into_iter()
            .collect();
        fields.push(("samples_per_second", Field::F64(record.samples_per_second)));
        fields.push(("seconds", Field::F64(record.seconds)));
        fields.push(("device", Field::Text(&record.device)));
        fields.push(("data", Field::Text(&record.data)));
        self.event("end", &fields)?;
        self.flush()
    }

    /// An event of the caller's own.
    ///
    /// # Errors
    /// The writer's, when a full buffer is passed on.
    pub fn event(&mut self, event: &str, fields: &[(&str, Field<'_>)]) -> Result<(), LogError> {
        let line = line(event, fields);
        self.out
            .write_all(line.as_bytes())
            .map_err(failed(&self.target, "write"))
    }

    /// Passes everything on.
    ///
    /// # Errors
    /// The writer's.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.out.flush().map_err(failed(&self.target, "flush"))
    }
}

fn failed<'a>(target: &'a str, action: &'static str) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| LogError {
        target: target.to_owned(),
        action,
        source,
    }
}

pub(crate) fn line(event: &str, fields: &[(&str, Field<'_>)]) -> String {
    let mut line = format!("{{\"event\":{}", text(event));
    for &(key, field) in fields {
        line.push_str(&format!(",{}:{}", text(key), value(field)));
        if let Some(name) = not_finite(field) {
            line.push_str(&format!(",{}:\"{name}\"", text(&format!("{key}_text"))));
        }
    }
    line.push_str("}\n");
    line
}

fn value(field: Field<'_>) -> String {
    if not_finite(field).is_some() {
        return "null".to_owned();
    }
    match field {
        // `{:?}` is the shortest form that reads back, with an exponent where that is shorter.
        Field::F32(value) => format!("{value:?}"),
        Field::F64(value) => format!("{value:?}"),
        Field::U64(value) => value.to_string(),
        Field::Bool(value) => value.to_string(),
        Field::Text(value) => text(value),
    }
}

fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn not_finite(field: Field<'_>) -> Option<String> {
    match field {
        Field::F32(value) if !value.is_finite() => Some(value.to_string()),
        Field::F64(value) if !value.is_finite() => Some(value.to_string()),
        _ => None,
    }
}

/// Cuts the file after its last newline and leaves the cursor there.
#[cfg(not(target_arch = "wasm32"))]
fn remove_partial_line(file: &mut File) -> io::Result<()> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(())
}

/// The length of the file's lines up to the first that is unfinished or belongs to what comes after `step`, or after so many
/// epochs: an epoch's line stands after the last step, at which a checkpoint may have been written before it.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn earlier_lines(file: &mut File, step: u64, epochs: u64) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let earlier = |line: &&[u8]| {
        let event: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        line.ends_with(b"\n")
            && event.is_some_and(|e| {
                let within = |key: &str, last: u64| e[key].as_u64().is_none_or(|at| at <= last);
                e["event"] != "end" && within("step", step) && within("epoch", epochs)
            })
    };
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    Ok(lines.take_while(earlier).map(<[u8]>::len).sum::<usize>() as u64)
}

/// Cuts the file before the first line that is unfinished or belongs to what comes after `step`.
#[cfg(not(target_arch = "wasm32"))]
fn cut_after_step(file: &mut File, step: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let earlier = |line: &&[u8]| {
        let event: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        line.ends_with(b"\n")
            && event.is_some_and(|e| {
                e["event"] != "end" && e["step"].as_u64().is_none_or(|s| s <= step)
            })
    };
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let end = lines.take_while(earlier).map(<[u8]>::len).sum::<usize>() as u64;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn resuming_cuts_off_what_comes_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsWriter::create(&path).expect("a log");
        for step in 1..=7 {
            log.step(step, step as f32).expect("a line");
        }
        log.flush().expect("flushed");
        let mut torn = std::fs::read(&path).expect("lines");
        torn.truncate(torn.len() - 5);
        std::fs::write(&path, &torn).expect("written");
        let mut log = MetricsWriter::resume(&path, 5).expect("resumed");
        log.step(6, 6.5).expect("a line");
        drop(log);
        let steps = |text: &str| -> Vec<f64> {
            let all = parse(text);
            all.iter().filter_map(|e| e["loss"].as_f64()).collect()
        };
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(steps(&text), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
        drop(MetricsWriter::resume(&path, 100).expect("resumed"));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
    }

    fn parse(text: &str) -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn events_are_json_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.jsonl");
        let mut log = MetricsWriter::create(&path).unwrap();
        log.step(1, 0.1).unwrap();
        log.epoch(&EpochRecord {
            epoch: 1,
            step: 1,
            test_accuracy: Some(0.5),
            ..EpochRecord::default()
        })
        .unwrap();
        // The epoch flushed: a reader sees both lines while the log is open.
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"event":"step","step":1,"loss":0.1}"#
        );
        let lines = parse(&text);
        assert_eq!(lines[1]["test_accuracy"], 0.5);
        assert!(lines[1].get("train_loss").is_none());
        let device = "GPU \"x\"\n".to_owned();
        log.end(&EndRecord {
            device: device.clone(),
            data: "mnist".to_owned(),
            ..EndRecord::default()
        })
        .unwrap();
        let lines = parse(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["event"], "end");
        assert_eq!(lines[2]["device"], device);
        assert_eq!(lines[2]["samples_per_second"], 0.0);
    }

    #[test]
    fn values_that_json_lacks() {
        let fields = [
            ("loss", Field::F32(f32::NAN)),
            ("low", Field::F64(f64::NEG_INFINITY)),
            ("high", Field::F32(f32::INFINITY)),
            ("fine", Field::Bool(true)),
        ];
        let parsed = &parse(&line("x", &fields))[0];
        assert!(parsed["loss"].is_null() && parsed["low"].is_null());
        assert_eq!(
            (&parsed["loss_text"], &parsed["low_text"]),
            (&Value::from("NaN"), &Value::from("-inf"))
        );
        assert_eq!(parsed["high_text"], "inf");
        assert_eq!(parsed["fine"], true);
        assert!(parsed.get("fine_text").is_none());
    }

    #[test]
    fn appending_removes_half_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.jsonl");
        let whole = format!("{{\"event\":\"x\",\"text\":\"{}\"}}\n", "y".repeat(5000));
        let half = "{\"event\":\"step\",\"st".repeat(500);
        for (before, kept) in [
            (format!("{whole}{half}"), whole.as_str()),
            (half, ""),
            (whole.clone(), &whole),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut log = MetricsWriter::append(&path).unwrap();
            log.step(2, 1.0).unwrap();
            drop(log);
            let expected = format!("{kept}{{\"event\":\"step\",\"step\":2,\"loss\":1.0}}\n");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
        std::fs::remove_file(&path).unwrap();
        drop(MetricsWriter::append(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn errors_name_the_target() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/log");
        let error = MetricsWriter::create(&path).unwrap_err();
        assert_eq!(error.target, path.display().to_string());
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);

        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut log = MetricsWriter::new(Full, "the disk");
        log.step(1, 1.0).unwrap();
        let error = log.flush().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("metrics log the disk: cannot flush"),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn floats_read_back_to_the_same_bits(bits in any::<u32>()) {
            let loss = f32::from_bits(bits);
            prop_assume!(loss.is_finite());
            let line = line("step", &[("loss", Field::F32(loss))]);
            let digits = line.trim_end().trim_end_matches('}').rsplit(':').next().unwrap();
            prop_assert_eq!(digits.parse::<f32>().unwrap().to_bits(), bits);
            // A reader that goes through f64, as most do, gets the same bits.
            let wide = parse(&line)[0]["loss"].as_f64().unwrap();
            prop_assert_eq!((wide as f32).to_bits(), bits);
        }
    }
}
