//! CUDA sources, embedded in the program.

/// A `.cu` file: some kernels that are compiled together.
#[derive(Debug)]
pub struct Source {
    /// Its path below `kernels/src`, with slashes.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Source {
    /// A source; `name` is its path below `kernels/src`.
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }

    /// The names and parameters of its kernels, in the order of the text.
    pub fn kernels(&self) -> Vec<Signature> {
        let text = without_comments(self.text);
        text.split("__global__").skip(1).filter_map(Signature::parse).collect()
    }
}

/// A kernel's name and the types of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The kernel's name.
    pub name: String,
    /// Its parameters in order.
    pub parameters: Vec<Parameter>,
}

/// What a kernel takes at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its type or, of a pointer, what it points to, as in [`Element::CUDA_NAME`](super::Element::CUDA_NAME).
    pub element: String,
    /// Whether it is a pointer.
    pub pointer: bool,
    /// Whether what it points to is only read.
    pub constant: bool,
}

impl Signature {
    /// Reads what follows `__global__`.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start().strip_prefix("void")?.trim_start();
        if let Some(bounds) = rest.strip_prefix("__launch_bounds__") {
            rest = bounds.get(closing(bounds)? + 1..)?.trim_start();
        }
        let open = rest.find('(')?;
        let end = open + closing(&rest[open..])?;
        let list = rest[open + 1..end].trim();
        let parameters = if list.is_empty() { Vec::new() } else { list.split(',').map(Parameter::parse).collect() };
        Some(Self { name: rest[..open].trim().to_owned(), parameters })
    }
}

impl Parameter {
    /// Reads `const float* __restrict__ name`.
    fn parse(text: &str) -> Self {
        let spaced = text.replace('*', " * ");
        let mut words: Vec<&str> = spaced.split_whitespace().filter(|word| *word != "__restrict__").collect();
        words.pop(); // its name
        let pointer = words.contains(&"*");
        let constant = words.first() == Some(&"const");
        words.retain(|word| *word != "*" && *word != "const");
        let element = match words.join(" ").as_str() {
            "unsigned" | "unsigned int" | "uint32_t" => "u32".to_owned(),
            "int" | "int32_t" => "i32".to_owned(),
            "unsigned long long" | "uint64_t" => "u64".to_owned(),
            "long long" | "int64_t" => "i64".to_owned(),
            "unsigned char" | "uint8_t" => "u8".to_owned(),
            "unsigned short" | "uint16_t" => "u16".to_owned(),
            other => other.to_owned(),
        };
        Self { element, pointer, constant }
    }
}

/// Where the bracket closes that `text` begins with, after white space.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        kept.push_str(line.split("//").next().unwrap_or(""));
        kept.push('\n');
    }
    while let Some(start) = kept.find("/*") {
        let end = kept[start..].find("*/").map_or(kept.len(), |length| start + length + 2);
        kept.replace_range(start..end, " ");
    }
    kept
}

/// Files that sources include, by the names that they include them with.
pub static HEADERS: [Source; 22] = [
    Source::new("device/cuda.cuh", include_str!("cuda.cuh")),
    Source::new("device/half.cuh", include_str!("half.cuh")),
    Source::new("device/matrix.cuh", include_str!("matrix.cuh")),
    Source::new("device/tile_product.cuh", include_str!("tile_product.cuh")),
    Source::new("adam/adam.cuh", include_str!("../adam/adam.cuh")),
    Source::new("adam/packed.cuh", include_str!("../adam/packed.cuh")),
    Source::new("anchor_decoder/cuda/anchors.cuh", include_str!("../anchor_decoder/cuda/anchors.cuh")),
    Source::new("camera_projection/ewa.cuh", include_str!("../camera_projection/ewa.cuh")),
    Source::new("camera_projection/lens.cuh", include_str!("../camera_projection/lens.cuh")),
    Source::new("gaussian4d/cuda/gaussian4d.cuh", include_str!("../gaussian4d/cuda/gaussian4d.cuh")),
    Source::new("image_loss/loss.cuh", include_str!("../image_loss/loss.cuh")),
    Source::new("occupancy/ray.cuh", include_str!("../occupancy/ray.cuh")),
    Source::new("sdf_render/cuda/target.cuh", include_str!("../sdf_render/cuda/target.cuh")),
    Source::new("sort/scan.cuh", include_str!("../sort/scan.cuh")),
    Source::new("sparse_attention/cuda/heads.cuh", include_str!("../sparse_attention/cuda/heads.cuh")),
    Source::new("splat/cuda/harmonics.cuh", include_str!("../splat/cuda/harmonics.cuh")),
    Source::new("splat/cuda/parameters.cuh", include_str!("../splat/cuda/parameters.cuh")),
    Source::new("splat/cuda/random.cuh", include_str!("../splat/cuda/random.cuh")),
    Source::new("splat/cuda/record.cuh", include_str!("../splat/cuda/record.cuh")),
    Source::new("splat/cuda/splats.cuh", include_str!("../splat/cuda/splats.cuh")),
    Source::new("splat/cuda/sums.cuh", include_str!("../splat/cuda/sums.cuh")),
    Source::new("splat/cuda/tile.cuh", include_str!("../splat/cuda/tile.cuh")),
];

/// Every source of this crate.
pub static SOURCES: [&Source; 40] = [
    &super::SELF_TEST,
    &crate::adam::cuda::ADAM,
    &crate::adam::cuda::LISTED,
    &crate::adam::cuda::PAIRS,
    &crate::anchor_decoder::cuda::DECODE,
    &crate::anchor_decoder::cuda::LEARN,
    &crate::camera_projection::cuda::SELF_TEST,
    &crate::colour_grid::cuda::COLOUR_GRID,
    &crate::dense::cuda::DENSE,
    &crate::dense::cuda::ROWS,
    &crate::gaussian4d::cuda::SLICE,
    &crate::hash_grid::cuda::GRID,
    &crate::image_loss::cuda::DEPTH,
    &crate::image_loss::cuda::SSIM,
    &crate::image_loss::cuda::SUMS,
    &crate::mlp::cuda::MLP,
    &crate::occupancy::cuda::CELLS,
    &crate::occupancy::cuda::MARCH,
    &crate::rbf::cuda::COST,
    &crate::rbf::cuda::DECODER,
    &crate::rbf::cuda::SPATIAL,
    &crate::sdf_render::cuda::BLEND,
    &crate::sdf_render::cuda::CONDITIONS,
    &crate::sdf_render::cuda::LOOK,
    &crate::sdf_render::cuda::OPACITY,
    &crate::sort::cuda::RADIX,
    &crate::sort::cuda::SCAN,
    &crate::sparse_attention::cuda::ATTENTION,
    &crate::sparse_attention::cuda::ATTENTION_BF16,
    &crate::sparse_attention::cuda::SELECT,
    &crate::sparse_conv::cuda::CONVOLUTION,
    &crate::splat::cuda::PROJECT,
    &crate::splat::cuda::INSTANCES,
    &crate::splat::cuda::RASTERIZE,
    &crate::splat::cuda::RASTERIZE_BACKWARD,
    &crate::splat::cuda::PARAMETERS,
    &crate::splat::cuda::DESCEND,
    &crate::splat::cuda::DENSITY,
    &crate::splat::cuda::FILTER_3D,
    &crate::splat::cuda::PHOTO,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parameter(element: &str, pointer: bool, constant: bool) -> Parameter {
        Parameter { element: element.to_owned(), pointer, constant }
    }

    #[test]
    fn signatures_are_read_from_the_text() {
        const TEXT: &str = "// __global__ void no(int x)\n\
            extern \"C\" __global__ void __launch_bounds__(256, (2)) first(const float* __restrict__ a,\n  float4 *b, \
            unsigned int n, const Camera camera) {}\n\
            __device__ void helper();\nextern \"C\" __global__ void second() {}";
        let source = Source::new("x.cu", TEXT);
        let kernels = source.kernels();
        assert_eq!(kernels.len(), 2);
        assert_eq!((kernels[0].name.as_str(), kernels[1].name.as_str()), ("first", "second"));
        let expected = [
            parameter("float", true, true),
            parameter("float4", true, false),
            parameter("u32", false, false),
            parameter("Camera", false, true),
        ];
        assert_eq!(kernels[0].parameters, expected);
        assert!(kernels[1].parameters.is_empty());
    }

    #[test]
    fn every_cuda_file_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![root.clone()];
        let mut missing = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                let extension = path.extension().and_then(|extension| extension.to_str());
                let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
                match extension {
                    _ if path.is_dir() => folders.push(path),
                    Some("cu") if SOURCES.iter().all(|source| source.name != name) => missing.push(name),
                    Some("cuh") if HEADERS.iter().all(|header| header.name != name) => missing.push(name),
                    _ => {}
                }
            }
        }
        assert!(missing.is_empty(), "device/source.rs does not list {missing:?}");
    }
}
