//! Accepting connections, counting them, and closing those that are slow, so that no number of them stalls the others.

use super::{Limits, MAX_HEAD_BYTES, MAX_HEADERS};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

/// A connection that moved something this recently does not make way for a new one.
const RECENT: Duration = Duration::from_secs(1);
/// When nobody makes way yet, so many wait in line, so long, looking so often.
const IN_LINE: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Sent, if it can be sent at once, to those for whom there is no room.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The address at the other end, for the handlers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

/// Accepts connections until it is told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    service: Router,
    connections: Arc<Connections>,
    mut stopped: watch::Receiver<bool>,
) {
    let line = Arc::new(Semaphore::new(IN_LINE));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => match connections.admit(peer.ip().to_canonical()) {
                Admission::Place(place) => {
                    tokio::spawn(serve(stream, peer, service.clone(), place, stopped.clone()));
                }
                Admission::Later => match line.clone().try_acquire_owned() {
                    Ok(turn) => {
                        let connections = connections.clone();
                        tokio::spawn(wait_and_serve(stream, peer, service.clone(), connections, turn, stopped.clone()));
                    }
                    Err(_) => drop(stream.try_write(FULL)),
                },
                Admission::Refused => drop(stream.try_write(FULL)),
            },
            Err(error) => {
                // Out of file descriptors, mostly; or the other end is gone already.
                tracing::debug!("cannot accept a connection ({error})");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Serves a connection as soon as there is a place for it; `turn` is one in the line until then.
async fn wait_and_serve(
    stream: TcpStream,
    peer: SocketAddr,
    service: Router,
    connections: Arc<Connections>,
    turn: OwnedSemaphorePermit,
    stopped: watch::Receiver<bool>,
) {
    let place = connections.wait(peer.ip().to_canonical()).await;
    drop(turn);
    match place {
        Some(place) => serve(stream, peer, service, place, stopped).await,
        None => drop(stream.try_write(FULL)),
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, service: Router, place: Place, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let limits = place.connections.limits;
    let service = service.layer(axum::Extension(Peer(peer.ip().to_canonical())));
    let metered = Metered { stream, meter: place.meter.clone() };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(metered), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut slow = pin!(place.meter.wait_until_slow(limits));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            () = &mut slow => return,
            () = place.evicted.notified() => return,
            _ = stopped.changed(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Entry>,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    meter: Arc<Meter>,
    evict: Arc<Notify>,
}

/// The right to be connected; given back when dropped.
struct Place {
    connections: Arc<Connections>,
    number: u64,
    meter: Arc<Meter>,
    evicted: Arc<Notify>,
}

/// Whether there is room for one more.
enum Admission {
    Place(Place),
    /// All is taken by connections that have moved something just now.
    Later,
    /// The address has as many as it may have.
    Refused,
}

impl Connections {
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more. When all is taken, the connection that has moved nothing for longest makes way.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let mut open = self.open();
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if !address.is_loopback() && from_address >= self.limits.connections_per_address {
            return Admission::Refused;
        }
        if open.by_number.len() >= self.limits.connections {
            let idlest = open.by_number.iter().map(|(&number, entry)| (entry.meter.idle(), number)).max();
            match idlest.filter(|(idle, _)| *idle >= RECENT).and_then(|(_, number)| open.remove(number)) {
                Some(entry) => entry.evict.notify_one(),
                None => return Admission::Later,
            }
        }
        let number = open.next;
        open.next += 1;
        let (meter, evicted) = (Arc::new(Meter::new()), Arc::new(Notify::new()));
        open.by_number.insert(number, Entry { address, meter: meter.clone(), evict: evicted.clone() });
        *open.by_address.entry(address).or_default() += 1;
        Admission::Place(Place { connections: self.clone(), number, meter, evicted })
    }

    /// Room for one more as soon as somebody makes way; none after [`LONGEST_WAIT`].
    async fn wait(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_WAIT {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Admission::Place(place) = self.admit(address) {
                return Some(place);
            }
        }
        None
    }
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.by_number.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&entry.address);
            }
        }
        Some(entry)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(self.number);
    }
}

/// How much a connection has moved, in both directions.
#[derive(Debug)]
struct Meter {
    start: Instant,
    bytes: AtomicU64,
    /// Milliseconds from the start to the last byte.
    last: AtomicU64,
}

impl Meter {
    fn new() -> Self {
        Self { start: Instant::now(), bytes: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    async fn wait_until_slow(&self, limits: Limits) {
        let mut before = 0;
        loop {
            tokio::time::sleep(limits.patience).await;
            let now = self.bytes.load(Ordering::Relaxed);
            if now - before < limits.slowest_bytes {
                return;
            }
            before = now;
        }
    }
}

/// A stream that counts.
struct Metered {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.meter.count(into.filled().len() - before);
        }
        outcome
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = outcome {
            self.meter.count(written);
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
