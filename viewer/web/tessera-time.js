// The bar of time below a moving scene. What moment it is, and how it goes on, is decided in WebAssembly (viewer/src/moving).
'use strict';

/** The bar for the viewer that `current` returns; `changed` is called when another moment was asked for. */
const timeBar = (current, changed) => {
  const $ = (id) => document.getElementById(id);
  const PLAY = 'M8 5.500v13l10-6.500z';
  const PAUSE = 'M8.500 6v12M15.500 6v12';
  let shown = {};

  /** Asks something of the viewer, when its scene moves. */
  const ask = (what) => { const viewer = current(); if (viewer) { what(viewer); changed(); } };
  const toggle = () => ask((viewer) => viewer.toggle_time());
  const step = (frames) => ask((viewer) => viewer.step_frames(frames));

  $('play').onclick = toggle;
  $('scrub').oninput = () => ask((viewer) => viewer.seek(Number($('scrub').value)));
  $('rate').onchange = () => ask((viewer) => viewer.set_rate(Number($('rate').value)));
  $('loop').onclick = () => ask((viewer) => viewer.set_looped(!shown.looped));

  /** What moment it is; nothing when the scene does not move. */
  function moment() {
    const told = current()?.moment();
    if (!told) return undefined;
    const { seconds, length, frame, frames, playing, rate, looped } = told;
    told.free();
    return { seconds, length, frame, frames, playing, rate, looped };
  }

  /** Shows it; touches the page only where something has changed. */
  function tell() {
    const now = moment();
    const isShown = now !== undefined;
    if ($('time').hidden === isShown) {
      $('time').hidden = !isShown;
      document.documentElement.classList.toggle('plays', isShown);
    }
    if (!isShown) { shown = {}; return; }
    if (now.length !== shown.length) $('scrub').max = now.length;
    if (now.seconds !== shown.seconds || now.length !== shown.length) {
      $('scrub').value = now.seconds;
      const text = `${now.seconds.toFixed(2)} s`;
      $('scrub').setAttribute('aria-valuetext', text);
      $('moment').textContent = `${text} of ${now.length.toFixed(2)}`;
    }
    if (now.playing !== shown.playing) {
      const name = now.playing ? 'Pause' : 'Play';
      $('play-sign').setAttribute('d', now.playing ? PAUSE : PLAY);
      $('play').ariaLabel = name;
      $('play').title = `${name} (Space)`;
    }
    if (now.looped !== shown.looped) $('loop').ariaPressed = String(now.looped);
    if (now.rate !== shown.rate) $('rate').value = String(now.rate);
    shown = now;
  }

  /** Goes on as a moment was that `moment` has told. */
  function restore(viewer, { seconds, playing, rate, looped }) {
    viewer.seek(seconds);
    viewer.set_rate(rate);
    viewer.set_looped(looped);
    if (playing) viewer.toggle_time();
  }

  return { keys: { ' ': toggle, ',': () => step(-1), '.': () => step(1) }, moment, restore, tell };
};
