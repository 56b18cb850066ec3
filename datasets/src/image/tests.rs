//! What decoding, resizing, the cache and the writers promise.

use super::*;
use crate::camera::{Camera, Pose};
use crate::capture::{DepthSource, Frame, MaskKind, MaskSource};
use crate::files::Files;
use ::image::codecs::{jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder};
use ::image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, RgbImage};
use proptest::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HERE: &str = "photo";

/// Smooth, with no two quarters alike, so that turning it shows.
fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        ::image::Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + 2 * y) * 80 / (width + height)) as u8])
    })
}

fn bytes_as(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encode");
    bytes.into_inner()
}

/// EXIF data that holds the orientation alone.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    bytes.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn mean_difference(a: &Image8, b: &Image8) -> f64 {
    assert_eq!((a.width, a.height, a.channels), (b.width, b.height, b.channels));
    let sum: f64 = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.data.len() as f64
}

fn data_file(rel: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TESSERA_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let path = root.join(rel);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn all_formats_decode_to_the_same_picture() {
    let picture = gradient(60, 40);
    let expected = Image8 { width: 60, height: 40, channels: 3, data: picture.as_raw().clone() };
    let dynamic = DynamicImage::from(picture);
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Jpeg] {
        let bytes = bytes_as(&dynamic, format);
        assert_eq!(dimensions(&bytes, HERE.as_ref()).expect("header"), (60, 40), "{format:?}");
        let decoded = decode(&bytes, HERE.as_ref()).expect("decode");
        let difference = mean_difference(&decoded, &expected);
        let allowed = if format == ImageFormat::Jpeg { 3.0 } else { 0.0 };
        assert!(difference <= allowed, "{format:?} differs by {difference} of 255");
    }
}

#[test]
fn exr_is_linear_light_and_becomes_srgb() {
    let linear = ::image::Rgb32FImage::from_fn(4, 1, |x, _| ::image::Rgb([[0.0, 0.5, 1.0, 7.0][x as usize]; 3]));
    let bytes = bytes_as(&DynamicImage::from(linear), ImageFormat::OpenExr);
    assert_eq!(dimensions(&bytes, HERE.as_ref()).expect("header"), (4, 1));
    let decoded = decode(&bytes, HERE.as_ref()).expect("decode");
    assert_eq!(decoded.data.chunks(3).map(|p| p[0]).collect::<Vec<_>>(), [0, 188, 255, 255]);
}

#[test]
fn grey_palette_and_16_bit_images_become_8_bit_colours() {
    let grey = DynamicImage::from(GrayImage::from_raw(2, 1, vec![10, 200]).expect("size"));
    let decoded = decode(&bytes_as(&grey, ImageFormat::Png), HERE.as_ref()).expect("grey");
    assert_eq!((decoded.channels, &decoded.data[..]), (3, &[10, 10, 10, 200, 200, 200][..]));

    let deep = ::image::ImageBuffer::<::image::Rgba<u16>, _>::from_raw(1, 1, vec![0, 257 * 99, 65535, 32768]);
    let decoded = decode(&bytes_as(&DynamicImage::from(deep.expect("size")), ImageFormat::Png), HERE.as_ref());
    assert_eq!(decoded.expect("16 bits").data, [0, 99, 255, 128]);
}

#[test]
fn exif_orientation_is_applied_to_pixels_and_dimensions() {
    let picture = gradient(48, 32);
    for orientation in 1..=8 {
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.set_exif_metadata(exif(orientation)).expect("exif");
        encoder.write_image(picture.as_raw(), 48, 32, ExtendedColorType::Rgb8).expect("encode");
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif(orientation)).expect("exif");
        encoder.write_image(picture.as_raw(), 48, 32, ExtendedColorType::Rgb8).expect("encode");

        let mut upright = DynamicImage::from(picture.clone());
        upright.apply_orientation(::image::metadata::Orientation::from_exif(orientation).expect("1 to 8"));
        let (width, height) = (upright.width(), upright.height());
        let expected = Image8 { width, height, channels: 3, data: upright.into_bytes() };
        for bytes in [jpeg, png] {
            assert_eq!(dimensions(&bytes, HERE.as_ref()).expect("header"), (width, height), "{orientation}");
            let difference = mean_difference(&decode(&bytes, HERE.as_ref()).expect("decode"), &expected);
            assert!(difference < 2.0, "orientation {orientation} differs by {difference} of 255");
        }
    }
}

#[test]
fn damaged_files_are_refused_in_one_sentence() {
    let picture = DynamicImage::from(gradient(64, 64));
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::OpenExr] {
        let picture = if format == ImageFormat::OpenExr { picture.to_rgb32f().into() } else { picture.clone() };
        let bytes = bytes_as(&picture, format);
        for end in [0, 3, 20, bytes.len() / 2, bytes.len() - 20] {
            let error = decode(&bytes[..end], Path::new("a/b.jpg")).err();
            let error = error.unwrap_or_else(|| panic!("{format:?} cut to {end} of {} was read", bytes.len()));
            let text = error.to_string();
            assert!(text.starts_with("a/b.jpg: ") && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn headers_that_claim_gigapixels_are_refused() {
    let mut bytes = bytes_as(&DynamicImage::from(gradient(4, 4)), ImageFormat::Bmp);
    bytes[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    let error = decode(&bytes, Path::new("big.bmp")).expect_err("3.6 gigapixels").to_string();
    assert!(error.contains("60000x60000") && error.contains("200 million"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn mutated_images_never_panic(
        kind in 0_usize..6,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let picture = DynamicImage::from(gradient(17, 9));
        let mut bytes = match kind {
            0 => bytes_as(&picture, ImageFormat::Png),
            1 => bytes_as(&picture, ImageFormat::Jpeg),
            2 => bytes_as(&picture, ImageFormat::WebP),
            3 => bytes_as(&picture, ImageFormat::Tiff),
            4 => bytes_as(&picture, ImageFormat::Bmp),
            _ => bytes_as(&picture.to_rgb32f().into(), ImageFormat::OpenExr),
        };
        for (at, value) in edits {
            let at = at.index(bytes.len().min(400));
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = dimensions(&bytes, HERE.as_ref());
        let _ = decode(&bytes, HERE.as_ref());
        let _ = decode_depth(&bytes, HERE.as_ref(), 1.0);
    }
}

#[test]
fn resizing_averages_areas_and_weights_colours_by_alpha() {
    let image = Image8 { width: 3, height: 1, channels: 3, data: vec![0, 0, 0, 90, 90, 90, 240, 240, 240] };
    let half = image.resized(2, 1);
    assert_eq!(half.data.chunks(3).map(|p| p[0]).collect::<Vec<_>>(), [30, 190], "1.5 pixels each");

    let rgba = Image8 { width: 2, height: 2, channels: 4, data: [[200, 0, 0, 255], [0, 9, 9, 0]].repeat(2).concat() };
    assert_eq!(rgba.resized(1, 1).data, [200, 0, 0, 128], "a transparent pixel has no colour to add");

    let constant = Image8 { width: 640, height: 479, channels: 3, data: vec![77; 640 * 479 * 3] };
    assert!(constant.resized(123, 57).data.iter().all(|&v| v == 77));
    assert!(constant.resized(641, 500).data.iter().all(|&v| v == 77));

    let depth = DepthImage { width: 4, height: 1, data: vec![1.0, 2.0, 3.0, 4.0] };
    assert_eq!(depth.resized(2, 1).data, [2.0, 4.0], "the nearest depth, never a mixture");
}

#[test]
fn depth_png_and_exr_round_trip_through_their_scale() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("depth.png");
    let depth = DepthImage { width: 3, height: 1, data: vec![0.0, 1.25, 70.0] };
    save_depth_png(&path, &depth, 0.001).expect("save");
    let read = decode_depth(&std::fs::read(&path).expect("read"), &path, 0.001).expect("decode");
    assert_eq!(read.data, [0.0, 1.25, 0.0], "70 m are more than 65535 mm, thus unknown");

    let values = [0.5_f32, -1.0, f32::NAN, 4.0];
    let floats = ::image::Rgb32FImage::from_raw(4, 1, values.iter().flat_map(|&v| [v; 3]).collect()).expect("size");
    let bytes = bytes_as(&DynamicImage::from(floats), ImageFormat::OpenExr);
    assert_eq!(decode_depth(&bytes, HERE.as_ref(), 2.0).expect("decode").data, [1.0, 0.0, 0.0, 8.0]);

    let picture = bytes_as(&DynamicImage::from(gradient(4, 4)), ImageFormat::Png);
    let error = decode_depth(&picture, HERE.as_ref(), 1.0).expect_err("8 bits").to_string();
    assert!(error.contains("16-bit"), "{error}");
}

#[test]
fn tiff_orientation_is_respected() {
    let mut bytes = Cursor::new(Vec::new());
    TiffEncoder::new(&mut bytes).write_image(gradient(6, 2).as_raw(), 6, 2, ExtendedColorType::Rgb8).expect("encode");
    // The encoder writes no orientation, so an unneeded tag (resolution unit) is made one.
    let mut bytes = bytes.into_inner();
    let tag = [0x28, 0x01, 3, 0, 1, 0, 0, 0];
    let at = bytes.windows(8).position(|w| w == tag).expect("the resolution unit's tag");
    bytes[at..at + 2].copy_from_slice(&[0x12, 0x01]);
    bytes[at + 8] = 6;
    assert_eq!(dimensions(&bytes, HERE.as_ref()).expect("header"), (2, 6));
    let decoded = decode(&bytes, HERE.as_ref()).expect("decode");
    assert_eq!((decoded.width, decoded.height), (2, 6));
}

#[test]
fn saved_pictures_come_back_and_replace_older_ones() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("a.png");
    let mut image = Image8::new(5, 4, 4);
    image.data.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8);
    save_png(&path, &Image8::new(1, 1, 3)).expect("first");
    save_png(&path, &image).expect("second");
    assert_eq!(decode(&std::fs::read(&path).expect("read"), &path).expect("decode"), image);
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1, "no temporary file is left");
    let error = save_png(folder.path().join("no/b.png"), &image).expect_err("no folder").to_string();
    assert!(error.contains("folder does not exist"), "{error}");
}

#[test]
fn colour_maps_run_from_blue_to_red_and_leave_the_unknown_black() {
    let depth = DepthImage { width: 4, height: 1, data: vec![0.0, 1.0, 2.0, f32::NAN] };
    let mapped = colour_map(&depth, Some([1.0, 2.0]));
    assert_eq!(mapped.pixel(0, 0), [0, 0, 0]);
    assert_eq!(mapped.pixel(3, 0), [0, 0, 0]);
    let (near, far) = (mapped.pixel(1, 0), mapped.pixel(2, 0));
    assert!(near[2] > near[1] && far[0] > 100 && far[2] < 30, "near {near:?}, far {far:?}");
}

/// A folder of `n` grey photos of 32x24 pixels with masks and depth, and its frames.
fn small_capture(n: usize) -> (tempfile::TempDir, Arc<Files>, Vec<Frame>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let frames = (0..n)
        .map(|i| {
            let grey = Image8 { width: 32, height: 24, channels: 3, data: vec![i as u8; 32 * 24 * 3] };
            save_png(folder.path().join(format!("{i}.png")), &grey).expect("save");
            Frame {
                name: i.to_string(),
                image: format!("{i}.png"),
                video_frame: None,
                mask: None,
                depth: None,
                normals: None,
                camera: Camera::from_horizontal_fov(32, 24, 1.0),
                camera_from_world: Pose::identity(),
                time: None,
                rig_camera: None,
                split: None,
            }
        })
        .collect();
    let files = Arc::new(Files::open(folder.path()).expect("folder"));
    (folder, files, frames)
}

#[test]
fn the_cache_stays_within_its_capacity_and_forgets_the_oldest() {
    let (folder, files, frames) = small_capture(10);
    let one = 16 * 12 * 3;
    let cache = ImageCache::new(files, 3 * one, None);
    for frame in &frames {
        assert_eq!(cache.get(frame, (16, 12)).expect("decode").image.pixel(3, 3)[0].to_string(), frame.name);
        assert!(cache.bytes() <= 3 * one, "{} bytes of {}", cache.bytes(), 3 * one);
    }
    cache.get(&frames[7], (16, 12)).expect("kept");
    cache.get(&frames[0], (16, 12)).expect("decoded again"); // pushes out 8, the oldest by now
    drop(folder); // from here on only what is kept can be had
    for kept in [0, 7, 9] {
        cache.get(&frames[kept], (16, 12)).unwrap_or_else(|e| panic!("frame {kept} was forgotten: {e}"));
    }
    let error = cache.get(&frames[8], (16, 12)).expect_err("forgotten").to_string();
    assert!(error.contains("8.png"), "{error}");
}

#[test]
fn images_larger_than_the_cache_are_given_out_but_not_kept() {
    let (_folder, files, frames) = small_capture(1);
    let cache = ImageCache::new(files, 100, Some(16));
    assert_eq!(cache.full_size(&frames[0]), (16, 12));
    assert_eq!(cache.get(&frames[0], (16, 12)).expect("decode").image.width, 16);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn masks_and_depth_come_at_the_size_of_the_image() {
    let (folder, files, mut frames) = small_capture(1);
    let mut mask = Image8::new(64, 48, 3);
    mask.data[..64 * 24 * 3].fill(255);
    save_png(folder.path().join("mask.png"), &mask).expect("save");
    let depth = DepthImage { width: 16, height: 12, data: vec![2.0; 16 * 12] };
    save_depth_png(folder.path().join("depth.png"), &depth, 0.01).expect("save");
    frames[0].mask = Some(MaskSource { path: "mask.png".into(), kind: MaskKind::Foreground });
    frames[0].depth = Some(DepthSource { path: "depth.png".into(), scale: 0.02 });
    let cache = ImageCache::new(files, 1 << 20, None);
    let pixels = cache.get(&frames[0], (32, 24)).expect("decode");
    let mask = pixels.mask.as_ref().expect("mask");
    assert_eq!((mask.data.len(), mask.data[0], mask.data[32 * 24 - 1]), (32 * 24, 255, 0));
    assert!(pixels.depth.as_ref().expect("depth").data.iter().all(|&d| (d - 4.0).abs() < 1e-6));
    assert_eq!(cache.bytes(), 32 * 24 * (3 + 1 + 4));
}

#[test]
fn masks_and_depth_of_photos_stored_sideways_turn_with_them() {
    for orientation in 5..=8 {
        let (folder, files, mut frames) = small_capture(1);
        let picture = gradient(32, 24);
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif(orientation)).expect("exif");
        encoder.write_image(picture.as_raw(), 32, 24, ExtendedColorType::Rgb8).expect("encode");
        std::fs::write(folder.path().join("sideways.png"), png).expect("save");
        // A mask that is the photo's red channel, and depth alike, both as the pixels are stored.
        let red: Vec<u8> = picture.as_raw().iter().copied().step_by(3).collect();
        let grey = ::image::GrayImage::from_raw(32, 24, red.clone()).expect("as many pixels");
        grey.save(folder.path().join("mask.png")).expect("save");
        let depth = DepthImage { width: 32, height: 24, data: red.iter().map(|&v| 1.0 + f32::from(v)).collect() };
        save_depth_png(folder.path().join("depth.png"), &depth, 1.0).expect("save");
        frames[0].image = "sideways.png".into();
        frames[0].camera = Camera::from_horizontal_fov(24, 32, 1.0);
        frames[0].mask = Some(MaskSource { path: "mask.png".into(), kind: MaskKind::Ignore });
        frames[0].depth = Some(DepthSource { path: "depth.png".into(), scale: 1.0 });
        let pixels = ImageCache::new(files, 1 << 20, None).get(&frames[0], (24, 32)).expect("decode");
        let expected: Vec<u8> = pixels.image.data.iter().copied().step_by(3).collect();
        assert_eq!(pixels.mask.as_ref().expect("mask").data, expected, "mask beside orientation {orientation}");
        let depth: Vec<u8> = pixels.depth.as_ref().expect("depth").data.iter().map(|&d| (d - 1.0) as u8).collect();
        assert_eq!(depth, expected, "depth beside orientation {orientation}");
    }
}

#[test]
fn photos_that_disagree_with_their_camera_are_refused() {
    let (_folder, files, mut frames) = small_capture(1);
    frames[0].camera = Camera::from_horizontal_fov(64, 48, 1.0);
    let error = ImageCache::new(files, 1 << 20, None).get(&frames[0], (32, 24)).expect_err("other size").to_string();
    assert!(error.contains("has 32x24 pixels but its camera is calibrated for 64x48"), "{error}");
}

#[test]
fn many_threads_get_what_they_ask_for() {
    let (_folder, files, frames) = small_capture(8);
    let frames: Vec<Arc<Frame>> = frames.into_iter().map(Arc::new).collect();
    let cache = Arc::new(ImageCache::new(files, 2 * 32 * 24 * 3, None));
    let prefetcher = Prefetcher::new(&cache, 2, 4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, frames, prefetcher) = (&cache, &frames, &prefetcher);
            scope.spawn(move || {
                for i in 0..200 {
                    let frame = &frames[(i * 7 + thread * 3) % frames.len()];
                    prefetcher.announce(&frames[(i + 1) % frames.len()], (32, 24));
                    let pixels = cache.get(frame, (32, 24)).expect("decode");
                    assert_eq!(pixels.image.pixel(31, 23)[0].to_string(), frame.name);
                }
            });
        }
    });
    assert!(cache.bytes() <= 2 * 32 * 24 * 3);
}

#[test]
fn announced_frames_are_there_before_they_are_asked_for() {
    let (folder, files, frames) = small_capture(3);
    let frames: Vec<Arc<Frame>> = frames.into_iter().map(Arc::new).collect();
    let cache = Arc::new(ImageCache::new(files, 1 << 20, None));
    let prefetcher = Prefetcher::new(&cache, 1, 3);
    assert!(frames.iter().all(|frame| prefetcher.announce(frame, (8, 6))));
    let start = std::time::Instant::now();
    while cache.bytes() < 3 * 8 * 6 * 3 && start.elapsed().as_secs() < 60 {
        std::thread::yield_now();
    }
    drop(folder);
    frames.iter().for_each(|frame| drop(cache.get(frame, (8, 6)).expect("prefetched")));
}

#[test]
fn real_files_decode() {
    if let Some(path) = data_file("images/albert.exr") {
        let image = decode(&std::fs::read(&path).expect("read"), &path).expect("albert");
        let mean = image.data.iter().map(|&v| f64::from(v)).sum::<f64>() / image.data.len() as f64;
        assert!((20.0..235.0).contains(&mean), "mean {mean}");
    }
    if let Some(path) = data_file("images/courtyard.exr") {
        let image = decode(&std::fs::read(&path).expect("read"), &path).expect("DWAB compression");
        assert_eq!((image.width, image.height, image.channels), (1024, 512, 3));
    }
    if let Some(path) = data_file("images/aerial_seneca_1024.jpg") {
        let image = decode(&std::fs::read(&path).expect("read"), &path).expect("jpeg");
        assert_eq!((image.width, image.channels), (1024, 3));
    }
}
