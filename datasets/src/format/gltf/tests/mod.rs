//! What the glTF readers and writers promise.

mod hostile;
mod meshes;
mod sequences;
mod splats;

use serde_json::Value;
use std::path::{Path, PathBuf};

/// A GLB file of this JSON and these bytes.
fn glb(json: &Value, binary: &[u8]) -> Vec<u8> {
    glb_of_text(json.to_string().as_bytes(), binary)
}

fn glb_of_text(json: &[u8], binary: &[u8]) -> Vec<u8> {
    let padded = |bytes: &[u8], fill: u8| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), fill);
        bytes
    };
    let (json, binary) = (padded(json, b' '), padded(binary, 0));
    let word = |number: usize| u32::try_from(number).expect("small").to_le_bytes().to_vec();
    let length = word(12 + 8 + json.len() + 8 + binary.len());
    let header = [b"glTF".to_vec(), word(2), length].concat();
    let chunks = [word(json.len()), b"JSON".to_vec(), json, word(binary.len()), b"BIN\0".to_vec(), binary].concat();
    [header, chunks].concat()
}

/// The JSON and the bytes of a GLB file.
fn taken_apart(glb: &[u8]) -> (Value, Vec<u8>) {
    let length = |at: usize| u32::from_le_bytes(glb[at..at + 4].try_into().expect("four bytes")) as usize;
    let json = length(12);
    let value = serde_json::from_slice(&glb[20..20 + json]).expect("JSON");
    let binary = length(20 + json);
    (value, glb[28 + json..28 + json + binary].to_vec())
}

/// A file in a folder that vanishes with it.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("write");
    (folder, path)
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().expect("folder").join(name)
}
