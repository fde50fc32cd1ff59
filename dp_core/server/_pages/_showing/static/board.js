// The board, live: a stream says that it may have changed, and its rows are loaded again.
"use strict";
{
  const live = document.getElementById("live");
  let source = null;
  let pause = 1000;
  let loads = false;
  let again = false;
  let refused = false;

  const place = () => document.getElementById("rows");
  const say = (text) => { if (live.textContent !== text) live.textContent = text; };

  // The row that the reader looks at stays where it is, and keeps the focus.
  const swap = (fresh) => {
    const old = place();
    const byKey = (root) => new Map(
      [...root.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
    const before = byKey(old);
    const top = [...before.values()].find((row) => row.getBoundingClientRect().bottom > 0);
    const height = top && window.scrollY > 0 ? top.getBoundingClientRect().top : null;
    const active = document.activeElement;
    const link = old.contains(active) ? active.getAttribute("href") : null;
    const next = document.importNode(fresh, true);
    for (const [key, row] of byKey(next)) {
      const same = before.get(key);
      if (same && same.isEqualNode(row)) row.replaceWith(same);
    }
    old.replaceWith(next);
    if (link !== null) {
      const found = [...next.querySelectorAll("a")].find(
        (each) => each.getAttribute("href") === link);
      (found || next).focus({preventScroll: true});
    }
    const now = height === null ? null : byKey(next).get(top.dataset.key);
    if (now) window.scrollBy(0, now.getBoundingClientRect().top - height);
  };

  const reload = async () => {
    if (loads) { again = true; return; }
    loads = true;
    try {
      const answer = await fetch(location.href, {headers: {accept: "text/html"}});
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("rows");
      refused = answer.status >= 400 && answer.status < 500;
      if (answer.ok && fresh) swap(fresh);
      else if (refused) close("Not live: reload to see why");
    } catch {
      say("Not live: the server does not answer");
    }
    loads = false;
    if (again) { again = false; reload(); }
  };

  const close = (text) => {
    if (source) source.close();
    source = null;
    say(text);
  };

  const open = () => {
    if (source || document.hidden || !place().dataset.changes) return;
    source = new EventSource(place().dataset.changes);
    source.addEventListener("open", () => { pause = 1000; say("Live"); });
    // Of many who look, each loads at a moment of its own.
    source.addEventListener("change", (event) => {
      setTimeout(reload, Math.random() * Number(event.data));
    });
    source.addEventListener("error", () => {
      say("Not live: trying again");
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        // A token that is over will not be good again, so nothing is asked for by it.
        setTimeout(async () => { await reload(); if (!refused) open(); }, pause);
        pause = Math.min(2 * pause, 60000);
      }
    });
  };

  // A browser has few connections for one server, so a tab that nobody sees has none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close("");
    else { reload(); open(); }
  });
  open();
}
