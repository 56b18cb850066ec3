//! Meshes of several moments: a folder with a file for each, or an animated glTF file.
//!
//! A folder says in `sequence.json` when each was, as runs of moving surfaces do; else names say it: files that are called alike but for
//! a number are frames by that number (`frame_0007.ply`), or moments in seconds where numbers have a decimal point (`t0.25.ply`).

use super::gltf::Animated;
use super::mesh::{MeshFormat, ReadMesh, read_mesh};
use super::{Contents, SplatFormat};
use crate::scene::Timeline;
use crate::{DataError, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What says in a folder which mesh belongs to which time.
pub const SEQUENCE_FILE: &str = "sequence.json";
/// Frames in a second of sequences that only number them.
const USUAL_RATE: f64 = 30.0;
/// More than this in a list is damage.
const MAX_LIST_BYTES: u64 = 256 << 20;
/// A mesh of a sequence, as [`SEQUENCE_FILE`] lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SequenceMesh {
    /// In the folder of the list.
    pub file: String,
    /// In the capture's own time.
    pub time: f64,
    /// From the first moment's object to this one's in the capture's coordinates, row by row.
    #[serde(default = "unmoved")]
    pub world_from_first: [[f64; 4]; 4],
}

fn unmoved() -> [[f64; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|column| f64::from(u8::from(row == column))))
}

/// Meshes of several moments, each of which is read when it is asked for.
#[derive(Debug)]
pub struct MeshSequence {
    path: PathBuf,
    source: Source,
    seconds: Vec<f64>,
    end: f64,
    timeline: Timeline,
}

#[derive(Debug)]
enum Source {
    Files(Vec<PathBuf>),
    Animated(Box<Animated>),
}

impl MeshSequence {
    /// The sequence at `path`, if it is one of at least two moments: a folder of meshes, or a glTF file that shows one mesh after the other.
    ///
    /// # Errors
    /// When its list or file is damaged.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if path.is_dir() {
            let list = path.join(SEQUENCE_FILE);
            if list.is_file() {
                let sequence = Self::listed(path, &list)?;
                return Ok((sequence.len() > 1).then_some(sequence));
            }
            return Ok(numbered(path).map(|(files, seconds)| Self::of_files(path, files, seconds)));
        }
        if !path.is_file() || !matches!(MeshFormat::of(path), Some(MeshFormat::Glb | MeshFormat::Gltf)) {
            return Ok(None);
        }
        let Some(animated) = Animated::open(path)? else { return Ok(None) };
        let times = animated.seconds.clone();
        let (seconds, timeline) = after_first(&times, animated.start);
        let end = (animated.end - times[0]).max(seconds[seconds.len() - 1]);
        let mut sequence =
            Self { path: path.to_owned(), source: Source::Animated(Box::new(animated)), seconds, end, timeline };
        if sequence.end <= sequence.seconds[sequence.len() - 1] {
            sequence.end = sequence.usual_end();
        }
        Ok(Some(sequence))
    }

    fn listed(folder: &Path, list: &Path) -> Result<Self> {
        let damaged = |what: &str| DataError::new(list, what).remedy("write it again, or remove it");
        let size = std::fs::metadata(list).map_err(|e| DataError::unreadable(list, &e))?.len();
        if size > MAX_LIST_BYTES {
            return Err(damaged("is too long for a list of meshes"));
        }
        let text = std::fs::read(list).map_err(|e| DataError::unreadable(list, &e))?;
        let mut meshes: Vec<SequenceMesh> =
            serde_json::from_slice(&text).map_err(|e| damaged(&format!("is no list of meshes ({e})")))?;
        if meshes.is_empty() || meshes.iter().any(|mesh| !mesh.time.is_finite()) {
            return Err(damaged("lists no meshes with their times"));
        }
        meshes.sort_by(|a, b| a.time.total_cmp(&b.time));
        if meshes.windows(2).any(|pair| pair[0].time >= pair[1].time) {
            return Err(damaged("lists several meshes of one time"));
        }
        let is_inside = |name: &str| Path::new(name).components().count() == 1 && Path::new(name).file_name().is_some();
        if let Some(mesh) = meshes.iter().find(|mesh| !is_inside(&mesh.file)) {
            return Err(damaged(&format!("names '{}', which is no file of its folder", mesh.file)));
        }
        let files = meshes.iter().map(|mesh| folder.join(&mesh.file)).collect();
        Ok(Self::of_files(folder, files, meshes.iter().map(|mesh| mesh.time).collect()))
    }

    fn of_files(path: &Path, files: Vec<PathBuf>, times: Vec<f64>) -> Self {
        let (seconds, timeline) = after_first(&times, times[0]);
        let mut sequence = Self { path: path.to_owned(), source: Source::Files(files), seconds, end: 0.0, timeline };
        sequence.end = sequence.usual_end();
        sequence
    }

    /// The last moment lasts as long as a frame.
    fn usual_end(&self) -> f64 {
        self.seconds[self.len() - 1] + 1.0 / self.timeline.frame_rate
    }

    /// The same meshes, so many a second.
    #[must_use]
    pub fn at_rate(mut self, rate: f64) -> Self {
        self.timeline = Timeline { frame_rate: rate, frames: self.len() as u32, ..self.timeline };
        self.seconds = (0..self.len() as u32).map(|frame| self.timeline.seconds_of(frame)).collect();
        self.end = self.usual_end();
        self
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many moments there are: one at least.
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Whether there are none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// When each moment begins, in seconds after the first; ascending.
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// When the last one ends.
    pub fn end(&self) -> f64 {
        self.end
    }

    /// Its frames, of which some may have no mesh.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The moment that is shown at a time in seconds after the first.
    pub fn at(&self, seconds: f64) -> usize {
        self.seconds.partition_point(|moment| *moment <= seconds).saturating_sub(1)
    }

    /// The files that it consists of.
    pub fn files(&self) -> &[PathBuf] {
        match &self.source {
            Source::Files(files) => files,
            Source::Animated(_) => std::slice::from_ref(&self.path),
        }
    }

    /// The mesh of a moment, by its number.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read(&self, moment: usize) -> Result<ReadMesh> {
        match &self.source {
            Source::Files(files) => read_mesh(&files[moment]),
            Source::Animated(animated) => animated.read(moment),
        }
    }

    /// The vertices of the first, the middle and the last mesh: about where all are.
    ///
    /// # Errors
    /// When one is missing or damaged.
    pub fn places(&self) -> Result<Vec<[f32; 3]>> {
        let mut seen = vec![0, self.len() / 2, self.len() - 1];
        seen.dedup();
        let mut places = Vec::new();
        for moment in seen {
            places.append(&mut self.read(moment)?.mesh.positions);
        }
        Ok(places)
    }
}

/// Seconds after the first of ascending times, and the frames that they suggest.
fn after_first(times: &[f64], start: f64) -> (Vec<f64>, Timeline) {
    let seconds: Vec<f64> = times.iter().map(|time| time - times[0]).collect();
    let timeline = Timeline::of_moments(&seconds, start);
    (seconds, timeline)
}

/// Files of a folder that are called alike but for a number, with the times that these numbers say. None where other meshes lie between
/// them, there are fewer than two, or they hold no triangles.
fn numbered(folder: &Path) -> Option<(Vec<PathBuf>, Vec<f64>)> {
    // Folders of splats have files of the same endings.
    if SplatFormat::to_read(folder).is_ok() {
        return None;
    }
    let names = std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let meshes = names.filter(|name| MeshFormat::of(Path::new(name)).is_some());
    let mut found: Vec<(f64, bool, String)> = Vec::new();
    let mut pattern = None;
    for name in meshes {
        let (before, number, after) = parted(&name)?;
        let alike = pattern.get_or_insert_with(|| (before.to_owned(), after.to_owned()));
        if (alike.0.as_str(), alike.1.as_str()) != (before, after) {
            return None;
        }
        found.push((number.parse().ok()?, number.contains('.'), name.clone()));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    if found.len() < 2 || found.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return None;
    }
    let is_mesh = Contents::of(&folder.join(&found[0].2)).is_ok_and(|contents| contents == Contents::Mesh);
    let unit = if found.iter().any(|(_, is_decimal, _)| *is_decimal) { 1.0 } else { USUAL_RATE };
    let times = found.iter().map(|(number, ..)| (number - found[0].0) / unit).collect();
    is_mesh.then(|| (found.into_iter().map(|(.., name)| folder.join(name)).collect(), times))
}

/// A name's last number, with what is before and after it.
fn parted(name: &str) -> Option<(&str, &str, &str)> {
    let stem = &name[..name.rfind('.')?];
    let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let mut begin = stem[..end].rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
    // Characters of several bytes end later.
    while !stem.is_char_boundary(begin) {
        begin += 1;
    }
    begin += stem[begin..end].find(|c: char| c.is_ascii_digit())?;
    Some((&name[..begin], &name[begin..end], &name[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Existing, write_mesh};
    use crate::scene::Mesh;

    fn triangle(size: f32) -> Mesh {
        Mesh {
            positions: vec![[0.0; 3], [size, 0.0, 0.0], [0.0, size, 0.0]],
            triangles: vec![[0, 1, 2]],
            ..Mesh::default()
        }
    }

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (i, name) in names.iter().enumerate() {
            write_mesh(folder.path().join(name), &triangle(1.0 + i as f32), Existing::Keep).expect("a mesh");
        }
        folder
    }

    fn found(names: &[&str]) -> Option<Vec<f64>> {
        let folder = folder_of(names);
        MeshSequence::find(folder.path()).expect("sound").map(|sequence| sequence.seconds().to_vec())
    }

    #[test]
    fn numbers_in_names_are_frames_and_decimal_ones_are_seconds() {
        assert_eq!(found(&["frame_9.ply", "frame_12.ply", "frame_0003.ply"]), Some(vec![0.0, 0.2, 0.3]));
        assert_eq!(found(&["t0.50.ply", "t0.25.ply", "t1.00.ply"]), Some(vec![0.0, 0.25, 0.75]));
        assert_eq!(found(&["0.glb", "1.glb"]).map(|seconds| seconds.len()), Some(2));
    }

    #[test]
    fn folders_of_other_things_are_no_sequences() {
        for names in [
            &["a.ply", "b.ply"][..],
            &["a1.ply", "b2.ply"],
            &["a1.ply", "a2.obj"],
            &["a1.ply"],
            &["a1.ply", "a01.ply"],
            &["a1.ply", "a2.ply", "mesh.ply"],
            &[],
        ] {
            assert_eq!(found(names), None, "{names:?}");
        }
        assert!(MeshSequence::find(Path::new("/nowhere/at/all")).expect("nothing").is_none());
    }

    #[test]
    fn a_list_says_when_meshes_were() {
        let folder = folder_of(&["x.ply", "y.ply", "z.ply"]);
        let list = |text: &str| {
            std::fs::write(folder.path().join(SEQUENCE_FILE), text).expect("written");
            MeshSequence::find(folder.path()).map(|sequence| sequence.expect("a list"))
        };
        let entries = r#"[{"file":"y.ply","time":10.5},{"file":"x.ply","time":10},{"file":"z.ply","time":12}]"#;
        let sequence = list(entries).expect("sound");
        assert_eq!((sequence.seconds(), sequence.end()), (&[0.0, 0.5, 2.0][..], 3.5));
        assert_eq!(sequence.read(1).expect("a mesh").mesh, triangle(2.0));
        assert_eq!(sequence.places().expect("meshes").len(), 9);
        let sequence = sequence.at_rate(4.0);
        assert_eq!((sequence.seconds(), sequence.end(), sequence.timeline().frames), (&[0.0, 0.25, 0.5][..], 0.75, 3));
        for (text, words) in [
            ("{}", "no list"),
            ("[]", "no meshes"),
            (r#"[{"file":"x.ply","time":1},{"file":"y.ply","time":1}]"#, "one time"),
            (r#"[{"file":"../x.ply","time":1}]"#, "no file of its folder"),
            (r#"[{"file":"..","time":1}]"#, "no file of its folder"),
        ] {
            let said = list(text).expect_err("refused").to_string();
            assert!(said.contains(words) && said.contains(SEQUENCE_FILE), "{said}");
        }
    }
}
