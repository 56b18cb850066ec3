//! Gaussian splats in the INRIA layout (Kerbl et al. 2023): one vertex per splat, `f_dc_*` and `f_rest_*` for the
//! spherical harmonics, logits for opacity, logarithms for scales, quaternions (w, x, y, z).
//!
//! In the file, `f_rest` is channel-major: all coefficients of red, then green, then blue. Comments keep what the
//! layout has no place for: `comment antialiased 1`, and `comment tessera scene_from_world` with translation (3),
//! quaternion w x y z (4) and scale (1).

use super::header::{Element, Header};
use super::table::read_rows;
use crate::camera::Similarity;
use crate::format::stream::{CloudSource, SplatHeader, SplatSink, SplatSource};
use crate::format::{Existing, write_atomically};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use nalgebra::{Quaternion, Translation3, UnitQuaternion};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

const FIXED: [&str; 14] = [
    "x", "y", "z", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "opacity", "f_dc_0", "f_dc_1",
    "f_dc_2",
];
const ANTIALIASED: [&str; 2] = ["antialiased", "tessera antialiased"];
const SCENE_FROM_WORLD: &str = "tessera scene_from_world";

/// What replaces an infinite logit or logarithm, as other programs write for full opacity and flat splats: beyond it,
/// `f32` sigmoid and exponential no longer differ from 0 or 1.
const SATURATED: f32 = 40.0;

/// Reads splats of degree 0 to 3. Normals and unknown properties are skipped; a quaternion of length zero becomes the
/// identity.
///
/// # Errors
/// When the file is missing, truncated, no PLY, not of this layout, or holds values that are not finite.
pub fn read_splats(path: impl AsRef<Path>) -> Result<SplatCloud> {
    let path = path.as_ref();
    let (mut reader, length) = super::open(path)?;
    read(&mut reader, length, path)
}

/// Opens a splat PLY.
///
/// # Errors
/// As [`read_splats`].
pub(in crate::format) fn open_splats(path: &Path) -> Result<Box<dyn SplatSource>> {
    Ok(Box::new(CloudSource::new(read_splats(path)?)))
}

/// Begins a splat PLY in the INRIA layout.
pub(in crate::format) fn create_splats(
    path: &Path,
    header: &SplatHeader,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    Ok(Box::new(Writer { path: path.to_owned(), existing, cloud: header.empty_cloud(0) }))
}

struct Writer {
    path: PathBuf,
    existing: Existing,
    cloud: SplatCloud,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        self.cloud.append(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        write_splats(&self.path, &self.cloud, self.existing)
    }
}

/// [`read_splats`] of a file in memory; `path` is for messages only.
///
/// # Errors
/// As [`read_splats`].
pub fn parse_splats(bytes: &[u8], path: &Path) -> Result<SplatCloud> {
    read(&mut &bytes[..], bytes.len() as u64, path)
}

fn read(reader: &mut impl BufRead, length: u64, path: &Path) -> Result<SplatCloud> {
    let header = Header::read(reader, path)?;
    let vertex = header.elements.iter().find(|e| e.name == "vertex");
    let vertex = vertex.ok_or_else(|| DataError::new(path, "is a PLY file without a 'vertex' element"))?;
    let sh_degree = check_layout(vertex, path)?;
    let rest = SplatCloud::rest_coefficients(sh_degree);
    let wanted: Vec<String> =
        FIXED.iter().map(|&n| n.to_owned()).chain((0..3 * rest).map(|i| format!("f_rest_{i}"))).collect();
    let mut cloud = SplatCloud::with_capacity(0, sh_degree);
    cloud.antialiased = header.comment_values(&ANTIALIASED).is_some_and(|v| matches!(v[..], ["1" | "true"]));
    if let Some(values) = header.comment_values(&[SCENE_FROM_WORLD]) {
        cloud.scene_from_world = parse_similarity(&values)
            .ok_or_else(|| DataError::new(path, format!("has a damaged comment '{SCENE_FROM_WORLD}'")))?;
    }
    read_rows(reader, &header, "vertex", &wanted, length, path, |columns| append(&mut cloud, columns, rest, path))?;
    Ok(cloud)
}

/// The SH degree, or what keeps the file from being splats in the INRIA layout.
fn check_layout(vertex: &Element, path: &Path) -> Result<u8> {
    if vertex.has("packed_position") {
        return Err(DataError::new(path, "is a compressed splat PLY, which cannot be read")
            .remedy("convert it to a standard PLY, for example with the npm package @playcanvas/splat-transform"));
    }
    if let Some(missing) = FIXED.iter().find(|name| !vertex.has(name)) {
        let reason = format!("is a PLY file but not of Gaussian splats: it has no property '{missing}'");
        return Err(DataError::new(path, reason).remedy("name a splat PLY in the INRIA layout"));
    }
    let rest = vertex.properties.iter().filter(|p| p.name.starts_with("f_rest_")).count();
    let degree = (0..=3).find(|&d| 3 * SplatCloud::rest_coefficients(d) == rest);
    let complete = (0..rest).all(|i| vertex.has(&format!("f_rest_{i}")));
    degree.filter(|_| complete).ok_or_else(|| {
        DataError::new(path, format!("has {rest} f_rest properties, which no SH degree from 0 to 3 has"))
            .remedy("it should be f_rest_0 up to f_rest_8, f_rest_23 or f_rest_44")
    })
}

/// Columns in the order of [`FIXED`], then `f_rest`, to the end of the cloud.
fn append(cloud: &mut SplatCloud, columns: &[Vec<f64>], rest: usize, path: &Path) -> Result<()> {
    let (fixed, f_rest) = columns.split_at(FIXED.len());
    let first = cloud.len();
    let bad = |row: usize, what: &str| {
        DataError::new(path, format!("has {what} at splat {}", first + row)).remedy("remove that splat or export again")
    };
    for row in 0..fixed[0].len() {
        let value = |column: usize| fixed[column][row] as f32;
        let mean = [value(0), value(1), value(2)];
        let mut log_scales = [value(3), value(4), value(5)];
        let mut quat = [value(6), value(7), value(8), value(9)];
        let mut opacity = value(10);
        let sh0 = [value(11), value(12), value(13)];
        if !mean.iter().chain(&sh0).chain(&quat).all(|v| v.is_finite()) {
            return Err(bad(row, "a position, rotation or colour that is not finite"));
        }
        if opacity.is_nan() || log_scales.iter().any(|s| s.is_nan() || *s == f32::INFINITY) {
            return Err(bad(row, "an opacity or scale that is not a number"));
        }
        if opacity.is_infinite() {
            opacity = SATURATED.copysign(opacity);
        }
        for scale in log_scales.iter_mut().filter(|s| s.is_infinite()) {
            *scale = -SATURATED;
        }
        if quat == [0.0; 4] {
            quat = [1.0, 0.0, 0.0, 0.0];
        }
        cloud.means.push(mean);
        cloud.log_scales.push(log_scales);
        cloud.quats.push(quat);
        cloud.opacity_logits.push(opacity);
        cloud.sh0.push(sh0);
        for coefficient in 0..rest {
            cloud.sh_rest.extend((0..3).map(|channel| f_rest[channel * rest + coefficient][row] as f32));
        }
    }
    let added = &cloud.sh_rest[first * rest * 3..];
    if let Some(at) = added.iter().position(|v| !v.is_finite()) {
        return Err(bad(at / (rest * 3), "a spherical-harmonics coefficient that is not finite"));
    }
    Ok(())
}

fn parse_similarity(values: &[&str]) -> Option<Similarity> {
    let numbers: Vec<f64> = values.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?;
    let &[x, y, z, qw, qx, qy, qz, scale] = numbers.as_slice() else { return None };
    let rotation = UnitQuaternion::try_new(Quaternion::new(qw, qx, qy, qz), 1e-9)?;
    let valid = numbers.iter().all(|n| n.is_finite()) && scale > 0.0;
    valid.then(|| Similarity::from_parts(Translation3::new(x, y, z), rotation, scale))
}

/// Writes splats in the INRIA layout, binary little endian, with normals of zero as other programs expect.
///
/// # Errors
/// When the file is in the way and to be kept, the cloud's arrays differ in length, or the disk refuses.
pub fn write_splats(path: impl AsRef<Path>, cloud: &SplatCloud, existing: Existing) -> Result<()> {
    let path = path.as_ref();
    let (n, rest) = (cloud.len(), SplatCloud::rest_coefficients(cloud.sh_degree));
    let lengths = [cloud.log_scales.len(), cloud.quats.len(), cloud.opacity_logits.len(), cloud.sh0.len()];
    if cloud.sh_degree > 3 || lengths.iter().any(|&l| l != n) || cloud.sh_rest.len() != n * rest * 3 {
        return Err(DataError::new(path, "cannot be written because the splat attributes differ in number"));
    }
    write_atomically(path, existing, |out| {
        write_header(out, cloud, rest)?;
        write_rows(out, cloud, rest)
    })
}

fn write_header(out: &mut dyn Write, cloud: &SplatCloud, rest: usize) -> io::Result<()> {
    writeln!(out, "ply\nformat binary_little_endian 1.0")?;
    if cloud.antialiased {
        writeln!(out, "comment antialiased 1")?;
    }
    let similarity = &cloud.scene_from_world;
    if *similarity != Similarity::identity() {
        let (t, q) = (similarity.isometry.translation.vector, similarity.isometry.rotation);
        let s = similarity.scaling();
        writeln!(out, "comment {SCENE_FROM_WORLD} {} {} {} {} {} {} {} {s}", t.x, t.y, t.z, q.w, q.i, q.j, q.k)?;
    }
    writeln!(out, "element vertex {}", cloud.len())?;
    let rest = (0..3 * rest).map(|i| format!("f_rest_{i}"));
    let names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"].map(String::from).into_iter();
    let last = ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"].map(String::from);
    for name in names.chain(rest).chain(last) {
        writeln!(out, "property float {name}")?;
    }
    writeln!(out, "end_header")
}

fn write_rows(out: &mut dyn Write, cloud: &SplatCloud, rest: usize) -> io::Result<()> {
    let mut row: Vec<u8> = Vec::with_capacity(4 * (17 + 3 * rest));
    for i in 0..cloud.len() {
        row.clear();
        let mut put = |values: &[f32]| values.iter().for_each(|v| row.extend_from_slice(&v.to_le_bytes()));
        put(&cloud.means[i]);
        put(&[0.0; 3]);
        put(&cloud.sh0[i]);
        let coefficients = &cloud.sh_rest[i * rest * 3..(i + 1) * rest * 3];
        for channel in 0..3 {
            coefficients.chunks_exact(3).for_each(|c| put(&c[channel..=channel]));
        }
        put(&[cloud.opacity_logits[i]]);
        put(&cloud.log_scales[i]);
        put(&cloud.quats[i]);
        out.write_all(&row)?;
    }
    Ok(())
}
