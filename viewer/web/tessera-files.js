// Where a scene's bytes come from: a host that sends parts of files, one that sends only whole files, or this page itself.
'use strict';

const sceneFiles = (() => {
/** The connection is gone: to be tried again for as long as it takes. */
class ConnectionLost extends Error {}

const traffic = { bytes: 0, requests: 0 };
/** A request that brings nothing for so long is given up. */
const STALL_MS = 30_000;
/** The first request for a moving scene: its manifest, unless it has thousands of segments. */
const HEAD = 1 << 16;
/** Bytes of a moving scene that are held so that what is played again need not be loaded again. */
const MAX_KEPT = matchMedia('(pointer: coarse)').matches ? 1 << 24 : 1 << 26;
/** Bytes that a page may hold in memory for a host that cannot send parts of a file. */
const MAX_WHOLE_FILE = matchMedia('(pointer: coarse)').matches ? 1 << 28 : 1 << 30;

/** An answer that is read piece by piece. */
class Answer {
  /** Asks; ends with {@link ConnectionLost} when there is no answer, or as `signal` says when that was aborted. */
  static async to(url, { signal, ...options } = {}) {
    const answer = new Answer();
    answer.stop = new AbortController();
    answer.outer = signal;
    answer.abort = () => answer.stop.abort();
    signal?.addEventListener('abort', answer.abort);
    traffic.requests += 1;
    answer.#wait();
    try {
      answer.response = await fetch(url, { ...options, signal: answer.stop.signal });
    } catch (error) {
      throw answer.#meaning(error);
    } finally {
      clearTimeout(answer.timer);
    }
    return answer;
  }

  get status() { return this.response.status; }
  get isOk() { return this.response.ok; }
  /** Bytes that will come, 0 when that is not known. A host that compresses says how many it sends. */
  get length() {
    return this.response.headers.get('content-encoding') ? 0 : Number(this.response.headers.get('content-length')) || 0;
  }

  /** Goes on even when its asker does not want it any more. */
  keep() { this.outer?.removeEventListener('abort', this.abort); this.outer = undefined; }

  /** Hands over the pieces as they come. */
  async *pieces() {
    const reader = this.response.body.getReader();
    try {
      for (;;) {
        this.#wait();
        const { done, value } = await reader.read();
        if (done) return;
        traffic.bytes += value.length;
        yield value;
      }
    } catch (error) {
      throw this.#meaning(error);
    } finally {
      clearTimeout(this.timer);
      this.keep();
      // Whoever stops in the middle wants no more.
      reader.cancel().catch(() => {});
    }
  }

  /** All bytes; `tell` hears what share of them has come, where that is known. */
  async all(tell) {
    const bytes = new Growing(this.length);
    for await (const piece of this.pieces()) {
      bytes.add(piece);
      if (this.length) tell?.(bytes.filled / this.length);
    }
    return bytes.part(0, bytes.filled);
  }

  #wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.abort, STALL_MS);
  }

  #meaning(error) {
    return this.outer?.aborted || error instanceof RangeError ? error : new ConnectionLost(error.message);
  }
}

/** Bytes of which it is not always known how many will come. */
class Growing {
  constructor(expected) {
    this.bytes = new Uint8Array(Math.min(expected || 1 << 16, MAX_WHOLE_FILE));
    this.filled = 0;
  }

  add(piece) {
    const end = this.filled + piece.length;
    if (end > this.bytes.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.bytes.subarray(0, this.filled));
      this.bytes = larger;
    }
    this.bytes.set(piece, this.filled);
    this.filled = end;
  }

  part(start, end) { return this.bytes.subarray(start, end); }
}

/** A file of a host that sends only whole files: read once, and handed out as it comes. Pages lie coarse to fine, so a scene
    streams from such hosts too. */
class WholeFile {
  constructor(answer) {
    answer.keep();
    this.bytes = new Growing(answer.length);
    this.waiting = [];
    this.isAll = false;
    this.ended = null;
    this.#read(answer);
  }

  async #read(answer) {
    try {
      for await (const piece of answer.pieces()) {
        if (this.bytes.filled + piece.length > MAX_WHOLE_FILE) {
          throw new RangeError(`the host sends only whole files, of which ${MAX_WHOLE_FILE >> 20} MB are read`);
        }
        this.bytes.add(piece);
        this.#wake();
      }
      this.isAll = true;
    } catch (error) {
      this.ended = error;
    }
    this.#wake();
  }

  #wake() {
    this.waiting = this.waiting.filter(({ end, resolve, reject }) => {
      if (end <= this.bytes.filled || this.isAll) resolve();
      else if (this.ended) reject(this.ended);
      else return true;
      return false;
    });
  }

  /** As many bytes as there are, and no more than were asked for. */
  async part(offset, length) {
    const end = offset + length;
    await new Promise((resolve, reject) => { this.waiting.push({ end, resolve, reject }); this.#wake(); });
    return this.bytes.part(offset, Math.min(end, this.bytes.filled));
  }
}

/** Bytes that were of use lately, no more than a number of them. */
class Kept {
  constructor() { this.parts = new Map(); this.size = 0; }

  get(key) {
    const bytes = this.parts.get(key);
    // The last one is the last to go.
    if (bytes && this.parts.delete(key)) this.parts.set(key, bytes);
    return bytes;
  }

  put(key, bytes) {
    if (this.parts.has(key)) return;
    this.parts.set(key, bytes);
    this.size += bytes.length;
    for (const [oldest, { length }] of this.parts) {
      if (this.size <= MAX_KEPT) return;
      this.parts.delete(oldest);
      this.size -= length;
    }
  }
}

/** The files of a scene at an address. */
class RemoteScene {
  constructor(address) {
    this.address = new URL(address, location.href);
    this.isSequence = this.address.pathname.endsWith('sequence.glb');
    this.isMesh = !this.isSequence && this.address.pathname.endsWith('.glb');
    this.isMoving = this.isSequence || this.address.pathname.toLowerCase().endsWith('.t4d');
    this.whole = new Map();
    this.kept = new Kept();
  }

  /** The manifest of a streamed scene, all before the pages of a moving one, or all of a mesh. */
  async main(tell) {
    if (this.isMoving) return this.#head();
    const answer = await Answer.to(this.address, { cache: 'no-cache' });
    if (!answer.isOk) throw new Error(`the server answers ${answer.status} for ${this.address.pathname}`);
    return answer.all(tell);
  }

  /** Only the file itself says how long its manifest is. */
  async #head() {
    const begun = await this.#answer('', 0, HEAD, { cache: 'no-cache' });
    const length = this.isSequence ? glb.headBytes(begun) : wasm_bindgen.moving_head_bytes(begun);
    if (length <= begun.length) return begun.subarray(0, length);
    const rest = await this.part('', begun.length, length - begun.length);
    const head = new Uint8Array(length);
    head.set(begun);
    head.set(rest, begun.length);
    return head;
  }

  /** Bytes of a file; of no file, of the address itself. */
  async part(file, offset, length, signal) {
    const kept = this.kept.get(`${file}/${offset}`);
    if (kept) return kept;
    const bytes = await this.#answer(file, offset, length, { signal });
    if (bytes.length !== length) throw new Error(`${bytes.length} bytes came in place of ${length}`);
    return bytes;
  }

  /** Holds bytes that were of use. Pages of still scenes are kept on the graphics device. */
  keep(file, offset, bytes) { if (this.isMoving && !this.whole.has(file)) this.kept.put(`${file}/${offset}`, bytes); }

  /** As many bytes as there are, and no more than were asked for. */
  async #answer(file, offset, length, options) {
    const whole = this.whole.get(file);
    if (whole && !(whole.ended instanceof ConnectionLost)) return whole.part(offset, length);
    const url = new URL(file.split('/').map(encodeURIComponent).join('/'), this.address);
    const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
    const answer = await Answer.to(url, { headers, ...options });
    if (answer.status === 200 && !(offset === 0 && answer.length === length)) {
      // Several requests may learn this at the same time; one file is enough.
      const known = this.whole.get(file);
      if (known && !known.ended) { answer.abort(); return known.part(offset, length); }
      const fresh = new WholeFile(answer);
      this.whole.set(file, fresh);
      return fresh.part(offset, length);
    }
    if (!answer.isOk) throw new Error(`the server answers ${answer.status}`);
    return answer.all();
  }
}

/** A scene inside of the page. */
class InlineScene {
  constructor() {
    this.isMesh = document.getElementById('scene-mesh') !== null;
    this.isSequence = document.getElementById('scene-sequence') !== null;
    this.isMoving = this.isSequence || document.getElementById('scene-head') !== null;
  }

  async main() {
    return embedded(this.isMesh ? 'scene-mesh' : this.isSequence ? 'scene-sequence' : this.isMoving ? 'scene-head' : 'scene-manifest');
  }

  keep() {}

  async part(file, offset) {
    // Others may do something in between.
    await new Promise((done) => setTimeout(done, 0));
    return embedded(`scene-${file}-${offset}`);
  }
}

/** Bytes inside of the page. */
async function embedded(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error('it is missing from the page');
  const text = element.textContent.trim();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

const open = (address) => (address === 'inline:' ? new InlineScene() : new RemoteScene(address));

return { ConnectionLost, embedded, open, traffic };
})();
