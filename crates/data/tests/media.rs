//! CIFAR's archives, image files and folders: what is written is read, hostile bytes are errors, and the photograph beside
//! the checkout.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use wgrad_data::cifar::{CIFAR10_CLASSES, Labels};
use wgrad_data::{Cifar10, Cifar100, Error, ImageDataset};

const PIXELS: usize = 3072;

/// A ustar archive of these members.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in members {
        bytes.extend(header(path, content.len() as u64));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn header(path: &str, size: u64) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = b'0';
    block[257..262].copy_from_slice(b"ustar");
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Records of these labels, whose pixels count up from the first label.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    let record = |labels: &&[u8]| {
        let first = labels[0];
        let pixels = (0..PIXELS).map(move |i| first.wrapping_add(i as u8));
        labels.iter().copied().chain(pixels).collect::<Vec<_>>()
    };
    labels.iter().flat_map(record).collect()
}

fn cifar10() -> Vec<(String, Vec<u8>)> {
    let mut members = vec![(
        "cifar-10-batches-bin/readme.html".to_owned(),
        b"hello".to_vec(),
    )];
    for batch in 1..=5_u8 {
        let name = format!("cifar-10-batches-bin/data_batch_{batch}.bin");
        members.push((name, records(&[&[batch], &[9]])));
    }
    members.push((
        "cifar-10-batches-bin/test_batch.bin".to_owned(),
        records(&[&[3]]),
    ));
    members
}

fn archived(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let list: Vec<(&str, &[u8])> = members.iter().map(|(n, b)| (&**n, &**b)).collect();
    tar(&list)
}

fn check10((train, test): &(ImageDataset, ImageDataset)) {
    assert_eq!(train.labels(), [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
    assert_eq!(
        (train.channels(), train.height(), train.width()),
        (3, 32, 32)
    );
    let (pixels, label) = test.get(0).unwrap();
    assert_eq!((pixels[0], pixels[3071], label), (3, 2, 3));
    assert_eq!(test.class_names()[usize::from(label)], "cat");
    assert_eq!(test.class_names(), CIFAR10_CLASSES);
}

#[test]
fn cifar10_is_read_from_archives_and_folders() {
    let members = cifar10();
    let plain = archived(&members);
    check10(&Cifar10::from_archive(&plain[..], "c").unwrap());
    let packed = gzip(&plain);
    check10(&Cifar10::from_archive(&packed[..], "c").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let error = Cifar10::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("looked for cifar-10-binary.tar.gz, data_batch_1.bin"),
        "{error}"
    );
    for (name, content) in &members {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    check10(&Cifar10::load(dir.path()).unwrap());
    check10(&Cifar10::load(dir.path().join("cifar-10-batches-bin")).unwrap());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cifar-10-binary.tar.gz"), packed).unwrap();
    check10(&Cifar10::load(dir.path()).unwrap());
}

#[test]
fn cifar100_has_two_kinds_of_labels() {
    let names =
        |n: usize, prefix: &str| (0..n).map(|i| format!("{prefix}{i}\n")).collect::<String>();
    let (fine, coarse) = (names(100, "fine "), names(20, "coarse "));
    let bytes = tar(&[
        ("cifar-100-binary/fine_label_names.txt", fine.as_bytes()),
        ("cifar-100-binary/coarse_label_names.txt", coarse.as_bytes()),
        (
            "cifar-100-binary/train.bin",
            &records(&[&[19, 99], &[0, 7]]),
        ),
        ("cifar-100-binary/test.bin", &records(&[&[4, 20]])),
    ]);
    let (train, test) = Cifar100::from_archive(&bytes[..], "c", Labels::Fine).unwrap();
    assert_eq!((train.labels(), test.labels()), (&[99, 7][..], &[20][..]));
    assert_eq!(
        (train.classes(), &*train.class_names()[99]),
        (100, "fine 99")
    );
    let (train, _) = Cifar100::from_archive(&bytes[..], "c", Labels::Coarse).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[19, 0][..], 20));
}

#[test]
fn hostile_archives_are_errors() {
    let members = cifar10();
    let whole = archived(&members);
    let message = |bytes: &[u8]| {
        Cifar10::from_archive(bytes, "c.tar")
            .unwrap_err()
            .to_string()
    };
    // Cut at every block and a little beside it.
    for len in (0..whole.len() - 1024)
        .step_by(512)
        .chain([1, 511, 513, 1030])
    {
        if len + 1024 + 512 > whole.len() - 512 {
            continue;
        }
        assert!(message(&whole[..len]).starts_with("c.tar: "), "{len}");
    }
    assert!(message(b"").contains("has no `data_batch_1.bin`"));
    let mut lying = header("data_batch_1.bin", 0o7777_7777_7777_u64 >> 3);
    assert!(message(&lying).contains("over the limit"));
    lying = header("data_batch_1.bin", 6000);
    lying.extend([0; 100]);
    assert!(message(&lying).contains("promises 6000 bytes, the archive ends after 100"));
    lying = header("other", u64::from(u32::MAX));
    assert!(message(&lying).contains("ends within a member"));
    let mut bent = whole.clone();
    bent[3] ^= 1;
    assert!(message(&bent).contains("checksum is wrong"));
    let twice = tar(&[
        ("a/data_batch_1.bin", &records(&[&[0]])),
        ("b/data_batch_1.bin", b""),
    ]);
    assert!(message(&twice).contains("stands there twice"));
    let mut label = members.clone();
    label[3].1[PIXELS + 1] = 10;
    let error = message(&archived(&label));
    assert_eq!(
        error,
        "c.tar: data_batch_3.bin: at byte 3073: label 10 is not below the 10 classes"
    );
    let mut short = members.clone();
    short[6].1.pop();
    assert!(
        message(&archived(&short)).contains("3072 bytes are no whole number of records of 3073")
    );
    let packed = gzip(&whole);
    for len in [5, 30, packed.len() / 2] {
        assert!(message(&packed[..len]).starts_with("c.tar: "));
    }
    // A megabyte of zeros is an archive without members.
    assert!(message(&gzip(&vec![0; 1 << 20])).contains("has no"));
}

proptest! {
    #[test]
    fn bent_archives_are_archives_or_errors(at in 0_usize..4096, byte: u8, len in 0_usize..40_000) {
        let mut bytes = archived(&cifar10());
        bytes[at] = byte;
        bytes.truncate(bytes.len().min(len.max(at + 1)));
        let _ = Cifar10::from_archive(&bytes[..], "c");
    }
}

#[cfg(feature = "images")]
mod folders {
    use super::*;
    use wgrad_data::folder::{ImageFolder, ImageOptions, Resize, decode_image, read_image};
    use wgrad_data::{Dataset, Loader};
    use wgrad_graph::Device;

    fn write(path: &Path, width: u32, height: u32, color: [u8; 3]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut image = image::RgbImage::from_pixel(width, height, image::Rgb(color));
        image.put_pixel(0, 0, image::Rgb([0, 0, 0]));
        image.save(path).unwrap();
    }

    #[test]
    fn folders_are_classes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(&root.join("dog/b.png"), 4, 2, [255, 0, 102]);
        write(&root.join("dog/a.png"), 4, 2, [51, 51, 51]);
        write(&root.join("cat/z.png"), 4, 2, [0, 255, 0]);
        std::fs::write(root.join("readme.txt"), "no class").unwrap();
        std::fs::write(root.join("cat/.hidden"), "no image").unwrap();
        let device = Device::cpu();
        let set = ImageFolder::new(root, ImageOptions::new(3, 2, 4), &device).unwrap();
        assert_eq!(
            (set.classes(), set.labels()),
            (&["cat".into(), "dog".into()][..], vec![0, 1, 1])
        );
        let (x, y) = set.get(&[2, 0]).unwrap();
        assert_eq!(
            (x.shape(), y.to_vec::<i32>().unwrap()),
            (&[2, 3, 2, 4][..], vec![1, 0])
        );
        let pixels = x.to_vec::<f32>().unwrap();
        let byte = |at: usize| (pixels[at] * 255.0).round() as u8;
        assert_eq!([0, 1, 9, 17].map(byte), [0, 255, 0, 102]);
        let loaded = set.load().unwrap();
        assert_eq!((loaded.len(), loaded.class_names()), (3, set.classes()));
        assert_eq!(loaded.get(2).unwrap().0[17], 102);
        let mut loader = Loader::new(set, 2, 0).unwrap().prefetch(2, 2).unwrap();
        assert_eq!(
            loader.epoch().map(|b| b.unwrap().1.numel()).sum::<usize>(),
            3
        );
        let grey = ImageFolder::new(root, ImageOptions::new(1, 2, 4), &device).unwrap();
        let grey = grey.get(&[1]).unwrap().0.to_vec::<f32>().unwrap();
        assert!((grey[1] - 0.2).abs() < 1e-6);
    }

    #[test]
    fn broken_images_and_folders_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let device = Device::cpu();
        let open = |options| ImageFolder::new(root, options, &device);
        let exact = ImageOptions::new(3, 2, 4);
        assert!(matches!(open(exact), Err(Error::Empty { .. })));
        std::fs::create_dir(root.join("a")).unwrap();
        assert!(open(exact).unwrap_err().to_string().contains("has no file"));
        assert!(ImageFolder::new(root.join("none"), exact, &device).is_err());
        write(&root.join("a/1.png"), 5, 2, [1, 2, 3]);
        let message = |options| open(options).unwrap().get(&[0]).unwrap_err().to_string();
        assert!(message(exact).contains("1.png: is 5 x 2 (width x height), expected 4 x 2"));
        for resize in [Resize::Stretch, Resize::CenterCrop] {
            let (x, _) = open(exact.resize(resize)).unwrap().get(&[0]).unwrap();
            assert_eq!(x.shape(), [1, 3, 2, 4]);
        }
        assert!(message(ImageOptions::new(2, 2, 4)).contains("2 channels"));
        assert!(message(ImageOptions::new(3, 0, 4)).contains("0 x 4"));
        assert!(
            message(ImageOptions::new(3, 1 << 20, 4).resize(Resize::Stretch))
                .contains("cannot be made")
        );
        let whole = std::fs::read(root.join("a/1.png")).unwrap();
        for len in 0..whole.len() - 20 {
            std::fs::write(root.join("a/1.png"), &whole[..len]).unwrap();
            assert!(message(exact).contains("1.png: "), "{len}");
        }
        // A header that promises 2^31 pixels each way.
        let mut huge = whole.clone();
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        std::fs::write(root.join("a/1.png"), &huge).unwrap();
        assert!(message(exact).contains("1.png: "));
    }

    #[test]
    fn the_photograph_is_read() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/images/china.jpg");
        if !path.exists() {
            println!("absent: {}", path.display());
            return;
        }
        let x = read_image(&path, &Device::cpu()).unwrap();
        assert_eq!(x.shape(), [3, 427, 640]);
        let bytes = std::fs::read(&path).unwrap();
        let again = decode_image(&bytes, "china.jpg", &Device::cpu()).unwrap();
        assert_eq!(again.shape(), x.shape());
        let mean = x.mean().item::<f32>().unwrap();
        assert!((0.2..0.8).contains(&mean), "{mean}");
        let options = ImageOptions::new(3, 32, 32).resize(Resize::CenterCrop);
        assert_eq!(options.read(&path).unwrap().len(), PIXELS);
    }
}
