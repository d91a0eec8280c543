// What the pages of datasets and runs share: the head, tables, sections that are drawn when they are seen.
"use strict";

const shell = (() => {
  const { byId, make } = elements;

  function start(about, title, parts) {
    elements.head(charts.redraw);
    document.title = title;
    byId("title").textContent = title;
    byId("summary").textContent = parts.filter(Boolean).join(" · ");
    byId("warnings").append(...about.warnings.map((text) => make("li", {}, text)));
    for (const [name, text] of Object.entries(about.texts)) {
      byId("texts").append(make("details", {}, make("summary", {}, name), make("pre", { tabindex: "0" }, text)));
    }
  }

  // Draw what has its height already when it comes into view; so links to sections lead where they say.
  function whenSeen(element, draw) {
    const watch = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) { watch.disconnect(); draw(element); }
    }, { rootMargin: "300px" });
    watch.observe(element);
  }

  function chartIn(parent) {
    const element = make("div", { class: "chart" });
    byId(parent).append(element);
    return element;
  }

  function options(id, columns, none) {
    byId(id).append(...(none ? [make("option", { value: "" }, "none")] : []), ...columns.map((column) => make("option", { value: column.key }, column.label)));
  }

  const link = (row) => make("button", { type: "button", onclick: () => rows.go(row) }, String(row));

  // Cells are text or elements; `numbers` are the columns that stand to the right.
  function table(heads, body, numbers = []) {
    const cell = (tag, content, k) => make(tag, { class: numbers.includes(k) ? "number" : "", ...(tag === "th" ? { scope: "col" } : {}) }, content);
    const head = make("thead", {}, make("tr", {}, ...heads.map((one, k) => cell("th", one || "of", k))));
    const rest = make("tbody", {}, ...body.map((row) => make("tr", {}, ...row.map((content, k) => cell("td", content, k)))));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads.filter(Boolean).join(", ") || "table" }, make("table", {}, head, rest));
  }

  return { byId, make, start, whenSeen, chartIn, options, link, table };
})();
