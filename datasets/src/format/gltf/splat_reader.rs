//! Gaussian splats from `KHR_gaussian_splatting`: any number of primitives, placed by nodes, in floats or in the
//! integers that the extension allows, attribute by attribute or interleaved.

use super::accessor::{RowReader, Rows};
use super::document::{Document, at};
use super::json::{Node, Primitive};
use super::placement::placed;
use super::{DISPLAY_COLOURS, EXTENSION, Extras, SplatExtras, half_turn, harmonics_attributes};
use crate::camera::Similarity;
use crate::format::quantise::{log_of_scale, logit};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::{SplatCloud, SplatTransform};
use crate::{DataError, Result};
use nalgebra::{Matrix3, Matrix4, Rotation3, Translation3, UnitQuaternion};
use std::path::Path;

/// Splats that are read from all attributes before the next ones are: few enough to stay in the processor's cache.
const PIECE: usize = 4096;
/// Opacities may leave 0 to 1 by as much as rounding does.
const OPACITY_SLACK: f32 = 1e-6;
/// How far the matrix of a node may be from a rotation and one scale; files hold it with seven digits.
const NO_SHEAR: f64 = 1e-5;

/// Opens the splats of a glTF file.
///
/// # Errors
/// When the file is missing or damaged, holds no splats, or holds them in a way that has no counterpart here:
/// compressed, with linear colours, or stretched by a node.
pub(in crate::format) fn open_splats(path: &Path) -> Result<Box<dyn SplatSource>> {
    let document = Document::open(path)?;
    let mut parts = Vec::new();
    for place in placed(&document)? {
        let mesh = at(&document.root.meshes, place.mesh);
        let mesh = mesh.ok_or_else(|| document.bad(format!("has no mesh {}, though it shows it", place.mesh)))?;
        for primitive in mesh.primitives.iter().filter(|p| p.extensions.splats.is_some()) {
            parts.push(Part::new(&document, primitive, place.node, &place.scene_from_mesh)?);
        }
    }
    let header = header(&document, &parts)?;
    Ok(Box::new(Source { document, header, parts, part: 0, row: 0, given: 0, reader: RowReader::default() }))
}

fn header(document: &Document, parts: &[Part]) -> Result<SplatHeader> {
    let Some(first) = parts.first() else {
        return Err(DataError::new(&document.path, "is a glTF file without Gaussian splats")
            .remedy(format!("name one that uses the extension {EXTENSION}")));
    };
    if parts.iter().any(|part| part.antialiased != first.antialiased) {
        return Err(DataError::new(&document.path, "has splats to be drawn antialiased among others that are not")
            .remedy("convert its parts separately"));
    }
    // A node can show the same splats again, but a small file must not become an endless scene.
    let count = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.count));
    if count > document.buffer_bytes() {
        let reason = format!("shows {count} splats, more than it has bytes ({})", document.buffer_bytes());
        return Err(DataError::new(&document.path, reason).remedy("remove the nodes that repeat its meshes"));
    }
    Ok(SplatHeader {
        count,
        sh_degree: parts.iter().map(|part| part.sh_degree).max().unwrap_or(0),
        antialiased: first.antialiased,
        scene_from_world: first.scene_from_world,
    })
}

/// One primitive at one place.
struct Part {
    count: u64,
    sh_degree: u8,
    positions: Rows,
    rotations: Rows,
    scales: Rows,
    opacities: Rows,
    /// One per coefficient, degree 0 first.
    harmonics: Vec<Rows>,
    /// What the nodes do to the splats; `None` when they leave them where they are.
    transform: Option<SplatTransform>,
    antialiased: bool,
    scene_from_world: Similarity,
}

impl Part {
    fn new(document: &Document, primitive: &Primitive, node: Option<&Node>, matrix: &Matrix4<f64>) -> Result<Self> {
        check_extension(document, primitive)?;
        let rows = |name: &str, width: usize| {
            let index = primitive.attributes.get(name);
            let index = index.ok_or_else(|| document.bad(format!("has splats without the attribute {name}")))?;
            Rows::find(document, *index, width, name)
        };
        let own = |name: &str, width: usize| rows(&format!("{EXTENSION}:{name}"), width);
        let has = |degree: &u8| primitive.attributes.contains_key(&format!("{EXTENSION}:SH_DEGREE_{degree}_COEF_0"));
        let sh_degree = (1..=3).rev().find(has).unwrap_or(0);
        let positions = rows("POSITION", 3)?;
        let (rotations, scales, opacities) = (own("ROTATION", 4)?, own("SCALE", 3)?, own("OPACITY", 1)?);
        let harmonics: Vec<Rows> = harmonics_attributes(sh_degree).map(|name| own(&name, 3)).collect::<Result<_>>()?;
        let count = positions.count;
        if [&rotations, &scales, &opacities].into_iter().chain(&harmonics).any(|rows| rows.count != count) {
            return Err(document.bad("has splats whose attributes differ in number"));
        }
        let moved = similarity(document, node, matrix)?.map(|node| half_turn::conjugated(&node));
        let transform = moved.as_ref().map(SplatTransform::new);
        let extras = extras(document, node)?;
        let placement = extras.scene_from_world.map(|placement| placement.similarity());
        let scene_from_world = match placement {
            None => Similarity::identity(),
            Some(Some(similarity)) => half_turn::target_from_gltf(&similarity),
            Some(None) => return Err(document.bad("has extras whose 'scene_from_world' is not a placement")),
        };
        let scene_from_world = transform.as_ref().map_or(scene_from_world, |moved| moved.compose(&scene_from_world));
        let antialiased = extras.antialiased;
        Ok(Self {
            count,
            sh_degree,
            positions,
            rotations,
            scales,
            opacities,
            harmonics,
            transform,
            antialiased,
            scene_from_world,
        })
    }
}

/// Refuses splats that mean something else than splats here do.
fn check_extension(document: &Document, primitive: &Primitive) -> Result<()> {
    let Some(extension) = &primitive.extensions.splats else { return Ok(()) };
    let refused = |what: String| Err(DataError::new(&document.path, what).remedy("export it in another way"));
    if let Some(name) = extension.extensions.keys().next() {
        return refused(format!("has splats that use the glTF extension '{name}', which cannot be read"));
    }
    let expected = [
        ("kernel", &extension.kernel, "ellipse"),
        ("colour space", &extension.color_space, DISPLAY_COLOURS),
        ("projection", &extension.projection, "perspective"),
    ];
    for (what, value, expected) in expected {
        if let Some(value) = value.as_ref().filter(|value| *value != expected) {
            return refused(format!("has splats with the {what} '{value}', and only '{expected}' is read"));
        }
    }
    if primitive.mode != 0 {
        return Err(document.bad("has splats that are not points"));
    }
    Ok(())
}

/// What is kept in a node for programs like this one. Extras of others are of any form.
fn extras(document: &Document, node: Option<&Node>) -> Result<SplatExtras> {
    let Some(text) = node.and_then(|node| node.extras.as_ref()) else { return Ok(SplatExtras::default()) };
    let text = text.get();
    let parsed = serde_json::from_str::<Extras>(text).map(|extras| extras.tessera.unwrap_or_default());
    match parsed {
        Ok(extras) => Ok(extras),
        Err(_) if !text.contains("\"tessera\"") => Ok(SplatExtras::default()),
        Err(e) => Err(document.bad(format!("has damaged extras for Tessera in a node: {e}"))),
    }
}

/// The matrix of a node as what splats can follow.
fn similarity(document: &Document, node: Option<&Node>, matrix: &Matrix4<f64>) -> Result<Option<Similarity>> {
    if *matrix == Matrix4::identity() {
        return Ok(None);
    }
    let linear: Matrix3<f64> = matrix.fixed_view::<3, 3>(0, 0).into_owned();
    let scale = linear.determinant().cbrt();
    let rotation = linear / scale;
    let shear = (rotation.transpose() * rotation - Matrix3::identity()).amax();
    let is_affine = matrix.row(3).iter().eq([0.0, 0.0, 0.0, 1.0].iter());
    if !(is_affine && scale > 0.0 && scale.is_normal() && shear < NO_SHEAR) {
        let name = node.and_then(|node| node.name.as_deref()).unwrap_or_default();
        let reason = format!("stretches or mirrors its splats by the node '{name}', which cannot be followed");
        return Err(DataError::new(&document.path, reason)
            .remedy("apply the transformation in the program that wrote it, or scale all axes alike"));
    }
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(rotation));
    let translation = Translation3::new(matrix[(0, 3)], matrix[(1, 3)], matrix[(2, 3)]);
    Ok(Some(Similarity::from_parts(translation, rotation, scale)))
}

struct Source {
    document: Document,
    header: SplatHeader,
    parts: Vec<Part>,
    /// Which part comes next, and which of its rows.
    part: usize,
    row: u64,
    /// Splats that were given out, for messages.
    given: u64,
    reader: RowReader,
}

impl SplatSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        chunk.clear();
        while self.parts.get(self.part).is_some_and(|part| part.count == self.row) {
            (self.part, self.row) = (self.part + 1, 0);
        }
        let Self { document, parts, reader, .. } = self;
        let Some(part) = parts.get(self.part) else { return Ok(false) };
        while chunk.len() < CHUNK_SPLATS && self.row < part.count {
            let left = usize::try_from(part.count - self.row).unwrap_or(usize::MAX);
            let n = left.min(PIECE).min(CHUNK_SPLATS - chunk.len());
            let mut piece = Piece { document, reader, first: self.row, n, given: self.given, values: Vec::new() };
            piece.append(part, chunk)?;
            self.row += n as u64;
            self.given += n as u64;
        }
        if let Some(transform) = &part.transform {
            transform.apply(chunk);
            if !chunk.means.iter().flatten().chain(chunk.log_scales.iter().flatten()).all(|v| v.is_finite()) {
                return Err(document.bad("places its splats by numbers that are too large"));
            }
        }
        Ok(true)
    }
}

/// Rows `first..first + n` of a part.
struct Piece<'a> {
    document: &'a Document,
    reader: &'a mut RowReader,
    first: u64,
    n: usize,
    given: u64,
    values: Vec<f32>,
}

impl Piece<'_> {
    fn append(&mut self, part: &Part, chunk: &mut SplatCloud) -> Result<()> {
        self.read(&part.positions, "a position that is not finite", f32::is_finite)?;
        chunk.means.extend(self.values.as_chunks::<3>().0.iter().map(|&p| half_turn::position(p)));
        self.read(&part.rotations, "a rotation that is not finite", f32::is_finite)?;
        chunk.quats.extend(self.values.as_chunks::<4>().0.iter().map(|&[x, y, z, w]| {
            let quat = if [x, y, z, w] == [0.0; 4] { [1.0, 0.0, 0.0, 0.0] } else { [w, x, y, z] };
            half_turn::rotation_from_gltf(quat)
        }));
        self.read(&part.scales, "a scale that is negative or not finite", |s| s >= 0.0 && s.is_finite())?;
        chunk.log_scales.extend(self.values.as_chunks::<3>().0.iter().map(|scales| scales.map(log_of_scale)));
        let valid = -OPACITY_SLACK..=1.0 + OPACITY_SLACK;
        self.read(&part.opacities, "an opacity that is not between 0 and 1", |o| valid.contains(&o))?;
        chunk.opacity_logits.extend(self.values.iter().map(|&opacity| logit(opacity)));
        self.append_colours(part, chunk)
    }

    fn append_colours(&mut self, part: &Part, chunk: &mut SplatCloud) -> Result<()> {
        let width = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
        let start = chunk.sh_rest.len();
        // Parts of a lower degree have no coefficients for the rest: those are zero.
        chunk.sh_rest.resize(start + self.n * width, 0.0);
        for (i, rows) in part.harmonics.iter().enumerate() {
            self.read(rows, "a spherical-harmonics coefficient that is not finite", f32::is_finite)?;
            let colours = self.values.as_chunks::<3>().0;
            let Some(above) = i.checked_sub(1) else {
                chunk.sh0.extend_from_slice(colours);
                continue;
            };
            let sign = if half_turn::NEGATED[above] { -1.0 } else { 1.0 };
            let rows = chunk.sh_rest[start..].chunks_exact_mut(width);
            for (row, colour) in rows.zip(colours) {
                row[3 * above..3 * above + 3].copy_from_slice(&colour.map(|c| sign * c));
            }
        }
        Ok(())
    }

    /// Reads these rows of an attribute into `values`, and names the first splat with one that is not `valid`.
    fn read(&mut self, rows: &Rows, fault: &str, valid: impl Fn(f32) -> bool) -> Result<()> {
        self.reader.floats(self.document, rows, self.first, self.n, &mut self.values)?;
        let Some(at) = self.values.iter().position(|&v| !valid(v)) else { return Ok(()) };
        let splat = self.given + (at / rows.width()) as u64;
        let error = DataError::new(self.document.path_of(rows.buffer()), format!("has {fault} at splat {splat}"));
        Err(error.remedy("remove that splat, or export it again with a newer program"))
    }
}
