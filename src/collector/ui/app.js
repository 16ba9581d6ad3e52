// Keyboard, filter as you type, copy buttons. Every page works without this file.
"use strict";
(() => {
  const search = document.getElementById("search");
  const help = document.getElementById("help");
  const rows = () => [...document.querySelectorAll("tr[data-row]")].filter((row) => !row.hidden);
  let at = -1;

  const go = (to) => {
    const list = rows();
    if (!list.length) return;
    document.querySelector("tr.at")?.classList.remove("at");
    at = Math.max(0, Math.min(list.length - 1, to));
    list[at].classList.add("at");
    list[at].querySelector("a")?.focus({ preventScroll: true });
    list[at].scrollIntoView({ block: "nearest" });
  };

  let waiting = 0;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target instanceof Element && event.target.closest("input, select, textarea");
    if (event.key === "Escape" && inField) { event.target.blur(); return; }
    if (inField || help?.open) return;
    const place = event.timeStamp - waiting < 1500 && [...document.querySelectorAll("nav [data-key]")].find((a) => a.dataset.key === event.key);
    if (place) {
      waiting = 0;
      place.click();
      return;
    }
    waiting = 0;
    switch (event.key) {
      case "/": if (search) { event.preventDefault(); search.focus(); search.select(); } break;
      case "j": go(at + 1); break;
      case "k": go(at - 1); break;
      case "g": waiting = event.timeStamp; break;
      case "?": help?.showModal(); break;
    }
  });

  document.getElementById("help-open")?.addEventListener("click", () => help?.showModal());

  // Filter as you type: the rows of this page; Enter asks the server for all.
  const status = document.getElementById("filter-status");
  search?.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = document.querySelectorAll("tr[data-row]");
    let left = 0;
    for (const row of all) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) left += 1;
    }
    at = -1;
    document.querySelector("tr.at")?.classList.remove("at");
    if (status && all.length) status.textContent = words.length ? `${left} of ${all.length} rows here; Enter searches everything` : "";
  });

  // Facets apply at once.
  for (const form of document.querySelectorAll("form[data-apply]")) {
    form.addEventListener("change", () => form.requestSubmit());
    form.querySelector("[data-needless]")?.setAttribute("hidden", "");
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection()?.selectAllChildren(document.getElementById(button.dataset.copy));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 4000);
    });
  }
})();
