//! `tessera serve`: the web page of a scene, from this program.

pub mod live;

use crate::args::Serve;
use crate::console::Console;
use crate::interrupt;
use crate::published::Published;
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tessera_engine::datasets::format::tiles::MANIFEST;
use tessera_viewer::page::PageSettings;
use tessera_viewer::serve::{Limits, Server, Site};

/// How often it is looked whether the user wants no more.
const POLL: Duration = Duration::from_millis(100);
/// What is being sent may take this long to end.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the command, until Ctrl-C.
///
/// # Errors
/// When the scene cannot be read, or the address is taken.
pub fn run(args: &Serve, console: &Console) -> Result<()> {
    let is_site = args.scene.join("index.html").is_file() && args.scene.join(MANIFEST).is_file();
    let mut published = Published::prepare(&args.scene, args.title.as_deref(), console)?;
    if !is_site {
        // For the place to begin looking from; one picture is drawn and not used.
        published.orbit(0, console)?;
    }
    let page =
        PageSettings { title: published.title.clone(), scene: Some(MANIFEST.to_owned()), ..PageSettings::default() };
    let site = Site { folder: published.tiles.clone(), page, live: None };
    serve(args, &site, console)
}

fn serve(args: &Serve, site: &Site, console: &Console) -> Result<()> {
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
             encryption",
            address.port(),
            site.folder.display()
        ));
    }
    let host = if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
    console.result(format_args!("http://{}/", SocketAddr::new(host, address.port())))?;
    interrupt::stoppable(|stop| {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
        }
    });
    server.stop(GRACE);
    Ok(())
}
