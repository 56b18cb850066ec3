// How long a moving scene takes to show another moment in a browser, from a local server:
//
//     node tests/browser/measure-seek.mjs SCENE.t4d [SEEKS]
//
// The program serves the scene, a headless Chromium without a graphics card opens it at 640x360, and moments spread over all of the scene
// are asked for one after the other. What is measured is the time from asking until the last bytes of the moment have come, and until it has been
// drawn with all that belongs to it; what the page has kept of earlier moments is of use, as it is to people. Printed as JSON. Needs what
// `page.test.mjs` needs.
import { missing, openBrowser, serve, status, until } from './tools.mjs';

const [scene, seeks = '60'] = process.argv.slice(2);
if (missing || !scene) {
  console.error(missing ? `${missing} is missing` : 'name a moving scene');
  process.exit(2);
}
const server = await serve(scene);
const browser = await openBrowser();
const page = await browser.newPage({ viewport: { width: 640, height: 360 } });
await page.goto(server.address);
await until(page, 'complete', 900_000);
const { moment: { length } } = await status(page);
const measured = [];
for (let i = 1; i <= Number(seeks); i += 1) {
  // The golden ratio goes everywhere and never to a neighbour.
  const at = length * ((i * 0.618_033_988_749_895) % 1);
  const before = await status(page);
  const [loaded, drawn] = await page.evaluate((at) => new Promise((done) => {
    performance.clearResourceTimings();
    const begun = performance.now();
    const scrub = document.getElementById('scrub');
    scrub.value = at;
    scrub.dispatchEvent(new Event('input'));
    const look = () => {
      const { moment, complete } = window.tessera.status;
      const ends = () => performance.getEntriesByType('resource').map(({ responseEnd }) => responseEnd - begun);
      if (complete && Math.abs(moment.seconds - at) < 1e-6) done([Math.max(0, ...ends()), performance.now() - begun]);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }), at);
  const { bytes, requests, megabytes } = await status(page);
  measured.push({ loaded, drawn, bytes: bytes - before.bytes, requests: requests - before.requests, megabytes });
}
const sorted = (key) => measured.map((one) => one[key]).sort((a, b) => a - b);
const spread = (key) => { const all = sorted(key); return { median: all[all.length >> 1], most: all.at(-1) }; };
console.log(JSON.stringify({
  scene, length, seeks: measured.length, milliseconds_to_load: spread('loaded'), milliseconds_to_draw: spread('drawn'), bytes: spread('bytes'), requests: spread('requests'),
  megabytes_on_the_device: spread('megabytes'),
}));
await browser.close();
await server.stop();
