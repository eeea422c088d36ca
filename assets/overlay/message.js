// {text, level, seconds, position}
const LEVELS = {
  info: { mark: "i", bar: "#6db8ff", back: INK, text: PAPER, on: INK },
  success: { mark: "✓", bar: "#57d9a3", back: INK, text: PAPER, on: INK },
  warning: { mark: "!", bar: INK, back: "#ffbe55", text: INK, on: "#ffbe55" },
  alert: { mark: "!", bar: PAPER, back: "#c4182f", text: "#ffffff", on: "#c4182f" },
};
const level = LEVELS[argument.level] ?? LEVELS.info;
const whole = argument.position === "full";
const length = argument.text.length;
// The shorter, the larger; `fit` only ever has to make it smaller.
const size = (whole ? 1.5 : 1) * (length <= 60 ? 7 : length <= 160 ? 5.4 : length <= 500 ? 4 : 3);
let box, words;

put("message", argument.seconds, (stage) => {
  const place = { top: "flex-start", bottom: "flex-end" }[argument.position] ?? "center";
  style(stage, { "align-items": "center", "justify-content": place, padding: whole ? "0" : "5vmin", "box-sizing": "border-box" });
  box = make(stage, {
    display: "flex", "align-items": "center", gap: "4vmin", "box-sizing": "border-box", overflow: "hidden",
    background: level.back, color: level.text,
    ...(whole
      ? { width: "100%", height: "100%", padding: "8vmin", "justify-content": "center", "flex-direction": "column", "text-align": "center" }
      : { "max-width": "100%", "max-height": "100%", padding: "4vmin 5.5vmin 4vmin 4.5vmin", "border-radius": "2vmin",
          // A ring in the page's contrast, whatever its colour; no blur, which is dear to paint.
          border: `.35vmin solid ${level.back === INK ? LINE : level.text}`, outline: ".5vmin solid rgba(0, 0, 0, .35)" }),
  });
  make(box, {
    flex: "none", width: whole ? "14vmin" : "8.4vmin", height: whole ? "14vmin" : "8.4vmin", "border-radius": "50%",
    background: level.bar, color: level.on, display: "flex", "align-items": "center", "justify-content": "center",
    "font-weight": "700", "font-size": whole ? "9vmin" : "5.4vmin", "line-height": "1",
  }, level.mark);
  words = make(box, {
    "min-width": "0", "max-width": "100%", "font-weight": "700", "line-height": "1.25", "letter-spacing": "-.01em",
    "white-space": "pre-wrap", "overflow-wrap": "anywhere",
  }, argument.text);
});
fit(box, words, size, 1.6);
return painted();
