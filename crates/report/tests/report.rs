//! Runs read from folders, whatever lies there; pages, comparisons, event files and views made of them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use wgrad_report::view::{Event, Lines};
use wgrad_report::{Curve, End, PanelKind, Panels, ReportError, Run, TensorBoard, View};

const RUN: &str = r#"{"command":["mnist","--lr","0.001"],"name":"first","device":"cpu","seed":7,"wgrad":"0.1.0","started":1700000000,
"settings":{"lr":0.001,"model":"mlp"},"model":{"rows":[{"name":"fc1","kind":"Linear","output_shape":[64,10],"parameters":7850,"multiply_adds":501760}],
"parameters":7850},"predicted_peak_bytes":1000000}"#;
const METRICS: &str = r#"{"event":"step","step":1,"loss":2.3,"lr":0.001,"grad_norm.fc1":0.5}
{"event":"step","step":2,"loss":null,"loss_text":"NaN","lr":0.001,"grad_norm.fc1":0.4}
{"event":"note","text":"of the caller's own"}
{"event":"epoch","epoch":1,"step":2,"train_loss":1.1,"validation_accuracy":0.5,"seconds":1.5}
{"event":"end","seconds":2.0,"samples_per_second":640.0,"peak_bytes":990000,"stopped":"enough"}
"#;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn first() -> tempfile::TempDir {
    folder(&[
        ("run.json", RUN.as_bytes()),
        ("metrics.jsonl", METRICS.as_bytes()),
    ])
}

#[test]
fn a_run_is_read_as_it_was_logged() {
    let folder = first();
    let run = Run::read(folder.path()).unwrap();
    let names: Vec<&str> = run.curves.iter().map(|curve| curve.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "grad_norm.fc1",
            "loss",
            "lr",
            "seconds",
            "train_loss",
            "validation_accuracy"
        ]
    );
    let loss = run.curve("loss").unwrap();
    assert_eq!((loss.xs.as_slice(), loss.ys[0]), (&[1.0, 2.0][..], 2.3));
    assert!(loss.ys[1].is_nan() && !loss.by_epoch);
    assert!(run.curve("train_loss").unwrap().by_epoch);
    let end = End {
        seconds: Some(2.0),
        samples_per_second: Some(640.0),
        peak_bytes: Some(990_000.0),
        stopped: Some("enough".into()),
    };
    assert_eq!(run.end, Some(end));
    assert_eq!(
        run.settings(),
        [
            ("lr".to_owned(), "0.001".to_owned()),
            ("model".to_owned(), "mlp".to_owned())
        ]
    );
    assert!(run.warnings.is_empty());
}

#[test]
fn broken_files_are_named_with_their_line() {
    let cases: [(&str, &[u8], &[&str]); 13] = [
        (
            "metrics.jsonl",
            b"{\"event\":\"step\",\"step\":1}\nnonsense\n{}\n",
            &["metrics.jsonl:2:", "column 2"],
        ),
        (
            "metrics.jsonl",
            b"{\"event\":\"step\",\"step\":1}\n{\"event\":\"st\n{}\n",
            &["metrics.jsonl:2:"],
        ),
        (
            "metrics.jsonl",
            b"[1]\n",
            &["metrics.jsonl:1:", "no object"],
        ),
        (
            "metrics.jsonl",
            b"{\"loss\":1}\n",
            &["metrics.jsonl:1:", "no \"event\""],
        ),
        (
            "metrics.jsonl",
            b"{\"event\":\"step\",\"loss\":1}\n",
            &["metrics.jsonl:1:", "no \"step\""],
        ),
        (
            "metrics.jsonl",
            b"{\"event\":\"step\",\"step\":\"x\"}\n",
            &["metrics.jsonl:1:", "no count"],
        ),
        (
            "metrics.jsonl",
            b"{\"event\":\"step\",\"step\":-1}\n",
            &["metrics.jsonl:1:", "no count"],
        ),
        (
            "metrics.jsonl",
            b"{\"event\":\"\xff\"}\n",
            &["metrics.jsonl:1:"],
        ),
        ("run.json", b"{", &["run.json"]),
        ("run.json", b"[]", &["run.json", "no object"]),
        ("run.json", b"\xff", &["run.json", "UTF-8"]),
        (
            "panels.json",
            b"[{\"kind\":\"table\",\"columns\":[\"a\"],\"rows\":[[1,2]]}]",
            &["panels.json", "panel 0", "row 0 has 2 cells"],
        ),
        (
            "panels.json",
            b"[{\"kind\":\"film\"}]",
            &["panels.json", "panel 0", "\"film\" is no kind"],
        ),
    ];
    for (name, content, parts) in cases {
        let folder = folder(&[("run.json", b"{}"), (name, content)]);
        let error = Run::read(folder.path()).expect_err("an error").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let empty = folder(&[]);
    assert!(matches!(
        Run::read(empty.path()),
        Err(ReportError::NoRun(_))
    ));
    let odd = tempfile::tempdir().unwrap();
    fs::create_dir(odd.path().join("run.json")).unwrap();
    assert!(
        Run::read(odd.path())
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
}

#[test]
fn a_last_line_without_its_end_is_skipped_and_said() {
    for cut in [
        "{\"event\":\"step\",\"st",
        "{",
        "\"",
        "{\"event\":\"step\",\"step\":3,\"loss\":1",
    ] {
        let folder = folder(&[("metrics.jsonl", format!("{METRICS}{cut}").as_bytes())]);
        let run = Run::read(folder.path()).unwrap();
        assert_eq!(run.curve("loss").unwrap().xs.len(), 2);
        assert!(
            run.warnings[0].contains("metrics.jsonl:6"),
            "{:?}",
            run.warnings
        );
        #[cfg(feature = "html")]
        assert!(run.html().contains("metrics.jsonl:6"));
    }
}

#[test]
fn panels_are_read_as_they_were_written() {
    let folder = first();
    let panels = Panels::new()
        .section("One")
        .svg("figure", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
        .text("words", "a\nb")
        .section("Two")
        .table("numbers", &["x", "y"], vec![vec!["1".into(), "2".into()]]);
    panels.write(folder.path()).unwrap();
    Panels::new()
        .section("Three")
        .text("more", "")
        .append(folder.path())
        .unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert_eq!(&run.panels[..3], panels.panels());
    assert_eq!(run.panels[3].section, "Three");
    let ragged = Panels::new().table("t", &["x"], vec![vec![]]);
    assert!(
        ragged
            .write(folder.path())
            .unwrap_err()
            .to_string()
            .contains("row 0 has 0 cells")
    );
    assert_eq!(Run::read(folder.path()).unwrap().panels.len(), 4);
    fs::write(folder.path().join("panels.json"), "{").unwrap();
    assert!(panels.append(folder.path()).is_err());
    assert_eq!(
        fs::read_to_string(folder.path().join("panels.json")).unwrap(),
        "{"
    );
}

#[test]
fn kernel_times_are_summed() {
    let trace = r#"{"traceEvents":[{"ph":"X","name":"matmul","dur":2.0},{"ph":"X","name":"matmul","dur":3.0},{"ph":"M","name":"x"},{"ph":"X","name":"add","dur":9}]}"#;
    let folder = folder(&[("run.json", b"{}"), ("trace.json", trace.as_bytes())]);
    let run = Run::read(folder.path()).unwrap();
    let times: Vec<_> = run
        .kernels
        .iter()
        .map(|k| (k.name.as_str(), k.calls, k.microseconds))
        .collect();
    assert_eq!(times, [("add", 1, 9.0), ("matmul", 2, 5.0)]);
    fs::write(folder.path().join("trace.json"), "{}").unwrap();
    assert!(
        Run::read(folder.path())
            .unwrap_err()
            .to_string()
            .contains("no list of events")
    );
}

#[test]
fn csv_holds_every_value() {
    let run = Run::read(first().path()).unwrap();
    let csv = run.to_csv();
    assert_eq!(
        csv.lines().count(),
        1 + run.curves.iter().map(|curve| curve.xs.len()).sum::<usize>()
    );
    assert!(
        csv.contains("step,2,loss,NaN\r\n") && csv.contains("epoch,2,validation_accuracy,0.5\r\n")
    );
}

/// Lengths, checksums and contents of an event file's records.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        found.push(bytes[at + 12..at + 12 + length].to_vec());
        at += 16 + length;
    }
    assert_eq!(at, bytes.len());
    found
}

#[test]
fn event_files_have_a_record_for_each_value() {
    let run = Run::read(first().path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = run.write_tensorboard(folder.path()).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.contains("tfevents"), "{name}");
    let found = records(&path);
    let has = |record: &[u8], text: &str| {
        record
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(has(&found[0], "brain.Event:2"));
    assert_eq!(
        found.len(),
        1 + run.curves.iter().map(|curve| curve.xs.len()).sum::<usize>()
    );
    assert!(found.iter().any(|record| has(record, "grad_norm.fc1")));
    let second = run.write_tensorboard(folder.path()).unwrap();
    assert_ne!(path, second);
    let mut board = TensorBoard::create(folder.path()).unwrap();
    let error = board.image("a", 1, 2, 2, &[0; 3]).unwrap_err().to_string();
    assert!(
        error.contains("\"a\"") && error.contains("3 bytes"),
        "{error}"
    );
    board.image("a", 1, 2, 2, &[0; 12]).unwrap();
    board.flush().unwrap();
    assert_eq!(records(board.path()).len(), 2);
}

#[derive(Clone, Default)]
struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn tell(view: &mut dyn View) {
    view.event(&Event::Begin {
        name: "r",
        steps: Some(4),
        epochs: 2,
    });
    for epoch in 1..=2 {
        view.event(&Event::EpochBegin {
            epoch,
            steps: Some(2),
        });
        for at in 1..=2 {
            let step = (epoch - 1) * 2 + at;
            let scalars = [("loss", 0.5), ("grad_norm.fc1", 2.0)];
            view.event(&Event::Step {
                step,
                in_epoch: at,
                samples: at,
                scalars: &scalars,
                memory: Some(1),
            });
        }
        view.event(&Event::Epoch {
            epoch,
            step: epoch * 2,
            scores: &[("test_accuracy", 0.9)],
            seconds: 1.0,
        });
    }
    view.event(&Event::Message("hello"));
    view.event(&Event::End {
        stopped: Some("enough"),
    });
}

#[test]
fn plain_lines_tell_all_of_it_once() {
    let sink = Sink::default();
    tell(&mut Lines::new(sink.clone()));
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text,
        "epoch 1/2: test_accuracy 0.9000, 1.0 s\nepoch 2/2: test_accuracy 0.9000, 1.0 s\nhello\nstopped: enough\n"
    );
    let sink = Sink::default();
    tell(&mut Lines::new(sink.clone()).every(std::time::Duration::ZERO));
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("epoch 2/2 step 3/4 loss 0.5000 [0:00 < 0:00]"),
        "{text}"
    );
}

#[test]
fn every_view_takes_every_event() {
    for name in ["none", "lines", "bar", "dashboard", "nonsense"] {
        tell(&mut *<dyn View>::choose(name));
    }
}

/// Two elements of a list in any order hold the same.
#[cfg(feature = "html")]
fn data(page: &str) -> serde_json::Value {
    let from = page.find("id=data>").unwrap() + 8;
    let to = from + page[from..].find("</script>").unwrap();
    serde_json::from_str(&page[from..to]).unwrap()
}

#[cfg(feature = "html")]
#[test]
fn a_page_shows_what_the_folder_holds() {
    let folder = first();
    let run = Run::read(folder.path()).unwrap();
    let path = run.write_html().unwrap();
    let page = fs::read_to_string(&path).unwrap();
    for part in [
        "first",
        "mnist --lr 0.001",
        "cpu",
        "2023-11-14 22:13 UTC",
        "fc1",
        "7,850",
        "501,760",
        "stopped after step 2: enough",
        "640",
        "1.0 MB",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let data = data(&page);
    let titles: Vec<&str> = data["charts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        [
            "loss",
            "accuracy",
            "Learning rate",
            "Gradient norms by layer",
            "seconds"
        ]
    );
    assert_eq!(data["charts"][0]["series"].as_array().unwrap().len(), 2);
    assert_eq!(data["runs"][0]["run"]["settings"]["model"], "mlp");
    assert_eq!(page, run.html());
}

#[cfg(feature = "html")]
#[test]
fn hostile_strings_stay_text_and_nothing_is_loaded() {
    let evil = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\u{0}\u{2028}'\"";
    let json = serde_json::Value::from(evil).to_string();
    let info = format!(
        r#"{{"command":[{json}],"name":{json},"device":{json},{json}:{json},"settings":{{{json}:{json}}},"model":{{"rows":[{{"name":{json}}}]}}}}"#
    );
    let metrics = format!(
        "{{\"event\":\"step\",\"step\":1,{json}:1.0}}\n{{\"event\":\"epoch\",\"epoch\":1,{json}:1}}\n{{\"event\":\"end\",\"stopped\":{json}}}\n"
    );
    let trace = format!(r#"[{{"ph":"X","name":{json},"dur":1}}]"#);
    let folder = folder(&[
        ("run.json", info.as_bytes()),
        ("metrics.jsonl", metrics.as_bytes()),
        ("trace.json", trace.as_bytes()),
    ]);
    let panels = Panels::new()
        .section(evil)
        .svg(evil, evil)
        .text(evil, evil)
        .table(evil, &[evil], vec![vec![evil.into()]]);
    panels.write(folder.path()).unwrap();
    let run = Run::read(folder.path()).unwrap();
    let other = folder.path().join("compare.html");
    wgrad_report::compare(&[&run, &run], &other).unwrap();
    for page in [run.html(), fs::read_to_string(other).unwrap()] {
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script").count(), 2);
        // Of the script's own the name of the SVG namespace is left.
        assert_eq!(
            page.matches("<img").count(),
            page.matches("src=\"data:image/svg+xml;base64,").count()
        );
        assert!(!page.contains("<img src=http"));
        assert!(page.contains("default-src 'none'"));
        assert!(data(&page).to_string().contains("alert(1)"));
    }
}

#[cfg(feature = "html")]
#[test]
fn the_longest_run_makes_less_than_a_megabyte() {
    let xs: Vec<f64> = (0..200_000).map(f64::from).collect();
    let curve = |at: usize| Curve {
        name: format!("grad_norm.a_layer_with_a_long_name_{at}"),
        ys: xs
            .iter()
            .map(|x| (x * (1.0 + at as f64)).sin() + 2.0)
            .collect(),
        xs: xs.clone(),
        by_epoch: false,
    };
    let mut run = Run {
        curves: (0..45).map(curve).collect(),
        ..Run::default()
    };
    let row = |at: usize| serde_json::json!({"name": format!("layer {at}"), "kind": "Linear", "parameters": at});
    run.info.insert(
        "model".into(),
        serde_json::json!({"rows": (0..10_000).map(row).collect::<Vec<_>>()}),
    );
    run.info.insert(
        "settings".into(),
        serde_json::json!({"long": "x".repeat(500_000)}),
    );
    let panels = (0..50).fold(Panels::new(), |panels, at| {
        panels.svg(format!("figure {at}"), "x".repeat(100_000))
    });
    run.panels = panels.panels().to_vec();
    let table = Panels::new().table("t", &["x"], vec![vec!["y".repeat(100)]; 100_000]);
    run.panels.extend(table.panels().to_vec());
    assert!(matches!(run.panels[50].kind, PanelKind::Table { .. }));
    let page = run.html();
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("panels are left out"));
    data(&page);
}

#[cfg(feature = "html")]
#[test]
fn a_comparison_shows_how_settings_differ() {
    let one = Run::read(first().path()).unwrap();
    let folder = folder(&[
        (
            "run.json",
            RUN.replace("0.001,\"model\"", "0.01,\"depth\":3,\"model\"")
                .replace("first", "second")
                .as_bytes(),
        ),
        ("metrics.jsonl", METRICS.as_bytes()),
    ]);
    let two = Run::read(folder.path()).unwrap();
    let path = folder.path().join("both.html");
    wgrad_report::compare(&[&one, &two], &path).unwrap();
    let page = fs::read_to_string(path).unwrap();
    let from = page.find("Differences of settings").unwrap();
    let differ = &page[from..from + page[from..].find("<details>").unwrap()];
    assert!(
        differ.contains("0.001")
            && differ.contains("0.01<")
            && differ.contains("depth")
            && differ.contains("not set")
    );
    assert!(!differ.contains("mlp"));
    assert_eq!(
        data(&page)["charts"][0]["series"].as_array().unwrap().len(),
        4
    );
    assert!(wgrad_report::compare(&[&one], folder.path().join("x.html")).is_err());
}

/// Lines that are nearly those of a log.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        any::<f64>().prop_map(|v| serde_json::json!(v)),
        any::<String>().prop_map(|v| serde_json::json!(v)),
        Just(serde_json::json!(null)),
        Just(serde_json::json!([{}])),
    ];
    let event = prop::sample::select(vec!["step", "epoch", "end", "other"]);
    let whole = (
        event,
        any::<Option<u32>>(),
        prop::collection::hash_map(any::<String>(), field, 0..4),
    )
        .prop_map(|(event, step, fields)| {
            let mut object = serde_json::json!(fields);
            object["event"] = event.into();
            object["step"] = step.into();
            (object.to_string() + "\n").into_bytes()
        });
    prop_oneof![8 => whole, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_reading_or_showing_panic(
        lines in prop::collection::vec(line(), 0..8),
        info in prop_oneof![any::<String>().prop_map(String::into_bytes), Just(RUN.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..60)],
        panels in prop_oneof![Just(b"[]".to_vec()), prop::collection::vec(any::<u8>(), 0..60), line()],
    ) {
        let folder = folder(&[("run.json", &info), ("metrics.jsonl", &lines.concat()), ("panels.json", &panels)]);
        match Run::read(folder.path()) {
            Ok(run) => {
                run.to_csv();
                #[cfg(feature = "html")]
                data(&run.html());
            }
            Err(error) => prop_assert!(error.to_string().contains(".json"), "{}", error),
        }
    }
}
