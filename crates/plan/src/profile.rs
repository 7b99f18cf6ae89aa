//! `WGRAD_PROFILE=trace.json`: a trace of everything that runs, in the form of Chrome's trace events, which Perfetto
//! (ui.perfetto.dev) opens: plans, their steps with operation names and source lines, GPU times, memory. The file is
//! whole JSON after every plan. Without the variable each hook is one load and one branch. Must not change what runs,
//! but for what measuring itself costs: a profiled GPU runs one pass for each dispatch, and is waited for.

use crate::plan::Origin;
use crate::plan::{Kernel, Step};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Rows of the trace.
const PLANS: u32 = 1;
const CPU: u32 = 2;
const GPU: u32 = 3;
const PLANNING: u32 = 4;

/// What ends the file.
const END: &str = "\n]\n";

struct Profile {
    began: Instant,
    trace: Mutex<Trace>,
}

struct Trace {
    file: File,
    /// Events that are not in the file yet.
    pending: String,
}

/// The trace that is being written, if one is.
#[inline]
fn profile() -> Option<&'static Profile> {
    static PROFILE: OnceLock<Option<Profile>> = OnceLock::new();
    PROFILE.get_or_init(open).as_ref()
}

fn open() -> Option<Profile> {
    let path = std::env::var_os("WGRAD_PROFILE").filter(|path| !path.is_empty())?;
    match File::create(&path).and_then(Trace::start) {
        Ok(trace) => Some(Profile {
            began: Instant::now(),
            trace: Mutex::new(trace),
        }),
        Err(e) => {
            eprintln!("WGRAD_PROFILE: {}: {e}", path.display());
            None
        }
    }
}

/// When something began, if a trace is being written.
#[inline]
pub fn begin() -> Option<Instant> {
    profile().map(|_| Instant::now())
}

/// A step of the cpu executor has ended.
#[inline]
pub fn cpu_step(began: Option<Instant>, step: &Step) {
    if let (Some(began), Some(profile)) = (began, profile()) {
        let [at, length] = [profile.micros(began), micros(began.elapsed())];
        profile.slice(CPU, at, length, &step.origin, kernel_name(&step.kernel));
    }
}

/// Something that is done to make a plan has ended.
pub fn planning(began: Option<Instant>, name: &str) {
    if let (Some(began), Some(profile)) = (began, profile())
        && let Ok(mut trace) = profile.trace.lock()
    {
        let [at, length] = [profile.micros(began), micros(began.elapsed())];
        trace.event(&format!(
            r#""ph":"X","name":"{name}","tid":{PLANNING},"ts":{at:.3},"dur":{length:.3}"#
        ));
    }
}

/// A plan has ended, on a GPU: was submitted. `memory` is what the device holds now, by name.
pub fn plan(began: Option<Instant>, n_steps: usize, memory: &[(&str, u64)]) {
    let (Some(began), Some(profile)) = (began, profile()) else {
        return;
    };
    let [at, length] = [profile.micros(began), micros(began.elapsed())];
    let Ok(mut trace) = profile.trace.lock() else {
        return;
    };
    trace.event(&format!(
        r#""ph":"X","name":"plan of {n_steps} steps","tid":{PLANS},"ts":{at:.3},"dur":{length:.3}"#
    ));
    let values: Vec<String> = memory
        .iter()
        .map(|(name, n)| format!("\"{name}\":{n}"))
        .collect();
    trace.event(&format!(
        r#""ph":"C","name":"bytes","ts":{:.3},"args":{{{}}}"#,
        at + length,
        values.join(",")
    ));
    trace.flush();
}

/// The dispatches of a plan have ended just now on a GPU: for each its kernel, the step it belongs to, and when it
/// began and how long it took in nanoseconds of the device's clock.
pub fn gpu_steps<'a>(dispatches: impl Iterator<Item = (&'a str, &'a Origin, [f64; 2])>) {
    let Some(profile) = profile() else {
        return;
    };
    let dispatches: Vec<_> = dispatches.collect();
    let end = |(_, _, [start, ns]): &(&str, &Origin, [f64; 2])| start + ns;
    // The clocks are set against each other at the last end.
    let last = dispatches.iter().map(end).fold(0.0, f64::max);
    let now = profile.micros(Instant::now());
    for (kernel, origin, [start, ns]) in dispatches {
        let at = now - (last - start) / 1e3;
        profile.slice(GPU, at, ns / 1e3, origin, kernel);
    }
}

fn micros(duration: std::time::Duration) -> f64 {
    1e6 * duration.as_secs_f64()
}

impl Profile {
    fn micros(&self, at: Instant) -> f64 {
        micros(at.saturating_duration_since(self.began))
    }

    fn slice(&self, row: u32, at: f64, length: f64, origin: &Origin, kernel: &str) {
        let name = escaped(&origin.name);
        let line = escaped(&origin.location.to_string());
        let kernel = escaped(kernel);
        if let Ok(mut trace) = self.trace.lock() {
            trace.event(&format!(
                r#""ph":"X","name":"{name}","tid":{row},"ts":{at:.3},"dur":{length:.3},"args":{{"line":"{line}","kernel":"{kernel}"}}"#
            ));
        }
    }
}

impl Trace {
    /// With the names of the rows.
    fn start(file: File) -> std::io::Result<Trace> {
        let mut trace = Trace {
            file,
            pending: String::new(),
        };
        trace.file.write_all(b"[")?;
        trace.file.write_all(END.as_bytes())?;
        let rows = [
            (PLANS, "plans"),
            (CPU, "cpu steps"),
            (3, "gpu dispatches"),
            (PLANNING, "planning"),
        ];
        for (row, name) in rows {
            trace.event(&format!(
                r#""ph":"M","name":"thread_name","tid":{row},"args":{{"name":"{name}"}}"#
            ));
        }
        // No comma before the first.
        trace.pending.remove(0);
        trace.flush();
        Ok(trace)
    }

    fn event(&mut self, fields: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.pending, ",\n{{\"pid\":1,{fields}}}");
    }

    /// Puts what is pending before the end of the file. A full disk ends the trace, not the program.
    fn flush(&mut self) {
        self.pending.push_str(END);
        let at = SeekFrom::End(-(END.len() as i64));
        let written = self
            .file
            .seek(at)
            .and_then(|_| self.file.write_all(self.pending.as_bytes()));
        if let Err(e) = written {
            eprintln!("WGRAD_PROFILE: {e}");
        }
        self.pending.clear();
    }
}

/// As the inside of a JSON string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The family of a kernel, as its type says it.
fn kernel_name(kernel: &Kernel) -> &'static str {
    match kernel {
        Kernel::Map(_) => "map",
        Kernel::Reduce(_) => "reduce",
        Kernel::Rows(_) => "rows",
        Kernel::Matmul(_) => "matmul",
        Kernel::Conv(_) => "conv",
        Kernel::Window(_) => "window",
        Kernel::ScatterAdd(_) => "scatter_add",
        Kernel::Scan(_) => "scan",
        Kernel::ArgSort(_) => "argsort",
        Kernel::Attention(_) => "attention",
        Kernel::Custom(_) => "custom",
        Kernel::Loop(_) => "loop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_after_every_flush() {
        let path = std::env::temp_dir().join(format!("wgrad-trace-{}.json", std::process::id()));
        let mut trace = Trace::start(File::create(&path).unwrap()).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        let first = read();
        assert!(
            first.starts_with("[\n{") && first.ends_with("}}\n]\n"),
            "{first}"
        );
        trace.event(r#""name":"a""#);
        trace.event(r#""name":"b""#);
        trace.flush();
        let all = read();
        let begins = &first[..first.len() - END.len()];
        let expected =
            format!("{begins},\n{{\"pid\":1,\"name\":\"a\"}},\n{{\"pid\":1,\"name\":\"b\"}}\n]\n");
        assert_eq!(all, expected);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c d");
    }
}
