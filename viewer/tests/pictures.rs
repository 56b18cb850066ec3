//! What pictures show, on whatever adapter is present; `.ci/run` installs a software one. Scenes are a few made splats
//! whose picture is known without looking.

use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::scene::SplatCloud;
use tessera_viewer::renderer::{CropBox, Gpu, MeshData, MeshPart, Page, Picture, Renderer, Style, View};

/// A renderer, or none with a remark where there is no adapter.
fn renderer() -> Option<Renderer> {
    match Gpu::headless() {
        Ok(gpu) => Some(Renderer::new(&gpu)),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Looks along z from the origin; 64 x 64 pixels.
fn view() -> View {
    View { camera: Camera::from_horizontal_fov(64, 64, 0.9), camera_from_world: Pose::identity() }
}

/// Round, nearly opaque splats with a centre, a radius and a colour each.
fn cloud(splats: &[([f32; 3], f32, [f32; 3])]) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(splats.len(), 0);
    for &(mean, radius, colour) in splats {
        cloud.means.push(mean);
        cloud.log_scales.push([radius.ln(); 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(8.0);
        cloud.sh0.push(colour.map(|c| (c - 0.5) / 0.282_094_8));
    }
    cloud
}

fn page(splats: &[([f32; 3], f32, [f32; 3])]) -> Page {
    Page::of_cloud(&cloud(splats), 0..splats.len()).unwrap()
}

fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    let at = 3 * (y * picture.width + x) as usize;
    [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
}

/// What a splat of [`cloud`] on the axis covers of a pixel: a Gaussian, widened by the low-pass filter of 0.3 pixels.
fn opacity_at(pixel: [u32; 2], z: f64, radius: f64) -> f64 {
    let focal = 32.0 / 0.45f64.tan();
    let squared: f64 = pixel.iter().map(|&p| (f64::from(p) + 0.5 - 32.0).powi(2)).sum();
    (-0.5 * squared / ((focal * radius / z).powi(2) + 0.3)).exp() / (1.0 + (-8.0f64).exp())
}

/// Whether a colour is the one expected, within 3 of 255: half-precision sums and 8-bit rounding.
fn is(found: [u8; 3], expected: [u8; 3]) -> bool {
    (0..3).all(|k| found[k].abs_diff(expected[k]) <= 3)
}

const RED: [f32; 3] = [1.0, 0.0, 0.0];
const GREEN: [f32; 3] = [0.0, 1.0, 0.0];
const BLUE: [f32; 3] = [0.0, 0.0, 1.0];

/// A square of one colour across the view at a depth, without light: its vertices are coloured and it faces the camera.
fn wall(z: f32, half: f32, colour: [u8; 3]) -> MeshData {
    MeshData {
        positions: vec![[-half, -half, z], [half, -half, z], [-half, half, z], [half, half, z]],
        colours: vec![colour; 4],
        parts: vec![MeshPart { triangles: vec![[0, 1, 2], [2, 1, 3]], ..MeshPart::default() }],
        ..MeshData::default()
    }
}

#[test]
fn an_empty_scene_is_background() {
    let Some(mut renderer) = renderer() else { return };
    let style = Style { background: [0.2, 0.4, 0.6], ..Style::default() };
    let picture = renderer.picture(&view(), &style).unwrap();
    assert!(picture.rgb.chunks_exact(3).all(|p| is([p[0], p[1], p[2]], [51, 102, 153])));
}

#[test]
fn near_splats_cover_far_ones_whatever_their_order_in_the_file() {
    let Some(mut renderer) = renderer() else { return };
    let (far, near) = (([0.0, 0.0, 4.0], 0.5, RED), ([0.0, 0.0, 2.0], 0.15, GREEN));
    for splats in [[far, near], [near, far]] {
        let id = renderer.add_page(&page(&splats)).unwrap();
        let picture = renderer.picture(&view(), &Style::default()).unwrap();
        assert!(is(pixel(&picture, 32, 32), [0, 255, 0]), "{:?}", pixel(&picture, 32, 32));
        // The far one is seen through the near one's edge.
        let [through, over] = [(4.0, 0.5), (2.0, 0.15)].map(|(z, radius)| opacity_at([20, 32], z, radius));
        let expected = [through * (1.0 - over), over, 0.0].map(|v| (255.0 * v).round() as u8);
        assert!(is(pixel(&picture, 20, 32), expected), "{:?} instead of {expected:?}", pixel(&picture, 20, 32));
        renderer.remove_page(id);
    }
}

#[test]
fn pages_come_and_go() {
    let Some(mut renderer) = renderer() else { return };
    let red = renderer.add_page(&page(&[([0.0, 0.0, 3.0], 0.5, RED)])).unwrap();
    let green = renderer.add_page(&page(&[([0.0, 0.0, 2.0], 0.5, GREEN)])).unwrap();
    let middle = |renderer: &mut Renderer| pixel(&renderer.picture(&view(), &Style::default()).unwrap(), 32, 32);
    assert!(is(middle(&mut renderer), [0, 255, 0]));
    renderer.set_visible(green, false);
    assert!(is(middle(&mut renderer), [255, 0, 0]));
    renderer.remove_page(red);
    assert!(is(middle(&mut renderer), [0, 0, 0]));
    renderer.set_visible(green, true);
    assert!(is(middle(&mut renderer), [0, 255, 0]));
    let blue = renderer.add_page(&page(&[([0.0, 0.0, 1.0], 0.5, BLUE)])).unwrap();
    assert!(is(middle(&mut renderer), [0, 0, 255]), "the place of the removed page is used again");
    renderer.set_marks(blue, &[1], &[]);
    assert!(is(middle(&mut renderer), [0, 255, 0]), "a deleted splat is not drawn");
    assert_eq!(renderer.load().splats, 2);
}

#[test]
fn selected_splats_are_highlighted() {
    let Some(mut renderer) = renderer() else { return };
    let id = renderer.add_page(&page(&[([0.0, 0.0, 3.0], 0.5, BLUE)])).unwrap();
    renderer.set_marks(id, &[], &[1]);
    let style = Style { highlight: (GREEN, 1.0), ..Style::default() };
    assert!(is(pixel(&renderer.picture(&view(), &style).unwrap(), 32, 32), [0, 255, 0]));
}

#[test]
fn meshes_and_splats_hide_each_other() {
    let Some(mut renderer) = renderer() else { return };
    renderer.add_page(&page(&[([0.0, 0.0, 3.0], 0.2, RED)])).unwrap();
    for (z, expected) in [(4.0, [255, 0, 0]), (2.0, [0, 0, 255])] {
        let mesh = renderer.add_mesh(&wall(z, 0.3, [0, 0, 255])).unwrap();
        let picture = renderer.picture(&view(), &Style::default()).unwrap();
        assert!(is(pixel(&picture, 32, 32), expected), "wall at {z}: {:?}", pixel(&picture, 32, 32));
        renderer.remove_mesh(mesh);
    }
}

#[test]
fn edges_of_meshes_are_smooth_and_picked_where_they_are_shown() {
    let Some(mut renderer) = renderer() else { return };
    // Its left edge runs through the middle of the 39th column.
    let edge = (7.5 / 32.0 * 0.45f64.tan() * 2.0) as f32;
    let mut mesh = wall(2.0, 0.3, [255; 3]);
    mesh.positions[0][0] = edge;
    mesh.positions[2][0] = edge;
    renderer.add_mesh(&mesh).unwrap();
    let picture = renderer.picture(&view(), &Style::default()).unwrap();
    let [beside, on, inside] = [38, 39, 40].map(|x| pixel(&picture, x, 32)[0]);
    assert!(beside == 0 && inside > 250, "beside the edge {beside}, within {inside}");
    assert!(on.abs_diff(inside / 2) <= 1, "the edge covers half of a pixel, which has {on} of {inside}");
    let found = renderer.pick(&view(), [41.0, 32.0]).unwrap().expect("the mesh is there");
    assert!((found.depth - 2.0).abs() < 1e-4 && (found.point[0] - 9.0 / 32.0 * 0.45f64.tan() * 2.0).abs() < 1e-6);
    assert_eq!(renderer.pick(&view(), [38.0, 32.0]).unwrap(), None);
}

#[test]
fn points_are_squares_of_the_size_asked_for() {
    let Some(mut renderer) = renderer() else { return };
    let points = MeshData {
        positions: vec![[0.0, 0.0, 2.0], [0.5, 0.0, -2.0]],
        colours: vec![[255, 0, 0]; 2],
        ..MeshData::default()
    };
    renderer.add_mesh(&points).unwrap();
    let picture = renderer.picture(&view(), &Style { point_size: 6.0, ..Style::default() }).unwrap();
    assert_eq!(picture.rgb.chunks_exact(3).filter(|p| p[0] > 200).count(), 36, "one of the points lies behind");
}

#[test]
fn the_crop_box_cuts_splats_and_meshes() {
    let Some(mut renderer) = renderer() else { return };
    renderer.add_page(&page(&[([-0.4, 0.0, 2.0], 0.2, RED), ([0.4, 0.0, 2.0], 0.2, GREEN)])).unwrap();
    renderer.add_mesh(&wall(3.0, 2.0, [0, 0, 255])).unwrap();
    let crop = CropBox::aligned([0.0, -1.0, 1.0], [1.0, 1.0, 4.0]);
    let picture = renderer.picture(&view(), &Style { crop: Some(crop), ..Style::default() }).unwrap();
    let column = |x: f32| (32.0 + x * 32.0 / (0.45f32).tan()) as u32;
    assert!(is(pixel(&picture, column(-0.2), 32), [0, 0, 0]), "outside nothing is left");
    assert!(is(pixel(&picture, column(0.2), 32), [0, 255, 0]));
    let [_, _, blue] = pixel(&picture, column(0.2), 10);
    assert!(blue > 150, "inside, the wall is there");
}

#[test]
fn picking_finds_the_splat_or_surface_and_its_place() {
    let Some(mut renderer) = renderer() else { return };
    renderer.add_page(&page(&[([0.0, 0.0, 5.0], 0.5, BLUE)])).unwrap();
    let id = renderer.add_page(&page(&[([-0.5, 0.0, 3.0], 0.1, RED), ([0.0, 0.0, 3.0], 0.1, GREEN)])).unwrap();
    renderer.picture(&view(), &Style::default()).unwrap();
    let found = renderer.pick(&view(), [32.0, 32.0]).unwrap().unwrap();
    assert_eq!(found.splat, Some((id, 1)));
    assert!((found.depth - 3.0).abs() < 1e-4 && found.point[0].abs() < 1e-6);
    assert_eq!(renderer.pick(&view(), [2.0, 2.0]).unwrap(), None);
    assert_eq!(renderer.pick(&view(), [-5.0, 900.0]).unwrap(), None);
    renderer.add_mesh(&wall(2.0, 0.2, [9, 9, 9])).unwrap();
    renderer.picture(&view(), &Style::default()).unwrap();
    let found = renderer.pick(&view(), [32.5, 32.5]).unwrap().unwrap();
    assert!(found.splat.is_none() && (found.depth - 2.0).abs() < 1e-4);
}

#[test]
fn depth_is_shown_as_grey() {
    let Some(mut renderer) = renderer() else { return };
    renderer.add_page(&page(&[([0.0, 0.0, 2.0], 0.5, RED)])).unwrap();
    let picture = renderer.picture(&view(), &Style { depth: Some(4.0), ..Style::default() }).unwrap();
    assert!(is(pixel(&picture, 32, 32), [127, 127, 127]), "{:?}", pixel(&picture, 32, 32));
}

#[test]
fn memory_has_a_budget_and_sizes_a_limit() {
    let Some(mut renderer) = renderer() else { return };
    renderer.set_memory_budget(1 << 20);
    let error = renderer.add_page(&page(&[([0.0; 3], 1.0, RED); 40_000])).unwrap_err().to_string();
    assert!(error.contains("no room for more splats"), "{error}");
    renderer.add_page(&page(&[([0.0; 3], 1.0, RED); 100])).unwrap();
    let huge = View { camera: Camera::from_horizontal_fov(1 << 20, 4, 0.9), camera_from_world: Pose::identity() };
    let error = renderer.picture(&huge, &Style::default()).unwrap_err().to_string();
    assert!(error.contains("cannot be made"), "{error}");
}

#[test]
fn splats_that_are_no_numbers_are_left_out() {
    let Some(mut renderer) = renderer() else { return };
    let mut broken = cloud(&[([0.0, 0.0, 2.0], 0.5, GREEN), ([f32::NAN; 3], 0.5, RED), ([0.0, 0.0, 1.0], 0.5, RED)]);
    broken.opacity_logits[2] = f32::NAN;
    renderer.add_page(&Page::of_cloud(&broken, 0..3).unwrap()).unwrap();
    assert!(is(pixel(&renderer.picture(&view(), &Style::default()).unwrap(), 32, 32), [0, 255, 0]));
}
