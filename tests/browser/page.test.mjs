// The web page in a real browser: `node --test tests/browser/page.test.mjs`. Needs chromium and the npm package playwright-core.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  close, compare, drag, endAll, folder, host, makeSite, notices, openBrowser, openPage, options, picture, scene, serve, site, status, tessera,
  train, until,
} from './tools.mjs';

let browser;
let scale; // a page that compares pictures
const open = (address, prepare) => openPage(browser, address, prepare);

before(async () => {
  if (options.skip) return;
  makeSite();
  browser = await openBrowser();
  scale = await browser.newPage();
}, options);

after(() => endAll(browser));

test('a served scene is seen before it has all come, is refined, and turns', options, async () => {
  const server = await serve(scene);
  // Pages come one after the other, so that there is a time before the last.
  const page = await open(`${server.address}?detail=20&splats=150000`, (page) => page.route('**/pages.bin', async (route) => {
    await new Promise((done) => setTimeout(done, 600));
    await route.continue();
  }));
  await until(page, 'picture');
  const first = await picture(page, 'first');
  const early = await status(page);
  assert.ok(early.drawn > 0 && !early.complete, JSON.stringify(early));
  await until(page, 'complete');
  await page.waitForTimeout(500);
  const complete = await picture(page, 'complete');
  const late = await status(page);
  assert.ok(late.drawn > early.drawn && late.drawn <= 150_000, `${early.drawn}, then ${late.drawn} splats`);
  const { psnr, colours } = await compare(scale, first, complete);
  assert.ok(colours > 1000, `the first picture has ${colours} colours`);
  assert.ok(psnr > 18 && psnr < 59, `the first picture is at ${psnr} dB of the last`);

  await drag(page, 150, 10);
  await page.waitForTimeout(1500);
  const turned = await picture(page, 'turned');
  assert.ok((await compare(scale, complete, turned)).psnr < 25, 'dragging turns the scene');
  assert.match(new URL(page.url()).hash, /^#camera=[-\d.,]+$/);

  // The link leads to the same place.
  const link = page.url();
  await close(page);
  const again = await open(link);
  await until(again, 'complete');
  await again.waitForTimeout(500);
  const linked = await picture(again, 'linked');
  const { psnr: same } = await compare(scale, linked, turned);
  assert.ok(same > 25, `a link shows the same view at ${same} dB`);
  await again.keyboard.press('h');
  await again.waitForTimeout(200);
  await picture(again, 'help');
  await close(again);
  assert.equal(await server.stop(), 0, 'Ctrl-C ends the server');
});

test('a damaged page of data is said, and the rest is shown', options, async () => {
  const { nodes } = JSON.parse(fs.readFileSync(path.join(site, 'tiles.json')));
  const damaged = nodes[1].offset;
  const fault = (name, from, bytes) => {
    if (name === 'pages.bin' && from === damaged) bytes[100] ^= 0x10;
    return bytes;
  };
  const server = await host(site, { fault });
  const page = await open(`${server.address}?detail=20&splats=150000`);
  await until(page, 'complete');
  assert.equal((await status(page)).lost, 1);
  assert.match(await notices(page), /could not be loaded and is shown coarser \(page 1: .*checksum/);
  const { colours } = await compare(scale, await picture(page, 'damaged'), await picture(page, 'damaged'));
  assert.ok(colours > 1000, 'the rest is there');
  await close(page);
  await server.stop();
});

test('a lost connection is said, tried again and found', options, async () => {
  let isCut = false;
  let refused = 0;
  const fault = (name, from, bytes, response) => {
    if (name === 'pages.bin' && from > 0 && isCut) { refused += 1; response.destroy(); return true; }
    return bytes;
  };
  isCut = true;
  const server = await host(site, { fault });
  const page = await open(`${server.address}?detail=20&splats=150000`);
  await until(page, 'picture');
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('connection is lost'));
  await page.waitForTimeout(2500);
  assert.ok(refused >= 2 && refused < 40, `asked ${refused} times`);
  await picture(page, 'offline');
  isCut = false;
  await until(page, 'complete');
  assert.doesNotMatch(await notices(page), /is lost/);
  assert.equal((await status(page)).lost, 0);
  await close(page);
  await server.stop();
});

test('a host that knows no ranges serves too', options, async () => {
  const server = await host(site, { ranges: false });
  const page = await open(`${server.address}?detail=20&splats=150000`);
  await until(page, 'complete');
  assert.ok((await status(page)).drawn > 100_000);
  await close(page);
  await server.stop();
});

test('one file opens by a double click', options, async () => {
  const file = path.join(folder, 'scene.html');
  tessera('export', scene, '-o', file, '--pictures', '0');
  const page = await open(pathToFileURL(file).href);
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await until(page, 'complete');
  assert.deepEqual(requests.filter((url) => !url.startsWith('data:') && !url.startsWith('blob:')), []);
  await close(page);
});

test('a scene of which nothing can be used is a sentence, and can be tried again', options, async () => {
  let isSpoilt = true;
  const fault = (name, from, bytes) => { if (name === 'pages.bin' && isSpoilt) bytes[50] ^= 1; return bytes; };
  const server = await host(site, { fault });
  const page = await open(server.address);
  await page.waitForSelector('#message:not([hidden])', { timeout: 90_000 });
  assert.match(await page.textContent('#message'), /could not be loaded.*damaged or missing \(page \d+: .*checksum/s);
  await picture(page, 'hopeless');
  isSpoilt = false;
  await page.click('#again');
  await until(page, 'complete');
  await close(page);
  await server.stop();
});

/** A cube with a colour for each of its corners. */
function writeCube(file) {
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `v ${i & 1} ${(i >> 1) & 1} ${i >> 2} ${i & 1} ${(i >> 1) & 1} ${i >> 2}`);
  const faces = ['1 3 4 2', '5 6 8 7', '1 2 6 5', '3 7 8 4', '1 5 7 3', '2 4 8 6'].map((face) => `f ${face}`);
  fs.writeFileSync(file, [...corners, ...faces, ''].join('\n'));
}

test('a mesh is shown, from a host and as one file', options, async () => {
  const cube = path.join(folder, 'cube.obj');
  writeCube(cube);
  const [folderOut, file] = ['cube', 'cube.html'].map((name) => path.join(folder, name));
  tessera('export', cube, '-o', folderOut, '--pictures', '0');
  tessera('export', cube, '-o', file, '--pictures', '0');
  const server = await host(folderOut);
  for (const address of [server.address, pathToFileURL(file).href]) {
    const page = await open(address);
    await until(page, 'complete');
    await page.waitForTimeout(500);
    assert.equal(await page.textContent('#state'), '12 triangles');
    const { colours } = await compare(scale, await picture(page, 'mesh'), await picture(page, 'mesh'));
    assert.ok(colours > 200, `${colours} colours`);
    await close(page);
  }
  await server.stop();
});

test('a fitted shape is shown in its baked form', options, async () => {
  const [mesh, shape, file] = ['solid.obj', 'solid.rbf', 'solid.html'].map((name) => path.join(folder, name));
  writeCube(mesh);
  const small = ['batch=4096', 'levels=4', 'finest_resolution=32', 'pool=32768'].flatMap((setting) => ['--set', setting]);
  tessera('fit', 'sdf', mesh, '-o', shape, '--steps', '200', ...small);
  tessera('export', shape, '-o', file, '--pictures', '0');
  const page = await open(pathToFileURL(file).href);
  await until(page, 'complete');
  assert.match(await page.textContent('#state'), /^[\d,]+ triangles$/);
  const shown = await picture(page, 'baked');
  const { colours } = await compare(scale, shown, shown);
  assert.ok(colours > 50, `${colours} greys of the cube's lit sides`);
  await close(page);
});

test('a training is watched as it goes on', options, async () => {
  const capture = path.join(folder, 'capture');
  tessera('synth', 'still-life', '-o', capture);
  const training = await train(capture, path.join(folder, 'run'), '--steps', '100000', '--max-splats', '3000');
  const page = await open(training.address);
  await until(page, 'picture');
  const text = () => page.textContent('#state');
  const first = await text();
  assert.match(first, /step \d+ of 100000, \d+ splats, [\d.]+ dB/);
  await page.waitForFunction((before) => document.getElementById('state').textContent !== before, first, { timeout: 60_000 });
  await picture(page, 'training');
  const { colours } = await compare(scale, await picture(page, 'training'), await picture(page, 'training'));
  assert.ok(colours > 200, `${colours} colours`);
  await training.stop();
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('has ended'));
  await close(page);
});

test('a scene that is not there is a sentence, not a blank page', options, async () => {
  const server = await host(site);
  const page = await open(`${server.address}?scene=nowhere.json`);
  await page.waitForSelector('#message:not([hidden])');
  assert.match(await page.textContent('#message'), /could not be loaded.*404/s);
  await close(page);
  await server.stop();
});
