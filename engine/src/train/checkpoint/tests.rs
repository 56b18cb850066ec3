//! Checkpoints come back bit for bit, or say that they are damaged.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn write(store: &CheckpointStore, step: u64, values: &[f32]) -> PathBuf {
    let mut writer = CheckpointWriter::default();
    writer.f32("means", &[values.len() / 2, 2], values);
    writer.u32("ids", &[2], vec![7, u32::MAX]);
    writer.u64("keys", &[1], vec![u64::MAX]);
    writer.bytes("blob", &b"odd"[..]);
    writer.state("step", &step).expect("a number has a JSON form");
    store.write(writer, "toy", step, 1.5).expect("writable")
}

fn store() -> (tempfile::TempDir, CheckpointStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = CheckpointStore::new(folder.path().to_owned());
    (folder, store)
}

#[test]
fn everything_comes_back_bit_for_bit() {
    let (_folder, store) = store();
    let values = [0.1, -0.0, f32::MIN_POSITIVE / 8.0, f32::INFINITY];
    write(&store, 42, &values);
    let (reader, warnings) = store.newest().expect("readable");
    let reader = reader.expect("there is one");
    assert_eq!((reader.step(), reader.method(), reader.seconds(), warnings.len()), (42, "toy", 1.5, 0));
    assert_eq!(reader.shape("means"), Some(&[2, 2][..]));
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&reader.f32("means").expect("there")), bits(&values));
    assert_eq!(reader.u32("ids").expect("there"), [7, u32::MAX]);
    assert_eq!(reader.u64("keys").expect("there"), [u64::MAX]);
    assert_eq!(reader.bytes("blob").expect("there"), b"odd");
    assert_eq!(reader.state::<u64>("step").expect("there"), 42);
}

#[test]
fn random_number_generators_and_numbers_of_full_precision_come_back() {
    let (_folder, store) = store();
    let mut rng = Pcg64::seed_from_u64(5);
    let _: u64 = rng.random();
    let number = 0.1_f64 + 0.2;
    let mut writer = CheckpointWriter::default();
    writer.state("rng", &rng).expect("serialisable");
    writer.state("number", &number).expect("serialisable");
    store.write(writer, "toy", 1, 0.0).expect("writable");
    let reader = store.newest().expect("readable").0.expect("there is one");
    let mut restored: Pcg64 = reader.state("rng").expect("there");
    assert_eq!(restored.random::<u64>(), rng.random::<u64>());
    assert_eq!(reader.state::<f64>("number").expect("there").to_bits(), number.to_bits());
}

#[test]
fn the_same_content_makes_the_same_file() {
    let ((_a, first), (_b, second)) = (store(), store());
    let read = |store| fs::read(write(store, 3, &[1.0, 2.0])).expect("readable");
    assert_eq!(read(&first), read(&second));
}

#[test]
fn what_is_missing_or_of_another_type_is_named() {
    let (_folder, store) = store();
    write(&store, 1, &[1.0, 2.0]);
    let reader = store.newest().expect("readable").0.expect("there is one");
    for said in [reader.f32("scales").err(), reader.f32("ids").err(), reader.state::<String>("step").err()] {
        let said = said.expect("should be refused").to_string();
        assert!(said.contains("holds no fitting '"), "{said}");
    }
}

#[test]
fn two_checkpoints_are_kept_and_those_of_an_abandoned_future_are_not() {
    let (_folder, store) = store();
    for step in [100, 200, 300] {
        write(&store, step, &[1.0, 2.0]);
    }
    let steps = || store.list().expect("readable").into_iter().map(|(s, _)| s).collect::<Vec<_>>();
    assert_eq!(steps(), [300, 200]);
    write(&store, 250, &[1.0, 2.0]);
    assert_eq!(steps(), [250, 200]);
}

#[test]
fn damage_anywhere_in_the_newest_falls_back_to_the_one_before() {
    let (_folder, store) = store();
    write(&store, 1, &[1.0, 2.0]);
    let newest = write(&store, 2, &[3.0, 4.0]);
    let good = fs::read(&newest).expect("readable");
    let damages: Vec<Vec<u8>> = (0..good.len())
        .map(|at| [&good[..at], &[good[at] ^ 0x10], &good[at + 1..]].concat())
        .chain((0..good.len()).step_by(7).map(|length| good[..length].to_vec()))
        .chain([[&good[..], b"more"].concat()])
        .collect();
    for (index, damage) in damages.into_iter().enumerate() {
        fs::write(&newest, damage).expect("writable");
        let (reader, warnings) = store.newest().unwrap_or_else(|e| panic!("damage {index}: {e}"));
        let reader = reader.expect("the older one is whole");
        // Some bits of the header say nothing about the tensors: the padding, the seconds, the version.
        if reader.step() == 1 {
            assert!(warnings.len() == 1 && warnings[0].contains("step-000002.safetensors"), "{warnings:?}");
        } else {
            assert_eq!(reader.f32("means").ok(), Some(vec![3.0, 4.0]), "damage {index} went unnoticed");
        }
    }
}

#[test]
fn a_folder_with_only_damaged_checkpoints_is_an_error_and_an_empty_one_is_not() {
    let (_folder, store) = store();
    assert!(store.newest().expect("empty").0.is_none());
    fs::write(write(&store, 2, &[3.0, 4.0]), b"garbage").expect("writable");
    let said = store.newest().expect_err("nothing is whole").to_string();
    assert!(said.contains("all are damaged") && said.contains("--force"), "{said}");
}

#[test]
fn numbers_that_are_none_are_not_kept() {
    let (_folder, store) = store();
    write(&store, 1, &[1.0, 2.0]);
    let mut writer = CheckpointWriter::default();
    writer.f32("means", &[1], vec![f32::NAN]);
    let said = store.write(writer, "toy", 2, 0.0).expect_err("NaN").to_string();
    assert!(said.contains("'means'") && said.contains("diverged"), "{said}");
    assert_eq!(store.newest().expect("readable").0.expect("the good one").step(), 1);
}
