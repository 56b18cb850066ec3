// Meshes and point clouds: GLB files as `tessera` writes them, with one mesh that is not moved, or one for each of several moments, numbers
// in rows without gaps, and textures as PNG or JPEG inside, which the browser decodes.
'use strict';

const glb = (() => {
const MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;
/** Arrays by glTF's number of the type of their components. */
const ARRAYS = { 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const SHAPES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
/** Larger textures are made smaller. */
const MAX_SIDE = matchMedia('(pointer: coarse)').matches ? 2048 : 8192;

/** The JSON and the binary part of a file. */
function chunks(bytes) {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at) => words.getUint32(at, true);
  if (word(0) !== MAGIC || word(4) !== 2) throw new Error('it is no GLB file of version 2');
  const jsonLength = word(12);
  const binary = 20 + jsonLength;
  if (word(8) !== bytes.length || word(16) !== JSON_CHUNK || word(binary + 4) !== BINARY_CHUNK || binary + 8 + word(binary) !== bytes.length) {
    throw new Error('it is damaged or not all of it has come');
  }
  const text = new TextDecoder().decode(bytes.subarray(20, binary));
  return { root: JSON.parse(text), data: bytes.subarray(binary + 8) };
}

/** How many bytes come before the numbers of a file, of which these are the first 20 at least. */
function headBytes(beginning) {
  const words = new DataView(beginning.buffer, beginning.byteOffset, beginning.byteLength);
  if (beginning.length < 20 || words.getUint32(0, true) !== MAGIC || words.getUint32(16, true) !== JSON_CHUNK) {
    throw new Error('it is no GLB file of version 2');
  }
  return 28 + words.getUint32(12, true);
}

/** Meshes of several moments, from all bytes before the numbers: when they are seen, and where they are. */
function sequence(head) {
  try {
    const root = JSON.parse(new TextDecoder().decode(head.subarray(20, headBytes(head) - 8)));
    const { seconds, end, places } = root.animations[0].extras.tessera;
    const boxes = root.meshes.map(({ primitives }) => root.accessors[primitives[0].attributes.POSITION]);
    const corner = (which, best) => [0, 1, 2].map((axis) => boxes.reduce((most, box) => best(most, box[which][axis]), boxes[0][which][axis]));
    return {
      root, places,
      seconds: Float64Array.from([...seconds, end].map((time) => time - seconds[0])),
      inFile: Float64Array.from(places.flatMap(([offset, length]) => [head.length + offset, length])),
      bounds: new Float32Array([...corner('min', Math.min), ...corner('max', Math.max)]),
    };
  } catch (error) {
    throw new Error(`it is no file of meshes as tessera writes them (${error.message})`);
  }
}

/** Numbers of an accessor, `none` when there is no such. */
function numbers({ root, data, begin = 0 }, index, none) {
  if (index === undefined) return none;
  const { bufferView, componentType, count, type } = root.accessors[index];
  const byteOffset = (root.bufferViews[bufferView].byteOffset ?? 0) - begin;
  // Copied, because typed arrays begin at multiples of their size.
  const length = count * SHAPES[type];
  const size = length * ARRAYS[componentType].BYTES_PER_ELEMENT;
  if (byteOffset < 0 || byteOffset + size > data.length) throw new Error('it refers to data that it does not have');
  return new ARRAYS[componentType](data.slice(byteOffset, byteOffset + size).buffer);
}

/** The pixels of a material's texture. */
async function texture({ root, data, begin = 0 }, index) {
  const image = root.images[root.textures[index].source];
  const { byteOffset: inFile = 0, byteLength } = root.bufferViews[image.bufferView];
  const byteOffset = inFile - begin;
  const blob = new Blob([data.subarray(byteOffset, byteOffset + byteLength)], { type: image.mimeType });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}

/** Gives what is in a file to `builder`, the `MeshBuilder` of the renderer. */
const read = (bytes, builder) => told(() => take(chunks(bytes), 0, builder));

/** Gives the mesh of a moment, from its bytes, to `builder`. */
const readMoment = ({ root, places }, moment, bytes, builder) => told(() => take({ root, data: bytes, begin: places[moment][0] }, moment, builder));

async function told(work) {
  try {
    await work();
  } catch (error) {
    // Something is missing that all files of ours have.
    throw error instanceof TypeError ? new Error(`it is no mesh as tessera writes them (${error.message})`) : error;
  }
}

async function take(file, mesh, builder) {
  const { root } = file;
  const primitives = root.meshes[mesh].primitives;
  const { POSITION, NORMAL, COLOR_0, TEXCOORD_0 } = primitives[0].attributes;
  const [noFloats, noShorts] = [new Float32Array(0), new Uint16Array(0)];
  builder.set_vertices(numbers(file, POSITION, noFloats), numbers(file, NORMAL, noFloats), numbers(file, COLOR_0, noShorts),
    numbers(file, TEXCOORD_0, noFloats));
  for (const { indices, material } of primitives) {
    if (indices === undefined) continue;
    const { baseColorFactor = [1, 1, 1, 1], baseColorTexture } = root.materials?.[material]?.pbrMetallicRoughness ?? {};
    builder.add_part(numbers(file, indices), new Float32Array(baseColorFactor));
    if (baseColorTexture) {
      const { width, height, rgba } = await texture(file, baseColorTexture.index);
      builder.set_texture(width, height, rgba);
    }
  }
}

return { headBytes, read, readMoment, sequence };
})();
