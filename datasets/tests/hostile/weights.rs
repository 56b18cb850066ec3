//! Weights, which are programs or tables with places of their own: each is refused in one sentence, or read.

use super::counting::{alone, counted};
use super::mutations::Mutations;
use super::{MOST_BYTES, lies};
use std::path::Path;
use tessera_datasets::Result;
use tessera_datasets::format::weights::{Numbers, WeightsFile};
use tessera_tests::weights::{Stored, safetensors, torch};

/// Of each file.
const MUTATIONS: u64 = 400;

fn read(path: &Path) -> Result<()> {
    let file = WeightsFile::open(path)?;
    for (name, entry) in file.tensors() {
        let values = file.read(name)?;
        assert!(values.len() == entry.count() && values.iter().all(|x| x.is_finite()), "impossible numbers were read");
        assert!(!matches!(entry.numbers, Numbers::Other(..)), "numbers of an unknown kind were read");
    }
    Ok(())
}

fn is_refused(path: &Path, what: &str) -> bool {
    let (outcome, most) = counted(|| read(path));
    assert!(most <= MOST_BYTES, "{what}: took {} MB", most >> 20);
    let Err(error) = outcome else { return false };
    let said = error.to_string();
    assert!(!said.contains('\n') && !said.ends_with('.'), "{what}: is no sentence of one line: {said}");
    assert!(error.remedy.is_some_and(|remedy| !remedy.is_empty()), "{what}: says no remedy: {said}");
    true
}

#[test]
fn damaged_weights_never_panic_nor_ask_for_memory() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("temporary folder");
    let path = root.path().join("weights");
    let tensor = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec(), vec![0.5; shape.iter().product()]);
    let tensors = [tensor("vae.a.weight", &[3, 4]), tensor("vae.a.bias", &[3]), tensor("dit.b", &[2, 1, 2])];
    let files = [
        torch(&tensors, &["vae", "dit"], Stored::Float16),
        torch(&tensors, &[], Stored::Float32),
        safetensors(&tensors, Stored::Bfloat16),
    ];
    for (number, good) in files.iter().enumerate() {
        std::fs::write(&path, good).expect("write");
        assert!(!is_refused(&path, "as it was written"), "a good file");
        for (what, bytes) in lies(good) {
            std::fs::write(&path, bytes).expect("write");
            is_refused(&path, &format!("file {number}, {what}"));
        }
        for length in (0..good.len()).step_by(7) {
            std::fs::write(&path, &good[..length]).expect("write");
            assert!(is_refused(&path, &format!("file {number}, {length} bytes")), "a part of a file was read");
        }
        let mut mutations = Mutations::new(1);
        let mut refused = 0;
        for case in 0..MUTATIONS {
            std::fs::write(&path, mutations.of(good)).expect("write");
            refused += u64::from(is_refused(&path, &format!("file {number}, case {case}")));
        }
        println!("file {number}: {refused} of {MUTATIONS} damaged files were refused");
    }
}
