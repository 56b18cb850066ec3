// How long a scene takes to be seen in a browser, over a network of a given speed:
//
//     node tests/browser/measure.mjs SCENE [MBIT_PER_SECOND] [LATENCY_MS]
//
// The program serves the scene, a headless Chromium without a graphics card opens it at 640x360, and the page's own marks and
// counts are printed as JSON. Needs what `page.test.mjs` needs.
import { missing, openBrowser, serve, status, until } from './tools.mjs';

const [scene, megabits = '20', latency = '40'] = process.argv.slice(2);
if (missing || !scene) {
  console.error(missing ? `${missing} is missing` : 'name a scene');
  process.exit(2);
}
const server = await serve(scene);
const browser = await openBrowser();
const page = await browser.newPage({ viewport: { width: 640, height: 360 } });
const session = await page.context().newCDPSession(page);
await session.send('Network.enable');
const bytesPerSecond = (Number(megabits) * 1e6) / 8;
await session.send('Network.emulateNetworkConditions', {
  offline: false, latency: Number(latency), downloadThroughput: bytesPerSecond, uploadThroughput: bytesPerSecond,
});
// What had come when: every tenth of a second.
await page.addInitScript(() => {
  window.seen = [];
  setInterval(() => {
    const { status } = window.tessera ?? {};
    if (status) window.seen.push([performance.now(), status.bytes, status.drawn, status.complete]);
  }, 100);
});
await page.goto(`${server.address}${process.env.TESSERA_QUERY ?? ''}`);
await until(page, 'complete', 900_000);
const seconds = (mark) => page.evaluate((name) => performance.getEntriesByName(name)[0]?.startTime / 1000, mark);
const first = await seconds('tessera:first-picture');
const seen = await page.evaluate(() => window.seen);
const [, firstBytes] = seen.find(([at]) => at >= 1000 * first) ?? seen.at(-1);
const last = await status(page);
console.log(JSON.stringify({
  scene, megabits: Number(megabits), latency_ms: Number(latency),
  first_picture: { seconds: first, scene_bytes: firstBytes },
  last_picture: { seconds: await seconds('tessera:complete'), scene_bytes: last.bytes, splats: last.drawn },
  seen: seen.filter((_, i) => i % 10 === 0).map(([at, bytes, drawn]) => [Math.round(at) / 1000, bytes, drawn]),
}));
await browser.close();
await server.stop();
