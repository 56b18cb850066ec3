//! What the window says over the picture: what was done, what went wrong, what goes on.

use super::state::{Command, State};
use egui::{Align2, Color32, Context, Frame, Rect};
use std::time::{Duration, Instant};

/// How long it is said that something was done.
const DONE: Duration = Duration::from_secs(6);

/// The last thing that was done or went wrong. Success is said for a while, failure until something else is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notices {
    text: String,
    is_error: bool,
    until: Option<Instant>,
}

impl Notices {
    /// Something was done.
    pub fn say(&mut self, text: String) {
        tracing::info!("{text}");
        *self = Self { text, is_error: false, until: Some(Instant::now() + DONE) };
    }

    /// Something went wrong.
    pub fn complain(&mut self, text: String) {
        tracing::warn!("{text}");
        *self = Self { text, is_error: true, until: None };
    }

    /// Nothing more is said.
    pub fn dismiss(&mut self) {
        *self = Self::default();
    }

    /// When something has been said for long enough.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What is said at a time, and whether it went wrong.
    pub fn at(&self, now: Instant) -> Option<(&str, bool)> {
        let is_over = self.text.is_empty() || self.until.is_some_and(|until| until <= now);
        (!is_over).then_some((self.text.as_str(), self.is_error))
    }
}

/// Shows everything that is to be said at the lower edge of the free part of the window.
pub fn show(context: &Context, state: &mut State, complaint: Option<&str>, free: Rect, commands: &mut Vec<Command>) {
    let at = free.left_bottom() + egui::vec2(12.0, -12.0);
    egui::Area::new(egui::Id::unique("notices")).pivot(Align2::LEFT_BOTTOM).fixed_pos(at).show(context, |ui| {
        ui.set_max_width((free.width() - 24.0).max(60.0));
        if let Some(complaint) = complaint {
            line(ui, complaint, Color32::ORANGE, None);
        }
        if let Some((text, is_error)) = state.notices.at(Instant::now()) {
            let (text, colour) = (text.to_owned(), if is_error { Color32::LIGHT_RED } else { Color32::LIGHT_GREEN });
            if line(ui, &text, colour, is_error.then_some("OK")) {
                state.notices.dismiss();
            }
        }
        if let Some((done, total)) = state.filming
            && line(ui, &format!("filming: {done} of {total} pictures"), Color32::WHITE, Some("Stop (Esc)"))
        {
            commands.push(Command::StopFilming);
        }
        if let Some(training) = &state.training {
            line(ui, training, Color32::WHITE, None);
        }
    });
}

/// One thing that is said; whether its button was clicked.
fn line(ui: &mut egui::Ui, text: &str, colour: Color32, button: Option<&str>) -> bool {
    let frame = Frame::new().fill(Color32::from_black_alpha(200)).corner_radius(4.0).inner_margin(6.0);
    let contents = |ui: &mut egui::Ui| {
        ui.horizontal(|ui| {
            ui.colored_label(colour, text);
            button.is_some_and(|name| ui.button(name).clicked())
        })
    };
    frame.show(ui, contents).inner.inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_said_for_a_while_and_failure_until_it_was_seen() {
        let mut notices = Notices::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        assert_eq!(notices.at(now), None);
        notices.say("saved".to_owned());
        assert_eq!(notices.at(now), Some(("saved", false)));
        assert_eq!(notices.at(later), None);
        notices.complain("the disk is full".to_owned());
        assert_eq!(notices.at(later), Some(("the disk is full", true)));
        notices.dismiss();
        assert_eq!(notices.at(later), None);
    }
}
