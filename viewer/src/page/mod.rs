//! The web page: its files, compiled into the program, and what a page is told of its scene.
//!
//! Sources lie in `viewer/web`. `dist` there holds the renderer as WebAssembly, which `scripts/build-web` makes from this
//! crate: a machine that builds the program needs no WebAssembly compiler.

use serde::Serialize;
use tessera_datasets::format::tiles::StartCamera;

/// The page itself, before it is told of a scene.
const INDEX: &str = include_str!("../../web/index.html");
/// Stands in [`INDEX`] for the title.
const TITLE: &str = "{{title}}";
/// Stands in [`INDEX`] for [`PageSettings`] as JSON.
const SETTINGS: &str = "{{settings}}";

/// The name of the page's style sheet.
pub const STYLE: &str = "tessera.css";
/// The names of its scripts, in their order: the way into the WebAssembly, and the page's own.
pub const SCRIPTS: [&str; 5] =
    ["tessera-viewer.js", "tessera-files.js", "tessera-mesh.js", "tessera-time.js", "tessera.js"];
/// The name of a mesh beside the page.
pub const MESH: &str = "mesh.glb";
/// The name of meshes of several moments beside the page.
pub const SEQUENCE: &str = "sequence.glb";
/// The name of a moving scene beside the page.
pub const MOVING: &str = "scene.t4d";
/// The name of the renderer as WebAssembly.
pub const WASM: &str = "tessera-viewer.wasm";

/// The files beside `index.html`, by name.
pub static FILES: [(&str, &[u8]); 7] = [
    (STYLE, include_bytes!("../../web/tessera.css")),
    (SCRIPTS[0], include_bytes!("../../web/dist/tessera-viewer.js")),
    (SCRIPTS[1], include_bytes!("../../web/tessera-files.js")),
    (SCRIPTS[2], include_bytes!("../../web/tessera-mesh.js")),
    (SCRIPTS[3], include_bytes!("../../web/tessera-time.js")),
    (SCRIPTS[4], include_bytes!("../../web/tessera.js")),
    (WASM, include_bytes!("../../web/dist/tessera-viewer.wasm")),
];

/// What a page is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageSettings {
    /// What the scene is called.
    pub title: String,
    /// Where the scene's manifest, the moving scene or the mesh is, relative to the page; nothing while a training has no scene yet.
    pub scene: Option<String>,
    /// Behind the scene, sRGB.
    pub background: [u8; 3],
    /// Whether `live` beside the page is a WebSocket with the state of a training.
    pub live: bool,
    /// Pictures of a walk around the scene, relative to the page, for browsers that cannot draw it.
    pub orbit: Vec<String>,
    /// Where to begin looking from, of scenes whose files do not say it: moving ones.
    pub view: Option<FirstView>,
}

/// Where to begin looking from, in stored coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FirstView {
    /// Where the camera is.
    pub camera: StartCamera,
    /// Which direction is up, of length 1.
    pub up: [f32; 3],
    /// Lowest and highest corner of the box that holds most of the scene.
    pub bounds: [[f32; 3]; 2],
    /// What is nearer to a camera is not drawn.
    pub near: f32,
}

/// `index.html` for a scene.
pub fn index(settings: &PageSettings) -> String {
    // In a script element `<` could end it.
    let json = serde_json::to_string(settings).unwrap_or_default().replace('<', "\\u003c");
    INDEX.replacen(TITLE, &escaped(&settings.title), 1).replacen(SETTINGS, &json, 1)
}

/// The name of a picture of a walk around the scene, numbered from 0.
pub fn orbit_name(index: usize) -> String {
    format!("orbit-{index:02}.jpg")
}

/// A file of the page.
pub fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_cannot_become_markup() {
        let title = "</title><script>alert(1)</script>\"&";
        let page = index(&PageSettings { title: title.to_owned(), ..PageSettings::default() });
        assert!(!page.contains("<script>alert") && page.contains("&lt;/title&gt;"));
        assert!(page.contains("\\u003cscript>alert"), "the settings hold it as JSON");
        assert!(!page.contains("{{"));
    }

    #[test]
    fn the_page_refers_to_its_files_and_to_nothing_elsewhere() {
        let page = index(&PageSettings::default());
        for name in SCRIPTS.into_iter().chain([STYLE]) {
            assert!(page.contains(&format!("\"{name}\"")), "{name}");
        }
        assert!(!page.contains("https://") && !page.contains("http://"));
    }
}
