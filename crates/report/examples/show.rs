//! A run of made-up numbers: shown live, written as a run folder, and turned into its report. To see what views and reports
//! look like without a training:
//!
//!     WGRAD_VIEW=dashboard cargo run -p wgrad-report --features dashboard --example show -- out/demo
//!
//! A second argument is the time of a step in milliseconds, a third the learning rate.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wgrad_plot::{Figure, Picture};
use wgrad_report::view::Event;
use wgrad_report::{Panels, Run, View};

const EPOCHS: u64 = 5;
const STEPS: u64 = 400;
const LAYERS: [&str; 3] = ["fc1", "fc2", "fc3"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "out/demo".to_owned()));
    let pause = Duration::from_millis(arguments.next().map_or(Ok(1), |text| text.parse())?);
    let rate: f64 = arguments.next().map_or(Ok(1e-3), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let mut view = <dyn View>::automatic();
    let mut log = String::new();
    let began = Instant::now();
    view.event(&Event::Begin {
        name: "demo",
        steps: Some(EPOCHS * STEPS),
        epochs: EPOCHS,
    });
    for epoch in 1..=EPOCHS {
        view.event(&Event::EpochBegin {
            epoch,
            steps: Some(STEPS),
        });
        for at in 1..=STEPS {
            step(&mut *view, &mut log, (epoch - 1) * STEPS + at, at, rate);
            std::thread::sleep(pause);
        }
        let t = epoch as f64;
        let scores = [
            ("train_loss", 1.1 / t),
            ("validation_loss", 1.2 / t + 0.02 * t),
            ("validation_accuracy", 1.0 - 0.3 / t),
        ];
        let step = epoch * STEPS;
        view.event(&Event::Epoch {
            epoch,
            step,
            scores: &scores,
            seconds: 1.5,
        });
        let [(a, x), (b, y), (c, z)] = scores;
        writeln!(
            log,
            "{{\"event\":\"epoch\",\"epoch\":{epoch},\"step\":{step},\"{a}\":{x},\"{b}\":{y},\"{c}\":{z},\"seconds\":1.5}}"
        )?;
        view.event(&Event::Message("saved the best weights so far"));
    }
    view.event(&Event::End { stopped: None });
    let seconds = began.elapsed().as_secs_f64();
    let speed = (EPOCHS * STEPS * 64) as f64 / seconds;
    writeln!(
        log,
        "{{\"event\":\"end\",\"seconds\":{seconds},\"samples_per_second\":{speed},\"peak_bytes\":123456789}}"
    )?;
    std::fs::write(folder.join("metrics.jsonl"), log)?;
    std::fs::write(folder.join("run.json"), description(rate))?;
    panels()?.write(&folder)?;
    println!("{}", Run::read(&folder)?.write_html()?.display());
    Ok(())
}

/// A number between 0 and 1 that looks random.
fn noise(at: u64) -> f64 {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 53) as f64
}

fn step(view: &mut dyn View, log: &mut String, step: u64, in_epoch: u64, rate: f64) {
    let t = step as f64 * (rate / 1e-3).sqrt();
    let loss = (2.3 / (1.0 + t / 100.0) + 0.05) * (0.6 + 0.8 * noise(step));
    let lr = rate * (1.0 - t / 4000.0).max(0.1);
    let norms: Vec<(String, f64)> = LAYERS
        .iter()
        .enumerate()
        .map(|(at, name)| {
            (
                format!("grad_norm.{name}"),
                loss * (1.0 + at as f64) * (0.5 + noise(step * 7 + at as u64)),
            )
        })
        .collect();
    let mut scalars = vec![("loss", loss), ("lr", lr)];
    scalars.extend(norms.iter().map(|(name, value)| (name.as_str(), *value)));
    let memory = Some(100_000_000 + 1_000_000 * (step % 17));
    view.event(&Event::Step {
        step,
        in_epoch,
        samples: in_epoch * 64,
        scalars: &scalars,
        memory,
    });
    let fields: String = scalars
        .iter()
        .map(|(name, value)| format!(",\"{name}\":{value}"))
        .collect();
    log.push_str(&format!("{{\"event\":\"step\",\"step\":{step}{fields}}}\n"));
}

fn description(rate: f64) -> String {
    let layer = |name: &str, inputs: u64, outputs: u64| {
        let parameters = (inputs + 1) * outputs;
        format!(
            "{{\"name\":\"{name}\",\"kind\":\"Linear\",\"output_shape\":[64,{outputs}],\"parameters\":{parameters},\"multiply_adds\":{}}}",
            64 * inputs * outputs
        )
    };
    let rows = [
        layer("fc1", 784, 256),
        layer("fc2", 256, 128),
        layer("fc3", 128, 10),
    ]
    .join(",");
    format!(
        "{{\"command\":[\"show\",\"out/demo\",\"--note\",\"two words\"],\"name\":\"demo\",\"device\":\"cpu (16 threads)\",\"seed\":0,\
         \"wgrad\":\"{}\",\"started\":1700000000,\"settings\":{{\"lr\":{rate},\"batch_size\":64,\"optimizer\":\"adam\",\"model\":\"mlp\"}},\
         \"model\":{{\"rows\":[{rows}],\"parameters\":235146}},\"predicted_peak_bytes\":120000000}}",
        env!("CARGO_PKG_VERSION")
    )
}

fn panels() -> Result<Panels, wgrad_report::ReportError> {
    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let counts: Vec<u32> = (0..100)
        .map(|at| {
            if at / 10 == at % 10 {
                950
            } else {
                (at * 7 % 11) as u32
            }
        })
        .collect();
    let scores: Vec<f64> = (0..500).map(noise).collect();
    let positive: Vec<bool> = (0..500).map(|at| noise(at + 1000) < noise(at)).collect();
    let weights: Vec<f64> = (0..4000)
        .map(|at| noise(at) + noise(at + 1) + noise(at + 2) - 1.5)
        .collect();
    let picture = |at: u64| {
        let pixels: Vec<f64> = (0..784).map(|pixel| noise(pixel / 29 + 31 * at)).collect();
        Picture::floats(28, 28, &pixels, (0.0, 1.0))
            .caption(format!("{}, not {}", at % 10, (at + 3) % 10))
            .right(at.is_multiple_of(4))
    };
    let pictures: Vec<Picture> = (0..20).map(picture).collect();
    let rows = (0..10)
        .map(|digit| {
            vec![
                digit.to_string(),
                format!("{:.3}", 0.9 + noise(digit) / 10.0),
            ]
        })
        .collect();
    Panels::new()
        .section("Test set")
        .figure("Confusion", &Figure::new("").confusion(&names, &counts))?
        .figure("ROC", &Figure::new("").roc("class 0", &scores, &positive))?
        .figure(
            "Calibration",
            &Figure::new("").calibration("class 0", &scores, &positive, 10),
        )?
        .table("Recall", &["class", "recall"], rows)
        .section("Worst mistakes")
        .figure("", &Figure::new("").images(&pictures))?
        .section("Weights")
        .figure(
            "fc1.weight",
            &Figure::new("")
                .x("weight")
                .y("count")
                .histogram("fc1.weight", &weights, 60),
        )
}
