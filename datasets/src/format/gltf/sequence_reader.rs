//! Meshes of several moments in a glTF file: an animation that shows one after the other, by scales that change in steps.

use super::accessor::{RowReader, Rows};
use super::document::{Document, at};
use super::json::Channel;
use super::mesh_reader::read_placed;
use super::placement::{Scales, shown};
use crate::format::ReadMesh;
use crate::{DataError, Result};
use serde::Deserialize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Steps of all nodes together: files can name the same numbers again and again.
const MAX_STEPS: u64 = 1 << 22;

/// A file whose animation shows meshes at their moments.
pub(in crate::format) struct Animated {
    /// One reader at a time: its file has one place at which it is read.
    document: Mutex<Document>,
    tracks: Vec<Track>,
    /// When something else is shown, from when on it is, in seconds; ascending.
    pub seconds: Vec<f64>,
    /// When it has all been shown.
    pub end: f64,
    /// When the first moment was, in the capture's own time.
    pub start: f64,
}

/// How a node is scaled as time passes.
struct Track {
    node: u32,
    /// Ascending.
    times: Vec<f64>,
    scales: Vec<[f64; 3]>,
}

impl Track {
    fn at(&self, seconds: f64) -> [f64; 3] {
        let passed = self.times.partition_point(|time| *time <= seconds);
        self.scales[passed.saturating_sub(1)]
    }

    /// When it changes.
    fn changes(&self) -> impl Iterator<Item = f64> {
        let pairs = self.scales.windows(2).zip(&self.times[1..]);
        pairs.filter(|(pair, _)| pair[0] != pair[1]).map(|(_, time)| *time)
    }
}

impl Animated {
    /// Opens a file if it has meshes of several moments; `None` when it stands still, or moves in other ways.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let document = Document::open(path)?;
        let Some(animation) = document.root.animations.first() else { return Ok(None) };
        let is_step = |channel: &Channel| {
            let sampler = at(&animation.samplers, channel.sampler);
            channel.target.path == "scale" && sampler.is_some_and(|s| s.interpolation.as_deref() == Some("STEP"))
        };
        if !animation.channels.iter().all(is_step) {
            return Ok(None);
        }
        let mut reader = RowReader::default();
        let (mut tracks, mut steps) = (Vec::new(), 0);
        for channel in animation.channels.iter() {
            let (Some(node), Some(sampler)) = (channel.target.node, at(&animation.samplers, channel.sampler)) else {
                continue;
            };
            let times = Rows::find(&document, sampler.input, 1, "times")?;
            let scales = Rows::find(&document, sampler.output, 3, "scales")?;
            if times.count != scales.count {
                return Err(document.bad("has an animation with more or fewer times than scales"));
            }
            steps += times.count;
            if steps > MAX_STEPS {
                return Err(document.bad(format!("has an animation of more than {MAX_STEPS} steps")));
            }
            let times = all(&mut reader, &document, &times)?;
            if !times.iter().all(|time| time.is_finite()) || !times.is_sorted() {
                return Err(document.bad("has an animation whose times are not in order"));
            }
            let scales = all(&mut reader, &document, &scales)?;
            tracks.push(Track { node, times, scales: scales.as_chunks().0.to_vec() });
        }
        let ends = || tracks.iter().flat_map(|track| [track.times[0], track.times[track.times.len() - 1]]);
        let (first, end) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
        let mut seconds: Vec<f64> =
            tracks.iter().flat_map(Track::changes).chain(first.is_finite().then_some(first)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.dedup();
        if seconds.len() < 2 {
            return Ok(None);
        }
        let start = ours(&document).and_then(|ours| ours.start).filter(|start| start.is_finite()).unwrap_or(first);
        Ok(Some(Self { document: Mutex::new(document), tracks, seconds, end, start }))
    }

    /// What is shown from a moment on, by its number.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn read(&self, moment: usize) -> Result<ReadMesh> {
        let document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = self.seconds[moment];
        let scales: Scales = self.tracks.iter().map(|track| (track.node, track.at(seconds))).collect();
        let places = shown(&document, &scales)?;
        // Files of others may show nothing for a while.
        if places.is_empty() { Ok(ReadMesh::default()) } else { read_placed(&document, &places) }
    }
}

/// Extras of an animation.
#[derive(Deserialize)]
struct Extras {
    tessera: Ours,
}

/// What our files say of their moments.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Ours {
    /// When the first one was, in the capture's own time.
    start: Option<f64>,
    places: Vec<[u64; 2]>,
}

fn ours(document: &Document) -> Option<Ours> {
    let extras = document.root.animations.first()?.extras.as_ref()?;
    serde_json::from_str::<Extras>(extras.get()).ok().map(|extras| extras.tessera)
}

/// Where the bytes of moments are in a file that [`super::SequenceWriter`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencePlaces {
    /// Where the numbers begin: all before describes them.
    pub start: u64,
    /// By moment: the first of its bytes, from there, and how many there are.
    pub moments: Vec<[u64; 2]>,
}

impl SequencePlaces {
    /// Looks them up.
    ///
    /// # Errors
    /// When the file is missing or damaged, or another program wrote it.
    pub fn of(path: &Path) -> Result<Self> {
        let document = Document::open(path)?;
        let other = || {
            DataError::new(path, "does not say where its moments are")
                .remedy("write it again (tessera convert IN.glb OUT.glb)")
        };
        let (start, length) = document.binary().ok_or_else(other)?;
        let moments = ours(&document).map(|ours| ours.places).filter(|places| !places.is_empty()).ok_or_else(other)?;
        let is_inside = |[offset, bytes]: &[u64; 2]| offset.checked_add(*bytes).is_some_and(|end| end <= length);
        if !moments.iter().all(is_inside) {
            return Err(document.bad("says that its moments are beyond its end"));
        }
        Ok(Self { start, moments })
    }
}

/// All numbers of an accessor.
fn all(reader: &mut RowReader, document: &Document, rows: &Rows) -> Result<Vec<f64>> {
    const PIECE: u64 = 1 << 16;
    let (mut numbers, mut values) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < rows.count {
        let n = (rows.count - first).min(PIECE);
        reader.floats(document, rows, first, n as usize, &mut values)?;
        numbers.extend(values.iter().map(|value| f64::from(*value)));
        first += n;
    }
    Ok(numbers)
}

impl std::fmt::Debug for Animated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Animated").field("moments", &self.seconds.len()).finish_non_exhaustive()
    }
}
