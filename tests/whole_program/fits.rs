//! Pictures and shapes as fields of radial basis functions: fitted, looked at, drawn and meshed.

use crate::view::has_no_adapter;
use crate::{tessera, text};
use std::path::{Path, PathBuf};

/// A cube of side 2, one corner at the origin, of twelve triangles.
pub fn write_cube(path: &Path) {
    let vertices: String =
        (0..8u32).map(|i| format!("v {} {} {}\n", 2 * (i & 1), 2 * (i >> 1 & 1), 2 * (i >> 2))).collect();
    let quads = [[1, 3, 4, 2], [5, 6, 8, 7], [1, 2, 6, 5], [3, 7, 8, 4], [1, 5, 7, 3], [2, 4, 8, 6]];
    let faces: String = quads.iter().map(|[a, b, c, d]| format!("f {a} {b} {c}\nf {a} {c} {d}\n")).collect();
    std::fs::write(path, vertices + &faces).expect("a folder that takes files");
}

/// The arguments by which a cube is fitted.
fn fit_cube<'a>(cube: &'a Path, shape: &'a Path) -> Vec<&'a str> {
    write_cube(cube);
    let mut fit = vec!["fit", "sdf", text(cube), "-o", text(shape), "--steps", "500", "--json", "--device", "cpu"];
    for setting in ["batch=4096", "levels=4", "finest_resolution=32", "rate=0.02", "pool=32768"] {
        fit.extend(["--set", setting]);
    }
    fit
}

/// A shape of a cube, fitted in `folder`.
pub fn fitted_cube(folder: &Path) -> PathBuf {
    let [cube, shape] = ["cube.obj", "cube.rbf"].map(|name| folder.join(name));
    tessera().run(&fit_cube(&cube, &shape)).success();
    shape
}

#[test]
fn a_mesh_becomes_a_shape_and_a_mesh_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [cube, shape, mesh] = ["cube.obj", "cube.rbf", "again.ply"].map(|name| root.path().join(name));
    let fit = fit_cube(&cube, &shape);
    let report = tessera().run(&fit).json();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {report}"));
    // Edges and corners are rounded within a cell of 1/32.
    assert!(number("iou") > 0.95, "{report}");
    assert!(number("normal_error_deg") < 20.0 && number("seconds") > 0.0 && number("parameters") > 1000.0, "{report}");
    assert_eq!(report["device"].as_str(), Some("cpu"), "{report}");
    tessera().run(&fit).failure(&["exists already", "--force"]);

    let info = tessera().run(&["info", text(&shape), "--json"]).json();
    assert_eq!((info["kind"].as_str(), &info["parameters"]), (Some("shape"), &report["parameters"]), "{info}");
    tessera().run(&["mesh", text(&shape), "-o", text(&mesh), "--resolution", "64"]).success();
    let report = tessera().run(&["eval", text(&mesh), "--reference", text(&cube), "--json"]).json();
    assert!(report["chamfer"].as_f64().is_some_and(|c| c < 0.05), "in the world of the mesh: {report}");
    let out = root.path().join("around");
    tessera().run(&["render", text(&shape), "-o", text(&out)]).wrong_usage(&["--orbit"]);
    tessera().run(&["render", text(&shape), "-o", text(&out), "--orbit", "3", "--size", "96x72"]).success();
    let drawn = image::open(out.join("00001.png")).expect("a picture").to_rgb8();
    let shown = drawn.pixels().filter(|pixel| pixel.0 != [255; 3]).count();
    assert!((96 * 72 / 10..96 * 72 * 2 / 3).contains(&shown), "{shown} of 6912 pixels show the cube");
}

#[test]
fn photos_become_radiance_that_is_drawn_measured_and_meshed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [capture, run] = ["capture", "run"].map(|name| root.path().join(name));
    let mut synth = vec!["synth", "still-life", "-o", text(&capture), "--size", "64x48", "--views", "24", "--rgba"];
    synth.push("--quiet");
    tessera().run(&synth).success();
    let mut train = vec!["reconstruct", text(&capture), "--method", "rbf", "-o", text(&run), "--steps", "600"];
    for setting in ["levels=6", "most_entries=4096", "finest_resolution=128", "samples=8192", "occupancy_resolution=32"]
    {
        train.extend(["--set", setting]);
    }
    train.extend(["--set", "ray_steps=128", "--test-every", "5", "--quiet"]);
    tessera().run(&train).success();
    let scene = run.join("scene.rbf");
    let info = tessera().run(&["info", text(&scene), "--json"]).json();
    assert_eq!((info["kind"].as_str(), info["unbounded"].as_bool()), (Some("radiance"), Some(false)), "{info}");
    let report = tessera().run(&["eval", text(&run), "--json"]).json();
    // One colour all over has 10.7 dB.
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 18.0), "{report}");
    let [pictures, mesh] = ["pictures", "mesh.glb"].map(|name| root.path().join(name));
    let of_run = ["render", text(&run), "--capture", text(&capture), "--test-every", "5", "-o", text(&pictures)];
    tessera().run(&of_run).success();
    assert_eq!(std::fs::read_dir(&pictures).expect("a folder").count(), 5, "a picture for each held-out photo");
    let orbit = root.path().join("orbit");
    tessera().run(&["render", text(&scene), "--orbit", "2", "--size", "40x30", "-o", text(&orbit)]).success();
    tessera().run(&["mesh", text(&run), "-o", text(&mesh), "--resolution", "32"]).success();
    tessera().run(&["fit", "sdf", text(&mesh), "-o", text(&scene)]).failure(&["exists already"]);
    tessera()
        .run(&["convert", text(&run), text(&root.path().join("x.ply"))])
        .failure(&["scene.rbf", "no supported splat format"]);
}

#[test]
fn a_picture_is_fitted_and_drawn_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [input, fitted, drawn] = ["in.png", "out.rbf", "drawn.png"].map(|name| root.path().join(name));
    let mut picture = image::RgbImage::new(90, 70);
    picture.enumerate_pixels_mut().for_each(|(x, y, p)| p.0 = [(2 * x) as u8, (3 * y) as u8, (x + y) as u8]);
    picture.save(&input).expect("a picture");
    let mut fit = vec!["fit", "image", text(&input), "-o", text(&fitted), "--steps", "1000", "--json"];
    fit.extend(["--set", "tile=64", "--set", "batch=2048"]);
    let report = tessera().run(&fit).json();
    // The mean colour alone has 13 dB.
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 25.0), "{report}");
    assert_eq!((report["tiles"].as_u64(), report["width"].as_u64()), (Some(4), Some(90)), "{report}");
    tessera().run(&["render", text(&fitted), "-o", text(&drawn)]).success();
    let again = image::open(&drawn).expect("a picture").into_rgb8();
    let differences = picture.as_raw().iter().zip(again.as_raw()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let psnr = -10.0 * (differences.sum::<f64>() / picture.as_raw().len() as f64 / 255.0f64.powi(2)).log10();
    let reported = report["psnr"].as_f64().unwrap_or_default();
    // Rounding to 8 bits is the only difference.
    assert!((psnr - reported).abs() < 1.0, "drawn with {psnr} dB, reported {reported}");
    tessera()
        .run(&["mesh", text(&fitted), "-o", text(&root.path().join("x.ply"))])
        .failure(&["picture", "tessera render"]);
    let page = root.path().join("page.html");
    tessera().run(&["export", text(&fitted), "-o", text(&page), "--pictures", "0", "--quiet"]).success();
    assert!(page.is_file(), "the picture on a board");
    // It is a unit high: from this distance a pixel of the screen is as large as one of the picture.
    let distance = 100.0 / 0.45f64.tan() / 70.0;
    let Some(seen) = seen(&fitted, &format!("0,0,{distance},0,0,0")) else { return };
    let (left, top) = ((200 - 90) / 2, (200 - 70) / 2);
    assert_eq!(seen.get_pixel(left - 2, 100).0, [0, 0, 255], "beside the picture is the background");
    let differences = again.enumerate_pixels().flat_map(|(x, y, p)| {
        let found = seen.get_pixel(left + x, top + y);
        (0..3).map(|k| f64::from(p[k].abs_diff(found[k]))).collect::<Vec<_>>()
    });
    let mean = differences.sum::<f64>() / again.as_raw().len() as f64;
    // Pixels lie on pixels but for rounding of the camera's place; colours change by three steps from one pixel to the next.
    assert!(mean < 1.0, "what is seen differs by {mean} of 255 steps from what render draws");
}

#[test]
fn what_cannot_be_fitted_is_said_in_words() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [points, flat, dot, out] = ["points.obj", "flat.obj", "dot.png", "out.rbf"].map(|name| root.path().join(name));
    std::fs::write(&points, "v 0 0 0\nv 1 0 0\nv 0 1 0\n").expect("writable");
    std::fs::write(&flat, "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n").expect("writable");
    image::RgbImage::new(1, 1).save(&dot).expect("a picture");
    let fit = |kind: &str, input: &Path| tessera().run(&["fit", kind, text(input), "-o", text(&out)]);
    fit("sdf", &points).failure(&["points.obj", "triangles"]);
    fit("sdf", &flat).failure(&["flat.obj", "area"]);
    fit("image", &dot).failure(&["dot.png", "nothing to fit"]);
    fit("image", &flat).failure(&["flat.obj", "not an image"]);
    tessera().run(&["fit", "image", text(&dot), "-o", "x.ply"]).failure(&["x.ply", ".rbf"]);
    tessera().run(&["info", text(&dot.with_extension("rbf"))]).failure(&["dot.rbf"]);
    // There are not so many GPUs, if any.
    let fit = ["fit", "image", text(&dot), "-o", text(&out)];
    let refused = tessera().run(&[&fit[..], &["--device", "cuda:9999"]].concat());
    let message = refused.failure(&[]);
    assert!(message.contains("--device cpu") || message.contains("no GPU 9999"), "{message}");
    let network = ["--device", "cuda", "--set", "decoder=network"];
    tessera().run(&[&fit[..], &network].concat()).wrong_usage(&["CPU only", "decoder=rbf"]);
    tessera().run(&[&fit[..], &["--device", "gpu"]].concat()).wrong_usage(&["auto", "cuda:1"]);
    assert!(!out.exists(), "nothing is left behind");
}

/// Draws what is seen of a field from a camera, before blue; none without a graphics adapter.
fn seen(field: &Path, camera: &str) -> Option<image::RgbImage> {
    let shot = field.with_extension("png");
    let view = ["view", text(field), "--camera", camera, "--size", "200x200", "--background", "0,0,1"];
    let finished = tessera().run(&[&view[..], &["--screenshot", text(&shot), "--force"]].concat());
    if has_no_adapter(&finished) {
        return None;
    }
    finished.success();
    Some(image::open(&shot).expect("a picture").to_rgb8())
}

#[test]
fn a_shape_is_seen_and_put_on_a_page() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let shape = fitted_cube(root.path());
    let page = root.path().join("cube.html");
    // Straight at the middle of a face, 4 before it: the face's side of 2 is as wide as 2 / 4 of the focal length, which is
    // 100 pixels / tan(0.45).
    let Some(picture) = seen(&shape, "1,1,-4,1,1,1") else { return };
    let grey = picture.pixels().filter(|p| p[0] == p[1] && p[1] == p[2] && p[0] > 200).count() as f64;
    let side = 0.5 * 100.0 / 0.45f64.tan();
    // Edges are rounded off and off by a cell of 1/32 of the cube, a fifteenth of the face.
    assert!((grey.sqrt() / side - 1.0).abs() < 0.07, "{grey} pixels are the face, whose side has {side:.0}");
    tessera().run(&["export", text(&shape), "-o", text(&page), "--pictures", "2", "--quiet"]).success();
    assert!(std::fs::metadata(&page).expect("a page").len() > 100_000, "the page holds a mesh");
}
