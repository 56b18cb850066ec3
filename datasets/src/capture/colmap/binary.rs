//! COLMAP's `.bin` files: little-endian records after a 64-bit count, which is never trusted.

use super::{Cameras, ModelImage, Parsed, Point, camera, insert_camera};
use crate::camera::LensModel;

/// `cameras.bin`: for each camera id `u32`, model `i32`, width and height `u64`, parameters `f64`.
pub(super) fn cameras(bytes: &[u8]) -> Parsed<Cameras> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(24)?;
    let mut cameras = Cameras::with_capacity(count);
    for _ in 0..count {
        let id = reader.u32()?;
        let model = LensModel::from_id(reader.u32()?).map_err(|e| format!("camera {id} has an {e}"))?;
        let size = (reader.u64()?, reader.u64()?);
        let mut parameters = [0.0; 12];
        let parameters = &mut parameters[..model.parameter_count()];
        for parameter in &mut *parameters {
            *parameter = reader.f64()?;
        }
        insert_camera(&mut cameras, id, camera(id, model, size, parameters)?)?;
    }
    reader.end()?;
    Ok(cameras)
}

/// `images.bin`: for each image id `u32`, quaternion (w, x, y, z) and translation `f64`, camera id `u32`, name up to
/// a zero byte, count `u64` of observations, each x and y `f64` and point id `u64`. Observations are skipped.
pub(super) fn images(bytes: &[u8]) -> Parsed<Vec<ModelImage>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(73)?;
    let mut images = Vec::with_capacity(count);
    for _ in 0..count {
        reader.u32()?;
        let rotation = [reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?];
        let translation = [reader.f64()?, reader.f64()?, reader.f64()?];
        let camera = reader.u32()?;
        let name = reader.name()?;
        reader.skip_records(24)?;
        images.push(ModelImage { name, camera, rotation, translation });
    }
    reader.end()?;
    Ok(images)
}

/// `points3D.bin`: for each point id `u64`, position `f64`, colour `u8`, error `f64`, count `u64` of track elements,
/// each image id and observation `u32`. Errors and tracks are skipped.
pub(super) fn points(bytes: &[u8]) -> Parsed<Vec<Point>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(51)?;
    let mut points = Vec::with_capacity(count);
    for _ in 0..count {
        reader.u64()?;
        let position = [reader.f64()?, reader.f64()?, reader.f64()?];
        let colour = reader.array()?;
        reader.f64()?;
        reader.skip_records(8)?;
        points.push(Point { position, colour });
    }
    reader.end()?;
    Ok(points)
}

/// What is left of a file.
struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(taken)
    }

    fn truncated(&self) -> String {
        format!("is truncated or damaged: a record runs past its end at byte {}", self.length)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn f64(&mut self) -> Parsed<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// The number of records, of which each takes at least `record` bytes.
    fn count(&mut self, record: usize) -> Parsed<usize> {
        let stated = self.u64()?;
        let possible = self.rest.len() / record;
        usize::try_from(stated).ok().filter(|count| *count <= possible).ok_or_else(|| {
            format!("is truncated or damaged: it announces {stated} records but has room for {possible} at most")
        })
    }

    /// Skips a count and as many records of `record` bytes.
    fn skip_records(&mut self, record: usize) -> Parsed<()> {
        let count = self.count(record)?;
        self.take(count * record).map(|_| ())
    }

    fn name(&mut self) -> Parsed<String> {
        let end = self.rest.iter().position(|b| *b == 0).ok_or_else(|| self.truncated())?;
        let name = self.take(end + 1)?;
        let name = std::str::from_utf8(&name[..end]).map_err(|_| "holds an image name that is not UTF-8".to_owned())?;
        if name.is_empty() { Err("holds an image without name".to_owned()) } else { Ok(name.to_owned()) }
    }

    fn end(&self) -> Parsed<()> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(format!("is damaged: {extra} bytes follow its last record")),
        }
    }
}
