// Charts by ECharts: histograms, two columns together, the map.
"use strict";

const charts = (() => {
  const SHADES = 12; // colours of a scale
  const POINTS = 8000; // points of a chart at most
  const shown = new Map(); // element -> chart
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return { text: of("--text"), soft: of("--soft"), line: of("--line"), accent: of("--accent"), mark: of("--mark"), back: of("--back") };
  };
  const PALETTE = ["#0b57a4", "#d9480f", "#2b8a3e", "#862e9c", "#c2255c", "#5c940d", "#0c8599", "#e8590c", "#495057", "#364fc7", "#a61e4d"];
  const PALETTE_DARK = ["#8ab8ff", "#ff9a4d", "#7bd88f", "#d0a2f7", "#ff8fab", "#c0eb75", "#66d9e8", "#ffc078", "#ced4da", "#91a7ff", "#faa2c1"];
  const dark = () => document.documentElement.dataset.theme === "dark";

  function chartIn(element, label) {
    if (!shown.has(element)) shown.set(element, { chart: echarts.init(element, null, { renderer: "canvas" }), draw: null });
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", label);
    return shown.get(element);
  }

  function set(element, label, make, onClick, onHover) {
    const one = chartIn(element, label);
    one.draw = () => one.chart.setOption({ animation: false, textStyle: { color: colours().text, fontFamily: "system-ui, sans-serif" }, ...make(colours()) }, true);
    one.draw();
    one.chart.off("click");
    one.chart.off("mouseover");
    if (onClick) one.chart.on("click", onClick);
    if (onHover) one.chart.on("mouseover", onHover);
  }

  const axis = (colour, name, extra = {}) => ({
    name, nameLocation: "middle", nameGap: 26, nameTextStyle: { color: colour.soft },
    axisLabel: { color: colour.soft, hideOverlap: true }, axisLine: { lineStyle: { color: colour.line } }, splitLine: { lineStyle: { color: colour.line, opacity: 0.4 } }, ...extra,
  });

  // Bars between edges, and a line of what was intended; both as steps over the true values.
  function histogram(element, about) {
    const { edges, counts, intended } = about;
    const logarithmic = about.kind === "log" && edges[0] > 0;
    const bars = counts.map((count, k) => [edges[k], edges[k + 1], count]);
    const name = about.unit ? `${about.label} / ${about.unit}` : about.label;
    const total = counts.reduce((sum, count) => sum + count, 0);
    const label = `Histogram of ${name}: ${total} rows from ${timbre.number(edges[0])} to ${timbre.number(edges[edges.length - 1])}${intended ? ", with the intended distribution" : ""}`;
    const ends = [edges[0], edges[edges.length - 1]];
    set(element, label, (colour) => ({
      grid: { left: 48, right: 12, top: 14, bottom: 44 },
      tooltip: { trigger: "item", formatter: (item) => `${timbre.number(item.value[2])} to ${timbre.number(item.value[3])}: ${item.value[1]} rows` },
      xAxis: axis(colour, name, { type: logarithmic ? "log" : "value", min: ends[0], max: ends[1], splitLine: { show: false }, ...named(about, colour) }),
      yAxis: axis(colour, "", { type: "value", minInterval: 1 }),
      series: [
        { type: "line", step: false, symbol: "none", lineStyle: { width: 0 }, areaStyle: { color: colour.accent, opacity: 0.75 }, data: steps(bars), silent: true },
        ...(intended ? [{ type: "line", symbol: "none", lineStyle: { color: colour.mark, width: 2 }, data: steps(intended.map((count, k) => [edges[k], edges[k + 1], count])), silent: true }] : []),
        { type: "scatter", symbolSize: 16, itemStyle: { opacity: 0 }, data: bars.map(([low, high, count]) => [logarithmic ? Math.sqrt(low * high) : (low + high) / 2, count, low, high]) },
      ],
    }));
  }

  // The axis of a choice or a switch: its positions by name.
  function named(about, colour) {
    const names = about.kind === "switch" ? ["off", "on"] : about.positions || [];
    if (!names.length) return {};
    const formatter = (value) => (Number.isInteger(value) ? names[value] ?? "" : "");
    return { minInterval: 1, maxInterval: Math.ceil(names.length / 12), axisLabel: { color: colour.soft, rotate: names.length > 2 ? 30 : 0, interval: 0, hideOverlap: false, formatter } };
  }

  function steps(bars) {
    return bars.flatMap(([low, high, count]) => [[low, count], [high, count]]);
  }

  function histogramOf(element, key, rows) {
    const column = timbre.described(key), values = timbre.loaded(key).values;
    let low = Infinity, high = -Infinity;
    for (const row of rows) { const value = values[row]; if (value < low) low = value; if (value > high) high = value; }
    if (!(low <= high)) { element.textContent = `${column.label}: no values`; return; }
    if (low === high) { low -= 0.5; high += 0.5; }
    const bins = 40, counts = new Array(bins).fill(0);
    for (const row of rows) { const value = values[row]; if (Number.isFinite(value)) counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins))]++; }
    histogram(element, { label: column.label, unit: column.unit, kind: "linear", edges: Array.from({ length: bins + 1 }, (_, k) => low + ((high - low) * k) / bins), counts });
  }

  function thinned(rows) {
    if (rows.length <= POINTS) return rows;
    const step = rows.length / POINTS;
    return Array.from({ length: POINTS }, (_, k) => rows[Math.floor(k * step)]);
  }

  // Rows as points. `extra` are more points, such as rejected draws; `colour` a column, or "".
  function points(element, { x, y, colourKey, rows, extra, diagonal, label, onClick, onHover }) {
    const across = timbre.loaded(x).values, up = timbre.loaded(y).values;
    const here = thinned(rows).filter((row) => Number.isFinite(across[row]) && Number.isFinite(up[row]));
    const byColour = colourKey ? timbre.loaded(colourKey) : null, about = colourKey ? timbre.described(colourKey) : null;
    const [dx, dy] = [timbre.described(x), timbre.described(y)];
    const name = (one) => (one.unit ? `${one.label} / ${one.unit}` : one.label);
    const groups = new Map();
    if (byColour && about.kind !== "number") {
      for (const row of here) { const code = byColour.values[row]; if (!groups.has(code)) groups.set(code, []); groups.get(code).push(row); }
    } else if (!byColour) groups.set(null, here);
    let scale = "";
    if (byColour && about.kind === "number") { // in a dozen colours: each drawn at once
      const low = finite(byColour.values, here, Math.min), high = finite(byColour.values, here, Math.max);
      for (const row of here) {
        const value = byColour.values[row];
        const shade = Number.isFinite(value) ? Math.min(SHADES - 1, Math.floor((high > low ? (value - low) / (high - low) : 0) * SHADES)) : -1;
        if (!groups.has(shade)) groups.set(shade, []);
        groups.get(shade).push(row);
      }
      scale = `Colour: ${about.label}, from ${timbre.number(low, about.unit)} (violet) to ${timbre.number(high, about.unit)} (orange).`;
    }
    const caption = element.nextElementSibling;
    if (caption && caption.classList.contains("caption")) caption.textContent = scale;
    const point = (row) => ({ value: [across[row], up[row], byColour ? byColour.values[row] : 0], row });
    const shaded = scale !== "";
    const largest = [...groups.entries()].sort((a, b) => (shaded ? a[0] - b[0] : b[1].length - a[1].length));
    const called = (code) => (code === null || shaded ? "rows" : byColour.texts[code] ?? String(code));
    const legend = [...new Set(largest.map(([code]) => called(code))), ...(extra ? [extra.name] : [])];
    set(element, `${label}: ${here.length} rows, ${name(dx)} across and ${name(dy)} up`, (colour) => ({
      color: dark() ? PALETTE_DARK : PALETTE,
      grid: { left: 58, right: 20, top: legend.length > 1 ? 40 : 16, bottom: 48 },
      legend: { show: legend.length > 1, data: legend, type: "scroll", textStyle: { color: colour.text }, top: 4 },
      tooltip: { formatter: (item) => tip(item, dx, dy, about, byColour) },
      xAxis: axis(colour, name(dx), { type: "value", scale: true }),
      yAxis: axis(colour, name(dy), { type: "value", scale: true, nameGap: 42 }),
      series: [
        ...largest.map(([code, members]) => ({ type: "scatter", name: called(code), data: members.map(point), symbolSize: here.length > 4000 ? 4 : 7, large: true, largeThreshold: 300, itemStyle: { opacity: shaded ? 0.8 : 0.65, ...(shaded ? { color: code < 0 ? colour.soft : gradient((code + 0.5) / SHADES) } : {}) } })),
        ...(diagonal ? [{ type: "line", name: "equal", symbol: "none", silent: true, lineStyle: { color: colour.mark, width: 1.5, type: "dashed" }, data: [finite(across, here, Math.min), finite(across, here, Math.max)].map((end) => [end, end]) }] : []),
        ...(extra ? [{ type: "scatter", name: extra.name, data: extra.points, symbol: "path://M0,0L4,4M4,0L0,4", symbolSize: 7, itemStyle: { color: "transparent", borderColor: colour.mark, borderWidth: 1.5 } }] : []),
      ],
    }), onClick && ((item) => item.data.row !== undefined && onClick(item.data.row)), onHover && ((item) => item.data && item.data.row !== undefined && onHover(item.data.row)));
  }

  function lines(element, { label, xName, yName, series, diagonal, log }) {
    const last = series.map((one) => `${one.name} ends at ${timbre.number(one.points[one.points.length - 1][1])}`).join(", ");
    set(element, `${label}: ${last}`, (colour) => ({
      color: dark() ? PALETTE_DARK : PALETTE,
      title: { text: label, textStyle: { color: colour.text, fontSize: 13, fontWeight: "normal" }, left: 8, top: 2 },
      legend: { show: series.length > 1, textStyle: { color: colour.text }, top: 22 },
      grid: { left: 58, right: 16, top: series.length > 1 ? 50 : 30, bottom: 44 },
      tooltip: { trigger: "axis", valueFormatter: (value) => (Array.isArray(value) ? timbre.number(value[1]) : timbre.number(value)) },
      xAxis: axis(colour, xName, { type: "value", scale: true }),
      yAxis: axis(colour, yName, { type: log ? "log" : "value", scale: true, nameGap: 42 }),
      series: [
        ...series.map((one) => ({ type: "line", name: one.name, data: one.points, symbolSize: 6, showSymbol: one.points.length < 40 })),
        ...(diagonal ? [{ type: "line", name: "equal", symbol: "none", silent: true, lineStyle: { color: colour.mark, width: 1.5, type: "dashed" }, data: diagonal.map((end) => [end, end]) }] : []),
      ],
    }));
  }

  const STOPS = [[76, 40, 130], [52, 110, 168], [40, 160, 130], [232, 150, 30]];
  function gradient(share) {
    const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1), k = Math.min(Math.floor(place), STOPS.length - 2), part = place - k;
    return `rgb(${STOPS[k].map((one, c) => Math.round(one + (STOPS[k + 1][c] - one) * part)).join(",")})`;
  }

  function tip(item, dx, dy, about, byColour) {
    if (item.data.row === undefined) return "rejected draw";
    const more = about ? `<br>${text(about.label)}: ${text(about.kind === "number" ? timbre.number(item.value[2], about.unit) : byColour.texts[item.value[2]])}` : "";
    return `row ${item.data.row}${timbre.hasSound(item.data.row) ? " (with sound)" : ""}<br>${text(dx.label)}: ${timbre.number(item.value[0], dx.unit)}<br>${text(dy.label)}: ${timbre.number(item.value[1], dy.unit)}${more}`;
  }

  // What comes from a dataset is shown as text, in tooltips too.
  function text(value) {
    return String(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  }

  function finite(values, rows, choose) {
    let best = NaN;
    for (const row of rows) if (Number.isFinite(values[row])) best = Number.isNaN(best) ? values[row] : choose(best, values[row]);
    return best;
  }

  function redraw() { for (const one of shown.values()) if (one.draw) one.draw(); }
  new ResizeObserver(() => { for (const one of shown.values()) one.chart.resize(); }).observe(document.body);
  window.addEventListener("resize", () => { for (const one of shown.values()) one.chart.resize(); });

  return { histogram, histogramOf, points, lines, redraw };
})();
