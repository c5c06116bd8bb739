/* What the pages gain with JavaScript on; all of them work without. No requests of its own. */
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

  /* A form is sent once: a second press while the answer is on its way would do it again, and throw the first answer away, with
     the key that is shown only there. Who comes back by the browser's button finds it fresh. */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  /* What is polled is old when nobody answers: the page says so, until somebody does. */
  const isPoll = (detail) => !detail.requestConfig?.triggeringEvent;
  let answered = new Date();
  function sayWhetherOld(isOld) {
    const place = document.getElementById("old");
    if (!place) return;
    if (!isOld) answered = new Date();
    place.textContent = isOld ? `Not up to date: the server does not answer as it should. What you see is of ${answered.toLocaleTimeString()}.` : "";
  }
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"])
    document.addEventListener(name, (event) => { if (isPoll(event.detail)) sayWhetherOld(true); });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (isPoll(event.detail) && event.detail.xhr.status < 400) sayWhetherOld(false);
  });

  /* A part that is swapped under somebody's hands: they keep their place in it, and what they are marking is left alone. */
  const nameOf = (element) => [element.tagName, element.getAttribute("href"), element.name, element.getAttribute("aria-label"), element.textContent.trim()].join("|");
  let held = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target } = event.detail, marked = document.getSelection();
    if (isPoll(event.detail) && !marked.isCollapsed && target.contains(marked.anchorNode)) event.detail.shouldSwap = false;
    const focus = target.contains(document.activeElement) && target !== document.activeElement ? nameOf(document.activeElement) : "";
    held = { focus, left: [...target.querySelectorAll(".scroll")].map((scroll) => scroll.scrollLeft) };
  });
  function giveBack(target) {
    if (!held) return;
    const { focus, left } = held;
    held = null;
    [...target.querySelectorAll(".scroll")].forEach((scroll, number) => { scroll.scrollLeft = left[number] ?? 0; });
    if (!focus || target.contains(document.activeElement)) return;
    const same = [...target.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].find((each) => nameOf(each) === focus);
    if (!same) target.tabIndex = -1;
    (same ?? target).focus({ preventScroll: true });
  }

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
  document.addEventListener("htmx:afterSwap", (event) => {
    const target = event.detail.target ?? document.body;
    refine(target);
    giveBack(target);
  });
  document.documentElement.classList.add("scripted");
  refine(document);
})();
