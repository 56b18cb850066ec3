//! A scene as one HTML file: scripts, WebAssembly and pages inside of it, the last two in base64.

use super::{Bundle, Scene};
use crate::page::{self, SCRIPTS, STYLE, WASM};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tessera_datasets::format::tiles::{self, MANIFEST, PageFiles};
use tessera_datasets::format::volumetric::VideoFile;
use tessera_datasets::format::{AtomicFile, Existing, SequencePlaces};
use tessera_datasets::{DataError, Result};

/// The most bytes of a scene in one file: browsers hold the file as text, and then some.
pub const MAX_SCENE_BYTES: u64 = 200 << 20;

/// Writes a scene as one HTML file.
///
/// # Errors
/// When the file exists and is to be kept, the scene cannot be read or is too large for this, or the disk refuses.
pub fn write_single_file(bundle: &Bundle, path: &Path, existing: Existing) -> Result<()> {
    check_size(&bundle.scene, path)?;
    let orbit = bundle.orbit.iter().map(|jpeg| format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))).collect();
    let html = page::index(&bundle.settings("inline:", orbit));
    let style = format!("<link rel=\"stylesheet\" href=\"{STYLE}\">");
    let scripts = SCRIPTS.map(|name| format!("<script src=\"{name}\"></script>")).join("\n");
    let mut out = AtomicFile::create(path, existing)?;
    let (head, rest) = around(&html, &style);
    let (body, end) = around(rest, &scripts);
    out.put(head.as_bytes())?;
    element(&mut out, "style", text_of(STYLE))?;
    out.put(body.as_bytes())?;
    data(&mut out, "wasm", page::file(WASM).unwrap_or_default())?;
    match &bundle.scene {
        Scene::Tiles(tiles) => put_tiles(&mut out, tiles)?,
        Scene::Mesh(mesh) => data(&mut out, "scene-mesh", &read(mesh)?)?,
        Scene::Sequence(file) => put_sequence(&mut out, file)?,
        Scene::Moving(file) => put_moving(&mut out, file)?,
    }
    SCRIPTS.iter().try_for_each(|name| element(&mut out, "script", text_of(name)))?;
    out.put(end.as_bytes())?;
    out.commit()
}

fn check_size(scene: &Scene, path: &Path) -> Result<()> {
    let size: u64 = match scene {
        Scene::Tiles(tiles) => tiles::open_manifest(tiles)?.pages.iter().map(|page| page.length()).sum(),
        Scene::Mesh(file) | Scene::Sequence(file) | Scene::Moving(file) => {
            fs::metadata(file).map_err(|e| unreadable(file, &e))?.len()
        }
    };
    if size <= MAX_SCENE_BYTES {
        return Ok(());
    }
    let reason = format!("would be {} MB, more than browsers open as one file", (size * 4 / 3) >> 20);
    Err(DataError::new(path, reason).remedy("give a folder in place of a .html file, or a smaller scene"))
}

fn put_tiles(out: &mut AtomicFile, tiles: &Path) -> Result<()> {
    let manifest = tiles::open_manifest(tiles)?;
    data(out, "scene-manifest", &read(&tiles.join(MANIFEST))?)?;
    let mut files = PageFiles::beside(tiles);
    for (node, place) in manifest.pages.iter().enumerate() {
        let bytes = files.read(&manifest, node as u32)?;
        data(out, &format!("scene-{}-{}", manifest.files[place.file as usize], place.offset), &bytes)?;
    }
    Ok(())
}

/// What comes before the pages, then page by page, under the numbers of their first bytes.
fn put_moving(out: &mut AtomicFile, path: &Path) -> Result<()> {
    let mut file = VideoFile::open(path)?;
    let mut head = Vec::new();
    let read = File::open(path).and_then(|opened| opened.take(file.start()).read_to_end(&mut head));
    read.map_err(|e| unreadable(path, &e))?;
    data(out, "scene-head", &head)?;
    let segments = file.manifest.segments.clone();
    for page in segments.iter().flat_map(|segment| &segment.pages) {
        let bytes = file.page_bytes(page)?;
        data(out, &format!("scene--{}", file.start() + page.offset), &bytes)?;
    }
    Ok(())
}

/// What comes before the numbers, then moment by moment, under the numbers of their first bytes.
fn put_sequence(out: &mut AtomicFile, path: &Path) -> Result<()> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let places = SequencePlaces::of(path)?;
    let mut bytes = |start: u64, length: u64| {
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| (&mut file).take(length).read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|e| unreadable(path, &e))
    };
    data(out, "scene-sequence", &bytes(0, places.start)?)?;
    for [offset, length] in &places.moments {
        let start = places.start + offset;
        data(out, &format!("scene--{start}"), &bytes(start, *length)?)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &io::Error) -> DataError {
    DataError::new(path, format!("cannot be read ({error})"))
}

/// What comes before and after a part of the page.
fn around<'a>(html: &'a str, part: &str) -> (&'a str, &'a str) {
    html.split_once(part).unwrap_or((html, ""))
}

fn text_of(name: &str) -> &'static str {
    std::str::from_utf8(page::file(name).unwrap_or_default()).unwrap_or_default()
}

fn element(out: &mut AtomicFile, name: &str, text: &str) -> Result<()> {
    out.put(format!("<{name}>\n{text}</{name}>\n").as_bytes())
}

/// Bytes that the page finds by their name.
fn data(out: &mut AtomicFile, id: &str, bytes: &[u8]) -> Result<()> {
    let id = id.replace('&', "&amp;").replace('"', "&quot;");
    out.put(format!("<script type=\"text/plain\" id=\"{id}\">").as_bytes())?;
    let mut encoder = EncoderWriter::new(&mut *out, &STANDARD);
    let written: io::Result<()> = encoder.write_all(bytes).and_then(|()| encoder.finish().map(drop));
    drop(encoder);
    written.map_err(|e| out.unwritable(&e))?;
    out.put(b"</script>\n")
}
