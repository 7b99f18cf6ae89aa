//! A run that has everything, ended after any step and gone on with in a new process's state: to the bit.

use crate::support::{BATCHES, Rows, bytes, kept, lines, run};
use wgrad_graph::Device;

const EPOCHS: u64 = 3;

#[test]
fn a_run_ended_anywhere_goes_on_to_the_bit() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let mut alone = kept(run(1, &device), &folder.path().join("alone"), 4);
    let fitted = alone.fit(Rows::new(&device), EPOCHS).expect("a run");
    assert_eq!((fitted.steps, fitted.epochs), (EPOCHS * BATCHES, EPOCHS));
    let want = bytes(&mut alone, folder.path());
    let want_lines = lines(&folder.path().join("alone"));
    assert_eq!(want_lines.len() as u64, EPOCHS * BATCHES + EPOCHS + 1);
    for stop in 1..EPOCHS * BATCHES {
        let at = folder.path().join(format!("stopped-{stop}"));
        let mut first = kept(run(1, &device), &at, 4).max_steps(stop);
        first.fit(Rows::new(&device), EPOCHS).expect("a part");
        drop(first);
        // Another seed: whatever is not put back shows.
        let mut rest = kept(run(100 + stop, &device), &at, 4).resume(true);
        let fitted = rest.fit(Rows::new(&device), EPOCHS).expect("the rest");
        assert_eq!(fitted.steps, EPOCHS * BATCHES, "stopped after {stop}");
        let have = bytes(&mut rest, folder.path());
        let differs = want.iter().zip(&have).position(|(a, b)| a != b);
        assert_eq!(
            (have.len(), differs),
            (want.len(), None),
            "stopped after {stop}"
        );
        for (have, want) in lines(&at).iter().zip(&want_lines) {
            assert_eq!(have, want, "stopped after {stop}");
        }
        assert_eq!(lines(&at).len(), want_lines.len(), "stopped after {stop}");
    }
}

#[test]
fn a_run_that_is_taken_up_between_epochs_writes_the_same_lines() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let between = |name: &str| {
        let folder = folder.path().join(name);
        run(1, &device)
            .checkpoint(folder.join("c"), wgrad_train::Every::Epochs(1), 0)
            .log(folder.join("log"))
            .resume(true)
    };
    between("alone")
        .fit(Rows::new(&device), EPOCHS)
        .expect("a run");
    for epochs in 1..=EPOCHS {
        between("parts")
            .fit(Rows::new(&device), epochs)
            .expect("a part");
    }
    let (alone, parts) = (folder.path().join("alone"), folder.path().join("parts"));
    assert_eq!(lines(&parts), lines(&alone));
}

#[test]
fn checkpoints_are_kept_and_the_best_is_there() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = kept(run(1, &device), folder.path(), 4);
    let fitted = trainer.fit(Rows::new(&device), EPOCHS).expect("a run");
    let names = std::fs::read_dir(folder.path().join("checkpoints")).expect("a folder");
    let mut names: Vec<String> = names
        .map(|f| {
            f.expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "best.safetensors",
            "last.safetensors",
            "step-00000016.safetensors",
            "step-00000020.safetensors",
            "stopping.safetensors",
        ]
        .into_iter()
        .filter(|n| *n != "stopping.safetensors")
        .collect::<Vec<_>>()
    );
    let epochs: Vec<f64> = lines(folder.path())
        .iter()
        .filter_map(|l| l["validation_loss"].as_f64())
        .collect();
    let best = epochs.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(epochs.len() as u64, EPOCHS);
    let mut again = run(9, &device);
    wgrad_train::weights::load(
        &mut again.state,
        folder.path().join("checkpoints/best.safetensors"),
    )
    .expect("a trainer's checkpoint is a state's file");
    let score = again.evaluate(Rows::new(&device)).expect("a score")[0].1;
    assert_eq!(score as f32, best as f32);
    assert!(fitted.get("validation_loss").expect("a score") >= best);
}

#[test]
fn another_runs_checkpoint_is_an_error_that_lists_what_differs() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = kept(run(1, &device), folder.path(), 4).max_steps(3);
    trainer.fit(Rows::new(&device), 1).expect("a run");
    let path = folder.path().join("checkpoints/last.safetensors");
    let other = (crate::support::net(1, &device), wgrad_nn::Sgd::new(0.1));
    let mut other = wgrad_train::Trainer::new(
        other,
        |(net, _), (x, _): (wgrad_graph::Tensor, wgrad_graph::Tensor)| {
            Ok(net.forward(&x, &mut wgrad_nn::Context::eval()).sum())
        },
    )
    .resume_from(&path)
    .quiet();
    let before = other
        .state
        .0
        .get("in")
        .map(|l| l.parameters()[0].to_vec::<f32>().expect("weights"));
    let error = other.fit(Rows::new(&device), 1).expect_err("another run");
    let text = error.to_string();
    assert!(
        text.contains("last.safetensors") && text.contains("1#0"),
        "{text}"
    );
    let after = other
        .state
        .0
        .get("in")
        .map(|l| l.parameters()[0].to_vec::<f32>().expect("weights"));
    assert_eq!(before, after);
    let mut fresh = run(2, &device).resume_from(folder.path().join("absent.safetensors"));
    let error = fresh
        .fit(Rows::new(&device), 1)
        .expect_err("absent")
        .to_string();
    assert!(error.contains("absent.safetensors"), "{error}");
}
