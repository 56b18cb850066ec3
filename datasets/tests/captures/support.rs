//! Made captures: files in a temporary folder.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use tempfile::TempDir;
use tessera_datasets::capture::Capture;

/// A temporary folder that files are put into.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn put(&self, rel: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(rel);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
        self
    }

    pub fn remove(&self, rel: &str) -> &Self {
        fs::remove_file(self.path().join(rel)).expect("removed");
        self
    }

    pub fn open(&self) -> Capture {
        Capture::open(self.path()).unwrap_or_else(|error| panic!("should open: {error}"))
    }

    /// The message of the error that opening gives, checked to be one sentence on one line.
    pub fn error(&self) -> String {
        let error = Capture::open(self.path()).expect_err("should be refused").to_string();
        assert!(!error.contains('\n'), "more than one line: {error}");
        error
    }

    /// Fails unless opening is refused with a message that holds all of `words`.
    pub fn refused_with(&self, words: &[&str]) {
        let error = self.error();
        for word in words {
            assert!(error.contains(word), "'{word}' is not in: {error}");
        }
    }

    /// All files in one archive, below the folder `top`.
    pub fn zipped(&self, top: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".zip").tempfile().expect("a temporary file");
        let mut zip = zip::ZipWriter::new(file.reopen().expect("reopened"));
        let files = tessera_datasets::files::Files::open(self.path()).expect("opens");
        for rel in files.list().expect("listed") {
            zip.start_file(format!("{top}{rel}"), zip::write::SimpleFileOptions::default()).expect("started");
            zip.write_all(&files.read(&rel).expect("read")).expect("written");
        }
        zip.finish().expect("finished");
        file
    }
}

/// A PNG of one colour.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb([90, 120, 150]));
    picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).expect("encoded");
    bytes
}

/// A JPEG of one colour with an EXIF orientation.
pub fn jpeg(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb([90, 120, 150]));
    picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg).expect("encoded");
    // One TIFF directory with one entry: tag 0x0112, type SHORT, count 1.
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).expect("short");
    let mut segment = vec![0xFF, 0xE1];
    segment.extend(length.to_be_bytes());
    segment.extend(exif);
    bytes.splice(2..2, segment);
    bytes
}
