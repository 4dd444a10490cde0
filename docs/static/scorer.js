// How the search of the documentation orders its results: the numbers of Sphinx, and then pages that
// answer questions before those that list everything. html_search_scorer names this file.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,

  score: ([page, , , , score, , kind]) => {
    if (kind === "object" || kind === "index") return score;
    if (page.startsWith("guides/")) return score + 8;
    if (["changelog", "explain", "api", "trust"].includes(page)) return score - 4;
    if (page.startsWith("notebooks/")) return score - 2;
    return score;
  },
};
