//! The web server behind `tessera serve`: the page, one folder with a streamed scene, and news of a running training.
//!
//! It serves files and nothing else, and it stands in the open if it is asked to, so each request is cheap and bounded:
//!
//! - `connections`: how many at a time, and which one goes when a new one comes; slow ones are closed;
//! - `rate`: how many requests an address may make;
//! - `files`: paths that cannot leave the folder (it is opened once, and everything is opened beneath it), byte ranges,
//!   validators;
//! - `assets`: the page itself, from memory;
//! - `live`: a WebSocket with the state of a training, newest first.
//!
//! There is no TLS and no password: beyond the own machine it belongs behind a reverse proxy that has both.

mod assets;
mod connections;
mod files;
mod live;
mod range;
mod rate;
mod reply;
mod router;

#[cfg(test)]
mod tests;

pub use live::Live;

use crate::page::PageSettings;
use connections::Connections;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What one server may use, and how patient it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. Each may hold two file descriptors and some 100 KB.
    pub connections: usize,
    /// Connections at a time from one address; the own machine is not limited.
    pub connections_per_address: usize,
    /// WebSockets at a time, apart from the connections above.
    pub live_connections: usize,
    /// Requests a second from one address, on average.
    pub requests_per_second: f32,
    /// Requests from one address at once.
    pub request_burst: f32,
    /// Time for the head of a request to arrive.
    pub header_time: Duration,
    /// Connections that move less than `slowest_bytes` in this time are closed.
    pub patience: Duration,
    /// See `patience`.
    pub slowest_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 400,
            connections_per_address: 64,
            live_connections: 64,
            requests_per_second: 200.0,
            request_burst: 1000.0,
            header_time: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            slowest_bytes: 4096,
        }
    }
}

/// Bytes of a request's head, and lines in it.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// What is served.
#[derive(Clone, Debug)]
pub struct Site {
    /// Files are served from here and from below, and from nowhere else.
    pub folder: PathBuf,
    /// What the page is told; paths in it are below the folder.
    pub page: PageSettings,
    /// News of a training, for pages with the setting `live`.
    pub live: Option<Live>,
}

/// A server on threads of its own, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// Begins to serve on `address`; port 0 chooses a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours, or the folder cannot be opened.
    pub fn start(address: SocketAddr, site: &Site, limits: Limits) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(16)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let service = router::service(site, limits, address, &stopped)?;
        runtime.spawn(connections::accept(listener, service, Arc::new(Connections::new(limits)), stopped));
        Ok(Self { address, stop, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, and gives what is being answered this long to end.
    pub fn stop(mut self, grace: Duration) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            // Every connection holds a receiver until it has ended.
            let _ = runtime.block_on(async { tokio::time::timeout(grace, self.stop.closed()).await });
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
