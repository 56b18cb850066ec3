use super::*;
use crate::format::Existing;
use image::{DynamicImage, ImageFormat};
use std::io::Cursor;

const WIDTH: u32 = 37;
const HEIGHT: u32 = 83;

/// A made picture: each value differs from its neighbours'.
fn values(channels: usize) -> Vec<u8> {
    (0..WIDTH as usize * HEIGHT as usize * channels).map(|i| (i * 7 % 251) as u8).collect()
}

/// The made picture with 8 or 16 bits for a number.
fn picture(channels: usize, sixteen_bits: bool) -> DynamicImage {
    let eight: Option<DynamicImage> = match channels {
        1 => image::GrayImage::from_raw(WIDTH, HEIGHT, values(1)).map(Into::into),
        3 => image::RgbImage::from_raw(WIDTH, HEIGHT, values(3)).map(Into::into),
        _ => image::RgbaImage::from_raw(WIDTH, HEIGHT, values(4)).map(Into::into),
    };
    let eight = eight.expect("as many values as pixels");
    match (sixteen_bits, channels) {
        (false, _) => eight,
        (true, 1) => eight.into_luma16().into(),
        (true, 3) => eight.into_rgb16().into(),
        (true, _) => eight.into_rgba16().into(),
    }
}

/// All rows of a file, asked for in bands of some height, and how many numbers a pixel has.
fn read(path: &Path, band: u32) -> (Vec<f32>, usize) {
    let mut reader = RowReader::open(path).expect("opens");
    assert_eq!(reader.size(), [WIDTH, HEIGHT]);
    let mut out = Vec::new();
    while reader.next < HEIGHT {
        out.extend(reader.rows(band).expect("rows"));
    }
    (out, reader.channels())
}

fn file_of(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (dir, path)
}

/// A TIFF file of 8-bit colours in tiles, which common encoders do not write. Tiles reach beyond the picture.
fn tiled_tiff(tile: u32) -> Vec<u8> {
    let pixels = values(3);
    let (across, down) = (WIDTH.div_ceil(tile), HEIGHT.div_ceil(tile));
    let bytes_of_a_tile = 3 * tile * tile;
    let tags: u32 = 10;
    let lists = 8 + 2 + 12 * tags + 4;
    let data = lists + 8 * across * down + 6;
    let mut out = [b"II*\0".as_slice(), &8_u32.to_le_bytes(), &(tags as u16).to_le_bytes()].concat();
    let mut tag = |id: u16, kind: u16, count: u32, value: u32| {
        out.extend([id.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    };
    tag(256, 4, 1, WIDTH);
    tag(257, 4, 1, HEIGHT);
    tag(258, 3, 3, lists + 8 * across * down);
    tag(259, 3, 1, 1);
    tag(262, 3, 1, 2);
    tag(277, 3, 1, 3);
    tag(322, 4, 1, tile);
    tag(323, 4, 1, tile);
    tag(324, 4, across * down, lists);
    tag(325, 4, across * down, lists + 4 * across * down);
    out.extend(0_u32.to_le_bytes());
    (0..across * down).for_each(|i| out.extend((data + i * bytes_of_a_tile).to_le_bytes()));
    (0..across * down).for_each(|_| out.extend(bytes_of_a_tile.to_le_bytes()));
    out.extend([8_u16; 3].iter().flat_map(|bits| bits.to_le_bytes()));
    for index in 0..across * down {
        for y in 0..tile {
            for x in 0..tile {
                let (x, y) = (index % across * tile + x, index / across * tile + y);
                let at = 3 * (y * WIDTH + x) as usize;
                let is_inside = x < WIDTH && y < HEIGHT;
                out.extend_from_slice(if is_inside { &pixels[at..at + 3] } else { &[99; 3] });
            }
        }
    }
    out
}

#[test]
fn rows_of_png_and_tiff_are_the_pixels_of_the_picture_whatever_the_bands() {
    for (format, name) in [(ImageFormat::Png, "picture.png"), (ImageFormat::Tiff, "picture.tif")] {
        for (channels, sixteen_bits) in [(1, false), (3, false), (4, false), (1, true), (3, true), (4, true)] {
            let mut bytes = Vec::new();
            let made = picture(channels, sixteen_bits);
            made.write_to(&mut Cursor::new(&mut bytes), format).expect("encoded");
            let (_dir, path) = file_of(&bytes, name);
            let expected: Vec<f32> = values(channels).iter().map(|v| f32::from(*v) / 255.0).collect();
            for band in [1, 16, 50, HEIGHT] {
                let (rows, found) = read(&path, band);
                assert_eq!(found, channels, "{name} with {channels} channels");
                let worst = rows.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // 257 times a byte of 65,535 is that byte of 255, but for the rounding of one division.
                assert!(worst <= f32::EPSILON, "{name}, {channels} channels, bands of {band}: {worst} apart");
            }
        }
    }
}

#[test]
fn tiles_of_tiff_files_come_together_to_rows() {
    let (_dir, path) = file_of(&tiled_tiff(16), "tiles.tif");
    let expected: Vec<f32> = values(3).iter().map(|v| f32::from(*v) / 255.0).collect();
    for band in [1, 7, 16, HEIGHT] {
        assert_eq!(read(&path, band).0, expected, "in bands of {band}");
    }
    let held = RowReader::open(&path).expect("opens").held_bytes();
    assert!(held < 3 * u64::from(WIDTH * HEIGHT), "{held} bytes are held for tiles of 768");
}

#[test]
fn exr_rows_are_what_was_written_whatever_the_bands_and_channels() {
    let dir = tempfile::tempdir().expect("a folder");
    for channels in [1, 3, 4] {
        let path = dir.path().join(format!("{channels}.exr"));
        // Brighter than white is kept, and what is wholly transparent has no colour.
        let mut made: Vec<f32> = values(channels).iter().map(|v| f32::from(*v) / 128.0).collect();
        if channels == 4 {
            for pixel in made.as_chunks_mut::<4>().0 {
                pixel[3] = (pixel[3] / 2.0).max(0.01);
            }
        }
        let per_row = WIDTH as usize * channels;
        let bands = made.chunks(5 * per_row).map(|band| Ok::<_, DataError>(band.to_vec()));
        write_rows(&path, [WIDTH, HEIGHT], channels, false, Existing::Keep, bands).expect("written");
        for band in [1, 16, 50, HEIGHT] {
            let (rows, found) = read(&path, band);
            assert_eq!(found, channels);
            // A power of 2.4 and its inverse, a product with alpha and a quotient: each is a few roundings of 32 bits.
            for (i, (a, b)) in rows.iter().zip(&made).enumerate() {
                assert!(
                    (a - b).abs() <= 2e-6 * b.max(1.0),
                    "{channels} channels, bands of {band}, value {i}: {a}, {b}"
                );
            }
        }
        assert_eq!(RowReader::open(&path).expect("opens").held_bytes(), 0, "EXR is read by blocks");
    }
}

#[test]
fn exr_files_in_tiles_and_of_half_precision_are_read_by_rows() {
    use ::exr::prelude::{Blocks, Compression, Encoding, Image, LineOrder, SpecificChannels, Vec2, WritableImage};
    let dir = tempfile::tempdir().expect("a folder");
    let made = |p: Vec2<usize>| (p.x() * 7 + p.y() * 13) as f32 / 2048.0;
    for (name, blocks, line_order) in [
        ("tiles", Blocks::Tiles(Vec2(16, 24)), LineOrder::Increasing),
        ("downwards", Blocks::ScanLines, LineOrder::Decreasing),
    ] {
        let path = dir.path().join(format!("{name}.exr"));
        let pixel = |p: Vec2<usize>| {
            let v = half::f16::from_f32(made(p));
            (v, half::f16::from_f32(0.5), v)
        };
        let mut image = Image::from_channels((WIDTH as usize, HEIGHT as usize), SpecificChannels::rgb(pixel));
        image.layer_data.encoding = Encoding { compression: Compression::ZIP1, blocks, line_order };
        image.write().to_file(&path).expect("written");
        for band in [1, 20, HEIGHT] {
            let (rows, channels) = read(&path, band);
            assert_eq!(channels, 3);
            for (i, pixel) in rows.chunks_exact(3).enumerate() {
                let expected = made(Vec2(i % WIDTH as usize, i / WIDTH as usize));
                // All numbers made are multiples of 1/2048 below 2, which 16 bits hold exactly up to 1.
                let linear = half::f16::from_f32(expected).to_f32();
                assert_eq!(pixel[0], srgb_beyond_white(linear), "{name}: pixel {i} in bands of {band}");
                assert_eq!(pixel[1], srgb_beyond_white(0.5), "{name}: pixel {i} in bands of {band}");
            }
        }
    }
}

#[test]
fn rows_can_be_left_out() {
    let mut bytes = Vec::new();
    picture(3, false).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("encoded");
    let (_dir, png) = file_of(&bytes, "picture.png");
    let (_dir, tiff) = file_of(&tiled_tiff(32), "tiles.tif");
    for path in [png, tiff] {
        let (all, _) = read(&path, HEIGHT);
        let mut reader = RowReader::open(&path).expect("opens");
        reader.skip(40);
        assert_eq!(reader.rows(3).expect("rows"), all[40 * 3 * WIDTH as usize..43 * 3 * WIDTH as usize]);
        reader.skip(1000);
        assert!(reader.rows(3).expect("no rows").is_empty());
    }
}

#[test]
fn formats_that_are_decoded_at_once_say_what_they_hold() {
    let mut bytes = Vec::new();
    let (width, height) = (64, 48);
    let made = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 90]));
    DynamicImage::from(made).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).expect("encoded");
    let (_dir, path) = file_of(&bytes, "photo.jpg");
    let mut reader = RowReader::open(&path).expect("opens");
    assert_eq!(reader.held_bytes(), 2 * bytes.len() as u64 + u64::from(3 * width * height));
    let rows = reader.rows(height).expect("rows");
    let decoded = super::super::decode(&bytes, &path).expect("decodes");
    let expected: Vec<f32> = decoded.data.iter().map(|v| f32::from(*v) / 255.0).collect();
    assert_eq!(rows, expected);
}

#[test]
fn damaged_files_end_in_one_sentence() {
    let dir = tempfile::tempdir().expect("a folder");
    let exr = dir.path().join("picture.exr");
    let bands = std::iter::once(Ok::<_, DataError>(values(3).iter().map(|v| f32::from(*v) / 255.0).collect()));
    write_rows(&exr, [WIDTH, HEIGHT], 3, false, Existing::Keep, bands).expect("written");
    let mut png = Vec::new();
    picture(3, true).write_to(&mut Cursor::new(&mut png), ImageFormat::Png).expect("encoded");
    let whole = [("a.exr", std::fs::read(&exr).expect("read")), ("a.png", png), ("a.tif", tiled_tiff(16))];
    for (name, bytes) in whole {
        for part in [10, bytes.len() / 2, bytes.len() / 8 * 7] {
            let path = dir.path().join(name);
            std::fs::write(&path, &bytes[..part]).expect("written");
            let read = RowReader::open(&path).and_then(|mut reader| reader.rows(HEIGHT)).map(|rows| rows.len());
            let said = read.expect_err(&format!("{part} bytes of {name} are no picture")).to_string();
            assert!(said.contains(name) && said.lines().count() == 1, "{said}");
        }
    }
}

#[test]
fn a_band_that_fails_leaves_no_file() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["a.png", "a.exr"] {
        let path = dir.path().join(name);
        let first = vec![0.5; 20 * WIDTH as usize];
        let bands = [Ok(first), Err(DataError::new(&path, "failed")), Ok(Vec::new())].into_iter();
        let failed = write_rows(&path, [WIDTH, HEIGHT], 1, false, Existing::Keep, bands);
        assert!(failed.is_err_and(|e| e.to_string().contains("failed")), "{name} was written");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "{name} left something behind");
    }
}
