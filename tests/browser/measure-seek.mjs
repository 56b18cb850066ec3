// How long a moving scene takes to show another moment in a browser, from a local server:
//
//     node tests/browser/measure-seek.mjs SCENE.t4d [SEEKS]
//
// The program serves the scene, a headless Chromium without a graphics card opens it at 640x360, and moments spread over all of the scene
// are asked for one after the other. What is measured is the time from asking until the last bytes of the moment have come, until they are
// on the graphics device, and until it has drawn the first picture with all that belongs to the moment; then what takes that time: the page's
// work on the bytes (decoding and uploading), its work on the pictures, and the device's, and how many pictures were drawn on the way. What
// the page has kept of earlier moments is of use, as it is to people. Printed as JSON, in milliseconds. Needs what `page.test.mjs` needs.
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

/** Has the page say when pages arrive and pictures are drawn. */
await page.evaluate(() => {
  const { prototype } = wasm_bindgen.WebViewer;
  const spans = (window.spans = { arrived: [], frame: [] });
  let queue;
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (...args) { queue = this; return submit.apply(this, args); };
  for (const name of Object.keys(spans)) {
    const inner = prototype[name];
    prototype[name] = function (...args) {
      const span = { begun: performance.now() };
      try {
        return inner.apply(this, args);
      } finally {
        span.ended = performance.now();
        spans[name].push(span);
        if (name === 'frame') queue?.onSubmittedWorkDone().then(() => { span.drawn = performance.now(); });
      }
    };
  }
});

/** Asks for a moment and waits until it is drawn. */
const seek = (at) => page.evaluate((at) => new Promise((done) => {
  performance.clearResourceTimings();
  spans.arrived.length = spans.frame.length = 0;
  const begun = performance.now();
  const scrub = document.getElementById('scrub');
  scrub.value = at;
  scrub.dispatchEvent(new Event('input'));
  const look = () => {
    const { moment, complete } = window.tessera.status;
    const last = spans.arrived.at(-1)?.ended ?? begun;
    const whole = spans.frame.find((frame) => frame.begun >= last);
    if (!complete || Math.abs(moment.seconds - at) > 1e-6 || !whole?.drawn) {
      setTimeout(look, 2);
      return;
    }
    const sum = (of) => of.reduce((all, span) => all + span.ended - span.begun, 0);
    const ends = performance.getEntriesByType('resource').map(({ responseEnd }) => responseEnd - begun);
    done({
      loaded: Math.max(0, ...ends), decoded: last - begun, drawn: whole.drawn - begun, bytes_work: sum(spans.arrived),
      picture_work: whole.ended - whole.begun, device_work: whole.drawn - whole.ended,
      pictures_before: spans.frame.filter((frame) => frame.begun < whole.begun).length,
    });
  };
  look();
}), at);

const measured = [];
for (let i = 1; i <= Number(seeks); i += 1) {
  const before = await status(page);
  // The golden ratio goes everywhere and never to a neighbour.
  const times = await seek(length * ((i * 0.618_033_988_749_895) % 1));
  const { bytes, requests, megabytes } = await status(page);
  measured.push({ ...times, bytes: bytes - before.bytes, requests: requests - before.requests, megabytes });
}
const spread = (key) => {
  const all = measured.map((one) => one[key]).sort((a, b) => a - b);
  return { median: all[all.length >> 1], most: all.at(-1) };
};
const spreads = Object.keys(measured[0]).map((key) => [key, spread(key)]);
console.log(JSON.stringify({ scene, length, seeks: measured.length, ...Object.fromEntries(spreads) }));
await browser.close();
await server.stop();
