//! `tessera serve`: the web page of a scene, from this program.

pub mod live;

use crate::args::Serve;
use crate::console::Console;
use crate::interrupt;
use crate::published::{Look, Orbit, Published, page_colour};
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tessera_viewer::export::Scene;
use tessera_viewer::page::{PageSettings, orbit_name};
use tessera_viewer::serve::{Limits, Server, Site};

/// How often it is looked whether the user wants no more.
const POLL: Duration = Duration::from_millis(100);
/// What is being sent may take this long to end.
const GRACE: Duration = Duration::from_secs(3);
/// Pictures for browsers without WebGPU, drawn while it is served already.
const PICTURES: u32 = 24;

/// Runs the command, until Ctrl-C.
///
/// # Errors
/// When the scene cannot be read, or the address is taken.
pub fn run(args: &Serve, console: &Console) -> Result<()> {
    let look = Look { title: args.title.clone(), background: args.background };
    let mut published = Published::prepare(&args.scene, &look, console)?;
    let mut pictures = None;
    if matches!(published.scene, Scene::Moving(_)) && !published.is_temporary() {
        // Pictures are there, but the file does not say where to begin looking from.
        published.orbit(0, console)?;
    }
    let orbit = if published.is_temporary() {
        let orbit = pictures.insert(published.orbit(PICTURES, console)?);
        (0..orbit.len()).map(orbit_name).collect()
    } else {
        exported_pictures(published.folder())
    };
    let page = PageSettings {
        title: published.title.clone(),
        scene: Some(published.scene.address().to_owned()),
        background: page_colour(published.background),
        live: false,
        orbit,
        view: published.view,
    };
    let site = Site { folder: published.folder().to_owned(), page, live: None };
    serve(args, &site, pictures, console)
}

/// The pictures of a folder that was exported.
fn exported_pictures(folder: &Path) -> Vec<String> {
    (0..).map(orbit_name).take_while(|name| folder.join(name).is_file()).collect()
}

fn serve(args: &Serve, site: &Site, pictures: Option<Orbit>, console: &Console) -> Result<()> {
    let ip = args.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, args.port);
    let taken = || format!("{address}: cannot be listened on; choose another port with --port (0 takes any free one)");
    let server = Server::start(address, site, Limits::default()).with_context(taken)?;
    let address = server.address();
    if ip.is_loopback() {
        console.note("only this machine can open it; --listen 0.0.0.0 lets others in");
    } else {
        console.warn(format_args!(
            "everyone who reaches this machine on port {} can look at this scene and read its files ({}), without a password or \
             encryption; browsers draw it with WebGPU over https or on localhost only, and show pictures else",
            address.port(),
            site.folder.display()
        ));
    }
    let host = if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
    console.result(format_args!("http://{}/", SocketAddr::new(host, address.port())))?;
    interrupt::stoppable(|stop| {
        if let Err(error) = pictures.map_or(Ok(()), |orbit| draw_into(orbit, &site.folder, stop))
            && !stop.load(Ordering::Relaxed)
        {
            console.warn(format_args!("no pictures for browsers without WebGPU: {error:#}"));
        }
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
        }
    });
    server.stop(GRACE);
    Ok(())
}

/// Draws pictures beside the scene while it is served.
fn draw_into(mut orbit: Orbit, folder: &Path, stop: &AtomicBool) -> Result<()> {
    orbit.draw(stop, |i, jpeg| {
        let file = folder.join(orbit_name(i));
        std::fs::write(&file, jpeg).with_context(|| format!("{}: cannot be written", file.display()))
    })
}
