//! Checkpoints under kill -9, a full disk and damaged files.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wgrad_train::checkpoint::{Array, Checkpoint, DType};

/// 1 MiB of floats that all hold `version`, so that a mixture of two versions shows.
fn versioned(version: u32) -> Checkpoint {
    let array = |count: usize| Array {
        dtype: DType::F32,
        shape: vec![count],
        bytes: (version as f32).to_le_bytes().repeat(count),
    };
    Checkpoint {
        arrays: (0..4)
            .map(|i| (format!("layer{i}.weight"), array(1 << 16)))
            .collect(),
        metadata: BTreeMap::from([("version".to_owned(), version.to_string())]),
    }
}

#[cfg(unix)]
mod processes {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::time::Duration;

    use wgrad_train::checkpoint::{Checkpoint, CheckpointError};

    use super::versioned;

    const PATH: &str = "WGRAD_TEST_CHECKPOINT";

    fn path_from_parent() -> PathBuf {
        std::env::var_os(PATH)
            .expect("run by the other tests only")
            .into()
    }

    fn version_of(path: &Path) -> u32 {
        let checkpoint = Checkpoint::load(path).unwrap();
        let version = checkpoint.metadata["version"].parse().unwrap();
        assert!(
            checkpoint == versioned(version),
            "version {version} is a mixture"
        );
        version
    }

    fn temporaries(directory: &Path) -> usize {
        let entries = std::fs::read_dir(directory).unwrap();
        entries
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .ends_with(".tmp")
            })
            .count()
    }

    /// This test binary again, running one ignored test under `sh`.
    fn child(test: &str, path: &Path, setup: &str) -> Child {
        Command::new("sh")
            .arg("-c")
            .arg(format!(
                "{setup} exec \"$0\" --exact processes::{test} --ignored --test-threads=1"
            ))
            .arg(std::env::current_exe().unwrap())
            .env(PATH, path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    #[ignore = "the child of killed_while_saving"]
    fn child_saves_for_ever() {
        let path = path_from_parent();
        for version in version_of(&path) + 1.. {
            versioned(version).save(&path).unwrap();
        }
    }

    #[test]
    fn killed_while_saving() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        versioned(0).save(&path).unwrap();
        let mut last = 0;
        for round in 0..30 {
            let mut process = child("child_saves_for_ever", &path, "");
            std::thread::sleep(Duration::from_millis(30 + 7 * round));
            process.kill().unwrap();
            process.wait().unwrap();
            let version = version_of(&path);
            assert!(version >= last, "{version} after {last}");
            last = version;
        }
        assert!(last > 0, "no child lived long enough to save");
        // What a kill leaves behind shows that some of them fell into the middle of a save.
        assert!(
            temporaries(directory.path()) > 0,
            "no kill fell into a save"
        );
    }

    #[test]
    #[ignore = "the child of full_disk"]
    fn child_meets_a_full_disk() {
        let path = path_from_parent();
        let error = versioned(2).save(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::File(_)), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }

    fn run(test: &str, path: &Path, setup: &str) -> ExitStatus {
        child(test, path, setup).wait().unwrap()
    }

    /// A file size limit of 128 KiB to 256 KiB (the unit of `ulimit` depends on the shell) makes
    /// writes fail half-way, as a full disk does; without the trap it would kill the process.
    #[test]
    fn full_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        versioned(1).save(&path).unwrap();
        let status = run(
            "child_meets_a_full_disk",
            &path,
            "trap '' XFSZ; ulimit -f 256;",
        );
        assert!(status.success(), "{status}");
        assert_eq!(version_of(&path), 1);
        assert_eq!(temporaries(directory.path()), 0);
    }
}

fn arrays() -> impl Strategy<Value = BTreeMap<String, Array>> {
    let dtype = prop_oneof![
        Just(DType::F32),
        Just(DType::F16),
        Just(DType::BF16),
        Just(DType::I32),
        Just(DType::U32),
        Just(DType::U8),
        Just(DType::Bool)
    ];
    let array =
        (dtype, prop::collection::vec(0usize..4, 0..3), 0u8..2).prop_map(|(dtype, shape, byte)| {
            let count = shape.iter().product::<usize>() * dtype.size();
            Array {
                dtype,
                shape,
                bytes: vec![byte; count],
            }
        });
    prop::collection::btree_map("[a-c.é\"]{0,4}", array, 0..5)
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    (
        arrays(),
        prop::collection::btree_map("[a-c\\n\"]{0,3}", ".{0,6}", 0..3),
    )
        .prop_map(|(arrays, metadata)| Checkpoint { arrays, metadata })
}

/// No panic; what is accepted is a checkpoint that can be saved, what is not names the file.
fn sound(bytes: &[u8]) {
    match Checkpoint::from_bytes(bytes, "damaged.file") {
        Ok(loaded) => drop(loaded.to_bytes().unwrap()),
        Err(error) => assert!(error.to_string().contains("damaged.file"), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(checkpoint in checkpoint()) {
        let bytes = checkpoint.to_bytes().unwrap();
        prop_assert_eq!(&Checkpoint::from_bytes(&bytes, "x").unwrap(), &checkpoint);
    }

    #[test]
    fn truncation_is_always_refused(checkpoint in checkpoint(), cut in any::<prop::sample::Index>()) {
        let bytes = checkpoint.to_bytes().unwrap();
        let short = &bytes[..cut.index(bytes.len())];
        prop_assert!(Checkpoint::from_bytes(short, "x").is_err());
    }

    #[test]
    fn mutations_never_panic(
        checkpoint in checkpoint(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = checkpoint.to_bytes().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        sound(&bytes);
    }

    /// Digits are where offsets, shapes and types live.
    #[test]
    fn changed_digits_never_panic(checkpoint in checkpoint(), at in any::<prop::sample::Index>(), digit in b'0'..=b'9') {
        let mut bytes = checkpoint.to_bytes().unwrap();
        let digits: Vec<_> = (8..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
        bytes[digits[at.index(digits.len())]] = digit;
        sound(&bytes);
    }

    #[test]
    fn noise_never_panics(length in 0u64..64, noise in prop::collection::vec(any::<u8>(), 0..96)) {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(noise);
        sound(&bytes);
    }
}
