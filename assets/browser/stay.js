// A link leads from here to there and opens nothing beside it, whatever key is held and whichever button is pressed: this
// display has one page. Before the page hears of the click, and only of links: all else is the page's own affair.
() => {
  const stay = event => {
    const opens = event.ctrlKey || event.shiftKey || event.metaKey || event.altKey || event.button === 1;
    if (!event.isTrusted || !opens) return;
    const isLink = node => (node.localName === "a" || node.localName === "area") && (node.href || node.hasAttribute?.("xlink:href"));
    if (event.composedPath().some(isLink)) event.preventDefault();
  };
  addEventListener("click", stay, true);
  addEventListener("auxclick", stay, true);
}
