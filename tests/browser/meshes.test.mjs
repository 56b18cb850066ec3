// Meshes of several moments in the web page: played, stepped through, waited for. See page.test.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { close, compare, endAll, folder, host, openBrowser, openPage, options, picture, status, tessera, until } from './tools.mjs';

let browser;
let scale; // a page that compares pictures
const open = (address) => openPage(browser, address);

before(async () => {
  if (options.skip) return;
  browser = await openBrowser();
  scale = await browser.newPage();
}, options);

after(() => endAll(browser));

/** Numbered files of a pyramid that climbs, each moment as many pixels as the last. */
function writeClimbing(folder, moments) {
  fs.mkdirSync(folder);
  for (let moment = 0; moment < moments; moment += 1) {
    const corners = [[-1, -1, 0], [1, -1, 0], [0, 1, 0], [0, 0, 1]].map(([x, y, z], i) => `v ${x} ${y + moment / 2} ${z} ${i & 1} ${i >> 1} 1`);
    const faces = ['1 3 2', '1 2 4', '2 3 4', '3 1 4'].map((face) => `f ${face}`);
    fs.writeFileSync(path.join(folder, `m${moment}.obj`), [...corners, ...faces, ''].join('\n'));
  }
}

test('meshes of several moments play, from a host and as one file, and wait for what has not come', options, async () => {
  const [meshes, site, file] = ['climbing', 'climbs', 'climbs.html'].map((name) => path.join(folder, name));
  writeClimbing(meshes, 6);
  tessera('export', meshes, '-o', site, '--pictures', '0');
  tessera('export', meshes, '-o', file, '--pictures', '0');
  let isHeld = false;
  let refused = 0;
  const server = await host(site, { fault: (name, first, bytes, response) => {
    if (name !== 'sequence.glb' || !first) return undefined;
    if (isHeld) { response.writeHead(503).end(); refused += 1; return true; }
    return undefined;
  } });
  const shown = [];
  const at = (page, seconds) => page.waitForFunction((seconds) => {
    const { moment, complete } = window.tessera.status ?? {};
    return complete && Math.abs(moment.seconds - seconds) < 0.001;
  }, seconds);
  for (const address of [server.address, pathToFileURL(file).href]) {
    const page = await open(`${address}#camera=0,1,0,8,3.14,0,0.9,0,1,0`);
    await until(page, 'complete');
    assert.equal(await page.textContent('#state'), '6 moments');
    const first = await picture(page, 'moment-0');
    for (let step = 1; step <= 2; step += 1) {
      await page.keyboard.press('.');
      await at(page, step / 30);
    }
    const later = await picture(page, 'moment-2');
    const { psnr } = await compare(scale, first, later);
    assert.ok(psnr < 30, `two moments are at ${psnr} dB of each other`);
    shown.push(later);
    if (address === server.address) await waitsAndPlays(page);
    await close(page);
  }
  const { psnr } = await compare(scale, ...shown);
  assert.ok(psnr > 50, `a file's picture is at ${psnr} dB of a host's`);
  await server.stop();

  /** One that has not come: the picture before stays, and it is asked for again. Then all are played, and begin again. */
  async function waitsAndPlays(page) {
    isHeld = true;
    await page.keyboard.press('.');
    await page.waitForFunction(() => !window.tessera.status.complete);
    assert.equal((await status(page)).drawn, 1);
    isHeld = false;
    await at(page, 3 / 30);
    assert.ok(refused > 0, 'nothing was refused');
    await page.keyboard.press(' ');
    await page.waitForFunction(() => window.tessera.status.moment.playing);
    await page.waitForFunction(() => window.tessera.status.moment.seconds > 0.15);
    await page.waitForFunction(() => window.tessera.status.moment.seconds < 0.1);
  }
});
