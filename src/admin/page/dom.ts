/** Creates and finds elements. Nothing here parses HTML: text stays text. */
export type Child = Node | string;

type Attributes = Readonly<Record<string, string>>;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = withAttributes(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes): SVGElementTagNameMap[K] {
  return withAttributes(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes);
}

function withAttributes<E extends Element>(made: E, attributes: Attributes): E {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function find(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`page.html has no #${id}`);
  return found;
}

/** Sets text only if it differs, so that a selection in it survives. */
export function say(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Gives each worker a child, in order. One that is still wanted is kept, and with it what is open or selected in it. */
export function showEach<T extends { readonly workerId: number }>(
  parent: HTMLElement,
  workers: readonly T[],
  make: (worker: T) => HTMLElement,
  update: (child: HTMLElement, worker: T) => void = () => {},
): void {
  const kept = new Map<string | undefined, HTMLElement>();
  for (const child of [...parent.children] as HTMLElement[]) {
    const { worker } = child.dataset;
    if (workers.some(({ workerId }) => String(workerId) === worker)) kept.set(worker, child);
    else child.remove();
  }
  for (const [i, worker] of workers.entries()) {
    const key = String(worker.workerId);
    const child = kept.get(key) ?? make(worker);
    child.dataset.worker = key;
    update(child, worker);
    const present = parent.children[i];
    if (present !== child) parent.insertBefore(child, present ?? null);
  }
}
