//! Good scenes of every format, version and encoding that can be read.

use std::io::Read;
use std::path::{Path, PathBuf};
use tessera_datasets::format::stream::{CloudSource, SplatHeader, SplatSource};
use tessera_datasets::format::volumetric::write_video;
use tessera_datasets::format::{
    Existing, MeshFormat, SogVersion, SplatFormat, SpzVersion, WriteOptions, create_splats, write_mesh,
};
use tessera_datasets::scene::{Mesh, SplatCloud, TimeHierarchy, Timeline, VolumetricVideo};

/// A scene on disk: the path by which it is opened, and all its files.
pub struct Scene {
    pub name: String,
    pub path: PathBuf,
    pub files: Vec<PathBuf>,
    pub is_mesh: bool,
}

impl Scene {
    /// All that is in the folder of `path`.
    fn new(path: PathBuf, is_mesh: bool) -> Self {
        let folder = path.parent().expect("a folder");
        let mut files = Vec::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(place) = waiting.pop() {
            for entry in std::fs::read_dir(place).expect("list") {
                let place = entry.expect("entry").path();
                if place.is_dir() { waiting.push(place) } else { files.push(place) }
            }
        }
        files.sort();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        Self { name, path, files, is_mesh }
    }

    /// One file with these bytes, in a folder of its own.
    fn of_bytes(root: &Path, name: &str, file: &str, bytes: &[u8], is_mesh: bool) -> Self {
        let folder = root.join(name);
        std::fs::create_dir(&folder).expect("folder");
        std::fs::write(folder.join(file), bytes).expect("write");
        Self::new(folder.join(file), is_mesh)
    }
}

/// Every kind of file, each in a folder below `root`.
pub fn scenes(root: &Path) -> Vec<Scene> {
    let mut scenes = written_splats(root);
    for version in [SpzVersion::V1, SpzVersion::V2, SpzVersion::V3] {
        // Without its compression, which would hide what lies in it from mutations.
        let packed = scenes.iter().find(|scene| scene.name == format!("SPZ {}", version.number())).expect("SPZ");
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&packed.path).expect("open");
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
        scenes.push(Scene::of_bytes(root, &format!("plain {}", packed.name), "scene.spz", &bytes, false));
    }
    for level in 0..3 {
        scenes.push(Scene::of_bytes(root, &format!("ksplat {level}"), "scene.ksplat", &ksplat(level), false));
    }
    scenes.push(Scene::of_bytes(root, "PLY as text", "scene.ply", ply_text(&cloud(20, 1)).as_bytes(), false));
    scenes.push(Scene::of_bytes(root, "big-endian PLY", "scene.ply", &big_endian_ply(&cloud(20, 0)), false));
    let gltf = scenes.iter().find(|scene| scene.path.ends_with("scene.gltf")).expect("glTF");
    let embedded = embedded(gltf);
    scenes.push(Scene::of_bytes(root, "glTF with embedded data", "scene.gltf", embedded.as_bytes(), false));
    scenes.extend(meshes(root));
    scenes.push(moving(root));
    scenes
}

/// Gaussians of which one in three is static and the others last from a tenth of a second to a few.
fn moving(root: &Path) -> Scene {
    let still = cloud(90, 1);
    let n = still.len();
    let mut video = VolumetricVideo::with_capacity(n, 1, Timeline { start: 0.0, frame_rate: 10.0, frames: 50 });
    (video.means, video.log_scales, video.opacity_logits, video.sh0) =
        (still.means, still.log_scales, still.opacity_logits, still.sh0);
    video.times = (0..n).map(|i| 0.05 * i as f32).collect();
    video.log_time_scales = (0..n).map(|i| if i % 3 == 0 { f32::INFINITY } else { -3.0 + 0.03 * i as f32 }).collect();
    video.left_quats = still.quats.clone();
    video.right_quats = still.quats;
    video.residual_rows = vec![4];
    video.residuals = vec![0.2; 9];
    let folder = root.join("moving scene");
    std::fs::create_dir(&folder).expect("folder");
    let path = folder.join("scene.t4d");
    write_video(&path, &video, &TimeHierarchy::of_duration(5.0, 0.5), Existing::Keep).expect("written");
    Scene::new(path, false)
}

pub fn cloud(n: usize, sh_degree: u8) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for i in 0..n {
        let x = (i as f32 * 0.7).sin();
        cloud.means.push([x, 1.0 - x, 0.1 * i as f32]);
        cloud.log_scales.push([-3.0, -4.0 + x, -5.0]);
        cloud.quats.push([1.0, x, 0.2, -0.3]);
        cloud.opacity_logits.push(2.0 * x);
        cloud.sh0.push([x, 0.5, -x]);
        cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|k| 0.1 * x * (k % 5) as f32));
    }
    cloud
}

fn write(path: &Path, options: &WriteOptions) {
    let mut cloud = cloud(90, 1);
    cloud.antialiased = true;
    cloud.scene_from_world.isometry.translation.vector.x = 3.0;
    let mut sink = create_splats(path, &SplatHeader::of(&cloud), options, Existing::Keep).expect("create");
    let mut source = CloudSource::new(&cloud);
    let mut chunk = source.header().empty_cloud(0);
    while source.next_chunk(&mut chunk).expect("nothing can fail") {
        sink.put(&chunk).expect("put");
    }
    sink.finish().expect("finish");
}

/// Of every format and version that is written.
fn written_splats(root: &Path) -> Vec<Scene> {
    let mut kinds: Vec<(String, String, WriteOptions)> = SplatFormat::ALL
        .iter()
        .filter(|format| format.writes())
        .map(|format| (format.name().to_owned(), format.endings()[0].to_owned(), WriteOptions::default()))
        .collect();
    for spz_version in SpzVersion::ALL {
        let options = WriteOptions { spz_version, ..WriteOptions::default() };
        kinds.push((format!("SPZ {}", spz_version.number()), ".spz".to_owned(), options));
    }
    for sog_version in SogVersion::ALL {
        let options = WriteOptions { sog_version, ..WriteOptions::default() };
        kinds.push((format!("SOG folder {}", sog_version.number()), "meta.json".to_owned(), options));
    }
    let one = |(name, ending, options): (String, String, WriteOptions)| {
        let folder = root.join(name);
        std::fs::create_dir(&folder).expect("folder");
        let path = folder.join(if ending.starts_with('.') { format!("scene{ending}") } else { ending });
        write(&path, &options);
        // A tree of pages is a folder itself.
        Scene::new(if path.is_dir() { path.join("tiles.json") } else { path }, false)
    };
    kinds.into_iter().map(one).collect()
}

/// Two splats of degree 1 in a bucket, put together by hand, as nothing here writes the format.
fn ksplat(level: u16) -> Vec<u8> {
    let mut bytes = vec![0; 4096 + 1024];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(1, &[1]);
    for (at, value) in [(4, 1u32), (8, 1), (12, 2), (16, 2)] {
        put(at, &value.to_le_bytes());
    }
    put(20, &level.to_le_bytes());
    for (at, value) in [(0, 2u32), (4, 2), (8, 2), (12, 1), (24, 32_767), (32, 1)] {
        put(4096 + at, &value.to_le_bytes());
    }
    put(4096 + 16, &5f32.to_le_bytes());
    put(4096 + 20, &12u16.to_le_bytes());
    put(4096 + 40, &1u16.to_le_bytes());
    bytes.extend([1f32, 2.0, 3.0].map(f32::to_le_bytes).as_flattened());
    let splat: Vec<u8> = match level {
        0 => {
            let numbers = [[0.1f32; 10].as_slice(), &[f32::from_le_bytes([9, 8, 7, 255])], &[0.2; 9]].concat();
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        }
        // Halves are positive and finite.
        _ => [[0x20u8; 20].as_slice(), &[9, 8, 7, 255], &vec![0x20; if level == 1 { 18 } else { 9 }]].concat(),
    };
    bytes.extend(splat.repeat(2));
    bytes
}

fn ply_rows(cloud: &SplatCloud) -> (String, Vec<Vec<f32>>) {
    let fixed = ["x", "y", "z", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"];
    let colour = ["opacity", "f_dc_0", "f_dc_1", "f_dc_2"].map(str::to_owned);
    let width = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
    let names = fixed.map(str::to_owned).into_iter().chain(colour).chain((0..width).map(|i| format!("f_rest_{i}")));
    let properties = names.map(|name| format!("property float {name}\n")).collect();
    let row = |i: usize| {
        let places = [&cloud.means[i][..], &cloud.log_scales[i], &cloud.quats[i], &[cloud.opacity_logits[i]]].concat();
        [&places[..], &cloud.sh0[i], &cloud.sh_rest[i * width..(i + 1) * width]].concat()
    };
    (properties, (0..cloud.len()).map(row).collect())
}

fn ply_text(cloud: &SplatCloud) -> String {
    let (properties, rows) = ply_rows(cloud);
    let row = |row: Vec<f32>| row.iter().map(f32::to_string).collect::<Vec<_>>().join(" ") + "\n";
    let rows: String = rows.into_iter().map(row).collect();
    format!("ply\nformat ascii 1.0\nelement vertex {}\n{properties}end_header\n{rows}", cloud.len())
}

fn big_endian_ply(cloud: &SplatCloud) -> Vec<u8> {
    let (properties, rows) = ply_rows(cloud);
    // Another element comes first and has lists.
    let others = "element other 2\nproperty list uchar short items\n";
    let start =
        format!("ply\nformat binary_big_endian 1.0\n{others}element vertex {}\n{properties}end_header\n", cloud.len());
    let lists = [2u8, 0, 1, 0, 2, 0];
    let rows = rows.concat().into_iter().flat_map(f32::to_be_bytes);
    start.bytes().chain(lists).chain(rows).collect()
}

/// The document of a scene with its `.bin` file in the text.
fn embedded(scene: &Scene) -> String {
    use base64::Engine;
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&scene.path).expect("read")).expect("glTF is JSON");
    let name = json["buffers"][0]["uri"].as_str().expect("a file").to_owned();
    let data = std::fs::read(scene.path.with_file_name(name)).expect("read");
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    json["buffers"][0]["uri"] = format!("data:application/octet-stream;base64,{data}").into();
    json.to_string()
}

fn meshes(root: &Path) -> Vec<Scene> {
    let mesh = Mesh {
        positions: (0..60).map(|i| [i as f32, (i % 7) as f32, 0.5]).collect(),
        normals: vec![[0.0, 0.0, 1.0]; 60],
        colours: vec![[9, 8, 7]; 60],
        triangles: (0..40).map(|i| [i, i + 1, i + 9]).collect(),
        ..Mesh::default()
    };
    let points = Mesh { triangles: Vec::new(), ..mesh.clone() };
    let mut scenes = Vec::new();
    for format in MeshFormat::ALL.iter().filter(|format| format.writes()) {
        for (what, mesh) in [("mesh", &mesh), ("points", &points)] {
            let folder = root.join(format!("{} of a {what}", format.name()));
            std::fs::create_dir(&folder).expect("folder");
            let path = folder.join(format!("scene.{}", format.extension()));
            write_mesh(&path, mesh, Existing::Keep).expect("written");
            scenes.push(Scene::new(path, true));
        }
    }
    let text = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty double z\n\
        element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0.5\n3 0 1 2\n";
    scenes.push(Scene::of_bytes(root, "mesh PLY as text", "scene.ply", text.as_bytes(), true));
    let off = "COFF\n3 1 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n0 1 0 0 0 255 255\n3 0 1 2\n";
    scenes.push(Scene::of_bytes(root, "OFF", "scene.off", off.as_bytes(), true));
    let obj =
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\nf -3//-1 -2//-1 -1//-1\n";
    scenes.push(Scene::of_bytes(root, "OBJ by hand", "scene.obj", obj.as_bytes(), true));
    scenes
}
