// The web page where things are not as usual: a lost graphics device, no WebGPU, a phone, a frame in another page. See page.test.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  close, compare, drag, endAll, folder, host, makeSite, notices, openBrowser, openPage, options, phone, picture, scene, serve, site, status,
  tessera, until,
} from './tools.mjs';

const oneFile = path.join(folder, 'scene.html');
let browser;
let scale; // a page that compares pictures
let server; // of the exported folder
const open = (address, prepare, options) => openPage(browser, address, prepare, options);

before(async () => {
  if (options.skip) return;
  makeSite();
  tessera('export', scene, '-o', oneFile, '--pictures', '4');
  browser = await openBrowser();
  scale = await browser.newPage();
  server = await host(site);
}, options);

after(() => endAll(browser, server));

/** The place in the address, once the camera has stood still. */
const place = (page) => new URL(page.url()).hash;
const numbers = (hash) => hash.split('=')[1].split(',').map(Number);
const PIVOT = 0;
const DISTANCE = 3;
const YAW = 4;
/** Waits until the address holds another place than before, and a slow machine has drawn the last of the camera's glide. */
async function settled(page, before) {
  await page.waitForFunction((hash) => location.hash !== hash, before);
  await page.waitForFunction(() => {
    const [now, hash] = [performance.now(), location.hash];
    if (window.lastPlace?.hash !== hash) window.lastPlace = { hash, since: now };
    return now - window.lastPlace.since > 1500;
  }, null, { polling: 50 });
}

// --- A lost device -------------------------------------------------------------------------------------------------------

/** Keeps every graphics device that the page is given. */
const keepDevices = (page) => page.addInitScript(() => {
  window.devices = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function keep(...args) {
    const device = await requestDevice.apply(this, args);
    window.devices.push(device);
    return device;
  };
});
const loseDevice = (page) => page.evaluate(() => window.devices.at(-1).destroy());

test('a device that is lost while nothing moves is taken again, and the camera stays', options, async () => {
  const page = await open(server.address, keepDevices);
  await until(page, 'complete');
  const first = place(page);
  await drag(page, 150, 10);
  await settled(page, first);
  const [before, there] = [await picture(page, 'before-loss'), place(page)];
  await loseDevice(page);
  // Nobody touches the page.
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('device was lost'));
  await page.waitForFunction(() => window.devices.length === 2);
  await until(page, 'complete');
  // A slow machine may still draw what the page has for complete. The words in the corner are still there.
  let psnr = 0;
  for (const end = Date.now() + 20_000; psnr <= 25 && Date.now() < end;) {
    ({ psnr } = await compare(scale, before, await picture(page, 'after-loss')));
  }
  assert.ok(psnr > 25, `the picture is at ${psnr} dB of the one before`);
  assert.equal(place(page), there);
  await close(page);
});

test('a device that is lost again and again is a sentence and a button', options, async () => {
  const page = await open(server.address, keepDevices);
  for (let losses = 0; losses < 4; losses += 1) {
    await until(page, 'complete');
    await loseDevice(page);
    await page.waitForFunction(() => document.querySelector('[data-state="lost"]'));
  }
  await page.waitForSelector('#message:not([hidden])');
  assert.match(await page.textContent('#message'), /graphics device was lost/);
  await page.click('#again');
  await until(page, 'complete');
  assert.ok(!(await page.isVisible('#message')));
  await close(page);
});

// --- Without WebGPU ------------------------------------------------------------------------------------------------------

/** That pictures are shown, why, and that dragging turns them. */
async function showsPictures(page, reason) {
  await until(page, 'orbit');
  assert.match(await notices(page), reason);
  assert.match(await notices(page), /drag to turn/);
  await page.waitForFunction(() => document.getElementById('orbit').naturalWidth > 0);
  const before = await page.evaluate(() => document.getElementById('orbit').src);
  await drag(page, 250, 0);
  await page.waitForFunction((src) => document.getElementById('orbit').src !== src, before);
  await page.waitForTimeout(300);
  const shown = await picture(page, 'orbit');
  const { colours } = await compare(scale, shown, shown);
  assert.ok(colours > 1000, `${colours} colours`);
}

test('a browser whose WebGPU finds no graphics card shows pictures, served, exported and from one file', options, async () => {
  const plain = await openBrowser({ webgpu: false });
  const served = await serve(scene);
  for (const address of [served.address, server.address, pathToFileURL(oneFile).href]) {
    const page = await openPage(plain, address);
    await showsPictures(page, /WebGPU is there, but cannot be used/);
    await close(page);
  }
  await served.stop();
  await plain.close();
});

test('a browser without WebGPU shows pictures, served, exported and from one file', options, async () => {
  const without = (page) => page.addInitScript(() => { Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }); });
  const served = await serve(scene);
  for (const address of [served.address, server.address, pathToFileURL(oneFile).href]) {
    const page = await open(address, without);
    await showsPictures(page, /This browser has no WebGPU/);
    await close(page);
  }
  await served.stop();
});

test('at an address that is not safe the page says what browsers ask for', options, async () => {
  const page = await open(server.foreign);
  await showsPictures(page, /WebGPU only over https, or on localhost/);
  await close(page);
});

test('without WebGPU and without pictures there is a sentence', options, async () => {
  const bare = path.join(folder, 'bare.html');
  tessera('export', scene, '-o', bare, '--pictures', '0');
  const plain = await openBrowser({ webgpu: false });
  const page = await openPage(plain, pathToFileURL(bare).href);
  await page.waitForSelector('#message:not([hidden])');
  assert.match(await page.textContent('#message'), /cannot draw the scene.*WebGPU is there, but cannot be used.*Chrome or Edge/s);
  await picture(page, 'no-pictures');
  await close(page);
  await plain.close();
});

// --- A phone -------------------------------------------------------------------------------------------------------------

/** Fingers on the glass: from their first places to their last. */
async function swipe(page, ...fingers) {
  const session = await page.context().newCDPSession(page);
  const touch = (type, touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
  const at = (share) => fingers.map(([[x, y], [u, v]], id) => ({ x: x + share * (u - x), y: y + share * (v - y), id }));
  await touch('touchStart', at(0));
  for (let i = 1; i <= 8; i += 1) await touch('touchMove', at(i / 8));
  await touch('touchEnd', []);
}

test('a phone in the hand: fingers turn, shift and bring nearer', options, async () => {
  const page = await open(server.address, () => {}, phone);
  await until(page, 'complete');
  await page.waitForTimeout(800);
  const first = place(page);
  await swipe(page, [[150, 400], [270, 400]]);
  await settled(page, first);
  const turned = place(page);
  await swipe(page, [[180, 400], [100, 400]], [[220, 400], [300, 400]]);
  await settled(page, turned);
  const pinched = place(page);
  assert.ok(numbers(pinched)[DISTANCE] < 0.6 * numbers(turned)[DISTANCE], `${turned} to ${pinched}`);
  await swipe(page, [[180, 300], [180, 420]], [[220, 300], [220, 420]]);
  await settled(page, pinched);
  const [before, after] = [pinched, place(page)].map(numbers);
  const shift = Math.hypot(...[0, 1, 2].map((axis) => after[PIVOT + axis] - before[PIVOT + axis]));
  assert.ok(shift > 0.05 * after[DISTANCE], `two fingers shift by ${shift}`);
  assert.ok(Math.abs(after[YAW] - before[YAW]) < 1e-3 && Math.abs(after[DISTANCE] / before[DISTANCE] - 1) < 0.05, 'and nothing else');
  await picture(page, 'phone-touched');
  await close(page);
});

test('on a phone everything has its place, upright and across', options, async () => {
  const page = await open(server.address, () => {}, phone);
  await until(page, 'complete');
  for (const [name, width, height] of [['upright', 412, 839], ['across', 839, 412]]) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(800);
    const shown = await picture(page, `phone-${name}`);
    assert.ok((await compare(scale, shown, shown)).colours > 1000, `${name}: the scene is seen`);
    const boxes = await page.evaluate(() => Object.fromEntries(['bar', 'tools', 'home', 'share', 'help'].map((id) => {
      const { left, top, right, bottom } = document.getElementById(id).getBoundingClientRect();
      return [id, [left, top, right, bottom]];
    })));
    for (const [id, [left, top, right, bottom]] of Object.entries(boxes)) {
      assert.ok(left >= 0 && top >= 0 && right <= width && bottom <= height, `${name}: ${id} is cut off`);
      if (id !== 'bar' && id !== 'tools') assert.ok(Math.min(right - left, bottom - top) >= 40, `${name}: ${id} is too small for a finger`);
    }
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: the page scrolls`);
    await page.tap('#help');
    await page.waitForSelector('#sheet:not([hidden])');
    await picture(page, `phone-${name}-help`);
    const sheet = await page.locator('#sheet').boundingBox();
    assert.ok(sheet.y >= 0 && sheet.y + sheet.height <= height && sheet.x >= 0 && sheet.x + sheet.width <= width, `${name}: the sheet is cut off`);
    await page.locator('#close').tap();
  }
  await close(page);
});

test('what is drawn and held fits the device', options, async () => {
  const budgets = async (device, memory) => {
    const page = await open(server.address, (page) => page.addInitScript((gigabytes) => {
      Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => gigabytes });
    }, memory), device);
    const budget = await page.evaluate(() => window.tessera.budget(false));
    await close(page);
    return budget;
  };
  const [desktop, small, large, old] = [await budgets({}, 8), await budgets({}, 4), await budgets(phone, 8), await budgets(phone, 2)];
  const splats = [desktop, small, large, old].map((budget) => budget.splats);
  assert.deepEqual(splats, [2_500_000, 1_500_000, 1_000_000, 500_000]);
  assert.ok(large.error > desktop.error && large.requests < desktop.requests);
  assert.ok(large.ratio <= 1.5, `a phone's ${phone?.deviceScaleFactor} pixels a point are not all drawn`);
});

// --- Elsewhere -----------------------------------------------------------------------------------------------------------

test('a link holds the camera, and C copies it', options, async () => {
  const page = await open(server.address);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await until(page, 'complete');
  const first = place(page);
  await drag(page, 120, 30);
  await settled(page, first);
  await page.keyboard.press('c');
  await page.waitForFunction(() => document.getElementById('notices').textContent.includes('is copied'));
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(link, page.url());
  const before = await picture(page, 'linked-from');
  const again = await open(link);
  await until(again, 'complete');
  await again.waitForTimeout(800);
  const { psnr } = await compare(scale, before, await picture(again, 'linked-to'));
  assert.ok(psnr > 25, `the same place is at ${psnr} dB: words in the corner are another`);
  await close(again);
  await close(page);
});

test('a page in a frame of another page: its camera, the wheel, its link', options, async () => {
  const inside = `${server.address}?embed#camera=0,0,0,4,0.5,-0.3,0.9,0,-1,0`;
  const outside = path.join(folder, 'outside');
  fs.mkdirSync(outside);
  fs.writeFileSync(path.join(outside, 'index.html'),
    `<body style="margin:0;height:3000px"><iframe src="${inside}" width="640" height="360" allow="fullscreen"></iframe>`);
  const outer = await host(outside);
  const page = await open(outer.address);
  const frame = page.frames().find((one) => one.url().includes('embed'));
  assert.notEqual(new URL(frame.url()).origin, new URL(page.url()).origin);
  await frame.waitForFunction(() => document.querySelector('[data-state="complete"]'), null, { timeout: 90_000 });
  for (const id of ['bar', 'help']) {
    assert.equal(await frame.evaluate((id) => getComputedStyle(document.getElementById(id)).display, id), 'none');
  }
  await picture(page, 'embedded');
  await page.mouse.move(300, 150);
  await page.mouse.wheel(0, 300);
  await page.waitForFunction(() => scrollY > 100);
  // After a click the wheel belongs to the scene.
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.click(300, 150);
  await page.mouse.wheel(0, -300);
  await frame.waitForFunction(() => Number(location.hash.split(',')[3]) < 4);
  assert.equal(await page.evaluate(() => scrollY), 0);
  const [, , , distance, yaw] = numbers(new URL(frame.url()).hash);
  assert.ok(distance < 3.9 && Math.abs(yaw - 0.5) < 1e-3, frame.url());
  // The page around it lets it not write to the clipboard, so the link is shown.
  await frame.click('#share');
  assert.equal(await frame.inputValue('#notices input'), frame.url());
  await picture(page, 'embedded-link');
  await close(page);
  await outer.stop();
});
