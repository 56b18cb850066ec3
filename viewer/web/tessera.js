// The page around the renderer: clock, pointers, keys and words. The renderer, the cameras and the choice of what to load are
// WebAssembly (viewer/src/web); `wasm_bindgen` is the way in, from tessera-viewer.js. Bytes come through tessera-files.js.
'use strict';

(() => {
const { ConnectionLost, traffic } = sceneFiles;
const settings = JSON.parse(document.getElementById('settings').textContent);
const query = new URLSearchParams(location.search);
const $ = (id) => document.getElementById(id);
const canvas = $('canvas');
const isEmbedded = query.has('embed');
const isCoarse = matchMedia('(pointer: coarse)').matches;
const seconds = () => performance.now() / 1000;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const count = (n) => Math.round(n).toLocaleString('en');

// --- Words ---------------------------------------------------------------------------------------------------------------

/** Says something in the corner; the same `id` replaces, no text takes away. */
function say(id, text, { warn = false, forMs = 0 } = {}) {
  let notice = document.querySelector(`#notices [data-id="${id}"]`);
  if (!text) { notice?.remove(); return; }
  if (!notice) {
    notice = document.createElement('p');
    notice.dataset.id = id;
    $('notices').append(notice);
  }
  if (notice.textContent !== text) notice.textContent = text;
  notice.classList.toggle('warn', warn);
  clearTimeout(notice.timer);
  if (forMs) notice.timer = setTimeout(() => notice.remove(), forMs);
}

/** Says why there is no scene. */
function stopWith(title, text, { again = null, low = false } = {}) {
  const box = $('message');
  box.querySelector('h2').textContent = title;
  box.querySelector('p').textContent = text;
  $('again').hidden = !again;
  $('again').onclick = () => { box.hidden = true; again(); };
  box.classList.toggle('low', low);
  box.hidden = false;
  $('progress').className = 'done';
}

// --- Budgets -------------------------------------------------------------------------------------------------------------

/** What this device can draw and hold. Values of widespread viewers for the same classes of devices. */
function budget(isSoftware) {
  const memory = navigator.deviceMemory ?? (isCoarse ? 4 : 8);
  let splats = isCoarse ? (memory < 4 ? 500_000 : 1_000_000) : (memory < 8 ? 1_500_000 : 2_500_000);
  let error = isCoarse ? 1.5 : 1;
  let ratio = Math.min(devicePixelRatio || 1, isCoarse ? 1.5 : 2);
  if (isSoftware) [splats, error, ratio] = [150_000, 2, 1];
  const asked = Number(query.get('splats'));
  if (asked >= 1000) splats = Math.min(asked, 20_000_000);
  const detail = Number(query.get('detail'));
  if (detail > 0) error /= Math.min(detail, 100);
  return { splats, cached: 2.4 * splats, error, ratio, requests: isCoarse ? 4 : 6 };
}

// --- The viewer ----------------------------------------------------------------------------------------------------------

let viewer = null;
let limits = null;
let scene = null;
/** The manifest, the head of a moving scene or the mesh, for when the graphics device is lost. */
let main = null;
/** What the head of meshes of several moments says. */
let sequence = null;
let isScheduled = false;
let sharpness = 1;
let lastFrame = 0;
let settleTimer = 0;
let isFast = false;
let hasPicture = false;
/** Losses of the graphics device in a row; one after a time of calm, in seconds, has nothing to do with those before. */
let lossCount = 0;
let lastLoss = -Infinity;
const CALM = 60;
/** Where the camera was, and what moment it was, when the device was lost. */
let placeBefore = null;
let momentBefore = null;
/** So long, in milliseconds, a picture of another moment waits for what belongs to it: the one before is better than a part of it. */
const PATIENCE = 150;
/** Until when one waits, if it does. */
let waitsUntil = 0;
// What another moment needs is asked for before it is drawn.
const time = timeBar(() => viewer, () => {
  if (hasPicture) waitsUntil ||= performance.now() + PATIENCE;
  moved();
  pump();
  redraw();
});
const inFlight = new Map();
const offline = { until: 0, delay: 0 };

function redraw() {
  if (isScheduled || !viewer) return;
  isScheduled = true;
  requestAnimationFrame(frame);
}

function resize() {
  if (!viewer) return;
  const { width, height } = canvas.getBoundingClientRect();
  const scale = limits.ratio * sharpness;
  const size = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  viewer.resize(size[0], size[1]);
}

function frame(now) {
  isScheduled = false;
  if (!viewer) return;
  if (isWaiting()) return;
  let isMoving;
  try {
    resize();
    isMoving = viewer.frame(now / 1000, isFast);
  } catch (error) {
    deviceLost(error);
    return;
  }
  pump();
  tell();
  if (settings.live) advance();
  if (isMoving) {
    adapt(now - lastFrame);
    lastFrame = now;
    moved();
    redraw();
  }
}

/** Whether the picture of another moment waits for what belongs to it; each page that comes, and the end of patience, ask again. */
function isWaiting() {
  const left = waitsUntil - performance.now();
  if (left > 0) {
    const status = viewer.status();
    const { complete } = status;
    status.free();
    if (!complete) {
      pump();
      tell();
      clearTimeout(isWaiting.timer);
      isWaiting.timer = setTimeout(redraw, left);
      return true;
    }
  }
  waitsUntil = 0;
  return false;
}

/** The camera or the scene is elsewhere; once both stand still, there is something to do. */
function moved() {
  clearTimeout(settleTimer);
  settleTimer = setTimeout(settle, 180);
}

/** Fewer pixels while the camera moves, where drawing is slow. */
function adapt(elapsed) {
  if (elapsed > 1000) return;
  if (elapsed > 42) sharpness = Math.max(0.4, 0.85 * sharpness);
  else if (elapsed < 20) sharpness = Math.min(1, 1.05 * sharpness);
}

/** Camera and scene stand still: all pixels, and a link to this place. */
function settle() {
  if (sharpness < 1) {
    const moving = sharpness;
    sharpness = 1;
    redraw();
    setTimeout(() => { sharpness = Math.min(1, 1.3 * moving); }, 0);
  }
  if (hasPicture) rememberPlace();
}

/** Asks for pages until enough are on their way. */
function pump() {
  const now = seconds();
  if (performance.now() < offline.until) return;
  for (const [key, { generation, node, abort }] of inFlight) {
    if (!viewer.is_needed(generation, node)) { inFlight.delete(key); viewer.cancelled(generation, node); abort.abort(); }
  }
  for (let fetch; (fetch = viewer.next_fetch(now));) load(fetch);
  const retry = viewer.seconds_to_retry(now);
  if (retry !== undefined) { clearTimeout(pump.timer); pump.timer = setTimeout(redraw, 1000 * retry + 20); }
}

async function load(fetch) {
  const { generation, node, file, offset, length } = fetch;
  fetch.free();
  const key = `${generation}/${node}`;
  const abort = new AbortController();
  const mine = { generation, node, abort };
  inFlight.set(key, mine);
  try {
    const bytes = await scene.part(file, offset, length, abort.signal);
    if (inFlight.get(key) !== mine || !viewer) return;
    connectionIsBack();
    if (scene.isSequence) {
      const builder = new wasm_bindgen.MeshBuilder();
      await glb.readMoment(sequence, node, bytes, builder);
      if (inFlight.get(key) !== mine || !viewer) { builder.free(); return; }
      viewer.mesh_arrived(generation, node, builder, seconds());
    } else viewer.arrived(generation, node, bytes, seconds());
    scene.keep(file, offset, bytes);
  } catch (error) {
    if (inFlight.get(key) !== mine || !viewer) return;
    if (error instanceof ConnectionLost) { viewer.cancelled(generation, node); connectionIsLost(); }
    else viewer.failed(generation, node, error.message ?? String(error), seconds());
  } finally {
    if (inFlight.get(key) === mine) inFlight.delete(key);
    redraw();
  }
}

/** Nobody wants any more what is on its way. */
function forgetRequests() {
  for (const { abort } of inFlight.values()) abort.abort();
  inFlight.clear();
}

function connectionIsLost() {
  if (performance.now() < offline.until) return;
  offline.delay = Math.min(15_000, 2 * offline.delay || 500);
  offline.until = performance.now() + offline.delay;
  say('offline', 'The connection is lost. What has arrived stays; trying again …', { warn: true });
  clearTimeout(offline.timer);
  offline.timer = setTimeout(redraw, offline.delay + 20);
}

function connectionIsBack() {
  if (!offline.delay) return;
  Object.assign(offline, { until: 0, delay: 0 });
  say('offline', 'The connection is back.', { forMs: 2500 });
}

/** How much has been loaded of what is wanted now, 0 to 1. */
function tellShare(share) {
  const bar = $('progress');
  bar.className = share < 1 ? '' : 'done';
  bar.setAttribute('aria-valuenow', share.toFixed(2));
  bar.firstElementChild.style.width = `${Math.round(100 * share)}%`;
}

let lost = 0;
let lastProblem = '';
/** Words and numbers around the picture. */
function tell() {
  const status = viewer.status();
  const kind = viewer.kind();
  const { drawn, total, needed, there, complete, megabytes } = status;
  status.free();
  time.tell();
  // A moving scene may be empty now and then.
  if (!hasPicture && (drawn > 0 || (scene?.isMoving && complete && !viewer.is_hopeless()))) {
    hasPicture = true;
    performance.mark('tessera:first-picture');
    canvas.dataset.state = 'picture';
  }
  // What a moving scene waits for may be for later.
  const isComplete = complete && (scene?.isMoving || inFlight.size === 0);
  if (isComplete && canvas.dataset.state !== 'complete') {
    canvas.dataset.state = 'complete';
    performance.mark('tessera:complete');
  } else if (!isComplete && canvas.dataset.state === 'complete') canvas.dataset.state = 'picture';
  if (total > 0) tellShare(isComplete ? 1 : there / Math.max(1, needed));
  if (!live.text) $('state').textContent = isComplete ? `${count(total)} ${kind}` : hasPicture ? 'loading detail …' : 'loading …';
  $('numbers').textContent = `${count(drawn)} of ${count(total)} ${kind} drawn, ${count(megabytes)} MB on the graphics device; `
    + `${(traffic.bytes / 1e6).toFixed(1)} MB loaded in ${traffic.requests} requests; ${canvas.width} × ${canvas.height} pixels on ${viewer.adapter()}`;
  for (const problem of viewer.take_problems()) {
    lost += 1;
    lastProblem = problem;
    const [parts, are] = lost === 1 ? ['A part of the scene', 'is'] : [`${lost} parts of the scene`, 'are'];
    const shown = scene.isMoving ? 'missing' : 'shown coarser';
    if (hasPicture) say('lost', `${parts} could not be loaded and ${are} ${shown} (${problem}).`, { warn: true });
  }
  if (viewer.is_hopeless()) {
    const again = () => { viewer.retry_all(); lost = 0; redraw(); };
    stopWith('The scene could not be loaded', `All that was tried of it is damaged or missing (${lastProblem}).`, { again });
  }
  window.tessera.status = { drawn, total, needed, there, complete: isComplete, lost, megabytes, moment: time.moment(), ...traffic };
}

/** Says so, and begins again with what has been loaded, where the camera was. */
async function deviceLost(error) {
  if (hasPicture) [placeBefore, momentBefore] = [viewer.camera_text(), time.moment()];
  viewer = null;
  hasPicture = false;
  lost = 0;
  canvas.dataset.state = 'lost';
  forgetRequests();
  lossCount = seconds() - lastLoss < CALM ? lossCount + 1 : 1;
  lastLoss = seconds();
  if (lossCount > 3) {
    stopWith('The graphics device was lost', `${error.message ?? error}`, { again: () => { lossCount = 0; start(); } });
    return;
  }
  say('device', 'The graphics device was lost; starting again …', { warn: true, forMs: 4000 });
  await wait(500 * lossCount);
  start();
}

// --- Places --------------------------------------------------------------------------------------------------------------

const inLink = (name) => new URLSearchParams(location.hash.slice(1)).get(name);

/** What an address holds: the camera, and the moment of a moving scene. */
function placeNow() {
  const moment = time.moment();
  return `#camera=${viewer.camera_text()}${moment ? `&time=${Number(moment.seconds.toFixed(3))}` : ''}`;
}

/** Goes where the address says, as far as it says anything; whether it does. */
function goToLink() {
  const isPlaced = Boolean(inLink('camera')) && viewer.set_camera_text(inLink('camera'));
  const isTimed = inLink('time') !== null && viewer.seek(Number(inLink('time'))) === undefined;
  return isPlaced || isTimed;
}

function rememberPlace() {
  const hash = placeNow();
  if (hash !== location.hash) try { history.replaceState(null, '', hash); } catch { /* some frames may not */ }
}

async function copyLink() {
  if (!viewer) return;
  rememberPlace();
  const link = location.href.replace(/#.*/, '') + placeNow();
  try {
    await navigator.clipboard.writeText(link);
    say('share', 'The link to this view is copied.', { forMs: 2500 });
  } catch {
    offerLink(link);
  }
}

/** Shows a link to be copied by hand: pages around this one may keep the clipboard from it. */
function offerLink(link) {
  say('share', '');
  say('share', 'Copy this link:', { forMs: 30_000 });
  const field = Object.assign(document.createElement('input'), { value: link, readOnly: true, ariaLabel: 'Link to this view' });
  document.querySelector('#notices [data-id="share"]').append(field);
  field.select();
}

// --- Hands ---------------------------------------------------------------------------------------------------------------

function listenToPointers() {
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    if (event.pointerType === 'touch') viewer?.touch(event.pointerId, event.clientX, event.clientY, canvas.clientHeight);
    else viewer?.press(event.button, event.shiftKey, event.ctrlKey || event.metaKey, event.altKey);
    event.preventDefault();
    redraw();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!viewer || !canvas.hasPointerCapture(event.pointerId)) return;
    if (event.pointerType === 'touch') viewer.touch(event.pointerId, event.clientX, event.clientY, canvas.clientHeight);
    else viewer.drag(event.movementX, event.movementY, canvas.clientHeight);
    redraw();
  });
  const end = (event) => {
    if (event.pointerType === 'touch') viewer?.touch_end(event.pointerId, canvas.clientHeight);
    else viewer?.release(Math.max(0, event.button));
    redraw();
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('wheel', (event) => {
    // Inside of another page the wheel scrolls that page, until the scene was clicked.
    if (!viewer || (isEmbedded && document.activeElement !== canvas && !event.ctrlKey)) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY : event.deltaY / 40;
    if (event.ctrlKey) viewer.pinch(Math.exp(-event.deltaY / 100));
    else viewer.wheel(Math.max(-5, Math.min(5, lines)));
    redraw();
  }, { passive: false });
}

const TURN = 0.12;
const keys = {
  ArrowLeft: () => viewer.orbit(-TURN, 0), ArrowRight: () => viewer.orbit(TURN, 0),
  ArrowUp: () => viewer.orbit(0, -TURN), ArrowDown: () => viewer.orbit(0, TURN),
  '+': () => viewer.dolly(0.85), '=': () => viewer.dolly(0.85), '-': () => viewer.dolly(1 / 0.85),
  r: () => viewer.go_home(), Home: () => viewer.go_home(),
  c: copyLink, f: toggleFull, h: toggleHelp, '?': toggleHelp, i: toggleHelp, ...time.keys,
};
for (let axis = 1; axis <= 6; axis += 1) keys[axis] = () => viewer.look_along(axis);

function listenToKeys() {
  addEventListener('keydown', (event) => {
    isFast = event.shiftKey;
    if (!viewer || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') { $('sheet').hidden = true; $('help').ariaExpanded = 'false'; return; }
    if (event.target.matches?.('input:not(#scrub), select') || (event.target.id === 'scrub' && /^(Arrow|Home|End|Page)/.test(event.key))) return;
    if (event.key === ' ' && (event.repeat || !scene?.isMoving)) return;
    if (event.target.closest?.('button') && (event.key === 'Enter' || event.key === ' ')) return;
    const action = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (action) action();
    else if (!viewer.key(event.code, true)) return;
    event.preventDefault();
    lastFrame = performance.now();
    redraw();
  });
  addEventListener('keyup', (event) => { isFast = event.shiftKey; viewer?.key(event.code, false); });
  addEventListener('blur', () => viewer?.let_go());
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

function toggleHelp() {
  $('sheet').hidden = !$('sheet').hidden;
  $('help').ariaExpanded = String(!$('sheet').hidden);
  if (!$('sheet').hidden) $('close').focus({ preventScroll: true });
}

function listenToButtons() {
  $('home').onclick = () => { viewer?.go_home(); redraw(); };
  $('share').onclick = copyLink;
  $('full').onclick = toggleFull;
  $('full').hidden = !document.fullscreenEnabled;
  $('help').onclick = toggleHelp;
  $('close').onclick = () => { toggleHelp(); canvas.focus(); };
}

// --- A training that runs ------------------------------------------------------------------------------------------------

const live = { text: '', delay: 500, wanted: '', scene: '', isOver: false, isLoading: false };

/** Goes on to the newest state, when the one before has been shown. */
async function advance() {
  if (!viewer || live.isLoading || !live.wanted || live.wanted === live.scene || viewer.is_changing()) return;
  live.isLoading = true;
  live.scene = live.wanted;
  try {
    await show(live.scene);
  } catch (error) {
    say('live', `A state of the training could not be loaded (${error.message ?? error}).`, { warn: true });
  }
  live.isLoading = false;
}

function follow() {
  const socket = new WebSocket(new URL('live', location.href.replace(/^http/, 'ws')));
  socket.onmessage = ({ data }) => {
    live.delay = 500;
    say('live', '');
    const state = JSON.parse(data);
    live.text = state.text ?? '';
    $('state').textContent = live.text;
    live.wanted = state.scene ?? '';
    live.isOver = state.over ?? false;
    advance();
  };
  socket.onclose = () => {
    if (live.isOver) { say('live', 'The training has ended; this is its last state.'); return; }
    say('live', 'The training is not heard of any more; trying again …', { warn: true });
    live.delay = Math.min(15_000, 2 * live.delay);
    setTimeout(follow, live.delay);
  };
}

// --- Without WebGPU ------------------------------------------------------------------------------------------------------

/** Pictures of a walk around the scene, turned by dragging. */
function showOrbit() {
  const image = $('orbit');
  const pictures = settings.orbit;
  let at = 0;
  let start = null;
  /** Shows the picture of a place as soon as it is there; a server may draw it only now. */
  const turn = (to) => {
    at = ((to % pictures.length) + pictures.length) % pictures.length;
    const wanted = pictures[Math.floor(at)];
    const isWanted = () => pictures[Math.floor(at)] === wanted;
    const next = new Image();
    next.onload = () => { if (isWanted()) image.src = wanted; };
    next.onerror = () => setTimeout(() => { if (isWanted()) turn(at); }, 1000);
    next.src = wanted;
  };
  canvas.hidden = true;
  image.hidden = false;
  image.alt = `Pictures of ${settings.title} from all sides`;
  image.dataset.state = 'orbit';
  turn(0);
  pictures.forEach((picture) => { new Image().src = picture; });
  image.onpointerdown = (event) => { image.setPointerCapture(event.pointerId); start = { x: event.clientX, at }; };
  image.onpointermove = (event) => { if (start) turn(start.at - (pictures.length * (event.clientX - start.x)) / image.clientWidth); };
  image.onpointerup = image.onpointercancel = () => { start = null; };
  addEventListener('keydown', ({ key }) => { if (key === 'ArrowLeft') turn(at - 1); if (key === 'ArrowRight') turn(at + 1); });
  for (const id of ['home', 'share', 'help']) $(id).hidden = true;
}

function cannotDraw(reason) {
  performance.mark('tessera:fallback');
  const ways = 'Chrome or Edge 113, Safari 26, Firefox 141 and their successors can.';
  if (settings.orbit.length === 0) return stopWith('This browser cannot draw the scene', `${reason} ${ways}`);
  showOrbit();
  say('fallback', `${reason} Pictures of the scene are shown in its place: drag to turn. ${ways}`, { warn: true });
  $('progress').className = 'done';
}

// --- The beginning -------------------------------------------------------------------------------------------------------

async function loadWasm() {
  if (loadWasm.done) return;
  const inline = $('wasm');
  await wasm_bindgen({ module_or_path: inline ? await sceneFiles.embedded('wasm') : new URL('tessera-viewer.wasm', location.href) });
  loadWasm.done = true;
}

/** Loads a scene and shows it as soon as its first page is there, or all of a mesh. */
async function show(address) {
  const opened = sceneFiles.open(address);
  for (let delay = 500; ; delay = Math.min(15_000, 2 * delay)) {
    try {
      main = await opened.main(opened.isMesh ? tellShare : undefined);
      break;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      say('offline', 'The server cannot be reached; trying again …', { warn: true });
      await wait(delay);
    }
  }
  say('offline', '');
  forgetRequests();
  scene = opened;
  await place();
}

/** Gives the renderer what has been loaded. */
async function place() {
  if (scene.isMesh) {
    const builder = new wasm_bindgen.MeshBuilder();
    await glb.read(main, builder);
    viewer.set_mesh(builder);
  } else if (scene.isMoving) {
    if (scene.isSequence) {
      sequence = glb.sequence(main);
      viewer.set_sequence(sequence.seconds, sequence.inFile, sequence.bounds);
    } else viewer.set_moving(main, firstView());
    if (momentBefore) time.restore(viewer, momentBefore);
    else if (inLink('time') !== null) viewer.seek(Number(inLink('time')));
    else if (query.has('play')) viewer.toggle_time();
  } else viewer.set_scene(main);
  redraw();
}

/** Where to begin looking from, as numbers; none for scenes that the page was not made for. */
function firstView() {
  if (!settings.view || query.has('scene')) return new Float32Array();
  const { camera, up, bounds, near } = settings.view;
  return Float32Array.of(...camera.position, ...camera.target, camera.fov_y, ...up, ...bounds.flat(), near);
}

async function start() {
  if (!navigator.gpu) {
    return cannotDraw(isSecureContext ? 'This browser has no WebGPU.' : 'Browsers have WebGPU only over https, or on localhost.');
  }
  try {
    await loadWasm();
  } catch (error) {
    return stopWith('The page could not be loaded', `The renderer is missing or damaged (${error.message}).`, { again: start });
  }
  let opened;
  try {
    opened = await wasm_bindgen.WebViewer.open(canvas, navigator.gpu.getPreferredCanvasFormat());
  } catch (error) {
    return cannotDraw(`WebGPU is there, but cannot be used (${error.message ?? error}).`);
  }
  viewer = opened;
  // It may be lost while nothing is drawn.
  opened.device_loss().heard().then((reason) => { if (viewer === opened) deviceLost(reason); });
  limits = budget(viewer.is_software());
  viewer.set_limits(limits.splats, limits.cached, limits.error, limits.requests);
  viewer.set_background(...settings.background);
  const begin = placeBefore ?? inLink('camera');
  if (begin) viewer.set_camera_text(begin);
  resize();
  try {
    if (main) await place();
    else if (query.get('scene') ?? settings.scene) await show(query.get('scene') ?? settings.scene);
    else if (settings.live) $('state').textContent = 'waiting for the first state of the training …';
    else return stopWith('No scene', 'The page was not told which scene to show: add ?scene=ADDRESS.');
  } catch (error) {
    return stopWith('The scene could not be loaded', `${error.message ?? error}`, { again: () => { viewer = null; start(); } });
  }
  if (settings.live && !follow.begun) { follow.begun = true; follow(); }
  redraw();
}

// For tests and measurements.
window.tessera = { status: null, budget };
document.documentElement.classList.toggle('embed', isEmbedded);
$('title').textContent = settings.title;
canvas.setAttribute('aria-label', settings.title);
listenToPointers();
listenToKeys();
listenToButtons();
new ResizeObserver(redraw).observe(canvas);
addEventListener('online', () => { offline.until = 0; viewer?.retry_all(); redraw(); });
addEventListener('hashchange', () => { if (viewer && goToLink()) redraw(); });
start();
})();
