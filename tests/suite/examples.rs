//! The example programs on the trainer, killed in mid-run and resumed: each says that it goes on, ends as if it had been left
//! alone, and leaves a report with its figures. Each fits on a page.

use crate::support::{Random, example};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

struct Example {
    name: &'static str,
    /// The checkpoints whose first, or first new one, each brings a kill.
    kills: &'static [&'static str],
    /// What the curves of its report are called.
    figures: &'static [&'static str],
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "gan",
        kills: &["checkpoints", "checkpoints"],
        figures: &["d_loss", "g_loss"],
    },
    Example {
        name: "language_model",
        kills: &["checkpoints", "checkpoints"],
        figures: &["loss", "validation_loss"],
    },
    Example {
        name: "distillation",
        kills: &["teacher", "student"],
        figures: &["loss", "validation_accuracy"],
    },
    Example {
        name: "tagger",
        kills: &["checkpoints", "checkpoints"],
        figures: &["loss", "validation_accuracy"],
    },
    Example {
        name: "logistic",
        kills: &["checkpoints", "checkpoints"],
        figures: &["loss", "validation_loss"],
    },
];

/// Customers of whom those with a high balance tend to default: as the file of the example's header.
fn customers(folder: &Path) -> PathBuf {
    let mut random = Random(5);
    let mut text = "default,student,balance,income\n".to_string();
    for _ in 0..4000 {
        let [balance, income, chance] = [(); 3].map(|()| random.uniform(0.0, 1.0));
        let word = |yes: bool| if yes { "Yes" } else { "No" };
        let (default, student) = (word(balance * balance > chance), word(income < 0.4));
        text += &format!(
            "{default},{student},{:.2},{:.2}\n",
            balance * 2000.0,
            income * 60_000.0
        );
    }
    let file = folder.join("customers.csv");
    std::fs::write(&file, text).expect("a table");
    file
}

struct Run<'a> {
    example: &'a Example,
    table: &'a Path,
    home: PathBuf,
}

impl Run<'_> {
    fn out(&self) -> PathBuf {
        self.home.join("out").join(self.example.name)
    }

    fn start(&self) -> Child {
        std::fs::create_dir_all(&self.home).expect("a folder");
        let mut command = Command::new(example(self.example.name));
        if self.example.name == "logistic" {
            command.arg(self.table);
        }
        command
            .arg("--resume")
            .current_dir(&self.home)
            .env("WGRAD_DEVICE", "cpu")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts")
    }

    /// What it said, on both streams.
    fn finish(&self) -> (String, String) {
        let out = self.start().wait_with_output().expect("an end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, shown) = (text(&out.stdout), text(&out.stderr));
        assert!(
            out.status.success(),
            "{}: {}, {shown}",
            self.example.name,
            out.status
        );
        (said, shown)
    }

    /// Kills it as soon as it has written a checkpoint of its own; false if it ended before.
    fn kill_after(&self, checkpoint: &Path) -> bool {
        let modified = || -> Option<SystemTime> {
            let metadata = std::fs::metadata(checkpoint);
            metadata.and_then(|m| m.modified()).ok()
        };
        let (before, began) = (modified(), Instant::now());
        let mut child = self.start();
        let mut ended = false;
        while modified() == before && !ended {
            ended = child.try_wait().expect("a state").is_some();
            assert!(began.elapsed() < Duration::from_secs(300), "no checkpoint");
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended = child.try_wait().expect("a state").is_some();
        child.kill().expect("killed");
        child.wait().expect("a dead child");
        !ended
    }

    /// All that was logged of its steps and epochs, but for times.
    fn scores(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.out().join("metrics.jsonl")).expect("metrics");
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let all = line.as_object_mut().expect("an object");
            all.retain(|name, _| !name.contains("second"));
            line.to_string()
        });
        lines.filter(|line| line.contains("\"step\"")).collect()
    }
}

fn check(example: &Example, folder: &Path, table: &Path) {
    let run = |name: &str| Run {
        example,
        table,
        home: folder.join(example.name).join(name),
    };
    let (alone, killed) = (run("alone"), run("killed"));
    let (said, _) = alone.finish();
    // A short run may end before it is struck; then it begins anew.
    let struck = (0..9).any(|_| {
        let _ = std::fs::remove_dir_all(&killed.home);
        let mut kills = example.kills.iter();
        kills.all(|kill| killed.kill_after(&killed.out().join(kill).join("last.safetensors")))
    });
    assert!(struck, "{}: no kill struck a run under way", example.name);
    let (said_again, shown) = killed.finish();
    let name = example.name;
    println!("{name}: killed twice; {}", said.trim());
    assert!(shown.contains("goes on from"), "{name}: {shown}");
    assert_eq!(said_again, said, "{name}");
    for kill in example.kills {
        let read = |run: &Run| std::fs::read(run.out().join(kill).join("last.safetensors"));
        let (a, b) = (
            read(&alone).expect("a checkpoint"),
            read(&killed).expect("a checkpoint"),
        );
        assert!(a == b, "{name}: {kill} differs");
    }
    assert_eq!(killed.scores(), alone.scores(), "{name}");
    let page = std::fs::read_to_string(killed.out().join("report.html")).expect("a report");
    assert!(page.len() < 1 << 20, "{name}: {} bytes", page.len());
    for figure in example.figures {
        assert!(
            page.contains(&format!("\"name\":\"{figure}")),
            "{name}: no {figure} in its report"
        );
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{name}.rs"));
    let lines = std::fs::read_to_string(source)
        .expect("its source")
        .lines()
        .count();
    assert!(lines < 100, "{name}: {lines} lines");
}

/// Optimised, as a user runs them: without, the language model takes minutes.
#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimisation")]
fn killed_examples_end_as_those_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = customers(folder.path());
    for example in EXAMPLES {
        check(example, folder.path(), &table);
    }
}
