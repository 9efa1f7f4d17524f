// Shows the paper anew when it was written again, and stays where one was reading.
const place = "place of " + location.pathname;
const told = document.createElement("p");
told.className = "note";
told.setAttribute("role", "status");
told.style.cssText = "position:fixed;left:0;right:0;bottom:0;margin:0;background:#fee;white-space:pre-wrap;z-index:9;text-align:left";
addEventListener("load", () => {
  const kept = sessionStorage.getItem(place);
  sessionStorage.removeItem(place);
  if (kept !== null) scrollTo(0, Number(kept));
});
new EventSource("/changes").onmessage = (event) => {
  const state = JSON.parse(event.data);
  told.textContent = state.mistake;
  if (state.mistake) document.body.append(told);
  else told.remove();
  if (state.version !== VERSION) {
    sessionStorage.setItem(place, String(scrollY));
    location.reload();
  }
};
