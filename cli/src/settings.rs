//! Training settings from all that the command line says about them.

use crate::args::{Choices, ChosenSettings, Method};
use crate::console::{Console, UsageError};
use anyhow::{Context, Result, bail};
use std::path::Path;
use tessera_engine::anchors::{self, AnchorsConfig};
use tessera_engine::blocks::{self, BlocksConfig};
use tessera_engine::config::Config;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::frames::Split;
use tessera_engine::rays::prepared;
use tessera_engine::rbf::radiance::{self, RadianceConfig};
use tessera_engine::splats::{self, SplatsConfig};
use tessera_engine::surface::{self, SurfaceConfig};
use tessera_engine::train::RunConfig;
use tessera_engine::volumetric_video::{self, VideoConfig};
use toml::Table;

/// The settings of a training, by its method.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    Splats(SplatsConfig),
    Blocks(BlocksConfig),
    Anchors(AnchorsConfig),
    Surface(SurfaceConfig),
    Radiance(RadianceConfig),
    Video(VideoConfig),
}

/// Does the same with the settings of any method.
macro_rules! of_any {
    ($settings:expr, $config:ident => $value:expr) => {
        match $settings {
            Settings::Splats($config) => $value,
            Settings::Blocks($config) => $value,
            Settings::Anchors($config) => $value,
            Settings::Surface($config) => $value,
            Settings::Radiance($config) => $value,
            Settings::Video($config) => $value,
        }
    };
}

/// Does the same with the settings of one training, which all blocks share.
macro_rules! of_training {
    ($settings:expr, $config:ident => $value:expr) => {
        match $settings {
            Settings::Splats($config) => $value,
            Settings::Blocks(BlocksConfig { splats: $config, .. }) => $value,
            Settings::Anchors($config) => $value,
            Settings::Surface($config) => $value,
            Settings::Radiance($config) => $value,
            Settings::Video($config) => $value,
        }
    };
}

/// A setting of a run that is not as it is by default.
pub struct Chosen {
    pub name: &'static str,
    pub value: String,
}

impl Settings {
    /// The defaults of a method.
    pub fn of(method: Method) -> Self {
        match method {
            Method::Splats => Self::Splats(SplatsConfig::default()),
            Method::Blocks => Self::Blocks(BlocksConfig::default()),
            Method::Anchors => Self::Anchors(AnchorsConfig::default()),
            Method::Surface => Self::Surface(SurfaceConfig::default()),
            Method::Rbf => Self::Radiance(RadianceConfig::default()),
            Method::Video => Self::Video(VideoConfig::default()),
        }
    }

    /// The capture as surfaces and radiance look at it: with masks and cameras as their settings say. Others take it as it is.
    pub fn prepared(&self, capture: Capture) -> Capture {
        match self {
            Self::Surface(config) => prepared(&capture, config.masks, config.flip_cameras),
            Self::Radiance(config) => prepared(&capture, config.masks, config.flip_cameras),
            _ => capture,
        }
    }

    /// Which photos a run learns from, and how they are read.
    pub fn photos(&self, image_cache_mb: usize) -> Split {
        Split { test_every: self.test_every(), resolution: self.resolution(), image_cache_mb }
    }

    /// All settings with documentation.
    pub fn help(&self) -> String {
        fn of<C: Config>(_: &C) -> String {
            C::help()
        }
        of_any!(self, config => of(config))
    }

    pub fn steps(&self) -> u64 {
        of_training!(self, config => config.steps)
    }

    pub fn test_every(&self) -> usize {
        of_training!(self, config => config.test_every)
    }

    pub fn resolution(&self) -> u32 {
        of_training!(self, config => config.resolution)
    }

    pub fn background(&self) -> [f32; 3] {
        of_training!(self, config => config.background)
    }

    /// After how many steps there are a checkpoint, an evaluation and a preview.
    pub fn intervals(&self) -> [u64; 3] {
        of_training!(self, config => [config.checkpoint_every, config.eval_every, config.preview_every])
    }

    /// What differs from the defaults.
    pub fn chosen(&self) -> Vec<Chosen> {
        fn of<C: Config>(config: &C) -> Vec<Chosen> {
            let default = C::default();
            let differs = |name: &&'static str| config.value_text(name) != default.value_text(name);
            let chosen = |name| Chosen { name, value: config.value_text(name).unwrap_or_default() };
            C::FIELDS.iter().map(|f| f.name).filter(differs).map(chosen).collect()
        }
        of_any!(self, config => of(config))
    }

    fn apply_table(&mut self, table: &Table, origin: &str) -> tessera_engine::Result<()> {
        of_any!(self, config => config.apply_table(table, origin))
    }

    fn apply_preset(&mut self, name: &str) -> tessera_engine::Result<()> {
        match self {
            Self::Splats(config) => config.apply_toml(splats::preset(name)?, "preset"),
            Self::Blocks(config) => config.apply_toml(blocks::preset(name)?, "preset"),
            Self::Anchors(config) => config.apply_toml(anchors::preset(name)?, "preset"),
            Self::Surface(config) => config.apply_toml(surface::preset(name)?, "preset"),
            Self::Radiance(config) => config.apply_toml(radiance::preset(name)?, "preset"),
            Self::Video(config) => config.apply_toml(volumetric_video::preset(name)?, "preset"),
        }
    }

    fn set(&mut self, assignment: &str) -> tessera_engine::Result<()> {
        of_any!(self, config => config.set(assignment))
    }

    fn check(&self) -> tessera_engine::Result<()> {
        of_any!(self, config => config.check())
    }
}

/// The settings of a run: defaults or those of the run to resume, then the preset, the file and the flags.
///
/// # Errors
/// When a key or value is wrong anywhere.
pub fn for_run(
    method: Option<Method>,
    choices: &Choices,
    resumed: Option<&RunConfig>,
    console: &Console,
) -> Result<Settings> {
    let mut config = Settings::of(method.unwrap_or_default());
    if let Some(run) = resumed {
        if method.is_none() {
            config = Settings::of(method_of(run)?);
        }
        config.apply_table(&run.settings, "config.toml of the run to resume")?;
    }
    let before = config.clone();
    if let Some(name) = choices.preset {
        config.apply_preset(name.name())?;
    }
    if let Some(path) = &choices.config {
        config.apply_table(&settings_in(path)?, &path.display().to_string())?;
    }
    let flags = flags(choices);
    flags
        .iter()
        .chain(&choices.settings)
        .try_for_each(|flag| config.set(flag))
        .map_err(|e| UsageError(e.to_string()))?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    if resumed.is_some() {
        changes(&before, &config).iter().for_each(|change| console.note(format_args!("changed setting: {change}")));
    }
    Ok(config)
}

impl ChosenSettings {
    /// Whether there is any.
    pub fn are_given(&self) -> bool {
        self.seed.is_some() || self.config.is_some() || !self.settings.is_empty()
    }

    /// Changes `config` by the file, then by the command's own `flags`, the seed and single settings.
    ///
    /// # Errors
    /// When the file cannot be read, or there is no such setting or value.
    pub fn apply<C: Config>(&self, flags: impl IntoIterator<Item = String>, config: &mut C) -> Result<()> {
        if let Some(path) = &self.config {
            config.apply_table(&settings_in(path)?, &path.display().to_string())?;
        }
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        let mut all = flags.into_iter().chain(seed).chain(self.settings.iter().cloned());
        Ok(all.try_for_each(|flag| config.set(&flag)).map_err(|e| UsageError(e.to_string()))?)
    }
}

/// The method by which a run was trained.
///
/// # Errors
/// When this version does not know it.
pub fn method_of(run: &RunConfig) -> Result<Method> {
    match run.method.as_str() {
        "splats" => Ok(Method::Splats),
        "blocks" => Ok(Method::Blocks),
        "anchors" => Ok(Method::Anchors),
        "surface" => Ok(Method::Surface),
        "rbf" => Ok(Method::Rbf),
        "video" => Ok(Method::Video),
        unknown => bail!("the run was trained with the method '{unknown}', which this version does not know"),
    }
}

/// The settings of a run that is there, and of what kind it is.
///
/// # Errors
/// When it was not trained by a method that we know, or its settings are wrong.
pub fn of_run(run: &RunConfig, path: &Path) -> Result<Settings> {
    let mut config = Settings::of(method_of(run).with_context(|| format!("{}: cannot be used", path.display()))?);
    config.apply_table(&run.settings, &path.join("config.toml").display().to_string())?;
    Ok(config)
}

/// Flags of their own that are settings.
fn flags(choices: &Choices) -> Vec<String> {
    let flag = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
    let flags = [
        flag("steps", choices.steps.map(|v| v.to_string())),
        flag("blocks", choices.blocks.map(|v| v.to_string())),
        flag("max_splats", choices.max_splats.map(|v| v.to_string())),
        flag("resolution", choices.resolution.map(|v| v.to_string())),
        flag("test_every", choices.test_every.map(|v| v.to_string())),
        flag("seed", choices.seed.map(|v| v.to_string())),
        flag("on_oom", choices.on_oom.map(|v| v.name().to_owned())),
    ];
    flags.into_iter().flatten().collect()
}

/// The settings in a TOML file: its keys, or when it is the config.toml of a run, those under `[settings]`.
///
/// # Errors
/// When the file cannot be read or is no TOML.
fn settings_in(path: &Path) -> Result<Table> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name}: cannot be read"))?;
    let mut table: Table = toml::from_str(&text).with_context(|| format!("{name}: is not valid TOML"))?;
    match table.remove("settings") {
        Some(toml::Value::Table(settings)) => Ok(settings),
        Some(_) => bail!("{name}: 'settings' must be a table"),
        None => Ok(table),
    }
}

/// Settings that differ, as `steps: 3000 -> 6000`.
fn changes(before: &Settings, after: &Settings) -> Vec<String> {
    fn of<C: Config>(before: &C, after: &C) -> Vec<String> {
        let text = |config: &C, name: &str| config.value_text(name).unwrap_or_else(|| "not set".to_owned());
        let pairs = C::FIELDS.iter().map(|f| (f.name, text(before, f.name), text(after, f.name)));
        pairs.filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name}: {a} -> {b}")).collect()
    }
    match (before, after) {
        (Settings::Splats(before), Settings::Splats(after)) => of(before, after),
        (Settings::Blocks(before), Settings::Blocks(after)) => of(before, after),
        (Settings::Anchors(before), Settings::Anchors(after)) => of(before, after),
        (Settings::Surface(before), Settings::Surface(after)) => of(before, after),
        (Settings::Radiance(before), Settings::Radiance(after)) => of(before, after),
        (Settings::Video(before), Settings::Video(after)) => of(before, after),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_settings_are_told_with_both_values() {
        let before = SplatsConfig::default();
        let after = SplatsConfig { steps: before.steps + 1, ..before.clone() };
        let text = format!("steps: {} -> {}", before.steps, after.steps);
        let [before, after] = [before, after].map(Settings::Splats);
        assert_eq!(changes(&before, &after), [text]);
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn the_configuration_of_another_run_can_be_a_settings_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.toml");
        for text in ["steps = 7", "method = \"splats\"\n[settings]\nsteps = 7"] {
            std::fs::write(&path, text).expect("writable");
            let table = settings_in(&path).expect("settings");
            assert_eq!((table.len(), table["steps"].as_integer()), (1, Some(7)), "{text}");
        }
        std::fs::write(&path, "settings = 3").expect("writable");
        assert!(settings_in(&path).is_err());
    }
}
