//! What is shown while splats are converted: one bar for each stage that takes long.

use crate::console::Console;
use crate::progress::Progress;
use std::time::{Duration, Instant};
use tessera_engine::datasets::convert::{self, Stage};

/// Shorter stages pass without a word.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct ConversionProgress {
    console: Console,
    stage: Option<(Stage, Instant, Option<Progress>)>,
}

impl ConversionProgress {
    /// Progress of a conversion that is about to begin.
    pub fn new(console: &Console) -> Self {
        Self { console: *console, stage: None }
    }

    /// Shows how far it has come.
    pub fn show(&mut self, now: convert::Progress) {
        if self.stage.as_ref().is_none_or(|(stage, ..)| *stage != now.stage) {
            // The bar before it ends first.
            self.stage = None;
            self.stage = Some((now.stage, Instant::now(), None));
        }
        let Some((stage, started, bar)) = &mut self.stage else { return };
        // Of these nobody knows how far they are until they are done.
        if matches!(stage, Stage::FindingFloaters | Stage::Merging) {
            let what = if *stage == Stage::Merging { "merging splats" } else { "looking for floaters" };
            if now.total > 1_000_000 {
                self.console.note(format_args!("{what}; this takes some seconds for every million"));
            }
            return;
        }
        if started.elapsed() >= PATIENCE {
            let what = match stage {
                Stage::Reading => "reading",
                Stage::Building => "building levels of detail",
                _ => "writing",
            };
            bar.get_or_insert_with(|| Progress::new(&self.console, what)).count(now.done as usize, now.total as usize);
        }
    }

    /// Ends what is shown.
    pub fn finish(&mut self) {
        self.stage = None;
    }
}
