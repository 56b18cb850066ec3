//! What the colours of a normal map mean, and whether that fits what the outlines say.

use super::View;
use super::vector::{V3, dot};
use crate::{Error, Result};
use nalgebra::Vector3;
use std::fmt;
use std::str::FromStr;

/// By how much another reading must fit better, in mean cosines, for the one that was asked for to be wrong.
const CLEARLY: f64 = 0.2;

/// The mean cosine from which on a reading is good: normals of hulls and of objects differ by less than this where cameras are right.
const GOOD: f64 = 0.8;

/// Whose axes normals are given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// Those of the cameras' world, the same in all maps.
    #[default]
    World,
    /// Those of each camera: x right, y up, z towards the camera.
    Camera,
}

impl Space {
    /// Both, with their names on the command line.
    pub const ALL: [(Self, &'static str); 2] = [(Self::World, "world"), (Self::Camera, "camera")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(space, _)| *space == self).map_or("", |(_, name)| name)
    }
}

/// The directions that red, green and blue stand for: which axis, and whether against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes([(usize, bool); 3]);

impl Default for Axes {
    fn default() -> Self {
        Self([(0, false), (1, false), (2, false)])
    }
}

impl Axes {
    /// All 48, the usual one first.
    fn all() -> impl Iterator<Item = Self> {
        const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        ORDERS
            .into_iter()
            .flat_map(|order| (0..8).map(move |signs| Self([0, 1, 2].map(|k| (order[k], signs >> k & 1 == 1)))))
    }

    /// The vector that three channels from -1 to 1 stand for.
    fn vector(self, channels: V3<f32>) -> V3<f32> {
        let mut vector = [0.0; 3];
        for (channel, (axis, against)) in channels.into_iter().zip(self.0) {
            vector[axis] = if against { -channel } else { channel };
        }
        vector
    }

    /// The mean cosine, by the means of the products of channels and components.
    fn cosine(self, products: &[[f64; 3]; 3]) -> f64 {
        let of_channel = |(k, (axis, against)): (usize, (usize, bool))| {
            if against { -products[k][axis] } else { products[k][axis] }
        };
        self.0.into_iter().enumerate().map(of_channel).sum()
    }
}

impl fmt::Display for Axes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |(axis, against): (usize, bool)| format!("{}{}", if against { "-" } else { "" }, ["x", "y", "z"][axis]);
        f.write_str(&self.0.map(name).join(","))
    }
}

impl FromStr for Axes {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let of = |part: &str| {
            let part = part.trim();
            let (against, name) = part.strip_prefix('-').map_or((false, part), |name| (true, name));
            ["x", "y", "z"].iter().position(|axis| *axis == name).map(|axis| (axis, against))
        };
        let parts: Option<Vec<(usize, bool)>> = text.split(',').map(of).collect();
        let axes = parts.and_then(|parts| <[(usize, bool); 3]>::try_from(parts).ok());
        let is_whole = |axes: &[(usize, bool); 3]| (0..3).all(|axis| axes.iter().any(|(a, _)| *a == axis));
        axes.filter(is_whole).map(Self).ok_or_else(|| {
            "the directions of red, green and blue are x, y and z in some order, each perhaps with a minus, such as x,-y,z".to_owned()
        })
    }
}

/// How colours become normals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Convention {
    /// Whose axes.
    pub space: Space,
    /// Which axes.
    pub axes: Axes,
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.space.name(), self.axes)
    }
}

/// OpenCV's camera axes to those of [`Space::Camera`], and back.
fn upright([x, y, z]: V3<f32>) -> V3<f32> {
    [x, -y, -z]
}

impl Convention {
    /// The normal in the world that a pixel of a view stands for.
    pub fn normal(self, view: &View, channels: V3<f32>) -> V3<f32> {
        let vector = self.axes.vector(channels);
        match self.space {
            Space::World => vector,
            Space::Camera => {
                let back = view.camera_from_world.rotation.inverse();
                (back.cast::<f32>() * Vector3::from(upright(vector))).into()
            }
        }
    }
}

/// How well every convention fits normals that are known in the world.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    products: [[[f64; 3]; 3]; 2],
    pixels: f64,
}

impl Agreement {
    /// Looks at a pixel of a view whose normal in the world should be about `expected`.
    pub fn add(&mut self, view: &View, channels: V3<f32>, expected: V3<f32>) {
        let in_camera = view.camera_from_world.rotation.cast::<f32>() * Vector3::from(expected);
        for (products, expected) in self.products.iter_mut().zip([expected, upright(in_camera.into())]) {
            for k in 0..3 {
                (0..3).for_each(|axis| products[k][axis] += f64::from(channels[k] * expected[axis]));
            }
        }
        self.pixels += f64::from(dot(channels, channels).sqrt());
    }

    /// The mean cosine between what a convention makes of the maps and what was expected.
    pub fn cosine(&self, convention: Convention) -> f64 {
        let of_space = &self.products[usize::from(convention.space == Space::Camera)];
        convention.axes.cosine(of_space) / self.pixels.max(1.0)
    }

    /// Refuses a convention when another one fits clearly better.
    ///
    /// # Errors
    /// Then; it names the flags.
    pub fn check(&self, convention: Convention) -> Result<()> {
        let all = Space::ALL.iter().flat_map(|(space, _)| Axes::all().map(|axes| Convention { space: *space, axes }));
        let best =
            all.fold(convention, |best, other| if self.cosine(other) > self.cosine(best) { other } else { best });
        let (given, other) = (self.cosine(convention), self.cosine(best));
        if other - given <= CLEARLY {
            return Ok(());
        }
        let doubt = match other < GOOD {
            true => {
                ", unless the cameras are wrong, as that is not good either (of maps from around the object, see --clockwise and --elevation)"
            }
            false => "",
        };
        Err(Error::setting(format!(
            "the normal maps do not fit the outlines: read as {convention} their mean cosine with the normals of the visual hull is {given:.2}, read \
             as {best} it is {other:.2}; use --space {} --axes={}{doubt}",
            best.space.name(),
            best.axes
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn axes_are_read_as_they_are_written() {
        let all: HashSet<String> = Axes::all().map(|axes| axes.to_string()).collect();
        assert_eq!(all.len(), 48, "every order and every sign once");
        for axes in Axes::all() {
            assert_eq!(axes.to_string().parse(), Ok(axes));
        }
        assert_eq!("x, -y ,z".parse::<Axes>().map(|axes| axes.vector([0.1, 0.2, 0.3])), Ok([0.1, -0.2, 0.3]));
        assert_eq!("z,x,-y".parse::<Axes>().map(|axes| axes.vector([0.1, 0.2, 0.3])), Ok([0.2, -0.3, 0.1]));
        for wrong in ["", "x,y", "x,y,y", "x,y,w", "x,y,z,z", "--x,y,z"] {
            assert!(wrong.parse::<Axes>().is_err(), "{wrong} was taken for axes");
        }
    }
}
