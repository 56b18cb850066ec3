//! The server as others meet it: raw bytes over loopback.

use super::{Limits, Live, Server, Site};
use crate::page::PageSettings;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The kind of frame by which a WebSocket ends.
const CLOSE: u8 = 8;
const SECRET: &str = "nobody reads this";

/// A folder with a file, beside a secret.
fn folder() -> tempfile::TempDir {
    let outer = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(outer.path().join("site/deep/.hidden")).expect("folders");
    fs::write(outer.path().join("secret.txt"), SECRET).expect("a file");
    fs::write(outer.path().join("site/pages.bin"), (0..200_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>())
        .expect("a file");
    fs::write(outer.path().join("site/tiles.json"), format!("{{\"a\": \"{}\"}}", "x".repeat(5000))).expect("a file");
    fs::write(outer.path().join("site/empty.bin"), "").expect("a file");
    fs::write(outer.path().join("site/deep/.hidden/file.txt"), SECRET).expect("a file");
    outer
}

fn server(outer: &Path, limits: Limits) -> Server {
    let page = PageSettings { title: "A <test>".to_owned(), live: true, ..PageSettings::default() };
    let site = Site { folder: outer.join("site"), page, live: Some(Live::new()) };
    Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), &site, limits).expect("a server on loopback")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    stream
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }
}

/// What comes back until the connection ends.
fn exchange(server: &Server, request: &[u8]) -> Reply {
    let mut stream = connect(server);
    // The other end may close before it has read all.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, head, body: bytes.split_off(end) }
}

fn get(server: &Server, path: &str, headers: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    exchange(server, request.as_bytes())
}

#[test]
fn the_page_and_its_files_are_served() {
    let folder = folder();
    let server = server(folder.path(), Limits::default());
    let index = get(&server, "/", "");
    assert_eq!(index.status, 200);
    assert!(String::from_utf8_lossy(&index.body).contains("A &lt;test&gt;"));
    assert_eq!(index.header("x-content-type-options"), Some("nosniff"));
    assert!(index.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'self'")));
    let wasm = get(&server, "/tessera-viewer.wasm", "");
    assert_eq!((wasm.status, wasm.header("content-type")), (200, Some("application/wasm")));
    assert_eq!(&wasm.body[..4], b"\0asm");
    let compressed = get(&server, "/tessera-viewer.wasm", "Accept-Encoding: gzip\r\n");
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert!(compressed.body.len() < wasm.body.len() && compressed.body.starts_with(&[0x1f, 0x8b]));
    let tag = wasm.header("etag").expect("a validator");
    let again = get(&server, "/tessera-viewer.wasm", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn ranges_give_exactly_the_bytes_asked_for() {
    let folder = folder();
    let whole = fs::read(folder.path().join("site/pages.bin")).expect("the file");
    let server = server(folder.path(), Limits::default());
    let all = get(&server, "/pages.bin", "Accept-Encoding: gzip\r\n");
    assert!(all.status == 200 && all.body == whole);
    assert_eq!(
        (all.header("accept-ranges"), all.header("content-encoding")),
        (Some("bytes"), None),
        "not compressed twice"
    );
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("100-199", 100, 200),
        ("199990-", 199_990, 200_000),
        ("-5", 199_995, 200_000),
        ("0-999999999", 0, 200_000),
    ] {
        let part = get(&server, "/pages.bin", &format!("Range: bytes={range}\r\n"));
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), Some(&*format!("bytes {start}-{}/200000", end - 1)));
        assert!(part.body == whole[start..end], "{range}");
    }
    let outside = get(&server, "/pages.bin", "Range: bytes=200000-\r\n");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */200000")));
    assert_eq!(get(&server, "/empty.bin", "Range: bytes=0-\r\n").status, 416);
    assert_eq!(get(&server, "/empty.bin", "").status, 200);
    // A range of a version that is no more.
    let tag = all.header("etag").expect("a validator").to_owned();
    assert_eq!(get(&server, "/pages.bin", &format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n")).body, whole[..10]);
    assert_eq!(get(&server, "/pages.bin", "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n").body.len(), 200_000);
    assert_eq!(get(&server, "/pages.bin", &format!("If-None-Match: {tag}\r\n")).status, 304);
    let head = exchange(&server, b"HEAD /pages.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("200000"), 0));
    let json = get(&server, "/tiles.json", "Accept-Encoding: gzip\r\n");
    assert!(json.header("content-encoding") == Some("gzip") && json.body.len() < 500);
}

#[test]
fn no_path_leaves_the_folder() {
    let folder = folder();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let site = folder.path().join("site");
        symlink(folder.path().join("secret.txt"), site.join("absolute.txt")).expect("a link");
        symlink("../secret.txt", site.join("relative.txt")).expect("a link");
        symlink(folder.path(), site.join("above")).expect("a link");
        symlink("pages.bin", site.join("inside.bin")).expect("a link");
        make_pipe(&site.join("pipe"));
    }
    let server = server(folder.path(), Limits::default());
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/deep/../../secret.txt",
        "/deep/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "/./../secret.txt",
        "/%252e%252e/secret.txt",
        "/.hidden/file.txt",
        "/deep/.hidden/file.txt",
        "/absolute.txt",
        "/relative.txt",
        "/above/secret.txt",
        "/deep",
        "/",
        "/pages.bin/",
        "/pages.bin%00.json",
        "/etc/passwd",
        "/pipe",
        "http://localhost/../secret.txt",
        "/c:/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
    ] {
        let reply = get(&server, path, "");
        let is_page = path == "/" && reply.status == 200;
        assert!(is_page || (400..500).contains(&reply.status), "{path} gave {}", reply.status);
        assert!(!String::from_utf8_lossy(&reply.body).contains(SECRET), "{path} gave the secret away");
    }
    #[cfg(unix)]
    assert_eq!(get(&server, "/inside.bin", "").status, 200, "links that stay inside are followed");
}

/// A pipe that nobody writes to.
#[cfg(unix)]
fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
}

#[test]
fn what_is_not_a_plain_request_is_refused() {
    let folder = folder();
    let server = server(folder.path(), Limits::default());
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Huge: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(exchange(&server, huge.as_bytes()).status, 431);
    let many: String = (0..1000).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(exchange(&server, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()).status, 431);
    let long =
        exchange(&server, format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20)).as_bytes());
    assert!((400..500).contains(&long.status), "{}", long.status);
    let post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nxxxx";
    assert_eq!(exchange(&server, post).status, 405);
    let with_body = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(exchange(&server, with_body).status, 413);
    let chunked = b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(exchange(&server, chunked).status, 413);
    assert!((400..500).contains(&exchange(&server, b"\x16\x03\x01\x02\x00 not HTTP\r\n\r\n").status));
    // A page elsewhere whose name was pointed at this machine.
    let rebound = b"GET /pages.bin HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(&server, rebound).status, 421);
    assert_eq!(exchange(&server, b"GET /pages.bin HTTP/1.1\r\nConnection: close\r\n\r\n").status, 421);
    for host in ["127.0.0.1:8080", "[::1]:80", "LOCALHOST"] {
        let request = format!("GET /empty.bin HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(&server, request.as_bytes()).status, 200, "{host}");
    }
}

#[test]
fn an_address_that_asks_too_often_has_to_wait() {
    let folder = folder();
    let server = server(folder.path(), Limits { requests_per_second: 0.1, request_burst: 3.0, ..Limits::default() });
    let statuses: Vec<u16> = (0..5).map(|_| get(&server, "/empty.bin", "").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[test]
fn thousands_of_silent_connections_do_not_shut_others_out() {
    let folder = folder();
    let limits = Limits { connections: 50, header_time: Duration::from_secs(60), ..Limits::default() };
    let server = server(folder.path(), limits);
    let deadline = Instant::now() + Duration::from_secs(20);
    // At most 400 are held here at a time: file descriptors are few.
    let mut held = std::collections::VecDeque::new();
    for i in 0..3000 {
        if Instant::now() > deadline {
            break;
        }
        if let Ok(mut stream) = TcpStream::connect(server.address()) {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHo");
            held.push_back(stream);
        }
        if held.len() > 400 {
            held.pop_front();
        }
        if i % 1000 == 999 {
            std::thread::sleep(Duration::from_millis(1100));
            assert_eq!(get(&server, "/empty.bin", "").status, 200, "after {i} connections");
        }
    }
    server.stop(Duration::from_millis(100));
}

#[test]
fn slow_readers_are_closed_and_others_are_served_meanwhile() {
    let folder = folder();
    fs::write(folder.path().join("site/large.bin"), vec![7; 30 << 20]).expect("a file");
    let limits = Limits { connections: 20, patience: Duration::from_secs(1), ..Limits::default() };
    let server = server(folder.path(), limits);
    let mut slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
            stream
        })
        .collect();
    // They move what their buffers hold, and a second after that they make way: until then a patient reader waits in line.
    let begun = Instant::now();
    assert_eq!(get(&server, "/pages.bin", "").body.len(), 200_000);
    assert!(begun.elapsed() < Duration::from_secs(5), "a patient reader waited {:?}", begun.elapsed());
    std::thread::sleep(Duration::from_millis(2500));
    // What was on its way arrives, and then the end, before the file's.
    for stream in &mut slow {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(bytes.len() < 30 << 20);
    }
}

#[test]
fn heads_that_come_byte_by_byte_end() {
    let folder = folder();
    let server = server(folder.path(), Limits { header_time: Duration::from_millis(500), ..Limits::default() });
    let mut stream = connect(&server);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if stream.write_all(b"x").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "still open");
}

#[test]
fn a_training_is_told_to_browsers_newest_first() {
    let folder = folder();
    let live = Live::new();
    let page = PageSettings { live: true, ..PageSettings::default() };
    let site = Site { folder: folder.path().join("site"), page, live: Some(live.clone()) };
    let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), &site, Limits::default()).expect("a server");
    live.tell(r#"{"step":1}"#);
    let upgrade = |origin: &str| {
        let mut stream = connect(&server);
        let host = server.address();
        let request = format!(
            "GET /live HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        stream
    };
    let mut stream = upgrade(&format!("http://{}", server.address()));
    assert!(read_until(&mut stream, r#"{"step":1}"#).starts_with("HTTP/1.1 101"));
    live.tell(r#"{"step":2}"#);
    read_until(&mut stream, r#"{"step":2}"#);
    let stranger = read_until(&mut upgrade("https://evil.example"), "listen.");
    assert!(stranger.starts_with("HTTP/1.1 403"), "{stranger}");
    assert_eq!(get(&server, "/live", "").status, 426);
    // Stopping says good-bye and does not wait for those who stay.
    let begun = Instant::now();
    server.stop(Duration::from_secs(5));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(frames(&rest).last(), Some(&(CLOSE, 1001u16.to_be_bytes().to_vec())), "going away");
}

/// Frames of a server (RFC 6455, section 5.2), none of which is long, masked or one of several parts: kinds and payloads.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert!(first & 0xf0 == 0x80 && *length < 126 && rest.len() >= usize::from(*length), "{bytes:?}");
        let (payload, after) = rest.split_at(usize::from(*length));
        frames.push((first & 0x0f, payload.to_vec()));
        bytes = after;
    }
    assert!(bytes.is_empty(), "half a frame: {bytes:?}");
    frames
}

fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let n = stream.read(&mut buffer).expect("more");
        assert!(n > 0, "ended after {}", String::from_utf8_lossy(&seen));
        seen.extend(&buffer[..n]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn an_answer_that_is_on_its_way_is_finished_before_the_end() {
    let folder = folder();
    fs::write(folder.path().join("site/large.bin"), vec![7; 30 << 20]).expect("a file");
    let server = server(folder.path(), Limits::default());
    let mut stream = connect(&server);
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let mut first = [0; 1];
    stream.read_exact(&mut first).expect("the beginning");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes.len()
    });
    server.stop(Duration::from_secs(10));
    assert!(reader.join().expect("a reader") > 30 << 20, "cut off");
}
