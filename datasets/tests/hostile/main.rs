//! Files that lie, end early, are damaged by chance, or are no files: of every format that can be read. Each is refused in one
//! sentence that names file, reason and remedy, or read as a scene without impossible values, and takes no more memory
//! than a file of its length may.

mod counting;
mod mutations;
mod scenes;
mod weights;

use counting::{alone, counted};
use mutations::Mutations;
use scenes::{Scene, scenes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tessera_datasets::Result;
use tessera_datasets::format::volumetric::{VideoFile, is_video_scene_name};
use tessera_datasets::format::{read_mesh, read_splats};
use tessera_datasets::scene::{Mesh, SplatCloud};

/// What any file of this test may take: a chunk of splats for each of reader and scene, and buffers.
const MOST_BYTES: usize = 96 << 20;
/// Of each file. `TESSERA_FUZZ_CASES` asks for more, `TESSERA_FUZZ_SEED` (1) for others.
const MUTATIONS: u64 = 150;

/// Reads the scene; the sentence with which it is refused, if it is.
fn refusal(scene: &Scene, what: &str) -> Option<String> {
    let read = || match scene.is_mesh {
        _ if is_video_scene_name(&scene.path) => read_moving(&scene.path),
        true => read_mesh(&scene.path).map(|read| assert_possible_mesh(&read.mesh)),
        false => read_splats(&scene.path).map(|cloud| assert_possible_splats(&cloud)),
    };
    let (done, most) = counted(|| catch_unwind(AssertUnwindSafe(read)));
    let about = format!("{}, {what}", scene.name);
    let read = done.unwrap_or_else(|panic| {
        eprintln!("{about}: panicked");
        std::panic::resume_unwind(panic)
    });
    assert!(most <= MOST_BYTES, "{about}: took {} MB", most >> 20);
    let error = read.err()?;
    let folder = scene.path.parent().expect("a folder");
    assert!(error.path.starts_with(folder), "{about}: names no file of the scene: {error}");
    assert!(!error.reason.is_empty(), "{about}: says no reason: {error}");
    assert!(error.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{about}: says no remedy: {error}");
    let said = error.to_string();
    assert!(!said.contains('\n') && !said.ends_with('.'), "{about}: is no sentence of one line: {said}");
    Some(said)
}

/// All segments of a moving scene, and one of its moments.
fn read_moving(path: &Path) -> Result<()> {
    let mut file = VideoFile::open(path)?;
    for index in 0..file.manifest.segments.len() {
        let moving = file.read_segment(index)?;
        let all = moving.times.iter().chain(moving.velocities.iter().flatten());
        assert!(all.into_iter().all(|v| v.is_finite()), "impossible motion was read");
        assert!(moving.time_variances.iter().all(|v| *v > 0.0), "impossible durations were read");
        assert_possible_splats(&moving.splats);
    }
    file.at(1.0).map(|cloud| assert!(cloud.is_consistent(), "impossible splats are seen"))
}

fn assert_possible_splats(cloud: &SplatCloud) {
    let fixed = cloud.means.iter().chain(&cloud.log_scales).chain(&cloud.sh0).flatten();
    let all = fixed.chain(cloud.quats.iter().flatten()).chain(&cloud.opacity_logits).chain(&cloud.sh_rest);
    assert!(cloud.is_consistent() && all.into_iter().all(|v| v.is_finite()), "impossible splats were read");
}

fn assert_possible_mesh(mesh: &Mesh) {
    let n = mesh.positions.len();
    let inside = mesh.triangles.iter().flatten().all(|&corner| (corner as usize) < n);
    let per_vertex = [mesh.normals.len(), mesh.colours.len(), mesh.uvs.len()].into_iter().all(|m| m == 0 || m == n);
    let finite = mesh.positions.iter().flatten().all(|v| v.is_finite());
    assert!(inside && per_vertex && finite, "an impossible mesh was read");
}

/// Numbers that no small file means.
fn lies(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lies = Vec::new();
    // Binary headers: every word of the first bytes.
    for at in (0..bytes.len().saturating_sub(3).min(160)).step_by(2) {
        for word in [0u32, 0x7fff_ffff, 0x8000_0000, u32::MAX, 1 << 26] {
            let mut lie = bytes.to_vec();
            lie[at..at + 4].copy_from_slice(&word.to_le_bytes());
            lies.push((format!("word at {at} is {word:#x}"), lie));
        }
    }
    // Texts: every number of the first bytes.
    let start = &bytes[..bytes.len().min(6000)];
    let is_number = |at: usize| start[at].is_ascii_digit() && (at == 0 || !start[at - 1].is_ascii_alphanumeric());
    for at in (0..start.len()).filter(|&at| is_number(at)).take(300) {
        let length = start[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        for number in ["0", "-1", "4294967295", "9223372036854775807", "18446744073709551616", "1e308"] {
            let lie = [&bytes[..at], number.as_bytes(), &bytes[at + length..]].concat();
            lies.push((format!("number at {at} is {number}"), lie));
        }
    }
    lies
}

fn name_of(file: &Path) -> String {
    file.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn whatever_is_wrong_with_a_file_is_one_sentence_in_bounded_memory() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("temporary folder");
    for scene in scenes(root.path()) {
        assert_eq!(refusal(&scene, "as it was written"), None, "{}", scene.name);
        for file in &scene.files {
            let good = std::fs::read(file).expect("read");
            let shown = name_of(file);
            let mut tried = lies(&good);
            let steps = good.len().min(200);
            tried
                .extend((0..steps).map(|i| i * good.len() / steps).map(|n| (format!("{n} bytes"), good[..n].to_vec())));
            tried.push(("zeros".to_owned(), vec![0; 5000]));
            tried.push(("ones".to_owned(), vec![255; 5000]));
            tried.push(("another format".to_owned(), b"RIFF\x10\0\0\0WAVEfmt nothing that is a scene".repeat(9)));
            for (what, bytes) in tried {
                std::fs::write(file, bytes).expect("write");
                let error = refusal(&scene, &format!("{shown}, {what}"));
                let must_fail = ["zeros", "ones", "another format"].contains(&what.as_str());
                let raw = file.extension().is_some_and(|extension| extension == "splat" || extension == "bin");
                assert!(!must_fail || raw || error.is_some(), "{}, {shown}, {what}: was read", scene.name);
            }
            // In place of a file, nothing and a folder.
            std::fs::remove_file(file).expect("remove");
            assert!(refusal(&scene, &format!("{shown} is missing")).is_some(), "{}, {shown}", scene.name);
            std::fs::create_dir(file).expect("folder");
            assert!(refusal(&scene, &format!("{shown} is a folder")).is_some(), "{}, {shown}", scene.name);
            std::fs::remove_dir(file).expect("remove");
            std::fs::write(file, good).expect("write");
        }
    }
}

#[test]
fn files_that_are_damaged_by_chance_never_panic_nor_ask_for_memory() {
    let _alone = alone();
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let (cases, seed) = (number("TESSERA_FUZZ_CASES", MUTATIONS), number("TESSERA_FUZZ_SEED", 1));
    println!("TESSERA_FUZZ_SEED={seed}");
    let root = tempfile::tempdir().expect("temporary folder");
    for scene in scenes(root.path()) {
        let mut read = 0;
        for file in &scene.files {
            let good = std::fs::read(file).expect("read");
            let mut mutations = Mutations::new(seed);
            for case in 0..cases {
                std::fs::write(file, mutations.of(&good)).expect("write");
                let what = format!("{}, case {case} of TESSERA_FUZZ_SEED={seed}", name_of(file));
                read += u64::from(refusal(&scene, &what).is_none());
            }
            std::fs::write(file, good).expect("write");
        }
        println!("{}: {read} of {} damaged files were read", scene.name, cases * scene.files.len() as u64);
    }
}

#[test]
fn damage_beside_a_gltf_document_is_said_of_the_file_that_has_it() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("temporary folder");
    let all = scenes(root.path());
    let splats = all.iter().find(|scene| scene.path.ends_with("scene.gltf")).expect("glTF");
    let data = splats.files.iter().find(|file| file.extension().is_some_and(|e| e == "bin")).expect("its data");
    let good = std::fs::read(data).expect("read");
    let cut = good[..good.len() / 2].to_vec();
    let not_finite = f32::NAN.to_le_bytes().repeat(good.len() / 4);
    for (what, bytes) in [("cut off", Some(cut)), ("not finite", Some(not_finite)), ("missing", None)] {
        match bytes {
            Some(bytes) => std::fs::write(data, bytes).expect("write"),
            None => std::fs::remove_file(data).expect("remove"),
        }
        let error = refusal(splats, what).expect("refused");
        assert!(error.starts_with(&data.display().to_string()), "{what}: {error}");
    }
}
