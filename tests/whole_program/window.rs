//! The window under a virtual display, used with a mouse and keys as people use it. Skipped where Xvfb, xdotool or ffmpeg are
//! missing; `.ci/run` installs them.

use crate::fits::fitted_cube;
use crate::sequences::climbing;
use crate::view::run;
use crate::{small_training, tessera, text};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tessera_datasets::format::{Existing, write_mesh};
use tessera_datasets::scene::Mesh;
use tessera_tests::shared_small_capture;

/// Of the display, and of the window in it.
const SIZE: [usize; 2] = [800, 500];
/// Where the panel begins.
const PANEL_LEFT: usize = SIZE[0] - 316;

/// Rows at the bottom that may show messages and the bar of moving scenes, which is there before its scene.
const BOTTOM: usize = 60;

/// Ends the program when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a program prints when it succeeds.
fn output(program: &str, arguments: &[&str], display: &str) -> Option<Vec<u8>> {
    let output = Command::new(program).args(arguments).env("DISPLAY", display).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A display without a screen.
struct Desktop {
    display: String,
    _server: Running,
}

/// What is seen on a display, `[height, width, 3]`.
struct Screen(Vec<u8>);

impl Screen {
    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        [0, 1, 2].map(|channel| self.0[3 * (y * SIZE[0] + x) + channel])
    }

    /// The places of the scene: left of the panel, above the bar.
    fn places() -> impl Iterator<Item = (usize, usize)> {
        (0..SIZE[1] - BOTTOM).flat_map(|y| (0..PANEL_LEFT).map(move |x| (x, y)))
    }

    /// Pixels of the scene that are like this.
    fn count(&self, is: impl Fn([u8; 3]) -> bool) -> usize {
        Self::places().filter(|&(x, y)| is(self.at(x, y))).count()
    }

    /// Pixels of the scene that are visibly others than on another screen.
    fn differs_from(&self, other: &Self) -> usize {
        let is_other = |&(x, y): &(usize, usize)| {
            let (a, b) = (self.at(x, y), other.at(x, y));
            (0..3).any(|k| a[k].abs_diff(b[k]) > 12)
        };
        Self::places().filter(is_other).count()
    }
}

/// The colour that windows here have behind their scenes.
fn is_blue([r, g, b]: [u8; 3]) -> bool {
    b > 250 && r < 5 && g < 5
}

/// The colour of marks over the picture.
fn is_ink([r, g, b]: [u8; 3]) -> bool {
    r > 245 && (210..230).contains(&g) && (70..95).contains(&b)
}

impl Desktop {
    fn open() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let display = format!(":{}", 100 + (16 * std::process::id() + COUNT.fetch_add(1, Ordering::Relaxed)) % 4000);
        let screen = format!("{}x{}x24", SIZE[0], SIZE[1]);
        let server =
            Command::new("Xvfb").args([&display, "-noreset", "-screen", "0", &screen]).stderr(Stdio::null()).spawn();
        let has_ffmpeg = output("ffmpeg", &["-version"], &display).is_some();
        let (Ok(server), Some(_), true) = (server, output("xdotool", &["version"], &display), has_ffmpeg) else {
            println!("skipped: Xvfb, xdotool and ffmpeg are not installed");
            return None;
        };
        let desktop = Self { display, _server: Running(server) };
        wait_for("the display", || output("xdotool", &["getdisplaygeometry"], &desktop.display));
        Some(desktop)
    }

    /// Starts the program in a folder, with what it says in `said.txt` there, and waits for its window.
    fn start(&self, folder: &Path, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Running {
        let said = fs::File::create(folder.join("said.txt")).expect("a file");
        let mut command = tessera().command(arguments);
        command.env("DISPLAY", &self.display).env_remove("WAYLAND_DISPLAY").env("XDG_RUNTIME_DIR", folder);
        command.env("RUST_LOG", "tessera=info").current_dir(folder).stderr(said).stdout(Stdio::null());
        change(&mut command);
        let mut program = Running(command.spawn().expect("the program"));
        let found = wait_for("the window", || {
            let ended = program.0.try_wait().expect("a state");
            assert!(ended.is_none(), "{ended:?}: {:?}", fs::read_to_string(folder.join("said.txt")));
            let found = output("xdotool", &["search", "--name", "Tessera"], &self.display)?;
            Some(String::from_utf8_lossy(&found).lines().next()?.to_owned())
        });
        // Nobody manages windows here.
        wait_for("the focus", || output("xdotool", &["windowfocus", &found], &self.display));
        program
    }

    fn view(&self, folder: &Path, scene: &Path, more: &[&str]) -> Running {
        let size = format!("{}x{}", SIZE[0], SIZE[1]);
        let view = ["view", text(scene), "--size", &size, "--background", "0,0,1"];
        self.start(folder, &[&view, more].concat(), |_| ())
    }

    /// Moves the mouse and presses keys and buttons: the words of xdotool, one command after the other.
    fn act(&self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        assert!(output("xdotool", &words, &self.display).is_some(), "xdotool {words:?}");
        // Keys may arrive after buttons that are pressed at once after them.
        std::thread::sleep(Duration::from_millis(700));
    }

    fn screen(&self) -> Option<Screen> {
        let size = format!("{}x{}", SIZE[0], SIZE[1]);
        let grab = ["-loglevel", "error", "-f", "x11grab", "-video_size", &size, "-i", &self.display, "-frames:v", "1"];
        let grab: Vec<&str> = grab.into_iter().chain(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]).collect();
        output("ffmpeg", &grab, &self.display).map(Screen).filter(|screen| screen.0.len() == 3 * SIZE[0] * SIZE[1])
    }

    /// The screen as soon as it is like this.
    fn wait(&self, what: &str, is: impl Fn(&Screen) -> bool) -> Screen {
        wait_for(what, || self.screen().filter(&is))
    }

    /// The screen once scene and panel are seen; before the first frame it is black.
    fn wait_for_scene(&self) -> Screen {
        let is_panel = |screen: &Screen| screen.at(SIZE[0] - 10, SIZE[1] - 20).iter().all(|c| (15..60).contains(c));
        self.wait("the scene", |screen| is_panel(screen) && screen.count(|pixel| !is_blue(pixel)) > 5_000)
    }
}

/// What a program has said, once it has said this.
fn said(folder: &Path, part: &str) -> String {
    wait_for(part, || fs::read_to_string(folder.join("said.txt")).ok().filter(|said| said.contains(part)))
}

/// Splats of a file.
fn splats(file: &Path) -> u64 {
    tessera().run(&["info", text(file), "--json"]).json()["splats"].as_u64().expect("a number")
}

/// The names of all files and folders in a folder, hidden ones as well, but for what tests put there.
fn left(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| !["said.txt", "run", "square.ply"].contains(&name.as_str()));
    names.sort();
    names
}

#[test]
fn the_window_shows_scene_and_panel() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let Some(desktop) = Desktop::open() else { return };
    let mut window = desktop.view(root.path(), &run, &[]);
    desktop.wait_for_scene();
    assert!(window.0.try_wait().expect("a state").is_none(), "the window has closed by itself");
}

#[test]
fn a_fitted_shape_is_turned_and_measured() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let shape = fitted_cube(root.path());
    let Some(desktop) = Desktop::open() else { return };
    let _window = desktop.view(root.path(), &shape, &["--camera", "1,1,-5,1,1,1"]);
    let straight = desktop.wait_for_scene();
    let middle = [PANEL_LEFT / 2, SIZE[1] / 2];
    let is_grey = |[r, g, b]: [u8; 3]| r == g && g == b && r > 60;
    assert!(
        is_grey(straight.at(middle[0], middle[1])),
        "the face of the cube: {:?}",
        straight.at(middle[0], middle[1])
    );
    // Two places on the face, and the line between them.
    desktop.act("key m");
    desktop.act(&format!("mousemove {} {} click 1", middle[0] - 30, middle[1]));
    desktop.act(&format!("mousemove {} {} click 1", middle[0] + 30, middle[1]));
    desktop.wait("a distance", |screen| screen.count(is_ink) > 40);
    desktop.act("key m");
    desktop.act(&format!("mousemove {} {} mousedown 1 mousemove_relative 60 20 mouseup 1", middle[0], middle[1]));
    desktop.wait("the shape from another side", |screen| screen.differs_from(&straight) > 2_000);
}

#[test]
fn splats_are_selected_deleted_brought_back_and_saved() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let Some(desktop) = Desktop::open() else { return };
    let _window = desktop.view(root.path(), &run, &[]);
    let before = desktop.wait_for_scene();
    // A box over the left half of the picture.
    desktop.act("key b");
    desktop.act("mousemove 4 4 mousedown 1 mousemove 120 250 mousemove 240 495 mouseup 1");
    desktop.act("key x");
    desktop.wait("another picture", |screen| screen.differs_from(&before) > 2_000);
    desktop.act("key ctrl+s");
    let saved = said(root.path(), "splats in edited.ply");
    let (all, kept) = (splats(&run.join("scene.ply")), splats(&root.path().join("edited.ply")));
    assert!(kept > 0 && kept < all && saved.contains(&format!("{kept} splats")), "{kept} of {all} are left: {saved}");
    // Nothing that exists is replaced.
    desktop.act("key ctrl+z");
    // What was selected still is: one leaves the tool, and then the selection.
    desktop.act("key Escape");
    desktop.act("key Escape");
    desktop.wait("the first picture", |screen| screen.differs_from(&before) < 2_000);
    desktop.act("key ctrl+s");
    said(root.path(), "edited.ply: exists already");
    assert_eq!(splats(&root.path().join("edited.ply")), kept);
    assert_eq!(left(root.path()), ["edited.ply"]);
}

#[test]
fn a_film_is_saved_and_without_ffmpeg_there_is_a_sentence() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let Some(desktop) = Desktop::open() else { return };
    let film = |folder: &Path, change: &dyn Fn(&mut Command)| {
        fs::create_dir(folder).expect("a folder");
        let window =
            desktop.start(folder, &["view", text(&run), "--size", "800x500", "--background", "0,0,1"], |c| change(c));
        desktop.wait_for_scene();
        desktop.act("key ctrl+F12");
        said(folder, "no camera path yet");
        desktop.act("mousemove 200 200 key k");
        said(folder, "keyframe 1");
        desktop.act("mousedown 1 mousemove 230 210 mousemove 260 220 mouseup 1");
        std::thread::sleep(Duration::from_secs(1));
        desktop.act("key k");
        said(folder, "keyframe 2");
        desktop.act("key ctrl+F12");
        window
    };
    let without = root.path().join("without");
    let window = film(&without, &|command| {
        command.env("PATH", "/nowhere");
    });
    said(&without, "ffmpeg, which is not installed");
    assert_eq!(left(&without), [""; 0]);
    drop(window);
    let with = root.path().join("with");
    let window = film(&with, &|_| ());
    said(&with, "61 pictures in path.mp4");
    assert_eq!(left(&with), ["path.mp4"]);
    drop(window);
    // A program that is killed while it films leaves nothing, where systems know files without names.
    let killed = root.path().join("killed");
    let window = film(&killed, &|_| ());
    std::thread::sleep(Duration::from_millis(300));
    drop(window);
    let names = left(&killed);
    assert!(names.is_empty() || names == ["path.mp4"] || cfg!(not(target_os = "linux")), "{names:?}");
}

#[test]
fn two_clicks_measure_a_distance() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let Some(desktop) = Desktop::open() else { return };
    let file = root.path().join("square.ply");
    let positions = vec![[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]];
    let mesh = Mesh { positions, triangles: vec![[0, 1, 2], [0, 2, 3]], ..Mesh::default() };
    write_mesh(&file, &mesh, Existing::Keep).expect("a mesh");
    let _window = desktop.view(root.path(), &file, &["--camera", "0,0,-3,0,0,0"]);
    desktop.wait_for_scene();
    desktop.act("key m");
    desktop.act("mousemove 180 200 click 1");
    desktop.act("mousemove 300 290 click 1");
    let said = said(root.path(), "distance");
    let told: f64 = said
        .rsplit("distance ")
        .next()
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("a number");
    // The plane is 3 away; 150 pixels at a focal length of half the window's width over the tangent of half the angle of view.
    let expected = 150.0 * 3.0 / (0.5 * SIZE[0] as f64 / 0.45f64.tan());
    assert!((told / expected - 1.0).abs() < 0.01, "{told} and not {expected}");
    desktop.wait("the line", |screen| screen.count(is_ink) > 150);
}

#[test]
fn meshes_of_several_moments_are_stepped_through_and_played() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = climbing(root.path(), 4);
    let Some(desktop) = Desktop::open() else { return };
    let _window = desktop.view(root.path(), &folder, &["--camera", "0,1,6,0,1,0", "--fps", "2"]);
    let first = desktop.wait_for_scene();
    desktop.act("mousemove 100 100 key period");
    let second = desktop.wait("the next mesh", |screen| screen.differs_from(&first) > 1_000);
    desktop.act("key comma");
    // But for the pointer, which was elsewhere.
    desktop.wait("the mesh before", |screen| screen.differs_from(&first) < 600);
    desktop.act("key space");
    desktop.wait("a later mesh", |screen| screen.differs_from(&first) > 1_000 && screen.differs_from(&second) > 1_000);
}

#[test]
fn a_photo_lies_over_the_scene_from_its_own_camera() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let Some(desktop) = Desktop::open() else { return };
    let _window = desktop.view(root.path(), &run, &[]);
    desktop.wait_for_scene();
    desktop.act("mousemove 200 200 key o");
    // A photo of 64x48 fills the width that is free, with a line around it, and half of it hides the background.
    let height = PANEL_LEFT * 48 / 64;
    let [top, bottom] = [(SIZE[1] - height) / 2, (SIZE[1] + height) / 2];
    let is_line =
        |screen: &Screen, y: usize| (y.saturating_sub(3)..y + 3).any(|y| (100..400).all(|x| is_ink(screen.at(x, y))));
    let first = desktop.wait("the photo", |screen| {
        is_line(screen, top) && is_line(screen, bottom) && !is_blue(screen.at(20, top + 10))
    });
    desktop.act("key n");
    desktop.wait("the next photo", |screen| screen.0 != first.0 && is_line(screen, top));
    desktop.act("key Escape");
    desktop.wait("the scene alone", |screen| !is_line(screen, top));
}

#[test]
fn a_training_is_watched_in_the_window() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let Some(desktop) = Desktop::open() else { return };
    let run = root.path().join("run");
    let mut training = small_training(shared_small_capture(), &run, "4000");
    training.retain(|argument| *argument != "--quiet");
    let mut program = desktop.start(root.path(), &[&training[..], &["--view"]].concat(), |_| ());
    let seen = |screen: &Screen| {
        let corner = screen.at(2, SIZE[1] / 2);
        screen.count(|pixel| (0..3).any(|k| pixel[k].abs_diff(corner[k]) > 30)) > 5_000
    };
    let first = desktop.wait("the first splats", seen);
    desktop.wait("newer splats", |screen| screen.0 != first.0);
    assert!(program.0.try_wait().expect("a state").is_none(), "the training has ended early");
    // The window stays when the training has ended, until it is closed.
    wait_for("the end", || run.join("scene.ply").is_file().then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert!(program.0.try_wait().expect("a state").is_none(), "the window has gone with the training");
    assert_eq!(splats(&run.join("scene.ply")), 800);
}
