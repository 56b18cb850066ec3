//! Splat files against `splat-transform` (PlayCanvas): it reads what is written here and the other way round, splat by
//! splat. An npm package, found in the folder that `TESSERA_NODE_MODULES` names. glTF has a test of its own.

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_datasets::camera::Similarity;
use tessera_datasets::format::stream::{CloudSource, SplatHeader, SplatSource};
use tessera_datasets::format::{Existing, SogVersion, SpzVersion, WriteOptions, create_splats, read_splats};
use tessera_datasets::scene::SplatCloud;

/// Opacities that splat-transform takes for the ends of the range.
const OPACITY_EPSILON: f64 = 1e-6;

fn splat_transform() -> Option<PathBuf> {
    let modules = std::env::var_os("TESSERA_NODE_MODULES").map(PathBuf::from);
    if modules.is_none() {
        println!("skipped: TESSERA_NODE_MODULES does not name a folder with npm packages");
    }
    modules.map(|modules| modules.join(".bin/splat-transform"))
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Converts by splat-transform, without a GPU.
fn convert(program: &Path, options: &[&str], from: &Path, to: &Path) {
    let mut command = Command::new(program);
    command.args(["--quiet", "--overwrite", "--gpu", "cpu"]).args(options).args([from, to]);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
}

/// The scene in a file as splat-transform means it. It takes the axes of SPZ for those of PLY files, though the format has
/// y up and z back: its scenes are turned by half a turn about x.
fn read_theirs(path: &Path) -> SplatCloud {
    let cloud = read_splats(path).unwrap_or_else(|e| panic!("{e}"));
    if path.extension().is_some_and(|extension| extension == "spz") { half_turned(cloud) } else { cloud }
}

fn half_turned(cloud: SplatCloud) -> SplatCloud {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
    // The ellipsoid's own axes are turned as well, which changes nothing but the quaternion.
    let quats = cloud.quats.iter().map(|&[w, x, y, z]| [w, x, -y, -z]).collect();
    SplatCloud { quats, ..cloud.transformed(&Similarity::from_parts(Translation3::identity(), turn, 1.0)) }
}

fn scenes() -> Vec<PathBuf> {
    let vectors = ["tests/vectors/scene_deg3.ply", "tests/vectors/scene_deg1_shuffled.ply"].map(in_repository);
    let data = std::env::var_os("TESSERA_DATA").map_or_else(|| in_repository("../shared/data"), PathBuf::from);
    let real = data.join("splats/guitar_12k.ply");
    if !real.exists() {
        println!("skipped: {} is not there", real.display());
    }
    vectors.into_iter().chain(real.exists().then_some(real)).collect()
}

fn write(cloud: &SplatCloud, path: &Path, options: &WriteOptions) {
    let mut sink = create_splats(path, &SplatHeader::of(cloud), options, Existing::Keep).expect("create");
    let mut source = CloudSource::new(cloud);
    let mut chunk = source.header().empty_cloud(0);
    while source.next_chunk(&mut chunk).expect("nothing can fail") {
        sink.put(&chunk).expect("put");
    }
    sink.finish().expect("finish");
}

fn opacity(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// The angle between two rotations, in degrees.
fn angle(a: [f32; 4], b: [f32; 4]) -> f64 {
    let unit = |q: [f32; 4]| {
        let q = q.map(f64::from);
        let length = q.iter().map(|c| c * c).sum::<f64>().sqrt();
        q.map(|c| c / length)
    };
    let (a, b) = (unit(a), unit(b));
    let sign = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().signum();
    let chord = a.iter().zip(b).map(|(a, b)| (a - sign * b).powi(2)).sum::<f64>().sqrt();
    (4.0 * (0.5 * chord).asin()).to_degrees()
}

/// Asserts that two programs made the same splats of one file, up to the rounding of `f32`.
fn assert_same(ours: &SplatCloud, theirs: &SplatCloud, degrees: f64, what: &str) {
    assert_eq!((ours.len(), ours.sh_degree), (theirs.len(), theirs.sh_degree), "{what}");
    let near = |name: &str, ours: &[f32], theirs: &[f32]| {
        for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{what}: {name} {i} is {a} here and {b} there");
        }
    };
    near("position", ours.means.as_flattened(), theirs.means.as_flattened());
    near("colour", ours.sh0.as_flattened(), theirs.sh0.as_flattened());
    near("harmonics", &ours.sh_rest, &theirs.sh_rest);
    near("scale", ours.log_scales.as_flattened(), theirs.log_scales.as_flattened());
    for i in 0..ours.len() {
        let error = (opacity(ours.opacity_logits[i]) - opacity(theirs.opacity_logits[i])).abs();
        assert!(error < 2.0 * OPACITY_EPSILON, "{what}: the opacity of splat {i} differs by {error}");
        let angle = angle(ours.quats[i], theirs.quats[i]);
        assert!(angle <= degrees, "{what}: splat {i} is turned by {angle} degrees");
    }
}

#[test]
fn splat_transform_reads_what_is_written_as_it_is_read_here() {
    let Some(program) = splat_transform() else { return };
    // It takes a byte b of a rotation in `.splat` for 2 b / 255 - 1, the viewer of that format for (b - 128) / 128.
    // It does not know SPZ version 1.
    let usual = WriteOptions::default;
    let spz = |spz_version| WriteOptions { spz_version, ..usual() };
    let sog_1 = || WriteOptions { sog_version: SogVersion::V1, ..usual() };
    let files = [
        ("a.ply", usual(), 0.001),
        ("a.compressed.ply", usual(), 0.001),
        ("a.splat", usual(), 1.0),
        ("a.spz", usual(), 0.001),
        ("b.spz", spz(SpzVersion::V4), 0.001),
        ("c.spz", spz(SpzVersion::V2), 0.001),
        ("a.sog", usual(), 0.001),
        ("folder/meta.json", usual(), 0.001),
        ("old/meta.json", sog_1(), 0.001),
    ];
    for scene in scenes() {
        let cloud = read_splats(&scene).expect("scene");
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, options, degrees) in &files {
            let what = format!("{} as {name}", scene.display());
            let (path, back) = (folder.path().join(name), folder.path().join("back.ply"));
            write(&cloud, &path, options);
            convert(&program, &[], &path, &back);
            assert_same(&read_theirs(&path), &read_theirs(&back), *degrees, &what);
        }
    }
}

#[test]
fn what_splat_transform_writes_is_read_as_it_reads_it() {
    let Some(program) = splat_transform() else { return };
    let files: [(&str, &[&str]); 6] = [
        ("a.ply", &[]),
        ("a.compressed.ply", &[]),
        ("a.spz", &["--spz-version", "3"]),
        ("b.spz", &["--spz-version", "4"]),
        ("a.sog", &[]),
        ("folder/meta.json", &[]),
    ];
    for scene in scenes() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join("folder")).expect("folder");
        for (name, options) in files {
            let what = format!("{} as {name}", scene.display());
            let (path, back) = (folder.path().join(name), folder.path().join("back.ply"));
            convert(&program, options, &scene, &path);
            convert(&program, &[], &path, &back);
            assert_same(&read_theirs(&path), &read_theirs(&back), 0.001, &what);
        }
    }
}

#[test]
fn splats_that_both_write_lose_alike() {
    let Some(program) = splat_transform() else { return };
    // Root mean square errors after writing, ours and theirs. Where both round to the same steps they are the same.
    let scene = in_repository("tests/vectors/scene_deg3.ply");
    let cloud = read_splats(&scene).expect("scene");
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    let error = |read: &SplatCloud| {
        // Files are in another order: each splat's nearest is itself.
        let nearest = |mean: &[f32; 3]| {
            let distance = |i: &usize| (0..3).map(|axis| (cloud.means[*i][axis] - mean[axis]).powi(2)).sum::<f32>();
            (0..cloud.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("splats")
        };
        let squares = read.means.iter().enumerate().map(|(i, mean)| {
            let j = nearest(mean);
            let rest = |cloud: &SplatCloud, i: usize| cloud.sh_rest[45 * i..45 * (i + 1)].to_vec();
            let (a, b) = (rest(read, i), rest(&cloud, j));
            let harmonics: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
            let scales: f32 = (0..3).map(|k| (read.log_scales[i][k] - cloud.log_scales[j][k]).powi(2)).sum();
            let colours: f32 = (0..3).map(|k| (read.sh0[i][k] - cloud.sh0[j][k]).powi(2)).sum();
            [f64::from(scales), f64::from(colours), f64::from(harmonics)]
        });
        let sums = squares.fold([0.0; 3], |sum, s| [0, 1, 2].map(|k| sum[k] + s[k]));
        sums.map(|sum| (sum / cloud.len() as f64).sqrt())
    };
    for (ours, theirs) in [("a.compressed.ply", "b.compressed.ply"), ("a.spz", "b.spz"), ("a.sog", "b.sog")] {
        write(&cloud, &path(ours), &WriteOptions::default());
        convert(&program, &[], &scene, &path(theirs));
        let ours_lost = error(&read_splats(path(ours)).expect("ours"));
        let theirs_lost = error(&read_theirs(&path(theirs)));
        println!("{ours}: scales, colours, harmonics lose {ours_lost:.4?}, by splat-transform {theirs_lost:.4?}");
        for (ours, theirs) in ours_lost.iter().zip(theirs_lost) {
            assert!(*ours <= 1.05 * theirs + 1e-4, "{ours} is more than {theirs}");
        }
    }
}
