//! A static file server for one folder on the loopback interface, which also takes in one posted report.
//! It is for the page's checks and for a developer's browser: it must never listen on another interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The largest report that is taken in, in bytes.
const MAX_REPORT: u64 = 16 << 20;

/// A running server. It ends with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The bodies posted to `/result`.
    pub(crate) reports: Receiver<String>,
}

impl Server {
    /// Serves `folder` at a free port.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("loopback: {error}"))?;
        let address = listener
            .local_addr()
            .map_err(|error| format!("loopback: {error}"))?;
        let (sender, reports) = channel();
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, sender) = (folder.clone(), sender.clone());
                // A browser keeps spare connections open; one of them must not hold up the others.
                std::thread::spawn(move || answer(stream, &folder, &sender));
            }
        });
        Ok(Self { address, reports })
    }
}

struct Request {
    method: String,
    path: String,
    body: String,
}

fn answer(mut stream: TcpStream, folder: &Path, reports: &Sender<String>) {
    // Errors here mean that the browser went away: nobody is left to be told.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(request) = read(&stream) else { return };
    let (status, kind, body) = respond(&request, folder, reports);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&body));
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    reader
        .take(length.min(MAX_REPORT))
        .read_to_string(&mut body)?;
    Ok(Request { method, path, body })
}

type Response = (&'static str, &'static str, Vec<u8>);

fn respond(request: &Request, folder: &Path, reports: &Sender<String>) -> Response {
    const TEXT: &str = "text/plain; charset=utf-8";
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/result") => {
            let taken = reports.send(request.body.clone()).is_ok();
            (
                if taken { "204 No Content" } else { "410 Gone" },
                TEXT,
                Vec::new(),
            )
        }
        ("GET", path) => match locate(path, folder)
            .and_then(|file| Some((kind(&file), std::fs::read(file).ok()?)))
        {
            Some((kind, bytes)) => ("200 OK", kind, bytes),
            None => (
                "404 Not Found",
                TEXT,
                format!("no such file: {path}\n").into_bytes(),
            ),
        },
        _ => ("405 Method Not Allowed", TEXT, Vec::new()),
    }
}

/// The file that a request's path names, or `None` where it would leave the folder.
fn locate(path: &str, folder: &Path) -> Option<PathBuf> {
    let path = path.split(['?', '#']).next()?.trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| folder.join(path))
}

/// The media type by the file's ending. Browsers compile wasm and run modules only under the right one.
fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("css") => "text/css; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_and_reports_pass() {
        let folder =
            std::env::temp_dir().join(format!("wgrad-xtask-server-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("index.html"), "<p>page</p>").unwrap();
        std::fs::write(folder.join("a.wasm"), "module").unwrap();
        let server = Server::start(&folder).unwrap();

        let index = ask(server.address, "GET /?report HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(
            index.starts_with("HTTP/1.1 200 OK\r\n") && index.ends_with("\r\n\r\n<p>page</p>"),
            "{index}"
        );
        let module = ask(server.address, "GET /a.wasm HTTP/1.1\r\n\r\n");
        assert!(
            module.contains("Content-Type: application/wasm\r\n"),
            "{module}"
        );
        assert!(ask(server.address, "GET /none.js HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask(server.address, "PUT /a.wasm HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));

        let posted = ask(
            server.address,
            "POST /result HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
        );
        assert!(posted.starts_with("HTTP/1.1 204"), "{posted}");
        assert_eq!(
            server.reports.recv_timeout(Duration::from_secs(5)).unwrap(),
            "hello"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let folder = Path::new("/served");
        assert_eq!(
            locate("/", folder),
            Some(PathBuf::from("/served/index.html"))
        );
        assert_eq!(
            locate("/a/b.js?x#y", folder),
            Some(PathBuf::from("/served/a/b.js"))
        );
        assert_eq!(locate("/../etc/passwd", folder), None);
        assert_eq!(locate("/a/../../etc/passwd", folder), None);
        assert_eq!(
            locate("//etc/passwd", folder),
            Some(PathBuf::from("/served/etc/passwd"))
        );
    }
}
