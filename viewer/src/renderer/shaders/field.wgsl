// A field at a place: features of its grids, interpolated as `kernels/src/hash_grid` does. Constants in capitals that are not
// defined here, `load`, `features_at` and `decoder` are those of one field; see `fields/source.rs`.

struct Level {
    // Cells per side.
    scale: f32,
    // Corners per side, of one repetition where it repeats.
    resolution: u32,
    // Entries.
    size: u32,
    // The first one in its table.
    offset: u32,
    // 0: an entry for each corner; 1: shared by a hash; 2: repeated.
    addressing: u32,
    table: u32,
}

const HASHED: u32 = 1u;
const PERIODIC: u32 = 2u;
const PRIMES: vec3<u32> = vec3<u32>(1u, 2654435761u, 805459861u);

fn entry(level: Level, along: vec3<u32>) -> vec2<f32> {
    var index = along.x + along.y + along.z;
    if level.addressing == HASHED {
        index = (along.x ^ along.y ^ along.z) & (level.size - 1u);
    } else if index >= level.size {
        // A corner beyond the last one.
        index -= level.size;
    }
    return unpack2x16float(load(level.table, level.offset + index));
}

// Both features of a level.
fn interpolated(level: Level, place: vec3<f32>) -> vec2<f32> {
    let at = level.scale * place + 0.5;
    var cell = floor(at);
    var f = at - cell;
    if SMOOTH {
        f = f * f * (3.0 - 2.0 * f);
    }
    var far = cell + 1.0;
    if level.addressing == PERIODIC {
        let side = f32(level.resolution);
        // Half a cell away from where a repetition ends, so that rounding does not matter.
        cell -= side * floor((cell + 0.5) / side);
        far = select(cell + 1.0, vec3<f32>(0.0), cell + 1.5 > vec3<f32>(side));
    }
    var stride = vec3<u32>(1u, level.resolution, level.resolution * level.resolution);
    if level.addressing == HASHED {
        stride = PRIMES;
    }
    let a = vec3<u32>(cell) * stride;
    let b = vec3<u32>(far) * stride;
    if DIMENSIONS == 2u {
        let low = mix(entry(level, vec3<u32>(a.xy, 0u)), entry(level, vec3<u32>(b.x, a.y, 0u)), f.x);
        let high = mix(entry(level, vec3<u32>(a.x, b.y, 0u)), entry(level, vec3<u32>(b.xy, 0u)), f.x);
        return mix(low, high, f.y);
    }
    let v00 = mix(entry(level, a), entry(level, vec3<u32>(b.x, a.yz)), f.x);
    let v10 = mix(entry(level, vec3<u32>(a.x, b.y, a.z)), entry(level, vec3<u32>(b.xy, a.z)), f.x);
    let v01 = mix(entry(level, vec3<u32>(a.xy, b.z)), entry(level, vec3<u32>(b.x, a.y, b.z)), f.x);
    let v11 = mix(entry(level, vec3<u32>(a.x, b.yz)), entry(level, b), f.x);
    return mix(mix(v00, v10, f.y), mix(v01, v11, f.y), f.z);
}

// The field's numbers at a place, four in a vector, in the order that `fields/buffers.rs` was asked for. What lies outside of
// the unit cube is moved to its faces.
fn ask(place: vec3<f32>) -> array<vec4<f32>, QUADS> {
    var features = features_at(clamp(place, vec3<f32>(0.0), vec3<f32>(1.0)));
    return decoded(&features);
}
