// The data of a page: scripts beside it hand over what they hold, and columns are loaded when somebody needs them.
"use strict";

const timbre = (() => {
  const columns = new Map(); // key -> {values, texts}
  const sounds = new Map(); // row -> {version: base64}
  const waiting = new Map(); // file -> promise
  let about = null;
  const listeners = [];

  const TYPES = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  function load(file) {
    if (!waiting.has(file)) {
      waiting.set(file, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = file;
        script.onload = () => done();
        script.onerror = () => { waiting.delete(file); failed(new Error(`${file} cannot be read`)); };
        document.head.append(script);
      }));
    }
    return waiting.get(file);
  }

  return {
    about(data) { about = data; listeners.forEach((listener) => listener(data)); },
    column(key, packed, texts) {
      columns.set(key, { values: new TYPES[packed.type](bytesOf(packed.data).buffer), texts });
    },
    sound(row, files) { sounds.set(row, files); },

    ready(listener) { if (about) listener(about); else listeners.push(listener); },
    get data() { return about; },
    described(key) { return about.columns.find((column) => column.key === key); },
    async needed(keys) {
      await Promise.all(keys.filter((key) => !columns.has(key)).map((key) => load(timbre.described(key).file)));
      return keys.map((key) => columns.get(key));
    },
    loaded(key) { return columns.get(key); },
    async soundsOf(row) {
      if (!sounds.has(row)) await load(`sounds/${row}.js`);
      const files = sounds.get(row);
      return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, bytesOf(text)]));
    },
    hasSound(row) { return sampled().has(row); },
    number(value, unit) {
      if (!Number.isFinite(value)) return "–";
      const size = Math.abs(value);
      const text = size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(2) : Number(value.toPrecision(4)).toString();
      return unit ? `${text} ${unit}` : text;
    },
  };

  function sampled() {
    if (!about.sampledSet) about.sampledSet = new Set(about.sampled);
    return about.sampledSet;
  }
})();
