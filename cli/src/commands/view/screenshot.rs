//! One picture without a window.

use super::content::Opened;
use crate::args::View as Arguments;
use crate::console::Console;
use anyhow::{Result, bail};
use std::path::Path;
use tessera_engine::datasets::image::{Image8, save_png};
use tessera_engine::datasets::scene::tile_tree::StreamLimits;
use tessera_viewer::ViewerError;
use tessera_viewer::moving::{Ahead, MovingScene, Playhead, device_page};
use tessera_viewer::renderer::{Gpu, MeshData, Page, Renderer, Style, View};
use tessera_viewer::streamed::StreamedScene;
use tessera_viewer::window::{Moving, Streamed};

/// Draws the scene into a PNG file.
///
/// # Errors
/// When the file is in the way or cannot be written, or there is nothing to draw with.
pub fn write(opened: Opened, file: &Path, args: &Arguments, console: &Console) -> Result<()> {
    if file.exists() && !args.force {
        bail!("{}: is there already; --force replaces it", file.display());
    }
    let gpu = Gpu::headless()?;
    console.note(format_args!("drawing with {}", gpu.name()));
    let mut renderer = Renderer::new(&gpu);
    if let Some(cloud) = &opened.shown.cloud {
        for page in Page::all_of_cloud(cloud) {
            renderer.add_page(&page?)?;
        }
    }
    if let Some(mesh) = &opened.shown.mesh {
        renderer.add_mesh(&MeshData::of(mesh)?)?;
    }
    if let Some(field) = &opened.shown.field {
        renderer.add_field(field)?;
    }
    let view = View { camera: opened.camera, camera_from_world: opened.shown.start };
    if let Some(streamed) = &opened.shown.streamed {
        stream(streamed, &view, &mut renderer, console)?;
    }
    if let Some(moving) = &opened.shown.moving {
        show_moment(moving, &mut renderer)?;
    }
    if let Some(meshes) = &opened.shown.meshes {
        let mesh = (meshes.read)(meshes.moments.at(meshes.start)).map_err(ViewerError::BadScene)?;
        renderer.add_mesh(&mesh)?;
    }
    let style = Style {
        background: opened.shown.background,
        sh_degree: args.sh_degree,
        time: opened.shown.moving.as_ref().map_or(0.0, |moving| moving.start as f32),
        near: opened.shown.surroundings().map_or(Style::default().near, |around| around.near),
        ..Style::default()
    };
    let picture = renderer.picture(&view, &style)?;
    let image = Image8 { width: picture.width, height: picture.height, channels: 3, data: picture.rgb };
    save_png(file, &image)?;
    console.result(file.display())
}

/// Puts all pages on the device that the picture needs.
fn stream(streamed: &Streamed, view: &View, renderer: &mut Renderer, console: &Console) -> Result<()> {
    let mut scene = StreamedScene::new(streamed.manifest.clone(), StreamLimits::default());
    scene.complete(view, renderer, &*streamed.read).map_err(ViewerError::BadScene)?;
    for problem in scene.take_problems() {
        console.warn(format_args!("page {} is left out: {}", problem.node, problem.reason));
    }
    let (drawn, total) = (scene.stream().cut_splats(), scene.manifest().header.count);
    console.note(format_args!("{drawn} of {total} splats"));
    Ok(())
}

/// Puts the pages of the first moment on the device.
fn show_moment(moving: &Moving, renderer: &mut Renderer) -> Result<()> {
    let mut scene = MovingScene::new(moving.manifest.clone(), Ahead { seconds: 0.0, splats: 0 });
    let at = Playhead::at(moving.start);
    for number in scene.wanted(at) {
        let splats = (moving.read)(&scene.page(number)).map_err(ViewerError::BadScene)?;
        scene.add(number, &device_page(&splats, &moving.manifest)?, renderer)?;
    }
    scene.show(at, renderer);
    Ok(())
}
