//! What is drawn over the picture: brushes, rectangles, distances, photos, the explanation of keys.

use super::panels::distance;
use super::state::{Comparison, State, Tool};
use crate::renderer::View;
use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, Stroke, Vec2};
use tessera_datasets::camera::Camera;

const INK: Color32 = Color32::from_rgb(255, 220, 80);

/// Keys and what they do.
pub const KEYS: [(&str, &str); 17] = [
    ("Drag, wheel", "turn, shift, move nearer: by the habit chosen under View"),
    ("W A S D, Q E, arrows", "fly; Shift is faster"),
    ("F, Home", "show all; back to the start"),
    ("Double click", "turn about what is there"),
    ("1 2 3, 7 8 9", "front, right, top; back, left, bottom"),
    ("B, C", "select with a box, with a brush; Shift adds, Ctrl takes away"),
    ("I, X or Delete", "invert the selection, delete it"),
    ("Ctrl+Z, Ctrl+Y", "undo, redo"),
    ("M", "measure between two places"),
    ("O, N", "compare with the photo of this view, with the next; Shift+N: the one before"),
    ("K, P", "add a keyframe, play the path"),
    ("Space, comma, period", "play what moves, or stop; one frame back, one on"),
    ("Ctrl+S, F12, Ctrl+F12", "save the splats, the picture, a film of the path"),
    ("[ and ]", "smaller and larger splats"),
    ("Tab", "hide and show the panel"),
    ("Esc", "leave the tool, the photo, the selection"),
    ("F1", "this list"),
];

/// A gesture of the left button that a tool has begun, points.
#[derive(Clone, Debug, PartialEq)]
pub enum Gesture {
    /// From one corner to where the pointer is.
    Box(Pos2),
    /// All places that the brush has passed.
    Brush(Vec<Pos2>),
}

/// Paints the tools' marks. `scale` is points for each pixel of the view.
pub fn paint_tools(painter: &Painter, state: &State, gesture: Option<&Gesture>, pointer: Option<Pos2>) {
    let stroke = Stroke::new(1.5, INK);
    match (gesture, pointer) {
        (Some(Gesture::Box(from)), Some(to)) => {
            let rect = Rect::from_two_pos(*from, to);
            painter.rect(rect, 0.0, INK.gamma_multiply(0.15), stroke, egui::StrokeKind::Middle);
        }
        (Some(Gesture::Brush(places)), _) => {
            for &place in places {
                painter.circle_filled(place, state.brush, INK.gamma_multiply(0.05));
            }
        }
        _ => {}
    }
    if let (Tool::BrushSelect, Some(at)) = (state.tool, pointer) {
        painter.circle_stroke(at, state.brush, stroke);
    }
}

/// Where a place of the world is seen, points.
fn on_screen(view: &View, points_per_pixel: f32, place: &[f64; 3]) -> Option<Pos2> {
    let p = view.camera_from_world * nalgebra::Point3::from(*place);
    let lens = &view.camera.lens;
    let at = |axis: usize| (lens.focal[axis] * p[axis] / p.z + lens.centre[axis]) as f32 * points_per_pixel;
    (p.z > 0.0).then(|| Pos2::new(at(0), at(1)))
}

/// Paints the edges of a box along the axes that lie ahead of the camera.
pub fn paint_box(painter: &Painter, view: &View, points_per_pixel: f32, [low, high]: [[f64; 3]; 2]) {
    let corner = |i: usize| std::array::from_fn(|axis| if i >> axis & 1 == 1 { high[axis] } else { low[axis] });
    for (from, axis) in (0..8).flat_map(|i| (0..3).map(move |axis| (i, axis))).filter(|(i, axis)| i >> axis & 1 == 0) {
        let ends = [from, from | 1 << axis].map(|i| on_screen(view, points_per_pixel, &corner(i)));
        if let [Some(a), Some(b)] = ends {
            painter.line_segment([a, b], Stroke::new(1.0, INK));
        }
    }
}

/// Paints distances between places of the world. `points_per_pixel` converts the view's pixels.
pub fn paint_distances(painter: &Painter, view: &View, points_per_pixel: f32, places: &[[f64; 3]]) {
    for pair in places.chunks(2) {
        let ends: Vec<Pos2> = pair.iter().filter_map(|place| on_screen(view, points_per_pixel, place)).collect();
        ends.iter().for_each(|&end| {
            painter.circle_filled(end, 4.0, INK);
        });
        if let [a, b] = ends[..] {
            painter.line_segment([a, b], Stroke::new(2.0, INK));
            let text = format!("{:.4}", distance(pair[0], pair[1]));
            let middle = a + 0.5 * (b - a) + Vec2::new(6.0, -6.0);
            let text = painter.layout_no_wrap(text, FontId::proportional(15.0), Color32::WHITE);
            let rect = Align2::LEFT_BOTTOM.anchor_size(middle, text.size());
            painter.rect_filled(rect.expand(3.0), 3.0, Color32::from_black_alpha(180));
            painter.galley(rect.min, text, Color32::WHITE);
        }
    }
}

/// Where a photo lies in the window so that it covers what its camera sees.
pub fn photo_rect(camera: &Camera, free: Rect) -> Rect {
    let (width, height) = (camera.width as f32, camera.height as f32);
    let scale = (free.width() / width).min(free.height() / height);
    Rect::from_center_size(free.center(), scale * Vec2::new(width, height))
}

/// Paints the photo that is compared.
pub fn paint_photo(painter: &Painter, comparison: &Comparison, rect: Rect) {
    if let Some(texture) = &comparison.texture {
        let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        painter.image(texture.id(), rect, whole, Color32::WHITE.gamma_multiply(comparison.opacity));
    }
    painter.rect_stroke(rect, 0.0, Stroke::new(1.0, INK), egui::StrokeKind::Outside);
}

/// The explanation of keys.
pub fn help(context: &egui::Context, open: &mut bool) {
    egui::Window::new("Keys").open(open).anchor(Align2::LEFT_TOP, [16.0, 16.0]).resizable(false).show(context, |ui| {
        egui::Grid::new("keys").num_columns(2).spacing([16.0, 6.0]).show(ui, |ui| {
            for (keys, action) in KEYS {
                ui.strong(keys);
                ui.label(action);
                ui.end_row();
            }
        });
    });
}
