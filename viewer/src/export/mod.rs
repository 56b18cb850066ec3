//! Scenes as pages that need no server of ours: a folder for any file host, or one file that opens by a double click.

mod single_file;

use crate::page::{self, FirstView, MESH, MOVING, PageSettings, SEQUENCE};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tessera_datasets::format::tiles::{self, MANIFEST};
use tessera_datasets::format::{AtomicFolder, Existing};
use tessera_datasets::{DataError, Result};

pub use single_file::{MAX_SCENE_BYTES, write_single_file};

/// What becomes a page.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What the scene is called.
    pub title: String,
    /// What is shown.
    pub scene: Scene,
    /// Behind the scene, sRGB.
    pub background: [u8; 3],
    /// Pictures of a walk around the scene, as JPEG, for browsers that cannot draw it.
    pub orbit: Vec<Vec<u8>>,
    /// Where to begin looking from, of scenes whose files do not say it.
    pub view: Option<FirstView>,
}

/// A scene as the page takes it.
#[derive(Clone, Debug)]
pub enum Scene {
    /// Splats: a folder with a streamed scene.
    Tiles(PathBuf),
    /// A mesh or a point cloud: a GLB file that we wrote.
    Mesh(PathBuf),
    /// Meshes of several moments: an animated GLB file that we wrote.
    Sequence(PathBuf),
    /// A moving scene: its file.
    Moving(PathBuf),
}

impl Scene {
    /// What the page is told of where it is.
    pub fn address(&self) -> &'static str {
        match self {
            Self::Tiles(_) => MANIFEST,
            Self::Mesh(_) => MESH,
            Self::Sequence(_) => SEQUENCE,
            Self::Moving(_) => MOVING,
        }
    }
}

impl Bundle {
    fn settings(&self, scene: &str, orbit: Vec<String>) -> PageSettings {
        PageSettings {
            title: self.title.clone(),
            scene: Some(scene.to_owned()),
            background: self.background,
            live: false,
            orbit,
            view: self.view,
        }
    }
}

/// Writes the page, the scene and the pictures into a folder.
///
/// # Errors
/// When the folder exists and is to be kept, the scene cannot be read, or the disk refuses.
pub fn write_folder(bundle: &Bundle, path: &Path, existing: Existing) -> Result<()> {
    let out = AtomicFolder::create(path, existing)?;
    match &bundle.scene {
        Scene::Tiles(tiles) => {
            let manifest = tiles::open_manifest(tiles)?;
            let files = manifest.files.iter().map(String::as_str).chain([MANIFEST]);
            files.into_iter().try_for_each(|file| copy(&tiles.join(file), file, &out))?;
        }
        Scene::Mesh(mesh) => copy(mesh, MESH, &out)?,
        Scene::Sequence(file) => copy(file, SEQUENCE, &out)?,
        Scene::Moving(file) => copy(file, MOVING, &out)?,
    }
    let mut orbit = Vec::new();
    for (i, picture) in bundle.orbit.iter().enumerate() {
        let name = page::orbit_name(i);
        out.write(&name, picture)?;
        orbit.push(name);
    }
    out.write("index.html", page::index(&bundle.settings(bundle.scene.address(), orbit)).as_bytes())?;
    page::FILES.iter().try_for_each(|(name, bytes)| out.write(name, bytes))?;
    out.commit()
}

/// Copies a file into a folder, under a name that may have folders in it.
fn copy(from: &Path, name: &str, out: &AtomicFolder) -> Result<()> {
    let mut source = File::open(from).map_err(|e| DataError::new(from, format!("cannot be read ({e})")))?;
    if let Some(folder) = Path::new(name).parent() {
        fs::create_dir_all(out.temporary().join(folder)).map_err(|e| out.unwritable(&e))?;
    }
    io::copy(&mut source, &mut out.file(name)?).map(drop).map_err(|e| out.unwritable(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_datasets::format::tiles::StartCamera;
    use tessera_datasets::format::volumetric::{VideoFile, write_video};
    use tessera_datasets::format::{write_mesh, write_splats};
    use tessera_datasets::scene::{Mesh, SplatCloud, TimeHierarchy, Timeline, VolumetricVideo};

    /// A small scene as tiles, in a folder.
    fn bundle(folder: &Path) -> Bundle {
        let mut cloud = SplatCloud::with_capacity(40, 0);
        for i in 0..40 {
            cloud.means.push([i as f32, 0.0, 1.0]);
            cloud.log_scales.push([-3.0; 3]);
            cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
            cloud.opacity_logits.push(2.0);
            cloud.sh0.push([0.5; 3]);
        }
        let tiles = folder.join("scene.tiles");
        write_splats(&tiles, &cloud, false).expect("a scene");
        let (title, orbit) = ("</script> & co".to_owned(), vec![vec![0xff, 0xd8]]);
        Bundle { title, scene: Scene::Tiles(tiles), background: [0; 3], orbit, view: None }
    }

    fn untitled(scene: Scene) -> Bundle {
        Bundle { title: String::new(), scene, background: [0; 3], orbit: Vec::new(), view: None }
    }

    #[test]
    fn a_folder_holds_all_that_the_page_asks_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bundle, out) = (bundle(folder.path()), folder.path().join("site"));
        write_folder(&bundle, &out, Existing::Keep).expect("a site");
        let mut names: Vec<_> =
            fs::read_dir(&out).expect("a folder").flatten().map(|e| e.file_name().into_string()).collect();
        names.sort();
        let expected = [
            "index.html",
            "orbit-00.jpg",
            "pages.bin",
            "tessera-files.js",
            "tessera-mesh.js",
            "tessera-time.js",
            "tessera-viewer.js",
            "tessera-viewer.wasm",
            "tessera.css",
            "tessera.js",
            "tiles.json",
        ];
        assert_eq!(names, expected.map(|name| Ok(name.to_owned())));
        let again = write_folder(&bundle, &out, Existing::Keep);
        assert!(again.expect_err("in the way").to_string().contains("exists"));
    }

    #[test]
    fn meshes_are_pages_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("triangle.glb");
        let positions = vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let mesh = Mesh { positions, triangles: vec![[0, 1, 2]], ..Mesh::default() };
        write_mesh(&file, &mesh, Existing::Keep).expect("a mesh");
        let bundle = untitled(Scene::Mesh(file.clone()));
        let out = folder.path().join("site");
        write_folder(&bundle, &out, Existing::Keep).expect("a site");
        assert_eq!(fs::read(out.join(MESH)).expect("the mesh"), fs::read(&file).expect("the mesh"));
        write_single_file(&bundle, &folder.path().join("mesh.html"), Existing::Keep).expect("a file");
        let html = fs::read_to_string(folder.path().join("mesh.html")).expect("text");
        assert!(html.contains("id=\"scene-mesh\"") && !html.contains("scene-manifest\">"));
    }

    #[test]
    fn a_moving_scene_lies_beside_the_page_or_page_by_page_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.t4d");
        let mut video = VolumetricVideo::with_capacity(2, 0, Timeline { start: 0.0, frame_rate: 30.0, frames: 60 });
        for (time, scale) in [(0.0, f32::INFINITY), (1.0, -3.0)] {
            video.means.push([time, 0.0, 1.0]);
            video.times.push(time);
            video.log_scales.push([-3.0; 3]);
            video.log_time_scales.push(scale);
            video.left_quats.push([1.0, 0.0, 0.0, 0.0]);
            video.right_quats.push([1.0, 0.0, 0.0, 0.0]);
            video.opacity_logits.push(2.0);
            video.sh0.push([0.5; 3]);
        }
        let hierarchy = TimeHierarchy::of_duration(2.0, 0.5);
        let manifest = write_video(&file, &video, &hierarchy, Existing::Keep).expect("a scene");
        let view = FirstView {
            camera: StartCamera::before(&video.means, None),
            up: [0.0, -1.0, 0.0],
            bounds: [[0.0; 3], [1.0; 3]],
            near: 0.01,
        };
        let bundle = Bundle { view: Some(view), ..untitled(Scene::Moving(file.clone())) };
        let out = folder.path().join("site");
        write_folder(&bundle, &out, Existing::Keep).expect("a site");
        assert_eq!(fs::read(out.join(MOVING)).expect("the scene"), fs::read(&file).expect("the scene"));
        let index = fs::read_to_string(out.join("index.html")).expect("text");
        assert!(index.contains("\"scene\":\"scene.t4d\"") && index.contains("\"near\":0.01"));

        write_single_file(&bundle, &folder.path().join("a.html"), Existing::Keep).expect("a file");
        let html = fs::read_to_string(folder.path().join("a.html")).expect("text");
        let start = VideoFile::open(&file).expect("the scene").start();
        let pages = manifest.segments.iter().flat_map(|segment| &segment.pages);
        let ids = pages.map(|page| format!("scene--{}", start + page.offset)).chain(["scene-head".to_owned()]);
        for id in ids {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn one_file_refers_to_nothing_outside() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("scene.html");
        write_single_file(&bundle(folder.path()), &out, Existing::Keep).expect("a file");
        let html = fs::read_to_string(&out).expect("text");
        assert!(!html.contains("src=\"") && !html.contains("href=\"tessera"), "a file is referred to");
        for id in ["wasm", "scene-manifest", "scene-pages.bin-0"] {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
        // No script ends before its end: as many ends as beginnings.
        assert_eq!(html.matches("</script>").count(), html.matches("<script").count());
    }
}
