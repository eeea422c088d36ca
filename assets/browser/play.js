(url) => new Promise((done, failed) => {
  // Plays to the end, and says so. A stream has no end, and what is longer than the supervisor waits is none either.
  const longest = 300;
  const audio = new Audio();
  const give_up = (why) => {
    audio.removeAttribute("src");
    failed(new Error(why));
  };
  const words = ["", "it was stopped", "it could not be loaded", "it cannot be decoded", "there is no such sound, or it is no sound"];
  // Firefox calls it a matter of decoding where there is nothing to hear it with.
  const reason = (error) => (error?.message.includes("MediaSinkAudioError") ? "nothing on this display can be heard" : words[error?.code]) ?? "it cannot be played";
  audio.onerror = () => give_up(`${reason(audio.error)} (${audio.error?.message || "no details"})`);
  audio.ondurationchange = () => {
    if (audio.duration > longest) give_up(`it lasts longer than ${longest} s`);
  };
  audio.onended = () => done(JSON.stringify({ seconds: Math.round(audio.duration * 1000) / 1000 }));
  audio.src = url;
  audio.play().catch((error) => give_up(audio.error ? reason(audio.error) : `${error.name}: ${error.message}`));
})
