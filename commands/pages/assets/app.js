// The recogniser: a sound goes to the server, what it says is shown, knobs turn, and the result is heard.
"use strict";

(() => {
  const LARGEST = 60 * 2 ** 20; // bytes of a file
  const SECONDS = 120; // of a recording, at most
  const { byId, make } = elements;
  let runs = [];
  const sounds = { target: null, dry: null }; // {id, buffer}

  const number = (value) => (Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(3)).toString());

  elements.head();

  async function ask(path, content) {
    const reply = await fetch(path, content === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    if (!reply.ok) throw new Error(await reply.text());
    return path === "script" ? reply.text() : reply.json();
  }

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));

  // Whatever the browser can read goes to the server as WAV.
  function wavOf(buffer) {
    const channels = buffer.numberOfChannels, samples = Math.min(buffer.length, SECONDS * buffer.sampleRate), size = samples * channels * 4;
    const view = new DataView(new ArrayBuffer(44 + size));
    const text = (at, word) => [...word].forEach((sign, k) => view.setUint8(at + k, sign.charCodeAt(0)));
    text(0, "RIFF"); view.setUint32(4, 36 + size, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true); view.setUint16(20, 3, true);
    view.setUint16(22, channels, true); view.setUint32(24, buffer.sampleRate, true); view.setUint32(28, buffer.sampleRate * channels * 4, true);
    view.setUint16(32, channels * 4, true); view.setUint16(34, 32, true); text(36, "data"); view.setUint32(40, size, true);
    const data = Array.from({ length: channels }, (_, channel) => buffer.getChannelData(channel));
    for (let n = 0, at = 44; n < samples; n++) for (let channel = 0; channel < channels; channel++, at += 4) view.setFloat32(at, data[channel][n], true);
    return view.buffer;
  }

  async function take(kind, name, content) {
    const state = byId(`${kind}-state`);
    try {
      if (content.byteLength > LARGEST) throw new Error(`it has ${(content.byteLength / 2 ** 20).toFixed(0)} MB: cut out the part to recognise (60 MB at most)`);
      state.textContent = `reading ${name}`;
      let buffer;
      try { buffer = await player.decode(content.slice(0)); } catch { throw new Error("not a sound that this browser can read"); }
      const reply = await fetch("sounds?suffix=.wav", { method: "POST", body: wavOf(buffer) });
      if (!reply.ok) throw new Error(await reply.text());
      const { sound, picture } = await reply.json();
      sounds[kind] = { id: sound, buffer };
      const image = byId(`${kind}-picture`);
      image.src = `data:image/png;base64,${picture}`;
      image.alt = `Spectrogram of ${name}`;
      image.hidden = false;
      state.textContent = `${name}, ${buffer.duration.toFixed(1)} s${buffer.duration > SECONDS ? `, the first ${SECONDS} s` : ""}`;
      await recogniseAll();
    } catch (error) {
      state.textContent = `${name}: ${error.message}.`.replace("..", ".");
    }
  }

  for (const kind of ["target", "dry"]) {
    byId(`${kind}-file`).addEventListener("change", async (event) => { const file = event.target.files[0]; if (file) await takeFile(kind, file); event.target.value = ""; });
    const drop = byId(`${kind}-drop`);
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); const file = event.dataTransfer.files[0]; if (file) takeFile(kind, file); });
  }

  async function takeFile(kind, file) {
    if (file.size > LARGEST) return take(kind, file.name, { byteLength: file.size });
    return take(kind, file.name, await file.arrayBuffer());
  }

  let recorder = null;
  byId("record").addEventListener("click", async () => {
    if (recorder) { recorder.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.ondataavailable = (event) => parts.push(event.data);
      recorder.onstop = async () => {
        stream.getTracks().forEach((track) => track.stop());
        recorder = null;
        byId("record").textContent = "Record";
        await take("target", "recording", await new Blob(parts).arrayBuffer());
      };
      recorder.start();
      byId("record").textContent = "Stop recording";
    } catch (error) { byId("target-state").textContent = `The microphone cannot be used (${error.message}).`; }
  });

  ask("runs").then((known) => {
    runs = known;
    byId("runs").append(...runs.map((run) => make("label", { class: "check" }, make("input", { type: "checkbox", value: run.name, checked: true, onchange: () => recogniseAll() }), `${run.name} (${run.model})`)));
    byId("live-run").append(...runs.filter((run) => !run.needs_dry).map((run) => make("option", { value: run.name }, run.name)));
    byId("live").disabled = runs.every((run) => run.needs_dry);
    document.body.dataset.ready = "yes";
  });

  let asked = 0;
  async function recogniseAll() {
    if (!sounds.target) return;
    const mine = ++asked;
    byId("results").replaceChildren();
    // Those that name effects first: the others can begin with what they heard.
    const order = [...runs].sort((a, b) => Number(a.target === "parameters") - Number(b.target === "parameters"));
    for (const run of order) {
      if (!document.querySelector(`#runs input[value="${run.name}"]`).checked) continue;
      const place = make("article", { class: "card", "aria-label": run.name }, make("h3", {}, run.name));
      byId("results").append(place);
      if (run.needs_dry && !sounds.dry) {
        place.append(make("p", { class: "hint" }, "This run learned with the dry sound beside it: give the dry sound, too."));
        continue;
      }
      const begun = performance.now();
      try {
        const answer = await ask("recognise", { run: run.name, sound: sounds.target.id, dry: sounds.dry && sounds.dry.id });
        if (mine !== asked) return;
        show(place, run, answer);
        place.append(make("p", { class: "hint took" }, `answered in ${(performance.now() - begun).toFixed(0)} ms`));
      } catch (error) { place.append(make("p", { role: "alert" }, error.message)); }
    }
  }

  function show(place, run, answer) {
    const classes = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 6);
    if (classes.length) likely = classes[0][0];
    if (classes.length) place.append(make("dl", { class: "classes" }, ...classes.flatMap(([name, share]) => [make("dt", {}, name), make("dd", {}, make("meter", { min: 0, max: 1, value: share, "aria-label": `${name}, ${(100 * share).toFixed(0)} %` }), ` ${(100 * share).toFixed(1)} %`)])));
    if (run.needs_pitch && !sounds.dry) place.append(make("p", { class: "hint" }, "This run was trained with known pitches: with the dry sound it knows better."));
    if (answer.notes.length > 1) place.append(notes(answer.notes));
    if (run.synth) patch(place, run, answer);
    else if (answer.effects.length > 1) effects(place, run, answer.effects);
    else if (Object.keys(answer.choices).length) choice(place, run, answer);
  }

  function notes(all) {
    const names = Object.keys(all[0].parameters);
    const best = (note) => Object.entries(note.probabilities).sort((a, b) => b[1] - a[1])[0];
    const head = make("tr", {}, ...["note", "effect"].map((one) => make("th", { scope: "col" }, one)), ...(names.length && names.length <= 8 ? names.map((one) => make("th", { scope: "col" }, one.split(".").pop())) : []));
    const body = all.map((note) => make("tr", {}, make("td", {}, `${note.onset_seconds.toFixed(2)} s`), make("td", {}, best(note) ? `${best(note)[0]} ${(100 * best(note)[1]).toFixed(0)} %` : ""), ...(names.length && names.length <= 8 ? names.map((one) => make("td", {}, number(note.parameters[one]))) : [])));
    return make("details", {}, make("summary", {}, `${all.length} notes`), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "notes" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))));
  }

  function slider(knob, value, turned) {
    const text = make("output");
    const input = make("input", { type: "range", min: "0", max: "1", step: "0.001", "aria-label": knob.short, "data-knob": knob.short });
    const logarithmic = knob.kind === "log", stepped = ["integer", "choice", "switch"].includes(knob.kind);
    const toUnit = (one) => (logarithmic ? Math.log(one / knob.low) / Math.log(knob.high / knob.low) : (one - knob.low) / (knob.high - knob.low || 1));
    const toValue = (unit) => { const one = logarithmic ? knob.low * (knob.high / knob.low) ** unit : knob.low + unit * (knob.high - knob.low); return Math.min(knob.high, Math.max(knob.low, stepped ? Math.round(one) : one)); };
    const say = (one) => { text.textContent = knob.positions.length ? knob.positions[Math.round(one)] : knob.kind === "switch" ? (one ? "on" : "off") : `${number(one)} ${knob.unit}`; input.setAttribute("aria-valuetext", text.textContent); };
    input.value = toUnit(value);
    say(value);
    input.addEventListener("input", () => { const one = toValue(Number(input.value)); say(one); turned(one); });
    return make("div", { class: "knob", title: knob.description }, make("span", {}, knob.short), input, text);
  }

  let serial = 0;
  // Target, match and dry, switched without a gap; `again` asks the server for the match of the settings as they are.
  function hearing(place, again, filename) {
    const key = `app-${++serial}`, buffers = { target: sounds.target.buffer }, picture = make("img", { alt: "Spectrogram of the match", hidden: true });
    if (sounds.dry) buffers.dry = sounds.dry.buffer;
    let wav = null, timer = 0, running = 0;
    const buttons = {};
    const line = make("div", { class: "pages" });
    const state = make("p", { class: "hint", role: "status" });
    for (const name of ["target", "match", "dry"]) {
      buttons[name] = make("button", { type: "button", "data-hear": name, "aria-pressed": "false", disabled: !(name in buffers), onclick: () => player.run(key, buffers, name) }, `Play ${name}`);
      if (name !== "dry" || sounds.dry) line.append(buttons[name]);
    }
    line.append(make("button", { type: "button", onclick: () => player.stop() }, "Stop"), make("label", { class: "check" }, make("input", { type: "checkbox", onchange: (event) => player.loop(event.target.checked) }), "loop"));
    player.listen((playing) => { for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(Boolean(playing && playing.row === key && playing.name === name))); });
    async function update() {
      const mine = ++running;
      try {
        const made = await again();
        if (mine !== running) return;
        wav = bytesOf(made.wav);
        buffers.match = await player.decode(wav.buffer.slice(0));
        buttons.match.disabled = false;
        picture.src = `data:image/png;base64,${made.picture}`;
        picture.hidden = false;
        state.textContent = "";
        player.replace(key, "match", buffers.match);
        place.closest("article").dataset.matched = String(Number(place.closest("article").dataset.matched || 0) + 1);
      } catch (error) { state.textContent = error.message; }
    }
    place.append(line, picture, state);
    return { later() { clearTimeout(timer); timer = setTimeout(update, 120); }, update, saveWav: () => wav && save(wav, `${filename}.wav`, "audio/wav") };
  }

  function save(content, name, type) { make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name }).click(); }

  // One effect: the recognised one, or where a run knows settings but not which effect it was, one to be chosen.
  let likely = null;
  function choice(place, run, answer) {
    const names = Object.keys(answer.choices), known = answer.effects[0] && answer.effects[0].effect;
    const select = make("select", {}, ...names.map((name) => make("option", { value: name }, name)));
    select.value = known || (names.includes(likely) ? likely : names[0]);
    const body = make("div");
    const draw = () => { player.stop(); body.replaceChildren(); effects(body, run, [answer.choices[select.value]]); };
    select.addEventListener("change", draw);
    if (names.length > 1) place.append(make("label", {}, known ? "Effect" : "Effect (this run does not say which)", select));
    place.append(body);
    draw();
  }

  function effects(place, run, recognised) {
    const steps = recognised.map((step) => ({ effect: step.effect, values: { ...step.parameters } }));
    const match = sounds.dry ? hearing(place, () => ask("render", { dry: sounds.dry.id, steps }), run.name) : null;
    for (const step of steps) {
      const knobs = (run.knobs[step.effect] || []).filter((knob) => knob.short in step.values);
      place.append(make("h4", {}, step.effect), ...knobs.map((knob) => slider(knob, step.values[knob.short], (value) => { step.values[knob.short] = value; if (match) match.later(); })));
    }
    if (!sounds.dry) place.append(make("p", { class: "hint" }, "Drop the dry sound, above, to hear it through these settings and turn the knobs."));
    place.append(make("div", { class: "pages" },
      make("button", { type: "button", onclick: () => save(JSON.stringify({ run: run.name, effects: steps }, null, 1), `${run.name}.json`, "application/json") }, "Save settings (JSON)"),
      make("button", { type: "button", onclick: async () => save(await ask("script", { steps }), `${run.name}.py`, "text/x-python") }, "Save a script"),
      match && make("button", { type: "button", onclick: () => match.saveWav() }, "Save the sound (WAV)")));
    if (match) match.update();
  }

  function patch(place, run, answer) {
    const labels = { ...answer.labels };
    const match = hearing(place, () => ask("patch", { run: run.name, labels }), run.name);
    for (const knobs of Object.values(run.knobs)) {
      for (const knob of knobs) {
        const value = answer.parameters[knob.name], unit = (one) => (knob.kind === "log" ? Math.log(one / knob.low) / Math.log(knob.high / knob.low) : (one - knob.low) / (knob.high - knob.low || 1));
        place.append(slider(knob, value, (one) => { labels[knob.name] = Math.min(1, Math.max(0, unit(one))); match.later(); }));
      }
    }
    place.append(make("p", { class: "hint" }, "The synth plays the first note of the run's dataset with this patch."), make("div", { class: "pages" },
      make("button", { type: "button", onclick: () => save(JSON.stringify({ run: run.name, labels }, null, 1), `${run.name}.json`, "application/json") }, "Save the patch (JSON)"),
      make("button", { type: "button", onclick: () => match.saveWav() }, "Save the sound (WAV)")));
    match.update();
  }

  let listening = null;
  byId("live").addEventListener("click", async () => {
    if (listening) { listening(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      const context = player.unlock(), run = byId("live-run").value;
      await context.audioWorklet.addModule("microphone.js");
      const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live?run=${encodeURIComponent(run)}&rate=${context.sampleRate}`);
      const source = context.createMediaStreamSource(stream), worklet = new AudioWorkletNode(context, "microphone");
      let block = [];
      worklet.port.onmessage = (event) => {
        block.push(...event.data);
        if (block.length >= 2048 && socket.readyState === 1) { socket.send(Float32Array.from(block).buffer); block = []; }
      };
      source.connect(worklet);
      socket.onmessage = (event) => heard(JSON.parse(event.data));
      listening = () => {
        stream.getTracks().forEach((track) => track.stop());
        source.disconnect();
        socket.close();
        listening = null;
        byId("live").textContent = "Listen";
        byId("live-state").textContent = "";
      };
      socket.onclose = () => { if (listening) listening(); };
      byId("live").textContent = "Stop listening";
      byId("live-state").textContent = `listening with ${run}`;
    } catch (error) { byId("live-state").textContent = `The microphone cannot be used (${error.message}).`; }
  });

  function heard(note) {
    const best = Object.entries(note.probabilities).sort((a, b) => b[1] - a[1])[0];
    const said = [`${note.onset_seconds.toFixed(2)} s`, best ? `${best[0]} ${(100 * best[1]).toFixed(0)} %` : "", ...note.effects.map((step) => Object.entries(step.texts).map(([name, text]) => `${name} ${text}`).join(", "))];
    byId("live-notes").prepend(make("li", {}, said.filter(Boolean).join(" · ")));
    while (byId("live-notes").children.length > 50) byId("live-notes").lastChild.remove();
  }
})();
