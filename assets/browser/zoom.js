// Enlarges the document; ends when that is painted. In a document that is only beginning, as soon as there is a root.
(percent) => {
  const set = () => document.documentElement?.style.setProperty("zoom", `${percent}%`, "important");
  if (document.documentElement === null) {
    const watch = new MutationObserver(() => {
      if (document.documentElement === null) return;
      watch.disconnect();
      set();
    });
    watch.observe(document, { childList: true });
    return undefined;
  }
  set();
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))));
}
