//! Meshes of several moments as a glTF file that plays: a node for each, scaled to nothing while others are shown.
//!
//! Scales that change in steps are what all programs play; that of a node for its moment is one, else zero. Numbers are
//! written as they come, so that one mesh is in memory at a time, and those of a moment lie together: where, the extras of the
//! animation say, so that pages fetch moments as they are seen.

use super::container::Container;
use super::mesh_writer::{Contents, extras};
use crate::camera::Similarity;
use crate::format::Existing;
use crate::scene::Mesh;
use crate::{DataError, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// Writes an animated `.glb` or `.gltf` file moment by moment. Nothing of it is there before it is finished.
pub struct SequenceWriter {
    container: Container,
    contents: Contents,
    /// The numbers, until it is known how long what describes them is.
    spill: File,
    meshes: Vec<Value>,
    nodes: Vec<Value>,
    seconds: Vec<f64>,
    places: Vec<[usize; 2]>,
}

impl SequenceWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// When its name ends otherwise, it exists and is to be kept, or the disk refuses.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        let is_gltf = |extension: &str| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
        if !is_gltf("glb") && !is_gltf("gltf") {
            return Err(DataError::new(path, "cannot hold meshes of several moments").remedy("name a .glb file"));
        }
        let container = Container::create(path, existing)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let spill = tempfile::tempfile_in(folder).map_err(|e| DataError::unwritable(path, &e))?;
        let contents = Contents::default();
        let (meshes, nodes, seconds, places) = Default::default();
        Ok(Self { container, contents, spill, meshes, nodes, seconds, places })
    }

    /// Adds a mesh that is shown from a moment on, in seconds after the first; later than the ones before.
    ///
    /// # Errors
    /// When it is empty or contradicts itself, comes too early, there is no more room, or the disk refuses.
    pub fn put(&mut self, seconds: f64, mesh: &Mesh) -> Result<()> {
        let path = self.container.path().to_owned();
        let bad = |reason: &str| DataError::new(&path, format!("is not written, because {reason}"));
        let next = self.seconds.len();
        if mesh.positions.is_empty() {
            return Err(bad(&format!("mesh {next} is empty")).remedy("leave that moment out"));
        }
        if !mesh.is_consistent() {
            return Err(
                bad(&format!("the arrays of mesh {next} disagree")).remedy("give every vertex all of its attributes")
            );
        }
        if !self.is_later(seconds) {
            return Err(
                bad(&format!("the time of mesh {next} is not after that of the one before")).remedy("sort its moments")
            );
        }
        let start = self.contents.length();
        let primitives = self.contents.mesh(mesh);
        let bytes = self.contents.take();
        self.places.push([start, bytes.len()]);
        if (start + bytes.len()) as u64 > self.container.room(0) {
            return Err(DataError::new(&path, "would become longer than 4 GiB, the most that a GLB file can be")
                .remedy("write fewer triangles a moment (tessera mesh --faces) or fewer moments"));
        }
        self.spill.write_all(&bytes).map_err(|e| DataError::unwritable(&path, &e))?;
        let mut node = json!({"mesh": next, "name": format!("moment {next:06}")});
        if next > 0 {
            node["scale"] = json!([0, 0, 0]);
        }
        if mesh.scene_from_world != Similarity::identity() {
            node["extras"] = extras(&mesh.scene_from_world);
        }
        self.meshes.push(json!({"primitives": primitives}));
        self.nodes.push(node);
        self.seconds.push(seconds);
        Ok(())
    }

    /// Whether a time comes after all moments, in the single precision that animations have.
    fn is_later(&self, seconds: f64) -> bool {
        seconds.is_finite() && seconds >= 0.0 && self.seconds.last().is_none_or(|last| (*last as f32) < seconds as f32)
    }

    /// Gives the file its name. The last mesh is shown until `end`, and the first moment was at `start` in the capture's own time.
    ///
    /// # Errors
    /// When there are no meshes, it ends before the last one, or the disk refuses.
    pub fn finish(mut self, end: f64, start: f64) -> Result<()> {
        let path = self.container.path().to_owned();
        if self.seconds.is_empty() {
            return Err(DataError::new(&path, "is not written, because it would hold no mesh").remedy("name some"));
        }
        if !self.is_later(end) {
            return Err(DataError::new(&path, "is not written, because it would end before its last moment")
                .remedy("let it last longer"));
        }
        let (nodes, meshes) = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.meshes));
        let animation = (nodes.len() > 1).then(|| self.animation(end, start));
        let rest = self.contents.take();
        self.spill.write_all(&rest).map_err(|e| DataError::unwritable(&path, &e))?;
        let mut json = self.contents.json(nodes, meshes);
        if let Some(animation) = animation {
            json["animations"] = json!([animation]);
        }
        let begin = self.container.start(&json);
        let length = self.contents.length() as u64;
        let file = &mut self.container.file;
        file.seek(SeekFrom::Start(begin)).map_err(|e| file.unwritable(&e))?;
        let mut copy = || -> io::Result<()> {
            self.spill.rewind()?;
            let mut piece = vec![0; PIECE];
            loop {
                match self.spill.read(&mut piece)? {
                    0 => return Ok(()),
                    n => file.write_all(&piece[..n])?,
                }
            }
        };
        copy().map_err(|e| DataError::unwritable(&path, &e))?;
        self.container.finish(json, begin, length)
    }

    /// Shows every node from its moment to the next one's.
    fn animation(&mut self, end: f64, start: f64) -> Value {
        let shown = [[1.0; 3], [0.0; 3]];
        let scales = [
            self.contents.rows(&shown),
            self.contents.rows(&[shown[1], shown[0], shown[1]]),
            // To its end it is there.
            self.contents.rows(&[shown[1], shown[0], shown[0]]),
        ];
        let (mut channels, mut samplers) = (Vec::new(), Vec::new());
        let first = self.seconds[0];
        for (node, seconds) in self.seconds.clone().into_iter().enumerate() {
            let next = self.seconds.get(node + 1).copied();
            let until = next.unwrap_or(end);
            let (times, output) = match (node, next) {
                (0, _) => (vec![seconds, until], scales[0]),
                (_, Some(_)) => (vec![first, seconds, until], scales[1]),
                (_, None) => (vec![first, seconds, until], scales[2]),
            };
            let times: Vec<f32> = times.into_iter().map(|time| time as f32).collect();
            let input = self.contents.numbers(&times);
            samplers.push(json!({"input": input, "output": output, "interpolation": "STEP"}));
            channels.push(json!({"sampler": node, "target": {"node": node, "path": "scale"}}));
        }
        // Moments as pages look for them: when each begins, and its bytes in the binary part.
        let moments = json!({"start": start, "end": end, "seconds": self.seconds, "places": self.places});
        json!({"name": "moments", "channels": channels, "samplers": samplers, "extras": {"tessera": moments}})
    }
}

impl std::fmt::Debug for SequenceWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SequenceWriter").field("moments", &self.seconds.len()).finish_non_exhaustive()
    }
}
