//! The PLY reader and writer against the golden vectors of topic `formats`.

use safetensors::SafeTensors;
use std::path::PathBuf;
use tessera_datasets::format::{read_splats, write_splats};
use tessera_datasets::scene::SplatCloud;

fn vectors() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    std::env::var_os("TESSERA_VECTORS").map_or_else(default, PathBuf::from)
}

/// The attributes that the files were made from, cut to a degree and a number of splats.
fn expected(sh_degree: u8, count: Option<usize>) -> SplatCloud {
    let bytes = std::fs::read(vectors().join("formats.safetensors")).expect("formats.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = |name: &str| -> Vec<f32> {
        let tensor = tensors.tensor(&format!("scene/{name}")).unwrap_or_else(|e| panic!("{name}: {e}"));
        tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let n = tensors.tensor("scene/means").expect("means").shape()[0];
    let n = count.map_or(n, |c| c.min(n));
    let threes = |name: &str| floats(name).as_chunks::<3>().0[..n].to_vec();
    let stored = tensors.tensor("scene/sh_rest").expect("sh_rest").shape()[1];
    let kept = SplatCloud::rest_coefficients(sh_degree);
    let sh_rest = floats("sh_rest").chunks(stored * 3).take(n).flat_map(|c| c[..kept * 3].to_vec()).collect();
    SplatCloud {
        sh_degree,
        means: threes("means"),
        log_scales: threes("log_scales"),
        quats: floats("quats").as_chunks::<4>().0[..n].to_vec(),
        opacity_logits: floats("opacity_logits")[..n].to_vec(),
        sh0: threes("f_dc"),
        sh_rest,
        ..SplatCloud::with_capacity(0, sh_degree)
    }
}

fn assert_same(read: &SplatCloud, expected: &SplatCloud, relative: f32) {
    assert_eq!((read.sh_degree, read.len()), (expected.sh_degree, expected.len()));
    let pairs = [
        ("means", read.means.as_flattened(), expected.means.as_flattened()),
        ("log_scales", read.log_scales.as_flattened(), expected.log_scales.as_flattened()),
        ("quats", read.quats.as_flattened(), expected.quats.as_flattened()),
        ("opacity_logits", &read.opacity_logits, &expected.opacity_logits),
        ("sh0", read.sh0.as_flattened(), expected.sh0.as_flattened()),
        ("sh_rest", &read.sh_rest, &expected.sh_rest),
    ];
    for (name, read, expected) in pairs {
        assert_eq!(read.len(), expected.len(), "{name}");
        for (i, (read, expected)) in read.iter().zip(expected).enumerate() {
            let allowed = relative * expected.abs();
            assert!((read - expected).abs() <= allowed, "{name}[{i}] is {read}, expected {expected}");
        }
    }
}

#[test]
fn vectors_degree_3_is_read_exactly() {
    let read = read_splats(vectors().join("scene_deg3.ply")).expect("scene_deg3.ply");
    assert_same(&read, &expected(3, None), 0.0);
    assert!(!read.antialiased);
}

#[test]
fn vectors_shuffled_properties_are_found_by_name() {
    let read = read_splats(vectors().join("scene_deg1_shuffled.ply")).expect("scene_deg1_shuffled.ply");
    assert_same(&read, &expected(1, None), 0.0);
    assert!(read.antialiased, "the comment says so");
}

#[test]
fn vectors_ascii_is_read_to_its_nine_digits() {
    let read = read_splats(vectors().join("scene_deg0_ascii.ply")).expect("scene_deg0_ascii.ply");
    assert_same(&read, &expected(0, Some(read.len())), 1e-8);
    assert!(read.len() >= 10, "{} splats", read.len());
}

#[test]
fn vectors_written_files_read_back_exactly_and_have_the_reference_size() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for degree in 0..=3 {
        let cloud = expected(degree, None);
        let path = folder.path().join(format!("{degree}.ply"));
        write_splats(&path, &cloud, false).expect("write");
        assert_same(&read_splats(&path).expect("read"), &cloud, 0.0);
        if degree == 3 {
            let written = without_comments(&std::fs::read(&path).expect("read"));
            let reference = std::fs::read(vectors().join("scene_deg3.ply")).expect("read");
            assert!(written == without_comments(&reference), "the INRIA layout leaves no choice");
        }
    }
}

fn without_comments(ply: &[u8]) -> Vec<u8> {
    let end = ply.windows(11).position(|w| w == b"end_header\n").expect("a header") + 11;
    let header = String::from_utf8(ply[..end].to_vec()).expect("text");
    let kept: String = header.split_inclusive('\n').filter(|line| !line.starts_with("comment")).collect();
    [kept.as_bytes(), &ply[end..]].concat()
}

fn data_file(rel: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TESSERA_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let path = root.join(rel);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn splats_of_other_programs_are_read() {
    if let Some(path) = data_file("splats/guitar_12k.ply") {
        let read = read_splats(path).expect("guitar");
        assert_eq!((read.len(), read.sh_degree), (12_000, 0));
    }
    if let Some(path) = data_file("splats/playcanvas_test.ply") {
        let read = read_splats(path).expect("compressed, whatever its name");
        assert_eq!((read.len(), read.sh_degree), (64, 3));
    }
    if let Some(path) = data_file("splats/guitar.compressed.ply") {
        let read = read_splats(path).expect("guitar");
        assert_eq!((read.len(), read.sh_degree), (90_854, 0));
    }
    if let (Some(splat), Some(ply)) = (data_file("splats/guitar_12k.splat"), data_file("splats/guitar_12k.ply")) {
        let (read, mut expected) = (read_splats(splat).expect("guitar"), read_splats(ply).expect("guitar"));
        assert_eq!((read.len(), read.sh_degree), (12_000, 0));
        // The same splats in another order: each has its place to itself.
        let place = |cloud: &SplatCloud, i: u32| cloud.means[i as usize].map(f32::to_bits);
        let sorted = |cloud: &SplatCloud| {
            let mut order: Vec<u32> = (0..cloud.len() as u32).collect();
            order.sort_by_key(|&i| place(cloud, i));
            cloud.select(&order)
        };
        expected = sorted(&expected);
        let read = sorted(&read);
        assert_eq!(read.means, expected.means);
        for (read, expected) in read.log_scales.as_flattened().iter().zip(expected.log_scales.as_flattened()) {
            assert!((read - expected).abs() < 1e-4, "scale {read}, expected {expected}");
        }
    }
}
