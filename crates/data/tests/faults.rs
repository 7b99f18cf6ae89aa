//! Files that are cut short, too long, lying, corrupt or missing; random and mutated bytes; and the
//! real MNIST where it is at hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use proptest::prelude::*;
use wgrad_data::{Error, Idx, Mnist};

/// An IDX file of u8 with the given dimensions and data, whether or not they agree.
fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn error_of(bytes: &[u8]) -> Error {
    Idx::from_bytes(bytes, "some.idx").unwrap_err()
}

#[test]
fn every_truncation_is_an_error() {
    let whole = idx(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    for len in 0..whole.len() {
        let error = error_of(&whole[..len]);
        let (field, start) = match len {
            0..4 => ("magic number", 0),
            4..12 => ("dimensions", 4),
            _ => ("data", 12),
        };
        let found = (len - start) as u64;
        let names_it = matches!(&error, Error::Truncated { file, field: f, offset, actual, .. }
            if file == "some.idx" && *f == field && *offset == start as u64 && *actual == found);
        assert!(names_it, "{len} bytes: {error}");
    }
    assert_eq!(
        error_of(&whole[..14]).to_string(),
        "some.idx: truncated: data at byte 12 needs 6 bytes, found 2"
    );
}

#[test]
fn every_gzip_truncation_is_an_error() {
    let whole = gzip(&idx(&[40, 50], &[7; 2000]));
    assert!(Idx::from_bytes(&whole, "whole").is_ok());
    for len in 0..whole.len() {
        let error = error_of(&whole[..len]);
        let expected = matches!(error, Error::Gzip { .. } | Error::Truncated { .. });
        assert!(expected, "{len} bytes: {error:?}");
    }
}

#[test]
fn trailing_bytes_are_an_error() {
    let mut bytes = idx(&[3], &[1, 2, 3]);
    bytes.push(9);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let error = error_of(&bytes);
        let expected = matches!(
            error,
            Error::Trailing {
                offset: 11,
                expected: 11,
                actual: 12,
                ..
            }
        );
        assert!(expected, "{error}");
    }
}

#[test]
fn garbage_after_gzip_is_an_error() {
    let mut bytes = gzip(&idx(&[3], &[1, 2, 3]));
    bytes.extend_from_slice(b"garbage that is no gzip member");
    let error = error_of(&bytes);
    assert!(
        matches!(
            error,
            Error::Gzip {
                field: "end of file",
                offset: 11,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn overflowing_dimensions_are_an_error() {
    let most = u32::MAX;
    for dims in [
        vec![most; 3],
        vec![most; 255],
        vec![1 << 16, 1 << 15],
        vec![most, most, 0],
    ] {
        for bytes in [idx(&dims, &[]), gzip(&idx(&dims, &[]))] {
            let error = error_of(&bytes);
            let Error::TooLarge {
                shape,
                offset: 4,
                field: "dimensions",
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!(shape.len(), dims.len());
        }
    }
}

#[test]
fn dimensions_beyond_the_file_are_an_error() {
    let bytes = idx(&[60_000, 28, 14], &[0; 100]);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let error = error_of(&bytes);
        let expected = 60_000 * 28 * 14;
        let found = matches!(error, Error::Truncated { field: "data", expected: e, actual: 100, .. }
            if e == expected);
        assert!(found, "{error}");
    }
}

/// 200 MB of zeros in 200 KB, behind a header that promises 4 bytes: the reader stops after the
/// fifth byte, so the test is quick and small.
#[test]
fn gzip_bomb_is_cut_at_what_the_header_promises() {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(&idx(&[4], &[])).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..200 {
        encoder.write_all(&zeros).unwrap();
    }
    let error = error_of(&encoder.finish().unwrap());
    assert!(
        matches!(error, Error::Trailing { expected: 12, .. }),
        "{error}"
    );
}

#[test]
fn wrong_gzip_checksum_is_an_error() {
    let mut bytes = gzip(&idx(&[3], &[1, 2, 3]));
    let sum = bytes.len() - 8;
    bytes[sum] ^= 1;
    let error = error_of(&bytes);
    assert!(matches!(error, Error::Gzip { .. }), "{error}");
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn other_formats_are_an_error() {
    let error = error_of(b"PK\x03\x04 and so on");
    assert!(
        matches!(
            error,
            Error::Magic {
                offset: 0,
                expected: 0,
                actual: 0x504b,
                ..
            }
        ),
        "{error}"
    );
    let mut floats = idx(&[1], &[0; 4]);
    floats[2] = 0x0d;
    let error = error_of(&floats);
    assert!(
        matches!(
            error,
            Error::Unsupported {
                actual: 0x0d,
                name: "f32",
                offset: 2,
                ..
            }
        ),
        "{error}"
    );
    floats[2] = 0x77;
    assert!(matches!(
        error_of(&floats),
        Error::Unsupported { actual: 0x77, .. }
    ));
}

#[test]
fn missing_path_is_named() {
    let error = Idx::read("/no/such/file.idx").unwrap_err();
    assert!(matches!(error, Error::Io { action: "open", .. }), "{error}");
    assert!(error.to_string().contains("/no/such/file.idx"), "{error}");
}

#[test]
fn folder_in_place_of_a_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Idx::read(dir.path()).is_err());
}

/// A folder with a tiny MNIST whose four files are `(name, content)`.
fn mnist_dir(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// Training images 2 of 1x2, test images 1 of 1x2, in mixed spellings, plain and gzip.
fn tiny_mnist() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "train-images-idx3-ubyte.gz",
            gzip(&idx(&[2, 1, 2], &[1, 2, 3, 4])),
        ),
        ("train-labels.idx1-ubyte", idx(&[2], &[9, 0])),
        ("t10k-images.idx3-ubyte.gz", gzip(&idx(&[1, 1, 2], &[5, 6]))),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[3])),
    ]
}

#[test]
fn mnist_loads_in_any_spelling() {
    let dir = mnist_dir(&tiny_mnist());
    let (train, test) = Mnist::load(dir.path()).unwrap();
    assert_eq!(
        (train.len(), train.height(), train.width(), train.classes()),
        (2, 1, 2, 10)
    );
    assert_eq!(train.get(1), Some(([3, 4].as_slice(), 0)));
    assert_eq!(
        (test.images(), test.labels()),
        ([5, 6].as_slice(), [3].as_slice())
    );
}

#[test]
fn mnist_from_bytes_is_the_same() {
    let files = tiny_mnist();
    let dir = mnist_dir(&files);
    let set = Mnist::from_bytes("MNIST train", &files[0].1, &files[1].1).unwrap();
    assert_eq!(set, Mnist::load(dir.path()).unwrap().0);
}

#[test]
fn missing_mnist_file_names_folder_and_spellings() {
    let dir = mnist_dir(&tiny_mnist()[..3]);
    let error = Mnist::load(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Missing {
                what: "MNIST test labels",
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    let folder = dir.path().display().to_string();
    assert!(
        text.contains(&folder) && text.contains("t10k-labels.idx1-ubyte.gz"),
        "{text}"
    );
    assert!(matches!(
        Mnist::load("/no/such"),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn mnist_files_that_disagree_are_an_error() {
    let with = |at: usize, content: Vec<u8>| {
        let mut files = tiny_mnist();
        files[at].1 = content;
        Mnist::load(mnist_dir(&files).path()).unwrap_err()
    };
    let error = with(1, idx(&[3], &[1, 2, 3]));
    assert!(
        matches!(
            error,
            Error::Count {
                expected: 2,
                actual: 3,
                ..
            }
        ),
        "{error}"
    );
    let error = with(1, idx(&[2], &[1, 10]));
    assert!(
        matches!(
            error,
            Error::Label {
                index: 1,
                label: 10,
                classes: 10,
                ..
            }
        ),
        "{error}"
    );
    let error = with(3, idx(&[1, 1], &[1]));
    assert!(
        matches!(
            error,
            Error::Rank {
                field: "labels",
                expected: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = with(0, gzip(&idx(&[2, 2], &[1, 2, 3, 4])));
    let named = error.to_string().contains("train-images-idx3-ubyte.gz");
    assert!(
        named && matches!(error, Error::Rank { expected: 3, .. }),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Random bytes, with and without a plausible beginning, end in a value that keeps its promise
    /// or in an error.
    #[test]
    fn random_bytes_do_no_harm(kind in 0..4_u8, tail in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = match kind {
            0 => vec![],
            1 => vec![0, 0, 8],
            2 => vec![0, 0, 8, 1, 0, 0, 0],
            _ => vec![0x1f, 0x8b, 8, 0],
        };
        bytes.extend(tail);
        check_promise(&bytes)?;
        check_promise(&gzip(&bytes))?;
    }

    /// Valid files with a few bytes changed, inserted or cut.
    #[test]
    fn mutated_files_do_no_harm(
        zipped: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let whole = idx(&[3, 4, 5], &(0..60).collect::<Vec<u8>>());
        let mut bytes = if zipped { gzip(&whole) } else { whole };
        for (at, value, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = value,
                1 => bytes.insert(at, value),
                _ => bytes.truncate(at.max(1)),
            }
        }
        check_promise(&bytes)?;
    }
}

fn check_promise(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Idx::from_bytes(bytes, "fuzz") {
        Ok(idx) => prop_assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len()),
        Err(error) => prop_assert!(error.to_string().starts_with("fuzz: ")),
    }
    Ok(())
}

/// The folder that holds the real files beside the checkout, where there is one.
fn real_mnist() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mnist");
    if dir.exists() {
        return Some(dir);
    }
    println!("absent: ../shared/data/mnist");
    None
}

#[test]
fn real_mnist_is_read_right() {
    let Some(dir) = real_mnist() else { return };
    let (train, test) = Mnist::load(dir).unwrap();
    assert_eq!(
        (train.len(), train.height(), train.width()),
        (60_000, 28, 28)
    );
    assert_eq!((test.len(), test.height(), test.width()), (10_000, 28, 28));
    assert_eq!(&train.labels()[..5], [5, 0, 4, 1, 9]);
    let (mean, std) = train.mean_std();
    assert!(
        (mean - 0.1307).abs() < 1e-4 && (std - 0.3081).abs() < 1e-4,
        "{mean} {std}"
    );

    let mut sum = Md5::new();
    sum.update(idx(&[60_000, 28, 28], &[]));
    sum.update(train.images());
    let hex: String = sum
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, "6bbc9ace898e44ae57da46a324031adb");
}
