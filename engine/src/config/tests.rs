//! What a user may write into settings, and what the settings say back.

use super::*;
use serde::{Deserialize, Serialize};

/// A choice among words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backdrop {
    White,
    Random,
}

crate::config! {
    /// How a toy is trained.
    pub struct ToyConfig {
        /// Number of steps.
        ///
        /// More is better.
        steps: u64 = 1_000,
        /// How fast it learns.
        rate: f32 = 0.1,
        /// The most splats there may be.
        max_splats: usize = 200_000,
        /// Whether there is a schedule.
        schedule: bool = true,
        /// Colour behind everything.
        background: [f32; 3] = [1.0, 0.5, 0.0],
        /// What stands behind the object.
        backdrop: Backdrop = Backdrop::White,
        /// A name for the run.
        label: String = "auto".to_owned(),
        /// A limit, if any.
        limit: Option<u32> = None,
    }
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.expect_err("should have been refused").to_string()
}

#[test]
fn values_are_toml_or_else_plain_text() {
    let mut config = ToyConfig::default();
    for assignment in
        ["steps=20", "rate = 1", "max-splats=1_000", "schedule=false", "background=[0,0.25,1]", "backdrop=random"]
    {
        config.set(assignment).unwrap_or_else(|e| panic!("{assignment}: {e}"));
    }
    config.set("label=my run").expect("plain text");
    config.set("limit=7").expect("an option takes its inner type");
    assert_eq!((config.steps, config.rate, config.max_splats, config.schedule), (20, 1.0, 1000, false));
    assert_eq!((config.background, config.backdrop), ([0.0, 0.25, 1.0], Backdrop::Random));
    assert_eq!((config.label.as_str(), config.limit), ("my run", Some(7)));
    config.set("label=2024").expect("a number may be meant as text");
    assert_eq!(config.label, "2024");
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_names() {
    let mut config = ToyConfig::default();
    let said = message(config.set("max_splat=3"));
    assert!(said.contains("'max_splat'") && said.contains("did you mean max_splats?"), "{said}");
    let said = message(config.set("qqqqqqq=3"));
    assert!(said.contains("known are steps, rate"), "{said}");
    let said = message(config.apply_toml("stepz = 3", "my.toml"));
    assert!(said.starts_with("my.toml: ") && said.contains("steps"), "{said}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_the_right_type() {
    let mut config = ToyConfig::default();
    for (assignment, expected) in [
        ("steps=many", "whole number"),
        ("steps=-1", "whole number"),
        ("rate=fast", "number"),
        ("schedule=1", "true or false"),
        ("background=[1,2]", "three numbers"),
        ("backdrop=green", "green"),
    ] {
        let said = message(config.set(assignment));
        assert!(said.contains(assignment) && said.contains(expected), "{assignment}: {said}");
    }
    assert!(message(config.set("steps")).contains("key=value"));
    assert_eq!(config, ToyConfig::default(), "a refused value changed something");
}

#[test]
fn a_value_cannot_smuggle_in_a_second_key() {
    let mut config = ToyConfig::default();
    assert!(config.set("steps=1\nrate=2").is_err());
    config.set("label=a\nrate = 2").expect("it is text");
    assert_eq!(config.rate, 0.1);
}

#[test]
fn what_is_written_is_read_back_with_its_documentation() {
    let config =
        ToyConfig { rate: 0.123_456_79, limit: Some(3), label: "a \"quoted\" #1".into(), ..Default::default() };
    let text = config.to_toml();
    assert!(text.contains("# Number of steps.\n#\n# More is better.\nsteps = 1000\n"), "{text}");
    assert!(text.contains("rate = 0.12345679\n"), "{text}");
    assert_eq!(ToyConfig::from_toml(&text, "round trip").expect("readable"), config);
    let text = ToyConfig::default().to_toml();
    assert!(text.contains("# limit is not set"), "{text}");
    assert_eq!(ToyConfig::from_toml(&text, "round trip").expect("readable"), ToyConfig::default());
    assert_eq!(toml::from_str::<ToyConfig>(&text).expect("serde reads it too"), ToyConfig::default());
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "steps = 3\nrate = 0.3\n").expect("writable");
    let preset = "steps = 2\nrate = 0.2\nlabel = 'preset'";
    let config = ToyConfig::layered(preset, Some(&file), &["rate=0.4".to_owned()]).expect("all layers are right");
    assert_eq!((config.schedule, config.label.as_str(), config.steps, config.rate), (true, "preset", 3, 0.4));
    let said = message(ToyConfig::layered("", Some(&folder.path().join("none.toml")), &[]));
    assert!(said.contains("none.toml"), "{said}");
}

#[test]
fn text_that_is_no_toml_is_located() {
    let said = message(ToyConfig::from_toml("steps = 1\nrate = = 2\n", "my.toml"));
    assert!(said.contains("my.toml: is not valid TOML in line 2"), "{said}");
}

#[test]
fn help_lists_every_setting_with_type_and_default() {
    let help = ToyConfig::help();
    assert!(help.starts_with("How a toy is trained."), "{help}");
    assert!(help.contains("max_splats (whole number) [default: 200000]"), "{help}");
    assert!(help.contains("limit (whole number) [default: not set]"), "{help}");
    assert!(help.contains("label (text) [default: \"auto\"]"), "{help}");
    for field in ToyConfig::FIELDS {
        assert!(help.contains(field.name) && !field.doc.is_empty());
    }
}
