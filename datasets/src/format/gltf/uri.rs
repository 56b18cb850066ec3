//! Where a glTF file says that bytes are: in the text itself, or in a file beside it.

use crate::{DataError, Result};
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::path::{Component, Path, PathBuf};

/// Padding is required by the standard and left out by some exporters.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) enum Location {
    /// `data:...;base64,...`
    Embedded(Vec<u8>),
    /// A file in the folder of the document or below it.
    File(PathBuf),
}

/// What `uri` in the file at `document` points to.
pub(super) fn resolve(uri: &str, document: &Path) -> Result<Location> {
    if let Some(data) = uri.strip_prefix("data:") {
        return embedded(data, document).map(Location::Embedded);
    }
    let shown: String = uri.chars().take(80).collect();
    if uri.split('/').next().is_some_and(|start| start.contains(':')) {
        let reason = format!("refers to '{shown}', and only files beside it and embedded data are read");
        return Err(DataError::new(document, reason).remedy("save it as one .glb file"));
    }
    let relative = percent_decoded(uri).map(PathBuf::from);
    let outside = || {
        DataError::new(document, format!("refers to '{shown}', which is not a path inside of its own folder"))
            .remedy("move the file there and correct the reference")
    };
    let relative = relative.ok_or_else(outside)?;
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || relative.as_os_str().is_empty() {
        return Err(outside());
    }
    let folder = match document.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let path = folder.join(relative);
    // A link can lead out of the folder where the path does not.
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(target)) if !target.starts_with(&folder) => Err(outside()),
        _ => Ok(Location::File(path)),
    }
}

fn embedded(data: &str, document: &Path) -> Result<Vec<u8>> {
    let bad = |what: &str| {
        DataError::new(document, format!("has embedded data that {what}")).remedy("export it again as a .glb file")
    };
    let (kind, text) = data.split_once(',').ok_or_else(|| bad("has no beginning"))?;
    if !kind.ends_with(";base64") {
        return Err(bad("is not in base64"));
    }
    BASE64.decode(text).map_err(|_| bad("is damaged"))
}

/// A file's name as a reference.
pub(super) fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn percent_decoded(uri: &str) -> Option<String> {
    let mut bytes = uri.bytes();
    let mut decoded = Vec::with_capacity(uri.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(16 * high + low).ok()?);
    }
    String::from_utf8(decoded).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(uri: &str) -> Option<PathBuf> {
        match resolve(uri, Path::new("scenes/a.gltf")) {
            Ok(Location::File(path)) => Some(path),
            _ => None,
        }
    }

    #[test]
    fn files_are_found_beside_the_document_and_nowhere_else() {
        assert_eq!(file("a.bin"), Some(PathBuf::from("scenes/a.bin")));
        assert_eq!(file("./data/a%20b%C3%A9.bin"), Some(PathBuf::from("scenes/./data/a bé.bin")));
        for hostile in
            ["/etc/passwd", "../a.bin", "data/../../a.bin", "%2e%2e/a.bin", "http://x/a.bin", "a%0", "", "a%00"]
        {
            assert_eq!(file(hostile), None, "'{hostile}'");
        }
    }

    #[test]
    fn names_are_found_again_however_they_are_spelt() {
        for name in ["a.bin", "a b+c%20.bin", "é:1?#.bin"] {
            assert_eq!(file(&percent_encoded(name)), Some(PathBuf::from("scenes").join(name)), "'{name}'");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_are_not_followed() {
        let outside = tempfile::NamedTempFile::new().expect("temporary file");
        let folder = tempfile::tempdir().expect("temporary folder");
        std::os::unix::fs::symlink(outside.path(), folder.path().join("a.bin")).expect("link");
        assert!(resolve("a.bin", &folder.path().join("a.gltf")).is_err());
    }

    #[test]
    fn embedded_data_is_decoded_with_and_without_padding() {
        for uri in ["data:application/octet-stream;base64,AQL/", "data:;base64,AQL/AA==", "data:;base64,AQL/AA"] {
            let Ok(Location::Embedded(bytes)) = resolve(uri, Path::new("a.gltf")) else { panic!("'{uri}' is refused") };
            assert_eq!(bytes[..3], [1, 2, 255], "'{uri}'");
        }
        for uri in ["data:;base64", "data:text/plain,abc", "data:;base64,A*", "data:;base64,A"] {
            assert!(resolve(uri, Path::new("a.gltf")).is_err(), "'{uri}'");
        }
    }
}
