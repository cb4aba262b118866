// The chat, alive: answers as they are written, keys, copying of code. Without it the page works by forms and refreshes.
"use strict";

document.documentElement.classList.add("has-script");

const thread = document.getElementById("thread");
const announcer = document.getElementById("announcer");
const sources = new WeakMap();
const ANNOUNCED = 600; // characters of an answer that a screen reader is given
const NEAR = 80; // pixels from the end that still count as reading the end
let sticks = true;

// ---- Reading the end ---------------------------------------------------------------------------------------------
function toTheEnd() {
  if (thread && sticks) thread.scrollTop = thread.scrollHeight;
}
if (thread) {
  thread.addEventListener("scroll", () => {
    sticks = thread.scrollHeight - thread.scrollTop - thread.clientHeight < NEAR;
  }, { passive: true });
  if (!new URLSearchParams(location.search).has("before")) requestAnimationFrame(toTheEnd);
}

// ---- One answer while it is written ------------------------------------------------------------------------------
// Everything that comes from an agent is put in as text, never as HTML; the server renders the Markdown at the end.
class LiveAnswer {
  constructor(pending) {
    this.pending = pending;
    this.live = pending.querySelector("[data-live]");
    this.state = pending.querySelector("[data-state]");
    this.text = null; // what is being said; null before and after
    this.tools = new Map();
    this.seen = 0;
    // The log is replayed from its beginning, so what the server has drawn of it makes room.
    pending.parentElement.querySelectorAll(":scope > .chat-tool").forEach((tool) => tool.remove());
    this.live.replaceChildren();
  }

  take(number, kind, data) {
    if (number <= this.seen) return; // a reconnect may repeat
    this.seen = number;
    this.pending.dataset.seen = number;
    const take = { status: this.status, step: this.step, message: this.message, tool_call: this.call, tool_result: this.result }[kind];
    if (take) take.call(this, data);
    toTheEnd();
  }

  status(data) {
    // A new attempt repeats the step that was not done.
    if (data.status === "queued" || data.status === "running") this.drop();
    this.say(data.status === "queued" ? (data.error ? "again" : "queued") : data.status);
  }

  say(name) {
    const words = { needs_review: "waiting" }[name] || name;
    if (thread.dataset[words]) this.state.textContent = thread.dataset[words];
  }

  drop() {
    if (this.text) this.text.remove();
    this.text = null;
  }

  step() {
    this.text = null;
    this.say("running");
  }

  message(data) {
    if (data.restart) this.drop(); // the answer begins anew
    if (!this.text) {
      this.text = document.createElement("div");
      this.text.className = "chat-live-text";
      this.live.append(this.text);
      this.say("writing");
    }
    this.text.append(document.createTextNode(data.text));
  }

  call(data) {
    const tool = document.getElementById("tool").content.firstElementChild.cloneNode(true);
    tool.querySelector(".chat-tool-name").textContent = data.name;
    const hasArguments = data.args && Object.keys(data.args).length > 0;
    tool.querySelector(".chat-tool-args").textContent = hasArguments ? JSON.stringify(data.args, null, 2) : "—";
    this.tools.set(data.id, tool);
    this.live.append(tool);
    return tool;
  }

  result(data) {
    const tool = this.tools.get(data.id) || this.call(data);
    const state = tool.querySelector(".chat-tool-state");
    state.textContent = data.error ? state.dataset.bad : state.dataset.done;
    tool.classList.toggle("chat-tool-bad", Boolean(data.error));
    tool.querySelector(".chat-tool-result").textContent = data.content;
    tool.querySelector(".chat-tool-answer").hidden = false;
  }
}

function follow(pending) {
  if (sources.has(pending)) return;
  const answer = new LiveAnswer(pending);
  const source = new EventSource(pending.dataset.events);
  sources.set(pending, source);
  for (const kind of ["status", "step", "message", "tool_call", "tool_result"]) {
    source.addEventListener(kind, (event) => {
      const number = Number(event.lastEventId), data = JSON.parse(event.data);
      answer.take(number, kind, data);
      // Only the server knows what the person may do about it; when it goes on, there is nothing left to do.
      const waits = data.status === "waiting" || data.status === "needs_review";
      if (kind === "status" && number > Number(pending.dataset.known) && (waits || pending.querySelector("[data-asks]"))) {
        source.close();
        refresh(pending);
      }
    });
  }
  source.addEventListener("done", () => { source.close(); refresh(pending); });
  source.addEventListener("error", () => {
    // The browser connects again by itself, with the number of the last event; unless the server said no.
    if (source.readyState === EventSource.CLOSED) isGone(pending);
    else answer.say("lost");
  });
  source.addEventListener("open", () => { if (answer.seen) answer.say("running"); });
}

function refresh(pending) {
  const turn = pending.closest(".chat-turn");
  htmx.ajax("GET", pending.dataset.refresh, { target: turn, swap: "outerHTML", source: turn }).then(() => announce(turn.id));
}

function isGone(pending) {
  if (pending.querySelector("[data-look]")) return;
  pending.append(document.getElementById("gone").content.cloneNode(true));
  pending.querySelector("[data-state]").hidden = true;
  pending.querySelector("[data-look]").addEventListener("click", () => refresh(pending));
  toTheEnd();
}

function announce(id) {
  const turn = document.getElementById(id);
  if (!turn || turn.querySelector(".chat-pending")) return;
  const said = [".chat-who", ".chat-answer > .chat-markdown, .chat-answer > .chat-plain", "[data-outcome]"]
    .map((part) => turn.querySelector(part)?.innerText || "").filter(Boolean).join(". ");
  announcer.textContent = said.slice(0, ANNOUNCED);
  toTheEnd();
}

// ---- What comes into the page ------------------------------------------------------------------------------------
function eachIn(root, selector, use) {
  if (root.matches?.(selector)) use(root);
  root.querySelectorAll(selector).forEach(use);
}

function addCopy(block) {
  if (block.parentElement.classList.contains("chat-code")) return;
  const frame = document.createElement("div");
  frame.className = "chat-code";
  block.replaceWith(frame);
  frame.append(block, document.getElementById("code-copy").content.cloneNode(true));
  canScroll(block);
}

// What scrolls has to be reachable by keyboard.
function canScroll(element) {
  if (element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight) element.tabIndex = 0;
}

htmx.onLoad((root) => {
  eachIn(root, ".chat-pending", follow);
  eachIn(root, ".chat-markdown pre", addCopy);
  eachIn(root, ".chat-markdown table", canScroll);
  eachIn(root, "textarea[autofocus]", (box) => box.setSelectionRange(box.value.length, box.value.length));
  // What had the focus may just have been replaced.
  if (root !== document.body && document.activeElement === document.body) document.getElementById("text")?.focus({ preventScroll: true });
});
document.addEventListener("htmx:beforeCleanupElement", (event) => sources.get(event.target)?.close());

// Earlier messages come in above: what one was reading stays where it was, and so does the focus.
let before = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  if (xhr.status === 409) Object.assign(event.detail, { shouldSwap: true, isError: false }); // a refusal, in words
  if (requestConfig.elt.matches(".chat-earlier")) before = { height: thread.scrollHeight, turn: document.querySelector(".chat-turn") };
});
document.addEventListener("htmx:afterSettle", () => {
  if (!before) return;
  thread.scrollTop += thread.scrollHeight - before.height;
  before.turn?.focus({ preventScroll: true });
  before = null;
});

// ---- Sending -----------------------------------------------------------------------------------------------------
const notice = () => document.getElementById("notice");

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, xhr } = event.detail;
  if (!elt.matches("[data-composer]") || xhr.status < 200 || xhr.status >= 300) return;
  const box = elt.querySelector("textarea");
  box.value = "";
  notice().replaceChildren();
  thread.querySelector(".empty")?.remove();
  box.focus();
  sticks = true;
  toTheEnd();
});

function isUnsent(event) {
  const { elt } = event.detail;
  const pending = elt.querySelector?.(".chat-pending");
  if (elt.matches(".chat-turn") && pending) return isGone(pending);
  elt.querySelectorAll("button[disabled]").forEach((button) => { button.disabled = false; });
  const said = document.createElement("p");
  said.className = "notice notice-bad";
  said.textContent = thread?.dataset.unsent || "";
  if (thread && notice()) notice().replaceChildren(said);
}
document.addEventListener("htmx:sendError", isUnsent);
document.addEventListener("htmx:responseError", isUnsent);

document.addEventListener("submit", (event) => {
  const stop = event.target.matches("[data-stop]");
  if (!stop && !event.target.matches("[data-composer]:not([hx-post])")) return;
  const button = event.target.querySelector("button");
  setTimeout(() => { button.disabled = true; });
  if (stop) button.querySelector("span").textContent = thread.dataset.stopping;
});
addEventListener("pageshow", () => document.querySelectorAll("[data-composer] button").forEach((button) => { button.disabled = false; }));

document.addEventListener("click", async (event) => {
  const copy = event.target.closest(".chat-copy-code");
  if (!copy) return;
  await navigator.clipboard.writeText(copy.parentElement.querySelector("pre").textContent);
  const label = copy.textContent;
  copy.textContent = copy.dataset.copied;
  setTimeout(() => { copy.textContent = label; }, 2000);
});

// ---- Keys --------------------------------------------------------------------------------------------------------
const help = document.getElementById("help");
document.querySelectorAll("[data-help]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
});

function search() {
  const box = document.getElementById("search");
  if (box?.checkVisibility()) box.focus();
  else document.querySelector(".chat-to-list")?.click();
}

function escape(event) {
  const form = event.target.closest?.("form:has([data-cancel])");
  if (form) form.querySelector("[data-cancel]").click();
  else if (event.target.id !== "search") document.querySelector("[data-stop] button:not([disabled])")?.click();
}

function editLast() {
  [...document.querySelectorAll(".chat-edit")].filter((link) => link.checkVisibility()).at(-1)?.click();
}

const isWriting = (target) => target.matches("input:not([type=radio]), textarea, select");

// By the name of the key; each gives whether it was for us.
const KEYS = {
  Enter: (event) => event.target.id === "text" && !event.shiftKey && (event.target.form.requestSubmit(), true),
  ArrowUp: (event) => event.target.id === "text" && !event.target.value && (editLast(), true),
  Escape: (event) => (escape(event), false),
  "/": (event) => !isWriting(event.target) && (search(), true),
  "?": (event) => !isWriting(event.target) && help && (help.showModal(), true),
};

document.addEventListener("keydown", (event) => {
  if (event.isComposing || help?.open) return;
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    location.assign(document.querySelector("[data-new]").dataset.new);
  } else if (!isCommand && !event.altKey && KEYS[event.key]?.(event)) event.preventDefault();
});
