//! Training settings from all that the command line says about them.

use crate::args::Reconstruct;
use crate::console::{Console, UsageError};
use anyhow::{Context, Result, bail};
use std::path::Path;
use tessera_engine::config::Config;
use tessera_engine::splats::{SplatsConfig, preset};
use tessera_engine::train::RunConfig;
use toml::Table;

/// The settings of a run: defaults or those of the run to resume, then the preset, the file and the flags.
///
/// # Errors
/// When a key or value is wrong anywhere.
pub fn for_run(args: &Reconstruct, resumed: Option<&RunConfig>, console: &Console) -> Result<SplatsConfig> {
    let mut config = SplatsConfig::default();
    if let Some(run) = resumed {
        config.apply_table(&run.settings, "config.toml of the run to resume")?;
    }
    let before = config.clone();
    if let Some(name) = args.preset {
        config.apply_toml(preset(name.name())?, "preset")?;
    }
    if let Some(path) = &args.config {
        config.apply_table(&settings_in(path)?, &path.display().to_string())?;
    }
    let flags = flags(args);
    flags.iter().chain(&args.settings).try_for_each(|flag| config.set(flag)).map_err(|e| UsageError(e.to_string()))?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    if resumed.is_some() {
        changes(&before, &config).iter().for_each(|change| console.note(format_args!("changed setting: {change}")));
    }
    Ok(config)
}

/// The settings of a run that is there, and of what kind it is.
///
/// # Errors
/// When it was not trained by a method that we know, or its settings are wrong.
pub fn of_run(run: &RunConfig, path: &Path) -> Result<SplatsConfig> {
    if run.method != "splats" {
        bail!("{}: was trained with the method '{}', which this version does not know", path.display(), run.method);
    }
    let mut config = SplatsConfig::default();
    config.apply_table(&run.settings, &path.join("config.toml").display().to_string())?;
    Ok(config)
}

/// Flags of their own that are settings.
fn flags(args: &Reconstruct) -> Vec<String> {
    let flag = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
    let flags = [
        flag("steps", args.steps.map(|v| v.to_string())),
        flag("max_splats", args.max_splats.map(|v| v.to_string())),
        flag("resolution", args.resolution.map(|v| v.to_string())),
        flag("test_every", args.test_every.map(|v| v.to_string())),
        flag("seed", args.seed.map(|v| v.to_string())),
        flag("on_oom", args.on_oom.map(|v| v.name().to_owned())),
    ];
    flags.into_iter().flatten().collect()
}

/// The settings in a TOML file: its keys, or when it is the config.toml of a run, those under `[settings]`.
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
fn changes(before: &SplatsConfig, after: &SplatsConfig) -> Vec<String> {
    let text = |config: &SplatsConfig, name: &str| config.value_text(name).unwrap_or_else(|| "not set".to_owned());
    let pairs = SplatsConfig::FIELDS.iter().map(|f| (f.name, text(before, f.name), text(after, f.name)));
    pairs.filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name}: {a} -> {b}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_settings_are_told_with_both_values() {
        let before = SplatsConfig::default();
        let after = SplatsConfig { steps: before.steps + 1, ..before.clone() };
        assert_eq!(changes(&before, &after), [format!("steps: {} -> {}", before.steps, after.steps)]);
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
