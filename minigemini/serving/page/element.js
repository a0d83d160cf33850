// Building what is shown. Texts become text nodes, never HTML: nothing that a user or a model writes can act.

/** `element("button", {class: "icon", onclick: f}, "Text", otherElement)`; attributes that are null or false are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A button that is an icon; its name is what it does. */
export function iconButton(icon, name, onclick, attributes = {}) {
  return element("button", { type: "button", class: "icon", "aria-label": name, title: name, onclick, ...attributes }, iconOf(icon));
}

const LINES = {
  plus: "M12 5v14M5 12h14",
  cross: "M6 6l12 12M18 6L6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  up: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  undo: "M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  again: "M20 11a8 8 0 1 0-2.3 6.7M20 4v7h-7",
  pencil: "M4 20l1-5L16 4l4 4L9 19l-5 1zM14 6l4 4",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
  gallery: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  brush: "M20 4c-6 2-9.500 5.500-11 9l2 2c3.500-1.500 7-5 9-11zM8.500 14c-3 0-3 3-5 5 3 1.500 7 .5 7-3",
  sliders: "M4 8h9M17 8h3M4 16h3M11 16h9M15 6v4M9 14v4",
  eye: "M2.500 12C5 7.500 8.300 5.500 12 5.500S19 7.500 21.500 12C19 16.500 15.700 18.500 12 18.500S5 16.500 2.500 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
};

export function iconOf(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawIcon(svg, name);
  return svg;
}

/** The icons that stand in the document as `<svg data-icon="name">`. */
export function drawIcons() {
  for (const svg of document.querySelectorAll("svg[data-icon]")) drawIcon(svg, svg.dataset.icon);
}

function drawIcon(svg, name) {
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", LINES[name]);
  svg.append(path);
}
