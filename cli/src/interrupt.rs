//! Ctrl-C and polite requests to end: the first lets work that can be stopped come to a safe end (training writes a
//! checkpoint), the second ends the program at once, as does the first when there is nothing to save.

use crate::console::{Console, INTERRUPTED};
use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static STOPPABLE: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// Installs the handler.
///
/// # Errors
/// When the system refuses.
pub fn install(console: Console) -> Result<()> {
    let asked = move || {
        if !STOPPABLE.load(Ordering::Relaxed) || STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        console.note("\nstopping safely; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(asked).context("Ctrl-C cannot be caught")
}

/// Asks work that can be stopped to end, as Ctrl-C does.
pub fn stop() {
    STOP.store(true, Ordering::Relaxed);
}

/// Whether somebody has asked.
pub fn is_asked_to_stop() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Runs `work`, which ends soon and safely once the flag that it is given becomes true.
pub fn stoppable<T>(work: impl FnOnce(&AtomicBool) -> T) -> T {
    STOPPABLE.store(true, Ordering::Relaxed);
    let outcome = work(&STOP);
    STOPPABLE.store(false, Ordering::Relaxed);
    outcome
}
