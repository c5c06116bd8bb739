/* What the pages gain with JavaScript on; all of them work without. No state, no requests of its own. */
"use strict";

(() => {
  const whole = { dateStyle: "medium", timeStyle: "short" };
  const today = { timeStyle: "medium" };
  const earlier = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };

  function formatOf(moment, wanted) {
    if (wanted !== "clock") return whole;
    return moment.toDateString() === new Date().toDateString() ? today : earlier;
  }

  /* A table that is wider than its place is scrolled with the keyboard, too. */
  function reach(scroll) {
    if (scroll.scrollWidth <= scroll.clientWidth) return;
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", scroll.querySelector("table")?.getAttribute("aria-label") ?? "");
  }

  function refine(root) {
    for (const time of root.querySelectorAll("time[data-local]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) time.textContent = moment.toLocaleString(undefined, formatOf(moment, time.dataset.local));
      time.removeAttribute("data-local");
    }
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = !navigator.clipboard;
    for (const scroll of root.querySelectorAll(".scroll")) reach(scroll);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const said = button.textContent;
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre, code, input").textContent.trim());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = said; }, 1500);
  });

  /* What could not be done must not look as if it had: the button says so, and can be pressed again. */
  document.addEventListener("htmx:responseError", (event) => {
    const said = event.detail.elt.querySelector?.("button .idle");
    if (said) said.textContent = `Did not work (${event.detail.xhr.status}). Try again`;
  });

  /* Nobody looks at a hidden tab: what polls pauses. A poll is the only request without an event behind it. */
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && !event.detail.requestConfig.triggeringEvent) event.preventDefault();
  });

  /* Going back swaps the whole page in, and names no target. */
  document.addEventListener("htmx:afterSwap", (event) => refine(event.detail.target ?? document));
  document.documentElement.classList.add("scripted");
  refine(document);
})();
