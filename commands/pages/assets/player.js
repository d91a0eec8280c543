// One sound at a time: all versions of a row run together, and switching between them moves gains, so there is no gap.
"use strict";

const player = (() => {
  const FADE = 0.004; // seconds of a switch
  let context = null, master = null;
  let playing = null; // {row, sources, gains, started, duration, name}: what is heard now
  let looping = false;
  const decoded = new Map(); // row -> {name: AudioBuffer}, the last few
  const listeners = [];

  function ready() {
    if (!context) {
      context = new AudioContext();
      master = context.createGain();
      master.gain.value = Number(document.getElementById("volume").value) ** 2;
      master.connect(context.destination);
    }
    if (context.state === "suspended") context.resume();
    return context;
  }

  async function buffersOf(row) {
    if (!decoded.has(row)) {
      const files = await timbre.soundsOf(row);
      const buffers = {};
      for (const [name, bytes] of Object.entries(files)) buffers[name] = await ready().decodeAudioData(bytes.buffer);
      decoded.set(row, buffers);
      if (decoded.size > 40) decoded.delete(decoded.keys().next().value);
    }
    return decoded.get(row);
  }

  function tell() { listeners.forEach((listener) => listener(playing)); }

  function stop() {
    if (!playing) return;
    for (const source of Object.values(playing.sources)) { source.onended = null; source.stop(); }
    playing = null;
    tell();
  }

  async function play(row, name, at = 0) {
    ready();
    begin(row, await buffersOf(row), name, at);
  }

  // Sounds of several rows run together; the one that is named is heard. Where they run already, it goes on from there.
  async function together(rows, name) {
    ready();
    const key = rows.join(" ");
    if (playing && playing.row === key) return choose(name);
    const buffers = {};
    for (const row of rows) buffers[row] = (await buffersOf(row)).sound;
    begin(key, buffers, name, 0);
  }

  function tone(buffer) {
    stop();
    begin("tone", { tone: buffer }, "tone", 0);
  }

  function begin(row, buffers, name, at) {
    stop();
    const chosen = name in buffers ? name : Object.keys(buffers)[0];
    const now = context.currentTime + 0.01;
    playing = { row, name: chosen, sources: {}, gains: {}, started: now - at, duration: buffers[chosen].duration };
    const here = playing;
    for (const [one, buffer] of Object.entries(buffers)) {
      const source = context.createBufferSource(), gain = context.createGain();
      source.buffer = buffer;
      source.loop = looping;
      gain.gain.value = one === chosen ? 1 : 0;
      source.connect(gain).connect(master);
      source.start(now, at);
      playing.sources[one] = source;
      playing.gains[one] = gain;
    }
    playing.sources[chosen].onended = () => { if (playing === here) { playing = null; tell(); } };
    tell();
  }

  function choose(name) {
    if (!playing || !(name in playing.gains)) return;
    for (const [one, gain] of Object.entries(playing.gains)) {
      gain.gain.setTargetAtTime(one === name ? 1 : 0, context.currentTime, FADE / 3);
    }
    playing.name = name;
    tell();
  }

  return {
    play, together, tone, stop, choose,
    // Given buffers run together under a name of their own; where they run already, only the one that is heard changes.
    run(key, buffers, name) {
      ready();
      if (playing && playing.row === key && name in playing.gains) choose(name);
      else begin(key, buffers, name, 0);
    },
    // Put another buffer in the place of one that runs, at the same moment of it.
    replace(key, name, buffer) {
      if (!playing || playing.row !== key || !(name in playing.sources)) return;
      const at = this.position, old = playing.sources[name], source = context.createBufferSource();
      old.onended = null;
      old.stop();
      source.buffer = buffer;
      source.loop = looping;
      source.connect(playing.gains[name]);
      source.start(context.currentTime, Math.min(at, buffer.duration));
      playing.sources[name] = source;
    },
    decode: (bytes) => ready().decodeAudioData(bytes),
    get playing() { return playing; },
    get looping() { return looping; },
    loop(on) {
      looping = on;
      if (playing) for (const source of Object.values(playing.sources)) source.loop = on;
      tell();
    },
    get position() {
      if (!playing) return 0;
      const at = Math.max(0, context.currentTime - playing.started);
      return looping ? at % playing.duration : Math.min(at, playing.duration);
    },
    volume(value) { if (master) master.gain.value = value ** 2; },
    listen(listener) { listeners.push(listener); },
    unlock: ready,
    buffers: buffersOf,
  };
})();
