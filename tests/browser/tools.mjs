// What the browser tests share: the program, a browser with WebGPU on the processor, file hosts with faults, and pictures.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const program = process.env.TESSERA_BIN ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, 'target'), 'release/tessera');
const modules = process.env.TESSERA_NODE_MODULES ?? path.join(root, '.ci-tools/node_modules');
const chromium = process.env.TESSERA_CHROMIUM ?? '/usr/bin/chromium';

/** Why the tests cannot run here, if they cannot. */
export const missing = [program, path.join(modules, 'playwright-core'), chromium].find((needed) => !fs.existsSync(needed));

export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tessera-browser-'));
export const tessera = (...args) => execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

export const options = missing ? { skip: `skipped: ${missing} is not here` } : { timeout: 240_000 };
/** A made scene, and the folder it is exported to. */
export const [scene, site] = ['scene.ply', 'site'].map((name) => path.join(folder, name));

export function makeSite() {
  tessera('synth', 'still-life', '--splats', '120000', '--sh-degree', '1', '-o', scene);
  tessera('export', scene, '-o', site, '--pictures', '8', '--title', 'A <still> life');
}

const children = new Set();
/** A program that runs beside the tests. */
function run(args, stdio) {
  const child = spawn(program, args, { stdio });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}
/** Ends all that tests began, also where they failed. */
export async function endAll(browser, server) {
  await browser?.close();
  await server?.stop();
  children.forEach((child) => child.kill('SIGKILL'));
  fs.rmSync(folder, { recursive: true });
}

// Without a graphics card WebGPU is drawn by the processor; without the last line the canvas is not in screenshots.
const webgpuFlags = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'];
const { chromium: launcher, devices } = missing ? {} : createRequire(path.join(modules, 'x.js'))('playwright-core');

/** A phone as Playwright describes it: its screen, its fingers, its name. */
export const phone = devices?.['Pixel 7'];

/** A browser without a graphics card and without any network but loopback; without `webgpu` it has no adapter, as on machines whose
    drivers are too old. `foreign.test` is this machine, by a name that is not safe. */
export const openBrowser = ({ webgpu = true } = {}) => launcher.launch({
  executablePath: chromium,
  args: ['--headless', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP foreign.test 127.0.0.1', ...(webgpu ? webgpuFlags : [])],
});

/** A page of its own, that fails the test when its script fails. */
export async function openPage(browser, address, prepare = () => {}, options = {}) {
  const context = await browser.newContext({ viewport: { width: 640, height: 360 }, ...options });
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(String(error)));
  await prepare(page);
  await page.goto(address);
  return page;
}

export async function close(page) {
  assert.deepEqual(page.errors, []);
  await page.context().close();
}

/** Drags from the middle of a page of 640x360. */
export async function drag(page, right, down) {
  await page.mouse.move(320, 180);
  await page.mouse.down();
  await page.mouse.move(320 + right, 180 + down, { steps: 8 });
  await page.mouse.up();
}

/** `tessera serve`, until `stop` is called. */
export async function serve(...args) {
  const child = run(['serve', '--port', '0', ...args], ['ignore', 'pipe', 'inherit']);
  const address = await new Promise((resolve, reject) => {
    child.stdout.once('data', (text) => resolve(text.toString().trim()));
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}`)));
  });
  const stop = () => new Promise((done) => { child.once('exit', done); child.kill('SIGINT'); });
  return { address, stop };
}

/** A training that browsers may watch; resolves to where, and ends it with `stop`. */
export async function train(capture, folder, ...args) {
  const child = run(['reconstruct', capture, '-o', folder, '--serve=0', ...args], ['ignore', 'ignore', 'pipe']);
  const ended = new Promise((done) => { child.once('exit', done); });
  let said = '';
  const address = await new Promise((resolve, reject) => {
    child.stderr.on('data', (text) => {
      said += text;
      const [found] = /http:\/\/[\d.]+:\d+\//.exec(said) ?? [];
      if (found) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`reconstruct ended with ${code}: ${said}`)));
  });
  return { address, ended, stop: () => { child.kill('SIGINT'); return ended; } };
}

const types = { html: 'text/html', js: 'text/javascript', css: 'text/css', json: 'application/json', wasm: 'application/wasm', jpg: 'image/jpeg',
  glb: 'model/gltf-binary' };

/** A file host. `fault(name, range, response)` may answer in its place by returning true, or change the bytes it is given. */
export async function host(site, { ranges = true, fault = () => {} } = {}) {
  const server = http.createServer((request, response) => {
    const name = new URL(request.url, 'http://x').pathname.slice(1) || 'index.html';
    const file = path.join(site, path.basename(name));
    if (!fs.existsSync(file)) { response.writeHead(404).end(); return; }
    let bytes = fs.readFileSync(file);
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const isPart = ranges && first !== undefined;
    if (isPart) bytes = bytes.subarray(Number(first), Number(last) + 1);
    const changed = fault(name, isPart ? Number(first) : null, Buffer.from(bytes), response);
    if (changed === true) return;
    response.writeHead(isPart ? 206 : 200, {
      'content-type': types[name.split('.').pop()] ?? 'application/octet-stream', 'content-length': (changed ?? bytes).length,
    });
    response.end(changed ?? bytes);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const stop = () => { server.closeAllConnections(); return new Promise((done) => server.close(done)); };
  const { port } = server.address();
  return { address: `http://127.0.0.1:${port}/`, foreign: `http://foreign.test:${port}/`, stop };
}

/** Waits until the page says so: `picture` (or more), `complete` or `orbit`. */
export const until = (page, state, timeout = 90_000) => page.waitForFunction((wanted) => {
  const { state } = document.querySelector('[data-state]')?.dataset ?? {};
  return state === wanted || (wanted === 'picture' && state === 'complete');
}, state, { timeout });
export const status = (page) => page.evaluate(() => window.tessera.status);
export const notices = (page) => page.evaluate(() => document.getElementById('notices').textContent);

/** The canvas alone, as PNG. */
export async function picture(page, name) {
  const file = path.join(process.env.TESSERA_SCREENSHOTS ?? folder, `${name}.png`);
  return page.screenshot({ path: file });
}

/** Peak signal-to-noise ratio of two PNGs in dB, at most 60, and how many colours the first one has; measured by a browser. */
export async function compare(page, a, b) {
  return page.evaluate(async ([a, b]) => {
    const pixels = async (png) => {
      const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
    };
    const [x, y] = [await pixels(a), await pixels(b)];
    let sum = 0;
    const colours = new Set();
    for (let i = 0; i < x.length; i += 4) {
      for (let c = 0; c < 3; c += 1) sum += (x[i + c] - y[i + c]) ** 2;
      colours.add((x[i] << 16) | (x[i + 1] << 8) | x[i + 2]);
    }
    const error = sum / (0.75 * x.length);
    return { psnr: Math.min(60, 10 * Math.log10(255 ** 2 / Math.max(error, 1e-9))), colours: colours.size };
  }, [a.toString('base64'), b.toString('base64')]);
}
