// Runs in every document before its own scripts. Tells once that the document is on the glass: at its first contentful
// paint or, where nothing counts as content, two frames after it has loaded. The player of our own tells of each item.
(tell, pages) => {
  if (window !== window.top) return;
  const ours = location.origin === pages;
  const root = () => document.documentElement;
  let told = false;

  const say = () => {
    told = true;
    const failed = ours && root()?.dataset.paint === "failed" ? root().dataset.why : null;
    const uri = document.documentURI.slice(0, 8192); // as much as is kept of it (src/display/shell/bidi.rs)
    const status = performance.getEntriesByType("navigation")[0]?.responseStatus;
    tell(JSON.stringify({ kind: "painted", uri, status: status || null, failed }));
  };

  // Our own pages fill themselves in after they have loaded: they say when.
  if (ours) document.addEventListener("pikiosk-paint", say);
  const ready = () => {
    if (!told && !(ours && root()?.dataset.paint === "wait")) say();
  };

  new PerformanceObserver((list) => {
    if (list.getEntriesByName("first-contentful-paint").length > 0) ready();
  }).observe({ type: "paint", buffered: true });
  const loaded = () => requestAnimationFrame(() => requestAnimationFrame(ready));
  // A document that was there before us has loaded already.
  if (document.readyState === "complete") loaded();
  else window.addEventListener("load", loaded, { once: true });
}
