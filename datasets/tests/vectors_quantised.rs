//! The readers and writers of `.splat` and SPZ against the golden vectors of topic `formats`.

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;
use std::path::PathBuf;
use tessera_datasets::format::{read_splats, write_splats};
use tessera_datasets::scene::SplatCloud;

fn vectors() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    std::env::var_os("TESSERA_VECTORS").map_or_else(default, PathBuf::from)
}

struct Vectors {
    tensors: Vec<u8>,
    json: Value,
}

impl Vectors {
    fn load() -> Self {
        let tensors = std::fs::read(vectors().join("formats.safetensors")).expect("formats.safetensors");
        let json = std::fs::read(vectors().join("formats.json")).expect("formats.json");
        Self { tensors, json: serde_json::from_slice(&json).expect("JSON") }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.tensors).expect("safetensors");
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        match tensor.dtype() {
            Dtype::U8 => tensor.data().iter().map(|&byte| f32::from(byte)).collect(),
            _ => tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        }
    }

    /// Asserts that every value is within the stated tolerance of a tensor's.
    fn assert_close(&self, name: &str, read: &[f32]) {
        let expected = self.floats(name);
        assert_eq!(read.len(), expected.len(), "{name}");
        let tolerance = &self.json["tensors"][name]["tolerance"];
        let number = |key: &str| tolerance[key].as_f64().unwrap_or(0.0);
        for (i, (&read, &expected)) in read.iter().zip(&expected).enumerate() {
            let allowed = number("atol") + number("rtol") * f64::from(expected).abs();
            let error = f64::from(read - expected).abs();
            assert!(error <= allowed, "{name}[{i}] is {read}, expected {expected} to {allowed}");
        }
    }

    /// The same for quaternions, of which both signs are the same rotation.
    fn assert_quats(&self, name: &str, read: &[[f32; 4]]) {
        let expected = self.floats(name);
        let expected = expected.as_chunks::<4>().0;
        let signed = read.iter().zip(expected).map(|(q, e)| {
            let cosine: f32 = q.iter().zip(e).map(|(a, b)| a * b).sum();
            q.map(|c| c * cosine.signum())
        });
        self.assert_close(name, signed.collect::<Vec<_>>().as_flattened());
    }

    /// The attributes that the files were made from, cut to a degree.
    fn scene(&self, sh_degree: u8) -> SplatCloud {
        let threes = |name: &str| self.floats(name).as_chunks::<3>().0.to_vec();
        let kept = 3 * SplatCloud::rest_coefficients(sh_degree);
        SplatCloud {
            means: threes("scene/means"),
            log_scales: threes("scene/log_scales"),
            quats: self.floats("scene/quats").as_chunks::<4>().0.to_vec(),
            opacity_logits: self.floats("scene/opacity_logits"),
            sh0: threes("scene/f_dc"),
            sh_rest: self.floats("scene/sh_rest").chunks(45).flat_map(|row| row[..kept].to_vec()).collect(),
            ..SplatCloud::with_capacity(0, sh_degree)
        }
    }

    fn spz_files(&self) -> Vec<(String, Value)> {
        let cases = self.json["cases"].as_object().expect("cases");
        let files: Vec<_> = cases.iter().filter(|(name, _)| name.ends_with(".spz")).collect();
        assert!(files.len() >= 3, "{} SPZ files", files.len());
        files.into_iter().map(|(name, case)| (name.clone(), case.clone())).collect()
    }
}

fn opacities(cloud: &SplatCloud) -> Vec<f32> {
    cloud.opacity_logits.iter().map(|&logit| (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32).collect()
}

fn scales(cloud: &SplatCloud) -> Vec<f32> {
    cloud.log_scales.as_flattened().iter().map(|s| s.exp()).collect()
}

#[test]
fn vectors_splat_is_read() {
    let vectors_ = Vectors::load();
    let read = read_splats(vectors().join("scene.splat")).expect("scene.splat");
    vectors_.assert_close("splat/means", read.means.as_flattened());
    vectors_.assert_close("splat/f_dc", read.sh0.as_flattened());
    vectors_.assert_close("splat/opacity", &opacities(&read));
    vectors_.assert_quats("splat/quats", &read.quats);
    // Scales are exact in the file, and were a logarithm on their way here: ln and exp round at numbers up to 10.
    for (read, expected) in scales(&read).iter().zip(vectors_.floats("splat/scales")) {
        assert!((read - expected).abs() <= 2e-6 * expected, "{read}, expected {expected}");
    }
}

#[test]
fn vectors_splat_is_written_in_the_same_order_and_bytes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.splat");
    write_splats(&path, &Vectors::load().scene(0), false).expect("write");
    let written = std::fs::read(path).expect("read");
    let reference = std::fs::read(vectors().join("scene.splat")).expect("read");
    assert_eq!(written.len(), reference.len());
    for (i, (written, expected)) in written.chunks(32).zip(reference.chunks(32)).enumerate() {
        assert_eq!(written[..12], expected[..12], "position of row {i}");
        for at in 24..32 {
            assert!(written[at].abs_diff(expected[at]) <= 1, "byte {at} of row {i}");
        }
    }
}

#[test]
fn vectors_spz_is_read() {
    let all = Vectors::load();
    for (file, case) in all.spz_files() {
        let name = file.trim_end_matches(".spz");
        let read = read_splats(vectors().join(&file)).expect(&file);
        assert_eq!(u64::from(read.sh_degree), case["sh_degree"].as_u64().expect("degree"), "{file}");
        assert_eq!(read.antialiased, case["flags"] == 1, "{file}");
        all.assert_close(&format!("{name}/means"), read.means.as_flattened());
        all.assert_close(&format!("{name}/log_scales"), read.log_scales.as_flattened());
        all.assert_close(&format!("{name}/opacity"), &opacities(&read));
        all.assert_close(&format!("{name}/f_dc"), read.sh0.as_flattened());
        all.assert_close(&format!("{name}/sh_rest"), &read.sh_rest);
        all.assert_quats(&format!("{name}/quats"), &read.quats);
    }
}

#[test]
fn vectors_spz_is_written_with_the_loss_that_the_format_has() {
    let all = Vectors::load();
    let loss = &all.json["quantisation_loss"]["scene_v3.spz"];
    let allowed = |what: &str| loss[what].as_f64().expect(what) as f32 + 1e-5;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.spz");
    let scene = all.scene(3);
    write_splats(&path, &scene, false).expect("write");
    let read = read_splats(&path).expect("read");
    let assert_near = |what: &str, read: &[f32], scene: &[f32]| {
        for (i, (read, scene)) in read.iter().zip(scene).enumerate() {
            assert!((read - scene).abs() <= allowed(what), "{what} {i} is {read} instead of {scene}");
        }
    };
    assert_near("means", read.means.as_flattened(), scene.means.as_flattened());
    assert_near("opacity", &opacities(&read), &opacities(&scene));
    let colours = |cloud: &SplatCloud| -> Vec<f32> {
        // Beyond ±3.33 colours are cut off.
        cloud.sh0.as_flattened().iter().map(|c| c.clamp(-0.5 / 0.15, 0.5 / 0.15)).collect()
    };
    assert_near("f_dc", &colours(&read), &colours(&scene));
}
