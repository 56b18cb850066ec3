use super::*;
use crate::camera::Similarity;
use crate::format::Existing;
use crate::scene::{MovingSplats, TimeHierarchy, Timeline, VolumetricVideo};
use nalgebra::{Translation3, UnitQuaternion};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Gaussians over `seconds` at 30 frames a second: one in four static, the others of all durations.
fn video(n: usize, seconds: f64, sh_degree: u8, seed: u64) -> VolumetricVideo {
    let mut rng = StdRng::seed_from_u64(seed);
    let timeline = Timeline { start: 3.0, frame_rate: 30.0, frames: (30.0 * seconds) as u32 };
    let mut video = VolumetricVideo::with_capacity(n, sh_degree, timeline);
    let coefficients = 3 * crate::scene::SplatCloud::rest_coefficients(sh_degree);
    for i in 0..n {
        let mut random = |low: f32, high: f32| rng.random_range(low..high);
        video.means.push([random(-2.0, 2.0), random(-2.0, 2.0), random(-1.0, 1.0)]);
        video.times.push(random(0.0, seconds as f32));
        video.log_scales.push([random(-5.0, -2.0), random(-5.0, -2.0), random(-5.0, -2.0)]);
        video.log_time_scales.push(if i % 4 == 0 { f32::INFINITY } else { random(-3.5, 1.0) });
        video.left_quats.push([random(0.5, 1.0), random(-0.1, 0.1), random(-0.1, 0.1), random(-1.0, 1.0)]);
        video.right_quats.push([random(0.5, 1.0), random(-0.1, 0.1), random(-0.1, 0.1), random(-0.1, 0.1)]);
        video.opacity_logits.push(random(-2.0, 4.0));
        video.sh0.push([random(-1.0, 1.0), random(-1.0, 1.0), random(-1.0, 1.0)]);
        if coefficients > 0 && i % 7 == 0 {
            video.residual_rows.push(i as u32);
            video.residuals.extend((0..coefficients).map(|_| random(-0.5, 0.5)));
        }
    }
    video.scene_from_world =
        Similarity::from_parts(Translation3::new(1.0, 2.0, 3.0), UnitQuaternion::from_euler_angles(0.1, 0.2, 0.3), 0.5);
    video
}

fn written(video: &VolumetricVideo, finest: f64) -> (tempfile::TempDir, VideoFile) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("scene.t4d");
    let hierarchy = TimeHierarchy::of_duration(video.timeline.duration(), finest);
    let manifest = write_video(&path, video, &hierarchy, Existing::Keep).expect("written");
    let file = VideoFile::open(&path).expect("readable");
    assert_eq!(file.manifest, manifest, "what is read is what was written");
    (folder, file)
}

/// Of all splats that are seen at a moment, by how far the nearest that is decoded is away.
fn farthest(wanted: &crate::scene::SplatCloud, got: &crate::scene::SplatCloud) -> f64 {
    let apart = |a: &[f32; 3], b: &[f32; 3]| (0..3).map(|k| f64::from(a[k] - b[k]).powi(2)).sum::<f64>().sqrt();
    let nearest = |mean| got.means.iter().map(|other| apart(mean, other)).fold(f64::INFINITY, f64::min);
    wanted.means.iter().map(nearest).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_moment_comes_back_within_the_stated_precision(
        n in 1usize..300, seconds in 0.5f64..40.0, degree in 0u8..=3, seed in any::<u64>(), share in 0.0f64..1.0,
    ) {
        let video = video(n, seconds, degree, seed);
        let (_folder, mut file) = written(&video, 0.2);
        // Those that cross a boundary are kept on both sides of it.
        prop_assert!((n as u64..=2 * n as u64).contains(&file.manifest.splats), "{} of {n} splats", file.manifest.splats);
        prop_assert_eq!(file.manifest.scene_from_world, video.scene_from_world);
        let precision = file.manifest.precision;
        let at = share * seconds;
        let got = file.at(at).expect("sound");
        prop_assert!(got.is_consistent());
        let moving = video.moving_splats();
        let wanted = moving.at(at);
        // At the edge of their influence, splats may appear or vanish by rounding: those of 5 % opacity.
        let sure = sure_of(&moving, at, &precision);
        let fastest = moving.velocities.iter().map(|v| v.iter().map(|c| f64::from(c.abs())).fold(0.0, f64::max)).fold(0.0, f64::max);
        let within = precision.position + precision.drift + 2.0 * fastest * precision.time + 1e-4;
        prop_assert!(farthest(&sure, &got) <= within, "{} farther than {within}", farthest(&sure, &got));
        prop_assert!(got.len().abs_diff(wanted.len()) <= wanted.len() - sure.len() + edge(&moving, at), "{} for {}", got.len(), wanted.len());
        prop_assert!(precision.rotation < 0.5 && precision.opacity < 1.0 / 255.0 && precision.log_time_scale < 0.02);
    }
}

/// Splats that are seen for certain, whatever is rounded.
fn sure_of(moving: &MovingSplats, at: f64, precision: &Precision) -> crate::scene::SplatCloud {
    let mut certain = crate::scene::SplatCloud::with_capacity(0, moving.splats.sh_degree);
    let mut one = certain.clone();
    for i in 0..moving.times.len() {
        let deviation = f64::from(moving.time_variances[i]).sqrt();
        let reach = 2.4 * deviation * (1.0 - 2.0 * precision.log_time_scale) - precision.time;
        if (at - f64::from(moving.times[i])).abs() < reach || deviation.is_infinite() {
            moving.slice(i..i + 1, at, &mut one);
            certain.append(&one);
        }
    }
    certain
}

/// Splats within a hair of their influence's end.
fn edge(moving: &MovingSplats, at: f64) -> usize {
    let is_near = |i: &usize| {
        let since = (at - f64::from(moving.times[*i])).abs() / f64::from(moving.time_variances[*i]).sqrt();
        (2.3..2.6).contains(&since)
    };
    (0..moving.times.len()).filter(is_near).count()
}

#[test]
fn what_is_in_memory_does_not_grow_with_length() {
    let most = |seconds: f64| {
        let mut video = video((400.0 * seconds) as usize, seconds, 0, 5);
        // Everything lasts a moment, as in a scene where always new things come by.
        video.log_time_scales.fill(-2.5);
        video.log_scales.fill([-2.5; 3]);
        let (_folder, mut file) = written(&video, 0.5);
        let frames = (0..40).map(|i| f64::from(i) * seconds / 40.0);
        let residents = frames.map(|at| file.at(at).map(|_| file.resident_splats()).expect("sound"));
        residents.max().expect("some frames")
    };
    let (short, long) = (most(4.0), most(64.0));
    assert!((long as f64) < 1.5 * short as f64, "{long} splats of 64 seconds, {short} of 4");
}

#[test]
fn the_global_bucket_comes_first_and_ranges_follow_each_other() {
    let (_folder, file) = written(&video(500, 10.0, 1, 3), 0.2);
    let segments = &file.manifest.segments;
    assert_eq!(segments[0].place, crate::scene::Place::Global);
    let mut end = 0;
    for segment in segments {
        let [start, length] = segment.range();
        assert_eq!(start, end, "{:?}", segment.place);
        end = start + length;
    }
    let levels = usize::from(file.manifest.hierarchy.levels);
    for at in [0.0, 1.0, 5.03, 9.99] {
        assert!(file.manifest.active(at).len() <= levels + 1, "segments at {at} s");
    }
}

#[test]
fn damage_is_one_sentence_and_never_a_panic() {
    let (folder, file) = written(&video(300, 5.0, 1, 9), 0.5);
    let good = std::fs::read(folder.path().join("scene.t4d")).expect("read");
    let spoiled = folder.path().join("spoiled.t4d");
    let start = good.len() as u64 - file.manifest.segments.iter().map(|s| s.range()[1]).sum::<u64>();
    let mut rng = StdRng::seed_from_u64(1);
    let mut refused = 0;
    for case in 0..400 {
        let mut bytes = good.clone();
        match case % 3 {
            0 => bytes.truncate(rng.random_range(0..good.len())),
            // Half of the damage hits the manifest.
            _ => {
                let most = if case % 2 == 0 { start as usize } else { good.len() };
                let at = rng.random_range(0..most);
                let end = (at + rng.random_range(1..9)).min(good.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = rng.random());
            }
        }
        std::fs::write(&spoiled, bytes).expect("written");
        let outcome = VideoFile::open(&spoiled).and_then(|mut file| {
            (0..file.manifest.segments.len()).try_for_each(|index| file.read_segment(index).map(drop))
        });
        if let Err(error) = outcome {
            let said = error.to_string();
            assert!(said.contains("spoiled.t4d: ") && said.contains("; ") && !said.contains('\n'), "{said}");
            refused += 1;
        }
    }
    assert!(refused > 300, "only {refused} of 400 were refused");
}

#[test]
fn pages_that_lie_give_finite_motion_or_an_error() {
    let (_folder, mut file) = written(&video(50, 2.0, 0, 4), 0.5);
    let part = file.read_segment(0).expect("sound");
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..2000 {
        let mut planes = vec![0u8; 80 + 13 * part.times.len()];
        planes.iter_mut().for_each(|byte| *byte = rng.random());
        if rng.random_bool(0.5) {
            // A header whose numbers are possible.
            planes[..80].fill(0);
        }
        let bytes = crate::format::tiles::page::deflate(&planes);
        if let Ok(moving) = motion::decode(part.splats.clone(), &bytes) {
            assert!(moving.times.iter().chain(moving.velocities.iter().flatten()).all(|v| v.is_finite()));
            assert!(moving.time_variances.iter().all(|v| *v > 0.0));
        }
        let cut = rng.random_range(0..bytes.len());
        assert!(motion::decode(part.splats.clone(), &bytes[..cut]).is_err(), "cut off after {cut} bytes");
    }
}

#[test]
fn scenes_that_contradict_themselves_are_not_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("scene.t4d");
    let mut wrong = video(10, 2.0, 0, 1);
    wrong.means[3][1] = f32::NAN;
    let hierarchy = TimeHierarchy::of_duration(2.0, 0.5);
    let error = write_video(&path, &wrong, &hierarchy, Existing::Keep).expect_err("not finite").to_string();
    assert!(error.contains("not finite") && !path.exists(), "{error}");
    let good = video(10, 2.0, 0, 1);
    write_video(&path, &good, &hierarchy, Existing::Keep).expect("written");
    let error = write_video(&path, &good, &hierarchy, Existing::Keep).expect_err("it is there").to_string();
    assert!(error.contains("exists already"), "{error}");
}
