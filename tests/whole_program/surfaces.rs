//! From photos to a closed mesh, and what is said when there is none.

use crate::sequences::moving_run_becomes_one_file;
use crate::{small_training, tessera, text};
use tessera_tests::shared_small_capture;

/// Settings with which training takes seconds.
const SMALL: [&str; 12] = [
    "guide_steps=100",
    "guide_splats=1000",
    "fit_steps=30",
    "samples=2048",
    "levels=8",
    "log2_table=12",
    "finest_resolution=128",
    "distance_width=32",
    "colour_width=16",
    "occupancy_resolution=32",
    "ray_steps=128",
    "mesh_resolution=32",
];

#[test]
fn photos_become_a_closed_mesh_that_is_measured() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [capture, run, mesh] = ["capture", "run", "mesh.ply"].map(|name| root.path().join(name));
    let synth =
        ["synth", "still-life", "--rgba", "--size", "96x72", "--views", "16", "--samples", "4", "-o", text(&capture)];
    tessera().run(&synth).success();
    let mut training = vec!["reconstruct", text(&capture), "--method", "surface", "-o", text(&run), "--steps", "150"];
    training.extend(["--test-every", "8"]);
    SMALL.iter().for_each(|setting| training.extend(["--set", setting]));
    let said = tessera().run(&training).success().to_owned();
    assert!(said.contains("surface.safetensors") && said.contains("mesh.glb") && said.contains("PSNR"), "{said}");

    let report = tessera().run(&["eval", text(&run), "--json"]).json();
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 12.0), "{report}");
    tessera().run(&["mesh", text(&run), "-o", text(&mesh), "--resolution", "48"]).success();
    let info = tessera().run(&["info", text(&mesh), "--json"]).json();
    assert!(info["triangles"].as_u64().is_some_and(|n| n > 100), "{info}");
    tessera().run(&["mesh", text(&run), "-o", text(&mesh)]).failure(&["exists already", "--force"]);

    let reference = capture.join("mesh.ply");
    let report = tessera().run(&["eval", text(&mesh), "--reference", text(&reference), "--json"]).json();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {report}"));
    assert!(number("chamfer") < 0.1 * number("reference_size"), "{report}");
    let seen = tessera().run(&["eval", text(&run), "--reference", text(&reference), "--seen", "--json"]).json();
    // The table's underside, which no photo shows, is what the surface knows least about.
    assert!(seen["chamfer"].as_f64().is_some_and(|seen| seen < number("chamfer")), "{seen} instead of {report}");

    let textured = root.path().join("textured.glb");
    let options = ["--resolution", "48", "--faces", "900", "--texture", "512", "-o", text(&textured)];
    tessera().run(&[&["mesh", text(&run)][..], &options[..]].concat()).success();
    let info = tessera().run(&["info", text(&textured), "--json"]).json();
    assert!(info["triangles"].as_u64().is_some_and(|n| (700..=900).contains(&n)), "{info}");
    assert_eq!(
        (info["uvs"].as_bool(), info["textures"].as_u64(), info["open_edges"].as_u64()),
        (Some(true), Some(1), Some(0)),
        "{info}"
    );
    let orbit = root.path().join("orbit");
    tessera().run(&["render", text(&run), "--orbit", "2", "--size", "40x30", "-o", text(&orbit)]).success();
    assert_eq!(std::fs::read_dir(&orbit).expect("a folder").count(), 2, "two pictures of the surface");
    moving_run_becomes_one_file(&run, &mesh);
}

#[test]
fn photos_without_masks_are_seen_before_a_backdrop() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut training =
        vec!["reconstruct", text(shared_small_capture()), "--method", "surface", "-o", text(&run), "--steps", "200"];
    training.extend(["--test-every", "8"]);
    SMALL.iter().for_each(|setting| training.extend(["--set", setting]));
    tessera().run(&training).success();
    // 14 dB; with `guide_steps=0`, before a single colour, the same run collapses to 5 dB.
    let report = tessera().run(&["eval", text(&run), "--json"]).json();
    let found = report["psnr"].as_f64().unwrap_or_default();
    assert!(found > 10.0, "{found} dB");
}

#[test]
fn meshes_are_made_of_surfaces_only() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [run, mesh] = ["run", "mesh.glb"].map(|name| root.path().join(name));
    tessera().run(&small_training(shared_small_capture(), &run, "5")).success();
    tessera().run(&["mesh", text(&run), "-o", text(&mesh)]).failure(&["--method splats", "--method surface"]);
    tessera()
        .run(&["mesh", text(root.path()), "-o", text(&mesh)])
        .failure(&["neither a run folder nor a fitted shape"]);
    let capture = text(shared_small_capture());
    let turned = ["reconstruct", capture, "--method", "surface", "--set", "flip_cameras=true", "-o", text(&mesh)];
    tessera().run(&turned).failure(&["other axis convention", "flip_cameras"]);
    assert!(!mesh.exists(), "something was written");
}
