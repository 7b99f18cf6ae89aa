//! Processes killed and interrupted at random moments.

#![cfg(unix)]

use crate::support::{Rows, bytes, kept, lines, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use wgrad_graph::Device;
use wgrad_train::TrainError;

const FOLDER: &str = "WGRAD_TEST_TRAINER";
const EPOCHS: u64 = 12;

/// What the child does: trains, or goes on, and leaves its state.
#[test]
#[ignore = "run by the other tests"]
fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("run by the other tests only"));
    let device = Device::cpu();
    let mut trainer = kept(run(1, &device), &folder, 3)
        .resume(true)
        .before_step(|_, _| {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        });
    match trainer.fit(Rows::new(&device), EPOCHS) {
        Ok(_) => {
            let all = bytes(&mut trainer, &folder);
            std::fs::write(folder.join("all"), all).expect("written");
        }
        Err(TrainError::Interrupted { step, checkpoint }) => {
            println!("interrupted after {step}: {checkpoint:?}");
            std::process::exit(130);
        }
        Err(e) => panic!("{e}"),
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["kill::child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

fn last(folder: &Path) -> Option<SystemTime> {
    let metadata = std::fs::metadata(folder.join("checkpoints/last.safetensors"));
    metadata.and_then(|m| m.modified()).ok()
}

/// Waits until there is a newer checkpoint; false if the child has ended.
fn wait(folder: &Path, child: &mut Child, before: Option<SystemTime>) -> bool {
    let began = Instant::now();
    while child.try_wait().expect("a state").is_none() {
        let now = last(folder);
        if now.is_some() && now != before {
            return true;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Names what differs.
fn same_checkpoint(a: &[u8], b: &[u8]) {
    let read = |bytes: &[u8]| wgrad_train::Checkpoint::from_bytes(bytes, "a run").expect("a file");
    let (a, b) = (read(a), read(b));
    assert_eq!(a.metadata, b.metadata);
    for (name, array) in &a.arrays {
        assert_eq!(Some(array), b.arrays.get(name), "{name}");
    }
}

fn disturbed(signal: &str, rounds: u64) {
    let home = tempfile::tempdir().expect("a folder");
    let (alone, disturbed) = (home.path().join("alone"), home.path().join("disturbed"));
    assert!(start(&alone).wait().expect("an end").success());
    let mut random = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(1, |t| t.subsec_nanos());
    let mut struck = 0;
    for _ in 0..rounds {
        let before = last(&disturbed);
        let mut child = start(&disturbed);
        if !wait(&disturbed, &mut child, before) {
            break;
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(u64::from(random >> 16)));
        let running = child.try_wait().expect("a state").is_none();
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.is_ok());
        let out = child.wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if signal == "-INT" && running && out.status.code() == Some(130) {
            assert!(
                text.contains("interrupted after") && text.contains("last.safetensors"),
                "{text}"
            );
        }
        struck += u64::from(running);
    }
    assert!(struck > 0, "no signal struck a run under way");
    assert!(start(&disturbed).wait().expect("an end").success());
    let read = |folder: &Path| std::fs::read(folder.join("all")).expect("a state");
    let (a, b) = (read(&alone), read(&disturbed));
    same_checkpoint(&a, &b);
    assert!(a == b, "{signal}, {struck} times");
    assert_eq!(lines(&alone), lines(&disturbed));
}

#[test]
fn a_run_killed_at_random_moments_ends_as_one_left_alone() {
    disturbed("-KILL", 4);
}

#[test]
fn a_run_interrupted_at_random_moments_ends_as_one_left_alone() {
    disturbed("-INT", 4);
}
