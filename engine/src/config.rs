//! Settings: one declaration that is the command-line flags, the TOML file and the documentation at once.
//!
//! A method declares its settings with [`config!`](crate::config!). Later layers win: defaults, then a preset, then a
//! TOML file, then flags ([`Config::layered`]).
//!
//! ```
//! use tessera_engine::config::Config;
//! tessera_engine::config! {
//!     /// How the toy is trained.
//!     pub struct ToyConfig {
//!         /// Number of training steps.
//!         steps: u64 = 1000,
//!         /// Learning rate.
//!         rate: f32 = 0.01,
//!     }
//! }
//! let mut config = ToyConfig::default();
//! config.set("steps=20")?;
//! assert_eq!(config.steps, 20);
//! assert!(config.set("stepz=20").is_err());
//! # Ok::<(), tessera_engine::Error>(())
//! ```

mod nearest;

use crate::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt::Write;
use std::path::Path;

pub use nearest::nearest_names;

/// One setting of a [`Config`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in Rust, in TOML and, with dashes, as a flag.
    pub name: &'static str,
    /// Its type as Rust spells it.
    pub rust_type: &'static str,
    /// What it does, from its doc comment.
    pub doc: &'static str,
    /// Its default as TOML; `None` when it is unset by default.
    pub default: fn() -> Option<String>,
}

impl Field {
    /// The type in words for the user.
    pub fn type_name(&self) -> String {
        let name: String = self.rust_type.chars().filter(|c| !c.is_whitespace()).collect();
        match name.strip_prefix("Option<").and_then(|n| n.strip_suffix('>')) {
            Some(inner) => type_in_words(inner),
            None => type_in_words(&name),
        }
    }
}

fn type_in_words(rust: &str) -> String {
    match rust {
        "bool" => "true or false".to_owned(),
        "f32" | "f64" => "number".to_owned(),
        "String" | "PathBuf" => "text".to_owned(),
        "[f32;3]" | "[f64;3]" => "three numbers".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "whole number".to_owned(),
        other => other.to_owned(),
    }
}

/// Settings of a method. Implemented by [`config!`](crate::config!).
pub trait Config: Default + Clone + Serialize + DeserializeOwned {
    /// All settings in the order of declaration.
    const FIELDS: &'static [Field];
    /// What the whole is about, from the struct's doc comment.
    const ABOUT: &'static str;

    /// Gives the setting `name` a value.
    ///
    /// # Errors
    /// When the value is of the wrong type, in words; unknown names are refused likewise.
    fn assign(&mut self, name: &str, value: toml::Value) -> std::result::Result<(), String>;

    /// The value of the setting `name` as TOML; `None` when it is unset or unknown.
    fn value_text(&self, name: &str) -> Option<String>;

    /// Applies one `key=value`, the value in TOML or else taken as plain text. Dashes in the key may stand for
    /// underscores.
    ///
    /// # Errors
    /// When the key is unknown (the nearest names are given), or the value has the wrong type.
    fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Error::setting(format!("'{assignment}' is not of the form key=value")));
        };
        let (name, value) = (key.trim().replace('-', "_"), value.trim());
        let field = field::<Self>(&name)?;
        let text = || toml::Value::String(value.to_owned());
        let parsed = parse_value(value).unwrap_or_else(text);
        // What looks like a number may still be meant as text: `name=2024`.
        let outcome = self.assign(&name, parsed).or_else(|reason| self.assign(&name, text()).map_err(|_| reason));
        outcome.map_err(|reason| {
            let message = format!("{name}={value} does not fit: {name} is {}, {reason}", article(&field.type_name()));
            Error::setting(message)
        })
    }

    /// Applies the keys of a table; those that it does not mention keep their values.
    ///
    /// # Errors
    /// When a key is unknown (the nearest names are given), or a value has the wrong type. `origin` is named as where
    /// the table came from.
    fn apply_table(&mut self, table: &toml::Table, origin: &str) -> Result<()> {
        for (name, value) in table {
            let applied = field::<Self>(name).and_then(|field| {
                self.assign(name, value.clone()).map_err(|reason| {
                    Error::setting(format!(
                        "{name} = {value} does not fit: it is {}, {reason}",
                        article(&field.type_name())
                    ))
                })
            });
            applied.map_err(|e| Error::setting(format!("{origin}: {e}")))?;
        }
        Ok(())
    }

    /// Applies a TOML file's text as [`Config::apply_table`] does.
    ///
    /// # Errors
    /// As [`Config::apply_table`], and when the text is no TOML.
    fn apply_toml(&mut self, text: &str, origin: &str) -> Result<()> {
        let table: toml::Table = toml::from_str(text).map_err(|e| toml_error(origin, text, &e))?;
        self.apply_table(&table, origin)
    }

    /// The settings of a TOML text, defaults for what it does not mention.
    ///
    /// # Errors
    /// As [`Config::apply_toml`].
    fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let mut config = Self::default();
        config.apply_toml(text, origin)?;
        Ok(config)
    }

    /// Defaults, then `preset` (TOML), then the TOML file `file`, then `flags` of the form `key=value`: later ones win.
    ///
    /// # Errors
    /// When the file cannot be read, or a key or value of any layer is wrong.
    fn layered(preset: &str, file: Option<&Path>, flags: &[String]) -> Result<Self> {
        let mut config = Self::from_toml(preset, "preset")?;
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, &e))?;
            config.apply_toml(&text, &path.display().to_string())?;
        }
        flags.iter().try_for_each(|flag| config.set(flag))?;
        Ok(config)
    }

    /// All settings as TOML, each below its documentation.
    fn to_toml(&self) -> String {
        let mut out = String::new();
        for field in Self::FIELDS {
            for line in field.doc.lines() {
                let _ = writeln!(out, "#{}{}", if line.trim().is_empty() { "" } else { " " }, line.trim());
            }
            let _ = match self.value_text(field.name) {
                Some(value) => writeln!(out, "{} = {value}\n", field.name),
                None => writeln!(out, "# {} is not set\n", field.name),
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }

    /// All settings with types, defaults and documentation, for a terminal.
    fn help() -> String {
        let mut out = format!("{}\n\n", Self::ABOUT);
        for field in Self::FIELDS {
            let default = (field.default)().unwrap_or_else(|| "not set".to_owned());
            let _ = writeln!(out, "  {} ({}) [default: {default}]", field.name, field.type_name());
            for line in field.doc.lines() {
                let _ = writeln!(out, "      {}", line.trim());
            }
        }
        out
    }
}

fn field<C: Config>(name: &str) -> Result<&'static Field> {
    C::FIELDS.iter().find(|f| f.name == name).ok_or_else(|| {
        let near = nearest_names(name, C::FIELDS.iter().map(|f| f.name));
        let advice = match near.split_last() {
            Some((only, [])) => format!("did you mean {only}?"),
            Some((last, others)) => format!("did you mean {} or {last}?", others.join(", ")),
            None => format!("known are {}", C::FIELDS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")),
        };
        Error::setting(format!("there is no setting '{name}'; {advice}"))
    })
}

/// The one TOML value that the text is, or nothing.
fn parse_value(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

fn article(type_name: &str) -> String {
    let plain = type_name.starts_with("true") || type_name.starts_with("three") || type_name == "text";
    if plain { type_name.to_owned() } else { format!("a {type_name}") }
}

fn toml_error(origin: &str, text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map_or_else(String::new, |line| format!(" in line {line}"));
    Error::setting(format!(
        "{origin}: is not valid TOML{place} ({})",
        error.message().lines().next().unwrap_or_default()
    ))
}

/// A value as TOML; `None` for an unset option. For [`config!`](crate::config!).
#[doc(hidden)]
pub fn toml_text<T: Serialize>(value: &T) -> Option<String> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        value: &'a T,
    }
    let line = toml::to_string(&Line { value }).ok()?;
    line.trim_end().strip_prefix("value = ").map(str::to_owned)
}

/// A value from TOML, or why not. For [`config!`](crate::config!).
#[doc(hidden)]
pub fn from_value<'de, T: Deserialize<'de>>(value: toml::Value) -> std::result::Result<T, String> {
    T::deserialize(value).map_err(|e| e.message().lines().next().unwrap_or_default().to_owned())
}

/// Declares settings: a struct with public fields, serde, `Default` and [`Config`]. Every setting has a doc comment, a
/// type and a default.
#[macro_export]
macro_rules! config {
    (
        $(#[doc = $about:literal])+
        pub struct $Name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident : $ty:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $Name {
            $( $(#[doc = $doc])+ pub $field: $ty, )*
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::config::Config for $Name {
            const FIELDS: &'static [$crate::config::Field] = &[
                $( $crate::config::Field {
                    name: stringify!($field),
                    rust_type: stringify!($ty),
                    doc: concat!($($doc, "\n"),+).trim_ascii(),
                    default: || { let value: $ty = $default; $crate::config::toml_text(&value) },
                }, )*
            ];
            const ABOUT: &'static str = concat!($($about, "\n"),+).trim_ascii();

            fn assign(&mut self, name: &str, value: $crate::config::Value) -> ::std::result::Result<(), String> {
                match name {
                    $( stringify!($field) => self.$field = $crate::config::from_value(value)?, )*
                    _ => return Err(format!("there is no setting '{name}'")),
                }
                Ok(())
            }

            fn value_text(&self, name: &str) -> Option<String> {
                match name {
                    $( stringify!($field) => $crate::config::toml_text(&self.$field), )*
                    _ => None,
                }
            }
        }
    };
}

#[doc(hidden)]
pub use toml::Value;

#[cfg(test)]
mod tests;
