//! What the viewer's shaders draw against the same fields asked on the processor, on whatever adapter is present; `.ci/run` installs a
//! software one.

use super::*;
use nalgebra::{Translation3, UnitQuaternion};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::format::Existing;
use tessera_engine::datasets::image::{Image8, decode, save_png};
use tessera_engine::meshing::Distances;
use tessera_engine::rays::SceneBox;
use tessera_engine::rbf::encoding::EncoderKind;
use tessera_engine::rbf::field::{DecoderKind, Tile};
use tessera_engine::rbf::image::{ImageConfig, fit, write_picture};
use tessera_engine::rbf::radiance::space::Space;
use tessera_engine::rbf::radiance::{RadianceConfig, RadiancePainter};
use tessera_engine::rbf::shape::{ShapeConfig, ShapePainter, Target};
use tessera_engine::render::Painter;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_viewer::renderer::{CropBox, Gpu, MeshData, MeshPart, Renderer, Style, View};

/// As in `shape.wgsl`.
const PIXEL_SHARE: f64 = 0.1;

static GO_ON: AtomicBool = AtomicBool::new(false);

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

/// Two pyramids on a common square of half diagonals 1 and 0.6, 0.8 high each, around (0, 0, 5): edges, corners and flat faces.
fn octahedron() -> Mesh {
    let positions =
        vec![[1.0, 0.0, 5.0], [-1.0, 0.0, 5.0], [0.0, 0.8, 5.0], [0.0, -0.8, 5.0], [0.0, 0.0, 5.6], [0.0, 0.0, 4.4]];
    let side = |a: u32, b: u32, c: u32, flip: bool| if flip { [a, c, b] } else { [a, b, c] };
    let signs = (0..8u32).map(|i| [i & 1, i >> 1 & 1, i >> 2]);
    let triangles = signs.map(|[x, y, z]| side(x, 2 + y, 4 + z, (x + y + z) % 2 == 1)).collect();
    Mesh { positions, triangles, ..Mesh::default() }
}

/// A fitted octahedron, as its file has it: features in half precision, as on the device.
fn shape(encoder: EncoderKind, decoder: DecoderKind, centres: usize, smooth: bool) -> Shape {
    let config = ShapeConfig {
        steps: 300,
        rate: 2e-2,
        batch: 4096,
        levels: 4,
        // Less than the finest level has corners, so that it hashes or repeats.
        most_entries: 8192,
        finest_resolution: 32,
        pool: 32_768,
        fresh: 512,
        encoder,
        decoder,
        centres,
        smooth,
        ..ShapeConfig::default()
    };
    let target = Target::new(&octahedron()).expect("a good mesh");
    let fitted = target.fit(&config, &GO_ON, &mut |_| {}).expect("good settings");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fitted.write(&folder.path().join("a.rbf"), Existing::Keep).expect("a folder that takes files")
}

fn scene(shape: &Shape) -> FieldScene {
    FieldScene::Shape(shape_data(shape, &outline(shape).expect("a surface")))
}

fn view() -> View {
    let camera = Camera::from_horizontal_fov(96, 72, 0.9);
    View { camera, camera_from_world: looking_at([1.1, 0.9, 2.4], [0.0, 0.0, 5.0], [0.0, 1.0, 0.0]) }
}

/// Distances in the world at places.
fn distances(shape: &Shape, places: &[[f64; 3]]) -> Vec<f64> {
    let (centre, side) = (shape.shape_box.centre, shape.shape_box.side);
    let in_cube = |p: &[f64; 3]| std::array::from_fn(|k| ((p[k] - centre[k]) / side + 0.5) as f32);
    let places: Vec<[f32; 3]> = places.iter().map(in_cube).collect();
    let mut out = Vec::new();
    shape.append(&mut Tile::default(), &places, &mut out);
    out.into_iter().map(|distance| side * f64::from(distance)).collect()
}

/// Where the ray through a pixel's middle is at a depth.
fn along(view: &View, [x, y]: [u32; 2], z: f64) -> [f64; 3] {
    let lens = &view.camera.lens;
    let at = |axis: usize, pixel: u32| z * (f64::from(pixel) + 0.5 - lens.centre[axis]) / lens.focal[axis];
    (view.camera_from_world.inverse() * nalgebra::Point3::new(at(0, x), at(1, y), z)).coords.into()
}

const NEAR: f64 = 0.5;
const STEP: f64 = 2e-3;

/// Many depths along the ray through a pixel at which it is in the shape's cube, and the distances there.
fn sampled(shape: &Shape, view: &View, pixel: [u32; 2]) -> (Vec<f64>, Vec<f64>) {
    let at = |z: f64| along(view, pixel, z);
    let depths: Vec<f64> = (0..2500).map(|i| NEAR + STEP * f64::from(i)).filter(|&z| inside(shape, at(z))).collect();
    let places: Vec<_> = depths.iter().map(|&z| at(z)).collect();
    let found = distances(shape, &places);
    (depths, found)
}

/// The depth at which the ray through a pixel first enters the shape within its cube, by many small steps and then by halves.
fn depth(shape: &Shape, view: &View, pixel: [u32; 2]) -> Option<f64> {
    let (depths, found) = sampled(shape, view, pixel);
    let first = found.iter().position(|&d| d < 0.0)?;
    let (mut outside, mut within) = (depths[first] - STEP, depths[first]);
    for _ in 0..20 {
        let middle = 0.5 * (outside + within);
        if distances(shape, &[along(view, pixel, middle)])[0] < 0.0 { within = middle } else { outside = middle }
    }
    Some(within)
}

/// Whether the ray through a pixel passes the surface as closely as counts as meeting it.
fn grazes(shape: &Shape, view: &View, pixel: [u32; 2]) -> bool {
    let (depths, found) = sampled(shape, view, pixel);
    depths.iter().zip(found).any(|(z, distance)| distance < PIXEL_SHARE * z / view.camera.lens.focal[0])
}

/// Whether a place lies in the cube.
fn inside(shape: &Shape, place: [f64; 3]) -> bool {
    let (centre, side) = (shape.shape_box.centre, shape.shape_box.side);
    (0..3).all(|k| (place[k] - centre[k]).abs() <= 0.5 * side)
}

/// How bright the surface at a place is, by differences over half a cell of the finest grid, which is more than half a pixel here.
fn brightness(shape: &Shape, view: &View, place: [f64; 3]) -> f64 {
    let finest = shape.field.grid.levels().iter().map(|level| level.scale).fold(0.0, f32::max);
    let h = 0.5 * shape.shape_box.side / f64::from(finest);
    let corners = [[-1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]];
    let places = corners.map(|signs: [f64; 3]| std::array::from_fn(|k| place[k] + h * signs[k]));
    let found = distances(shape, &places);
    let sum = |k: usize| (0..4).map(|i| corners[i][k] * found[i]).sum::<f64>();
    let normal = nalgebra::Vector3::new(sum(0), sum(1), sum(2));
    let towards = view.camera_from_world.inverse().translation.vector - nalgebra::Vector3::from(place);
    0.25 + 0.75 * normal.normalize().dot(&towards.normalize()).abs()
}

/// Every kind of grid, interpolation and decoder is drawn where the processor finds it.
///
/// A ray's end lies within a tenth of a pixel's width or a fiftieth of a cell of the finest grid of the surface (`shape.wgsl`), measured across the
/// surface, and a straight line through the last two distances brings it nearer; so depths agree within a pixel's width and a half but where the surface is
/// seen from its side. Brightness differs by rounding, a quarter of a step on average, and by what a tenth of a pixel changes it: little on
/// faces, much along edges and where a short fit left the surface rough, so half of the pixels are held to one step. Where the processor's ray passes by,
/// the drawn one may only have met what it passed within that tenth; and one pixel in two hundred may miss a part that is thinner than a step.
#[test]
fn shapes_are_traced_where_the_processor_finds_them() {
    let Some(mut renderer) = renderer() else { return };
    let view = view();
    let kinds = [
        (EncoderKind::Factor, DecoderKind::Rbf, 32, false),
        // So many that the shader has a loop over them.
        (EncoderKind::Hash, DecoderKind::Rbf, 256, true),
        (EncoderKind::Hash, DecoderKind::Network, 32, false),
    ];
    for kind in kinds {
        let shape = shape(kind.0, kind.1, kind.2, kind.3);
        let id = renderer.add_field(&scene(&shape)).expect("a field that fits");
        let picture = renderer.picture(&view, &Style { background: [0.0; 3], ..Style::default() }).expect("a picture");
        let (mut others, mut apart, mut errors, mut seen) = (0, 0, Vec::new(), 0);
        for (x, y) in (0..view.camera.height).flat_map(|y| (0..view.camera.width).map(move |x| (x, y))) {
            let drawn = picture.rgb[3 * (y * view.camera.width + x) as usize];
            let Some(z) = depth(&shape, &view, [x, y]) else {
                others += usize::from(drawn > 0 && !grazes(&shape, &view, [x, y]));
                continue;
            };
            if drawn == 0 {
                others += 1;
                continue;
            }
            seen += 1;
            errors.push((f64::from(drawn) - 255.0 * brightness(&shape, &view, along(&view, [x, y], z))).abs());
            if x % 6 == 0 && y % 6 == 0 {
                let pick = renderer.pick(&view, [x as f32 + 0.5, y as f32 + 0.5]).expect("a device");
                let pixel = z / view.camera.lens.focal[0];
                apart += usize::from(pick.is_none_or(|pick| (pick.depth - z).abs() > 1.5 * pixel));
            }
        }
        errors.sort_by(f64::total_cmp);
        let half = errors[errors.len() / 2];
        println!("{kind:?}: {seen} pixels, {others} differ in outline, {apart} apart, brightness by {half:.3}");
        assert!(seen > 1000, "{kind:?}: only {seen} pixels of 6912 show the shape");
        assert!(others <= seen / 200, "{kind:?}: the outline differs in {others} pixels");
        assert!(apart <= 2, "{kind:?}: {apart} picked depths are more than a pixel and a half apart");
        assert!(half < 1.0, "{kind:?}: brightness differs by {half} of 255 steps or more in half of the pixels");
        renderer.remove_field(id);
        let empty = renderer.picture(&view, &Style { background: [0.0; 3], ..Style::default() }).expect("a picture");
        assert!(empty.rgb.iter().all(|&byte| byte == 0), "a shape that was removed is not drawn");
    }
}

#[test]
fn shapes_hide_and_are_hidden_cut_and_entered() {
    let Some(mut renderer) = renderer() else { return };
    let shape = shape(EncoderKind::Factor, DecoderKind::Rbf, 32, false);
    renderer.add_field(&scene(&shape)).expect("a field that fits");
    let style = Style { background: [0.0; 3], ..Style::default() };
    let camera = Camera::from_horizontal_fov(64, 64, 0.9);
    let straight = View { camera, camera_from_world: looking_at([0.0, 0.0, 2.0], [0.0, 0.0, 5.0], [0.0, -1.0, 0.0]) };
    let middle = |renderer: &mut Renderer, view: &View, style: &Style| {
        let picture = renderer.picture(view, style).expect("a picture");
        let at = 3 * (32 * 64 + 32);
        [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
    };
    let is_grey = |[r, g, b]: [u8; 3]| r > 60 && r == g && g == b;
    let is_blue = |[r, g, b]: [u8; 3]| r == 0 && g == 0 && b > 60;
    for (z, hides) in [(4.0, true), (6.0, false)] {
        let half = 0.3;
        let wall = MeshData {
            positions: vec![[-half, -half, z], [half, -half, z], [-half, half, z], [half, half, z]],
            colours: vec![[0, 0, 255]; 4],
            parts: vec![MeshPart { triangles: vec![[0, 1, 2], [2, 1, 3]], ..MeshPart::default() }],
            ..MeshData::default()
        };
        let id = renderer.add_mesh(&wall).expect("a mesh");
        let found = middle(&mut renderer, &straight, &style);
        assert!(if hides { is_blue(found) } else { is_grey(found) }, "with a wall at {z}: {found:?}");
        renderer.remove_mesh(id);
    }
    // Half of it is cut away, and its inside is seen in another colour; the camera inside the cube, outside of the solid.
    let half = Style { crop: Some(CropBox::aligned([-9.0, -9.0, 5.1], [9.0; 3])), ..style };
    let cut = middle(&mut renderer, &straight, &half);
    assert!(cut[0] > cut[2] + 60, "a cut has a colour of its own: {cut:?}");
    let found = renderer.pick(&straight, [32.5, 32.5]).expect("a device").expect("something is there");
    assert!((found.depth - 3.1).abs() < 1e-3, "the cut is where the box begins: {found:?}");
    let near = View { camera, camera_from_world: looking_at([0.6, 0.6, 4.5], [0.0, 0.0, 5.0], [0.0, -1.0, 0.0]) };
    assert!(inside(&shape, [0.6, 0.6, 4.5]), "this is about a camera in the cube");
    assert!(is_grey(middle(&mut renderer, &near, &style)), "from within the cube");
    let depth = Style { depth: Some(6.0), ..style };
    let [grey, ..] = middle(&mut renderer, &straight, &depth);
    // The tip is rounded off by less than two cells of 1/32.
    assert!((f64::from(grey) / 255.0 * 6.0 - 2.4).abs() < 0.15, "the depth of the tip: {grey}");
}

/// A fitted picture of several tiles and what `render` draws of it.
fn fitted_picture(folder: &TempDir) -> (PictureData, Image8) {
    let [input, fitted, drawn] = ["in.png", "out.rbf", "drawn.png"].map(|name| folder.path().join(name));
    let (width, height) = (90, 70);
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [(2 * x) as u8, (3 * y) as u8, if (x / 8 + y / 8) % 2 == 0 { 40 } else { 200 }]
    };
    let data = (0..width * height).flat_map(pixel).collect();
    save_png(&input, &Image8 { width, height, channels: 3, data }).expect("a picture");
    let config = ImageConfig { steps: 300, tile: 64, batch: 2048, ..ImageConfig::default() };
    let out = (fitted.as_path(), Existing::Keep);
    fit(&input, None, &config, out, &GO_ON, &mut |_| {}).expect("a fit");
    let mut file = RbfFile::open(&fitted).expect("a good file");
    write_picture(&mut file, (&drawn, Existing::Keep), false, &mut |_, _| {}).expect("a picture");
    let FieldScene::Picture(picture) = read(&mut file, &fitted).expect("a good file").scene else {
        panic!("it is a picture")
    };
    (picture, decode(&std::fs::read(&drawn).expect("a file"), &drawn).expect("a picture"))
}

/// Where pixels of picture and screen are equally large they are the same, but for rounding: one step where the processor's sums lie near the
/// middle between two bytes.
#[test]
fn pictures_are_what_render_draws_pixel_by_pixel() {
    let Some(mut renderer) = renderer() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (picture, expected) = fitted_picture(&folder);
    let [width, height] = picture.size;
    let mut camera = Camera::from_horizontal_fov(width, height, 0.9);
    camera.lens.focal = [f64::from(height); 2];
    let view = View { camera, camera_from_world: looking_at([0.0, 0.0, 1.0], [0.0; 3], [0.0, 1.0, 0.0]) };
    renderer.add_field(&FieldScene::Picture(picture)).expect("a picture that fits");
    let found = renderer.picture(&view, &Style::default()).expect("a picture");
    let most = found.rgb.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(1), "the pictures differ by {most:?} steps");
}

#[test]
fn fields_that_contradict_themselves_are_refused() {
    let Some(mut renderer) = renderer() else { return };
    let FieldScene::Shape(good) = scene(&shape(EncoderKind::Hash, DecoderKind::Rbf, 32, false)) else {
        panic!("a shape")
    };
    let mut short = good.clone();
    short.field.table.pop();
    let mut flat = good.clone();
    flat.field.dimensions = 2;
    let mut empty = good;
    empty.side = 0.0;
    for (what, shape) in [("a table too short", short), ("two dimensions", flat), ("no size", empty)] {
        let refused = renderer.add_field(&FieldScene::Shape(shape)).expect_err(what).to_string();
        assert!(refused.starts_with("the scene cannot be shown"), "{what}: {refused}");
    }
}
/// Radiance of random numbers in a box that is turned, moved and scaled, where a part of the cells is empty.
fn radiance(unbounded: bool, degree: u8, decoder: DecoderKind) -> Radiance {
    let config = RadianceConfig {
        sh_degree: degree,
        levels: 4,
        most_entries: 4096,
        finest_resolution: 32,
        centres: 16,
        ray_steps: 256,
        occupancy_resolution: 16,
        decoder,
        ..RadianceConfig::default()
    };
    let grid = config.encoding().grid();
    let decoder = AnyDecoder::new(decoder, grid.width(), config.centres, config.outputs());
    let mut parameters: Vec<f32> = noise(decoder.parameters(), 0.4).collect();
    if let AnyDecoder::Rbf(of) = &decoder {
        noise(parameters.len(), 1.0).zip(&mut parameters).for_each(|(value, parameter)| *parameter = value);
        parameters[of.log_precisions()].fill(-1.0);
        parameters[of.weights()].iter_mut().for_each(|weight| *weight *= 3.0);
    }
    let table = noise(2 * grid.entries(), 1.0).collect();
    let field = Field { grid, table, kernels: None, decoder, parameters };
    let mut occupancy = OccupancyGrid::empty(16);
    (0..16 * 16 * 16).filter(|cell| (cell / 7 + cell / 256) % 3 > 0).for_each(|cell| occupancy.set(cell));
    let scene_box = SceneBox { corners: [[-1.0, -0.6, -1.0], [1.0, 0.8, 1.0]] };
    let space = Space::new(scene_box, !unbounded, &config);
    let turn = UnitQuaternion::from_euler_angles(0.3, -0.5, 0.9);
    let scene_from_world = Similarity::from_parts(Translation3::new(0.2, -0.1, 0.3), turn, 0.7);
    let radiance = Radiance { field, occupancy, space, scene_from_world, config };
    // Features in half precision, as on the device.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.rbf");
    radiance.write(&path, Existing::Keep).expect("a folder that takes files");
    Radiance::read(&mut RbfFile::open(&path).expect("a good file")).expect("radiance")
}

/// So many numbers within `range` of zero, the same every time.
fn noise(count: usize, range: f32) -> impl Iterator<Item = f32> {
    let mut state = 1u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        range * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    })
}

/// The processor's painter has four rays for a pixel, so the device draws a picture of twice the size. Rays of both end within a tenth of a ray's
/// width of the surface, by other steps: along edges that changes the slope and with it the brightness, on faces next to nothing.
#[test]
fn shapes_are_painted_as_the_device_draws_them() {
    let Some(mut renderer) = renderer() else { return };
    let shape = shape(EncoderKind::Hash, DecoderKind::Rbf, 32, false);
    let (background, view) = ([0.1, 0.5, 0.9], view());
    let mut painter = ShapePainter::new(&shape, background);
    let placed = painter.view(&view.camera, &view.camera_from_world).expect("a possible size");
    let scaling = painter.scene_from_world().scaling();
    let drawn = painter.draw(&placed, true);
    renderer.add_field(&scene(&shape)).expect("a field that fits");
    let [width, height] = [view.camera.width, view.camera.height].map(|side| side as usize);
    let fine = View { camera: view.camera.resized(2 * width as u32, 2 * height as u32), ..view };
    let picture = renderer.picture(&fine, &Style { background, ..Style::default() }).expect("a picture");
    let byte = |x: usize, y: usize| f32::from(picture.rgb[3 * (y * 2 * width + x)]);
    let mut errors = Vec::new();
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let device =
            [[0, 0], [1, 0], [0, 1], [1, 1]].map(|[i, j]| byte(2 * x + i, 2 * y + j)).iter().sum::<f32>() / 4.0;
        errors.push((device - 255.0 * drawn.rgb[y * width + x]).abs());
    }
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    let hidden = drawn.transmittance.iter().filter(|t| **t < 0.5).count();
    println!("{hidden} pixels show the shape, which differ by {mean:.3} of 255 steps on average");
    assert!(hidden > 1000, "only {hidden} pixels show the shape");
    assert!(mean < 1.0, "brightness differs by {mean} of 255 steps on average");
    let found = f64::from(drawn.median_depth[height / 2 * width + width / 2]);
    let found = found / scaling;
    let expected = depth(&shape, &view, [width as u32 / 2, height as u32 / 2]).expect("the shape is in the middle");
    assert!(
        (found - expected).abs() < 1.5 * expected / view.camera.lens.focal[0],
        "depth {found} instead of {expected}"
    );
}

/// Colours of rays are sums in half precision on the device (a rounding of 2^-12 of a step of 255 for what is added once, as radiance is)
/// and bytes in the end: a quarter of a step on average. Single samples fall into one cell or its neighbour by rounding, which changes a ray
/// by what one sample hides.
#[test]
fn radiance_is_looked_through_as_the_processor_does() {
    let Some(mut renderer) = renderer() else { return };
    let kinds = [(false, 2, DecoderKind::Rbf), (true, 2, DecoderKind::Rbf), (false, 0, DecoderKind::Network)];
    for kind in kinds {
        let radiance = radiance(kind.0, kind.1, kind.2);
        let background = [0.1, 0.5, 0.9];
        let camera = Camera::from_horizontal_fov(96, 72, 0.9);
        let eye = if kind.0 { [0.1, 0.0, -0.4] } else { [0.4, 0.9, -4.0] };
        let camera_from_world = looking_at(eye, [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
        let mut painter = RadiancePainter::new(&radiance, background);
        let placed = painter.view(&camera, &camera_from_world).expect("a possible size");
        let drawn = painter.draw(&placed, false);
        let scene = FieldScene::Volume(volume_data(&radiance, [[-1.0; 3], [1.0; 3]]));
        let id = renderer.add_field(&scene).expect("a field that fits");
        let style = Style { background, near: 1e-4, ..Style::default() };
        let view = View { camera, camera_from_world };
        let picture = renderer.picture(&view, &style).expect("a picture");
        let pixels = 96 * 72;
        let expected = |i: usize| 255.0 * drawn.rgb[i % 3 * pixels + i / 3];
        let mut errors: Vec<f32> =
            picture.rgb.iter().enumerate().map(|(i, b)| (f32::from(*b) - expected(i)).abs()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        errors.sort_by(f32::total_cmp);
        let most = errors[errors.len() * 99 / 100];
        let hidden = drawn.transmittance.iter().filter(|t| **t < 0.5).count();
        println!("{kind:?}: mean {mean:.3}, {most:.3} in a hundredth, {hidden} of {pixels} hide the background");
        // Without bounds every ray ends in something.
        assert!(hidden > pixels / 20 && (kind.0 || hidden < pixels * 99 / 100), "{kind:?}: {hidden} pixels are hidden");
        assert!(
            mean < 0.6 && most < 4.0,
            "{kind:?}: differs by {mean} of 255 steps on average, by {most} in a hundredth"
        );
        let middle = [48.5, 36.5];
        let pick = renderer.pick(&view, middle).expect("a device");
        let depth = drawn.median_depth[36 * 96 + 48];
        let expected = (depth > 0.0).then(|| f64::from(depth) / radiance.scene_from_world.scaling());
        let agrees = match (pick, expected) {
            // Within two steps.
            (Some(pick), Some(z)) => (pick.depth - z).abs() < 2.0 * f64::from(radiance.space.step) / 0.7,
            (None, None) => true,
            _ => false,
        };
        assert!(agrees, "{kind:?}: {pick:?} is picked instead of {expected:?}");
        renderer.remove_field(id);
    }
}
