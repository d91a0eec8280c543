// What every page is built with: elements, light and dark, the volume.
"use strict";

const elements = (() => {
  const byId = (id) => document.getElementById(id);

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element && typeof value !== "string") element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const kept = (name, value) => { try { if (value === undefined) return localStorage.getItem(name); localStorage.setItem(name, value); } catch { /* private windows forget */ } return null; };

  // The buttons of the head; `changed` is called when colours change.
  function head(changed = () => {}) {
    function theme(name) {
      document.documentElement.dataset.theme = name;
      byId("theme").textContent = name === "dark" ? "Light" : "Dark";
      changed();
    }
    theme(kept("timbre-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    byId("theme").addEventListener("click", () => {
      theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
      kept("timbre-theme", document.documentElement.dataset.theme);
    });
    byId("volume").addEventListener("input", (event) => player.volume(Number(event.target.value)));
  }

  return { byId, make, head };
})();
