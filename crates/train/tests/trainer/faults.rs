//! Mistakes and mishaps: a clear error each, nothing lost.

use crate::support::{Rows, kept, lines, net, run, state, step};
use wgrad_data::from_fn;
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};
use wgrad_nn::{Context, Linear, Module, Optimizer, Sequential, Sgd, gradients};
use wgrad_train::{Every, TrainError, Trainer};

type Simple = (Sequential, Sgd);

fn simple((net, sgd): &mut Simple, (x, y): (Tensor, Tensor)) -> wgrad_graph::Result<Tensor> {
    let loss = (net.forward(&x, &mut Context::eval()) - y).square().mean();
    let g = gradients(&loss, net)?;
    sgd.step(net, &g)?;
    Ok(loss)
}

fn pairs(
    width: usize,
    device: &Device,
) -> impl wgrad_data::Batches<Item = (Tensor, Tensor)> + use<> {
    let device = device.clone();
    from_fn(4, move |epoch, batch| {
        let x = Generator::from_state([3, epoch, batch]).normal(&[8, width as _], &device);
        Ok((x.clone(), x.sum_dims(&[1], true)))
    })
}

#[test]
fn shapes_that_do_not_fit_are_told_before_training() {
    let device = Device::cpu();
    let mut trainer = Trainer::new((net(1, &device), Sgd::new(0.1)), simple).quiet();
    let before = trainer.state.0.state()[0]
        .1
        .to_vec::<f32>()
        .expect("weights");
    let text = trainer
        .fit(pairs(5, &device), 1)
        .expect_err("5 are not 4")
        .to_string();
    for part in ["before training", "\"in\"", "[8, 5]", "[4, 8]"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    assert_eq!(trainer.steps(), 0);
    assert_eq!(
        trainer.state.0.state()[0]
            .1
            .to_vec::<f32>()
            .expect("weights"),
        before
    );
    // Of the validation too, although it would come hours later.
    let mut trainer = Trainer::new((net(1, &device), Sgd::new(0.1)), simple)
        .evaluation(|(net, _): &mut Simple, (x, _)| {
            Ok(net.forward(&x, &mut Context::eval()).mean())
        })
        .validate(pairs(3, &device))
        .quiet();
    let text = trainer
        .fit(pairs(4, &device), 1)
        .expect_err("3 are not 4")
        .to_string();
    assert!(
        text.contains("evaluation, before training") && text.contains("[8, 3]"),
        "{text}"
    );
    assert_eq!(trainer.steps(), 0);
}

#[test]
fn a_validation_that_fails_as_it_runs_is_told_before_training() {
    let device = Device::cpu();
    let mut trainer = Trainer::new((net(1, &device), Sgd::new(0.1)), simple)
        .evaluation(|(net, _): &mut Simple, (x, _)| {
            // A class that is not there is known on the device alone.
            let bad = Tensor::full(&[8], 7.0, DType::I32, x.device());
            let out = net.forward(&x, &mut Context::eval());
            Ok(out.cross_entropy(&bad, wgrad_graph::Reduction::Mean))
        })
        .validate(pairs(4, &device))
        .validate_first(2)
        .quiet();
    let text = trainer
        .fit(pairs(4, &device), 1)
        .expect_err("a bad class")
        .to_string();
    assert!(
        text.contains("evaluation of batch 1") && text.contains("index"),
        "{text}"
    );
    assert_eq!(trainer.steps(), 0);
}

#[test]
fn steps_that_give_something_else() {
    let device = Device::cpu();
    let fit = |f: &mut dyn FnMut(u64, Tensor) -> wgrad_graph::Result<Vec<(String, Tensor)>>| {
        let state = (net(1, &device), Sgd::new(0.1));
        let mut calls = 0;
        let mut trainer = Trainer::new(
            state,
            |(net, sgd): &mut Simple, (x, y): (Tensor, Tensor)| {
                let loss = (net.forward(&x, &mut Context::eval()) - y).square().mean();
                // Read on the host, so that the function runs each time.
                let _ = sgd.steps();
                calls += 1;
                f(calls, loss)
            },
        )
        .quiet();
        trainer
            .fit(pairs(4, &device), 3)
            .expect_err("a mistake")
            .to_string()
    };
    let of = |name: &str, t: Tensor| Ok(vec![(name.to_string(), t)]);
    let text = fit(&mut |n, loss| of(if n < 4 { "loss" } else { "los" }, loss));
    assert!(
        text.contains("gave the scalars loss before and gives los now"),
        "{text}"
    );
    let text = fit(&mut |_, loss| of("loss", loss.expand(&[3])));
    assert!(text.contains("the scalar loss has the shape [3]"), "{text}");
    let text = fit(&mut |_, loss| of("loss", loss.reshape(&[2, 2])));
    assert!(
        text.contains("reshape") && text.contains("faults.rs"),
        "{text}"
    );
    let text = fit(&mut |_, _| Ok(Vec::new()));
    assert!(text.contains("gives no scalar"), "{text}");
    let text = fit(&mut |_, loss| Ok(vec![("a".into(), loss.clone()), ("a".into(), loss)]));
    assert!(text.contains("two scalars named a"), "{text}");
}

#[test]
fn empty_loaders() {
    let device = Device::cpu();
    let none = || {
        from_fn(0, |_, _| -> wgrad_data::Result<(Tensor, Tensor)> {
            unreachable!()
        })
    };
    let mut trainer = Trainer::new((net(1, &device), Sgd::new(0.1)), simple)
        .evaluation(|(net, _): &mut Simple, (x, _)| {
            Ok(net.forward(&x, &mut Context::eval()).mean())
        })
        .prediction(|(net, _), (x, _)| Ok(net.forward(&x, &mut Context::eval())))
        .quiet();
    for error in [
        trainer.fit(none(), 1).expect_err("no batch"),
        trainer.evaluate(none()).expect_err("no batch"),
        trainer.predict(none()).expect_err("no batch"),
    ] {
        assert!(matches!(error, TrainError::Empty(_)), "{error}");
    }
    assert_eq!(
        trainer.predict(pairs(4, &device)).expect("values").shape(),
        [32, 1]
    );
}

#[test]
fn a_folder_that_cannot_be_written() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let checkpoints = kept(run(1, &device), &file, 1);
    let log = run(1, &device).log(file.join("log"));
    for mut trainer in [checkpoints, log] {
        let text = trainer
            .fit(Rows::new(&device), 1)
            .expect_err("a file")
            .to_string();
        assert!(text.contains("file") && text.contains("folder"), "{text}");
        assert_eq!(trainer.steps(), 0);
    }
    assert_eq!(std::fs::read_to_string(&file).expect("text"), "in the way");
}

/// Once as it comes from a batch, in the forward pass; once of a root's derivative, in the backward pass alone.
#[test]
fn a_nan_stops_with_the_operation_named_and_the_last_good_weights() {
    let device = Device::cpu();
    for first in [1, 2, 9, 30] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut rows = Rows::new(&device);
        rows.poison = Some(first);
        let mut trainer = Trainer::new(
            (net(1, &device), Sgd::new(0.1)),
            |s: &mut Simple, (x, y): (Tensor, Tensor)| {
                // As one reads it: log of what is not positive.
                simple(s, (x.exp().log(), y))
            },
        )
        .checkpoint(folder.path(), Every::Steps(1000), 0)
        .quiet();
        let mut good = Trainer::new(
            (net(1, &device), Sgd::new(0.1)),
            |s: &mut Simple, (x, y): (Tensor, Tensor)| simple(s, (x.exp().log(), y)),
        )
        .max_steps(first - 1)
        .quiet();
        good.fit(Rows::new(&device), 100).expect("a good part");
        // The poison is a NaN in the data: the step is named, and no operation made it of finite numbers.
        let error = trainer.fit(&mut rows, 100).expect_err("a NaN");
        let TrainError::NotFinite {
            step, kept: true, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*step, first, "{error}");
        let same = |a: &Simple, b: &Simple| {
            let weights = |s: &Simple| -> Vec<Vec<f32>> {
                s.0.state()
                    .iter()
                    .map(|(_, t)| t.to_vec().expect("weights"))
                    .collect()
            };
            assert_eq!(weights(a), weights(b), "poison {first}");
        };
        same(&trainer.state, &good.state);
        // The checkpoint has them too, and goes on where the bad batch is.
        let mut again = Trainer::new((net(2, &device), Sgd::new(0.1)), simple)
            .checkpoint(folder.path(), Every::Steps(1000), 0)
            .resume(true)
            .max_steps(first - 1)
            .quiet();
        again.fit(Rows::new(&device), 100).expect("at its end");
        same(&again.state, &good.state);
    }
}

#[test]
fn a_nan_of_an_operation_is_named() {
    let device = Device::cpu();
    // log of what falls below 0; √ whose derivative at 0 is infinite.
    for backward in [false, true] {
        let weight = Tensor::new(&[0.35f32], &device);
        let mut trainer = Trainer::new(
            (weight, Sgd::new(0.1)),
            move |(w, sgd): &mut (Tensor, Sgd), x: Tensor| {
                let loss = match backward {
                    false => w.log().sum() + x.sum(),
                    true => (&*w * &x).sqrt().sum(),
                };
                let g = gradients(&loss, w)?;
                sgd.step(w, &g)?;
                Ok(loss)
            },
        )
        .quiet();
        let ones = from_fn(50, |_, _| Ok(Tensor::new(&[0.0f32], &Device::cpu())));
        let error = trainer.fit(ones, 10).expect_err("a NaN");
        let text = error.to_string();
        let TrainError::NotFinite {
            cause: Some(cause), ..
        } = error
        else {
            panic!("{text}");
        };
        let place = if backward { "sqrt" } else { "faults.rs" };
        assert!(text.contains(place), "{text}");
        assert_eq!(cause.op(), if backward { "div" } else { "log" }, "{text}");
        assert!(trainer.state.0.item::<f32>().expect("a weight").is_finite());
    }
}

#[test]
fn an_overflow_that_a_scaler_leaves_out_is_no_nan() {
    let device = Device::cpu();
    let mut own = state(1, &device);
    own.scaler = own.scaler.init_scale(f32::MAX);
    let mut trainer = Trainer::new(own, step)
        .before_step(|s, _| {
            s.update = true;
            Ok(())
        })
        .quiet();
    trainer.fit(Rows::new(&device), 1).expect("a run");
    assert!(trainer.state.scaler.scale.item::<f32>().expect("a scale") < f32::MAX);
}

#[test]
fn a_lost_gpu_loses_no_checkpoint() {
    let gpu = match Device::gpu_blocking(None, &wgrad_graph::Settings::default()) {
        Ok(gpu) => gpu,
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => {
            println!("skipped: no adapter ({e})");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let lose = gpu.clone();
    let mut trainer = kept(run(1, &gpu), folder.path(), 4).every(Every::Steps(10), move |_, _| {
        lose.as_gpu().expect("a GPU").lose();
        Ok(())
    });
    let error = trainer.fit(Rows::new(&gpu), 3).expect_err("lost");
    let TrainError::DeviceLost {
        checkpoint: Some(path),
        source,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), ErrorKind::DeviceLost);
    assert!(error.to_string().contains("last.safetensors") && path.exists());
    // It goes on on the cpu.
    let cpu = Device::cpu();
    let mut rest = kept(run(2, &cpu), folder.path(), 4).resume(true);
    let fitted = rest.fit(Rows::new(&cpu), 3).expect("the rest");
    assert_eq!(fitted.steps, 21);
    let steps: Vec<u64> = lines(folder.path())
        .iter()
        .filter(|l| l["event"] == "step")
        .filter_map(|l| l["step"].as_u64())
        .collect();
    assert_eq!(steps, (1..=21).collect::<Vec<_>>());
}

#[test]
fn a_state_that_steps_complete_goes_on() {
    #[derive(Module)]
    #[module(crate = wgrad_nn)]
    struct Lazy {
        net: Linear,
        sgd: Sgd,
        #[module(buffer)]
        mean: Option<Tensor>,
    }
    let device = Device::cpu();
    let new = |seed| Lazy {
        net: Linear::new(4, 1, &mut Generator::new(seed), &device),
        sgd: Sgd::new(0.1).momentum(0.9),
        mean: None,
    };
    let step = |s: &mut Lazy, (x, y): (Tensor, Tensor)| {
        let loss = (s.net.forward(&x) - y).square().mean();
        let mean = x.mean();
        s.mean = Some(match &s.mean {
            Some(old) => old * 0.9 + mean * 0.1,
            None => mean,
        });
        let g = gradients(&loss, &s.net)?;
        s.sgd.step(&mut s.net, &g)?;
        Ok(loss)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.safetensors");
    let mut alone = Trainer::new(new(1), step).quiet();
    alone.fit(Rows::new(&device), 2).expect("a run");
    let mut first = Trainer::new(new(1), step).max_steps(9).quiet();
    first.fit(Rows::new(&device), 2).expect("a part");
    first.save(&path).expect("written");
    let mut rest = Trainer::new(new(7), step).resume_from(&path).quiet();
    rest.fit(Rows::new(&device), 2).expect("the rest");
    let of = |t: &Trainer<'_, Lazy, (Tensor, Tensor)>| -> Vec<Vec<f32>> {
        t.state
            .state()
            .iter()
            .map(|(_, t)| t.cast(DType::F32).to_vec().expect("values"))
            .collect()
    };
    assert_eq!(of(&rest), of(&alone));
}

#[cfg(target_os = "linux")]
const AS_ROOT: &str = "WGRAD_TEST_AS_ROOT";

/// Who may not mount is root among names of their own, where the kernel has them: the same test once more in there.
#[cfg(target_os = "linux")]
fn full_disk_as_root() {
    let unshare = |program: &std::ffi::OsStr| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command.arg(program).env(AS_ROOT, "1");
        command
    };
    if !unshare("true".as_ref()).status().is_ok_and(|s| s.success()) {
        return println!("skipped: neither mount nor unshare is allowed here");
    }
    let program = std::env::current_exe().expect("this program");
    let status = unshare(program.as_os_str())
        .args(["faults::a_full_disk_loses_nothing", "--exact"])
        .status();
    assert!(status.is_ok_and(|s| s.success()), "the test as root");
}

/// A full disk: the run goes on, the old checkpoint stays whole, and the last one's error is the run's.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    let device = Device::cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mount = |args: &[&str]| {
        let status = std::process::Command::new(args[0])
            .args(&args[1..])
            .arg(&disk)
            .status();
        status.is_ok_and(|s| s.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        assert!(std::env::var_os(AS_ROOT).is_none(), "mount fails for root");
        return full_disk_as_root();
    }
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&disk);
    let (full, at) = (disk.join("ballast"), disk.clone());
    let ballast = full.clone();
    let mut trainer = kept(run(1, &device), &disk, 4)
        .every(Every::Steps(6), move |_, state| {
            let room = vec![0u8; 1 << 20];
            let written = std::fs::write(&ballast, &room);
            assert!(written.is_err() || state.step() > 6, "the disk is full");
            Ok(())
        })
        .max_steps(14);
    let error = trainer
        .fit(Rows::new(&device), 3)
        .expect_err("full")
        .to_string();
    assert!(
        error.contains("checkpoints/") && error.contains("temporary file"),
        "{error}"
    );
    assert_eq!(trainer.steps(), 14, "training went on");
    // What was written before is whole.
    let mut rest = kept(run(2, &device), &at, 4).resume(true).max_steps(4);
    std::fs::remove_file(&full).expect("room");
    assert_eq!(rest.fit(Rows::new(&device), 3).expect("whole").steps, 4);
    // And the first trainer still has everything.
    trainer.save(disk.join("all.safetensors")).expect("room");
}
