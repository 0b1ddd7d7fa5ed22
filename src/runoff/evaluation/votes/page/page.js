
"use strict";
// Shows what the server says and sends back which key was pressed. It is never told whose the answers are.
(() => {
  const at = (id) => document.getElementById(id);
  const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", t: "tie", b: "both bad", s: "skip" };
  let now = null, busy = false, voted = false;

  const paragraphs = (parent, texts, name) => parent.replaceChildren(...texts.map((text) => {
    const node = document.createElement(name);
    node.textContent = text;
    return node;
  }));

  const show = (state) => {
    const fresh = !now || now.ballot !== state.ballot;
    now = state;
    at("voting").hidden = state.ended;
    at("ended").hidden = !state.ended;
    document.querySelector("header").hidden = state.ended;
    if (state.ended) {
      const heading = at("ended").querySelector("h1");
      heading.textContent = state.revealed ? "The votes" : "Paused";
      paragraphs(at("ended").querySelector("div"), state.sentences, "p");
      heading.focus();
      return;
    }
    const percent = Math.round(100 * state.progress);
    const bar = document.querySelector(".bar");
    bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = `${percent}%`;
    at("standing").textContent = state.standing;
    at("undo").disabled = !state.undo;
    if (!fresh) return;
    at("question").textContent = state.question;
    for (const side of ["left", "right"]) {
      at(side).textContent = state[side];
      at(side).scrollTop = 0;
    }
    paragraphs(document.querySelector(".anchors"), state.anchors, "blockquote");
    at("question").focus({ preventScroll: true });
    if (window.scrollY > at("question").offsetTop) at("question").scrollIntoView();
  };

  const trouble = (text) => {
    at("trouble").textContent = text;
    at("trouble").hidden = !text;
  };

  const ask = async (path, body) => {
    if (busy) return;
    busy = true;
    document.body.dataset.busy = "";
    try {
      const options = body && {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      };
      const answer = await fetch(path, options || {});
      const found = await answer.json();
      trouble(found.error || "");
      if (!found.error) show(found);
    } catch {
      trouble("The command that serves this page has ended. Type it again to go on; every vote that was taken is kept.");
    } finally {
      busy = false;
      delete document.body.dataset.busy;
    }
  };

  const vote = (choice) => {
    if (!now || now.ended) return;
    if (!voted && matchMedia("(max-width: 40rem)").matches) at("anchors").open = false;
    voted = true;
    ask("vote", { ballot: now.ballot, choice });
  };
  const sure = () => { at("sure").showModal(); at("no").focus(); };
  const end = (reveal) => { at("sure").close(); ask("end", { reveal }); };

  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => vote(button.dataset.choice));
  }
  at("undo").addEventListener("click", () => ask("undo", {}));
  at("pause").addEventListener("click", () => end(false));
  at("end").addEventListener("click", sure);
  at("yes").addEventListener("click", () => end(true));
  at("no").addEventListener("click", () => at("sure").close());

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !now || now.ended) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (at("sure").open) {
      if (key === "y") end(true);
      if (key === "n") at("sure").close();
      return;
    }
    if (keys[key]) { event.preventDefault(); vote(keys[key]); }
    if (key === "u" && now.undo) ask("undo", {});
    if (key === "p") end(false);
    if (key === "e") sure();
  });

  ask("state");
})();
