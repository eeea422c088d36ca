// {display, lines, seconds}
let box, name;
put("identify", argument.seconds, (stage) => {
  style(stage, { background: INK, "border-top": `1.8vmin solid ${ACCENT}`, "box-sizing": "border-box", padding: "7vmin", gap: "3vmin", "justify-content": "center" });
  make(stage, { color: SOFT, "font-size": "5vmin", "line-height": "1.2" }, "This display is");
  box = make(stage, { overflow: "hidden", width: "100%", "max-height": "50vh" });
  name = make(box, { "font-weight": "700", "line-height": "1.08", "letter-spacing": "-.035em", "overflow-wrap": "anywhere", "padding-bottom": ".08em" }, argument.display);
  const lines = make(stage, { display: "flex", "flex-direction": "column", gap: "1vmin", "border-top": `.3vmin solid ${LINE}`, "padding-top": "3vmin", "margin-top": "1vmin" });
  for (const line of argument.lines ?? []) make(lines, { "font-size": "4vmin", "line-height": "1.35", "overflow-wrap": "anywhere" }, line);
});
// On one line as large as it goes, and on several only when one would be too small to read from afar.
style(name, { "white-space": "nowrap" });
fit(box, name, 34, 9);
if (box.scrollWidth > box.clientWidth + 1) {
  style(name, { "white-space": "normal" });
  fit(box, name, 14, 5);
}
return painted();
