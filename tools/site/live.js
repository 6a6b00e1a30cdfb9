// A page where a model draws, as a page of the site: as dark as the reader has chosen there.
const chosen = localStorage.getItem(new URL("..", location).pathname + ".__palette")
const dark = document.querySelector("#dark")
if (chosen && dark && (JSON.parse(chosen).color.scheme === "slate") !== (dark.getAttribute("aria-checked") === "true")) dark.click()
