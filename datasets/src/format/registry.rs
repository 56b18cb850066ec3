//! The splat formats: which file is of which, and what each can hold.

use super::stream::{SplatHeader, SplatSink, SplatSource};
use super::{Existing, gltf, ply, sog, tiles};
use crate::{DataError, Result};
use std::path::Path;

/// A splat file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplatFormat {
    /// The INRIA layout in a PLY file: 32-bit floats, nothing lost.
    Ply,
    /// glTF in one file with `KHR_gaussian_splatting`, in 32-bit floats.
    Glb,
    /// glTF as JSON text, with its data in other files or in the text.
    Gltf,
    /// PlayCanvas's images of quantised attributes, bundled or in a folder.
    Sog,
    /// Our pages at many levels of detail, in a folder, to be streamed.
    Tiles,
}

/// How a file is written, where a format leaves a choice.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {}

impl SplatFormat {
    /// All formats, those that are only read last.
    pub const ALL: &[Self] = &[Self::Ply, Self::Glb, Self::Gltf, Self::Sog, Self::Tiles];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ply => "PLY",
            Self::Glb => "GLB",
            Self::Gltf => "glTF",
            Self::Sog => "SOG",
            Self::Tiles => "streamed scene",
        }
    }

    /// The end of the names of its files, most telling first: `.compressed.ply` comes before `.ply`.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Ply => &[".ply"],
            Self::Glb => &[".glb"],
            Self::Gltf => &[".gltf"],
            Self::Sog => &[".sog", "meta.json"],
            Self::Tiles => &[".tiles", "tiles.json"],
        }
    }

    /// Whether it can be written.
    pub fn writes(self) -> bool {
        match self {
            Self::Ply | Self::Glb | Self::Tiles => true,
            Self::Gltf | Self::Sog => false,
        }
    }

    /// What of a scene with this header it cannot hold, or holds less exactly, in words for the user.
    pub fn losses(self, header: &SplatHeader) -> Vec<String> {
        let _ = header;
        match self {
            Self::Ply | Self::Sog => Vec::new(),
            Self::Glb | Self::Gltf => {
                vec!["opacities and scales as such instead of logits and logarithms: to 7 digits, and none of an opacity \
                    closer than 6e-8 to 1".to_owned()]
            }
            Self::Tiles => vec![
                "positions to a sixteenth of a small splat, scales to 3 %, rotations to 0.1°, opacities and colours to 8 bits"
                    .to_owned(),
            ],
        }
    }

    /// The format that a file's name announces.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ending = |format: Self| {
            let fits = format.endings().iter().filter(|ending| name.ends_with(*ending));
            fits.map(|ending| ending.len()).max().map(|length| (length, format))
        };
        Self::ALL
            .iter()
            .filter_map(|&format| ending(format))
            .max_by_key(|(length, _)| *length)
            .map(|(_, format)| format)
    }

    /// The format of a file to be read, or of a folder that holds a scene's files.
    ///
    /// # Errors
    /// When no format has such files; the message lists those there are.
    pub fn to_read(path: &Path) -> Result<Self> {
        let folder = || {
            let holds = |name: &str| path.join(name).is_file();
            let sog = holds("meta.json").then_some(Self::Sog);
            sog.or_else(|| holds(tiles::MANIFEST).then_some(Self::Tiles))
        };
        Self::of(path).or_else(folder).ok_or_else(|| unknown(path, |_| true))
    }

    /// The format of a file to be written.
    ///
    /// # Errors
    /// When no format has such files, or they can only be read; the message lists those that can be written.
    pub fn to_write(path: &Path) -> Result<Self> {
        Self::of(path).filter(|format| format.writes()).ok_or_else(|| unknown(path, Self::writes))
    }

    pub(super) fn open(self, path: &Path) -> Result<Box<dyn SplatSource>> {
        match self {
            Self::Ply => ply::open_splats(path),
            Self::Glb | Self::Gltf => gltf::open_splats(path),
            Self::Sog => sog::open_splats(path),
            Self::Tiles => tiles::open_splats(path),
        }
    }

    pub(super) fn create(
        self,
        path: &Path,
        header: &SplatHeader,
        _options: &WriteOptions,
        existing: Existing,
    ) -> Result<Box<dyn SplatSink>> {
        match self {
            Self::Ply => ply::create_splats(path, header, existing),
            Self::Glb | Self::Gltf => gltf::create_splats(path, header, existing),
            Self::Tiles => tiles::create_splats(path, header, existing),
            Self::Sog => Err(unknown(path, Self::writes)),
        }
    }
}

fn unknown(path: &Path, usable: impl Fn(SplatFormat) -> bool) -> DataError {
    let endings = SplatFormat::ALL.iter().filter(|format| usable(**format)).flat_map(|format| format.endings());
    let supported = endings.copied().collect::<Vec<_>>().join(", ");
    let reason = match (SplatFormat::of(path), path.extension()) {
        (Some(format), _) => format!("is a {} file by its name, and these can only be read", format.name()),
        (None, Some(extension)) => {
            format!("has the extension .{}, which is no supported splat format", extension.to_string_lossy())
        }
        (None, None) => "has no extension that names a splat format".to_owned(),
    };
    DataError::new(path, reason).remedy(format!("use one of: {supported}"))
}
