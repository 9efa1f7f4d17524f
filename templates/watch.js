// Shows the paper anew when it was written again, and stays where one was reading.
const place = "place of " + location.pathname;
const told = document.createElement("p");
told.className = "note";
told.setAttribute("role", "status");
told.style.cssText = "position:fixed;left:0;right:0;bottom:0;margin:0;background:#fee;white-space:pre-wrap;z-index:9;text-align:left";
addEventListener("load", () => scrollTo(0, Number(sessionStorage.getItem(place) ?? 0)));
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
