//! Frames of videos that ffmpeg makes here. Without ffmpeg these tests say that they are skipped.

use super::*;
use crate::image::Image8;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// Makes a video with the given encoder options; every frame differs from the others.
fn make(folder: &TempDir, name: &str, input: &str, options: &[&str]) -> Option<PathBuf> {
    let path = folder.path().join(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", input])
        .args(options)
        .arg(&path)
        .status();
    match made {
        Ok(status) if status.success() => Some(path),
        _ => {
            println!("skipped: ffmpeg with libx264 is not here");
            None
        }
    }
}

const MOVING: &str = "testsrc2=size=96x64:rate=25:duration=3";
const H264: [&str; 10] = ["-c:v", "libx264", "-g", "12", "-sc_threshold", "0", "-bf", "3", "-pix_fmt", "yuv420p"];

fn sequential(reader: &mut FrameReader, count: u32) -> Vec<Image8> {
    (0..count).map(|index| reader.read(index).unwrap_or_else(|e| panic!("frame {index}: {e}"))).collect()
}

#[test]
fn a_frame_is_the_same_whether_sought_or_reached() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open_groups =
        ["-x264-params", "open-gop=1:keyint=12:bframes=3:scenecut=0", "-c:v", "libx264", "-pix_fmt", "yuv420p"];
    // Every third frame is missing, so that the rate varies.
    let varying: Vec<&str> = ["-vf", "select='mod(n,3)'", "-vsync", "vfr"].into_iter().chain(H264).collect();
    let late: Vec<&str> = ["-output_ts_offset", "1.7"].into_iter().chain(H264).collect();
    let kinds = [("plain.mp4", &H264[..]), ("open.mp4", &open_groups), ("varying.mp4", &varying), ("late.mkv", &late)];
    for (name, options) in kinds {
        let Some(video) = make(&folder, name, MOVING, options) else { return };
        let info = Arc::new(VideoInfo::of(&video).expect("a video"));
        assert_eq!(info.size, (96, 64), "{name}");
        assert_eq!(info.len(), if name == "varying.mp4" { 50 } else { 75 }, "{name}");
        let count = info.len() as u32;
        let all = sequential(&mut FrameReader::new(&video, info.clone()), count);
        let mut reader = FrameReader::new(&video, info);
        for index in [40, 3, 49, 0, 48, 13, 12, 11, 30, 31, 44, 2] {
            let sought = reader.read(index).expect("a frame");
            let same = all.iter().position(|image| *image == sought);
            assert_eq!(same, Some(index as usize), "{name}: which frame seeking to {index} gives");
        }
    }
}

#[test]
fn frames_on_the_way_are_handed_out_with_their_numbers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(video) = make(&folder, "a.mp4", MOVING, &H264) else { return };
    let info = Arc::new(VideoInfo::of(&video).expect("a video"));
    let all = sequential(&mut FrameReader::new(&video, info.clone()), 75);
    let mut passed = Vec::new();
    let mut keep = |number: u32, image: Image8| passed.push((number, image));
    FrameReader::new(&video, info).read_past(30, Some(&mut keep)).expect("a frame");
    assert_eq!(passed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (24..30).collect::<Vec<_>>());
    assert!(passed.iter().all(|(number, image)| all[*number as usize] == *image), "numbers and pictures agree");
}

#[test]
fn a_survey_finds_what_is_broken_and_repeated_and_the_rest_can_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(video) = make(&folder, "a.mp4", MOVING, &H264) else { return };
    let info = VideoInfo::of(&video).expect("a video");
    let whole = Survey::of(&video, &info).expect("sound");
    assert_eq!((whole.broken.len(), whole.repeated.len(), whole.means.len()), (0, 0, 75));

    let mut bytes = std::fs::read(&video).expect("read");
    let at = |name: &[u8]| bytes.windows(4).position(|word| word == name).expect("a box");
    let (data, index) = (at(b"mdat"), at(b"moov"));
    let middle = (data + index) / 2;
    bytes[middle..middle + 200].fill(0xA7);
    let spoiled = folder.path().join("spoiled.mp4");
    std::fs::write(&spoiled, bytes).expect("written");
    let info = Arc::new(VideoInfo::of(&spoiled).expect("its beginning is sound"));
    let survey = Survey::of(&spoiled, &info).expect("most of it is sound");
    assert!(
        (1..=2).contains(&survey.broken.len()),
        "one place, at most two groups of frames, is broken: {:?}",
        survey.broken
    );
    let broken = survey.broken[0].clone();
    assert!(broken.start > 20 && broken.end < 60 && info.keyframes.contains(&broken.end), "{broken:?}");
    let mut reader = FrameReader::new(&spoiled, info.clone());
    for index in (0..75).filter(|index| !survey.broken.iter().any(|range| range.contains(index))).step_by(3) {
        reader.read(index).unwrap_or_else(|e| panic!("frame {index} is sound: {e}"));
    }
    let mut reader = FrameReader::new(&spoiled, info);
    let error = broken.clone().find_map(|index| reader.read(index).err()).expect("some frame is broken").to_string();
    assert!(error.contains("spoiled.mp4: cannot be decoded at ") && error.contains("--skip-bad"), "{error}");
    assert!(!error.contains('\n'), "one line: {error}");
}

#[test]
fn still_pictures_are_noticed_as_repeated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let held = "testsrc2=size=96x64:rate=25:duration=1,loop=loop=5:size=1:start=10,setpts=N/25/TB";
    let Some(video) = make(&folder, "held.mp4", held, &["-c:v", "libx264", "-qp", "0"]) else { return };
    let info = VideoInfo::of(&video).expect("a video");
    assert_eq!(Survey::of(&video, &info).expect("sound").repeated, [10, 11, 12, 13, 14]);
}

#[test]
fn what_is_no_video_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if make(&folder, "a.mp4", MOVING, &H264).is_none() {
        return;
    }
    let path = folder.path().join("text.mp4");
    std::fs::write(&path, "no video at all").expect("written");
    let error = VideoInfo::of(&path).expect_err("no video").to_string();
    assert!(error.contains("text.mp4: cannot be decoded") && !error.contains('\n'), "{error}");
}
