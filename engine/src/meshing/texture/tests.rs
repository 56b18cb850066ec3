use super::*;
use crate::frames::{FrameSet, Split};
use crate::meshing::depth::DepthPicture;
use nalgebra::{Isometry3, Point3, Vector3};
use tessera_datasets::camera::Camera;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::read_mesh;
use tessera_datasets::synthetic::{Options, SceneKind, write};
use tessera_kernels::camera_projection::View;

/// Two squares of side 2 across the z axis, at heights 0 and 1; the upper one half as large.
fn squares() -> Mesh {
    let square = |half: f32, z: f32| [[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]];
    Mesh {
        positions: [square(1.0, 0.0), square(0.5, 1.0)].concat(),
        normals: vec![[0.0, 0.0, 1.0]; 8],
        triangles: vec![[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]],
        ..Mesh::default()
    }
}

#[test]
fn what_lies_before_a_place_hides_it() {
    let camera = Camera::from_horizontal_fov(200, 200, 0.8);
    let from_above = Isometry3::face_towards(&Point3::new(0.0, 0.0, 5.0), &Point3::origin(), &Vector3::y()).inverse();
    let mesh = squares();
    let picture = DepthPicture::of(&View::new(&camera, &from_above), &mesh.positions, &mesh.triangles);
    let seen = |x: f64, y: f64, z: f64| picture.sees(&Vector3::new(x, y, z), &Vector3::z()).map(|seen| seen.depth);
    assert!(seen(0.2, -0.3, 1.0).is_some_and(|depth| (depth - 4.0).abs() < 1e-6), "the upper square is in sight");
    assert!(seen(0.2, -0.3, 0.0).is_none(), "the upper square stands before the lower one");
    assert!(seen(0.9, 0.9, 0.0).is_some(), "nothing stands before the lower square's corner");
    assert!(seen(0.0, 0.0, 6.0).is_none(), "what is behind the camera is not seen");
}

#[test]
fn what_no_photo_sees_has_the_colour_of_the_nearest_vertex() {
    let mesh = Mesh { colours: (0..8).map(|i| [10 * i, 5, 200 - i]).collect(), ..squares() };
    let unseen = Unseen::new(&mesh);
    for (position, colour) in mesh.positions.iter().zip(&mesh.colours) {
        let place = position.map(|x| x + 0.05);
        assert_eq!(unseen.colour(&Texel { index: 0, place, normal: [0.0, 0.0, 1.0] }), *colour, "at {position:?}");
    }
}

#[test]
fn photos_of_a_made_scene_come_back_from_its_texture() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options { width: 160, height: 120, views: Some(24), rgba: true, points: 200, ..Options::default() };
    write(SceneKind::StillLife, &options, folder.path(), false, &|_, _| {}).expect("a capture");
    let capture = Capture::open(folder.path()).expect("what was written");
    let mut mesh = read_mesh(folder.path().join("mesh.ply")).expect("its geometry").mesh;
    mesh = mesh.transformed(&capture.scene_from_world);
    mesh.compute_normals();
    mesh.colours.clear();
    let (frames, _) =
        FrameSet::split(&capture, &Split { test_every: 0, resolution: 0, image_cache_mb: 64 }).expect("photos");
    let textured = textured(&mesh, &frames, 1024, &mut |_, _| {}).expect("a texture");
    let picture = textured.materials[0].texture.as_ref().expect("a texture").decode(Path::new("texture")).expect("PNG");
    // Looked up where the mesh's own vertices are seen, the texture has the photo's colours.
    let frame = frames.load(0, 1).expect("a photo");
    let depth = DepthPicture::of(&frame.view, &mesh.positions, &mesh.triangles);
    let (mut sum, mut count) = (0.0, 0);
    let places = textured.positions.iter().zip(&textured.normals).zip(&textured.uvs);
    for ((position, normal), uv) in places.step_by(7) {
        let [place, normal] = [position, normal].map(|v| Vector3::from(v.map(f64::from)));
        let Some(seen) = depth.sees(&place, &normal) else { continue };
        let texel = uv.map(|x| ((x * 1024.0) as u32).min(1023));
        let photo = frame.pixels.image.pixel(seen.pixel[0] as u32, seen.pixel[1] as u32);
        if photo[3] < 255 {
            continue;
        }
        let shown = picture.pixel(texel[0], texel[1]);
        sum += (0..3).map(|k| f64::from(photo[k].abs_diff(shown[k]))).sum::<f64>() / 3.0;
        count += 1;
    }
    let mean = sum / f64::from(count);
    // A photo's pixel is some texels wide, and other photos have their own pixels: edges differ, areas do not.
    assert!(count > 500 && mean < 16.0, "{count} places differ by {mean} of 255 on average");
}
