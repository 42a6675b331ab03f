"use strict";
// What every page does: draws its plots when they come into view, enlarges pictures, and filters
// lists. Everything it needs stands in the page.
const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
const all = (what, from = document) => [...from.querySelectorAll(what)];

// A picture that is shown several times stands once in the page.
const pictures = read("pictures");
function fill(image) {
  if (image.dataset.p) image.src = pictures[image.dataset.p];
  delete image.dataset.p;
}

let library;
async function unpacked() {
  const packed = document.getElementById("plotly").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function draw(plot) {
  if (plot.dataset.drawn) return;
  plot.dataset.drawn = "yes";
  await (library ??= unpacked());
  const { data, layout } = JSON.parse(plot.querySelector("script").textContent);
  const isMap = plot.classList.contains("map");
  const ground = plot.querySelector("div");
  ground.textContent = "";
  await Plotly.newPlot(ground, data, layout, {
    responsive: true,
    displaylogo: false,
    displayModeBar: isMap,
    scrollZoom: isMap,
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d"]],
  });
  ground.on("plotly_click", ({ points }) => {
    const wanted = `[data-query="${points[0].customdata}"]`;
    const card = plot.closest("section")?.querySelector(wanted);
    if (card) reveal(card);
  });
  // The wheel scrolls the page; a map that was clicked on takes it for zooming.
  const passing = (event) => {
    if (!event.ctrlKey && !plot.contains(document.activeElement)) event.stopPropagation();
  };
  if (isMap) ground.addEventListener("wheel", passing, { capture: true });
  if (isMap) ground.addEventListener("pointerdown", () => plot.focus({ preventScroll: true }));
}

const coming = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      coming.unobserve(target);
      if (target.matches("img")) fill(target);
      else draw(target);
    }
  },
  { rootMargin: "600px" },
);
all("img[data-p], .plot").forEach((element) => coming.observe(element));

// On paper there is no coming into view.
const visible = (element) => element.offsetParent !== null;
const few = 40;
addEventListener("load", async () => {
  for (const plot of all(".plot").slice(0, few)) if (visible(plot)) await draw(plot);
});
addEventListener("beforeprint", () => {
  all("img[data-p]").filter(visible).forEach(fill);
  // Two plots stand beside each other on a sheet of A4.
  for (const ground of all(".plot .js-plotly-plot")) Plotly.relayout(ground, { width: 310 });
});
addEventListener("afterprint", () => {
  for (const ground of all(".plot .js-plotly-plot")) Plotly.relayout(ground, { autosize: true });
});

// A group shows its first items, or all; with words typed, those in which they occur.
function filtered(list) {
  const words = (list.querySelector("[type=search]")?.value || "").toLowerCase().split(/\s+/);
  const kind = list.querySelector("select")?.value || "";
  const narrowed = Boolean(words.join("") || kind);
  let count = 0;
  for (const group of all("[data-first]", list)) {
    const open = narrowed || group.dataset.open;
    let found = 0;
    for (const item of all("[data-words]", group)) {
      const text = item.dataset.words.toLowerCase();
      const fits = (!kind || item.dataset.kind === kind) && words.every((w) => text.includes(w));
      item.hidden = !fits || (!open && found >= Number(group.dataset.first));
      found += fits;
    }
    count += found;
    group.hidden = found === 0;
    for (const more of all(".more", group)) more.hidden = Boolean(open);
  }
  for (const told of all("output", list)) told.value = narrowed ? `${count} found` : "";
}
for (const list of all(".filtered")) {
  list.addEventListener("input", () => filtered(list));
  for (const more of all(".more", list))
    more.addEventListener("click", () => {
      more.closest("[data-first]").dataset.open = "yes";
      filtered(list);
    });
}
function reveal(card) {
  const list = card.closest(".filtered");
  all("input, select", list).forEach((field) => (field.value = ""));
  card.closest("[data-first]").dataset.open = "yes";
  filtered(list);
  card.scrollIntoView({ behavior: "smooth", block: "center" });
  card.classList.add("found");
  setTimeout(() => card.classList.remove("found"), 2500);
}

// A picture that is clicked on is shown large, beside the query that it answers.
const large = document.getElementById("large");
document.addEventListener("click", ({ target }) => {
  if (!target.matches(".frame img, img.photo")) return;
  const query = target.closest("[data-words]")?.querySelector(".photo img, img.photo");
  const shown = query && query !== target ? [query, target] : [target];
  const figures = shown.map((image) => {
    fill(image);
    const figure = document.createElement("figure");
    const picture = document.createElement("img");
    picture.src = image.src;
    const caption = document.createElement("figcaption");
    caption.textContent = image.alt;
    figure.append(picture, caption);
    return figure;
  });
  large.replaceChildren(...figures);
  large.showModal();
});
large.addEventListener("click", () => large.close());
