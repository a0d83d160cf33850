// Before the first paint, so that nobody who chose dark sees white. Everything else is a module and waits for the document.
function showTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

showTheme(localStorage.getItem("theme"));

addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("theme");
  choice.value = localStorage.getItem("theme") ?? "";
  choice.addEventListener("change", () => {
    localStorage.setItem("theme", choice.value);
    showTheme(choice.value);
  });
});
