//! Which answer belongs to a request, and which requests get none.

use super::assets::Assets;
use super::connections::Peer;
use super::files::Folder;
use super::rate::Rate;
use super::{Limits, Live, Site, reply};
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::{Extension, Router};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};

/// The page may run its own scripts and its WebAssembly, and reach nothing but this server.
const CONTENT_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:; \
                              style-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'";

struct Service {
    assets: Assets,
    folder: Folder,
    live: Option<Live>,
    live_places: Arc<Semaphore>,
    rate: Rate,
    /// Only names of the own machine are answered: a page elsewhere must not reach us by a name of its own.
    is_local: bool,
    stopped: watch::Receiver<bool>,
}

/// The service for all connections.
pub(super) fn service(
    site: &Site,
    limits: Limits,
    address: SocketAddr,
    stopped: &watch::Receiver<bool>,
) -> io::Result<Router> {
    let service = Service {
        assets: Assets::new(&site.page),
        folder: Folder::open(&site.folder)?,
        live: site.live.clone(),
        live_places: Arc::new(Semaphore::new(limits.live_connections)),
        rate: Rate::new(limits.requests_per_second, limits.request_burst),
        is_local: address.ip().is_loopback(),
        stopped: stopped.clone(),
    };
    Ok(Router::new().fallback(answer).with_state(Arc::new(service)))
}

async fn answer(
    State(service): State<Arc<Service>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let mut response = service.answer(peer, request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Everything may change while we serve it; validators make asking again cheap.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

impl Service {
    async fn answer(&self, peer: IpAddr, request: Request) -> Response<Body> {
        if let Some(refusal) = self.refusal(peer, &request) {
            return refusal;
        }
        let path = request.uri().path().to_owned();
        if path == "/live" {
            return self.join(request).await;
        }
        match self.assets.answer(&path, request.headers()) {
            Some(response) => response,
            None => self.folder.answer(&path, request.headers()).await,
        }
    }

    fn refusal(&self, peer: IpAddr, request: &Request) -> Option<Response<Body>> {
        let headers = request.headers();
        if !self.rate.allows(peer, Instant::now()) {
            let mut response = reply::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests; wait a second.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return Some(response);
        }
        if self.is_local && !host_name(headers).is_some_and(is_local_name) {
            let sentence = "This server answers to localhost only.";
            return Some(reply::text(StatusCode::MISDIRECTED_REQUEST, sentence));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = reply::text(StatusCode::METHOD_NOT_ALLOWED, "Files can be read here, nothing else.");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(closing(response));
        }
        let has_body = headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        has_body.then(|| closing(reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Requests have no body here.")))
    }

    async fn join(&self, request: Request) -> Response<Body> {
        let Some(live) = &self.live else {
            return reply::text(StatusCode::NOT_FOUND, "No training is followed here.");
        };
        // A page of another origin must not listen.
        let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        if origin.is_some_and(|origin| origin.split_once("://").map(|(_, rest)| rest) != host) {
            return reply::text(StatusCode::FORBIDDEN, "Only the page of this server may listen.");
        }
        let (mut parts, _) = request.into_parts();
        match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => live
                .join(upgrade, &self.live_places, self.stopped.clone())
                .unwrap_or_else(|| reply::text(StatusCode::SERVICE_UNAVAILABLE, "Too many are watching already.")),
            Err(_) => reply::text(StatusCode::UPGRADE_REQUIRED, "This address is for a WebSocket."),
        }
    }
}

/// What was sent along is not read: the connection ends with the answer.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The name in the `Host` header, without the port.
fn host_name(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    if host.starts_with('[') {
        return host.split_inclusive(']').next();
    }
    host.split(':').next()
}

fn is_local_name(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
