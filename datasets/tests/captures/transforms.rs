//! Transforms files of nerfstudio, instant-ngp and Blender scenes.

use crate::support::{Folder, png};
use serde_json::{Value, json};
use tessera_datasets::camera::{Distortion, Lens};
use tessera_datasets::capture::{Capture, MaskKind, OpenOptions, Split};

/// A camera at (x, 2, 3) with its axes along the world's.
pub fn at(x: f64) -> Value {
    json!([[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
}

pub fn two_frames(shared: Value) -> Folder {
    let mut file = shared;
    file["frames"] = json!([
        { "file_path": "images/b.png", "transform_matrix": at(1.0) },
        { "file_path": "images/a.png", "transform_matrix": at(0.0) },
    ]);
    let folder = Folder::new();
    folder.put("images/a.png", png(64, 48)).put("images/b.png", png(64, 48)).put("transforms.json", file.to_string());
    folder
}

fn lens_of(shared: Value) -> Lens {
    two_frames(shared).open().frames[0].camera.lens
}

#[test]
fn the_camera_looks_along_minus_z_with_y_up() {
    let opened = two_frames(json!({ "camera_angle_x": 1.0 })).open();
    let frame = &opened.frames[0];
    assert_eq!((frame.name.as_str(), frame.image.as_str()), ("a.png", "images/a.png"));
    // One unit right, two up and five ahead of the camera, which OpenCV calls (1, -2, 5).
    let seen = frame.camera_from_world * nalgebra::Point3::new(1.0, 4.0, -2.0);
    assert!((seen.coords - nalgebra::Vector3::new(1.0, -2.0, 5.0)).norm() < 1e-12, "{seen}");
}

#[test]
fn focal_lengths_come_from_pixels_or_from_angles() {
    let from_angle = 32.0 / (0.5_f64 * 1.2).tan();
    let lens = lens_of(json!({ "camera_angle_x": 1.2 }));
    assert_eq!(lens, Lens { focal: [from_angle; 2], centre: [32.0, 24.0], distortion: Distortion::None });
    let lens = lens_of(json!({ "camera_angle_x": 1.2, "camera_angle_y": 1.0 }));
    assert_eq!(lens.focal, [from_angle, 24.0 / 0.5_f64.tan()]);
    let lens = lens_of(json!({ "fl_x": 70, "camera_angle_x": 1.2, "cx": 30.5, "cy": 20, "w": 64.0, "h": 48.0 }));
    assert_eq!((lens.focal, lens.centre), ([70.0; 2], [30.5, 20.0]));
    let lens = lens_of(json!({ "fl_x": 140, "fl_y": 150, "w": 128, "h": 96, "cx": 64, "cy": 40 }));
    assert_eq!((lens.focal, lens.centre), ([70.0, 75.0], [32.0, 20.0]), "scaled to the photo's size");
    two_frames(json!({ "w": 64 })).refused_with(&["transforms.json", "images/b.png", "focal length"]);
    two_frames(json!({ "fl_x": 70, "w": 48, "h": 64 })).refused_with(&["b.png", "64x48", "48x64"]);
}

#[test]
fn every_lens_family_is_read() {
    let bent =
        json!({ "fl_x": 70, "k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4, "k5": 0.5, "k6": 0.6, "p1": 0.01, "p2": 0.02 });
    let with_model = |name: &str| {
        let mut shared = bent.clone();
        shared["camera_model"] = json!(name);
        lens_of(shared).distortion
    };
    let polynomial = Distortion::Polynomial { k: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], p: [0.01, 0.02] };
    assert_eq!(lens_of(bent.clone()).distortion, polynomial);
    assert_eq!(with_model("FULL_OPENCV"), polynomial);
    assert_eq!(with_model("OPENCV"), polynomial);
    assert_eq!(with_model("OPENCV_FISHEYE"), Distortion::Fisheye { k: [0.1, 0.2, 0.3, 0.4] });
    assert_eq!(with_model("PINHOLE"), Distortion::None);
    let radial = lens_of(json!({ "fl_x": 70, "k1": 0.1, "camera_model": "SIMPLE_RADIAL" })).distortion;
    assert_eq!(radial, Distortion::Polynomial { k: [0.1, 0.0, 0.0, 0.0, 0.0, 0.0], p: [0.0; 2] });
    let fisheye = lens_of(json!({ "fl_x": 70, "k1": 0.1, "is_fisheye": true })).distortion;
    assert_eq!(fisheye, Distortion::Fisheye { k: [0.1, 0.0, 0.0, 0.0] });
    let unknown = two_frames(json!({ "fl_x": 70, "camera_model": "EQUIRECTANGULAR" }));
    unknown.refused_with(&["transforms.json", "unknown camera model 'EQUIRECTANGULAR'"]);
}

#[test]
fn a_frame_overrides_what_all_share() {
    let file = json!({ "fl_x": 70, "camera_model": "OPENCV", "k1": 0.1, "w": 64, "h": 48, "frames": [
        { "file_path": "a.png", "transform_matrix": at(0.0) },
        { "file_path": "b.png", "transform_matrix": at(1.0), "camera_angle_x": 1.2, "w": 32, "h": 24, "k1": 0.0 },
    ]});
    let folder = Folder::new();
    folder.put("a.png", png(64, 48)).put("b.png", png(32, 24)).put("transforms.json", file.to_string());
    let frames = folder.open().frames;
    assert_eq!(frames[0].camera.lens.focal, [70.0; 2]);
    assert_eq!(frames[1].camera.width, 32);
    assert_eq!(frames[1].camera.lens.focal, [16.0 / (0.5_f64 * 1.2).tan(); 2]);
    assert_eq!(frames[1].camera.lens.distortion, Distortion::None);
}

#[test]
fn everything_else_that_a_frame_may_say() {
    let file = json!({ "fl_x": 70, "depth_unit_scale_factor": 0.5, "ply_file_path": "cloud.ply", "frames": [
        { "file_path": "./images\\a", "transform_matrix": at(0.0), "mask_path": "masks/a.png",
          "depth_file_path": "depth/a.png", "time": 0.25, "split": "test", "camera": "left" },
        { "file_path": "images/b.jpg", "transform_matrix": at(1.0), "split": "val", "camera": "centre" },
        { "file_path": "images/c.png", "transform_matrix": at(1.0), "mask_path": "masks/none.png", "camera": 7 },
    ]});
    let folder = Folder::new();
    for name in ["images/a.png", "images/b.png", "images/c.png", "masks/a.png", "depth/a.png"] {
        folder.put(name, png(64, 48));
    }
    folder.put("transforms.json", file.to_string());
    folder.put(
        "cloud.ply",
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n\
         property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 4 5 6\n",
    );
    let opened = folder.open();
    let [a, b, c] = &opened.frames[..] else { panic!("{} frames", opened.frames.len()) };
    assert_eq!(a.image, "images/a.png", "the missing ending is found");
    assert_eq!(b.image, "images/b.png", "the wrong ending is put right");
    assert_eq!(a.mask.as_ref().map(|m| (m.path.as_str(), m.kind)), Some(("masks/a.png", MaskKind::Ignore)));
    assert_eq!(a.depth.as_ref().map(|d| (d.path.as_str(), d.scale)), Some(("depth/a.png", 0.5)));
    assert_eq!((a.time, a.split, a.rig_camera), (Some(0.25), Some(Split::Test), Some(1)));
    assert_eq!((b.split, b.rig_camera), (Some(Split::Validation), Some(0)));
    assert_eq!((c.split, c.rig_camera), (None, Some(7)));
    assert_eq!((opened.points[0].position, opened.points[0].colour), ([1.0, 2.0, 3.0], [4, 5, 6]));
    assert!(opened.warnings[0].contains("masks/none.png"), "{:?}", opened.warnings);
    assert_eq!(Capture::open(folder.path().join("transforms.json")).expect("a file opens too").frames.len(), 3);
    let zip = folder.zipped("scene/");
    assert_eq!(Capture::open(zip.path()).expect("the archive opens").frames.len(), 3);
}

#[test]
fn absolute_paths_work_within_the_folder_only() {
    let folder = two_frames(json!({ "fl_x": 70 }));
    let root = folder.path().to_str().expect("Unicode");
    let text = std::fs::read_to_string(folder.path().join("transforms.json")).expect("read");
    folder.put("transforms.json", text.replace("images/", &format!("{root}/images/")));
    assert_eq!(folder.open().frames[1].image, "images/b.png");
    let elsewhere = Folder::new();
    elsewhere.put("transforms.json", text.replace("images/", &format!("{root}/images/")));
    elsewhere.refused_with(&["transforms.json", "none of its 2 images exists", "own folder only"]);
    elsewhere.put("transforms.json", text.replace("images/", "../../images/"));
    elsewhere.refused_with(&["transforms.json", "none of its 2 images exists", "own folder only"]);
}

#[test]
fn nerfstudio_lists_mark_the_parts() {
    let folder =
        two_frames(json!({ "fl_x": 70, "train_filenames": ["images/b.png"], "test_filenames": ["images/a.png"] }));
    let opened = folder.open();
    assert_eq!(opened.split_indices(None), (vec![1], vec![0]));
}

#[test]
fn blender_splits_are_joined() {
    let folder = Folder::new();
    for (part, count) in [("train", 3), ("val", 1), ("test", 2)] {
        let mut frames = Vec::new();
        for i in 0..count {
            folder.put(&format!("{part}/r_{i}.png"), png(40, 40));
            frames.push(
                json!({ "file_path": format!("./{part}/r_{i}"), "time": 0.5, "transform_matrix": at(f64::from(i)) }),
            );
        }
        let file = json!({ "camera_angle_x": 0.7, "frames": frames });
        folder.put(&format!("transforms_{part}.json"), file.to_string());
    }
    let opened = folder.open();
    assert_eq!(opened.layout, "Blender/NeRF-synthetic transforms_{train,val,test}.json");
    let names: Vec<_> = opened.frames.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names[..3], ["test/r_0.png", "test/r_1.png", "train/r_0.png"]);
    let (train, test) = opened.split_indices(None);
    assert_eq!((train, test), (vec![2, 3, 4], vec![0, 1]));
    assert_eq!(opened.frames[0].time, Some(0.5));
    folder.remove("transforms_test.json");
    assert_eq!(folder.open().split_indices(None).1.len(), 1, "validation frames stand in for test frames");
}

#[test]
fn the_only_capture_in_a_folder_stands_for_the_folder() {
    let inner = two_frames(json!({ "fl_x": 70 }));
    let outer = Folder::new();
    let copy = |name: &str| {
        let target = outer.path().join(name);
        std::fs::create_dir_all(target.join("images")).expect("a folder");
        for file in ["transforms.json", "images/a.png", "images/b.png"] {
            std::fs::copy(inner.path().join(file), target.join(file)).expect("copied");
        }
    };
    outer.put("LICENCE.txt", "yes");
    copy("scan");
    assert_eq!(outer.open().frames.len(), 2);
    copy("scan2");
    outer.refused_with(&["2 captures", "name one of them", "scan"]);
}

#[test]
fn bad_files_are_one_clear_sentence() {
    let good = two_frames(json!({ "fl_x": 70 }));
    let path = good.path().join("transforms.json");
    let text = std::fs::read_to_string(path).expect("read");
    let refused = |text: String, words: &[&str]| {
        good.put("transforms.json", text);
        good.refused_with(words);
    };
    refused(text[..text.len() / 2].to_owned(), &["transforms.json", "not a valid transforms file"]);
    refused(text.replace("2.0", "NaN"), &["transforms.json", "NaN"]);
    refused(text.replace("2.0", "1e999"), &["transforms.json"]);
    refused(text.replace("2.0", "1e300"), &["transforms.json", "images/b.png", "far away"]);
    refused(text.replacen("[1.0,0.0,0.0,", "[-1.0,0.0,0.0,", 1), &["images/b.png", "not a rigid motion"]);
    refused(text.replacen("[1.0,0.0,0.0,", "[1.0,0.9,0.0,", 1), &["images/b.png", "not a rigid motion"]);
    refused(text.replacen("[1.0,0.0,0.0,", "[1.0,0.0,", 1), &["images/b.png", "not 4x4"]);
    refused(text.replace("b.png", "a.png"), &["transforms.json", "images/a.png twice"]);
    refused(json!({ "fl_x": 70, "frames": [] }).to_string(), &["transforms.json", "no images"]);
    refused(json!({ "fl_x": 70 }).to_string(), &["transforms.json", "frames"]);
    refused(text.replace("images/", "nowhere/"), &["transforms.json", "none of its 2 images exists"]);
    refused(text.replace("70", "-70"), &["transforms.json", "focal length"]);
    refused("[".repeat(100_000), &["transforms.json"]);
    good.put("transforms.json", text).put("images/a.png", &png(64, 48)[..20]);
    good.refused_with(&["a.png"]);
}

/// Photos of two cameras that stand still, `times` by camera.
fn of_two_cameras(times: [&[&str]; 2]) -> Folder {
    let folder = Folder::new();
    let mut frames = Vec::new();
    for (camera, times) in times.into_iter().enumerate() {
        for (number, time) in times.iter().enumerate() {
            let path = format!("images/{camera}/{number}.png");
            folder.put(&path, png(64, 48));
            let pose = at(camera as f64);
            frames.push(format!(r#"{{"file_path": "{path}", "transform_matrix": {pose}, "time": {time}}}"#));
        }
    }
    // In which order a file lists them says nothing.
    frames.reverse();
    folder.put("transforms.json", format!(r#"{{"fl_x": 70, "frames": [{}]}}"#, frames.join(",")));
    folder
}

/// What is left with bad photos skipped: names with times, and the warnings.
fn sound(folder: &Folder) -> (Vec<(String, Option<f64>)>, String) {
    let capture = Capture::open_with(folder.path(), OpenOptions { skip_bad: true }).expect("opens");
    (capture.frames.iter().map(|f| (f.name.clone(), f.time)).collect(), capture.warnings.join("\n"))
}

#[test]
fn times_that_go_back_or_repeat_are_refused_and_left_out() {
    let folder = of_two_cameras([&["0", "0.1", "0.5", "0.2", "0.3"], &["0", "0.1", "0.1", "0.2", "0.3"]]);
    folder.refused_with(&["2 photos have times that go back or repeat", "(images/1/2.png)", "--skip-bad"]);
    let (left, told) = sound(&folder);
    let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["0/0.png", "0/1.png", "0/3.png", "0/4.png", "1/0.png", "1/1.png", "1/3.png", "1/4.png"]);
    assert!(told.contains("they are left out"), "{told}");
}

#[test]
fn times_that_could_not_be_computed_or_are_missing_are_named() {
    let folder = of_two_cameras([&["0", "NaN", "0.2"], &["0", "0.1", "-Infinity"]]);
    folder.refused_with(&["2 photos have a time that is not a finite number", "images/1/2.png", "--skip-bad"]);
    assert_eq!(sound(&folder).0.len(), 4);
    // Splats of a still scene need none, so that some are missing is no reason to refuse.
    let folder = of_two_cameras([&["0", "null", "0.2"], &["0", "0.1", "0.2"]]);
    assert_eq!(folder.open().frames.len(), 6);
    let (left, told) = sound(&folder);
    assert_eq!(left.len(), 5);
    assert!(told.contains("1 photos have no time, which most have (images/0/1.png)"), "{told}");
    of_two_cameras([&["0", "\"soon\""], &["0", "1"]]).refused_with(&["transforms.json", "not a valid transforms file"]);
}

#[test]
fn clocks_may_begin_anywhere_and_run_either_way() {
    let sound: [[&[&str]; 2]; 4] = [
        [&["-0.2", "-0.1", "0"], &["-0.2", "-0.1", "0"]],
        [&["3", "2", "1"], &["1", "2", "3"]],
        [&["0", "0", "0"], &["0", "0", "0"]],
        [&["5"], &["5"]],
    ];
    for times in sound {
        let capture = of_two_cameras(times).open();
        assert_eq!((capture.frames.len(), capture.warnings), (2 * times[0].len(), Vec::new()), "{times:?}");
    }
}
