//! COLMAP models, written here from the format's description.

use crate::support::{Folder, jpeg, png};
use std::fmt::Write as _;
use tessera_datasets::camera::LensModel;
use tessera_datasets::capture::{Capture, MaskKind};

/// A model to write in both encodings.
#[derive(Clone)]
pub struct Model {
    pub cameras: Vec<(u32, u32, u64, u64, Vec<f64>)>,
    pub images: Vec<(String, u32, [f64; 4], [f64; 3])>,
    pub points: Vec<([f64; 3], [u8; 3])>,
}

/// Three photos 64x48 from two cameras, in sub-folders.
pub fn small() -> Model {
    let image = |name: &str, camera, x| (name.to_owned(), camera, [0.9, 0.1 * x, -0.3, 0.2], [x, 0.5, 2.0]);
    Model {
        cameras: vec![
            (1, 4, 64, 48, vec![50.0, 51.0, 32.0, 24.0, 0.1, -0.02, 0.001, 0.002]),
            (7, 1, 64, 48, vec![60.0, 61.0, 31.0, 23.0]),
        ],
        images: vec![image("right/a 2.png", 7, 0.5), image("left/b.png", 1, -1.0), image("left/a.png", 1, 1.0)],
        points: vec![([0.1, 0.2, 5.0], [10, 20, 30]), ([-0.1, 0.3, 4.0], [255, 0, 1])],
    }
}

impl Model {
    pub fn binary(&self) -> [Vec<u8>; 3] {
        let mut cameras = (self.cameras.len() as u64).to_le_bytes().to_vec();
        for (id, model, width, height, parameters) in &self.cameras {
            cameras.extend([id.to_le_bytes(), model.to_le_bytes()].concat());
            cameras.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
            cameras.extend(parameters.iter().flat_map(|p| p.to_le_bytes()));
        }
        let mut images = (self.images.len() as u64).to_le_bytes().to_vec();
        for (index, (name, camera, rotation, translation)) in self.images.iter().enumerate() {
            images.extend((index as u32 + 1).to_le_bytes());
            images.extend(rotation.iter().chain(translation).flat_map(|v| v.to_le_bytes()));
            images.extend(camera.to_le_bytes());
            images.extend(name.bytes().chain([0]));
            // As many observations as the image's number, to be skipped.
            images.extend((index as u64).to_le_bytes());
            images.extend(vec![1; 24 * index]);
        }
        let mut points = (self.points.len() as u64).to_le_bytes().to_vec();
        for (index, (position, colour)) in self.points.iter().enumerate() {
            points.extend((index as u64).to_le_bytes());
            points.extend(position.iter().flat_map(|v| v.to_le_bytes()));
            points.extend(colour);
            points.extend(0.5_f64.to_le_bytes());
            points.extend((index as u64).to_le_bytes());
            points.extend(vec![2; 8 * index]);
        }
        [cameras, images, points]
    }

    pub fn text(&self) -> [String; 3] {
        let joined = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        let mut texts =
            ["# Camera list\n".to_owned(), "# Image list\n#   comments\n".to_owned(), "# Points\n".to_owned()];
        let [cameras, images, points] = &mut texts;
        for (id, model, width, height, parameters) in &self.cameras {
            let name = LensModel::from_id(*model).expect("known").name();
            writeln!(cameras, "{id} {name} {width} {height} {}", joined(parameters)).expect("written");
        }
        for (index, (name, camera, rotation, translation)) in self.images.iter().enumerate() {
            writeln!(images, "{} {} {} {camera} {name}", index + 1, joined(rotation), joined(translation))
                .expect("written");
            writeln!(images, "{}", "1.5 2.5 -1 ".repeat(index)).expect("written");
        }
        for (index, (position, [r, g, b])) in self.points.iter().enumerate() {
            writeln!(points, "{index} {} {r} {g} {b} 0.5 {}", joined(position), "1 2 ".repeat(index)).expect("written");
        }
        texts
    }

    pub fn put_binary(&self, folder: &Folder, at: &str) {
        for (name, bytes) in ["cameras", "images", "points3D"].iter().zip(self.binary()) {
            folder.put(&format!("{at}/{name}.bin"), bytes);
        }
    }

    pub fn put_text(&self, folder: &Folder, at: &str) {
        for (name, text) in ["cameras", "images", "points3D"].iter().zip(self.text()) {
            folder.put(&format!("{at}/{name}.txt"), text);
        }
    }

    pub fn put_images(&self, folder: &Folder, at: &str) {
        for (name, ..) in &self.images {
            folder.put(&format!("{at}/{name}"), png(64, 48));
        }
    }
}

fn complete(model: &Model) -> Folder {
    let folder = Folder::new();
    model.put_binary(&folder, "sparse/0");
    model.put_images(&folder, "images");
    folder
}

fn assert_same(a: &Capture, b: &Capture) {
    assert_eq!(a.points, b.points);
    assert_eq!(a.frames.len(), b.frames.len());
    for (a, b) in a.frames.iter().zip(&b.frames) {
        assert_eq!((&a.name, &a.image, a.camera), (&b.name, &b.image, b.camera));
        assert_eq!(a.camera_from_world, b.camera_from_world, "{}", a.name);
    }
}

#[test]
fn binary_text_and_zip_hold_the_same_capture() {
    let model = small();
    let binary = complete(&model);
    let opened = binary.open();
    assert_eq!(opened.layout, "COLMAP binary model in sparse/0");
    let names: Vec<_> = opened.frames.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["left/a.png", "left/b.png", "right/a 2.png"]);
    assert_eq!(opened.frames[2].image, "images/right/a 2.png");
    let lens = LensModel::Pinhole.lens(&[60.0, 61.0, 31.0, 23.0]).expect("four parameters");
    assert_eq!(opened.frames[2].camera.lens, lens);
    assert_eq!(opened.points[1].colour, [255, 0, 1]);
    assert_eq!(opened.warnings, Vec::<String>::new());
    // COLMAP's translation is the world's origin seen from the camera.
    let origin = opened.frames[0].camera_from_world * nalgebra::Point3::origin();
    assert!((origin.coords - nalgebra::Vector3::new(1.0, 0.5, 2.0)).norm() < 1e-12);

    let text = Folder::new();
    model.put_text(&text, "sparse/0");
    model.put_images(&text, "images");
    assert_eq!(text.open().layout, "COLMAP text model in sparse/0");
    assert_same(&opened, &text.open());
    for top in ["", "my capture/"] {
        let zip = binary.zipped(top);
        assert_same(&opened, &Capture::open(zip.path()).expect("the archive opens"));
    }
}

#[test]
fn every_lens_model_is_read() {
    let counts = [(0, 3), (1, 4), (2, 4), (3, 5), (4, 8), (5, 8), (6, 12), (8, 4), (9, 5)];
    for (id, count) in counts {
        let model = LensModel::from_id(id).expect("known");
        let mut parameters: Vec<f64> = (0..count).map(|i| 0.001 * (f64::from(i) + 1.0)).collect();
        parameters[..3].copy_from_slice(&[55.0, 54.0, 24.0]);
        let mut made = small();
        made.cameras[0] = (1, id, 64, 48, parameters.clone());
        let folder = complete(&made);
        let lens = model.lens(&parameters).expect("the right number of parameters");
        assert_eq!(folder.open().frames[0].camera.lens, lens, "{} from binary", model.name());
        made.put_text(&folder, "sparse/0");
        for part in ["cameras", "images", "points3D"] {
            folder.remove(&format!("sparse/0/{part}.bin"));
        }
        assert_eq!(folder.open().frames[0].camera.lens, lens, "{} from text", model.name());
    }
}

#[test]
fn an_unknown_lens_model_is_named() {
    let mut model = small();
    model.cameras[0] = (1, 7, 64, 48, vec![1.0; 5]);
    complete(&model).refused_with(&["cameras.bin", "unknown camera model", "7", "PINHOLE"]);
    let folder = complete(&small());
    folder.remove("sparse/0/cameras.bin").remove("sparse/0/images.bin");
    let [_, images, _] = small().text();
    folder.put("sparse/0/images.txt", images).put("sparse/0/cameras.txt", "1 FOV 64 48 1 1 1 1 1\n");
    folder.refused_with(&["cameras.txt", "unknown camera model 'FOV'"]);
}

#[test]
fn the_largest_of_several_models_is_read() {
    let folder = complete(&small());
    let mut larger = small();
    larger.images.push(("left/c.png".to_owned(), 1, [1.0, 0.0, 0.0, 0.0], [0.0; 3]));
    larger.put_binary(&folder, "sparse/2");
    larger.put_images(&folder, "images");
    let opened = folder.open();
    assert_eq!(opened.frames.len(), 4);
    assert_eq!(opened.layout, "COLMAP binary model in sparse/2");
    assert!(opened.warnings[0].contains("2 separate models"), "{:?}", opened.warnings);
}

#[test]
fn models_and_photos_are_found_in_their_other_places() {
    for place in ["sparse", "colmap/sparse/0", "colmap/sparse", "."] {
        for images in ["images_2", "images_4", "input"] {
            let folder = Folder::new();
            small().put_binary(&folder, place);
            small().put_images(&folder, images);
            assert_eq!(folder.open().frames.len(), 3, "model in {place}, photos in {images}");
        }
    }
}

#[test]
fn masks_and_depth_are_found_by_either_name() {
    let folder = complete(&small());
    folder.put("masks/left/a.png.png", png(64, 48)).put("mask/left/b.png", png(64, 48));
    folder.put("depths/left/b.png.exr", b"x").put("depths/right/a 2.png", b"x");
    let frames = folder.open().frames;
    let masks: Vec<_> = frames.iter().map(|f| f.mask.as_ref().map(|m| (m.path.as_str(), m.kind))).collect();
    assert_eq!(masks[0], Some(("masks/left/a.png.png", MaskKind::Ignore)));
    assert_eq!(masks[1], Some(("mask/left/b.png", MaskKind::Ignore)));
    assert_eq!(masks[2], None);
    assert_eq!(frames[1].depth.as_ref().map(|d| (d.path.as_str(), d.scale)), Some(("depths/left/b.png.exr", 1.0)));
    assert_eq!(frames[2].depth.as_ref().map(|d| (d.path.as_str(), d.scale)), Some(("depths/right/a 2.png", 0.001)));
}

#[test]
fn missing_photos_are_left_out_with_a_warning() {
    let folder = complete(&small());
    folder.remove("images/left/b.png");
    let opened = folder.open();
    assert_eq!(opened.frames.len(), 2);
    assert!(opened.warnings[0].contains("1 of 3 images") && opened.warnings[0].contains("left/b.png"));
    folder.remove("images/left/a.png").remove("images/right/a 2.png");
    folder.refused_with(&["images.bin", "none of its 3 images exists", "left/a.png"]);
}

#[test]
fn intrinsics_of_a_smaller_copy_are_scaled_and_of_another_shape_refused() {
    let folder = complete(&small());
    folder.put("images/left/a.png", png(32, 24));
    let opened = folder.open();
    assert_eq!((opened.frames[0].camera.width, opened.frames[0].camera.lens.focal), (32, [25.0, 25.5]));
    assert!(opened.warnings[0].contains("intrinsics of 1 images"), "{:?}", opened.warnings);
    folder.put("images/left/a.png", png(48, 64));
    folder.refused_with(&["left/a.png", "48x64", "64x48"]);
}

#[test]
fn photos_with_an_exif_orientation_turn_their_cameras() {
    let mut model = small();
    model.images.truncate(1);
    model.images[0].0 = "a.jpg".to_owned();
    let folder = Folder::new();
    model.put_binary(&folder, "sparse/0");
    folder.put("images/a.jpg", jpeg(64, 48, 6));
    let upright = &folder.open().frames[0];
    assert_eq!((upright.camera.width, upright.camera.height), (48, 64));
    assert_eq!(upright.camera.lens.focal, [61.0, 60.0]);
    assert_eq!(upright.camera.lens.centre, [48.0 - 23.0, 31.0]);
    folder.put("images/a.jpg", jpeg(64, 48, 5));
    folder.refused_with(&["a.jpg", "mirrored"]);
}

#[test]
fn contradictions_are_one_clear_sentence() {
    let refused = |change: &dyn Fn(&mut Model), words: &[&str]| {
        let mut model = small();
        change(&mut model);
        complete(&model).refused_with(words);
        let folder = Folder::new();
        model.put_text(&folder, "sparse/0");
        small().put_images(&folder, "images");
        let words: Vec<String> = words.iter().map(|w| w.replace(".bin", ".txt")).collect();
        folder.refused_with(&words.iter().map(String::as_str).collect::<Vec<_>>());
    };
    refused(&|m| m.images[1].2[0] = f64::NAN, &["images.bin", "left/b.png", "not a finite"]);
    refused(&|m| m.images[1].3[2] = f64::INFINITY, &["images.bin", "left/b.png", "not a finite"]);
    refused(&|m| m.images[1].2 = [0.0; 4], &["images.bin", "left/b.png"]);
    refused(&|m| m.images[0].1 = 9, &["images.bin", "camera 9"]);
    refused(&|m| m.images[0].0 = "left/a.png".into(), &["images.bin", "left/a.png twice"]);
    refused(&|m| m.images.clear(), &["images.bin", "no images"]);
    refused(&|m| m.cameras[1].0 = 1, &["cameras.bin", "camera 1 twice"]);
    refused(&|m| m.cameras[0].2 = 0, &["cameras.bin", "camera 1", "0x48"]);
    refused(&|m| m.cameras[0].4[0] = f64::NAN, &["images.bin", "not finite"]);
    refused(&|m| m.cameras[0].4[1] = -5.0, &["images.bin", "focal length"]);
}

#[test]
fn hand_written_text_without_observation_lines_is_noticed() {
    let folder = Folder::new();
    small().put_text(&folder, "sparse/0");
    small().put_images(&folder, "images");
    folder.put("sparse/0/images.txt", "1 1 0 0 0 0 0 0 1 left/a.png\n2 1 0 0 0 0 0 0 1 left/b.png\n");
    folder.refused_with(&["images.txt", "line 2", "observations"]);
}

#[test]
fn what_is_no_capture_lists_the_layouts() {
    let folder = Folder::new();
    folder.put("notes.txt", "nothing");
    folder.refused_with(&["no capture of a known layout", "COLMAP", "transforms.json", "LLFF", "IDR", "zip"]);
}
