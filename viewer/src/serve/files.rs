//! The one folder that is served.
//!
//! The folder is opened once; every file is opened beneath that handle by `cap-std`, which asks the system to resolve
//! paths without leaving it. So neither `..` nor a symbolic link that points elsewhere gets out, at whatever moment the
//! link is made.

use super::range::{self, Asked};
use super::reply::{self, accepts_gzip, gzip};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};
use percent_encoding::percent_decode_str;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// What is read and sent at once.
const PIECE: usize = 64 << 10;
/// JSON up to this is compressed on its way; pages are compressed already.
const MAX_COMPRESSED_HERE: u64 = 4 << 20;

/// A folder, by a handle to it.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<Dir>);

/// A file in it, ready to be sent.
struct Opened {
    file: std::fs::File,
    length: u64,
    tag: String,
    mime: &'static str,
}

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Dir::open_ambient_dir(path, ambient_authority())?)))
    }

    /// Answers a GET or HEAD of a path, which begins with a slash.
    pub async fn answer(&self, path: &str, asked: &HeaderMap) -> Response<Body> {
        let Some(path) = plain_path(path) else {
            return reply::text(StatusCode::NOT_FOUND, "There is no such file.");
        };
        let dir = self.0.clone();
        let opened = tokio::task::spawn_blocking(move || open(&dir, &path)).await;
        match opened {
            Ok(Ok(opened)) => send(opened, asked).await,
            Ok(Err(error)) if is_temporary(&error) => {
                reply::text(StatusCode::SERVICE_UNAVAILABLE, "Too many files are open; try again.")
            }
            // Whether it exists elsewhere is nobody's business.
            _ => reply::text(StatusCode::NOT_FOUND, "There is no such file."),
        }
    }
}

/// The path below the folder that a request names; none if it could mean anything but a plain file there.
fn plain_path(path: &str) -> Option<String> {
    let path = percent_decode_str(path.strip_prefix('/')?).decode_utf8().ok()?;
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    let is_odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    (path.len() <= 1024 && path.split('/').all(is_plain) && !path.contains(is_odd)).then(|| path.into_owned())
}

fn open(dir: &Dir, path: &str) -> io::Result<Opened> {
    // Looked at first: opening a pipe would wait for its other end.
    if !dir.metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = dir.open(path)?;
    let metadata = file.metadata()?;
    Ok(Opened { file: file.into_std(), length: metadata.len(), tag: tag(&metadata), mime: reply::mime(path) })
}

/// A validator that changes with the file.
fn tag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), modified.map_or(0, |time| time.as_nanos()))
}

fn is_temporary(error: &io::Error) -> bool {
    // ENFILE and EMFILE.
    matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix)
}

async fn send(opened: Opened, asked: &HeaderMap) -> Response<Body> {
    let Opened { file, length, tag, mime } = opened;
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let is_compressed = mime == "application/json"
        && length <= MAX_COMPRESSED_HERE
        && !asked.contains_key(header::RANGE)
        && accepts_gzip(asked);
    let tag = format!("\"{tag}{}\"", if is_compressed { "-gz" } else { "" });
    if reply::is_known(asked, &tag) {
        return reply::not_modified(&tag);
    }
    // A range of an older version is of no use: then all of the new one is sent.
    let is_current = text(header::IF_RANGE).is_none_or(|of| of == tag);
    let part = match range::parse(text(header::RANGE).filter(|_| is_current), length) {
        Asked::Whole => None,
        Asked::Part(part) => Some(part),
        Asked::Outside => {
            let mut response = reply::text(StatusCode::RANGE_NOT_SATISFIABLE, "The file is shorter than that.");
            reply::set(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let (mut response, sent) = if is_compressed {
        match tokio::task::spawn_blocking(move || compressed(file, length)).await {
            Ok(Ok(bytes)) => {
                let sent = bytes.len() as u64;
                (Response::new(Body::from(bytes)), sent)
            }
            _ => return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "The file cannot be read."),
        }
    } else {
        let Range { start, end } = part.clone().unwrap_or(0..length);
        (Response::new(body(file, start, end - start)), end - start)
    };
    if is_compressed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(part) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        reply::set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{length}", part.start, part.end - 1));
    }
    reply::set(&mut response, header::CONTENT_LENGTH, &sent.to_string());
    reply::set(&mut response, header::ETAG, &tag);
    reply::set(&mut response, header::CONTENT_TYPE, mime);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

use std::ops::Range;

/// Bytes of a file, read as they are sent.
fn body(mut file: std::fs::File, start: u64, length: u64) -> Body {
    if let Err(error) = file.seek(SeekFrom::Start(start)) {
        tracing::warn!("a file cannot be read ({error})");
        return Body::empty();
    }
    let file = tokio::fs::File::from_std(file);
    Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE))
}

fn compressed(file: std::fs::File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    gzip(&bytes, 6)
}

#[cfg(test)]
mod tests {
    use super::plain_path;

    #[test]
    fn only_plain_paths_are_looked_at() {
        assert_eq!(plain_path("/a/b%20c.json").as_deref(), Some("a/b c.json"));
        for path in [
            "/",
            "",
            "a",
            "//a",
            "/a//b",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/a%2f..%2fb",
            "/.git/config",
            "/a\\b",
            "/c:/a",
            "/a%00b",
            "/a%0ab",
            "/%ff",
            "/a/.",
            "/a/",
            "/..%5ca",
        ] {
            assert_eq!(plain_path(path), None, "{path}");
        }
        assert_eq!(plain_path(&format!("/{}", "a".repeat(2000))), None);
    }
}
