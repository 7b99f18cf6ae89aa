//! The example killed in mid-run, again and again, and resumed: it ends as if it had been left alone.

use crate::support::{Random, example, gpu};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

struct Case<'a> {
    folder: &'a Path,
    name: &'a str,
    device: &'a str,
    steps: u64,
    images: usize,
    kills: usize,
}

impl Case<'_> {
    fn home(&self, run: &str) -> PathBuf {
        self.folder.join(format!("{}-{run}", self.name))
    }

    fn file(&self, run: &str, name: &str) -> PathBuf {
        self.home(run).join(name)
    }

    fn start(&self, run: &str, resume: bool) -> Child {
        let mut command = Command::new(example("mnist"));
        command
            .args(["--model", "cnn", "--device", self.device])
            .args([
                "--batch-size",
                "16",
                "--epochs",
                "99",
                "--test-images",
                "32",
            ])
            .args(["--train-images", &self.images.to_string()])
            .args(["--steps", &self.steps.to_string()])
            .args(["--checkpoint-every", "5"])
            .arg("--checkpoint")
            .arg(self.home(run))
            .arg("--metrics")
            .arg(self.home(run))
            .env_remove("WGRAD_DATA")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if resume {
            command.arg("--resume");
        }
        command.spawn().expect("the example starts")
    }

    /// Waits until a checkpoint newer than `before` is there; `false` if the program ended first.
    fn wait_for_checkpoint(
        &self,
        run: &str,
        child: &mut Child,
        before: Option<SystemTime>,
    ) -> bool {
        let began = Instant::now();
        while child.try_wait().expect("a child's state").is_none() {
            let now = self.modified(run);
            if now.is_some() && now != before {
                return true;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint");
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn modified(&self, run: &str) -> Option<SystemTime> {
        let metadata = std::fs::metadata(self.file(run, "last.safetensors"));
        metadata.and_then(|m| m.modified()).ok()
    }

    /// A run left alone; the time of a step.
    fn undisturbed_run(&self) -> Duration {
        let mut child = self.start("alone", false);
        self.wait_for_checkpoint("alone", &mut child, None);
        let began = Instant::now();
        finished(child);
        began.elapsed() / (self.steps - 5) as u32
    }

    /// Kills at random moments, then lets the run end; says how many kills struck a run under way.
    fn killed_run(&self, step: Duration, rng: &mut Random) -> usize {
        let mut struck = 0;
        for round in 0..self.kills {
            let before = self.modified("killed");
            let mut child = self.start("killed", true);
            // Once right after the start, then within the time of about five steps after a new checkpoint.
            let wait = rng.uniform(0.0, 5.0);
            if round > 0 && !self.wait_for_checkpoint("killed", &mut child, before) {
                finished(child);
                break;
            }
            std::thread::sleep(step.mul_f64(wait));
            let running = child.try_wait().expect("a child's state").is_none();
            child.kill().expect("killed");
            child.wait().expect("a dead child");
            struck += usize::from(running);
        }
        finished(self.start("killed", true));
        struck
    }

    fn check(&self, seed: u64) {
        let step = self.undisturbed_run();
        let struck = self.killed_run(step, &mut Random(seed));
        println!(
            "{}: {} steps of about {step:.0?}, killed {struck} times (seed {seed})",
            self.device, self.steps
        );
        assert!(struck >= 2, "only {struck} kills struck a run under way");
        let read =
            |run: &str| std::fs::read(self.file(run, "last.safetensors")).expect("a checkpoint");
        let (alone, killed) = (read("alone"), read("killed"));
        assert!(!alone.is_empty());
        assert_eq!(alone.len(), killed.len());
        let at = alone.iter().zip(&killed).position(|(a, b)| a != b);
        assert_eq!(at, None, "the checkpoints differ at this byte, seed {seed}");
        assert_eq!(self.losses("killed"), self.losses("alone"), "seed {seed}");
    }

    /// The losses of all steps, which must be there once each and in order, and one end.
    fn losses(&self, run: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(self.file(run, "metrics.jsonl")).expect("metrics");
        assert!(text.ends_with('\n'));
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}")))
            .collect();
        let of = |event: &str| -> Vec<&serde_json::Value> {
            lines.iter().filter(|v| v["event"] == event).collect()
        };
        let steps = of("step");
        let numbers: Vec<u64> = steps.iter().filter_map(|v| v["step"].as_u64()).collect();
        assert_eq!(numbers, (1..=self.steps).collect::<Vec<_>>(), "{run}");
        assert_eq!(of("end").len(), 1, "{run}");
        assert_eq!(lines.last().map(|v| &v["event"]), Some(&"end".into()));
        let loss = |v: &&serde_json::Value| v["loss"].as_f64().expect("a loss") as f32;
        steps.iter().map(|v| loss(v).to_bits()).collect()
    }
}

fn finished(child: Child) {
    let out = child.wait_with_output().expect("the example ends");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}: {text}", out.status);
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(1, |t| t.as_nanos() as u64)
}

#[test]
fn a_run_killed_on_the_cpu_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    Case {
        folder: folder.path(),
        name: "cpu",
        device: "cpu",
        steps: 40,
        // 20 batches in an epoch, the last of them short.
        images: 315,
        kills: 5,
    }
    .check(seed());
}

#[test]
fn a_run_killed_on_the_gpu_ends_as_one_left_alone() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    Case {
        folder: folder.path(),
        name: "gpu",
        device: "gpu",
        steps: 15,
        images: 150,
        kills: 3,
    }
    .check(seed());
}
