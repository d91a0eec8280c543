// The page of a run: an evaluation to hear.
"use strict";

(() => {
  const { byId, make, chartIn, options, table, whenSeen } = shell;

  timbre.ready(async (about) => {
    const whole = about.evaluation === "evaluation" ? about.name : `${about.name}, ${about.evaluation}`;
    shell.start(about, whole, [about.model, about.data.join(", "), `${about.split} split`, about.rows ? `${about.rows} rows, ${about.sampled.length} of them with sound on this page` : ""]);
    if (about.rows) {
      const sort = byId("sort");
      byId("legend").hidden = !(about.outputs && about.outputs.length);
      await rows.start(about, about.columns.some((column) => column.key === "error") ? "error" : "");
      sort.title = "The best first: the order turned round shows the worst";
    } else byId("rows").hidden = true;
    tables(about);
    results(about);
    whenSeen(byId("curves"), () => training(about));
    document.body.dataset.ready = "yes";
  });

  function results(about) {
    if (about.confusion) confusion(about.confusion);
    if (about.outputs && about.outputs.length) predictions(about);
    if (about.calibration && about.calibration.length) calibration(about);
    if (!about.calibration) byId("results").hidden = true;
  }

  // A click on a cell shows its rows.
  function confusion({ names, counts }) {
    const body = names.map((name, true_) => {
      const total = counts[true_].reduce((sum, count) => sum + count, 0);
      return [name, ...counts[true_].map((count, guess) => {
        if (!count) return "";
        const share = count / total;
        const button = make("button", { type: "button", "aria-label": `${count} rows of ${name} called ${names[guess]}`, onclick: () => rows.filter({ true: true_, predicted: guess }) }, String(count));
        button.style.borderColor = true_ === guess ? "var(--accent)" : "var(--mark)";
        button.style.borderWidth = `${(1 + 4 * share).toFixed(1)}px`;
        return button;
      })];
    });
    byId("confusion").append(make("h3", {}, "Confusion"), make("p", { class: "hint" }, "Down: what was true. Across: what it was called. A click on a number shows its rows above; the thicker its frame, the larger its share of the line."), table(["true", ...names], body, names.map((_, k) => k + 1)));
  }

  function predictions(about) {
    byId("predictions").hidden = false;
    byId("parameter").append(...about.outputs.map((name) => make("option", { value: name }, name)));
    const colour = about.columns.filter((column) => column.kind !== "text");
    options("colour", colour, true);
    const draw = async () => {
      const name = byId("parameter").value, colourKey = byId("colour").value;
      const [x, y] = [`true: ${name}`, `predicted: ${name}`];
      await timbre.needed([x, y, colourKey].filter(Boolean));
      charts.points(byId("against"), { x, y, colourKey, rows: rows.all(), diagonal: true, label: `${name}, predicted against true`, onClick: (row) => rows.go(row) });
    };
    for (const id of ["parameter", "colour"]) byId(id).addEventListener("change", draw);
    whenSeen(byId("against"), draw);
    if (about.columns.some((column) => column.key === "note")) {
      whenSeen(byId("by-note"), async () => {
        await timbre.needed(["note", "error"]);
        charts.points(byId("by-note"), { x: "note", y: "error", colourKey: "", rows: rows.all(), label: "Error by note", onClick: (row) => rows.go(row) });
      });
    } else byId("by-note").hidden = true;
    const body = about.residuals.map((one) => [one.name, String(one.rows), ...one.quantiles.map((value) => value.toFixed(3)), one.rmse.toFixed(3)]);
    byId("residuals").append(make("p", { class: "hint" }, "Predicted less true, normalized to the range, over rows in which the parameter can be heard: quantiles, and root mean square."), table(["parameter", "rows", "5 %", "25 %", "median", "75 %", "95 %", "RMS"], body, [1, 2, 3, 4, 5, 6, 7]));
  }

  function calibration(about) {
    byId("calibration-part").hidden = false;
    const shares = !about.outputs || !about.outputs.length;
    byId("calibration-note").textContent = shares
      ? "Bins that are equally full (ten at most): how often it was so where it was said to be as probable. On the line, probabilities can be taken at their word."
      : "Bins that are equally full (ten at most): the mean true value where as much was predicted (normalized). Flatter than the line: answers are too extreme; steeper: too cautious.";
    for (const one of about.calibration) {
      whenSeen(chartIn("calibration"), (element) => charts.lines(element, { label: one.name, xName: shares ? "probability said" : "predicted", yName: shares ? "share that was so" : "true", diagonal: [0, 1], series: [{ name: one.name, points: one.predicted.map((value, k) => [value, one.true[k]]) }] }));
    }
  }

  function training(about) {
    const of = (key) => about.epochs.filter((epoch) => Number.isFinite(epoch[key]) && epoch[key] > 0).map((epoch) => [epoch.epoch, epoch[key]]);
    const positive = of("train_loss").length === about.epochs.length && of("validation_loss").length === about.epochs.length;
    const all = (key) => about.epochs.map((epoch) => [epoch.epoch, epoch[key]]);
    charts.lines(byId("curves"), { label: "Loss over the epochs", xName: "epoch", yName: "loss", log: positive, series: [{ name: "training", points: all("train_loss") }, { name: "validation", points: all("validation_loss") }] });
  }

  function tables(about) {
    for (const { title, header, rows: body, note } of about.tables) {
      byId("table-list").append(make("h3", {}, title), table(header, body, header.map((_, k) => k).slice(1)));
      if (note) byId("table-list").append(make("p", { class: "hint" }, note));
    }
    byId("pictures").append(...about.pictures.map((name) => make("figure", {}, make("a", { href: `pictures/${name}` }, make("img", { src: `pictures/${name}`, alt: `${name.replace(".png", "").replaceAll("-", " ")}, in full size`, loading: "lazy" })), make("figcaption", {}, name.replace(".png", "")))));
  }
})();
