"use strict";
(() => {
  const audit = JSON.parse(document.getElementById("audit").textContent);
  const list = document.getElementById("rows");
  const items = [...list.children].map((item, place) => ({
    item, place,
    row: item.dataset.row,
    given: audit.classes[item.dataset.given],
    suggested: audit.classes[item.dataset.suggested],
    score: Number(item.dataset.score),
    sample: item.dataset.sample,
    data: item.dataset,
  }));
  const byRow = new Map(items.map((entry) => [entry.row, entry]));
  const columns = ["row", "row_sha256", "given_label", "decision", "new_label", "sample",
    "sample_probability", "audit_id"];
  const kinds = ["keep", "relabel", "exclude", "unsure"];
  const perPage = 50;
  const key = "sknoisy-review-" + audit.audit_id;
  const byId = (id) => document.getElementById(id);
  const decisions = new Map();
  let history = [], shown = items, page = 0, current = null, unsaved = false, kept = true;

  // Storage: numbers of rows and labels only. A browser may refuse it.
  function store() {
    try {
      localStorage.setItem(key, JSON.stringify([...decisions]));
    } catch {
      kept = false;
    }
  }
  function restore() {
    try {
      for (const [row, decision] of JSON.parse(localStorage.getItem(key) || "[]")) {
        if (byRow.has(row) && kinds.includes(decision[0])) decisions.set(row, decision);
      }
    } catch {
      kept = false;
    }
  }

  function decide(entry, kind, label = "") {
    history.push([entry.row, decisions.get(entry.row)]);
    if (kind) decisions.set(entry.row, [kind, label]);
    else decisions.delete(entry.row);
    unsaved = true;
    store();
    showDecision(entry);
    showProgress();
  }
  function undo() {
    if (!history.length) return;
    const [row, before] = history.pop();
    if (before) decisions.set(row, before);
    else decisions.delete(row);
    store();
    const entry = byRow.get(row);
    showDecision(entry);
    showProgress();
    if (shown.includes(entry)) focusOn(entry);
  }

  const words = {
    keep: (e) => "keeps " + e.given,
    relabel: (e, label) => "becomes " + label,
    exclude: () => "is left out",
    unsure: () => "is unsure",
  };
  function showDecision(entry) {
    const decision = decisions.get(entry.row);
    entry.item.classList.toggle("decided", Boolean(decision));
    entry.state.textContent = decision
      ? "Decided: " + words[decision[0]](entry, decision[1]) : "Not decided.";
    for (const button of entry.buttons) {
      const isIt = decision && button.dataset.kind === decision[0]
        && (decision[0] !== "relabel" || decision[1] === entry.suggested);
      button.setAttribute("aria-pressed", String(Boolean(isIt)));
    }
    const isOther = decision && decision[0] === "relabel"
      && decision[1] !== entry.suggested;
    entry.other.value = isOther ? decision[1] : "";
  }
  function showProgress() {
    const counts = Object.fromEntries(kinds.map((kind) => [kind, 0]));
    for (const [kind] of decisions.values()) counts[kind] += 1;
    const drawn = items.filter((e) => e.sample.startsWith("stratum"));
    const done = drawn.filter((e) => decisions.has(e.row)).length;
    let text = `${decisions.size} of ${items.length} rows decided: ${counts.keep} keep, `
      + `${counts.relabel} relabel, ${counts.exclude} exclude, ${counts.unsure} unsure`;
    if (drawn.length) text += `; random sample: ${done} of ${drawn.length}`;
    const top = items.filter((e) => e.sample.startsWith("rank"))
      .slice(0).sort((a, b) => rank(a) - rank(b));
    const gap = top.findIndex((e) => !decisions.has(e.row));
    const last = (gap < 0 ? top : top.slice(0, gap))
      .map((e) => decisions.get(e.row)[0]).filter((kind) => kind !== "unsure").slice(-50);
    const wrong = last.filter((kind) => kind !== "keep").length;
    if (last.length > 1) text += `; of the last ${last.length} ranks, ${wrong} were wrong`;
    byId("progress").textContent = text + ".";
    byId("bar").max = items.length;
    byId("bar").value = decisions.size;
    byId("saved").textContent = !kept
      ? "This browser does not keep decisions: download them before you close the page."
      : unsaved ? "Decisions are kept in this browser, but not downloaded yet." : "";
  }
  const rank = (entry) => Number(entry.sample.slice(5));

  // Filters, order and pages.
  const orders = {
    list: (a, b) => a.place - b.place,
    score: (a, b) => b.score - a.score || a.place - b.place,
    least: (a, b) => a.score - b.score || a.place - b.place,
    row: (a, b) => Number(a.row) - Number(b.row),
  };
  function refilter() {
    const given = byId("by-given").value, suggested = byId("by-suggested").value;
    const part = byId("by-sample").value, state = byId("by-state").value;
    const least = Number(byId("by-score").value) || 0;
    shown = items.filter((e) => (given === "" || e.given === audit.classes[given])
      && (suggested === "" || e.suggested === audit.classes[suggested])
      && (part === "" || e.sample.startsWith(part)) && e.score >= least
      && (state === "" || (state === "open") !== decisions.has(e.row)));
    shown = [...shown].sort(orders[byId("order").value]);
    page = 0;
    showPage();
  }
  function showPage() {
    const first = page * perPage, visible = shown.slice(first, first + perPage);
    for (const entry of items) entry.item.hidden = true;
    for (const entry of visible) {
      entry.item.hidden = false;
      list.append(entry.item);
    }
    const last = Math.min(first + perPage, shown.length);
    byId("place").textContent = shown.length
      ? `Rows ${first + 1} to ${last} of ${shown.length}` : "No row fits the filters";
    byId("before").disabled = page === 0;
    byId("after").disabled = last >= shown.length;
    current = null;
  }
  function turn(step) {
    page += step;
    showPage();
    if (shown.length) focusOn(shown[page * perPage]);
  }
  function focusOn(entry) {
    const at = shown.indexOf(entry);
    if (at < 0) return;
    if (Math.floor(at / perPage) !== page) {
      page = Math.floor(at / perPage);
      showPage();
    }
    current = entry;
    entry.item.firstElementChild.focus({preventScroll: true});
    // Not behind the line of progress, which stays at the top of a wide window.
    const work = byId("work");
    const covered = getComputedStyle(work).position === "sticky" ? work.offsetHeight : 0;
    // Only this page: a notebook around it should stay where it is.
    const top = entry.item.getBoundingClientRect().top + scrollY;
    scrollTo({top: top - covered - 8});
  }
  function go(step) {
    const at = current ? shown.indexOf(current) : step > 0 ? page * perPage - 1 : 0;
    const to = Math.min(Math.max(at + step, 0), shown.length - 1);
    if (shown.length) focusOn(shown[to]);
  }
  function decideAndGo(entry, kind, label) {
    decide(entry, kind, label);
    if (shown.indexOf(entry) < shown.length - 1) {
      current = entry;
      go(1);
    } else {
      focusOn(entry);
    }
  }

  // The files.
  const isFormula = (text) => /^[=+\-@\t\r]/.test(text)
    && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text);
  function records() {
    const found = [];
    for (const entry of items) {
      const decision = decisions.get(entry.row);
      if (!decision) continue;
      found.push([entry.row, entry.data.sha, entry.given, ...decision, entry.sample,
        entry.data.probability, audit.audit_id]);
    }
    return found;
  }
  function csvText() {
    const cell = (text) => {
      const safe = isFormula(text) ? "'" + text : text;
      return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
    };
    return [columns, ...records()].map((row) => row.map(cell).join(",") + "\r\n").join("");
  }
  function jsonText() {
    const found = records().map((row) =>
      Object.fromEntries(columns.map((name, i) => [name, row[i]])));
    return JSON.stringify({audit_id: audit.audit_id, decisions: found}, null, 1) + "\n";
  }
  function download(text, name, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    showProgress();
  }
  function parseCsv(text) {
    const rows = [[]];
    const cells = /("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|\r|$)/g;
    for (const [whole, cell, end] of text.replace(/^\ufeff/, "").matchAll(cells)) {
      if (whole === "" && rows.at(-1).length === 0) continue;
      const isQuoted = cell.startsWith('"');
      rows.at(-1).push(isQuoted ? cell.slice(1, -1).replaceAll('""', '"') : cell);
      if (end === "") break;
      if (end !== ",") rows.push([]);
    }
    const [head, ...body] = rows.filter((row) => row.length > 1);
    return body.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])));
  }
  const unquoted = (text) =>
    (text.startsWith("'") && isFormula(text.slice(1)) ? text.slice(1) : text);
  async function load(file) {
    const text = await file.text();
    let found;
    try {
      found = file.name.endsWith(".json") ? JSON.parse(text).decisions : parseCsv(text);
    } catch {
      found = [];
    }
    let count = 0;
    for (const record of found) {
      const entry = byRow.get(String(record.row));
      if (!entry || entry.data.sha !== record.row_sha256
        || !kinds.includes(record.decision)) continue;
      decisions.set(entry.row, [record.decision, unquoted(record.new_label || "")]);
      showDecision(entry);
      count += 1;
    }
    store();
    showProgress();
    byId("loaded").textContent = `${count} of ${found.length} decisions of `
      + `${file.name} are about rows of this page.`;
  }

  // The controls of each row.
  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }
  function addControls(entry) {
    const button = (kind, text, letter, label = "") => {
      const made = element("button", {type: "button",
        onclick: () => decideAndGo(entry, kind, label)}, text, element("kbd", {}, letter));
      made.dataset.kind = kind;
      return made;
    };
    entry.buttons = [button("keep", `Keep ${entry.given} `, "K"),
      button("exclude", "Exclude ", "X"), button("unsure", "Unsure ", "U")];
    if (entry.suggested !== entry.given) {
      const text = `Accept ${entry.suggested} `;
      entry.buttons.unshift(button("relabel", text, "A", entry.suggested));
    }
    entry.other = element("select", {}, new Option("another label", ""));
    entry.other.setAttribute("aria-label", `Another label for row ${entry.row}`);
    for (const name of audit.classes) {
      if (name !== entry.given) entry.other.append(new Option(name, name));
    }
    entry.other.onchange = () => {
      if (entry.other.value) decide(entry, "relabel", entry.other.value);
    };
    entry.state = element("p", {className: "state"});
    const group = element("div", {className: "controls"}, ...entry.buttons, entry.other,
      element("kbd", {}, "O"));
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Decision about row ${entry.row}`);
    entry.item.append(group, entry.state);
    entry.item.addEventListener("focusin", () => { current = entry; });
    showDecision(entry);
  }

  const keys = {
    a: (e) => e.suggested !== e.given && decideAndGo(e, "relabel", e.suggested),
    k: (e) => decideAndGo(e, "keep"),
    x: (e) => decideAndGo(e, "exclude"),
    u: (e) => decideAndGo(e, "unsure"),
    o: (e) => e.other.focus(),
    c: (e) => decide(e, null),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isField = event.target.closest("input, select, textarea");
    if (isField) {
      // Back from the choice of another label to its row.
      if ((event.key === "Enter" || event.key === "Escape") && current
        && event.target === current.other) {
        event.preventDefault();
        if (event.key === "Enter" && event.target.value) go(1);
        else focusOn(current);
      }
      return;
    }
    const name = event.key.toLowerCase();
    if (name === "j" || name === "n") go(1);
    else if (name === "p") go(-1);
    else if (name === "z") undo();
    else if (event.key === "?") byId("help").open = !byId("help").open;
    else if (keys[name] && current) keys[name](current);
    else return;
    event.preventDefault();
  });

  restore();
  items.forEach(addControls);
  for (const id of ["by-given", "by-suggested"]) {
    const name = id === "by-given" ? "given" : "suggested";
    const used = new Set(items.map((entry) => entry[name]));
    audit.classes.forEach((label, i) => {
      if (used.has(label)) byId(id).append(new Option(label, String(i)));
    });
  }
  for (const id of ["by-given", "by-suggested", "by-sample", "by-state", "by-score",
    "order"]) byId(id).addEventListener("input", refilter);
  byId("before").onclick = () => turn(-1);
  byId("after").onclick = () => turn(1);
  byId("csv").onclick = () => download(csvText(), "decisions.csv", "text/csv");
  byId("json").onclick = () => download(jsonText(), "decisions.json", "application/json");
  byId("load").onchange = (event) => {
    if (event.target.files.length) load(event.target.files[0]);
  };
  addEventListener("beforeunload", (event) => {
    if (!kept && unsaved) event.preventDefault();
  });
  byId("work").hidden = false;
  refilter();
  showProgress();
})();
