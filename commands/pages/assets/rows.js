// Rows: filters, order, cards with players.
"use strict";

const rows = (() => {
  const PER_PAGE = 12;
  const CHOSEN = ["wet", "predicted", "output", "sound"]; // the version that is heard first, of those that there are
  let about = null, view = [], page = 0, current = null, linked = null, left = null, first = "";
  const changed = [];
  const { byId, make } = elements;

  async function start(data, sort = "") {
    about = data;
    first = CHOSEN.find((name) => about.versions.includes(name)) || about.versions[0];
    fields();
    byId("sort").value = sort;
    const selected = byId("sort").selectedOptions[0];
    if (selected) selected.defaultSelected = true; // a reset comes back to it
    document.getElementById("filters").addEventListener("input", later);
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("filters").addEventListener("reset", () => { linked = null; byId("ranges").open = false; history.replaceState(null, "", location.pathname + location.search); setTimeout(apply); });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    window.addEventListener("hashchange", () => fromHash().then((there) => there || comeBack()));
    player.listen(onPlayer);
    document.addEventListener("keydown", onKey);
    requestAnimationFrame(follow);
    if (!about.sampled.length) byId("with-sound").checked = false;
    await fromHash() || await apply();
  }

  function fields() {
    const sort = byId("sort");
    sort.append(make("option", { value: "" }, "row"));
    for (const column of about.columns) {
      if (column.kind === "number" && column.group !== "map") sort.append(make("option", { value: column.key }, column.label));
      if (column.kind === "category") {
        const select = make("select", { "data-key": column.key }, make("option", { value: "" }, "all"));
        byId("categories").append(make("label", {}, column.label, select));
        timbre.needed([column.key]).then(([loaded]) => loaded.texts.forEach((text, code) => select.append(make("option", { value: String(code) }, text))));
      }
      if (column.kind === "number" && column.group !== "map") {
        const name = column.unit ? `${column.label} / ${column.unit}` : column.label;
        byId("range-fields").append(make("fieldset", {}, make("legend", {}, name),
          make("input", { type: "number", step: "any", placeholder: "from", "aria-label": `${name}, from`, "data-key": column.key, "data-end": "low" }),
          make("input", { type: "number", step: "any", placeholder: "to", "aria-label": `${name}, to`, "data-key": column.key, "data-end": "high" })));
      }
    }
  }

  let timer = 0;
  function later() { clearTimeout(timer); timer = setTimeout(() => { linked = null; apply(); }, 60); }

  async function apply() {
    const tests = [], keys = new Set();
    for (const select of document.querySelectorAll("#categories select")) {
      if (select.value === "") continue;
      const code = Number(select.value), key = select.dataset.key;
      keys.add(key);
      tests.push((row) => timbre.loaded(key).values[row] === code);
    }
    for (const input of document.querySelectorAll("#range-fields input")) {
      if (input.value === "") continue;
      const limit = Number(input.value), key = input.dataset.key, low = input.dataset.end === "low";
      keys.add(key);
      tests.push((row) => { const value = timbre.loaded(key).values[row]; return low ? value >= limit : value <= limit; });
    }
    const text = byId("text").value.trim().toLowerCase().replace(/^row\s+(?=\d)/, "");
    if (text) {
      const wordy = about.columns.filter((column) => column.kind !== "number").map((column) => column.key);
      wordy.forEach((key) => keys.add(key));
      await timbre.needed([...keys]);
      const hits = wordy.map((key) => [timbre.loaded(key).values, timbre.loaded(key).texts.map((one) => one.toLowerCase().includes(text))]);
      tests.push((row) => String(row) === text || hits.some(([codes, hit]) => hit[codes[row]]));
    }
    const sort = byId("sort").value;
    if (sort) keys.add(sort);
    await timbre.needed([...keys]);
    const some = byId("with-sound").checked;
    const found = [];
    if (some) { for (const row of about.sampled) if (tests.every((test) => test(row))) found.push(row); }
    else { for (let row = 0; row < about.rows; row++) if (tests.every((test) => test(row))) found.push(row); }
    if (sort) {
      const values = timbre.loaded(sort).values, sign = byId("order").value === "down" ? -1 : 1;
      const key = (row) => (Number.isFinite(values[row]) ? sign * values[row] : Infinity);
      found.sort((a, b) => key(a) - key(b) || a - b);
    } else if (byId("order").value === "down") found.reverse();
    view = linked === null ? found : [linked, ...found.filter((row) => row !== linked)];
    page = 0;
    byId("count").textContent = `${found.length} of ${some ? about.sampled.length : about.rows} ${some ? "rows with sound here" : "rows"}`;
    await show();
    changed.forEach((listener) => listener(found));
  }

  function turn(by) { page += by; show().then(() => byId("rows").scrollIntoView()); }

  async function show() {
    const here = view.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    const shown = about.columns.filter((column) => !["map", "result"].includes(column.group));
    if (here.some((row) => !about.cards[row])) await timbre.needed(shown.map((column) => column.key));
    byId("cards").replaceChildren(...here.map((row) => card(row, shown)));
    if (!here.length) byId("cards").append(make("p", {}, byId("with-sound").checked && about.sampled.length < about.rows ? "No row with sound here fits these filters: untick \"Only rows with sound here\" to look through all." : "No row fits these filters."));
    const pages = Math.max(1, Math.ceil(view.length / PER_PAGE));
    byId("where").textContent = `page ${page + 1} of ${pages}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page + 1 >= pages;
    onPlayer(player.playing);
  }

  // What a column holds for a row: of rows with sound it came with the page.
  function entry(row, column) {
    if (about.cards[row]) return about.cards[row][column.key];
    const { values, texts } = timbre.loaded(column.key);
    return column.kind === "number" ? values[row] : texts[values[row]];
  }

  const value = (row, column) => {
    const number = entry(row, column);
    if (column.kind !== "number") return number;
    const parameter = about.parameters.find((one) => one.name === column.key);
    if (parameter && parameter.positions.length && Number.isFinite(number)) return parameter.positions[number] ?? String(number);
    if (parameter && parameter.kind === "switch" && Number.isFinite(number)) return number ? "on" : "off";
    return timbre.number(number, column.unit);
  };

  function card(row, shown) {
    const sound = timbre.hasSound(row);
    const suspect = about.checks.filter((check) => check.rows.includes(row)).map((check) => check.name);
    const element = make("article", { class: "card", id: `row-${row}`, "data-row": String(row), "aria-label": `Row ${row}` },
      make("h3", {}, titleOf(row), make("a", { href: `#row=${row}`, "aria-label": `Link to row ${row}` }, "link")));
    if (sound) element.append(...controls(row));
    else element.append(make("p", { class: "hint" }, about.kind === "dataset" ? `Its sound is not on this page: timbre-data look ${about.name} --row ${row}` : "Its sound is not on this page."));
    const list = make("dl");
    for (const column of shown) if (column.group === "label" && Number.isFinite(entry(row, column))) list.append(make("dt", {}, ...soft(column.label)), make("dd", {}, value(row, column)));
    const more = make("dl");
    for (const column of shown) if (column.group !== "label" && column.key !== "failed") more.append(make("dt", {}, column.label), make("dd", {}, value(row, column)));
    if (about.answers) answer(element, row);
    if (suspect.length) element.append(make("ul", { class: "badges" }, ...suspect.map((name) => make("li", { class: "suspect" }, name))));
    if (list.children.length) element.append(list);
    if (more.children.length) element.append(make("details", {}, make("summary", {}, "More about this row"), more));
    const near = (about.neighbours || {})[row];
    if (near && near.length) {
      element.append(make("p", { class: "near" }, "Sounds nearest: ", ...near.flatMap(([other, distance]) => [
        make("button", { type: "button", title: `distance ${distance.toFixed(2)} of the median`, onclick: () => go(other) }, String(other)), " "])));
    }
    return element;
  }

  // What was predicted of a row, beside what is true.
  function answer(element, row) {
    const known = about.answers[row];
    if (!known) {
      const results = about.columns.filter((column) => column.group === "result");
      const list = make("dl");
      timbre.needed(results.map((column) => column.key)).then(() => {
        for (const column of results) {
          const { values, texts } = timbre.loaded(column.key);
          if (column.kind !== "number") list.append(make("dt", {}, column.label), make("dd", {}, texts[values[row]]));
          else if (Number.isFinite(values[row])) list.append(make("dt", {}, column.label), make("dd", {}, timbre.number(values[row], column.unit)));
        }
      });
      element.append(list);
    } else if (known.classes) {
      element.append(make("dl", {}, ...known.classes.flatMap((one) => [make("dt", {}, one.true ? `${one.name} (true)` : one.name), make("dd", {}, `${(100 * one.probability).toFixed(1)} %`)])));
    } else {
      const refined = known.parameters.some((one) => one.refined !== undefined);
      const body = known.parameters.map((one) => make("tr", {}, make("th", { scope: "row" }, ...soft(one.heard ? one.name : `${one.name} (not audible)`)), make("td", {}, one.true), make("td", {}, one.predicted), ...(refined ? [make("td", {}, one.refined ?? "")] : []), make("td", {}, bar(one))));
      const heads = ["parameter", "true", "predicted", ...(refined ? ["refined"] : []), "range"];
      element.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Parameters of row ${row}` }, make("table", { class: "answer" }, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, ...body))));
    }
  }

  // A name that may be broken behind its dots and underscores.
  const soft = (name) => name.split(/(?<=[._])/).flatMap((part, k) => (k ? [document.createElement("wbr"), part] : [part]));

  // A parameter's range as a line: true a bar, predicted a dot with its usual error.
  function bar(one) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const add = (tag, attributes) => { const part = document.createElementNS(space, tag); for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value); svg.append(part); };
    const x = (unit) => 4 + 72 * unit;
    for (const [name, value] of Object.entries({ width: 80, height: 16, viewBox: "0 0 80 16", role: "img", "aria-label": `true ${one.true}, predicted ${one.predicted}` })) svg.setAttribute(name, value);
    add("line", { x1: 4, x2: 76, y1: 8, y2: 8, stroke: "var(--line)", "stroke-width": 2 });
    add("line", { x1: x(one.unit_low), x2: x(one.unit_high), y1: 8, y2: 8, stroke: "var(--accent)", "stroke-width": 2 });
    add("line", { x1: x(one.unit_true), x2: x(one.unit_true), y1: 1, y2: 15, stroke: "var(--mark)", "stroke-width": 2 });
    add("circle", { cx: x(one.unit_predicted), cy: 8, r: 4, fill: "var(--accent)" });
    return svg;
  }

  // Rows of an evaluation are numbered from its first; what they are called in their datasets says more.
  function titleOf(row) {
    const known = about.cards[row] || {};
    return known.row === undefined ? `Row ${row}` : `${known.dataset || about.data[0]}, row ${known.row}`;
  }

  function controls(row) {
    const names = about.versions;
    const picture = make("img", { alt: `Spectrogram of row ${row}, ${first}`, src: `pictures/${row}-${first}.png`, loading: "lazy", width: "240", height: "104" });
    const seek = make("input", { class: "seek", type: "range", min: "0", max: "1", step: "0.001", value: "0", "aria-label": `Position in row ${row}` });
    seek.value = 0;
    seek.addEventListener("input", () => play(row, Number(seek.value) * about.seconds));
    const button = make("button", { type: "button", class: "play strong", "aria-label": `Play row ${row}`, onclick: () => (playingHere(row) ? player.stop() : play(row)) }, "Play");
    const radios = names.map((name) => make("label", {}, make("input", { type: "radio", name: `version-${row}`, value: name, checked: name === first, onchange: () => choose(row, name) }), name));
    const loop = make("label", {}, make("input", { type: "checkbox", class: "loop", checked: player.looping, onchange: (event) => player.loop(event.target.checked) }), "loop");
    return [picture, seek, make("div", { class: "player" }, button, ...(names.length > 1 ? radios : []), loop)];
  }

  const cardOf = (row) => byId(`row-${row}`);
  const playingHere = (row) => player.playing && player.playing.row === row;
  const chosen = (row) => { const radio = document.querySelector(`input[name="version-${row}"]:checked`); return radio ? radio.value : first; };

  function play(row, at = 0) {
    setCurrent(row);
    player.play(row, chosen(row), at).catch((error) => { byId("count").textContent = `Row ${row} cannot be played: ${error.message}`; });
  }

  function choose(row, name) {
    const radio = document.querySelector(`input[name="version-${row}"][value="${name}"]`);
    if (radio) radio.checked = true;
    const element = cardOf(row);
    if (element) {
      const picture = element.querySelector("img");
      picture.src = `pictures/${row}-${name}.png`;
      picture.alt = `Spectrogram of row ${row}, ${name}`;
    }
    if (playingHere(row)) player.choose(name);
  }

  function setCurrent(row) {
    current = row;
    for (const element of document.querySelectorAll(".card")) element.classList.toggle("current", element.dataset.row === String(row));
  }

  function onPlayer(playing) {
    for (const button of document.querySelectorAll(".card .play")) {
      const row = Number(button.closest(".card").dataset.row), on = playing && playing.row === row;
      button.textContent = on ? "Pause" : "Play";
      button.setAttribute("aria-label", `${on ? "Pause" : "Play"} row ${row}`);
    }
    for (const box of document.querySelectorAll(".card .loop")) box.checked = player.looping;
  }

  function follow() {
    if (player.playing) {
      const element = cardOf(player.playing.row);
      const seek = element && element.querySelector(".seek");
      if (seek && document.activeElement !== seek) seek.value = player.position / player.playing.duration;
    }
    requestAnimationFrame(follow);
  }

  function onKey(event) {
    if (event.target.matches("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = [...document.querySelectorAll(".card")].map((element) => Number(element.dataset.row));
    const row = here.includes(current) ? current : here[0];
    if (event.key === "p" && row !== undefined && timbre.hasSound(row)) playingHere(row) ? player.stop() : play(row);
    else if (event.key === "x" && row !== undefined && timbre.hasSound(row)) choose(row, about.versions[(about.versions.indexOf(chosen(row)) + 1) % about.versions.length]);
    else if (event.key === "l") player.loop(!player.looping);
    else if (event.key === "j" || event.key === "k") {
      const next = here[here.indexOf(row) + (event.key === "j" ? 1 : -1)];
      if (next === undefined && !byId(event.key === "j" ? "next" : "previous").disabled) {
        page += event.key === "j" ? 1 : -1;
        show().then(() => { const cards = [...document.querySelectorAll(".card")], card = event.key === "j" ? cards[0] : cards[cards.length - 1]; setCurrent(Number(card.dataset.row)); card.scrollIntoView({ block: "nearest" }); });
      } else if (next !== undefined) { setCurrent(next); cardOf(next).scrollIntoView({ block: "nearest" }); if (player.playing && timbre.hasSound(next)) play(next); }
    } else return;
    event.preventDefault();
  }

  async function fromHash() {
    const match = /^#row=(.*)$/.exec(location.hash);
    if (match && !(/^\d+$/.test(match[1]) && Number(match[1]) < about.rows)) {
      linked = null;
      await apply();
      byId("count").textContent = `There is no row ${match[1].slice(0, 20)}: rows go from 0 to ${about.rows - 1}.`;
      return true;
    }
    if (!match) return false;
    linked = Number(match[1]);
    await apply();
    setCurrent(linked);
    byId("rows").scrollIntoView();
    return true;
  }

  // Show the rows of given categories, with and without sound.
  function filter(categories) {
    for (const [key, code] of Object.entries(categories)) document.querySelector(`#categories select[data-key="${key}"]`).value = String(code);
    byId("with-sound").checked = false;
    linked = null;
    apply().then(() => byId("rows").scrollIntoView());
  }

  // Behind a link to a row, the browser's Back leads to where one was.
  function go(row) {
    if (location.hash === `#row=${row}`) return fromHash();
    if (linked === null) left = { page, y: window.scrollY };
    location.hash = `row=${row}`;
  }

  async function comeBack() {
    if (linked === null) return;
    linked = null;
    await apply();
    if (!left) return;
    page = left.page;
    await show();
    window.scrollTo(0, left.y);
    left = null;
  }

  return { start, go, play, filter, onChange: (listener) => changed.push(listener), all: () => Array.from({ length: about.rows }, (_, row) => row), get view() { return view; } };
})();
