//! COLMAP's `.txt` files: values separated by spaces, `#` begins a comment line.

use super::{Cameras, ModelImage, Parsed, Point, camera, insert_camera};
use crate::camera::LensModel;
use std::str::{FromStr, SplitWhitespace};

/// `cameras.txt`: id, model name, width, height, parameters.
pub(super) fn cameras(text: &str) -> Parsed<Cameras> {
    let mut cameras = Cameras::new();
    for (number, line) in data_lines(text).filter(|(_, line)| !line.is_empty()) {
        let mut values = Values { number, rest: line.split_whitespace() };
        let id = values.next("camera id")?;
        let name: String = values.next("camera model")?;
        let model = LensModel::from_name(&name).map_err(|e| format!("camera {id} has an {e}"))?;
        let size = (values.next("width")?, values.next("height")?);
        let mut parameters = Vec::new();
        for value in values.rest {
            parameters.push(parse(value, "camera parameter", number)?);
        }
        insert_camera(&mut cameras, id, camera(id, model, size, &parameters)?)?;
    }
    Ok(cameras)
}

/// `images.txt`: for each image a line with id, quaternion (w, x, y, z), translation, camera id and name, and a line
/// (perhaps empty) with its observations, which is skipped.
pub(super) fn images(text: &str) -> Parsed<Vec<ModelImage>> {
    let mut images = Vec::new();
    let mut lines = data_lines(text);
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let mut values = Values { number, rest: line.split_whitespace() };
        values.next::<u32>("image id")?;
        let mut numbers = [0.0; 7];
        for value in &mut numbers {
            *value = values.next("pose")?;
        }
        let camera = values.next("camera id")?;
        // Names may hold spaces: all that follows the ninth value.
        let name = after_values(line, 9);
        if name.is_empty() {
            return Err(format!("line {number} has no image name"));
        }
        let [w, x, y, z, tx, ty, tz] = numbers;
        let image = ModelImage { name: name.to_owned(), camera, rotation: [w, x, y, z], translation: [tx, ty, tz] };
        images.push(image);
        if let Some((number, line)) = lines.next() {
            check_observations(line, number)?;
        }
    }
    Ok(images)
}

/// Refuses what looks like another image, which happens to files written by hand without the second lines.
fn check_observations(line: &str, number: usize) -> Parsed<()> {
    let triples = line.split_whitespace().count().is_multiple_of(3);
    let ends_in_number = line.split_whitespace().next_back().is_none_or(|value| value.parse::<f64>().is_ok());
    if triples && ends_in_number {
        Ok(())
    } else {
        Err(format!("line {number} should hold the observations of the image above it (x, y, point), or be empty"))
    }
}

/// `points3D.txt`: id, position, colour, error, track.
pub(super) fn points(text: &str) -> Parsed<Vec<Point>> {
    let mut points = Vec::new();
    for (number, line) in data_lines(text).filter(|(_, line)| !line.is_empty()) {
        let mut values = Values { number, rest: line.split_whitespace() };
        values.next::<u64>("point id")?;
        let position = [values.next("position")?, values.next("position")?, values.next("position")?];
        let colour = [values.next("colour")?, values.next("colour")?, values.next("colour")?];
        values.next::<f64>("error")?;
        points.push(Point { position, colour });
    }
    Ok(points)
}

/// Numbered lines without comments. Empty ones are kept, since an image without observations has one.
fn data_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.starts_with('#'))
}

/// The rest of `line` after `count` values.
fn after_values(line: &str, count: usize) -> &str {
    (0..count)
        .fold(line.trim_start(), |rest, _| rest.find(char::is_whitespace).map_or("", |end| rest[end..].trim_start()))
}

struct Values<'a> {
    number: usize,
    rest: SplitWhitespace<'a>,
}

impl Values<'_> {
    fn next<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        match self.rest.next() {
            Some(value) => parse(value, what, self.number),
            None => Err(format!("line {} ends before its {what}", self.number)),
        }
    }
}

fn parse<T: FromStr>(value: &str, what: &str, line: usize) -> Parsed<T> {
    value.parse().map_err(|_| {
        let shown: String = value.chars().take(40).collect();
        format!("line {line} has the {what} '{shown}', which is not a number in its range")
    })
}
