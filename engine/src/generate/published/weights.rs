//! From a file of weights to a model's parameters: exactly those that the model has, all of them, or none.

use super::super::tape::{Parameters, Place};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use tessera_datasets::format::weights::WeightsFile;

/// How many names are listed of each kind of difference.
const LISTED: usize = 10;

/// What a part of a file must hold.
#[derive(Debug, Default)]
pub struct Wanted {
    /// What its names begin with, `dit.`.
    pub prefix: &'static str,
    /// What the model computes with.
    pub parameters: Parameters,
    /// What belongs to it and is not needed to make shapes: it may be there, and is not read.
    pub unread: Parameters,
}

/// Checks the table of a file against all that it must hold.
///
/// # Errors
/// When tensors are missing, nobody knows them, or they have other shapes; all are counted, and the first ones named.
pub fn check(file: &WeightsFile, all: &[&Wanted]) -> Result<()> {
    let mut known: BTreeMap<String, (&[usize], bool)> = BTreeMap::new();
    for wanted in all {
        for (parameters, needed) in [(&wanted.parameters, true), (&wanted.unread, false)] {
            for (name, shape) in parameters.table() {
                known.insert(format!("{}{name}", wanted.prefix), (shape, needed));
            }
        }
    }
    let there = file.tensors();
    let missing = known.iter().filter(|(name, (_, needed))| *needed && !there.contains_key(*name));
    let missing: Vec<&str> = missing.map(|(name, _)| name.as_str()).collect();
    let extra: Vec<&str> = there.keys().filter(|name| !known.contains_key(*name)).map(String::as_str).collect();
    let mut other = Vec::new();
    for (name, entry) in there {
        match known.get(name) {
            Some((shape, _)) if entry.shape != *shape => {
                other.push(format!("{name} is {:?} and not {shape:?}", entry.shape));
            }
            _ => {}
        }
    }
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    let said =
        [said("lacks", &missing), said("has what its model does not know:", &extra), said("has other shapes:", &other)];
    let said: Vec<String> = said.into_iter().flatten().collect();
    if said.is_empty() {
        return Ok(());
    }
    let remedy = "use the weights and the config.yaml that were published together";
    Err(Error::file(file.path(), said.join("; "), remedy))
}

/// "lacks 12 tensors (a, b, ... and 2 more)".
fn said(what: &str, names: &[&str]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let listed = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let tensors = if names.len() == 1 { "tensor" } else { "tensors" };
    Some(format!("{what} {} {tensors} ({listed}{more})", names.len()))
}

impl Wanted {
    /// Reads all parameters, one after the other, from a file whose table was checked. Layers will be computed at `place`.
    ///
    /// # Errors
    /// When a tensor cannot be read or has values that are not finite.
    pub fn load(&mut self, file: &WeightsFile, place: &Arc<dyn Place>) -> Result<()> {
        self.parameters.place_on(place);
        let names: Vec<String> = self.parameters.table().map(|(name, _)| format!("{}{name}", self.prefix)).collect();
        for (parameter, name) in self.parameters.all().zip(names) {
            let shape = self.parameters.shape(parameter).to_vec();
            self.parameters.replace(parameter, &shape, file.read(&name)?);
        }
        Ok(())
    }
}
