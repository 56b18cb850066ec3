//! Meshes of several moments from a user's side: one file that plays, numbered files again, pictures, pages.

use crate::view::has_no_adapter;
use crate::{tessera, text};
use std::path::{Path, PathBuf};
use tessera_datasets::format::{Existing, MeshSequence, SEQUENCE_FILE, read_mesh, write_mesh};
use tessera_datasets::scene::Mesh;

/// A tetrahedron that climbs, in so many files of a folder.
pub fn climbing(root: &Path, moments: usize) -> PathBuf {
    let folder = root.join("climbing");
    std::fs::create_dir(&folder).expect("a folder");
    for moment in 0..moments {
        let y = 0.5 * moment as f32;
        let mesh = Mesh {
            positions: vec![[-1.0, y - 1.0, 0.0], [1.0, y - 1.0, 0.0], [0.0, y + 1.0, 0.0], [0.0, y, 1.0]],
            colours: vec![[200, 40, 10], [10, 200, 40], [40, 10, 200], [255, 255, 0]],
            triangles: vec![[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]],
            ..Mesh::default()
        };
        write_mesh(folder.join(format!("{moment:06}.ply")), &mesh, Existing::Keep).expect("a mesh");
    }
    folder
}

#[test]
fn a_folder_of_meshes_becomes_one_file_that_plays_and_files_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = climbing(root.path(), 4);
    let [glb, frames, one] = ["a.glb", "back_%02d.ply", "one.ply"].map(|name| root.path().join(name));
    tessera().run(&["convert", text(&folder), text(&glb), "--quiet"]).success();
    tessera().run(&["convert", text(&glb), text(&frames), "--quiet"]).success();
    for moment in 0..4 {
        let back = read_mesh(root.path().join(format!("back_{moment:02}.ply"))).expect("a mesh").mesh;
        let before = read_mesh(folder.join(format!("{moment:06}.ply"))).expect("a mesh").mesh;
        assert_eq!(back, before, "moment {moment}");
    }
    tessera().run(&["convert", text(&glb), text(&one)]).wrong_usage(&["many names", "frame_%04d.ply"]);
    tessera().run(&["convert", text(&glb), text(&one), "--frames", "9"]).failure(&["4 moments"]);
    tessera().run(&["convert", text(&glb), text(&one), "--frames", "2", "--translate", "0,0,5", "--quiet"]).success();
    assert_eq!(read_mesh(&one).expect("a mesh").mesh.positions[3], [0.0, 1.0, 6.0]);
    tessera().run(&["convert", text(&glb), text(&one), "--frames", "2", "--morton"]).wrong_usage(&["--morton"]);
    tessera().run(&["convert", text(&folder), text(&glb)]).failure(&["a.glb", "exists already"]);

    for scene in [&folder, &glb] {
        let info = tessera().run(&["info", text(scene), "--json"]).json();
        assert_eq!((info["kind"].as_str(), info["moments"].as_u64()), (Some("mesh sequence"), Some(4)), "{info}");
        assert_eq!((info["frame_rate"].as_f64(), info["colours"].as_u64()), (Some(30.0), Some(4)), "{info}");
        assert_eq!(info["triangles"], serde_json::json!([4, 4]), "{info}");
    }
    let damaged = root.path().join("damaged");
    std::fs::create_dir(&damaged).expect("a folder");
    std::fs::write(damaged.join(SEQUENCE_FILE), "{}").expect("written");
    tessera().run(&["info", text(&damaged)]).failure(&[SEQUENCE_FILE, "no list of meshes"]);
}

#[test]
fn a_moment_is_seen_as_its_mesh_is_and_pages_hold_all_of_them() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = climbing(root.path(), 4);
    let page = root.path().join("page.html");
    tessera().run(&["export", text(&folder), "-o", text(&page), "--pictures", "0", "--quiet"]).success();
    let html = std::fs::read_to_string(&page).expect("a page");
    assert_eq!(html.matches("id=\"scene--").count(), 4, "a part for each moment");
    assert!(html.contains("id=\"scene-sequence\""));
    let shot = |scene: &Path, name: &str, more: &[&str]| {
        let shot = root.path().join(name);
        let view = ["view", text(scene), "--camera", "0,1,6,0,1,0", "--size", "160x120", "--screenshot", text(&shot)];
        let finished = tessera().run(&[&view[..], more].concat());
        (!has_no_adapter(&finished)).then(|| {
            finished.success();
            std::fs::read(shot).expect("a picture")
        })
    };
    let Some(moment) = shot(&folder, "a.png", &["--fps", "2", "--time", "1.2"]) else { return };
    let mesh = shot(&folder.join("000002.ply"), "b.png", &[]).expect("a picture");
    let other = shot(&folder, "c.png", &[]).expect("a picture");
    assert!(moment == mesh && moment != other, "the third mesh is seen from the first second on");
    tessera()
        .run(&["view", text(&folder), "--screenshot", "never.png", "--time", "1"])
        .failure(&["lasts 0.13 seconds", "--time 1"]);
    let still = folder.join("000000.ply");
    tessera().run(&["view", text(&still), "--screenshot", "never.png", "--fps", "5"]).failure(&["--fps"]);
}

/// Puts meshes of two moments into a run, as runs of moving surfaces leave them, and makes one file of them.
pub fn moving_run_becomes_one_file(run: &Path, mesh: &Path) {
    let meshes = run.join("meshes");
    std::fs::create_dir(&meshes).expect("a folder");
    let list = [(0, 2.0), (1, 2.25)].map(|(moment, time)| {
        let file = format!("{moment:06}.ply");
        std::fs::copy(mesh, meshes.join(&file)).expect("a copy");
        serde_json::json!({"file": file, "time": time, "world_from_first": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]})
    });
    std::fs::write(meshes.join(SEQUENCE_FILE), serde_json::json!(list).to_string()).expect("written");
    let [glb, last] = ["moving.glb", "last.ply"].map(|name| run.join(name));
    tessera().run(&["mesh", text(run), "-o", text(&glb), "--faces", "300"]).success();
    let moving = MeshSequence::find(&glb).expect("sound").expect("moments");
    assert_eq!((moving.seconds(), moving.end(), moving.timeline().start), (&[0.0, 0.25][..], 0.5, 2.0));
    let simple = moving.read(1).expect("a mesh").mesh;
    assert!((200..=300).contains(&simple.triangles.len()), "{} triangles", simple.triangles.len());
    assert_eq!((simple.colours.len(), simple.normals.len()), (simple.positions.len(), simple.positions.len()));
    tessera().run(&["mesh", text(run), "-o", text(&glb), "--force", "--resolution", "32"]).wrong_usage(&["--last"]);
    let alone = tessera().run(&["mesh", text(run), "-o", text(&last), "--resolution", "32"]);
    alone.success();
    assert!(alone.stderr.contains("the last of 2 moments"), "{alone:#?}");
    assert_eq!(tessera().run(&["info", text(run), "--json"]).json()["moments"].as_u64(), Some(2));
}
