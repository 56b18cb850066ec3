//! The settings of block-wise training: those of the division, and those of the splats that every block trains.

use crate::config::{Config, Field, Value};
use crate::splats::SplatsConfig;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

crate::config! {
    /// How a large scene is divided.
    pub struct Division {
        /// Number of blocks; 0 takes one for every 60 photos.
        blocks: usize = 0,
        /// How far a block's photos are chosen beyond its cell, as a share of the cell's sides.
        overlap: f64 = 0.1,
        /// A photo is trained on by every block in which at least this share of the points that it sees lies.
        min_share: f64 = 0.15,
        /// Share of the steps after which the blocks are compared, so that weak ones get more of the steps that are left; 0
        /// gives all the same.
        compare_at: f64 = 0.3,
        /// How much weaker than the best, in dB of PSNR, a block is that gets 1.39 times the steps of the best.
        compare_scale: f64 = 4.0,
        /// Also write the scene as a streamed scene of many levels of detail.
        tiles: bool = true,
    }
}

/// What each block learns, where it means something else than in training as a whole.
const OF_A_BLOCK: [(&str, &str); 2] = [
    ("steps", "Training steps of each block, on average: weak blocks get more (compare_at)."),
    ("max_splats", "How many splats each block grows to while it is trained; those outside of its cell are dropped."),
];

const COUNT: usize = Division::FIELDS.len() + SplatsConfig::FIELDS.len();

/// Settings of block-wise training. On the outside they are one list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlocksConfig {
    /// How the scene is divided.
    pub division: Division,
    /// How each block is trained.
    pub splats: SplatsConfig,
}

/// The most blocks: their folders are numbered with four digits.
pub const MAX_BLOCKS: usize = 10_000;

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> Result<&'static str> {
    match name {
        "fast" => Ok("steps = 1500\nmax_splats = 40000\nresolution = 800\n"),
        "balanced" => Ok(""),
        "quality" => Ok("steps = 30000\nmax_splats = 400000\n"),
        _ => Err(Error::setting(format!("there is no preset '{name}'; known are fast, balanced and quality"))),
    }
}

impl BlocksConfig {
    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When a setting has a value that it cannot have.
    pub fn check(&self) -> Result<()> {
        let Division { blocks, overlap, min_share, compare_at, compare_scale, .. } = self.division;
        let require = |good: bool, message: &str| if good { Ok(()) } else { Err(Error::setting(message)) };
        require(blocks <= MAX_BLOCKS, "blocks must be at most 10,000")?;
        require((0.0..=2.0).contains(&overlap), "overlap must lie between 0 and 2")?;
        require((0.0..=1.0).contains(&min_share), "min_share must lie between 0 and 1")?;
        require((0.0..1.0).contains(&compare_at), "compare_at must lie between 0 and 1, 1 excluded")?;
        require(compare_scale > 0.0 && compare_scale.is_finite(), "compare_scale must be a positive number of dB")?;
        self.splats.check()
    }

    /// How many steps each block takes before the blocks are compared; 0 when they are not.
    pub fn compared_after(&self) -> u64 {
        (self.division.compare_at * self.splats.steps as f64).round() as u64
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn of_a_block(mut field: Field) -> Field {
    let mut i = 0;
    while i < OF_A_BLOCK.len() {
        if is_same(field.name, OF_A_BLOCK[i].0) {
            field.doc = OF_A_BLOCK[i].1;
        }
        i += 1;
    }
    field
}

const ALL_FIELDS: [Field; COUNT] = {
    let mut all = [Division::FIELDS[0]; COUNT];
    let mut i = 0;
    while i < COUNT {
        let own = Division::FIELDS.len();
        all[i] = if i < own { Division::FIELDS[i] } else { of_a_block(SplatsConfig::FIELDS[i - own]) };
        i += 1;
    }
    all
};

fn is_of_division(name: &str) -> bool {
    Division::FIELDS.iter().any(|field| field.name == name)
}

impl Config for BlocksConfig {
    const FIELDS: &'static [Field] = &ALL_FIELDS;
    const ABOUT: &'static str =
        "Large scenes in blocks: each is trained on the photos that see it, and all are joined.";

    fn assign(&mut self, name: &str, value: Value) -> std::result::Result<(), String> {
        if is_of_division(name) { self.division.assign(name, value) } else { self.splats.assign(name, value) }
    }

    fn value_text(&self, name: &str) -> Option<String> {
        if is_of_division(name) { self.division.value_text(name) } else { self.splats.value_text(name) }
    }
}

impl Serialize for BlocksConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let table: toml::Table = toml::from_str(&self.to_toml()).map_err(serde::ser::Error::custom)?;
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BlocksConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let mut config = Self::default();
        config.apply_table(&table, "the settings").map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_division_and_splats_are_one_list() {
        let mut config = BlocksConfig::default();
        for assignment in ["blocks=6", "steps=70", "overlap=0.25"] {
            config.set(assignment).expect("a setting");
        }
        assert_eq!((config.division.blocks, config.splats.steps, config.division.overlap), (6, 70, 0.25));
        assert!(BlocksConfig::help().contains("Training steps of each block"), "{}", BlocksConfig::help());
        let again = BlocksConfig::from_toml(&config.to_toml(), "test").expect("what was written is read");
        assert_eq!(again, config);
        let names: std::collections::BTreeSet<_> = BlocksConfig::FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), BlocksConfig::FIELDS.len(), "a name stands for two settings");
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (wrong, about) in [("overlap=-1", "overlap"), ("compare_at=1", "compare_at"), ("steps=0", "steps")] {
            let mut config = BlocksConfig::default();
            config.set(wrong).expect("of the right type");
            let said = config.check().expect_err("impossible").to_string();
            assert!(said.starts_with(about), "{said}");
        }
    }
}
