//! A training that browsers watch: `tessera reconstruct --serve`.
//!
//! Each state that is shown is a streamed scene of its own, in a folder of its own; the page is told its name and changes over when
//! the new scene can be drawn. States are made only while somebody watches, and only the newest.

use crate::args::Skipping;
use crate::commands::reconstruct::Job;
use crate::console::Console;
use crate::inputs::FOUND_POSES;
use crate::published::{begin_at, page_colour, write_tiles};
use anyhow::{Context, Result};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tessera_engine::datasets::format::stream::CloudSource;
use tessera_engine::datasets::format::tiles::MANIFEST;
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::render::{PathCamera, orbit_of_capture};
use tessera_viewer::page::PageSettings;
use tessera_viewer::serve::{Limits, Live, Server, Site};
use tessera_viewer::window::Update;

/// How often it is looked whether somebody watches.
const POLL: Duration = Duration::from_millis(500);
/// Older states than so many are removed: their pages may still be on their way to somebody.
const KEPT: u64 = 6;
/// How long those who watch may fetch the last state.
const LAST_LOOK: Duration = Duration::from_secs(4);
/// What is being sent may take this long to end.
const GRACE: Duration = Duration::from_secs(1);
/// A circle of so many cameras says where to begin looking from; their size decides nothing else.
const CIRCLE: (usize, [u32; 2]) = (8, [640, 400]);

/// Serves the states that `train` sends, until it is done.
///
/// # Errors
/// When the port is taken, or as `train`.
pub fn while_training<T>(
    port: u16,
    job: &Job<'_>,
    console: &Console,
    train: impl FnOnce(&Sender<Update>) -> Result<T>,
) -> Result<T> {
    let folder = tempfile::Builder::new().prefix("tessera-").tempdir().context("no temporary folder can be made")?;
    let live = Live::new();
    let title = job.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let background = page_colour(job.settings.background());
    let page = PageSettings { title, background, live: true, ..PageSettings::default() };
    let site = Site { folder: folder.path().to_owned(), page, live: Some(live.clone()) };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken =
        || format!("{address}: cannot be listened on; choose another port with --serve=PORT (0 takes any free one)");
    let server = Server::start(address, &site, Limits::default()).with_context(taken)?;
    console.note(format_args!("the training can be watched at http://{}/ while it runs", server.address()));
    let (sender, receiver) = channel();
    let mut states =
        States { folder: folder.path(), captures: captures(job), skipping: job.skipping, cameras: None, made: 0 };
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| follow(receiver, &mut states, &live, console));
        let outcome = train(&sender);
        // Nothing more will come: the follower ends.
        drop(sender);
        outcome
    });
    if live.watchers() > 0 {
        std::thread::sleep(LAST_LOOK);
    }
    server.stop(GRACE);
    outcome
}

/// Where the posed photos may be: poses that were found for photos lie in the run folder.
fn captures(job: &Job<'_>) -> [PathBuf; 2] {
    [job.output.join(FOUND_POSES), job.capture.to_owned()]
}

/// Makes scenes of what comes, and tells them.
fn follow(updates: Receiver<Update>, states: &mut States<'_>, live: &Live, console: &Console) {
    let (mut text, mut scene, mut pending) = (String::new(), None, None);
    let (mut told, mut is_over) = (String::new(), false);
    while !is_over {
        match updates.recv_timeout(POLL) {
            Ok(Update::Splats(cloud)) => pending = Some(cloud),
            Ok(Update::Status(status)) => text = status,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => is_over = true,
        }
        if let Some(cloud) = pending.take_if(|_| live.watchers() > 0) {
            match states.add(&cloud) {
                Ok(name) => scene = Some(name),
                Err(error) => console.warn(format_args!("a state of the training cannot be shown ({error:#})")),
            }
        }
        let state = json!({ "text": text, "scene": scene, "over": is_over }).to_string();
        if state != told {
            live.tell(&state);
            told = state;
        }
    }
}

/// The states that are served.
struct States<'a> {
    folder: &'a Path,
    captures: [PathBuf; 2],
    skipping: Skipping,
    /// Around the scene, as the photos suggest them; known with the first state.
    cameras: Option<Vec<PathCamera>>,
    made: u64,
}

impl States<'_> {
    /// Writes a state and says where its manifest is, relative to the page.
    fn add(&mut self, cloud: &SplatCloud) -> Result<String> {
        self.made += 1;
        let name = format!("state-{}.tiles", self.made);
        let path = self.folder.join(&name);
        write_tiles(&mut CloudSource::new(cloud), &path, |_| {})?;
        let (captures, skipping) = (&self.captures, self.skipping);
        let cameras = self.cameras.get_or_insert_with(|| {
            let capture = captures.iter().find_map(|path| skipping.open(path).ok());
            capture.map_or_else(Vec::new, |capture| orbit_of_capture(cloud, &capture, CIRCLE.0, CIRCLE.1))
        });
        begin_at(&path, cameras)?;
        if let Some(old) = self.made.checked_sub(KEPT) {
            // It may have failed, and nothing else depends on it.
            let _ = std::fs::remove_dir_all(self.folder.join(format!("state-{old}.tiles")));
        }
        Ok(format!("{name}/{MANIFEST}"))
    }
}
