// Search this book: asks the index of book_search_index.js (sections, terms, names) what the reader
// typed, and shows where it is answered. Works from the disk: nothing is fetched. What it needs is
// loaded when something was asked.
(() => {
  const here = new URL(document.currentScript.src);
  const NEEDED = ["language_data.js", "minisearch.js", `book_search_index.js${here.search}`];
  const FIELDS = ["title", "page", "text", "code"];
  const MOST = 40; // results that are shown

  // What the same thing is called by others. Each word asks for all of its line.
  const SYNONYMS = [
    ["bf16", "bfloat16"],
    ["fp16", "float16", "half"],
    ["fp32", "float32"],
    ["rope", "rotary"],
    ["sqrt", "√", "root"],
    ["tied", "tying", "tie", "shared"],
    ["pad", "padding"],
    ["pe", "positional"],
    ["embed", "embedding"],
    ["vocab", "vocabulary"],
    ["lr", "learning"],
    ["ln", "layernorm"],
    ["length", "longer", "max_len", "max_length"],
    ["sin", "sine"],
    ["cos", "cosine"],
    ["multiply", "scale", "factor", "times"],
    ["interpolate", "extrapolate"],
    ["params", "parameters"],
    ["install", "pip"],
    ["error", "raises", "refuses", "valueerror"],
    ["wrong", "misconception", "misconceptions", "mistake", "mistakes", "myth", "myths"],
  ];
  const QUESTION = new Set(
    ("a an and are as at be but by can do does for from has have how i in into is it its me my of on "
      + "or should so that the their there this to was we what when where which who why will with you")
      .split(" "));

  let stemmer; // Sphinx's, of language_data.js
  const stem = (word) => (/^[a-z]+$/.test(word) ? stemmer.stemWord(word) : word);

  /** Words as they are compared: 10,000 is 10000, and √d is sqrt d. */
  function split(text) {
    return text.toLowerCase().normalize("NFKC")
      .replace(/(\d)[,\u202f](?=\d{3}\b)/g, "$1").replace(/√/g, " sqrt ")
      .match(/[\p{L}\p{N}_]+(?:\.\d+)?/gu) ?? [];
  }

  /** Words as they are found: d_model is also d and model. */
  const words = (text) => split(text)
    .flatMap((word) => (word.includes("_") ? [word, ...word.split("_").filter(Boolean)] : [word]));

  /** The words of a question, without those that every question has. */
  function asked(query) {
    const all = split(query);
    const telling = all.filter((word) => !QUESTION.has(word));
    return [...new Set(telling.length ? telling : all)];
  }

  const alike = (word) => SYNONYMS.find((line) => line.includes(word)) ?? [word];

  function makeIndex({ pages, entries }) {
    const index = new MiniSearch({
      fields: FIELDS,
      tokenize: words,
      processTerm: stem,
      extractField: (entry, field) => (field === "page" ? pages[entry.page] : entry[field]),
    });
    index.addAll(entries.map((entry, id) => ({ ...entry, id })));
    return index;
  }

  // A definition before a chapter, a chapter before what describes code, unless code is asked for.
  const WEIGHT = { term: 1.3, page: 1.1, section: 1, name: 0.4 };
  const CODE = /[a-z]_[a-z]|[a-z][A-Z]|\w\.[a-z]/;

  function weight({ kind, page }, { chapters }, query) {
    if (kind === "name") return CODE.test(query) ? 1.5 : WEIGHT.name;
    if (chapters.includes(page)) return WEIGHT[kind] * 1.25;
    return WEIGHT[kind] * (page.includes("/api_") ? 0.5 : page.includes("/contract_") ? 0.8 : 1);
  }

  function find(index, all, query) {
    const wanted = asked(query);
    const score = new Map();
    for (const word of wanted) {
      const best = new Map(); // of the words that are alike, the best one counts
      for (const other of alike(word)) {
        const own = other === word ? 1 : 0.8;
        const hits = index.search(other, {
          boost: { title: 5, page: 2, code: 0.5 },
          prefix: (term) => term.length > 2,
          fuzzy: (term) => (term.length > 5 ? 0.15 : false),
          weights: { fuzzy: 0.2, prefix: 0.4 },
          combineWith: "AND",
        });
        for (const hit of hits) best.set(hit.id, Math.max(best.get(hit.id) ?? 0, own * hit.score));
      }
      const most = Math.max(0, ...best.values());
      // each word of the question counts alike, however rare it is
      for (const [id, value] of best) {
        const [sum, number] = score.get(id) ?? [0, 0];
        score.set(id, [sum + Math.sqrt(value / most), number + 1]);
      }
    }
    const title = wanted.map(stem).join(" ");
    return [...score].map(([id, [sum, number]]) => {
      const entry = all.entries[id];
      const said = asked(entry.title).map(stem).join(" ");
      const isTitle = said === title || entry.title.endsWith(`.${query}`)
        || (entry.kind === "term" && said.startsWith(`${title} `));
      const share = (number / wanted.length) ** 2; // of the question's words
      return { entry, score: sum * share * weight(entry, all, query) * (isTitle ? 3 : 1) };
    }).sort((a, b) => b.score - a.score);
  }

  // -- what the reader sees

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  /** Some words of the text around the first that was asked for, which are marked. */
  function excerpt(entry, wanted) {
    const stems = new Set(wanted.flatMap(alike).flatMap(words).map(stem));
    const isWanted = ([word]) => words(word).some((part) => stems.has(stem(part)));
    const within = (text) => [...text.matchAll(/[\p{L}\p{N}_]+/gu)].filter(isWanted);
    const { text } = entry;
    const hits = within(text);
    // where most of the words stand together
    const near = (hit) => new Set(hits.filter(({ index }) => index >= hit.index && index < hit.index + 150)
      .map(([word]) => word.toLowerCase())).size;
    const first = hits.reduce((best, hit) => (best && near(best) >= near(hit) ? best : hit), null);
    const middle = first ? first.index : 0;
    let from = middle < 60 ? 0 : text.lastIndexOf(" ", middle - 50) + 1;
    let to = from + 180 >= text.length ? text.length : text.lastIndexOf(" ", from + 180);
    if (to <= middle) to = Math.min(text.length, middle + 120);
    const shown = element("p", { className: "excerpt" }, from > 0 ? "… " : "");
    for (const hit of hits.filter(({ index }) => index >= from && index < to)) {
      shown.append(text.slice(from, hit.index), element("mark", {}, hit[0]));
      from = hit.index + hit[0].length;
    }
    shown.append(text.slice(from, to), to < text.length ? " …" : "");
    return shown;
  }

  const KINDS = { term: "Glossary", name: "Reference" };

  function result({ entry }, { pages }, wanted) {
    const place = entry.place ? `#${encodeURIComponent(entry.place)}` : "";
    const link = element("a", { href: `${entry.page}.html${place}` }, entry.title);
    const page = KINDS[entry.kind] ?? (entry.kind === "page" ? "" : pages[entry.page]);
    if (entry.kind === "page") link.textContent = pages[entry.page];
    const item = element("li", {}, link);
    if (page) item.append(" ", element("span", { className: "where" }, page));
    if (entry.text) item.append(excerpt(entry, wanted));
    return item;
  }

  function show(query) {
    const box = document.getElementById("search-results");
    const summary = element("p", { className: "search-summary", role: "status" });
    const list = element("ol");
    box.replaceChildren(summary, list);
    const wanted = asked(query);
    const found = find(makeIndex(bookSearchIndex), bookSearchIndex, query);
    const best = found.slice(0, MOST);
    for (const hit of best) list.append(result(hit, bookSearchIndex, wanted));
    // the page that is opened marks these words (book.js)
    list.addEventListener("click", () => localStorage.setItem("sphinx_highlight_terms", wanted.join(" ")));
    walk(list);
    // after the list: a reader who hears it can go there
    const number = `${found.length} ${found.length === 1 ? "place" : "places"}`;
    const part = found.length > best.length ? `; the best ${best.length} are listed` : "";
    summary.textContent = found.length
      ? `${number} found for “${query}”${part}.`
      : `Nothing found for “${query}”. Try fewer words, or the index of names.`;
    if (!found.length) summary.append(" ", element("a", { href: "genindex.html" }, "Index"));
  }

  /** The first result has the focus; arrows walk through them. */
  function walk(list) {
    const links = [...list.querySelectorAll("a")];
    list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      const next = links[links.indexOf(document.activeElement) + step];
      if (next) next.focus();
      event.preventDefault();
    });
    links[0]?.focus();
  }

  /** A classic script, which may be loaded from the disk; the next one waits for it. */
  const load = (name) => new Promise((done, failed) => {
    const script = element("script", { src: new URL(name, here), onload: done });
    script.onerror = () => failed(new Error(name));
    document.head.append(script);
  });

  document.addEventListener("DOMContentLoaded", async () => {
    const query = new URLSearchParams(location.search).get("q")?.trim() ?? "";
    const fields = document.querySelectorAll("input[name=q]");
    for (const field of fields) field.value = query;
    if (!query) {
      [...fields].find((field) => field.checkVisibility?.())?.focus();
      return;
    }
    try {
      for (const name of NEEDED) await load(name);
    } catch ({ message }) {
      document.getElementById("search-results").replaceChildren(element("p",
        { className: "search-summary", role: "alert" }, `The search cannot work: ${message} was not found.`));
      return;
    }
    stemmer = new Stemmer();
    show(query);
  });
})();
