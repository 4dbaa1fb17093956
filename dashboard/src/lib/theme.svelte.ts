// Light or dark: as the system has it, or as the viewer chose, remembered.

type Theme = "light" | "dark";

const NOTE = "lapwing.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme | null {
  const noted = localStorage.getItem(NOTE);
  return noted === "light" || noted === "dark" ? noted : null;
}

function wanted(): Theme {
  return chosen() ?? (system.matches ? "dark" : "light");
}

export const theme = $state<{ current: Theme }>({ current: wanted() });

function apply(): void {
  theme.current = wanted();
  document.documentElement.dataset.theme = theme.current;
}

system.addEventListener("change", apply);
apply();

/** The other one; the system's own is not noted, so that later changes of it are followed. */
export function switchTheme(): void {
  const next: Theme = theme.current === "dark" ? "light" : "dark";
  if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(NOTE);
  else localStorage.setItem(NOTE, next);
  apply();
}
