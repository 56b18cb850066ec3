//! What conversions promise.

use super::*;
use crate::format::{Existing, SplatFormat, WriteOptions, create_splats, read_splats, write_splats};
use crate::scene::morton_order;
use crate::synthetic::{Options, SceneKind, splats};
use nalgebra::{Translation3, UnitQuaternion};
use std::path::Path;

/// More than a chunk.
const SPLATS: usize = CHUNK_SPLATS + 1000;

fn made(count: usize, sh_degree: u8) -> SplatCloud {
    let mut source =
        splats(SceneKind::StillLife, &Options::default(), count as u64, sh_degree, &|_, _| {}).expect("made");
    crate::format::stream::collect(&mut source).expect("nothing can fail")
}

fn saved(folder: &Path, name: &str, cloud: &SplatCloud) -> PathBuf {
    let path = folder.join(name);
    write_splats(&path, cloud, false).expect("written");
    path
}

fn load_all(inputs: &[PathBuf], edits: &Edits) -> SplatCloud {
    load(inputs, edits, &mut |_| ControlFlow::Continue(())).expect("loaded").expect("not broken off")
}

#[test]
fn edits_in_chunks_are_edits_of_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = made(SPLATS, 2);
    let inputs = [saved(folder.path(), "a.ply", &cloud)];
    assert!(load_all(&inputs, &Edits::default()) == cloud, "a scene changed on its way");

    let turn = UnitQuaternion::from_euler_angles(0.3, 0.1, -1.0);
    let movement = Similarity::from_parts(Translation3::new(1.0, 2.0, 3.0), turn, 0.5);
    let crop = [[-1.0, -9.0, -9.0], [1.5, 9.0, 9.0]];
    let edits = Edits { crop: Some(crop), min_opacity: Some(0.9), sh_degree: Some(1), movement, ..Edits::default() };
    let mut expected = cloud.clone();
    expected.crop_to_box(crop[0], crop[1]);
    expected.drop_fainter_than(0.9);
    expected.lower_sh_degree(1);
    let expected = expected.transformed(&movement);
    assert!(expected.len() > 1000 && expected.len() < SPLATS - 1000, "{} are a poor test", expected.len());
    assert!(load_all(&inputs, &edits) == expected);
    let sorted = load_all(&inputs, &Edits { morton: true, ..edits });
    let mut expected_order = expected.select(&morton_order(&expected.means));
    // Turned after they are put in order.
    assert_eq!(sorted.len(), expected.len());
    let key = |mean: &[f32; 3]| mean.map(f32::to_bits);
    let mut sorted_means: Vec<_> = sorted.means.iter().map(key).collect();
    let mut expected_means: Vec<_> = expected_order.means.drain(..).map(|m| key(&m)).collect();
    assert_ne!(sorted_means, expected.means.iter().map(key).collect::<Vec<_>>());
    sorted_means.sort_unstable();
    expected_means.sort_unstable();
    assert_eq!(sorted_means, expected_means);
}

#[test]
fn the_report_accounts_for_every_splat() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cloud = made(5000, 1);
    let [low, high] = [f32::min, f32::max].map(|f| cloud.means.iter().map(|m| m[1]).fold(cloud.means[0][1], f));
    for i in 0..7 {
        cloud.append_range(&cloud.clone(), i..i + 1);
        // Far above the scene (y is down) and far apart.
        *cloud.means.last_mut().expect("one") = [3.0 * i as f32, low - 3.0 * (high - low), 0.0];
    }
    let inputs = [saved(folder.path(), "a.ply", &cloud)];
    let edits = Edits {
        crop: Some([[-1e3; 3], [1e3, 1e3, 1.0]]),
        floaters: Some(0.5),
        min_opacity: Some(0.85),
        max_splats: Some(Most::Splats(1000)),
        ..Edits::default()
    };
    let out = folder.path().join("out.ply");
    let rejects = folder.path().join("rejects.ply");
    let conversion = Conversion::open(&inputs, &edits).expect("opened");
    let create = |path: &Path, header: &SplatHeader| {
        create_splats(path, header, &WriteOptions::default(), Existing::Keep).expect("created")
    };
    let sink = create(&out, conversion.header());
    let reject_sink = create(&rejects, conversion.source_header());
    let report = conversion.run(sink, Some(reject_sink), &mut |_| ControlFlow::Continue(()));
    let report = report.expect("converted").expect("not broken off");
    let floaters = report.floaters.expect("looked for");
    assert_eq!((floaters.isolated, floaters.floaters), (7, 7), "{report:?}");
    let gone = report.outside + report.unseen + floaters.floaters + report.too_faint;
    assert_eq!(report.merged_from, Some(report.read - gone), "{report:?}");
    assert!(report.outside > 0 && report.too_faint > 0 && report.written == 1000, "{report:?}");
    assert_eq!(read_splats(&out).expect("read").len(), 1000);
    assert_eq!(read_splats(&rejects).expect("read").means, cloud.means[5000..]);
}

#[test]
fn joined_scenes_meet_in_the_captured_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = made(300, 2).into_world();
    let turn = UnitQuaternion::from_euler_angles(0.5, -0.2, 2.0);
    let movement = Similarity::from_parts(Translation3::new(-3.0, 1.0, 2.0), turn, 2.0);
    let mut second = made(200, 2).into_world();
    second.lower_sh_degree(1);
    let moved = second.clone().transformed(&movement);
    let inputs = [saved(folder.path(), "a.ply", &first), saved(folder.path(), "b.ply", &moved)];
    let joined = load_all(&inputs, &Edits::default());
    assert_eq!((joined.len(), joined.sh_degree, joined.scene_from_world), (500, 2, first.scene_from_world));
    for i in 0..200 {
        for axis in 0..3 {
            let (there, expected) = (joined.means[300 + i][axis], second.means[i][axis]);
            // Places are up to 4, moved with a factor of 2 and by 3: a few roundings of numbers up to 16.
            assert!((there - expected).abs() < 4.0 * 16.0 * f32::EPSILON, "splat {i}: {there} instead of {expected}");
        }
        assert_eq!(joined.sh_rest[24 * (300 + i) + 9..24 * (300 + i) + 24], [0.0; 15], "splat {i}");
    }
    let mut sharp = made(10, 0);
    sharp.antialiased = true;
    let inputs = [saved(folder.path(), "c.ply", &first), saved(folder.path(), "d.ply", &sharp)];
    let error = Conversion::open(&inputs, &Edits::default()).err().expect("drawn otherwise").to_string();
    assert!(error.contains("d.ply") && error.contains("antialiased"), "{error}");
}

#[test]
fn what_fails_or_is_broken_off_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = made(SPLATS, 0);
    let inputs = [saved(folder.path(), "a.ply", &cloud)];
    let out = folder.path().join("out.ply");
    let edits = Edits { crop: Some([[500.0; 3], [501.0; 3]]), ..Edits::default() };
    let run = |edits: &Edits, watch: Watch<'_>| {
        let conversion = Conversion::open(&inputs, edits).expect("opened");
        let sink = SplatFormat::to_write(&out)
            .and_then(|_| create_splats(&out, conversion.header(), &WriteOptions::default(), Existing::Keep));
        conversion.run(sink.expect("created"), None, watch)
    };
    let error = run(&edits, &mut |_| ControlFlow::Continue(())).expect_err("nothing is left").to_string();
    assert!(error.contains("a.ply") && error.contains("no splats left"), "{error}");
    for edits in [Edits::default(), Edits { morton: true, ..Edits::default() }] {
        assert_eq!(run(&edits, &mut |_| ControlFlow::Break(())).expect("no failure"), None);
    }
    let bytes = std::fs::read(&inputs[0]).expect("bytes");
    std::fs::write(&inputs[0], &bytes[..bytes.len() - 100]).expect("cut");
    assert!(Conversion::open(&inputs, &Edits::default()).is_err(), "a truncated file");
    let left = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(left, 1, "only the input is left");
}

#[test]
fn splats_that_are_none_are_an_error_unless_they_may_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = made(SPLATS, 1);
    let path = saved(folder.path(), "a.ply", &cloud);
    let mut bytes = std::fs::read(&path).expect("bytes");
    let row = 4 * (17 + 9);
    let body = bytes.len() - SPLATS * row;
    // The whole of the first chunk but one, and one of the second.
    let bad = |i: usize| i != 77 && (i < CHUNK_SPLATS || i == SPLATS - 2);
    for i in (0..SPLATS).filter(|&i| bad(i)) {
        let at = body + i * row + if i % 2 == 0 { 4 } else { row - 4 };
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    std::fs::write(&path, bytes).expect("written");
    let splat = saved(folder.path(), "b.splat", &cloud.select(&[0, 1, 2]));
    let mut bytes = std::fs::read(&splat).expect("bytes");
    bytes[32 + 8..32 + 12].copy_from_slice(&f32::INFINITY.to_le_bytes());
    std::fs::write(&splat, bytes).expect("written");
    for (input, first) in [(&path, "splat 0"), (&splat, "splat 1")] {
        let error = load(std::slice::from_ref(input), &Edits::default(), &mut |_| ControlFlow::Continue(()));
        let error = error.expect_err("NaN").to_string();
        assert!(error.contains(first) && error.contains("not finite"), "{error}");
    }
    let inputs = [path, splat];
    let edits = Edits { drop_invalid: true, ..Edits::default() };
    let conversion = Conversion::open(&inputs, &edits).expect("opened");
    let report = conversion.run(nowhere(), None, &mut |_| ControlFlow::Continue(())).expect("run").expect("complete");
    let left = (0..SPLATS).filter(|&i| !bad(i)).count() + 2;
    assert_eq!((report.written as usize, report.invalid as usize), (left, SPLATS + 3 - left), "{report:?}");
    let kept = load_all(&inputs, &edits);
    assert_eq!(
        kept.means[..left - 2],
        cloud.select(&(0..SPLATS as u32).filter(|&i| !bad(i as usize)).collect::<Vec<_>>()).means
    );
}

#[test]
fn balls_and_shares_are_limits_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = made(4000, 0);
    let inputs = [saved(folder.path(), "a.ply", &cloud)];
    let near = |m: &[f32; 3]| (0..3).map(|k| (m[k] - 0.5).powi(2)).sum::<f32>() <= 1.0;
    let edits = Edits { crop_ball: Some(([0.5; 3], 1.0)), ..Edits::default() };
    let expected: Vec<[f32; 3]> = cloud.means.iter().copied().filter(near).collect();
    assert!(expected.len() > 100 && expected.len() < 3900, "{}", expected.len());
    assert_eq!(load_all(&inputs, &edits).means, expected);
    let edits = Edits { max_splats: Some(Most::Share(0.25)), ..edits };
    assert_eq!(load_all(&inputs, &edits).len(), (expected.len() as f64 * 0.25).round() as usize);
    assert_eq!([Most::Share(1e-9), Most::Share(1.0), Most::Splats(9)].map(|most| most.of(7)), [1, 7, 7]);
    assert_eq!(Most::Share(0.5).of(0), 0);
}
