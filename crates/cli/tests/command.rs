//! The command as a user runs it: a process of its own, on the cpu.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("wgrad-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wgrad(arguments: &[&str], profile: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(arguments).env_remove("WGRAD_DEVICE");
    match profile {
        Some(path) => command.env("WGRAD_PROFILE", path),
        None => command.env_remove("WGRAD_PROFILE"),
    };
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const QUICK: [&str; 7] = [
    "bench",
    "--device",
    "cpu",
    "--seconds",
    "0.01",
    "--filter",
    "^(softmax|step_overhead_mlp)",
];

#[test]
fn results_go_to_json_the_chart_and_the_next_comparison() {
    let folder = Folder::new("bench");
    let (json, svg) = (folder.file("a.json"), folder.file("a.svg"));
    let (json, svg) = (json.to_str().unwrap(), svg.to_str().unwrap());
    let first = text(&wgrad(
        &[&QUICK[..], &["--json", json, "--svg", svg]].concat(),
        None,
    ));
    assert!(first.contains("softmax_4096x1024"), "{first}");
    let lines = std::fs::read_to_string(json).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let cases: Vec<&str> = lines.iter().map(|l| l["case"].as_str().unwrap()).collect();
    let expected = [
        "roofline_fma",
        "roofline_copy",
        "softmax_4096x1024",
        "step_overhead_mlp",
    ];
    assert_eq!(cases, expected);
    for line in &lines {
        assert!(line["value"].as_f64().unwrap() > 0.0, "{line}");
        assert_eq!(line["device"], "cpu");
    }
    assert_eq!(lines[2]["unit"], "GB/s");
    assert!(
        std::fs::read_to_string(svg)
            .unwrap()
            .contains("softmax_4096x1024")
    );
    let second = text(&wgrad(&[&QUICK[..], &["--compare", json]].concat(), None));
    let row = second.lines().find(|l| l.starts_with("softmax")).unwrap();
    assert!(
        ["within noise", "better", "WORSE"]
            .iter()
            .any(|v| row.contains(v)),
        "{row}"
    );
}

#[test]
fn every_case_of_the_list_has_its_name() {
    let list = text(&wgrad(&["bench", "--list"], None));
    let names: Vec<&str> = list.lines().collect();
    let expected = "matmul_f32_256 matmul_f32_512 matmul_f32_1024 matmul_f32_2048 matmul_f32_4096 \
        matmul_f16_1024 matmul_f16_4096 matmul_bf16_1024 conv2d_fwd_32x64x28x28_k3 \
        conv2d_fwd_f16_32x64x28x28_k3 conv2d_fwd_bf16_32x64x28x28_k3 conv2d_fwdbwd_32x64x28x28_k3 \
        softmax_4096x1024 sum_axis0_4096x4096 sum_axis1_4096x4096 muladdrelu_4096x4096 \
        layernorm_fwdbwd_4096x1024 attention_fwdbwd_b8h8s512d64 mnist_mlp_b128_adam_1epoch \
        mnist_cnn_b64_adam_1epoch char_lstm_b32_t64_h128_adam first_step_mlp step_overhead_mlp gpt_l4_d128_t64_b12 \
        resnet18_32_b16 mobilenetv2_32_b16 unet_64_b4 vit_32_b16 dcgan_28_b64";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert!(
        !wgrad(&["bench", "--filter", "nothing"], None)
            .status
            .success()
    );
}

#[test]
fn planning_is_timed_by_size() {
    let row = [
        "bench",
        "--planning",
        "--device",
        "cpu",
        "--filter",
        "^chain_1000$",
    ];
    let table = text(&wgrad(&row, None));
    let times = table.lines().last().unwrap().split_whitespace();
    let times: Vec<f64> = times.skip(1).map(|t| t.parse().unwrap()).collect();
    assert!(
        times.len() == 5 && times.iter().all(|&t| t > 0.0),
        "{table}"
    );
    let list = text(&wgrad(&["bench", "--planning", "--list"], None));
    assert!(list.lines().any(|l| l == "lstm_2048"), "{list}");
}

#[test]
fn a_profile_is_a_trace_of_steps_with_their_lines() {
    let folder = Folder::new("profile");
    let path = folder.file("trace.json");
    let run = [
        "bench",
        "--device",
        "cpu",
        "--seconds",
        "0.01",
        "--filter",
        "step_overhead",
    ];
    text(&wgrad(&run, Some(&path)));
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let events = trace.as_array().unwrap();
    let of = |phase: &'static str| events.iter().filter(move |e| e["ph"] == phase);
    let step = of("X").find(|e| e["args"]["kernel"] == "matmul").unwrap();
    let line = step["args"]["line"].as_str().unwrap();
    assert!(line.contains("model.rs:"), "{line}");
    assert!(step["dur"].as_f64().unwrap() > 0.0 && step["ts"].as_f64().unwrap() > 0.0);
    assert!(of("X").any(|e| e["name"].as_str().unwrap().starts_with("plan of")));
    assert!(of("C").all(|e| e["args"]["live"].as_u64().unwrap() > 0));
    assert!(of("X").any(|e| e["name"] == "lower"), "no pass");
    assert_eq!(of("M").count(), 4);
}

#[test]
fn the_cpu_is_always_a_device() {
    let devices = text(&wgrad(&["devices"], None));
    assert!(
        devices.starts_with("cpu: ") && devices.contains(" threads"),
        "{devices}"
    );
}

#[test]
fn a_reader_that_has_enough_ends_it_without_an_error() {
    for arguments in [
        &["bench", "--list", "--device", "cpu"][..],
        &["devices"],
        &QUICK,
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(arguments).stdout(writer);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let fine = output.status.success() && !errors.contains("panicked");
        assert!(fine, "{arguments:?}: {:?} {errors}", output.status);
    }
}
