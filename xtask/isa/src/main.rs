//! `cargo xtask isa`: the WGSL that wgrad gives cards, compiled for real ones without one. Texts are those of programs as models
//! have them, of the class of cards; naga writes them as wgpu does; Mesa's RADV compiles them for cards that are not there and
//! says what it made; the hottest loop of each is counted. Nothing here is a timing.
//!
//! ```text
//!  programs ──► plan ──► texts ──► naga ──┬─► SPIR-V ──► RADV: registers, code, listing ──► loop ──► row
//!                          │              ├─► SPIR-V ──► spirv-val
//!                          └──► tint      └─► MSL, HLSL: written, not compiled
//!  rows ──► table · findings, but those in explained.tsv · against baseline.tsv
//! ```

mod convert;
mod driver;
mod listing;
mod programs;
mod table;
mod valid;

use driver::Driver;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use table::{Explained, Least, Row};
use wgrad_gpu::Text;
use wgrad_graph::planning;
use wgrad_plan::DeviceClass;

/// Cards by RADV's names, and lanes of a wave.
const TARGETS: [(&str, u32); 3] = [("navi21", 64), ("navi21", 32), ("vega10", 64)];

const USAGE: &str = "\
usage: cargo xtask isa [navi21.64] [navi21.32] [vega10.64] [--brief | --show NAME]

  The table of all kernels for these cards, or all of them, and what is worse than in xtask/isa/baseline.tsv. A rule may be
  broken by what xtask/isa/explained.tsv gives a reason for.
  WGRAD_BLESS=1 writes that anew.
  --brief       no table, only what is worse
  --show NAME   the loops of the kernels whose name contains NAME instead
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [command, target, rest @ ..] if command == "--of" => of_target(target, rest),
        _ => all(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", e.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// RADV's entry for Vulkan's loader.
fn radv() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let names = ["radeon_icd.x86_64.json", "radeon_icd.json"];
    let all = folders
        .iter()
        .flat_map(|f| names.iter().map(move |n| Path::new(f).join(n)));
    all.into_iter().find(|path| path.exists())
}

/// Each target in a process of its own: the driver reads once which card it is to be.
fn all(arguments: &[String]) -> Result<(), String> {
    let brief = arguments.last().is_some_and(|a| a == "--brief");
    let arguments = &arguments[..arguments.len() - usize::from(brief)];
    let show = arguments.iter().position(|a| a == "--show");
    let (targets, rest) = arguments.split_at(show.unwrap_or(arguments.len()));
    let name = |(card, wave): (&str, u32)| format!("{card}.{wave}");
    let known: Vec<String> = TARGETS.map(name).to_vec();
    if targets.iter().any(|t| !known.contains(t)) || show.is_some() && rest.len() != 2 {
        return Err(USAGE.into());
    }
    if show.is_none() {
        validate()?;
    }
    let Some(driver) = radv() else {
        println!("skipped: no RADV (Debian: mesa-vulkan-drivers)");
        return Ok(());
    };
    let chosen = if targets.is_empty() { &known } else { targets };
    let (mut now, mut failed) = (String::new(), Vec::new());
    for target in chosen {
        let card = target.split('.').next().unwrap_or_default();
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let output = Command::new(this)
            .args(["--of", target])
            .args(rest)
            .env("NODEVICE_SELECT", "1")
            .env("RADV_FORCE_FAMILY", card)
            .env("VK_ICD_FILENAMES", &driver)
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            failed.push(target.clone());
        }
        if show.is_some() {
            print!("{text}");
        } else {
            text.lines()
                .for_each(|line| now += &format!("{target} {line}\n"));
        }
    }
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    match show {
        Some(_) => Ok(()),
        None => judge(&now, targets.is_empty(), brief),
    }
}

/// Prints the table, unless in brief, and compares it with the one before.
fn judge(now: &str, whole: bool, brief: bool) -> Result<(), String> {
    if !brief {
        print!("{}\n{now}", table::head());
    }
    let rows: Vec<Row> = now.lines().filter_map(Row::read).collect();
    let explained = explained()?;
    let (left, idle) = table::without(&rows, &explained);
    let count = |rows: &[Row]| rows.iter().map(|r| r.findings.len()).sum::<usize>();
    let (found, not) = (count(&rows), count(&left));
    println!(
        "\n{} kernels, {found} findings: {} explained, {not} not",
        rows.len(),
        found - not
    );
    let path = beside("baseline.tsv");
    if whole && std::env::var_os("WGRAD_BLESS").is_some() {
        let lines: Vec<String> = left.iter().map(Row::line).collect();
        let text = format!("{}\n{}\n", table::head(), lines.join("\n"));
        return std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()));
    }
    let before = read(&path)?;
    let before = before
        .lines()
        .filter_map(Row::read)
        .map(|r| (r.key.clone(), r));
    let mut worse = table::worse(&before.collect(), &left);
    if whole {
        worse.extend(idle.iter().map(|e| {
            format!(
                "nothing needs the explanation of `{}`: {}",
                e.pattern, e.rule
            )
        }));
    }
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} worse than xtask/isa/baseline.tsv (WGRAD_BLESS=1 accepts):\n  {}",
            worse.len(),
            worse.join("\n  ")
        )),
    }
}

/// A file of this crate.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// What is explained, below a line of heads.
fn explained() -> Result<Vec<Explained>, String> {
    let path = beside("explained.tsv");
    let text = read(&path)?;
    let each = text.lines().skip(1).map(|line| {
        let wrong = || format!("{}: no pattern, rule and reason: {line}", path.display());
        Explained::read(line).ok_or_else(wrong)
    });
    each.collect()
}

/// A text, and the programs that have it.
struct Found {
    text: Text,
    programs: Vec<String>,
}

/// The different texts of all programs, by name.
fn texts() -> Result<BTreeMap<String, Found>, String> {
    let mut known: FxHashMap<(String, String), String> = FxHashMap::default();
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    programs::each(|program, results| {
        let class = DeviceClass::Discrete;
        let plan = planning::planned_for_gpu(results, wgrad_gpu::config(class).epilogues);
        let texts = wgrad_gpu::texts(&plan, class);
        for text in texts.map_err(|e| format!("{program}: {e}"))? {
            let id = (text.wgsl.clone(), format!("{:?}", text.constants));
            if let Some(name) = known.get(&id) {
                let programs = all.get_mut(name).map(|found| &mut found.programs);
                programs
                    .into_iter()
                    .for_each(|p| p.push(program.to_owned()));
                continue;
            }
            let mut name = format!("{} of {program}", text.label);
            let mut n = 1;
            while all.contains_key(&name) {
                n += 1;
                name = format!("{} {n} of {program}", text.label);
            }
            known.insert(id, name.clone());
            let programs = vec![program.to_owned()];
            all.insert(name, Found { text, programs });
        }
        Ok(())
    })?;
    Ok(all)
}

/// Every text through the validators that are installed.
fn validate() -> Result<(), String> {
    let validators = valid::Validators::find();
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, Found { text, .. }) in texts()? {
        count += 1;
        let found = match convert::convert(&text.wgsl, &text.constants) {
            Ok(converted) => validators.check(&text.wgsl, &text.constants, &converted.spirv),
            Err(e) => vec![e],
        };
        wrong.extend(found.iter().map(|e| format!("{name}: {e}")));
    }
    let said = validators.description();
    println!("validated by {said}: {count} texts, {} wrong", wrong.len());
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

/// The rows of one target, or its listings of some kernels.
fn of_target(target: &str, rest: &[String]) -> Result<(), String> {
    let wave = target.rsplit('.').next().and_then(|w| w.parse().ok());
    let wave = wave.ok_or(USAGE)?;
    let show = rest.get(1);
    let driver = Driver::open()?;
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, found) in texts()? {
        if show.is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        count += 1;
        let converted = match convert::convert(&found.text.wgsl, &found.text.constants) {
            Ok(converted) => converted,
            Err(e) => {
                failures.push(format!("{name}: {e}"));
                continue;
            }
        };
        failures.extend(converted.failures.iter().map(|f| format!("{name}: {f}")));
        match driver.compile(&converted.spirv, &converted.bindings, wave) {
            Err(e) => failures.push(format!("{name}: {e}")),
            Ok(compiled) => {
                let hot = listing::hottest(&compiled.assembly);
                if show.is_some() {
                    println!("{target} {name}, in {}", found.programs.join(", "));
                    let lines = hot.map(|l| l.listing).unwrap_or_default();
                    lines.iter().for_each(|line| println!("    {line}"));
                    continue;
                }
                let least = Least::of(found.text.label, &found.text.constants);
                let row = Row::new(name, least, &compiled.statistics, hot.as_ref());
                println!("{}", row.line());
            }
        }
    }
    eprintln!(
        "{target}: {}, {count} texts, {} failures",
        driver.name,
        failures.len()
    );
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}
