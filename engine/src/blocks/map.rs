//! A picture of a plan, seen from above: points in their colours, cells with their numbers, cameras in the colours of the blocks
//! that they see most of.

use super::ground::centre;
use super::plan::Plan;
use tessera_datasets::capture::Capture;
use tessera_datasets::image::Image8;

/// The longer side of what is drawn, in pixels.
const SIDE: f64 = 1200.0;
/// What is drawn around the scene, as a share of its longer side.
const MARGIN: f64 = 0.08;
/// Points that are drawn, at most.
const MOST_POINTS: usize = 200_000;
/// Colours of blocks; neighbours in the list are neighbours on the ground more often than not.
const COLOURS: [[u8; 3]; 10] = [
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [23, 150, 160],
    [160, 160, 20],
    [90, 90, 110],
];
const BACKGROUND: [u8; 3] = [252, 252, 250];
const INK: [u8; 3] = [20, 20, 25];

/// Draws a plan of this capture.
pub fn draw_map(plan: &Plan, capture: &Capture) -> Image8 {
    let mut map = Map::new(plan, capture);
    for (number, block) in plan.blocks.iter().enumerate() {
        map.fill(block.cell.within(map.shown), colour(number), 0.22);
    }
    let step = capture.points.len().div_ceil(MOST_POINTS).max(1);
    for point in capture.points.iter().step_by(step) {
        map.dot(plan.ground.place(point.position).0, 1, point.colour);
    }
    for frame in &capture.frames {
        let place = plan.ground.place(centre(frame).into()).0;
        map.dot(place, 5, INK);
        // One that no block uses stays white.
        map.dot(place, 4, plan.seen_most.get(&frame.name).map_or([255; 3], |&block| colour(block)));
    }
    for (number, block) in plan.blocks.iter().enumerate() {
        let corners = block.cell.within(map.shown);
        map.outline(corners);
        map.number(corners, number + 1);
    }
    map.image
}

fn colour(block: usize) -> [u8; 3] {
    COLOURS[block % COLOURS.len()]
}

struct Map {
    image: Image8,
    /// The corners on the ground, lowest and highest, of what is drawn.
    shown: [[f64; 2]; 2],
    /// Pixels for each unit.
    scale: f64,
}

impl Map {
    fn new(plan: &Plan, capture: &Capture) -> Self {
        let [mut low, mut high] = plan.bounds;
        for frame in &capture.frames {
            let place = plan.ground.place(centre(frame).into()).0;
            low = [0, 1].map(|axis| low[axis].min(place[axis]));
            high = [0, 1].map(|axis| high[axis].max(place[axis]));
        }
        let longer = (0..2).map(|axis| high[axis] - low[axis]).fold(0.0, f64::max);
        let margin = if longer > 0.0 { MARGIN * longer } else { 1.0 };
        let shown = [low.map(|v| v - margin), high.map(|v| v + margin)];
        let scale = SIDE / (longer + 2.0 * margin);
        let [width, height] = [0, 1].map(|axis| ((shown[1][axis] - shown[0][axis]) * scale).ceil().max(1.0) as u32);
        let mut image = Image8::new(width, height, 3);
        image.data.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&BACKGROUND));
        Self { image, shown, scale }
    }

    /// The second axis goes up.
    fn pixel(&self, place: [f64; 2]) -> [i64; 2] {
        let [low, high] = self.shown;
        [((place[0] - low[0]) * self.scale) as i64, ((high[1] - place[1]) * self.scale) as i64]
    }

    fn blend(&mut self, [x, y]: [i64; 2], colour: [u8; 3], share: f64) {
        let inside = |v: i64, size: u32| usize::try_from(v).ok().filter(|&v| v < size as usize);
        let (Some(x), Some(y)) = (inside(x, self.image.width), inside(y, self.image.height)) else { return };
        let start = 3 * (y * self.image.width as usize + x);
        for (value, new) in self.image.data[start..start + 3].iter_mut().zip(colour) {
            *value = (f64::from(*value) * (1.0 - share) + f64::from(new) * share).round() as u8;
        }
    }

    fn rectangle(&mut self, [left, top]: [i64; 2], [right, bottom]: [i64; 2], colour: [u8; 3], share: f64) {
        for y in top..bottom {
            for x in left..right {
                self.blend([x, y], colour, share);
            }
        }
    }

    fn fill(&mut self, [low, high]: [[f64; 2]; 2], colour: [u8; 3], share: f64) {
        let ([left, bottom], [right, top]) = (self.pixel(low), self.pixel(high));
        self.rectangle([left, top], [right, bottom], colour, share);
    }

    fn outline(&mut self, [low, high]: [[f64; 2]; 2]) {
        let ([left, bottom], [right, top]) = (self.pixel(low), self.pixel(high));
        for [from, to] in [
            [[left - 1, top], [left + 1, bottom]],
            [[right - 1, top], [right + 1, bottom]],
            [[left, top - 1], [right, top + 1]],
            [[left, bottom - 1], [right, bottom + 1]],
        ] {
            self.rectangle(from, to, INK, 1.0);
        }
    }

    fn dot(&mut self, place: [f64; 2], radius: i64, colour: [u8; 3]) {
        let [x, y] = self.pixel(place);
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                if dx * dx + dy * dy <= radius * radius {
                    self.blend([x + dx, y + dy], colour, 1.0);
                }
            }
        }
    }

    /// A number in the upper left corner of a cell, on a ground of its own so that it can be read on anything.
    fn number(&mut self, [low, high]: [[f64; 2]; 2], number: usize) {
        const DOT: i64 = 3;
        let [left, top] = self.pixel([low[0], high[1]]);
        let (left, top) = (left.max(0) + 6, top.max(0) + 6);
        let digits: Vec<usize> = number.to_string().bytes().map(|digit| usize::from(digit - b'0')).collect();
        let width = digits.len() as i64 * 4 * DOT;
        self.rectangle([left - DOT, top - DOT], [left + width, top + 6 * DOT], BACKGROUND, 0.85);
        for (k, digit) in digits.into_iter().enumerate() {
            for (row, bits) in DIGITS[digit].into_iter().enumerate() {
                for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                    let corner = [left + (4 * k as i64 + column) * DOT, top + row as i64 * DOT];
                    self.rectangle(corner, corner.map(|v| v + DOT), INK, 1.0);
                }
            }
        }
    }
}

/// Rows of three dots, the leftmost in the highest bit.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];
