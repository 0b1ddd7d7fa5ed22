"use strict";
// Makes the still charts of a report explorable: other axes, zoom, values under the pointer, runs shown or hidden.
// Each <figure> holds its chart as drawn, and the same points as JSON. Nothing is loaded, nothing leaves the page.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MOST_READ = 8, MARKS = 12;
  const written = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });

  const make = (parent, name, attributes = {}, text = "") => {
    const inSvg = parent.namespaceURI === SVG || name === "svg";
    const node = inSvg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    return parent.appendChild(node);
  };

  // Round numbers that cover a range.
  const ticks = (low, high, about) => {
    const span = Math.max(high - low, 1e-6 * Math.max(Math.abs(low), Math.abs(high)), 1e-9);
    const magnitude = 10 ** Math.floor(Math.log10(span / about));
    const gap = [1, 2, 2.5, 5, 10].map((one) => one * magnitude).find((one) => one >= span / about);
    const found = [];
    for (let at = Math.ceil(low / gap - 1e-9); at <= high / gap + 1e-9; at += 1) found.push(at * gap + 0);
    return found;
  };

  const start = (figure, number) => {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const [width, , left, right, top, bottom] = data.frame;
    const svg = figure.querySelector("svg.chart");
    const legend = figure.querySelector(".legend");
    const parts = [...new Set(data.series.map((one) => one.part))];
    const hidden = new Set(), hiddenParts = new Set();
    let axis = 0, smooth = true, view = null, cursor = null, grip = null, waiting = false;

    const controls = make(figure, "div", { class: "controls" });
    const stage = make(figure, "div", { class: "stage" });
    figure.insertBefore(controls, svg);
    figure.insertBefore(stage, svg);
    stage.appendChild(svg);
    const reading = make(stage, "div", { class: "reading", role: "status", hidden: "" });

    const shown = () => data.series.filter((one) => !hidden.has(one.n) && !hiddenParts.has(one.part));
    const strong = (one) => (smooth && one.s.length ? one.s : one.y);

    // Points between gaps; a point without a place on this axis is passed over and parts nothing.
    const pieces = (one, values) => {
      const found = [[]];
      values.forEach((y, at) => {
        const x = one.x[axis][at];
        if (y === null && one.y[at] === null) found.push([]);
        else if (x !== null && y !== null) found[found.length - 1].push([x, y]);
      });
      return found.filter((piece) => piece.length);
    };

    const reach = (series) => {
      let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
      for (const one of series) for (const piece of pieces(one, one.y)) for (const [x, y] of piece) {
        if (view && (x < view[0] || x > view[1])) continue;
        x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
      }
      if (view) [x0, x1] = view;
      if (!(x0 <= x1)) [x0, x1] = [0, 1];
      if (!(y0 <= y1)) [y0, y1] = [0, 1];
      const air = (y1 - y0) * 0.04 || Math.abs(y1) * 0.5 || 1;
      return [x0, x1 > x0 ? x1 : x0 + 1, y0 - air, y1 + air];
    };

    let place = null;
    const redraw = () => {
      waiting = false;
      const series = shown();
      const [x0, x1, y0, y1] = reach(series);
      const atX = (x) => left + ((x - x0) / (x1 - x0)) * (right - left);
      const atY = (y) => bottom - ((y - y0) / (y1 - y0)) * (bottom - top);
      place = { atX, atY, x0, x1, back: (px) => x0 + ((px - left) / (right - left)) * (x1 - x0) };
      svg.replaceChildren();
      const clip = make(make(make(svg, "defs"), "clipPath", { id: `plot-${number}` }), "rect",
        { x: left - 5, y: top - 5, width: right - left + 10, height: bottom - top + 10 });
      for (const y of ticks(y0, y1, 5)) {
        make(svg, "line", { x1: left, x2: right, y1: atY(y), y2: atY(y), class: "grid" });
        make(svg, "text", { x: left - 8, y: atY(y) + 4, "text-anchor": "end" }, written.format(y));
      }
      for (const x of ticks(x0, x1, 6)) {
        make(svg, "text", { x: atX(x), y: bottom + 18, "text-anchor": "middle" }, written.format(x));
      }
      make(svg, "text", { x: (left + right) / 2, y: bottom + 43, "text-anchor": "middle" }, data.axes[axis]);
      make(svg, "text", { x: 14, y: (top + bottom) / 2, "text-anchor": "middle", class: "unit",
        transform: `rotate(-90 14 ${(top + bottom) / 2})` }, data.unit);
      const plot = make(svg, "g", { "clip-path": `url(#${clip.parentNode.id})` });
      const path = (one, values) => pieces(one, values)
        .map((piece) => "M" + piece.map(([x, y]) => `${atX(x).toFixed(1)} ${atY(y).toFixed(1)}`).join("L")).join("");
      for (const one of series) {
        if (strong(one) !== one.y) make(plot, "path", { d: path(one, one.y), class: `faint k${one.n % 8}` });
      }
      for (const one of [...series].reverse()) line(plot, one, path(one, strong(one)), atX, atY);
      make(svg, "g", { class: "cursor" });
      if (cursor !== null) point(cursor, null);
    };
    const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(redraw); } };

    const line = (plot, one, path, atX, atY) => {
      const group = make(plot, "g", { class: `k${one.n % 8}` });
      const dashed = parts.length > 1 && one.part === "training";
      make(group, "path", { d: path, class: dashed ? "line dashed" : "line" });
      const sample = legend.querySelector(`[data-run="${one.n}"] svg`).lastElementChild;
      const points = pieces(one, strong(one)).flat().filter(([x]) => x >= place.x0 && x <= place.x1);
      const gap = Math.max(1, Math.ceil(points.length / MARKS));
      for (let at = Math.floor((one.n * gap) / 3) % gap; at < points.length; at += gap) {
        const mark = group.appendChild(sample.cloneNode());
        const [x, y] = [atX(points[at][0]), atY(points[at][1])];
        mark.setAttribute("transform", `translate(${x} ${y}) scale(${dashed ? 0.5 : 1}) translate(-17 -6)`);
      }
    };

    // What is nearest to a position, and what every other line says there. `height` null: no pointer, as by keyboard.
    const point = (x, height) => {
      cursor = x;
      const near = shown().map((one) => {
        let best = null;
        one.y.forEach((y, at) => {
          const here = one.x[axis][at];
          if (y === null || here === null || here < place.x0 || here > place.x1) return;
          if (best === null || Math.abs(here - x) < Math.abs(best.x - x)) best = { one, x: here, y, at };
        });
        return best;
      }).filter((one) => one);
      if (height === null) near.sort((a, b) => a.y - b.y);
      else near.sort((a, b) => Math.abs(place.atY(a.y) - height) - Math.abs(place.atY(b.y) - height));
      const layer = svg.querySelector(".cursor");
      layer.replaceChildren();
      reading.replaceChildren();
      reading.hidden = near.length === 0;
      if (!near.length) return;
      const px = place.atX(near[0].x);
      make(layer, "line", { x1: px, x2: px, y1: top, y2: bottom, class: "hair" });
      make(reading, "strong", {}, `${written.format(near[0].x)} ${data.axes[axis]}`);
      for (const { one, x: here, y } of near.slice(0, MOST_READ)) {
        make(layer, "circle", { cx: place.atX(here), cy: place.atY(y), r: 5, class: `ring k${one.n % 8}` });
        const row = make(reading, "div");
        make(row, "span", { class: `swatch k${one.n % 8}`, "aria-hidden": "true" }, "■");
        const elsewhere = here === near[0].x ? "" : ` at ${written.format(here)}`;
        const name = parts.length > 1 ? `${one.run}, ${one.part}` : one.run;
        make(row, "span", {}, ` ${name}: ${written.format(y)}${elsewhere}`);
      }
      if (near.length > MOST_READ) make(reading, "div", {}, `and ${near.length - MOST_READ} more`);
      reading.classList.toggle("flipped", px > (left + right) / 2);
      reading.style.setProperty("--at", `${(100 * px) / width}%`);
    };
    const leave = () => {
      cursor = null; reading.hidden = true;
      svg.querySelector(".cursor")?.replaceChildren();
    };
    const zoom = (from, to) => {
      view = from === null ? null : [Math.min(from, to), Math.max(from, to)];
      reset.disabled = view === null;
      later();
    };

    if (data.axes.length > 1) {
      const choice = make(make(controls, "label", {}, "Over "), "select");
      data.axes.forEach((title, at) => make(choice, "option", { value: at }, title));
      choice.addEventListener("change", () => { axis = Number(choice.value); leave(); zoom(null); });
    }
    const tick = (text, change) => {
      const label = make(controls, "label");
      const box = make(label, "input", { type: "checkbox" });
      box.checked = true;
      label.append(` ${text}`);
      box.addEventListener("change", () => { change(box.checked); leave(); later(); });
    };
    if (data.series.some((one) => one.s.length)) tick("smoothed", (on) => { smooth = on; });
    const turn = (set, key, on) => (on ? set.delete(key) : set.add(key));
    if (parts.length > 1) for (const part of parts) tick(part, (on) => turn(hiddenParts, part, on));
    const button = (text, act) => {
      const node = make(controls, "button", { type: "button" }, text);
      node.addEventListener("click", act);
      return node;
    };
    const reset = button("Whole range", () => zoom(null));
    reset.disabled = true;

    const toggles = [...legend.children].map((entry) => {
      const toggle = make(entry, "button", { type: "button", "aria-pressed": "true", title: "Show or hide this run" });
      toggle.append(...[...entry.childNodes].filter((node) => node !== toggle));
      const run = Number(entry.dataset.run);
      const set = (on) => { turn(hidden, run, on); toggle.setAttribute("aria-pressed", String(on)); };
      toggle.addEventListener("click", () => { set(hidden.has(run)); leave(); later(); });
      return set;
    });
    if (toggles.length > 2) {
      button("All runs", () => { toggles.forEach((set) => set(true)); leave(); later(); });
      button("No run", () => { toggles.forEach((set) => set(false)); leave(); later(); });
    }

    const across = (event) => {
      const box = svg.getBoundingClientRect();
      return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * width) / box.width];
    };
    const inside = (px) => Math.min(Math.max(px, left), right);
    svg.addEventListener("pointerdown", (event) => {
      grip = inside(across(event)[0]);
      if (event.pointerType === "mouse") svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const [px, py] = across(event);
      point(place.back(inside(px)), py);
      if (grip === null || event.pointerType !== "mouse") return;
      const [a, b] = [grip, inside(px)].sort((one, two) => one - two);
      make(svg.querySelector(".cursor"), "rect", { x: a, y: top, width: b - a, height: bottom - top, class: "chosen" });
    });
    svg.addEventListener("pointerup", (event) => {
      const px = inside(across(event)[0]);
      if (grip !== null && event.pointerType === "mouse" && Math.abs(px - grip) > 6) zoom(place.back(grip), place.back(px));
      grip = null;
    });
    svg.addEventListener("pointerleave", () => { grip = null; leave(); });
    svg.addEventListener("blur", leave);
    svg.addEventListener("dblclick", () => zoom(null));
    svg.addEventListener("keydown", (event) => {
      const xs = [...new Set(shown().flatMap((one) => one.x[axis]))]
        .filter((x) => x !== null && x >= place.x0 && x <= place.x1).sort((a, b) => a - b);
      if (!xs.length) return;
      const at = cursor === null ? -1 : xs.findIndex((x) => x >= cursor);
      const stride = Math.max(1, Math.round(xs.length / 60));
      const go = { ArrowRight: at + stride, ArrowLeft: Math.max(0, at - stride), Home: 0, End: xs.length - 1 }[event.key];
      const middle = cursor === null ? (place.x0 + place.x1) / 2 : cursor, half = (place.x1 - place.x0) / 2;
      if (go !== undefined) point(xs[Math.min(go, xs.length - 1)], null);
      else if (event.key === "+") zoom(middle - half / 2, middle + half / 2);
      else if (event.key === "-" && view) zoom(middle - half * 2, middle + half * 2);
      else if (event.key === "0") zoom(null);
      else if (event.key === "Escape") leave();
      else return;
      event.preventDefault();
    });

    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "application");
    svg.setAttribute("aria-roledescription", "chart: arrow keys read values, plus and minus zoom, 0 shows the whole range");
    if (number === 0) make(figure, "p", { class: "note hint" },
      "Drag across the chart to zoom, double-click for the whole range. By keyboard: arrows read values, + and - zoom, " +
      "0 shows the whole range. A name in the legend shows or hides its run.");
    redraw();
  };

  document.querySelectorAll("figure[data-curves]").forEach(start);
})();
