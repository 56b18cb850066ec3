//! Arguments of `tessera serve` and `tessera export`.

use super::parse_colour;
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Serve {
    /// Run folder, splat file, mesh, meshes of several moments (a folder or an animated .glb), moving scene (.t4d), fitted field (.rbf), streamed scene (.tiles) or exported folder
    #[arg(value_name = "RUN|SCENE")]
    pub scene: PathBuf,
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Address to listen on; only this machine by default, 0.0.0.0 for everyone
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<IpAddr>,
    /// What the page calls the scene; its name by default
    #[arg(long)]
    pub title: Option<String>,
    /// Colour behind the scene, as R,G,B in [0, 1]; as in the run by default, dark without one
    #[arg(long, value_parser = parse_colour, value_name = "R,G,B")]
    pub background: Option<[f32; 3]>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Run folder, splat file, mesh, meshes of several moments (a folder or an animated .glb), moving scene (.t4d), fitted field (.rbf) or streamed scene (.tiles)
    #[arg(value_name = "RUN|SCENE")]
    pub scene: PathBuf,
    /// Folder, or one file that ends in .html
    #[arg(short, long)]
    pub output: PathBuf,
    /// What the page calls the scene; its name by default
    #[arg(long)]
    pub title: Option<String>,
    /// Colour behind the scene, as R,G,B in [0, 1]; as in the run by default, dark without one
    #[arg(long, value_parser = parse_colour, value_name = "R,G,B")]
    pub background: Option<[f32; 3]>,
    /// Pictures from all sides for browsers without WebGPU; 0 for none
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=360))]
    pub pictures: u32,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}
