// A page where a model draws, as a page of the site: as dark as the reader has chosen there.
{
  const chosen = JSON.parse(localStorage.getItem(new URL("..", location).pathname + ".__palette"))
  const button = document.querySelector("#dark")
  const isDark = button?.getAttribute("aria-checked") === "true"
  if (chosen && button && isDark !== (chosen.color.scheme === "slate")) button.click()
}
