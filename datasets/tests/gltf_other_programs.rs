//! glTF files against the programs of others: `splat-transform` (PlayCanvas) and the Khronos validator. Both are npm
//! packages, found in the folder that `TESSERA_NODE_MODULES` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_datasets::format::{Existing, SequenceWriter, read_mesh, read_splats, write_mesh, write_splats};
use tessera_datasets::image::Image8;
use tessera_datasets::scene::{Material, Mesh, SplatCloud, Texture};

fn node_modules() -> Option<PathBuf> {
    let folder = std::env::var_os("TESSERA_NODE_MODULES").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: TESSERA_NODE_MODULES does not name a folder with npm packages");
    }
    folder
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
}

fn validate(modules: &Path, file: &Path) {
    let script = in_repository(".ci/validate_gltf.cjs");
    run(Command::new("node").env("NODE_PATH", modules).arg(script).arg(file));
}

fn splat_files() -> Vec<PathBuf> {
    let vectors = ["tests/vectors/scene_deg3.ply", "tests/vectors/scene_deg1_shuffled.ply"].map(in_repository);
    let data = std::env::var_os("TESSERA_DATA").map_or_else(|| in_repository("../shared/data"), PathBuf::from);
    let real = data.join("splats/guitar_12k.ply");
    if !real.exists() {
        println!("skipped: {} is not there", real.display());
    }
    vectors.into_iter().chain(real.exists().then_some(real)).collect()
}

fn length(quat: [f32; 4]) -> f32 {
    quat.iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// Asserts that `read` is `expected` after opacities and scales were stored as such in single precision.
fn assert_same(read: &SplatCloud, expected: &SplatCloud, path: &Path) {
    let path = path.display();
    assert_eq!((read.len(), read.sh_degree), (expected.len(), expected.sh_degree), "{path}");
    let floats = |rows: &[[f32; 3]]| rows.as_flattened().to_vec();
    // Turning positions and colours by half a turn costs others some rounding in their sines.
    let exact = [
        ("position", floats(&read.means), floats(&expected.means)),
        ("colour", floats(&read.sh0), floats(&expected.sh0)),
        ("harmonics", read.sh_rest.clone(), expected.sh_rest.clone()),
        ("log scale", floats(&read.log_scales), floats(&expected.log_scales)),
    ];
    for (what, read, expected) in exact {
        let scale = expected.iter().fold(1f32, |most, v| most.max(v.abs()));
        for (i, (a, b)) in read.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= 2e-6 * scale, "{path}: {what} {i} is {a} where {b} is expected");
        }
    }
    for (i, (a, b)) in read.opacity_logits.iter().zip(&expected.opacity_logits).enumerate() {
        let opacity = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
        let error = (opacity(*a) - opacity(*b)).abs();
        assert!(error <= 3.0 * 2f64.powi(-24), "{path}: the opacity of splat {i} is off by {error}");
    }
    for (i, (&a, &b)) in read.quats.iter().zip(&expected.quats).enumerate() {
        let cosine = a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() / (length(a) * length(b));
        assert!(
            (cosine.abs() - 1.0).abs() < 1e-6,
            "{path}: the rotation of splat {i} is {a:?} where {b:?} is expected"
        );
    }
}

#[test]
fn what_splat_transform_writes_is_read_splat_by_splat() {
    let Some(modules) = node_modules() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    for (i, ply) in splat_files().into_iter().enumerate() {
        let glb = folder.path().join(format!("{i}.glb"));
        run(Command::new(modules.join(".bin/splat-transform")).arg("--quiet").args([&ply, &glb]));
        assert_same(&read_splats(&glb).expect("GLB"), &read_splats(&ply).expect("PLY"), &ply);
    }
}

#[test]
fn the_validator_accepts_what_is_written() {
    let Some(modules) = node_modules() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    for (i, ply) in splat_files().into_iter().enumerate() {
        let glb = folder.path().join(format!("{i}.glb"));
        let mut cloud = read_splats(&ply).expect("PLY");
        cloud.antialiased = i % 2 == 0;
        write_splats(&glb, &cloud, false).expect("write");
        assert_same(&read_splats(&glb).expect("GLB"), &cloud, &ply);
        validate(&modules, &glb);
        let document = folder.path().join(format!("scene {i}.gltf"));
        write_splats(&document, &cloud, false).expect("write");
        validate(&modules, &document);
    }
}

/// Meshes with all that there can be, with little, and of others.
fn meshes() -> Vec<Mesh> {
    let picture = Image8 { data: (0..192).collect(), ..Image8::new(8, 8, 3) };
    let texture = Some(Texture::new(&picture, "made".as_ref()).expect("a picture"));
    let full = Mesh {
        positions: vec![[0.1, 0.2, 0.3], [1.5, 0.0, -1.0], [0.0, 1e-7, 1e6], [3.0, 3.0, 3.0]],
        normals: vec![[0.0, 3.0, 4.0], [1.0, 0.0, 0.0], [0.0; 3], [0.0, 0.0, 1.0]],
        colours: vec![[0, 127, 255], [1, 2, 3], [254, 253, 13], [99, 100, 101]],
        uvs: vec![[0.25, 0.5], [1.0, 0.0], [0.0, 1.0], [0.75, 0.125]],
        triangles: vec![[0, 1, 2], [1, 3, 2], [0, 2, 3]],
        materials: vec![
            Material { texture, ..Material::named("bark") },
            Material { colour: [0.25, 0.5, 0.125, 0.75], ..Material::named("") },
        ],
        triangle_materials: vec![0, 1, 0],
        scene_from_world: nalgebra::Similarity3::identity().append_scaling(2.0),
    };
    let points = Mesh { positions: vec![[1.0; 3]; 3], ..Mesh::default() };
    let data = std::env::var_os("TESSERA_DATA").map_or_else(|| in_repository("../shared/data"), PathBuf::from);
    let real = ["armadillo.obj", "bunny.off", "spot.obj", "fandisk.obj"].map(|name| data.join("meshes").join(name));
    if !real[0].exists() {
        println!("skipped: {} is not there", real[0].display());
    }
    let real = real.into_iter().filter(|path| path.exists()).map(|path| read_mesh(path).expect("a mesh").mesh);
    [full, points].into_iter().chain(real).collect()
}

#[test]
fn the_validator_accepts_meshes() {
    let Some(modules) = node_modules() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    for (i, mesh) in meshes().into_iter().enumerate() {
        let glb = folder.path().join(format!("{i}.glb"));
        let document = folder.path().join(format!("mesh {i}.gltf"));
        for file in [glb, document] {
            write_mesh(&file, &mesh, Existing::Keep).expect("written");
            validate(&modules, &file);
        }
    }
}

#[test]
fn the_validator_accepts_meshes_of_several_moments() {
    let Some(modules) = node_modules() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let meshes = meshes();
    for (name, count) in [("one.glb", 1), ("two.glb", 2), ("all.glb", meshes.len()), ("all.gltf", meshes.len())] {
        let path = folder.path().join(name);
        let mut writer = SequenceWriter::create(&path, Existing::Keep).expect("a file");
        for (i, mesh) in meshes[..count].iter().enumerate() {
            writer.put(i as f64 / 30.0, mesh).expect("a mesh");
        }
        writer.finish(count as f64 / 30.0, 0.0).expect("written");
        validate(&modules, &path);
    }
}
