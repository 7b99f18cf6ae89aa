//! The families of `ragged.rs` in processes of their own, whose buffers and working memory lie between pages that may not be
//! touched (`guard.rs`), for each instruction set of the processor: an access beside a buffer ends the process, and the seed of
//! the case is what it said last. `WGRAD_TEST_ALL=1` runs 40 times as many cases and all other tests of the executor so, which
//! takes minutes.

use crate::tests::Rng;
use crate::tests::ragged::{FAMILIES, Family};
use std::process::{Command, Output};
use std::sync::Mutex;

/// Names the cases of a process: a family or all, the first seed and how many times the cases of a short run.
const CASES: &str = "WGRAD_RAGGED";

fn all() -> bool {
    std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1")
}

/// This processor's instruction sets, as `WGRAD_SIMD` names them.
fn levels() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::{Level, level};
        let named = [
            (Level::Base, "portable"),
            (Level::Avx2, "avx2"),
            (Level::Avx512, "avx512"),
        ];
        let has = named.into_iter().filter(|n| n.0 <= level());
        has.map(|n| n.1).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec!["portable"]
}

/// This test program with other memory.
fn process(level: &str, side: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(arguments)
        .args(["--nocapture", "--test-threads", "1"]);
    command.env("WGRAD_SIMD", level).env("WGRAD_GUARD", side);
    command.env_remove("WGRAD_TEST_ALL");
    command
}

/// What went wrong in a process, with its last words.
fn fault(what: &str, output: &Output) -> Option<String> {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // A filter that finds no test must not pass for success.
    if output.status.success() && said.contains("test result: ok") && !said.contains(" 0 passed") {
        return None;
    }
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(25)..].join("\n");
    Some(format!("{what}: {}\n{last}", output.status))
}

/// Runs the processes, two at a time.
fn run_all(mut processes: Vec<(String, Command)>) {
    processes.reverse();
    let (left, faults) = (Mutex::new(processes), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no panic").pop();
                    let Some((what, mut command)) = next else {
                        break;
                    };
                    let output = command.output().expect("a process");
                    faults
                        .lock()
                        .expect("no panic")
                        .extend(fault(&what, &output));
                }
            });
        }
    });
    let faults = faults.into_inner().expect("no panic");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

const CASE: [&str; 3] = ["--exact", "tests::guarded::cases", "--ignored"];

#[test]
fn every_family_stays_within_its_buffers() {
    let times = if all() { 40 } else { 1 };
    let mut processes = Vec::new();
    for level in levels() {
        for (side, first) in [("behind", 0), ("before", 1_000_000)] {
            let cases = format!("all {first} {times}");
            let mut command = process(level, side, &CASE);
            command.env(CASES, &cases);
            let what = format!("WGRAD_SIMD={level} WGRAD_GUARD={side} {CASES}='{cases}'");
            processes.push((what, command));
        }
    }
    run_all(processes);
}

#[test]
fn the_other_tests_stay_within_their_buffers() {
    if !all() {
        return println!("a part of every_family_stays_within_its_buffers unless WGRAD_TEST_ALL=1");
    }
    let others = ["--skip", "guarded::", "--skip", "panics::"];
    let with = |level: &&'static str| {
        (
            format!("all tests on {level}"),
            process(level, "behind", &others),
        )
    };
    run_all(levels().iter().map(with).collect());
}

/// The guards themselves: a process that reads or writes one element too many does not survive.
#[test]
fn an_access_beside_a_buffer_ends_the_process() {
    const TRESPASS: [&str; 3] = ["--exact", "tests::guarded::trespass", "--ignored"];
    for side in ["behind", "before"] {
        for kind in ["read", "write", "none"] {
            let mut command = process("portable", side, &TRESPASS);
            let output = command
                .env("WGRAD_TRESPASS", kind)
                .output()
                .expect("a process");
            assert_eq!(output.status.success(), kind == "none", "{side} {kind}");
        }
    }
}

#[test]
#[ignore = "run by an_access_beside_a_buffer_ends_the_process"]
fn trespass() {
    let mut buffer = crate::storage::HostBufferMut::scratch(40).expect("room");
    let before = std::env::var("WGRAD_GUARD").is_ok_and(|side| side == "before");
    let at = if before { -4 } else { 40 };
    let beside = buffer.bytes_mut().as_mut_ptr().wrapping_offset(at);
    match std::env::var("WGRAD_TRESPASS").as_deref() {
        // SAFETY: none: the process is to end here.
        Ok("read") => println!("{}", unsafe { beside.read_volatile() }),
        // SAFETY: as above.
        Ok("write") => unsafe { beside.write_volatile(1) },
        _ => {}
    }
}

#[test]
#[ignore = "run by every_family_stays_within_its_buffers, or with WGRAD_RAGGED='<family or all> <seed> <times>'"]
fn cases() {
    let cases = std::env::var(CASES).unwrap_or_else(|_| String::from("all 0 1"));
    let words: Vec<&str> = cases.split(' ').collect();
    let [family, first, times] = words[..] else {
        panic!("{CASES} is '<family or all> <seed> <times>', not {cases}");
    };
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let chosen = |f: &&Family| family == "all" || family == f.0;
    let mut some = false;
    for (name, count, check) in FAMILIES.iter().filter(chosen) {
        some = true;
        let count = if family == "all" {
            count * number(times)
        } else {
            number(times)
        };
        for seed in number(first)..number(first) + count {
            println!("{CASES}='{name} {seed} 1'");
            check(&mut Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
        }
    }
    assert!(some, "no such family: {family}");
}
