// Moving scenes in the web page: what is seen when, the bar of time, damage, lost connections. See page.test.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  close, compare, endAll, folder, host, notices, openBrowser, openPage, options, phone, picture, serve, status, tessera, until,
} from './tools.mjs';

const [rig, run, film, oneFile] = ['rig', 'run', 'film', 'film.html'].map((name) => path.join(folder, name));
const SIZE = { width: 640, height: 400 };
/** Only the scene. */
const BARE = '#bar, #tools, #time, #notices, #progress { display: none !important; }';
let browser;
let scale; // a page that compares pictures
let server; // of the exported folder
const open = (address, prepare, more) => openPage(browser, address, prepare, { viewport: SIZE, ...more });

before(async () => {
  if (options.skip) return;
  tessera('synth', 'moving', '-o', rig, '--cameras', '6', '--frames', '60', '--size', '96x72', '--quiet');
  tessera('reconstruct', rig, '--method', 'video', '-o', run, '--steps', '120', '--max-splats', '3000', '--set', 'preview_every=0', '--quiet');
  tessera('export', run, '-o', film, '--pictures', '4', '--quiet');
  tessera('export', run, '-o', oneFile, '--pictures', '2', '--quiet');
  browser = await openBrowser();
  scale = await browser.newPage();
  server = await host(film);
}, options);

after(() => endAll(browser, server));

/** What is known of the scene without its pages, and where those begin. */
function manifest() {
  const bytes = fs.readFileSync(path.join(film, 'scene.t4d'));
  const length = Number(bytes.readBigUInt64LE(8));
  return { ...JSON.parse(bytes.subarray(16, 16 + length)), start: 16 + length };
}

const seconds = async (page) => (await status(page)).moment.seconds;
/** Waits until a moment is shown with all that belongs to it. */
const shows = (page, wanted) => page.waitForFunction((wanted) => {
  const { moment, complete } = window.tessera.status ?? {};
  return complete && Math.abs(moment.seconds - wanted) < 0.02;
}, wanted);

/** Clicks on the bar of time, so far from its left end to its right one. */
async function scrub(page, share) {
  const { x, y, width, height } = await page.locator('#scrub').boundingBox();
  const before = await seconds(page);
  await page.mouse.click(x + share * width, y + height / 2);
  await page.waitForFunction((before) => window.tessera.status.moment.seconds !== before, before);
  await shows(page, await seconds(page));
  return seconds(page);
}

/** The scene as the processor draws it, from where the page begins to look. */
function drawn(at) {
  const { view } = JSON.parse(/type="application\/json">(.*?)<\/script>/s.exec(fs.readFileSync(path.join(film, 'index.html'), 'utf8'))[1]);
  const [tx, ty, tz, w, x, y, z, size] = manifest().scene_from_world;
  // From stored coordinates to the world's: the inverse rotation, of the conjugate quaternion.
  const turned = ([a, b, c]) => {
    const [s, t, u] = [2 * (z * b - y * c), 2 * (x * c - z * a), 2 * (y * a - x * b)];
    return [a + w * s + z * t - y * u, b + w * t + x * u - z * s, c + w * u + y * s - x * t];
  };
  const world = ([a, b, c]) => turned([a - tx, b - ty, c - tz]).map((value) => value / size);
  const minus = (a, b) => a.map((value, i) => value - b[i]);
  const unit = (a) => a.map((value) => value / Math.hypot(...a));
  const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
  const [eye, target] = [view.camera.position, view.camera.target].map(world);
  const back = unit(minus(eye, target));
  const right = unit(cross(turned(view.up), back));
  const up = cross(back, right);
  const focal = 0.5 * SIZE.height / Math.tan(0.5 * view.camera.fov_y);
  const rows = [0, 1, 2].map((i) => [right[i], up[i], back[i], eye[i]]);
  const camera = { w: SIZE.width, h: SIZE.height, fl_x: focal, fl_y: focal, cx: SIZE.width / 2, cy: SIZE.height / 2,
    frames: [{ file_path: 'seen.png', transform_matrix: [...rows, [0, 0, 0, 1]] }] };
  const [file, out] = ['camera.json', `drawn-${at}`].map((name) => path.join(folder, name));
  fs.writeFileSync(file, JSON.stringify(camera));
  tessera('render', run, '--cameras', file, '--time', String(at), '-o', out, '--force', '--quiet');
  const [name] = fs.readdirSync(out).filter((name) => name.endsWith('.png'));
  return fs.readFileSync(path.join(out, name));
}

test('a moving scene is seen before it has all come, plays, and begins again', options, async () => {
  const served = await serve(run);
  let held = [];
  let isHeld = true;
  // What never moves comes first; the rest waits.
  const page = await open(served.address, (page) => page.route('**/scene.t4d', (route) => {
    const first = Number(/bytes=(\d+)/.exec(route.request().headers().range)[1]);
    if (isHeld && first > manifest().start) held.push(route);
    else route.continue();
  }));
  await until(page, 'picture');
  const early = await status(page);
  assert.ok(early.drawn > 0 && !early.complete, JSON.stringify(early));
  await page.keyboard.press(' ');
  await page.waitForFunction(() => window.tessera.status.moment.playing);
  assert.equal(await seconds(page), 0, 'time waits');
  isHeld = false;
  held.forEach((route) => route.continue());
  await page.waitForFunction(() => window.tessera.status.moment.seconds > 0.5);
  await picture(page, 'video-plays');
  assert.equal(await page.getAttribute('#play', 'aria-label'), 'Pause');
  await page.waitForFunction(() => window.tessera.status.moment.seconds > 1.5);
  await page.waitForFunction(() => window.tessera.status.moment.seconds < 1);
  await page.keyboard.press(' ');
  await page.waitForFunction(() => !window.tessera.status.moment.playing);
  const stopped = await seconds(page);
  await page.waitForFunction(() => document.querySelector('[data-state="complete"]'));
  assert.equal(await seconds(page), stopped);
  await close(page);
  assert.equal(await served.stop(), 0);
});

test('scrubbing shows the moment', options, async () => {
  const page = await open(server.address);
  await until(page, 'complete');
  const seen = [];
  for (const share of [0.3, 0.8]) {
    const at = await scrub(page, share);
    assert.ok(Math.abs(at / 1.967 - share) < 0.1, `${share} of the bar is at ${at} s`);
    const shown = await page.screenshot({ style: BARE });
    const wanted = drawn(at);
    const { psnr } = await compare(scale, shown, wanted);
    assert.ok(psnr > 34, `at ${at} s the page is at ${psnr} dB of what the processor draws`);
    seen.push([shown, wanted]);
  }
  const { psnr: across } = await compare(scale, seen[0][0], seen[1][1]);
  const { psnr: along } = await compare(scale, seen[0][0], seen[0][1]);
  assert.ok(across < along - 5, `another moment is at ${across} dB, the moment itself at ${along}`);
  await close(page);
});

test('a picture of another moment waits for what belongs to it, but not for long', options, async () => {
  let delay = 0;
  const page = await open(server.address, (page) => page.route('**/scene.t4d', async (route) => {
    await new Promise((done) => setTimeout(done, delay));
    await route.continue();
  }));
  await until(page, 'complete');
  // How long after the last moment was asked for pictures are drawn in which something of it is missing.
  await page.evaluate(() => {
    let asked = performance.now();
    document.getElementById('scrub').addEventListener('input', () => { asked = performance.now(); }, { capture: true });
    const { prototype } = wasm_bindgen.WebViewer;
    const { frame } = prototype;
    window.partial = [];
    prototype.frame = function (...args) {
      const begun = performance.now();
      const isMoving = frame.apply(this, args);
      const told = this.status();
      if (!told.complete) window.partial.push(begun - asked);
      told.free();
      return isMoving;
    };
  });
  for (const [share, late] of [[0.5, 20], [0.95, 1500]]) {
    delay = late;
    await scrub(page, share);
  }
  const partial = await page.evaluate(() => window.partial);
  assert.ok(partial.every((after) => after >= 149), `a part was shown ${Math.min(...partial)} ms after it was asked for`);
  assert.ok(partial.length > 0, 'the old moment was shown until all of the new one had come');
  await close(page);
});

test('keys, speed and loop', options, async () => {
  const page = await open(server.address);
  await until(page, 'complete');
  await page.keyboard.press('.');
  await shows(page, 1 / 30);
  await page.keyboard.press('.');
  await shows(page, 2 / 30);
  await page.keyboard.press(',');
  await shows(page, 1 / 30);
  // Backwards, and not in a circle: it ends at the beginning.
  await page.click('#loop');
  await page.selectOption('#rate', '-1');
  await page.click('#play');
  await page.waitForFunction(() => { const { playing, seconds } = window.tessera.status.moment; return !playing && seconds === 0; });
  await page.click('#play');
  await page.waitForFunction(() => window.tessera.status.moment.seconds > 0.5, null, { polling: 10 });
  await close(page);
});

test('a link holds the moment too', options, async () => {
  const page = await open(server.address);
  await until(page, 'complete');
  const at = await scrub(page, 0.6);
  await page.waitForFunction(() => location.hash.includes('time='));
  const link = page.url();
  assert.match(link, /#camera=[-\d.,]+&time=[\d.]+$/);
  const again = await open(link);
  await until(again, 'complete');
  assert.ok(Math.abs((await seconds(again)) - at) < 1e-3, `${await seconds(again)} is not ${at}`);
  const [before, after] = [await page.screenshot({ style: BARE }), await again.screenshot({ style: BARE })];
  assert.ok((await compare(scale, before, after)).psnr > 35);
  await close(again);
  await close(page);
});

test('a damaged part is left out and said, and the rest goes on', options, async () => {
  const { segments, start } = manifest();
  // One of the shortest segments in the middle.
  const deepest = Math.max(...segments.map(({ segment }) => segment?.[0] ?? 0));
  const shortest = segments.filter(({ segment }) => segment?.[0] === deepest);
  const damaged = start + shortest[Math.floor(shortest.length / 2)].pages[0].offset;
  const fault = (name, from, bytes) => { if (from === damaged) bytes[3] ^= 0x10; return bytes; };
  const bad = await host(film, { fault });
  const page = await open(`${bad.address}?play`);
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('missing'), null, { timeout: 60_000 });
  assert.match(await notices(page), /could not be loaded and is missing \(from [\d.]+ to [\d.]+ s: .*checksum/);
  await picture(page, 'video-damaged');
  const { lost, moment } = await status(page);
  assert.ok(lost === 1 && moment.playing, 'it is still played');
  await page.waitForFunction(() => window.tessera.status.moment.seconds > 1.7);
  await close(page);
  await bad.stop();
});

test('a lost connection is said, time waits, and it goes on', options, async () => {
  let isCut = false;
  const fault = (name, from, bytes, response) => {
    if (isCut && name === 'scene.t4d') { response.destroy(); return true; }
    return bytes;
  };
  const frail = await host(film, { fault });
  const page = await open(frail.address);
  await until(page, 'complete');
  isCut = true;
  const { x, y, width, height } = await page.locator('#scrub').boundingBox();
  await page.mouse.click(x + 0.9 * width, y + height / 2);
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('connection is lost'));
  assert.ok((await status(page)).drawn > 0, 'what has come stays');
  isCut = false;
  await until(page, 'complete');
  assert.doesNotMatch(await notices(page), /is lost/);
  await close(page);
  await frail.stop();
});

test('one file plays by a double click, and a host without ranges serves too', options, async () => {
  const plain = await host(film, { ranges: false });
  for (const address of [pathToFileURL(oneFile).href, plain.address]) {
    const page = await open(address);
    await until(page, 'complete');
    await scrub(page, 0.5);
    await page.keyboard.press(' ');
    await page.waitForFunction(() => window.tessera.status.moment.seconds > 1.5);
    await close(page);
  }
  await plain.stop();
});

test('a file that is something else is a sentence', options, async () => {
  const odd = path.join(folder, 'odd');
  fs.mkdirSync(odd);
  for (const name of fs.readdirSync(film)) fs.copyFileSync(path.join(film, name), path.join(odd, name));
  fs.writeFileSync(path.join(odd, 'scene.t4d'), 'something else, which is long enough');
  const other = await host(odd);
  const page = await open(other.address);
  await page.waitForSelector('#message:not([hidden])');
  assert.match(await page.textContent('#message'), /could not be loaded.*is no moving scene of Tessera/s);
  await close(page);
  await other.stop();
});

test('without WebGPU there are pictures', options, async () => {
  const plain = await openBrowser({ webgpu: false });
  for (const address of [server.address, pathToFileURL(oneFile).href]) {
    const page = await openPage(plain, address);
    await until(page, 'orbit');
    await page.waitForFunction(() => document.getElementById('orbit').naturalWidth > 0);
    assert.ok(await page.isHidden('#time'));
    await close(page);
  }
  await plain.close();
});

test('on a phone the bar is wide enough for a finger', options, async () => {
  const page = await open(server.address, () => {}, { ...phone });
  await until(page, 'complete');
  for (const [name, width, height] of [['upright', 412, 839], ['across', 839, 412]]) {
    await page.setViewportSize({ width, height });
    for (const id of ['play', 'scrub', 'rate', 'loop', 'share']) {
      const box = await page.locator(`#${id}`).boundingBox();
      assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${name}: ${id} is cut off`);
      assert.ok(Math.min(box.width, box.height) >= 40, `${name}: ${id} is too small: ${box.width} × ${box.height}`);
    }
    await picture(page, `video-phone-${name}`);
  }
  const { x, y, width, height } = await page.locator('#scrub').boundingBox();
  await page.touchscreen.tap(x + 0.7 * width, y + height / 2);
  await page.waitForFunction(() => window.tessera.status.moment.seconds > 1);
  await close(page);
});

test('a device that is lost comes back at the same moment', options, async () => {
  const page = await open(server.address, (page) => page.addInitScript(() => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function keep(...args) { return (window.device = await requestDevice.apply(this, args)); };
  }));
  await until(page, 'complete');
  const at = await scrub(page, 0.4);
  await page.evaluate(() => window.device.destroy());
  await page.waitForFunction(() => document.querySelector('[data-state="lost"]'));
  await until(page, 'complete');
  assert.equal(await seconds(page), at);
  await close(page);
});
