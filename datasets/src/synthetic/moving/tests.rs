use super::render::Still;
use super::*;
use crate::capture::{Capture, rig_cameras};
use crate::image::{Image8, read_photo};

fn small() -> MovingOptions {
    MovingOptions { size: [64, 48], cameras: 4, frames: 5, points: 200, ..MovingOptions::default() }
}

fn still(options: &MovingOptions, camera: usize) -> Still {
    Still::new(&options.camera(), &options.stands()[camera].0)
}

fn differing(a: &Image8, b: &Image8) -> usize {
    a.data.chunks_exact(3).zip(b.data.chunks_exact(3)).filter(|(a, b)| a != b).count()
}

#[test]
fn things_move_repeat_and_rest() {
    let options = MovingOptions { size: [160, 120], ..small() };
    let still = still(&options, 1);
    let at = |time: f32| still.picture(7, time);
    let (now, soon) = (at(2.5), at(2.6));
    let moved = differing(&now, &soon);
    assert!(moved > 50 && moved < 160 * 120 / 4, "{moved} of {} pixels change in a tenth of a second", 160 * 120);
    assert_eq!(at(2.5), now, "the same moment is the same picture");
    assert_ne!(still.picture(8, 2.5), now, "another seed brings other visitors");
    // Between visitors, everything but the box that was pushed is where it was 8 seconds before.
    let (before, after) = (at(2.9), at(10.9));
    assert!(differing(&before, &after) < moved, "a repetition differs in {} pixels", differing(&before, &after));
}

#[test]
fn photos_are_read_as_they_were_meant() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("stage");
    write_moving(&small(), &out, false, &|_, _| {}).expect("written");
    let capture = Capture::open(&out).expect("readable");
    assert_eq!(capture.warnings, Vec::<String>::new());
    assert_eq!((capture.frames.len(), capture.points.len()), (20, 200));
    assert_eq!(capture.split_indices(Some(8)).1, (15..20).collect::<Vec<_>>(), "the last camera is held out");
    for (camera, (pose, _)) in rig_cameras(&capture).iter().zip(small().stands()) {
        assert_eq!((camera.name.clone(), camera.frames.len()), (format!("cam{:02}", camera.number), 5));
        let frame = &capture.frames[camera.frames[4]];
        let apart = frame.camera_from_world.inverse() * pose;
        assert!(apart.translation.vector.norm() < 1e-9 && apart.rotation.angle() < 1e-7, "{}", camera.name);
        assert_eq!(frame.time, Some(4.0 / 30.0));
    }
    let error = write_moving(&small(), &out, false, &|_, _| {}).expect_err("it is there").to_string();
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn videos_show_the_same_as_photos() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (photos, videos) = (folder.path().join("photos"), folder.path().join("videos"));
    let written = write_moving(&MovingOptions { video: true, ..small() }, &videos, false, &|_, _| {});
    if written.as_ref().is_err_and(|error| error.to_string().contains("not installed")) {
        println!("skipped: ffmpeg is not here");
        return;
    }
    written.expect("written");
    write_moving(&small(), &photos, false, &|_, _| {}).expect("written");
    let (photos, videos) = (Capture::open(&photos).expect("photos"), Capture::open(&videos).expect("videos"));
    assert_eq!(videos.frames.len(), photos.frames.len());
    for (photo, video) in photos.frames.iter().zip(&videos.frames) {
        assert_eq!((photo.rig_camera, photo.camera), (video.rig_camera, video.camera), "{}", video.name);
        let apart = photo.camera_from_world.inverse() * video.camera_from_world;
        assert!(apart.translation.vector.norm() < 1e-9 && apart.rotation.angle() < 1e-7, "{}", video.name);
        let (a, b) =
            (read_photo(&photos.files, photo).expect("photo"), read_photo(&videos.files, video).expect("frame"));
        let error: f64 = a.data.iter().zip(&b.data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let psnr = 10.0 * (255.0 * 255.0 * a.data.len() as f64 / error).log10();
        // Colours at half resolution cost most of what differs at this size; another frame is 20 dB apart.
        assert!(psnr > 26.0, "{} differs from its photo: {psnr:.1} dB", video.name);
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let bad = [
        MovingOptions { size: [4, 48], ..small() },
        MovingOptions { size: [65, 48], video: true, ..small() },
        MovingOptions { cameras: 1, ..small() },
        MovingOptions { frames: 0, ..small() },
    ];
    for options in bad {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = write_moving(&options, folder.path().join("x"), false, &|_, _| {}).expect_err("refused");
        assert!(error.to_string().contains("can't be"), "{error}");
        assert!(!folder.path().join("x").exists());
    }
}
