// The page of a dataset: what stands where, once its data is there.
"use strict";

(() => {
  const { byId, make, chartIn, options, link, table, whenSeen } = shell;

  timbre.ready(async (about) => {
    shell.start(about, `${about.name} ${about.version}`, [
      about.description,
      `${about.rows} rows of ${timbre.number(about.seconds)} s at ${timbre.number(about.rate / 1000)} kHz${about.channels > 1 ? `, ${about.channels} channels` : ""}`,
      `${about.sampled.length} of them with sound on this page`,
      about.made.by || about.made.date ? `made by ${[about.made.by, about.made.date].filter(Boolean).join(", ")}` : "",
    ]);
    checks(about);
    labels(about);
    map(about);
    await rows.start(about);
    document.body.dataset.ready = "yes";
  });

  function labels(about) {
    byId("labels-note").textContent = about.parameters.length
      ? "Bars: rows in which the label applies. Line: the distribution that the recipe intends, for as many rows."
      : "This dataset has no labels that are numbers.";
    for (const parameter of about.parameters) {
      whenSeen(chartIn("histograms"), (element) => charts.histogram(element, { ...parameter, label: parameter.name }));
    }
    const numbers = about.columns.filter((column) => column.kind === "number");
    const colour = about.columns.filter((column) => column.group !== "map" && column.kind !== "text");
    for (const id of ["pair-x", "pair-y"]) options(id, numbers, false);
    if (numbers.length > 1) byId("pair-y").selectedIndex = 1;
    options("pair-colour", colour, true);
    const draw = async () => {
      const [x, y, colourKey] = ["pair-x", "pair-y", "pair-colour"].map((id) => byId(id).value);
      if (!x || !y) return;
      await timbre.needed([x, y, colourKey].filter(Boolean));
      const names = about.parameters.map((parameter) => parameter.name);
      const [a, b] = [names.indexOf(x), names.indexOf(y)];
      const extra = byId("pair-rejected").checked && a >= 0 && b >= 0 && about.rejected.values.length
        ? { name: "rejected", points: about.rejected.values.map((draw) => [draw[a], draw[b]]) } : null;
      charts.points(byId("pair"), { x, y, colourKey, rows: rows.all(), extra, label: "Two columns together", onClick: (row) => rows.go(row) });
    };
    for (const id of ["pair-x", "pair-y", "pair-colour", "pair-rejected"]) byId(id).addEventListener("change", draw);
    whenSeen(byId("pair"), draw);
    coverage(about);
    const { count, values } = about.rejected;
    byId("rejected").textContent = count
      ? `${count} draws were rejected, as they gave silence or numbers that are not finite${values.length ? "; crosses show where they lie" : ""}.`
      : "No draw was rejected.";
    const levels = about.columns.filter((column) => column.group === "sound");
    for (const column of levels) {
      whenSeen(chartIn("levels"), async (element) => { await timbre.needed([column.key]); charts.histogramOf(element, column.key, rows.all()); });
    }
    whenSeen(byId("splits"), () => splits(about));
  }

  function coverage(about) {
    if (!about.coverage.length) return;
    const body = about.coverage.slice(0, 10).map((pair) => [pair.labels.join(" and "), `${pair.filled} of ${pair.cells}`]);
    byId("coverage").append(
      make("h3", {}, "Coverage of the space"),
      make("p", { class: "hint" }, "The plane of two labels is cut into 8 x 8 cells: how many hold a row, of those that hold one where the two labels were drawn independently. The emptiest ten pairs."),
      about.coverage.every((pair) => pair.filled === pair.cells) ? make("p", {}, `All ${about.coverage.length} pairs of labels are covered: no cell is empty.`) : table(["labels", "cells with rows"], body, [1]),
    );
  }

  async function splits(about) {
    const keys = ["split", ...about.columns.filter((column) => column.key === "effects").map((column) => column.key)];
    const dry = about.columns.find((column) => column.label === "dry sound");
    const loaded = await timbre.needed([...keys, ...(dry ? [dry.key] : [])]);
    const split = loaded[0];
    const body = Object.entries(about.splits).map(([name, count]) => {
      const sounds = new Set();
      if (dry) for (let row = 0; row < about.rows; row++) if (split.texts[split.values[row]] === name) sounds.add(loaded[loaded.length - 1].values[row]);
      return [name, String(count), `${((100 * count) / Math.max(about.usable, 1)).toFixed(1)} %`, ...(dry ? [String(sounds.size)] : [])];
    });
    byId("splits").append(table(["split", "rows", "share", ...(dry ? ["dry sounds"] : [])], body, [1, 2, 3]));
    if (keys.length > 1) {
      const effects = loaded[1], names = effects.texts, counts = names.map(() => split.texts.map(() => 0));
      for (let row = 0; row < about.rows; row++) counts[effects.values[row]][split.values[row]]++;
      const order = names.map((_, code) => code).sort((a, b) => sum(counts[b]) - sum(counts[a])).slice(0, 30);
      byId("splits").append(table(["effects", ...split.texts], order.map((code) => [names[code], ...counts[code].map(String)]), [1, 2, 3]));
    }
  }

  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

  function map(about) {
    if (!about.map) {
      byId("map-note").textContent = about.no_map;
      for (const id of ["map-chart", "map-fields"]) byId(id).hidden = true;
      return;
    }
    const [first, second] = about.map.explained.map((share) => (100 * share).toFixed(0));
    byId("map-note").textContent = `Principal components of ${about.map.features}, ${first} and ${second} % of the variance. Neighbours and near-duplicates are looked for among ${about.map.compared} rows.`;
    const colour = about.columns.filter((column) => column.group !== "map" && column.kind !== "text");
    options("map-colour", colour, true);
    if (colour.length) byId("map-colour").selectedIndex = 1;
    const draw = async () => {
      const colourKey = byId("map-colour").value;
      await timbre.needed(["map_x", "map_y", colourKey].filter(Boolean));
      charts.points(byId("map-chart"), {
        x: "map_x", y: "map_y", colourKey, rows: rows.all(), label: "Map of the sounds", onClick: (row) => rows.go(row),
        onHover: (row) => { if (byId("hover").checked && timbre.hasSound(row)) player.play(row, "wet"); },
      });
    };
    byId("map-colour").addEventListener("change", draw);
    byId("hover").addEventListener("change", () => player.unlock());
    whenSeen(byId("map-chart"), draw);
    if (about.duplicates.length) {
      const body = about.duplicates.map(([one, other, distance]) => [link(one), link(other), distance.toFixed(4)]);
      byId("duplicates").append(make("h3", {}, "Closest pairs"), make("p", { class: "hint" }, "Distance in units of the median distance of two rows: 1 is any two of them; below about 0.01 they are as good as the same sound."), table(["row", "row", "distance"], body, [2]));
    }
  }

  function checks(about) {
    const body = about.checks.map((check) => {
      const column = timbre.described(check.column);
      const limit = check.name === "failed" ? "" : `${column.label} ${check.below ? "below" : "above"} ${timbre.number(check.limit, column.unit)}`;
      const worst = make("span", {}, ...check.rows.flatMap((row) => [link(row), " "]));
      return [check.name, String(check.count), worst, limit, check.why];
    });
    byId("check-table").append(make("p", { class: "hint" }, `Rules by which ${about.measured} rows were looked at. What breaks one is worth a listen, not wrong in itself.`), table(["rule", "rows", "the worst", "limit", "what it means"], body, [1]));
  }
})();
