//! The page, from memory, compressed once for those who take it so.

use super::reply::{self, accepts_gzip, gzip};
use crate::page::{self, PageSettings};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, header};

/// All files of the page.
pub(super) struct Assets(Vec<Asset>);

struct Asset {
    path: String,
    mime: &'static str,
    plain: Bytes,
    compressed: Bytes,
    tag: String,
}

impl Assets {
    pub fn new(settings: &PageSettings) -> Self {
        let index = Bytes::from(page::index(settings));
        let files = page::FILES.iter().map(|(name, bytes)| Asset::new(format!("/{name}"), Bytes::from_static(bytes)));
        Self([Asset::new("/".to_owned(), index)].into_iter().chain(files).collect())
    }

    /// The answer to a GET or HEAD of a path, if it is one of the page's.
    pub fn answer(&self, path: &str, asked: &HeaderMap) -> Option<Response<Body>> {
        let path = if path == "/index.html" { "/" } else { path };
        self.0.iter().find(|asset| asset.path == path).map(|asset| asset.answer(asked))
    }
}

impl Asset {
    fn new(path: String, plain: Bytes) -> Self {
        let mime = if path == "/" { reply::mime("html") } else { reply::mime(&path) };
        let compressed = gzip(&plain, 9).map_or_else(|_| plain.clone(), Bytes::from);
        let tag = format!("{:08x}-{:x}", crc32fast::hash(&plain), plain.len());
        Self { path, mime, plain, compressed, tag }
    }

    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let is_compressed = accepts_gzip(asked) && self.compressed.len() < self.plain.len();
        let (bytes, suffix) = if is_compressed { (&self.compressed, "-gz") } else { (&self.plain, "") };
        let tag = format!("\"{}{suffix}\"", self.tag);
        if reply::is_known(asked, &tag) {
            return reply::not_modified(&tag);
        }
        let mut response = Response::new(Body::from(bytes.clone()));
        reply::set(&mut response, header::CONTENT_TYPE, self.mime);
        reply::set(&mut response, header::CONTENT_LENGTH, &bytes.len().to_string());
        reply::set(&mut response, header::ETAG, &tag);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if is_compressed {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}
