//! Rectangles in a square: in rows, the highest first.

use super::PADDING;

/// Where rectangles lie.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The corners nearest to the origin, in texels.
    pub corners: Vec<[u32; 2]>,
    /// The length of a texel, in the rectangles' units.
    pub texel: f64,
}

/// By how much texels grow when there is no room.
const GROWTH: f64 = 1.02;

/// Packs rectangles of these extents, each with a padding around it, into a square of `size` texels; texels are at least `texel` long, and longer
/// if there is no room. `None` when there are too many rectangles even if each is a texel.
pub fn packed(extents: &[[f64; 2]], texel: f64, size: u32) -> Option<Packed> {
    let mut texel = texel;
    loop {
        if let Some(corners) = rows(extents, texel, size) {
            return Some(Packed { corners, texel });
        }
        if extents.iter().all(|e| e[0].max(e[1]) < texel) {
            return None;
        }
        texel *= GROWTH;
    }
}

fn rows(extents: &[[f64; 2]], texel: f64, size: u32) -> Option<Vec<[u32; 2]>> {
    let side = |x: f64| (x / texel).ceil() as u64 + 2 * u64::from(PADDING);
    let sides: Vec<[u64; 2]> = extents.iter().map(|e| e.map(side)).collect();
    let mut order: Vec<usize> = (0..extents.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(sides[i][1]), std::cmp::Reverse(sides[i][0])));
    let size = u64::from(size);
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut corners = vec![[0; 2]; extents.len()];
    for i in order {
        let [own_width, own_height] = sides[i];
        if x + own_width > size {
            (x, y) = (0, y + height);
            height = 0;
        }
        if x + own_width > size || y + own_height > size {
            return None;
        }
        corners[i] = [x as u32, y as u32];
        x += own_width;
        height = height.max(own_height);
    }
    Some(corners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_do_not_touch_and_lie_in_the_square() {
        let extents: Vec<[f64; 2]> = (0..200).map(|i| [f64::from(i % 17) + 0.3, f64::from(i * 7 % 11) + 0.1]).collect();
        let packed = packed(&extents, 0.01, 512).expect("there is room");
        let boxes: Vec<[f64; 4]> = extents
            .iter()
            .zip(&packed.corners)
            .map(|(e, c)| {
                let low = c.map(|x| f64::from(x + PADDING));
                [low[0], low[1], low[0] + e[0] / packed.texel, low[1] + e[1] / packed.texel]
            })
            .collect();
        for (i, a) in boxes.iter().enumerate() {
            assert!(a[2] <= 510.0 && a[3] <= 510.0, "{a:?} reaches beyond the square");
            for b in &boxes[..i] {
                let apart = (a[0] - b[2]).max(b[0] - a[2]).max(a[1] - b[3]).max(b[1] - a[3]);
                assert!(apart >= f64::from(2 * PADDING), "{a:?} and {b:?} are {apart} texels apart");
            }
        }
        let covered: f64 = boxes.iter().map(|b| (b[2] - b[0]) * (b[3] - b[1])).sum();
        assert!(covered > 0.5 * 512.0 * 512.0, "only {covered} texels are covered");
        assert!(super::packed(&vec![[1.0; 2]; 1000], 0.01, 64).is_none(), "a thousand rectangles fit into 64 texels");
    }
}
