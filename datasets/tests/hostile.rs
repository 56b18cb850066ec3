//! Files that lie, end early, or are no files: of every format that can be read. Each is refused in one sentence or read, and
//! takes no more memory than a file of its length may.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tessera_datasets::format::stream::{CloudSource, SplatHeader, SplatSource};
use tessera_datasets::format::{
    Existing, MeshFormat, SogVersion, SplatFormat, SpzVersion, WriteOptions, create_splats, read_mesh, read_splats,
    write_mesh,
};
use tessera_datasets::scene::{Mesh, SplatCloud};

/// What any file of this test may take: a chunk of splats for each of reader and scene, and buffers.
const MOST_BYTES: usize = 96 << 20;

/// Counts what is allocated.
struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A scene on disk: the path by which it is opened, and all its files.
struct Scene {
    name: String,
    path: PathBuf,
    files: Vec<PathBuf>,
    is_mesh: bool,
}

impl Scene {
    fn new(path: PathBuf, is_mesh: bool) -> Self {
        let folder = path.parent().expect("a folder");
        let mut files = Vec::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(place) = waiting.pop() {
            for entry in std::fs::read_dir(place).expect("list") {
                let place = entry.expect("entry").path();
                if place.is_dir() { waiting.push(place) } else { files.push(place) }
            }
        }
        files.sort();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        Self { name, path, files, is_mesh }
    }

    /// Reads the scene; the sentence with which it is refused, if it is.
    fn refusal(&self, what: &str) -> Option<String> {
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        let read = match self.is_mesh {
            true => read_mesh(&self.path).map(drop),
            false => read_splats(&self.path).map(drop),
        };
        let most = MOST.load(Relaxed) - before;
        assert!(most <= MOST_BYTES, "{}, {what}: took {} MB", self.name, most >> 20);
        let error = read.err().map(|error| error.to_string());
        let folder = self.path.parent().expect("a folder").display().to_string();
        if let Some(error) = &error {
            assert!(error.starts_with(&folder), "{}, {what}: names no file: {error}", self.name);
            assert!(!error.contains('\n'), "{}, {what}: {error}", self.name);
        }
        error
    }
}

fn cloud(n: usize, sh_degree: u8) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for i in 0..n {
        let x = (i as f32 * 0.7).sin();
        cloud.means.push([x, 1.0 - x, 0.1 * i as f32]);
        cloud.log_scales.push([-3.0, -4.0 + x, -5.0]);
        cloud.quats.push([1.0, x, 0.2, -0.3]);
        cloud.opacity_logits.push(2.0 * x);
        cloud.sh0.push([x, 0.5, -x]);
        cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|k| 0.1 * x * (k % 5) as f32));
    }
    cloud
}

fn write(path: &Path, options: &WriteOptions) {
    let cloud = cloud(90, 1);
    let mut sink = create_splats(path, &SplatHeader::of(&cloud), options, Existing::Keep).expect("create");
    let mut source = CloudSource::new(&cloud);
    let mut chunk = source.header().empty_cloud(0);
    while source.next_chunk(&mut chunk).expect("nothing can fail") {
        sink.put(&chunk).expect("put");
    }
    sink.finish().expect("finish");
}

/// A good scene of every format and version, each in a folder of its own.
fn scenes(root: &Path) -> Vec<Scene> {
    let mut kinds: Vec<(String, String, WriteOptions)> = SplatFormat::ALL
        .iter()
        .filter(|format| format.writes())
        .map(|format| (format.name().to_owned(), format.endings()[0].to_owned(), WriteOptions::default()))
        .collect();
    for spz_version in SpzVersion::ALL {
        let options = WriteOptions { spz_version, ..WriteOptions::default() };
        kinds.push((format!("SPZ {}", spz_version.number()), ".spz".to_owned(), options));
    }
    for sog_version in SogVersion::ALL {
        let options = WriteOptions { sog_version, ..WriteOptions::default() };
        kinds.push((format!("SOG folder {}", sog_version.number()), "meta.json".to_owned(), options));
    }
    let mut scenes = Vec::new();
    for (name, ending, options) in kinds {
        let folder = root.join(name);
        std::fs::create_dir(&folder).expect("folder");
        let path = folder.join(if ending.starts_with('.') { format!("scene{ending}") } else { ending });
        write(&path, &options);
        // A tree of pages is a folder itself.
        scenes.push(Scene::new(if path.is_dir() { path.join("tiles.json") } else { path }, false));
    }
    let mesh = Mesh {
        positions: (0..60).map(|i| [i as f32, (i % 7) as f32, 0.5]).collect(),
        triangles: (0..40).map(|i| [i, i + 1, i + 9]).collect(),
        ..Mesh::default()
    };
    let points = Mesh { triangles: Vec::new(), ..mesh.clone() };
    for format in MeshFormat::ALL.iter().filter(|format| format.writes()) {
        for (what, mesh) in [("mesh", &mesh), ("points", &points)] {
            let folder = root.join(format!("{} of a {what}", format.name()));
            std::fs::create_dir(&folder).expect("folder");
            let path = folder.join(format!("scene.{}", format.extension()));
            write_mesh(&path, mesh, Existing::Keep).expect("written");
            scenes.push(Scene::new(path, true));
        }
    }
    let off = root.join("OFF/scene.off");
    std::fs::create_dir(root.join("OFF")).expect("folder");
    std::fs::write(&off, "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n").expect("write");
    scenes.push(Scene::new(off, true));
    let data = std::env::var_os("TESSERA_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    match std::fs::read(data.join("splats/minimal.ksplat")) {
        Ok(bytes) => {
            let path = root.join("ksplat/scene.ksplat");
            std::fs::create_dir(root.join("ksplat")).expect("folder");
            std::fs::write(&path, bytes).expect("write");
            scenes.push(Scene::new(path, false));
        }
        Err(_) => println!("skipped: {} has no .ksplat file", data.display()),
    }
    scenes
}

/// Numbers that no small file means.
fn lies(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lies = Vec::new();
    // Binary headers: every word of the first bytes.
    for at in (0..bytes.len().saturating_sub(3).min(160)).step_by(2) {
        for word in [0u32, 0x7fff_ffff, 0x8000_0000, u32::MAX, 1 << 26] {
            let mut lie = bytes.to_vec();
            lie[at..at + 4].copy_from_slice(&word.to_le_bytes());
            lies.push((format!("word at {at} is {word:#x}"), lie));
        }
    }
    // Texts: every number of the first bytes.
    let start = &bytes[..bytes.len().min(6000)];
    let is_number = |at: usize| start[at].is_ascii_digit() && (at == 0 || !start[at - 1].is_ascii_alphanumeric());
    for at in (0..start.len()).filter(|&at| is_number(at)).take(300) {
        let length = start[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        for number in ["0", "-1", "4294967295", "9223372036854775807", "18446744073709551616", "1e308"] {
            let lie = [&bytes[..at], number.as_bytes(), &bytes[at + length..]].concat();
            lies.push((format!("number at {at} is {number}"), lie));
        }
    }
    lies
}

#[test]
fn whatever_is_wrong_with_a_file_is_one_sentence_in_bounded_memory() {
    let root = tempfile::tempdir().expect("temporary folder");
    for scene in scenes(root.path()) {
        assert_eq!(scene.refusal("as it was written"), None, "{}", scene.name);
        for file in &scene.files {
            let good = std::fs::read(file).expect("read");
            let shown = file.file_name().expect("a name").to_string_lossy().into_owned();
            let mut tried = lies(&good);
            let steps = good.len().min(200);
            tried
                .extend((0..steps).map(|i| i * good.len() / steps).map(|n| (format!("{n} bytes"), good[..n].to_vec())));
            tried.push(("zeros".to_owned(), vec![0; 5000]));
            tried.push(("ones".to_owned(), vec![255; 5000]));
            tried.push(("another format".to_owned(), b"RIFF\x10\0\0\0WAVEfmt nothing that is a scene".repeat(9)));
            for (what, bytes) in tried {
                std::fs::write(file, bytes).expect("write");
                let error = scene.refusal(&format!("{shown}, {what}"));
                let must_fail = ["zeros", "ones", "another format"].contains(&what.as_str());
                let raw = file.extension().is_some_and(|extension| extension == "splat" || extension == "bin");
                assert!(!must_fail || raw || error.is_some(), "{}, {shown}, {what}: was read", scene.name);
            }
            // In place of a file, nothing and a folder.
            std::fs::remove_file(file).expect("remove");
            assert!(scene.refusal(&format!("{shown} is missing")).is_some(), "{}, {shown}", scene.name);
            std::fs::create_dir(file).expect("folder");
            assert!(scene.refusal(&format!("{shown} is a folder")).is_some(), "{}, {shown}", scene.name);
            std::fs::remove_dir(file).expect("remove");
            std::fs::write(file, good).expect("write");
        }
    }
}
