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

  // A finding beside the list, where there is room; else its own page.
  const split = document.querySelector("[data-split]");
  const beside = split?.querySelector(".beside");
  const wide = matchMedia("(min-width: 1200px)");
  let asked = 0;
  const close = () => {
    if (!beside || beside.hidden) return false;
    beside.hidden = true;
    split.classList.remove("open");
    return true;
  };
  const explain = async (row) => {
    const link = row?.querySelector("td:not(.pick) a[href]");
    if (!link) return;
    // A root cause leads to a list, which is a page of its own.
    if (!beside || !wide.matches || !/^\/findings\/[0-9a-f]{64}\//.test(link.getAttribute("href"))) { link.click(); return; }
    const mine = ++asked;
    try {
      const answer = await fetch(link.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const content = page.getElementById("content");
      if (mine !== asked || !content) return;
      // What has an id there may have it here: names go, forms and anchors stay on the finding's own page.
      for (const part of content.querySelectorAll("form, .noprint, datalist, script")) part.remove();
      for (const part of content.querySelectorAll("[id]")) part.removeAttribute("id");
      for (const part of content.querySelectorAll("[aria-labelledby]")) part.removeAttribute("aria-labelledby");
      const head = document.createElement("p");
      const whole = Object.assign(document.createElement("a"), { href: link.href, textContent: "Open its page", className: "btn" });
      const shut = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
      shut.addEventListener("click", close);
      head.className = "fields";
      head.append(whole, shut);
      for (const title of content.querySelectorAll("h1")) { const h = document.createElement("h2"); h.append(...title.childNodes); title.replaceWith(h); }
      beside.replaceChildren(head, ...document.adoptNode(content).childNodes);
      beside.hidden = false;
      beside.scrollTop = 0;
      split.classList.add("open");
    } catch {
      location.assign(link.href);
    }
  };

  let waiting = -Infinity;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target instanceof Element && event.target.closest("input, select, textarea");
    const isBox = event.target instanceof HTMLInputElement && event.target.type === "checkbox";
    if (event.key === "Escape" && inField) { event.target.blur(); return; }
    if (event.key === "Escape" && close()) return;
    if ((inField && !isBox) || help?.open) return;
    const place = event.timeStamp - waiting < 1500 && [...document.querySelectorAll("nav [data-key]")].find((a) => a.dataset.key === event.key);
    if (place) {
      waiting = -Infinity;
      place.click();
      return;
    }
    waiting = -Infinity;
    switch (event.key) {
      case "/": if (search) { event.preventDefault(); search.focus(); search.select(); } break;
      case "j": go(at + 1); break;
      case "k": go(at - 1); break;
      case "g": waiting = event.timeStamp; break;
      case "x": {
        const box = rows()[at]?.querySelector(".pick input");
        if (box) box.checked = !box.checked;
        break;
      }
      case "e": explain(rows()[at]); break;
      case "w": {
        const to = rows()[at]?.dataset.waive ?? document.querySelector("[data-waive-here]")?.getAttribute("href");
        if (to) location.assign(to);
        break;
      }
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
