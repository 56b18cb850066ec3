//! Photos and videos without poses: what is recognised, chosen, and said when other programs fail.

use super::sharpness::{Candidate, Grey, choose, laplacian_variance};
use super::*;
use crate::image::{Image8, save_png};

fn photo_folder(count: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for i in 0..count {
        save_png(folder.path().join(format!("{i}.png")), &Image8::new(8, 6, 3)).expect("save");
    }
    folder
}

#[test]
fn photos_are_unposed_only_without_files_that_hold_poses() {
    let folder = photo_folder(2);
    assert_eq!(kind_of(folder.path()), Some(Kind::Photos));
    std::fs::create_dir_all(folder.path().join("sparse/0")).expect("folder");
    std::fs::write(folder.path().join("sparse/0/cameras.bin"), "").expect("write");
    assert_eq!(kind_of(folder.path()), None, "a COLMAP capture has poses");

    let video = folder.path().join("walk.MP4");
    std::fs::write(&video, "").expect("write");
    assert_eq!(kind_of(&video), Some(Kind::Video));
    assert!(!is_photos_or_video(&folder.path().join("missing.mp4")));
    assert!(!is_photos_or_video(&folder.path().join("0.png")));
}

#[test]
fn blur_lowers_sharpness() {
    let picture = |blurred: bool| {
        let bright = |i: usize| if blurred { (i % 8) * 30 } else { (i % 8 / 4) * 255 };
        Grey { width: 64, height: 48, data: (0..64 * 48).map(|i| bright(i % 64) as u8).collect() }
    };
    let flat = Grey { width: 64, height: 48, data: vec![9; 64 * 48] };
    assert!(laplacian_variance(&picture(false)) > 2.0 * laplacian_variance(&picture(true)));
    assert_eq!(laplacian_variance(&flat), 0.0);
    assert_eq!(laplacian_variance(&Grey { width: 2, height: 9, data: vec![1; 18] }), 0.0);
}

#[test]
fn chosen_frames_are_sharp_well_spread_and_differ() {
    let candidate = |frame: u64| Candidate {
        frame,
        // Sharpest around the borders of slots, where neighbours would both be taken.
        sharpness: if matches!(frame % 10, 0 | 9) { 9.0 } else { (frame % 10) as f64 },
        thumbnail: [if frame < 60 { frame as f32 } else { 60.0 }; 256],
    };
    let candidates: Vec<_> = (0..100).map(candidate).collect();
    let chosen = choose(&candidates, 100, 10);
    assert_eq!(chosen[..6], [9, 19, 29, 39, 49, 59], "{chosen:?}");
    assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] >= 5), "{chosen:?}");
    assert_eq!(chosen.len(), 7, "from frame 60 on nothing moves: {chosen:?}");
    assert!(choose(&[], 100, 10).is_empty());
}

#[cfg(unix)]
mod with_pretended_programs {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A shell script in place of COLMAP. In it, `$command` is the step, `$models` and `$images` are folders.
    fn pretended(folder: &Path, mapper: &str) -> Programs {
        let script = format!(
            r#"#!/bin/sh
command=$1
[ "$2" = -h ] && {{ echo "  --NewGroup.use_gpu arg (=1)"; exit 0; }}
while [ $# -gt 0 ]; do case "$1" in --output_path) models=$2;; --image_path) images=$2;; esac; shift; done
case $command in
help) echo "COLMAP (without CUDA)";;
feature_extractor) echo "I1 x.cc:1] Processed file [1/2]" >&2; ls "$images" | wc -l;;
mapper) {mapper};;
esac
"#
        );
        let colmap = folder.join("colmap");
        std::fs::write(&colmap, script).expect("write");
        std::fs::set_permissions(&colmap, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        Programs { colmap, ..Programs::default() }
    }

    fn model(name: &str, photos: u8) -> String {
        format!(r#"mkdir -p "$models/{name}"; printf '\{photos:03o}\0\0\0\0\0\0\0' > "$models/{name}/images.bin""#)
    }

    #[test]
    fn the_largest_model_becomes_the_capture_and_is_not_made_again() {
        let (photos, work, bin) =
            (photo_folder(2), tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let mapper = format!(r#"{}; {}; echo "Registering image #2 (2)""#, model("0", 1), model("1", 2));
        let programs = pretended(bin.path(), &mapper);
        let mut seen = Vec::new();
        let out = reconstruct_with(&programs, photos.path(), work.path(), &mut |p| seen.push(p)).expect("poses");
        assert_eq!(std::fs::read(out.join("sparse/0/images.bin")).expect("model")[0], 2);
        assert!(out.join("images/1.png").is_file() && !out.join("models").exists());
        assert!(seen.contains(&Progress { stage: Stage::ExtractFeatures, done: 1, total: 2 }), "{seen:?}");
        assert_eq!(seen.last(), Some(&Progress { stage: Stage::FindPoses, done: 2, total: 2 }));

        let nothing = Programs { colmap: bin.path().join("gone"), ..Programs::default() };
        reconstruct_with(&nothing, photos.path(), work.path(), &mut |_| {}).expect("it is there already");
    }

    #[test]
    fn failures_tell_the_last_words_and_where_the_rest_is() {
        let (photos, work, bin) =
            (photo_folder(2), tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let reconstruct = |mapper: &str| {
            let programs = pretended(bin.path(), mapper);
            reconstruct_with(&programs, photos.path(), work.path(), &mut |_| {}).expect_err("fails").to_string()
        };
        let error = reconstruct("echo one; echo 'the disk is on fire' >&2; exit 3");
        assert!(error.contains("COLMAP's mapper failed") && error.contains("the disk is on fire"), "{error}");
        assert!(error.contains("colmap.log") && !error.contains('\n'), "{error}");
        let error = reconstruct("kill -TERM $$");
        assert!(error.contains("was interrupted"), "{error}");
        let error = reconstruct(":");
        assert!(error.contains("could not fit its 2 photos together"), "{error}");
        let error = reconstruct("echo 'ERROR: failed to create any sparse model'; exit 1");
        assert!(error.contains("could not fit"), "{error}");
    }

    #[test]
    fn missing_programs_and_foreign_folders_are_explained() {
        let (photos, work, bin) =
            (photo_folder(2), tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let reconstruct = |programs: &Programs, path: &Path| {
            reconstruct_with(programs, path, work.path(), &mut |_| {}).expect_err("fails").to_string()
        };
        let nothing = Programs { colmap: "/nowhere/colmap".into(), ..Programs::default() };
        let error = reconstruct(&nothing, photos.path());
        assert!(error.contains("apt install colmap") && error.contains("brew install colmap"), "{error}");

        let video = bin.path().join("a.mp4");
        std::fs::write(&video, "not a video").expect("write");
        let nowhere = "/nowhere/ffprobe".into();
        let programs = Programs { ffprobe: nowhere, ..pretended(bin.path(), ":") };
        let error = reconstruct(&programs, &video);
        assert!(error.contains("apt install ffmpeg"), "{error}");

        let error = reconstruct(&programs, photo_folder(1).path());
        assert!(error.contains("single photo"), "{error}");
        let error =
            reconstruct_with(&programs, photos.path(), bin.path(), &mut |_| {}).expect_err("not ours").to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert!(video.is_file(), "nothing of others is removed");
        assert!(reconstruct(&programs, Path::new("/nowhere")).contains("neither"));
    }
}

#[test]
fn installed_programs_find_poses_for_real_photos() {
    let root = std::env::var_os("TESSERA_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let runs = |program: &str| std::process::Command::new(program).arg("-h").output().is_ok();
    if !root.is_dir() || !runs("colmap") || !runs("ffmpeg") {
        println!("skipped: this test needs COLMAP, ffmpeg and the shared data");
        return;
    }
    let work = tempfile::tempdir().expect("temporary folder");
    let photos = root.join("unposed/sceaux_castle");
    let mut shown = |p: Progress| println!("{} {}/{}", p.stage.name(), p.done, p.total);
    let found = reconstruct_poses(&photos, work.path(), &mut shown).expect("poses");
    let capture = crate::capture::Capture::open(found).expect("a COLMAP capture");
    assert!(capture.frames.len() >= 10 && capture.points.len() > 1000, "{} posed", capture.frames.len());

    let video = root.join("dynamic/pose2sim_multi/videos/cam01.mp4");
    let images = work.path().join("frames");
    std::fs::create_dir(&images).expect("folder");
    super::video::extract_frames(&Programs::default(), &video, &images, &mut shown).expect("frames");
    let first = std::fs::read(images.join("frame_00001.jpg")).expect("first frame");
    let first = crate::image::decode(&first, Path::new("frame_00001.jpg")).expect("decode");
    assert_eq!((first.width, first.height), (1088, 1920));
}
