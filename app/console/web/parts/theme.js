// @ts-check
/** Light or dark: the system's choice, unless a person has said otherwise. */

export const THEME = "headstart.theme";

export function dress() {
  const theme = localStorage.getItem(THEME);
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

dress();
