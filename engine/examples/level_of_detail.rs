//! What a splat budget costs: pictures of the cuts of a streamed scene against pictures of the scene itself.
//!
//!     cargo run --release -p tessera-engine --example level_of_detail -- SCENE OUT
//!
//! For each budget the mean and the worst PSNR over views around the scene and near it, and how much brightness and
//! coverage changed: shrinking and darkening would show there. OUT gets the streamed scene and pictures.

use nalgebra::{Point3, Translation3};
use std::error::Error;
use std::path::Path;
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::format::{read_splats, tiles, write_splats};
use tessera_datasets::image;
use tessera_datasets::scene::tile_tree::{CutLimits, LodView, cut};
use tessera_datasets::scene::{Bulk, SplatCloud, camera_from_scene};
use tessera_engine::metrics::{psnr, quantise};
use tessera_engine::render::{Painter, SplatPainter, beside, from_planes, orbit, scene_of_cloud};

const SIZE: [u32; 2] = [960, 540];
/// Budgets as shares of the scene's splats.
const SHARES: [f64; 7] = [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625];

struct Shot {
    camera: Camera,
    camera_from_world: Pose,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scene, out] = arguments.as_slice() else { return Err("usage: level_of_detail SCENE OUT".into()) };
    std::fs::create_dir_all(out)?;
    let full = read_splats(scene)?;
    let tree = Path::new(out).join("scene.tiles");
    write_splats(&tree, &full, true)?;
    let manifest = tiles::open_manifest(&tree)?;
    let mut files = tiles::PageFiles::beside(&tree);
    let mut pages = Vec::new();
    for node in 0..manifest.tree.len() as u32 {
        pages.push(manifest.decode_page(node, &files.read(&manifest, node)?)?);
    }
    let shots = shots(&full);
    let originals: Vec<Picture> = shots.iter().map(|shot| Picture::of(&full, &full, shot)).collect::<Result<_, _>>()?;
    for (name, screen_error) in [("budget alone", 0.0), ("errors of a pixel", 1.0)] {
        println!("{name}\nsplats allowed | drawn, mean | PSNR, mean | PSNR, worst | brightness | coverage");
        let mut rows: Vec<Vec<image::Image8>> = vec![Vec::new(); shots.len()];
        for share in SHARES {
            let splats = (full.len() as f64 * share) as u64;
            let limits = CutLimits { splats, screen_error };
            let (mut drawn, mut sum, mut worst) = (0, 0.0, f64::INFINITY);
            let (mut brightness, mut coverage) = (0.0, 0.0);
            for ((shot, original), row) in shots.iter().zip(&originals).zip(&mut rows) {
                let pose = camera_from_scene(&manifest.header.scene_from_world, &shot.camera_from_world);
                let size = SIZE.map(f64::from);
                let nodes = cut(&manifest.tree, &LodView::new(&pose, shot.camera.lens.focal, size), &limits);
                let mut cloud = manifest.header.empty_cloud(0);
                nodes.iter().for_each(|&node| cloud.append(&pages[node as usize]));
                drawn += cloud.len();
                let picture = Picture::of(&cloud, &full, shot)?;
                let value = psnr(&picture.rgb, &original.rgb, None);
                (sum, worst) = (sum + value, worst.min(value));
                brightness += picture.brightness / original.brightness;
                coverage += picture.coverage / original.coverage;
                row.push(from_planes(&picture.rgb, SIZE[0] as usize, SIZE[1] as usize));
            }
            let n = shots.len() as f64;
            println!(
                "{splats} | {:.0} | {:.2} | {worst:.2} | {:.4} | {:.4}",
                drawn as f64 / n,
                sum / n,
                brightness / n,
                coverage / n
            );
        }
        if screen_error == 0.0 {
            for (i, row) in rows.iter().enumerate() {
                let original = from_planes(&originals[i].rgb, SIZE[0] as usize, SIZE[1] as usize);
                let all: Vec<_> = std::iter::once(original).chain(row.iter().skip(1).step_by(2).cloned()).collect();
                image::save_png(Path::new(out).join(format!("view{i}.png")), &beside(&all))?;
            }
        }
    }
    Ok(())
}

/// Around the scene, and from within a third of that distance.
fn shots(cloud: &SplatCloud) -> Vec<Shot> {
    let around = orbit(cloud, 4, SIZE);
    let centre = cloud.scene_from_world.inverse() * Point3::from(Bulk::of(&cloud.means).centre);
    let near = |pose: &Pose| {
        // Nearer to the centre along the line to it.
        let eye = pose.inverse() * Point3::origin();
        let moved = centre + (eye - centre) * 0.35;
        Pose::from_parts(Translation3::from(-(pose.rotation * moved.coords)), pose.rotation)
    };
    let far = around.iter().map(|c| Shot { camera: c.camera, camera_from_world: c.camera_from_world });
    let near = around.iter().map(|c| Shot { camera: c.camera, camera_from_world: near(&c.camera_from_world) });
    far.chain(near).collect()
}

struct Picture {
    rgb: Vec<f32>,
    brightness: f64,
    coverage: f64,
}

impl Picture {
    /// Of a cloud in the coordinates that suit `whole`.
    fn of(cloud: &SplatCloud, whole: &SplatCloud, shot: &Shot) -> Result<Self, Box<dyn Error>> {
        let mut painter = SplatPainter::new(cloud, &scene_of_cloud(whole), [0.0; 3]);
        let view = painter.view(&shot.camera, &shot.camera_from_world)?;
        let rendering = painter.paint(&view);
        let mut rgb = rendering.rgb.clone();
        quantise(&mut rgb);
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let brightness = mean(&rgb);
        Ok(Self { rgb, brightness, coverage: 1.0 - mean(&rendering.transmittance) })
    }
}
