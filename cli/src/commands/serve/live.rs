//! A training that browsers watch: `tessera reconstruct --serve`.
//!
//! Each state that is shown is a streamed scene of its own, in a folder of its own; the page is told its name and changes over when
//! the new scene can be drawn. States are made only while somebody watches, and only the newest.

use crate::console::Console;
use crate::published::write_tiles;
use anyhow::{Context, Result};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tessera_engine::datasets::format::stream::CloudSource;
use tessera_engine::datasets::format::tiles::MANIFEST;
use tessera_engine::datasets::scene::SplatCloud;
use tessera_viewer::page::PageSettings;
use tessera_viewer::serve::{Limits, Live, Server, Site};
use tessera_viewer::window::Update;

/// How often it is looked whether somebody watches.
const POLL: Duration = Duration::from_millis(500);
/// Older states than so many are removed: their pages may still be on their way to somebody.
const KEPT: u64 = 3;
/// What is being sent may take this long to end.
const GRACE: Duration = Duration::from_secs(1);

/// Serves the states that `train` sends, until it is done.
///
/// # Errors
/// When the port is taken, or as `train`.
pub fn while_training<T>(
    port: u16,
    title: &str,
    console: &Console,
    train: impl FnOnce(&Sender<Update>) -> Result<T>,
) -> Result<T> {
    let folder = tempfile::Builder::new().prefix("tessera-").tempdir().context("no temporary folder can be made")?;
    let live = Live::new();
    let page = PageSettings { title: title.to_owned(), live: true, ..PageSettings::default() };
    let site = Site { folder: folder.path().to_owned(), page, live: Some(live.clone()) };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken =
        || format!("{address}: cannot be listened on; choose another port with --serve=PORT (0 takes any free one)");
    let server = Server::start(address, &site, Limits::default()).with_context(taken)?;
    console.note(format_args!("the training can be watched at http://{}/ while it runs", server.address()));
    let (sender, receiver) = channel();
    let states = folder.path();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || follow(&receiver, states, &live, console));
        let outcome = train(&sender);
        // Nothing more will come: the follower ends.
        drop(sender);
        outcome
    });
    server.stop(GRACE);
    outcome
}

/// Makes scenes of what comes, and tells them.
fn follow(updates: &Receiver<Update>, folder: &Path, live: &Live, console: &Console) {
    let (mut text, mut scene) = (String::new(), None);
    let (mut pending, mut states) = (None, 0);
    loop {
        match updates.recv_timeout(POLL) {
            Ok(Update::Splats(cloud)) => pending = Some(cloud),
            Ok(Update::Status(status)) => {
                text = status;
                live.tell(&json!({ "text": text, "scene": scene }).to_string());
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(cloud) = pending.take_if(|_| live.watchers() > 0) else { continue };
        states += 1;
        match add_state(&cloud, folder, states) {
            Ok(name) => scene = Some(name),
            Err(error) => console.warn(format_args!("a state of the training cannot be shown ({error:#})")),
        }
        live.tell(&json!({ "text": text, "scene": scene }).to_string());
    }
}

/// Writes a state and says where its manifest is, relative to the page.
fn add_state(cloud: &SplatCloud, folder: &Path, number: u64) -> Result<String> {
    let name = format!("state-{number}.tiles");
    write_tiles(&mut CloudSource::new(cloud), &folder.join(&name), |_| {})?;
    if let Some(old) = number.checked_sub(KEPT) {
        // It may have failed, and nothing else depends on it.
        let _ = std::fs::remove_dir_all(folder.join(format!("state-{old}.tiles")));
    }
    Ok(format!("{name}/{MANIFEST}"))
}
