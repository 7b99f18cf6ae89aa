//! The downloader against a server on this machine: good files, wrong sums, bodies cut short,
//! missing files and second mirrors. Touches no outside network.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use md5::{Digest, Md5};
use wgrad_data::Error;
use wgrad_data::download::{
    CIFAR_MIRRORS, CIFAR10_FILE, CIFAR100_FILE, Downloader, FASHION_MNIST_FILES,
    FASHION_MNIST_MIRRORS, MNIST_FILES, MNIST_MIRRORS, RemoteFile,
};
use wgrad_data::{Cifar10, FashionMnist};

/// What the server says to one path.
struct Reply {
    status: &'static str,
    /// What `Content-Length` claims; `None` leaves it out.
    claims: Option<usize>,
    body: Vec<u8>,
}

impl Reply {
    fn ok(body: &[u8]) -> Self {
        Self {
            status: "200 OK",
            claims: Some(body.len()),
            body: body.to_vec(),
        }
    }

    fn not_found() -> Self {
        Self {
            status: "404 Not Found",
            claims: Some(0),
            body: vec![],
        }
    }
}

/// A server that answers until the test ends.
struct Server {
    url: String,
    n_requests: Arc<AtomicUsize>,
}

impl Server {
    fn new<const N: usize>(replies: [(&'static str, Reply); N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let n_requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_requests);
        let replies = HashMap::from(replies);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                answer(stream.unwrap(), &replies);
            }
        });
        Self { url, n_requests }
    }

    fn requests(&self) -> usize {
        self.n_requests.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, replies: &HashMap<&str, Reply>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(Result::unwrap);
    let request = lines.next().unwrap();
    let path = request
        .split(' ')
        .nth(1)
        .unwrap()
        .trim_start_matches('/')
        .to_owned();
    lines.find(String::is_empty);
    let missing = Reply::not_found();
    let reply = replies.get(path.as_str()).unwrap_or(&missing);
    write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n", reply.status).unwrap();
    if let Some(length) = reply.claims {
        write!(stream, "Content-Length: {length}\r\n").unwrap();
    }
    write!(stream, "\r\n").unwrap();
    stream.write_all(&reply.body).unwrap();
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn fetch(mirrors: &[&Server], dir: &Path, name: &str, md5: &str) -> Result<(), Error> {
    let downloader = Downloader::new(mirrors.iter().map(|server| server.url.as_str()));
    downloader.fetch(dir, &[RemoteFile { name, md5 }], &mut |_| {})
}

fn attempts(result: Result<(), Error>) -> Vec<Error> {
    match result {
        Err(Error::Download { attempts, .. }) => attempts,
        other => panic!("expected a download error, got {other:?}"),
    }
}

fn assert_empty(dir: &Path) {
    let left: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn good_file_arrives_once_with_progress() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let body: Vec<u8> = (0..200_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let server = Server::new([("f.gz", Reply::ok(&body))]);
    let sum = md5(&body).to_uppercase();
    let file = RemoteFile {
        name: "f.gz",
        md5: &sum,
    };
    let mut seen = vec![];
    let mut progress = |p: wgrad_data::download::Progress<'_>| {
        assert_eq!((p.file, p.total), ("f.gz", Some(200_000)));
        seen.push(p.bytes);
    };
    let downloader = Downloader::new([&server.url]);
    downloader.fetch(&folder, &[file], &mut progress).unwrap();
    assert_eq!(std::fs::read(folder.join("f.gz")).unwrap(), body);
    assert!(
        seen.is_sorted() && seen.last() == Some(&200_000),
        "{seen:?}"
    );

    downloader
        .fetch(&folder, &[file], &mut |_| panic!("fetched again"))
        .unwrap();
    assert_eq!(
        (
            server.requests(),
            std::fs::read_dir(&folder).unwrap().count()
        ),
        (1, 1)
    );
}

#[test]
fn damaged_file_in_the_cache_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"damaged").unwrap();
    let server = Server::new([("f", Reply::ok(b"whole"))]);
    fetch(&[&server], dir.path(), "f", &md5(b"whole")).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"whole");
}

#[test]
fn wrong_checksum_names_both_sums_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new([("f", Reply::ok(b"other"))]);
    let error = fetch(&[&server], dir.path(), "f", &md5(b"whole")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&md5(b"whole")) && text.contains(&md5(b"other")),
        "{text}"
    );
    assert!(matches!(attempts(Err(error))[..], [Error::Checksum { .. }]));
    assert_empty(dir.path());
}

#[test]
fn truncated_bodies_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = b"0123456789";
    let short = |claims| Reply {
        status: "200 OK",
        claims,
        body: whole[..6].to_vec(),
    };
    let server = Server::new([("told", short(Some(10))), ("untold", short(None))]);
    let told = attempts(fetch(&[&server], dir.path(), "told", &md5(whole)));
    assert!(
        matches!(&told[..], [Error::Http { url, .. }] if url.ends_with("/told")),
        "{told:?}"
    );
    let untold = attempts(fetch(&[&server], dir.path(), "untold", &md5(whole)));
    assert!(matches!(untold[..], [Error::Checksum { .. }]), "{untold:?}");
    assert_empty(dir.path());
}

#[test]
fn second_mirror_serves_what_the_first_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::new([("f", Reply::not_found())]);
    let second = Server::new([("f", Reply::ok(b"whole"))]);
    fetch(&[&first, &second], dir.path(), "f", &md5(b"whole")).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"whole");
    assert_eq!((first.requests(), second.requests()), (1, 1));
}

#[test]
fn every_failed_mirror_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::new([("f", Reply::not_found())]);
    let second = Server::new([("f", Reply::ok(b"other"))]);
    let error = fetch(&[&first, &second], dir.path(), "f", &md5(b"whole")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&first.url) && text.contains(&second.url) && text.contains("404"),
        "{text}"
    );
    let tried = attempts(Err(error));
    assert!(
        matches!(tried[..], [Error::Http { .. }, Error::Checksum { .. }]),
        "{tried:?}"
    );
    assert!(attempts(fetch(&[], dir.path(), "f", "")).is_empty());
    assert_empty(dir.path());
}

#[test]
fn refused_connection_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let downloader = Downloader::new([format!("http://127.0.0.1:{port}/")]);
    let result = downloader.fetch(
        dir.path(),
        &[RemoteFile { name: "f", md5: "" }],
        &mut |_| {},
    );
    assert!(matches!(attempts(result)[..], [Error::Http { .. }]));
}

#[test]
fn folder_that_cannot_be_made_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let result = Downloader::new(["http://127.0.0.1:1/"]).fetch(&file, &MNIST_FILES, &mut |_| {});
    assert!(
        matches!(
            result,
            Err(Error::Io {
                action: "create",
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn tampered_files_of_every_dataset_are_refused() {
    let all = [
        &MNIST_FILES[..],
        &FASHION_MNIST_FILES,
        &[CIFAR10_FILE, CIFAR100_FILE],
    ]
    .concat();
    for file in &all {
        assert!(file.md5.len() == 32 && file.md5.bytes().all(|b| b.is_ascii_hexdigit()));
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new([(file.name, Reply::ok(b"not what was published"))]);
        let downloader = Downloader::new([&server.url]);
        let tried = attempts(downloader.fetch(dir.path(), &[*file], &mut |_| {}));
        let refused =
            matches!(&tried[..], [Error::Checksum { expected, .. }] if expected == file.md5);
        assert!(refused, "{}: {tried:?}", file.name);
        assert_empty(dir.path());
    }
    let sums: std::collections::HashSet<_> = all.iter().map(|file| file.md5).collect();
    assert_eq!(sums.len(), all.len());
    let mirrors = [&MNIST_MIRRORS[..], &FASHION_MNIST_MIRRORS, &CIFAR_MIRRORS].concat();
    assert!(
        mirrors
            .iter()
            .all(|m| m.starts_with("http") && m.ends_with('/'))
    );
}

/// A file of Fashion-MNIST's form and a CIFAR archive that is none go through the server to their readers.
#[test]
fn what_was_fetched_is_read() {
    let image = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9][..]].concat();
    let label = [0, 0, 8, 1, 0, 0, 0, 1, 9];
    let names = FASHION_MNIST_FILES.map(|file| file.name);
    let bodies: [&[u8]; 4] = [&image, &label, &image, &label];
    let server = Server::new([0, 1, 2, 3].map(|i| (names[i], Reply::ok(bodies[i]))));
    let sums = bodies.map(md5);
    let files = [0, 1, 2, 3].map(|i| RemoteFile {
        name: names[i],
        md5: &sums[i],
    });
    let dir = tempfile::tempdir().unwrap();
    let downloader = Downloader::new([&server.url]);
    downloader.fetch(dir.path(), &files, &mut |_| {}).unwrap();
    let (train, test) = FashionMnist::load(dir.path()).unwrap();
    assert_eq!(train.get(0), Some((&[7, 9][..], 9)));
    assert_eq!(
        (test.name(), &*test.class_names()[9]),
        ("Fashion-MNIST test", "Ankle boot")
    );
    std::fs::write(dir.path().join(CIFAR10_FILE.name), b"no archive").unwrap();
    assert!(matches!(
        Cifar10::load(dir.path()),
        Err(Error::Format { .. })
    ));
}
