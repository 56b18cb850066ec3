//! Normal maps: drawn from a mesh, fused into one again, and refused where they cannot be.

use crate::fits::write_cube;
use crate::{tessera, text};

#[test]
fn a_mesh_becomes_normal_maps_and_a_mesh_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [cube, maps, mesh] = ["cube.obj", "maps", "again.ply"].map(|name| root.path().join(name));
    write_cube(&cube);
    let draw = ["synth", "normals", text(&cube), "-o", text(&maps), "--size", "96x96"];
    tessera().run(&draw).success();
    tessera().run(&draw).failure(&["exists already", "--force"]);
    let fuse = ["fuse", text(&maps), "-o", text(&mesh), "--steps", "60", "--faces", "2000", "--set", "hull_cells=40"];
    let report = tessera().run(&[&fuse[..], &["--json"]].concat()).json();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {report}"));
    assert!(number("triangles") <= 2000.0 && number("outline_iou") > 0.97, "{report}");
    tessera().run(&fuse).failure(&["exists already", "--force"]);
    let report = tessera().run(&["eval", text(&mesh), "--reference", text(&cube), "--json"]).json();
    // A pixel is 0.04 wide, and edges are rounded by a few.
    assert!(report["chamfer"].as_f64().is_some_and(|c| c < 0.03), "in the world of the cube: {report}");

    let other = root.path().join("other.ply");
    let fuse = |more: &[&str]| tessera().run(&[&["fuse", text(&maps), "-o", text(&other)], more].concat());
    fuse(&["--axes", "x,-y,z"]).failure(&["do not fit the outlines", "--space world --axes=x,y,z"]);
    fuse(&["--texture", "256"]).failure(&["no photos", "--texture"]);
    fuse(&["--set", "rate=9"]).wrong_usage(&["rate can't be 9"]);
    assert!(!other.exists(), "nothing was written");
    tessera().run(&["fuse", text(root.path()), "-o", text(&other)]).failure(&["holds no normal maps"]);
    tessera().run(&["synth", "normals", "-o", text(&other)]).wrong_usage(&["name the mesh"]);
    tessera()
        .run(&["synth", "room", text(&cube), "-o", text(&other)])
        .wrong_usage(&["only `object` and `normals` take a mesh"]);
}

#[test]
fn a_mesh_is_photographed_and_its_surface_is_the_one_in_the_photos() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [cube, photos, other] = ["cube.obj", "photos", "other"].map(|name| root.path().join(name));
    write_cube(&cube);
    let draw = ["synth", "object", text(&cube), "-o", text(&photos), "--size", "64x48", "--views", "4", "--rgba"];
    let told = tessera().run(&draw);
    told.success();
    assert!(told.stderr.contains("4 photos"), "{}", told.stderr);
    let mesh = photos.join("mesh.ply");
    let report =
        tessera().run(&["eval", text(&mesh), text(&photos), "--reference", text(&mesh), "--seen", "--json"]).json();
    assert!(report["chamfer"].as_f64().is_some_and(|c| c < 1e-6), "photos see the mesh that is written: {report}");
    tessera().run(&["synth", "object", "-o", text(&other)]).wrong_usage(&["name the mesh that is photographed"]);
    let cloud = photos.join("points.ply");
    tessera()
        .run(&["synth", "object", text(&cloud), "-o", text(&other)])
        .failure(&["no mesh to photograph", "triangles"]);
    assert!(!other.exists(), "nothing was written");
}
