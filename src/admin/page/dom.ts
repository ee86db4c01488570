/** Creates and finds elements. Nothing here parses HTML: text stays text. */
export type Child = Node | string;

/** An attribute that is undefined is left out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
): SVGElementTagNameMap[K] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** The element of page.html with this id. */
export function find(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`page.html has no #${id}`);
  return found;
}

/** Sets text only if it differs, so that a selection in it survives. */
export function say(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

const ROLES: Readonly<Record<string, string>> = {
  TABLE: 'table',
  THEAD: 'rowgroup',
  TBODY: 'rowgroup',
  TR: 'row',
  TD: 'cell',
};

/** Sets the roles of a table's parts: some browsers drop them where CSS lays rows out as cards. */
export function keepTable(root: Element): void {
  for (const part of [root, ...root.querySelectorAll('*')]) {
    const head = part.getAttribute('scope') === 'row' ? 'rowheader' : 'columnheader';
    const role = part.tagName === 'TH' ? head : ROLES[part.tagName];
    if (role !== undefined) part.setAttribute('role', role);
  }
}
