//! News of a running training, over a WebSocket.
//!
//! A message is one JSON object: the newest state, whole. Whoever is slow misses states in between and never the newest one;
//! nothing queues up. A state names the scene that belongs to it (`"scene": "live-3/tiles.json"`), and its pages are
//! fetched like any other scene's, so that they are streamed, cached and bounded in the same way.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// Between two signs of life that are asked for.
const PING: Duration = Duration::from_secs(10);
/// Without a sign of life for so long, the other end is gone.
const PATIENCE: Duration = Duration::from_secs(35);
/// A message that cannot be sent in this time is not sent.
const SEND: Duration = Duration::from_secs(10);
/// Browsers say nothing; what they may say is small.
const MAX_INCOMING: usize = 1024;

/// The state of a training, for those who watch it.
#[derive(Clone, Debug)]
pub struct Live {
    state: watch::Sender<Arc<str>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { state: watch::channel("{}".into()).0 }
    }
}

impl Live {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everyone the new state, a JSON object.
    pub fn tell(&self, state: &str) {
        self.state.send_replace(state.into());
    }

    /// How many are watching.
    pub fn watchers(&self) -> usize {
        self.state.receiver_count()
    }

    /// Turns a request into a WebSocket that is told all states from now on, beginning with the last.
    pub(super) fn join(
        &self,
        upgrade: WebSocketUpgrade,
        places: &Arc<Semaphore>,
        stopped: watch::Receiver<bool>,
    ) -> Option<Response> {
        let place = places.clone().try_acquire_owned().ok()?;
        let states = self.state.subscribe();
        let upgrade = upgrade.max_message_size(MAX_INCOMING).max_frame_size(MAX_INCOMING).write_buffer_size(0);
        Some(upgrade.on_upgrade(move |socket| async move {
            tell_all(socket, states, stopped).await;
            drop(place);
        }))
    }
}

async fn tell_all(mut socket: WebSocket, mut states: watch::Receiver<Arc<str>>, mut stopped: watch::Receiver<bool>) {
    states.mark_changed();
    let mut ping = tokio::time::interval(PING);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            changed = states.changed() => match changed {
                Ok(()) => Message::Text(states.borrow_and_update().to_string().into()),
                Err(_) => return,
            },
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = ping.tick() => {
                if heard.elapsed() > PATIENCE {
                    return;
                }
                Message::Ping(Vec::new().into())
            }
            _ = stopped.changed() => Message::Close(Some(CloseFrame { code: close_code::AWAY, reason: "".into() })),
        };
        let is_last = matches!(message, Message::Close(_));
        if !matches!(timeout(SEND, socket.send(message)).await, Ok(Ok(()))) || is_last {
            return;
        }
    }
}
