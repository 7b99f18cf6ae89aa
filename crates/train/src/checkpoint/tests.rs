//! Checkpoints in memory and on a sound disk; `tests/checkpoint_faults.rs` has the faults.

use super::*;

fn sample() -> Checkpoint {
    let array = |dtype: DType, shape: &[usize]| {
        let count = byte_len(shape, dtype.size()).unwrap();
        let bytes = (0..count)
            .map(|i| {
                if dtype == DType::Bool {
                    i as u8 % 2
                } else {
                    i as u8
                }
            })
            .collect();
        Array {
            dtype,
            shape: shape.to_vec(),
            bytes,
        }
    };
    let arrays = [
        ("weight", array(DType::F32, &[2, 3])),
        ("half", array(DType::F16, &[3])),
        ("brain", array(DType::BF16, &[3])),
        ("step", array(DType::U32, &[])),
        ("labels", array(DType::I32, &[0, 4])),
        ("bytes", array(DType::U8, &[5])),
        ("mäsk", array(DType::Bool, &[3])),
    ];
    Checkpoint {
        arrays: arrays
            .into_iter()
            .map(|(name, array)| (name.to_owned(), array))
            .collect(),
        metadata: BTreeMap::from([
            ("seed".to_owned(), "7".to_owned()),
            ("ε".to_owned(), "\"\n".to_owned()),
        ]),
    }
}

/// A file with this header and `data` zero bytes.
fn forged(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn refused(bytes: &[u8]) -> CheckpointError {
    let error = Checkpoint::from_bytes(bytes, "some/file").unwrap_err();
    assert!(error.to_string().contains("some/file"), "{error}");
    error
}

#[test]
fn round_trip_of_every_dtype() {
    let bytes = sample().to_bytes().unwrap();
    assert_eq!(Checkpoint::from_bytes(&bytes, "x").unwrap(), sample());
    assert_eq!(
        Checkpoint::from_bytes(&bytes, "x")
            .unwrap()
            .to_bytes()
            .unwrap(),
        bytes
    );
}

#[test]
fn the_safetensors_crate_reads_it_and_arrays_are_aligned() {
    let bytes = sample().to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        file.tensor("weight").unwrap().data(),
        sample().arrays["weight"].bytes
    );
    let (header, info) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    assert_eq!(info.info("half").unwrap().data_offsets.0 % 2, 0);
    assert_eq!(
        info.metadata().as_ref().unwrap()[FORMAT_KEY],
        FORMAT_VERSION
    );
}

#[test]
fn an_empty_checkpoint_is_valid() {
    let bytes = Checkpoint::default().to_bytes().unwrap();
    assert_eq!(
        Checkpoint::from_bytes(&bytes, "x").unwrap(),
        Checkpoint::default()
    );
}

#[test]
fn save_and_load() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    sample().save(&path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap(), sample());
    assert_eq!(std::fs::read(&path).unwrap(), sample().to_bytes().unwrap());
}

#[test]
fn load_names_the_file_that_is_missing_or_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("absent"), directory.path().to_owned()] {
        let error = Checkpoint::load(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::File(_)), "{error:?}");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_saved_is_refused_before_the_file_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let broken = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = sample();
        change(&mut checkpoint);
        let error = checkpoint.save(&path).unwrap_err();
        assert!(!path.exists());
        error
    };
    let error = broken(|c| c.arrays.get_mut("weight").unwrap().bytes.push(0));
    assert!(
        matches!(&error, CheckpointError::Array { name, .. } if name == "weight"),
        "{error}"
    );
    let error = broken(|c| c.arrays.get_mut("mäsk").unwrap().bytes[2] = 2);
    assert!(
        matches!(&error, CheckpointError::Array { name, .. } if name == "mäsk"),
        "{error}"
    );
    let error = broken(|c| c.arrays.get_mut("labels").unwrap().shape = vec![usize::MAX, 2]);
    assert!(
        matches!(&error, CheckpointError::Array { name, .. } if name == "labels"),
        "{error}"
    );
    let error = broken(|c| drop(c.metadata.insert(FORMAT_KEY.to_owned(), "2".to_owned())));
    assert!(matches!(error, CheckpointError::Reserved { .. }));
    let error = broken(|c| {
        drop(
            c.arrays
                .insert(METADATA_KEY.to_owned(), c.arrays["step"].clone()),
        )
    });
    assert!(matches!(error, CheckpointError::Reserved { .. }));
    let error = broken(|c| {
        drop(
            c.metadata
                .insert("big".to_owned(), "x".repeat(MAX_HEADER_BYTES as usize)),
        )
    });
    assert!(matches!(error, CheckpointError::HeaderTooLarge { .. }));
}

#[test]
fn lengths_that_lie() {
    let bytes = sample().to_bytes().unwrap();
    assert!(matches!(
        refused(&[]),
        CheckpointError::Length {
            expected: 8,
            found: 0,
            ..
        }
    ));
    assert!(matches!(
        refused(&bytes[..bytes.len() - 1]),
        CheckpointError::Length { .. }
    ));
    assert!(matches!(
        refused(&bytes[..40]),
        CheckpointError::Length { .. }
    ));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(refused(&longer), CheckpointError::Length { .. }));
    let mut huge = bytes;
    huge[..8].fill(0xff);
    assert!(matches!(
        refused(&huge),
        CheckpointError::HeaderTooLarge { .. }
    ));
}

#[test]
fn headers_that_lie_name_the_array() {
    let cases = [
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#,
            "cannot lie",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            "cannot lie",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}}"#,
            "cannot lie",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#,
            "gap",
        ),
        (
            r#"{"a":{"dtype":"BF8","shape":[2],"data_offsets":[0,8]}}"#,
            "BF8",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            "-2",
        ),
        (
            r#"{"__metadata__":{"wgrad.format":"1"},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#,
            "F64",
        ),
        (
            r#"{"0":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
            "overlaps",
        ),
    ];
    for (header, expected) in cases {
        let error = refused(&forged(header, 8));
        assert!(
            matches!(&error, CheckpointError::Array { name, .. } if name == "a"),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn headers_that_are_not_headers() {
    for header in [
        "",
        "[]",
        "{",
        "null",
        "{\"a\":\u{1}}",
        r#"{"__metadata__":{"a":1}}"#,
    ] {
        assert!(
            matches!(refused(&forged(header, 0)), CheckpointError::Header { .. }),
            "{header}"
        );
    }
    let nested = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(matches!(
        refused(&forged(&nested, 0)),
        CheckpointError::Header { .. }
    ));
}

#[test]
fn unknown_versions_are_refused() {
    let found = |header| match refused(&forged(header, 0)) {
        CheckpointError::Version { found, .. } => found,
        error => panic!("{error}"),
    };
    assert_eq!(
        found(r#"{"__metadata__":{"wgrad.format":"2"}}"#).as_deref(),
        Some("2")
    );
    assert_eq!(found(r#"{"__metadata__":{}}"#), None);
    assert_eq!(found("{}"), None);
}
