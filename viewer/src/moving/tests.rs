use super::*;
use tessera_datasets::camera::Similarity;
use tessera_datasets::format::volumetric::{Precision, Segment};
use tessera_datasets::scene::{TimeHierarchy, Timeline};

/// Ten seconds: page 0 is always seen, page k + 1 in the half second that ends at 0.375 + k / 2.
fn scene(ahead: Ahead) -> MovingScene {
    let places = (0..=20).map(|segment| Place::Segment { level: 5, segment });
    let mut offset = 0;
    let segments = std::iter::once(Place::Global).chain(places).map(|place| {
        let page = SegmentPage { splats: 10, offset, bytes: [5, 5, 0], crc32: [0; 3] };
        offset += page.length();
        Segment { place, pages: vec![page] }
    });
    let manifest = VideoManifest {
        segments: segments.collect(),
        splats: 220,
        sh_degree: 0,
        antialiased: false,
        scene_from_world: Similarity::identity(),
        timeline: Timeline { start: 0.0, frame_rate: 30.0, frames: 300 },
        hierarchy: TimeHierarchy::of_duration(10.0, 0.5),
        precision: Precision::default(),
    };
    MovingScene::new(manifest, ahead)
}

const SECOND: Ahead = Ahead { seconds: 1.0, splats: 1000 };

fn playing(seconds: f64, rate: f64) -> Playhead {
    Playhead { seconds, rate, is_looped: true }
}

#[test]
fn what_is_seen_is_wanted_first_and_then_what_is_played_next() {
    let scene = scene(SECOND);
    assert_eq!(scene.wanted(Playhead::at(1.0)), [0, 3]);
    assert_eq!(scene.wanted(playing(1.0, 1.0)), [0, 3, 4, 5]);
    assert_eq!(scene.wanted(playing(1.0, -1.0)), [0, 3, 2, 1], "backwards");
    assert_eq!(scene.wanted(playing(1.0, 2.0)), [0, 3, 4, 5, 6, 7], "a second of watching is two of the scene");
}

#[test]
fn the_beginning_is_wanted_before_the_end_is_reached() {
    let scene = scene(SECOND);
    assert_eq!(scene.wanted(playing(9.7, 1.0)), [0, 20, 21, 1, 2]);
    assert_eq!(scene.wanted(playing(0.2, -1.0)), [0, 1, 21, 20], "backwards the end");
    assert_eq!(scene.wanted(Playhead { is_looped: false, ..playing(9.7, 1.0) }), [0, 20, 21]);
}

#[test]
fn only_what_comes_next_is_wanted_beyond_the_limit() {
    let narrow = scene(Ahead { seconds: 5.0, splats: 35 });
    assert_eq!(narrow.wanted(playing(1.0, 1.0)), [0, 3, 4]);
    let none = scene(Ahead { seconds: 5.0, splats: 0 });
    assert_eq!(none.wanted(playing(1.0, 1.0)), [0, 3, 4]);
}

#[test]
fn time_waits_for_pages_and_passes_those_that_cannot_be_had() {
    let mut scene = scene(SECOND);
    let mut clock = Clock::new(scene.manifest().timeline, 1.0);
    assert!(!scene.pass(&mut clock, 0.1) && clock.seconds == 1.0, "it is not played");
    clock.toggle();
    assert!(scene.pass(&mut clock, 0.1) && clock.seconds == 1.0, "nothing has come");
    [0, 3, 4].into_iter().for_each(|page| scene.miss(page));
    assert!(scene.pass(&mut clock, 0.1) && clock.seconds == 1.1);
    scene.pass(&mut clock, 0.9);
    assert_eq!(clock.seconds, 1.6, "a slow frame goes as far as one segment, when no more has come");
    scene.pass(&mut clock, 0.9);
    assert_eq!(clock.seconds, 1.6, "and not into the next");
    scene.retry_missed();
    assert_eq!(scene.wanted(clock.head())[..2], [0, 4]);
}

#[test]
fn a_page_says_when_it_is_seen() {
    let scene = scene(SECOND);
    assert_eq!(scene.seconds_of(0), None);
    assert_eq!(scene.seconds_of(3), Some([0.875, 1.375]));
    assert_eq!((scene.page(3).offset, scene.progress(1.0)), (30, (2, 0, 0)));
}
