//! Training in the steady state allocates nothing, refinements and the 3D filter included.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use tessera_datasets::capture::Capture;
use tessera_datasets::synthetic::{self, Options, SceneKind};
use tessera_engine::splats::{SplatTraining, SplatsConfig};
use tessera_engine::train::Method;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn training_steps_do_not_allocate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("capture");
    let options = Options { width: 96, height: 72, views: Some(6), extent: 10.0, points: 2000, ..Options::default() };
    synthetic::write(SceneKind::Terrain, &options, &path, false, &|_, _| {}).expect("a made capture");
    let capture = Capture::open(&path).expect("the made capture");
    let config = SplatsConfig {
        steps: 1000,
        max_splats: 2000,
        resolution_schedule: false,
        sh_degree_interval: 0.0,
        refine_every: 600,
        ..SplatsConfig::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads start");
    let allocations = pool.install(|| {
        let mut training = SplatTraining::new(&capture, &config).expect("the capture can be trained on");
        for step in 0..300 {
            training.step(step).expect("a step");
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for step in 300..500 {
            training.step(step).expect("a step");
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    assert_eq!(allocations, 0, "200 steps, refinements among them, allocate");
}
