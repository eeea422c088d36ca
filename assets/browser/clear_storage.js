// Clears what the page's own site stored.
async () => {
  try { localStorage.clear(); sessionStorage.clear(); } catch { /* a site without storage of its own */ }
  const jobs = [];
  if (globalThis.indexedDB?.databases) {
    for (const { name } of await indexedDB.databases()) jobs.push(indexedDB.deleteDatabase(name));
  }
  if (globalThis.caches) for (const name of await caches.keys()) jobs.push(caches.delete(name));
  if (navigator.serviceWorker) {
    for (const worker of await navigator.serviceWorker.getRegistrations()) jobs.push(worker.unregister());
  }
  await Promise.all(jobs);
  return true;
}
