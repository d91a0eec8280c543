// A listening test: welcome, volume and headphones, training, trials in an order of the listener's own, the end.
// Every step is kept in the browser; a tab that was closed goes on where it was.
"use strict";

(() => {
  const { byId, make } = elements;
  const stage = byId("stage");
  const HEADPHONE_TRIALS = 6, HEADPHONES_NEEDED = 5;
  let about = null, state = null, keys = {}, heard = null /* the last sound of this trial */, served = location.protocol.startsWith("http"), begun = 0;

  const hex = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((one) => one.toString(16).padStart(2, "0")).join("");
  const place = () => `timbre-listen-${about.test}`;
  const save = () => { try { localStorage.setItem(place(), JSON.stringify(state)); } catch { /* private windows forget */ } };

  function shuffled(things) {
    const out = [...things];
    for (let k = out.length - 1; k > 0; k--) { const other = crypto.getRandomValues(new Uint32Array(1))[0] % (k + 1); [out[k], out[other]] = [out[other], out[k]]; }
    return out;
  }

  function fresh() {
    const trials = shuffled(about.trials).map((trial) => {
      const stimuli = shuffled(trial.stimuli);
      return { ...trial, stimuli, hidden: about.ask === "abx" ? stimuli[crypto.getRandomValues(new Uint8Array(1))[0] % stimuli.length] : null };
    });
    return { listener: hex(8), step: "welcome", trial: 0, trials, answers: {}, sent: {}, draft: {}, headphones: "skipped", comment: "" };
  }

  timbre.ready((data) => {
    about = data;
    elements.head();
    document.addEventListener("keydown", onKey);
    try { state = JSON.parse(localStorage.getItem(place())); } catch { state = null; }
    const known = new Set(about.trials.map((trial) => trial.id));
    if (!state || !Array.isArray(state.trials) || !state.trials.every((trial) => known.has(trial.id)) || state.trials.length !== known.size) state = fresh();
    show();
    sendAll();
    setInterval(sendAll, 15000);
    document.body.dataset.ready = "yes";
  });

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea")) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  }

  const ASKED = {
    mushra: "Rate how much each sound resembles the reference, from 0 (not at all) to 100 (the same). One of them is the reference itself: find it and give it 100.",
    abx: "X is either A or B. Listen as often as you like, and say which one it is.",
    pairwise: "Say which of the two sounds resembles the reference more.",
  };

  function show() {
    player.stop();
    keys = {};
    heard = null;
    begun = performance.now();
    stage.replaceChildren();
    ({ welcome, headphones, training, trials: trial, end })[state.step]();
    const done = Object.keys(state.answers).length;
    byId("progress").textContent = state.step === "trials" ? `Trial ${state.trial + 1} of ${state.trials.length}` : state.step === "end" ? `${done} of ${state.trials.length} trials are done` : "";
  }

  function go(step, trial_ = state.trial) { state.step = step; state.trial = trial_; save(); show(); stage.focus(); window.scrollTo(0, 0); }

  function button(text, onclick, strong = true) { return make("button", { type: "button", class: strong ? "strong" : "", onclick }, text); }

  function welcome() {
    const minutes = Math.max(1, Math.round((state.trials.length * (about.ask === "mushra" ? 75 : 25)) / 60));
    stage.append(
      make("h2", {}, "Welcome"),
      make("p", {}, ASKED[about.ask]),
      make("p", {}, `There are ${state.trials.length} trials; they take about ${minutes} minutes. Please wear headphones and sit where it is quiet. You may stop and come back in this browser: nothing is lost.`),
      make("p", {}, "Your answers are kept with a number that was drawn just now, and with nothing else about you."),
      make("div", { class: "pages" }, button("Begin", () => { player.unlock(); go("headphones"); })),
    );
  }

  // Which of three tones is the quietest? One of the others has its channels in opposite phase: over loudspeakers they
  // cancel, and that one seems quiet (Woods, Siegel, Traer and McDermott 2017).
  function headphones() {
    let right = 0, number = 0, quiet = 0;
    const said = make("p", { role: "status" });
    const body = make("div");
    async function beep(kind) {
      const context = player.unlock(), rate = context.sampleRate, length = Math.round(0.8 * rate);
      const buffer = context.createBuffer(2, length, rate);
      for (let channel = 0; channel < 2; channel++) {
        const samples = buffer.getChannelData(channel), sign = kind === "opposite" && channel ? -1 : 1, level = kind === "quiet" ? 0.1 : 0.2;
        for (let n = 0; n < length; n++) samples[n] = sign * level * Math.sin((2 * Math.PI * 200 * n) / rate) * Math.min(1, n / (0.1 * rate), (length - n) / (0.1 * rate));
      }
      player.tone(buffer);
    }
    function next() {
      const kinds = shuffled(["plain", "quiet", "opposite"]);
      quiet = kinds.indexOf("quiet");
      said.textContent = `Check ${number + 1} of ${HEADPHONE_TRIALS}: play all three, and choose the quietest.`;
      body.replaceChildren(make("div", { class: "pages" }, ...kinds.map((kind, k) => button(`Play ${k + 1}`, () => beep(kind), false))), make("div", { class: "pages" }, ...kinds.map((_, k) => button(`Number ${k + 1} is the quietest`, () => answer(k)))));
      keys = Object.fromEntries(kinds.map((kind, k) => [String(k + 1), () => beep(kind)]));
    }
    function answer(k) {
      if (k === quiet) right++;
      if (++number < HEADPHONE_TRIALS) return next();
      state.headphones = right >= HEADPHONES_NEEDED ? "passed" : "failed";
      go("training");
    }
    stage.append(
      make("h2", {}, "Volume and headphones"),
      make("p", {}, "Set the volume, above, so that this is comfortable:"),
      make("div", { class: "pages" }, button("Play a sound of the test", () => player.play(about.trials[0].reference, "sound"), false)),
      make("p", {}, "Then a short check that you wear headphones."), said, body,
      make("div", { class: "pages" }, button("I have no headphones: skip the check", () => { state.headphones = "skipped"; go("training"); }, false)),
    );
    next();
  }

  function training() {
    const all = [...new Set(about.trials.flatMap((one) => [one.reference, ...one.stimuli]))].slice(0, 24);
    stage.append(
      make("h2", {}, "Training"),
      make("p", {}, "Listen to some of the sounds, to know what differences to expect. Nothing is asked here."),
      make("div", { class: "pages" }, ...all.map((id, k) => button(`Sound ${k + 1}`, () => player.play(id, "sound"), false))),
      make("p", {}, ASKED[about.ask]),
      make("p", { class: "hint" }, about.ask === "mushra" ? "Keys in a trial: r plays the reference, 1 to 9 the sounds, left and right change the rating of the sound that was played last, Enter goes on." : "Keys in a trial: r or x plays the reference, 1 and 2 the sounds, Enter goes on."),
      make("div", { class: "pages" }, button("Start", () => go("trials", 0))),
    );
  }

  function trial() {
    const here = state.trials[state.trial];
    state.draft[here.id] ??= {};
    ({ mushra, abx: choice, pairwise: choice })[about.ask](here);
  }

  function playButton(label, id) {
    return make("button", { type: "button", "data-sound": id, "aria-pressed": "false", onclick: () => play(id) }, label);
  }

  // Sounds of a trial run together, so that switching has no gap and keeps the place.
  function play(id) {
    const here = state.trials[state.trial];
    heard = id;
    player.together([here.reference, ...here.stimuli], id).then(mark);
  }

  function mark() {
    const name = player.playing && player.playing.name;
    for (const one of document.querySelectorAll("[data-sound]")) one.setAttribute("aria-pressed", String(one.dataset.sound === name));
  }
  player.listen(mark);

  function mushra(here) {
    const draft = state.draft[here.id], setters = {};
    const next = button("Next", () => answer(here, Object.fromEntries(here.stimuli.map((id) => [id, Number(draft[id])]))));
    const ready = () => { next.disabled = !here.stimuli.every((id) => draft[id] !== undefined); };
    const rows = here.stimuli.map((id, k) => {
      const slider = make("input", { type: "range", min: "0", max: "100", step: "1", "aria-label": `Rating of sound ${k + 1}`, "data-rating": id });
      slider.value = draft[id] ?? 50;
      const shown = make("output", {}, draft[id] === undefined ? "not rated" : String(draft[id]));
      const set = (value) => { draft[id] = Math.min(100, Math.max(0, value)); slider.value = draft[id]; shown.textContent = String(draft[id]); save(); ready(); };
      slider.addEventListener("input", () => set(Number(slider.value)));
      keys[String(k + 1)] = () => play(id);
      setters[id] = set;
      return make("div", { class: "rating" }, playButton(`Sound ${k + 1}`, id), slider, shown);
    });
    const turn = (by) => () => { if (setters[heard]) setters[heard]((draft[heard] ?? 50) + by); };
    Object.assign(keys, { r: () => play(here.reference), ArrowLeft: turn(-2), ArrowRight: turn(2), Enter: () => { if (!next.disabled) next.click(); } });
    stage.append(make("p", {}, ASKED.mushra), make("div", { class: "pages" }, playButton("Reference", here.reference), loop(), button("Stop", () => player.stop(), false)),
      make("p", { class: "scale", "aria-hidden": "true" }, ...["bad", "poor", "fair", "good", "excellent"].map((word) => make("span", {}, word))), ...rows, foot(next));
    ready();
  }

  function choice(here) {
    const draft = state.draft[here.id];
    const names = about.ask === "abx" ? ["A", "B"] : ["Sound 1", "Sound 2"];
    const first = about.ask === "abx" ? here.hidden : here.reference;
    const next = button("Next", () => answer(here, Object.fromEntries(here.stimuli.map((id) => [id, id === draft.chosen ? 100 : 0])), here.hidden));
    const options = here.stimuli.map((id, k) => {
      const radio = make("input", { type: "radio", name: "chosen", value: id, checked: draft.chosen === id, onchange: () => { draft.chosen = id; save(); next.disabled = false; } });
      keys[String(k + 1)] = () => playOne(id);
      return make("div", { class: "rating" }, make("button", { type: "button", onclick: () => playOne(id) }, `Play ${names[k]}`), make("label", { class: "check" }, radio, about.ask === "abx" ? `X is ${names[k]}` : `${names[k]} is closer`));
    });
    // X plays as a sound of its own, so that nothing on the page tells which one it is.
    function playOne(id) { player.play(id, "sound"); }
    const opener = () => playOne(first);
    Object.assign(keys, { r: opener, x: opener, Enter: () => { if (!next.disabled) next.click(); } });
    next.disabled = draft.chosen === undefined;
    stage.append(make("p", {}, ASKED[about.ask]), make("div", { class: "pages" }, button(about.ask === "abx" ? "Play X" : "Play the reference", opener, false), button("Stop", () => player.stop(), false)), ...options, foot(next));
  }

  const loop = () => make("label", { class: "check" }, make("input", { type: "checkbox", checked: player.looping, onchange: (event) => player.loop(event.target.checked) }), "loop");

  function foot(next) {
    const back = button("Back", () => go("trials", state.trial - 1), false);
    back.disabled = state.trial === 0;
    return make("div", { class: "pages" }, back, next);
  }

  function answer(here, ratings, hidden = null) {
    const before = state.answers[here.id];
    const seconds = Math.min(86400, (before ? before.seconds : 0) + (performance.now() - begun) / 1000);
    state.answers[here.id] = { test: about.test, listener: state.listener, trial: here.id, ratings, hidden, seconds: Math.round(seconds * 10) / 10, headphones: state.headphones, comment: "" };
    delete state.sent[here.id];
    save();
    sendAll();
    if (state.trial + 1 < state.trials.length) go("trials", state.trial + 1);
    else go("end");
  }

  async function sendAll() {
    if (!served || !state) return;
    for (const [id, one] of Object.entries(state.answers)) {
      if (state.sent[id]) continue;
      try {
        const reply = await fetch("answers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(one) });
        if (reply.ok) { state.sent[id] = true; save(); }
      } catch { break; /* no server now: tried again later */ }
    }
    tellSent();
  }

  function tellSent() {
    const line = byId("sent");
    if (!line) return;
    const all = Object.keys(state.answers).length, sent = Object.keys(state.sent).length;
    line.textContent = !served ? "Please download your answers, and send them to who asked you." : sent === all ? "All answers have arrived. Thank you!" : `${sent} of ${all} answers have arrived; this page tries again by itself. Keep it open, or download them.`;
  }

  function end() {
    const comment = make("textarea", { rows: 4, cols: 60, maxLength: 2000, id: "comment" });
    comment.value = state.comment;
    comment.addEventListener("input", () => {
      state.comment = comment.value;
      const last = state.answers[state.trials[state.trials.length - 1].id];
      if (last) { last.comment = comment.value; delete state.sent[last.trial]; }
      save();
    });
    comment.addEventListener("change", sendAll);
    stage.append(make("h2", {}, "Thank you"), make("p", { id: "sent", role: "status" }),
      make("label", { for: "comment" }, "Is there something that you would like to tell?"), comment,
      make("div", { class: "pages" }, button("Download my answers", download), button("Back to the trials", () => go("trials", state.trials.length - 1), false)));
    tellSent();
  }

  function download() {
    const content = JSON.stringify({ test: about.test, answers: Object.values(state.answers) }, null, 1);
    const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: "application/json" })), download: `answers-${about.test}-${state.listener}.json` });
    link.click();
  }
})();
