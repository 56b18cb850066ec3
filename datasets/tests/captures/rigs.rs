//! Rigs of cameras: calibrations in several layouts, videos that ffmpeg makes here, and what is said when they do not fit.
//! Without ffmpeg the tests with videos say that they are skipped.

use crate::support::{Folder, png};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_datasets::camera::Distortion;
use tessera_datasets::capture::{Capture, Frame, OpenOptions, Split, rig_cameras};
use tessera_datasets::image::{ImageCache, read_photo};

/// Two cameras: the first turned by a quarter about z, the second not turned.
const INTRINSICS: &str = "%YAML:1.0\n---\nnames:\n  - \"00\"\n  - \"01\"\n\
    K_00: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n  data: [80., 0., 30., 0., 82., 20., 0., 0., 1.]\n\
    D_00: !!opencv-matrix\n  rows: 5\n  cols: 1\n  dt: d\n  data: [0.1, -0.02, 0.003, -0.004, 0.005]\n\
    H_00: 48.0\nW_00: 64.0\n\
    K_01: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n  data: [90., 0., 32., 0., 90., 24., 0., 0., 1.]\n\
    dist_01: !!opencv-matrix\n  rows: 1\n  cols: 5\n  dt: d\n  data: [0., 0., 0., 0., 0.]\n";
const EXTRINSICS: &str = "%YAML:1.0\n---\nnames:\n  - \"00\"\n  - \"01\"\n\
    R_00: !!opencv-matrix\n  rows: 3\n  cols: 1\n  dt: d\n  data: [0., 0., 1.5707963267948966]\n\
    T_00: !!opencv-matrix\n  rows: 3\n  cols: 1\n  dt: d\n  data: [1., 2., 3.]\n\
    Rot_01: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]\n\
    T_01: !!opencv-matrix\n  rows: 3\n  cols: 1\n  dt: d\n  data: [0.5, 0., 4.]\n";

fn calibrated() -> Folder {
    let folder = Folder::new();
    folder.put("intri.yml", INTRINSICS).put("extri.yml", EXTRINSICS.replace('\n', "\r\n"));
    folder
}

pub fn with_photos() -> Folder {
    let folder = calibrated();
    for camera in ["00", "01"] {
        for step in 0..3 {
            folder.put(&format!("images/{camera}/{step:06}.png"), png(64, 48));
            folder.put(&format!("masks/{camera}/{step:06}.png"), png(64, 48));
        }
    }
    folder
}

/// A video of 64x48 pixels; false when ffmpeg is not here.
fn film(folder: &Folder, rel: &str, rate: u32, frames: u32) -> bool {
    let path = folder.path().join(rel);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    let input = format!("testsrc2=size=64x48:rate={rate}");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &input, "-frames:v", &frames.to_string()])
        .args(["-c:v", "libx264", "-g", "10", "-sc_threshold", "0", "-pix_fmt", "yuv420p"])
        .arg(path)
        .status();
    let is_made = made.is_ok_and(|status| status.success());
    if !is_made {
        println!("skipped: ffmpeg with libx264 is not here");
    }
    is_made
}

fn filmed(frames: [u32; 2]) -> Option<Folder> {
    let folder = calibrated();
    (film(&folder, "videos/00.mp4", 25, frames[0]) && film(&folder, "videos/01.mp4", 25, frames[1])).then_some(folder)
}

fn skipping(path: &Path) -> Capture {
    Capture::open_with(path, OpenOptions { skip_bad: true }).unwrap_or_else(|error| panic!("should open: {error}"))
}

fn centre(frame: &Frame) -> [f64; 3] {
    frame.camera_from_world.inverse().translation.vector.into()
}

fn assert_near(found: [f64; 3], expected: [f64; 3], what: &str) {
    let error = (0..3).map(|i| (found[i] - expected[i]).abs()).fold(0.0, f64::max);
    assert!(error < 1e-9, "{what} is {found:?} instead of {expected:?}");
}

#[test]
fn easyvolcap_cameras_stand_where_their_numbers_say() {
    let capture = with_photos().open();
    assert_eq!(capture.warnings, Vec::<String>::new());
    assert!(capture.layout.contains("EasyVolcap (intri.yml, extri.yml)"), "{}", capture.layout);
    let names: Vec<&str> = capture.frames.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names[..4], ["00/000000.png", "00/000001.png", "00/000002.png", "01/000000.png"]);
    let [first, .., last] = &capture.frames[..] else { panic!("six frames") };
    // x = R X + T with R a quarter turn about z: the centre -R' T is (-2, 1, -3).
    assert_near(centre(first), [-2.0, 1.0, -3.0], "the first camera's centre");
    assert_near(centre(last), [-0.5, 0.0, -4.0], "the second camera's centre");
    assert_eq!((first.camera.lens.focal, first.camera.lens.centre), ([80.0, 82.0], [30.0, 20.0]));
    // OpenCV's order is k1, k2, p1, p2, k3.
    let expected = Distortion::Polynomial { k: [0.1, -0.02, 0.005, 0.0, 0.0, 0.0], p: [0.003, -0.004] };
    assert_eq!((first.camera.lens.distortion, last.camera.lens.distortion), (expected, Distortion::None));
    assert_eq!((last.camera.width, last.camera.height), (64, 48), "without W and H the photo says the size");
    assert_eq!((last.time, last.rig_camera), (Some(2.0), Some(1)));
    assert!(capture.frames.iter().all(|f| f.mask.is_some()), "every photo has its mask");
    let cameras = rig_cameras(&capture);
    let told: Vec<_> = cameras.iter().map(|c| (c.number, c.name.as_str(), c.frames.len())).collect();
    assert_eq!(told, [(0, "00", 3), (1, "01", 3)]);
    assert_eq!(capture.split_indices(Some(8)), (vec![3, 4, 5], vec![0, 1, 2]), "a whole camera is held out");
}

#[test]
fn optimised_calibrations_are_preferred() {
    let folder = with_photos();
    folder
        .put("optimized/intri.yml", INTRINSICS)
        .put("optimized/extri.yml", EXTRINSICS.replace("0.5, 0., 4.", "0.5, 0., 5."));
    assert_near(centre(&folder.open().frames[5]), [-0.5, 0.0, -5.0], "the second camera's centre");
}

#[test]
fn damaged_calibrations_are_named_with_what_is_wrong() {
    let spoil = |file: &str, from: &str, to: &str| {
        let folder = with_photos();
        let text = if file == "intri.yml" { INTRINSICS } else { EXTRINSICS };
        assert!(text.contains(from), "{from} is in the sample");
        folder.put(file, text.replace(from, to));
        folder
    };
    spoil("intri.yml", "K_01", "K_02").refused_with(&["intri.yml: has no 3x3 matrix K_01"]);
    spoil("intri.yml", "H_00: 48.0", "H_00: -1").refused_with(&["says that H_00 is -1 pixels"]);
    spoil("extri.yml", "1., 0., 0., 0., 1., 0.", "2., 0., 0., 0., 1., 0.").refused_with(&["rotation in Rot_01"]);
    spoil("extri.yml", "T_00", "T_09").refused_with(&["extri.yml: has no translation T_00"]);
    spoil("extri.yml", "R_00", "R_09").refused_with(&["has neither a 3x3 matrix Rot_00 nor"]);
    calibrated().refused_with(&["neither videos nor photos", "videos/CAMERA.mp4"]);
}

#[test]
fn photos_that_are_missing_or_damaged_stop_or_are_skipped() {
    let folder = with_photos();
    folder.remove("images/01/000001.png").put("images/00/000002.png", &png(64, 48)[..80]);
    folder.refused_with(&["1 photos of camera 01 are missing between 0 and 2", "--skip-bad"]);
    let capture = skipping(folder.path());
    assert_eq!(capture.frames.len(), 4, "five photos are there and one is damaged");
    let told = capture.warnings.join("\n");
    assert!(told.contains("1 photos of camera 01") && told.contains("images/00/000002.png"), "{told}");
}

#[test]
fn photos_with_one_number_and_clocks_without_one_are_refused_and_left_out() {
    let folder = with_photos();
    folder.put("images/01/000001.jpg", crate::support::jpeg(64, 48, 1));
    folder.refused_with(&["1 photos of camera 01 have another one's number", "--skip-bad"]);
    assert_eq!(skipping(folder.path()).frames.len(), 6);

    let Some(folder) = filmed([10, 10]) else { return };
    folder.put("sync.json", r#"{"00": 0.0, "01": NaN}"#);
    folder.refused_with(&["the sync offset of camera 01 is not a finite number", "--skip-bad"]);
    let capture = skipping(folder.path());
    assert_eq!((capture.frames.len(), capture.frames[0].rig_camera), (10, Some(0)));
    folder.put("sync.json", r#"{"00": 0.0, "01": "late"}"#);
    folder.refused_with(&["sync.json: does not hold one number for each camera"]);
}

#[test]
fn frames_of_videos_have_the_times_and_pixels_of_their_video() {
    let Some(folder) = filmed([30, 30]) else { return };
    folder.put("sync.json", r#"{"00": 0.0, "01": 0.25}"#);
    let capture = folder.open();
    assert_eq!(capture.warnings, Vec::<String>::new());
    assert_eq!(capture.frames.len(), 60);
    let [first, last] = [&capture.frames[7], &capture.frames[59]];
    assert_eq!((first.name.as_str(), first.image.as_str(), first.video_frame), ("00/000007", "videos/00.mp4", Some(7)));
    // Frame 29 of 25 a second, whose clock is a quarter of a second ahead.
    assert!((last.time.expect("a time") - (29.0 / 25.0 - 0.25)).abs() < 1e-6, "{:?}", last.time);
    let cache = ImageCache::new(capture.files.clone(), 1 << 20, None);
    for index in [7, 22, 8, 3, 59, 29, 0] {
        let frame = &capture.frames[index];
        let cached = cache.get(frame, (64, 48)).expect("decoded");
        assert_eq!(cached.image, read_photo(&capture.files, frame).expect("decoded"), "{}", frame.name);
    }
    assert!(
        cache.bytes() <= 1 << 20 && cache.bytes() > 7 * 64 * 48 * 3,
        "frames on the way are kept: {}",
        cache.bytes()
    );
}

#[test]
fn caches_of_videos_keep_within_their_bytes() {
    let Some(folder) = filmed([30, 30]) else { return };
    let capture = folder.open();
    let one = 64 * 48 * 3;
    let cache = ImageCache::new(capture.files.clone(), 5 * one, None);
    for index in (0..60).chain((0..60).rev().step_by(7)) {
        cache.get(&capture.frames[index], (64, 48)).expect("decoded");
        assert!(cache.bytes() <= 5 * one, "{} bytes after frame {index}", cache.bytes());
    }
}

#[test]
fn rigs_that_do_not_fit_together_are_refused_or_used_as_far_as_they_go() {
    let Some(folder) = filmed([30, 30]) else { return };
    folder.remove("videos/01.mp4");
    film(&folder, "videos/01.mp4", 25, 20);
    folder.refused_with(&["camera", "films 0.80 s, most film 1.20 s", "--skip-bad"]);
    let capture = skipping(folder.path());
    assert_eq!(capture.frames.len(), 50);
    assert!(capture.warnings.join("\n").contains("as far as they go"), "{:?}", capture.warnings);

    folder.remove("videos/01.mp4");
    film(&folder, "videos/01.mp4", 30, 36);
    folder.refused_with(&["camera 01 films 30.000 frames a second, most film 25.000"]);
    assert_eq!(skipping(folder.path()).frames.len(), 66);

    folder.remove("videos/01.mp4");
    folder.refused_with(&["the calibrated camera 01 has no footage"]);
    film(&folder, "videos/07.mp4", 25, 30);
    folder.refused_with(&["the calibrated camera 01 has no footage", "footage of 07, which is not calibrated"]);
    let capture = skipping(folder.path());
    assert_eq!((capture.frames.len(), capture.warnings.len()), (30, 2), "{:?}", capture.warnings);
    folder.put("videos/01.mp4", "no video");
    folder.refused_with(&["videos/01.mp4: cannot be decoded"]);
    assert_eq!(skipping(folder.path()).frames.len(), 30);
}

#[test]
fn a_video_that_is_broken_in_the_middle_is_used_around_it() {
    let Some(folder) = filmed([40, 40]) else { return };
    let path = folder.path().join("videos/01.mp4");
    let mut bytes = std::fs::read(&path).expect("read");
    let at = |name: &[u8]| bytes.windows(4).position(|word| word == name).expect("a box");
    let middle = (at(b"mdat") + at(b"moov")) / 2;
    bytes[middle..middle + 300].fill(0xA7);
    std::fs::write(&path, bytes).expect("written");
    let capture = folder.open();
    assert_eq!(capture.frames.len(), 80, "nobody has looked into it yet");
    let cache = ImageCache::new(capture.files.clone(), 1 << 20, None);
    let read = |capture: &Capture| capture.frames.iter().find_map(|frame| cache.get(frame, (64, 48)).err());
    let error = read(&capture).expect("it is broken").to_string();
    assert!(error.contains("videos/01.mp4: cannot be decoded at ") && error.contains("--skip-bad"), "{error}");
    let sound = skipping(folder.path());
    assert!((50..80).contains(&sound.frames.len()), "{} frames are left", sound.frames.len());
    assert!(sound.warnings.join("\n").contains("01.mp4 is broken from"), "{:?}", sound.warnings);
    assert!(read(&sound).is_none(), "all that is left can be decoded");
}

/// `poses_bounds.npy` with the two cameras.
fn poses_bounds() -> Vec<u8> {
    // Axes down, right, back and the centre, then height, width and focal length.
    let first = [[1.0, 0.0, 0.0, -2.0, 48.0], [0.0, -1.0, 0.0, 1.0, 64.0], [0.0, 0.0, -1.0, -3.0, 80.0]];
    let second = [[0.0, 1.0, 0.0, -0.5, 48.0], [1.0, 0.0, 0.0, 0.0, 64.0], [0.0, 0.0, -1.0, -4.0, 80.0]];
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 17), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    for camera in [first, second] {
        let row = camera.into_iter().flatten().chain([0.1, 100.0]);
        bytes.extend(row.flat_map(f64::to_le_bytes));
    }
    bytes
}

#[test]
fn neural_3d_video_is_the_same_rig_in_another_layout() {
    let Some(easy) = filmed([12, 12]) else { return };
    let folder = Folder::new();
    folder.put("poses_bounds.npy", poses_bounds());
    for (from, to) in [("videos/00.mp4", "cam00.mp4"), ("videos/01.mp4", "cam01.mp4")] {
        std::fs::copy(easy.path().join(from), folder.path().join(to)).expect("copied");
    }
    let (capture, easy) = (folder.open(), easy.open());
    assert!(capture.layout.contains("Neural 3D Video"), "{}", capture.layout);
    assert_eq!(capture.warnings, Vec::<String>::new());
    assert_eq!(capture.frames.len(), easy.frames.len());
    for (frame, same) in capture.frames.iter().zip(&easy.frames) {
        let apart = frame.camera_from_world.inverse() * same.camera_from_world;
        assert!(apart.translation.vector.norm() < 1e-9 && apart.rotation.angle() < 1e-7, "{}: {apart}", frame.name);
        assert_eq!((frame.time, frame.video_frame), (same.time, same.video_frame));
    }
    assert_eq!(capture.frames[0].split, Some(Split::Test), "the first camera is held out");
    assert_eq!(capture.frames[23].split, Some(Split::Train));
    folder.remove("cam00.mp4");
    folder.refused_with(&["the calibrated camera cam00 has no footage"]);
    assert_eq!(skipping(folder.path()).frames.len(), 12);
}

#[test]
fn videos_are_posed_by_a_colmap_model_that_names_them() {
    let Some(easy) = filmed([12, 12]) else { return };
    let folder = Folder::new();
    folder.put("sparse/0/cameras.txt", "1 PINHOLE 64 48 80 80 32 24\n");
    folder.put(
        "sparse/0/images.txt",
        "1 1 0 0 0 0.5 0 4 1 01.png\n\n2 0.70710678118 0 0 0.70710678118 1 2 3 1 00.png\n\n",
    );
    folder.put("sparse/0/points3D.txt", "1 0 0 0 10 20 30 0.1\n");
    for camera in ["00.mp4", "01.mp4"] {
        std::fs::copy(easy.path().join("videos").join(camera), folder.path().join(camera)).expect("copied");
    }
    let capture = folder.open();
    assert_eq!(capture.warnings, Vec::<String>::new());
    assert_eq!((capture.frames.len(), capture.points.len()), (24, 1));
    assert_near(centre(&capture.frames[0]), [-2.0, 1.0, -3.0].map(|v: f64| v), "the first camera's centre");
    assert_near(centre(&capture.frames[23]), [-0.5, 0.0, -4.0], "the second camera's centre");
}

#[test]
fn qualisys_calibrations_give_the_cameras_of_the_same_capture_in_another_layout() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("TESSERA_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let data = root.join("dynamic/pose2sim_multi");
    if !data.exists() || Command::new("ffprobe").arg("-version").output().is_err() {
        println!("skipped: {} or ffprobe is not there", data.display());
        return;
    }
    let folder = Folder::new();
    folder.put("Calib.qca.txt", std::fs::read(data.join("Calib.qca.txt")).expect("read"));
    for camera in 1..=4 {
        let name = format!("videos/cam{camera:02}.mp4");
        folder.put(&name, std::fs::read(data.join(&name)).expect("read"));
    }
    let (videos, photos) = (folder.open(), Capture::open(&data).expect("opens"));
    assert_eq!(videos.frames.len(), 400, "four cameras film 100 frames");
    assert_eq!((videos.frames[0].camera.width, videos.frames[0].camera.height), (1088, 1920));
    for camera in 0..4 {
        let of = |capture: &Capture| {
            capture.frames.iter().find(|f| f.rig_camera == Some(camera)).cloned().expect("a frame of each camera")
        };
        let (video, photo) = (of(&videos), of(&photos));
        let apart = video.camera_from_world.inverse() * photo.camera_from_world;
        assert!(apart.translation.vector.norm() < 1e-6 && apart.rotation.angle() < 1e-6, "camera {camera}: {apart}");
        // The photos have half the size, and corners at (0, 0) as lenses do here.
        for axis in 0..2 {
            let (full, half) = (video.camera.lens, photo.camera.lens);
            assert!((full.focal[axis] - 2.0 * half.focal[axis]).abs() < 1e-3, "camera {camera}'s focal length");
            assert!((full.centre[axis] - 2.0 * half.centre[axis]).abs() < 1e-3, "camera {camera}'s centre");
        }
        assert!(
            matches!(video.camera.lens.distortion, Distortion::Polynomial { .. }),
            "videos are as they were filmed"
        );
    }
    let last = videos.frames[99].time.expect("a time");
    assert!((last - 99.0 / 60.0).abs() < 1e-4, "frame 99 of 60 a second is at {last}");
}

#[test]
fn hypernerf_cameras_look_as_they_are_described() {
    let folder = Folder::new();
    let camera = json!({
        "orientation": [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], "position": [-2.0, 1.0, -3.0],
        "focal_length": 160.0, "principal_point": [60.0, 40.0], "skew": 0.0, "pixel_aspect_ratio": 1.025,
        "radial": [0.1, -0.02, 0.005], "tangential": [0.003, -0.004], "image_size": [128, 96],
    });
    for id in ["left_0", "right_4"] {
        folder.put(&format!("camera/{id}.json"), camera.to_string()).put(&format!("rgb/2x/{id}.png"), png(64, 48));
    }
    folder.put(
        "dataset.json",
        json!({"ids": ["left_0", "right_4"], "train_ids": ["left_0"], "val_ids": ["right_4"]}).to_string(),
    );
    folder.put(
        "metadata.json",
        json!({"left_0": {"warp_id": 0, "camera_id": 0}, "right_4": {"warp_id": 4, "camera_id": 1}}).to_string(),
    );
    let capture = folder.open();
    let [left, right] = &capture.frames[..] else { panic!("two frames") };
    assert_near(centre(left), [-2.0, 1.0, -3.0], "the camera's centre");
    // The photos have half the size of the calibration; pixels are a fortieth higher than wide.
    assert_eq!((left.camera.lens.focal, left.camera.lens.centre), ([80.0, 82.0], [30.0, 20.0]));
    assert_eq!((left.time, right.time), (Some(0.0), Some(1.0)));
    assert_eq!((left.split, right.split), (Some(Split::Train), Some(Split::Validation)));
    assert_eq!((left.rig_camera, right.rig_camera), (Some(0), Some(1)));
    folder.put("camera/left_0.json", "{}");
    folder.refused_with(&["camera/left_0.json: is not what HyperNeRF writes there"]);
}
