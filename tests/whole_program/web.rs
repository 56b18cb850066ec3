//! Scenes on the web: the server and exported pages, without a browser (`tests/browser` has one).

use crate::{tessera, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tessera_datasets::format::{Existing, write_mesh};
use tessera_datasets::scene::Mesh;
use tessera_tests::files_below;

/// A made scene of a few hundred splats.
fn scene(folder: &Path) -> PathBuf {
    let scene = folder.join("scene.ply");
    tessera().run(&["synth", "still-life", "--splats", "500", "-o", text(&scene), "--quiet"]).success();
    scene
}

/// Two triangles.
fn mesh(folder: &Path) -> PathBuf {
    let file = folder.join("square.ply");
    let positions = vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]];
    let mesh = Mesh { positions, triangles: vec![[0, 1, 2], [0, 2, 3]], ..Mesh::default() };
    write_mesh(&file, &mesh, Existing::Keep).expect("a mesh");
    file
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<String> = files_below(folder).iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn an_exported_folder_has_all_that_the_page_needs_and_is_not_overwritten() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (scene, site) = (scene(root.path()), root.path().join("site"));
    let export = ["export", text(&scene), "-o", text(&site), "--pictures", "2", "--title", "A <b>"];
    tessera().run(&export).success();
    let files = names(&site);
    for needed in ["index.html", "tessera.js", "tessera-viewer.wasm", "tiles.json", "pages.bin", "orbit-01.jpg"] {
        assert!(files.iter().any(|file| file == needed), "{needed} is not among {files:?}");
    }
    let index = std::fs::read_to_string(site.join("index.html")).expect("the page");
    assert!(index.contains("A &lt;b&gt;") && index.contains("orbit-01.jpg") && !index.contains("orbit-02.jpg"));
    tessera().run(&export).failure(&["site", "exists already", "--force"]);
    tessera().run(&[&export[..], &["--force"]].concat()).success();
}

#[test]
fn one_exported_file_holds_everything() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (scene, page) = (scene(root.path()), root.path().join("scene.html"));
    tessera().run(&["export", text(&scene), "-o", text(&page), "--pictures", "1"]).success();
    let html = std::fs::read_to_string(&page).expect("the page");
    for part in ["id=\"wasm\"", "id=\"scene-manifest\"", "data:image/jpeg;base64,"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("src=\"tessera"));
}

#[test]
fn meshes_are_exported_as_glb() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let site = root.path().join("site");
    tessera().run(&["export", text(&mesh(root.path())), "-o", text(&site), "--pictures", "0"]).success();
    let info = tessera().run(&["info", text(&site.join("mesh.glb")), "--json"]).json();
    assert_eq!(info["triangles"].as_u64(), Some(2), "{info}");
}

#[test]
fn what_cannot_be_a_page_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let site = root.path().join("site");
    let broken = root.path().join("broken.ply");
    std::fs::write(&broken, "ply\nformat ascii 1.0\nelement vertex 9\n").expect("a file");
    for (input, said) in
        [("no-such.ply", "no-such.ply"), (text(&broken), "broken.ply"), (text(root.path()), "run folder")]
    {
        tessera().run(&["export", input, "-o", text(&site)]).failure(&[said]);
        tessera().run(&["serve", input, "--port", "0"]).failure(&[said]);
        assert!(!site.exists(), "{input}");
    }
    let scene = scene(root.path());
    let nowhere = root.path().join("missing/page.html");
    tessera().run(&["export", text(&scene), "-o", text(&nowhere), "--pictures", "0"]).failure(&["page.html"]);
    tessera().run(&["export", text(&scene), "-o", text(&site), "--pictures", "999"]).wrong_usage(&["999"]);
    tessera()
        .run(&["serve", text(&scene), "--port", "0", "--listen", "203.0.113.7"])
        .failure(&["203.0.113.7", "--port"]);
}

/// A server, killed when the test ends.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// `tessera serve` on any free port.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = tessera().command(&[&["serve", "--port", "0"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, address }
    }

    /// An answer with its head.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }

    /// Ends it as Ctrl-C does: its exit code and what it has said.
    pub fn stop(mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
        let mut said = String::new();
        self.child.stderr.take().expect("its messages").read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it has ended").code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(unix)]
#[test]
fn a_scene_is_served_until_ctrl_c() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&[text(&scene(root.path()))]);
    let index = String::from_utf8(server.get("/")).expect("text");
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("\"scene\":\"tiles.json\""), "{index}");
    assert!(server.get("/tiles.json").starts_with(b"HTTP/1.1 200"));
    assert!(server.get("/pages.bin").starts_with(b"HTTP/1.1 200"));
    assert!(server.get("/../scene.ply").starts_with(b"HTTP/1.1 404"));
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("only this machine"), "{said}");
}

#[cfg(unix)]
#[test]
fn listening_wider_says_what_others_can_read() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let tiles = root.path().join("scene.tiles");
    tessera().run(&["convert", text(&scene(root.path())), text(&tiles), "--quiet"]).success();
    let server = Server::start(&["--listen", "0.0.0.0", text(&tiles)]);
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    assert!(server.get("/pages.bin").starts_with(b"HTTP/1.1 200"));
    let (_, said) = server.stop();
    for part in ["everyone", "scene.tiles", "without a password"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
