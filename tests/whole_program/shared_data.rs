//! Real captures of every layout load and train for a few steps at low resolution; real scenes and meshes are seen, served and
//! exported.

use crate::view::has_no_adapter;
use crate::web::Server;
use crate::{tessera, text};
use std::collections::HashSet;
use tessera_tests::shared_data;

/// Trains on a folder of the shared data and evaluates.
fn trains(name: &str, layout: &str) {
    let Some(capture) = shared_data(name) else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = vec!["reconstruct", text(&capture), "-o", text(&run), "--steps", "20"];
    arguments.extend(["--max-splats", "4000", "--resolution", "160", "--test-every", "8"]);
    let finished = tessera().run(&arguments);
    finished.success();
    assert!(finished.stderr.contains(layout), "the layout is not called {layout}: {finished:?}");
    assert!(run.join("scene.ply").is_file());
    let report = tessera().run(&["eval", text(&run), text(&capture), "--split", "test", "--json"]).json();
    assert!(report["images"].as_u64().is_some_and(|n| n > 0), "{report}");
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 5.0), "{report}");
}

#[test]
fn fox_has_no_points() {
    trains("posed/fox", "transforms.json");
}

#[test]
fn snowmiku_is_a_binary_colmap_model() {
    trains("colmap/snowmiku_plush", "COLMAP");
}

#[test]
fn nerf_chair_is_transparent() {
    trains("synthetic/nerf_chair", "Blender");
}

#[test]
fn ethiopian_head_has_masks() {
    trains("llff_masked/ethiopian_head", "LLFF");
}

#[test]
fn dtu_has_spheres_and_masks() {
    trains("surface/dtu_scan24", "IDR");
}

#[test]
fn fountain_has_few_photos() {
    trains("posed/strecha_fountain_P11", "transforms.json");
}

/// What is at a path of the shared data is drawn into a picture that shows something, served with all that the page asks for, and
/// exported as a folder and as one file.
#[cfg(unix)]
fn is_seen_everywhere(name: &str) {
    let Some(scene) = shared_data(name) else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let [shot, site, page] = ["shot.png", "site", "page.html"].map(|name| root.path().join(name));
    let finished = tessera().run(&["view", text(&scene), "--screenshot", text(&shot), "--size", "320x240"]);
    if has_no_adapter(&finished) {
        return;
    }
    finished.success();
    let pixels = image::open(&shot).expect("a picture").to_rgb8();
    let background = *pixels.get_pixel(0, 239);
    let seen = pixels.pixels().filter(|pixel| (0..3).any(|k| pixel[k].abs_diff(background[k]) > 16)).count();
    let colours = pixels.pixels().collect::<HashSet<_>>().len();
    assert!(seen > 500 && colours > 30, "{name}: {seen} pixels of {colours} colours are seen");

    let server = Server::start(&[text(&scene)]);
    let index = String::from_utf8(server.get("/")).expect("text");
    let parts = if index.contains("mesh.glb") { vec!["/mesh.glb"] } else { vec!["/tiles.json", "/pages.bin"] };
    for part in parts.into_iter().chain(["/tessera-viewer.wasm", "/tessera.js"]) {
        assert!(server.get(part).starts_with(b"HTTP/1.1 200"), "{name}: {part} is not served");
    }
    assert_eq!(server.stop().0, Some(0));

    for out in [&site, &page] {
        tessera().run(&["export", text(&scene), "-o", text(out), "--pictures", "2"]).success();
    }
    let index = std::fs::read_to_string(site.join("index.html")).expect("a page");
    assert!(index.contains("orbit-01.jpg") && site.join("orbit-01.jpg").is_file(), "{name}: there are no pictures");
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("id=\"wasm\"") && page.contains("data:image/jpeg"), "{name}: the page is not whole");
}

#[cfg(unix)]
#[test]
fn all_splat_files_are_seen_served_and_exported() {
    for name in ["guitar.compressed.ply", "guitar_12k.ply", "guitar_12k.splat", "minimal.ksplat", "playcanvas_test.ply"]
    {
        is_seen_everywhere(&format!("splats/{name}"));
    }
    is_seen_everywhere("splats/playbot_lod3_sog");
}

#[cfg(unix)]
#[test]
fn meshes_are_seen_served_and_exported() {
    for name in ["armadillo.obj", "bunny.off", "fandisk.obj", "spot.obj"] {
        is_seen_everywhere(&format!("meshes/{name}"));
    }
}
