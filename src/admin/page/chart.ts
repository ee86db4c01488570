/** A chart of the last minutes: one or two lines over time, with their values as text. */
import { element, say, svg } from './dom.ts';
import { type Point, WINDOW_SECONDS } from './series.ts';
import { NONE, roundUp, span } from './words.ts';

type LineKey = Exclude<keyof Point, 'at'>;

interface ChartOptions {
  readonly title: string;
  /** Each with its class in page.css. Several are shown with their names. */
  readonly lines: { readonly [key in LineKey]?: string };
  readonly format: (value: number | null) => string;
  /** The top of the scale is never below this, so that noise looks small. */
  readonly least: number;
  readonly absent: string;
}

/** Of the viewBox, which is stretched to the size of the panel. */
const WIDTH = 300;
const HEIGHT = 100;
/** Shortest time shown, in seconds: a page that was just opened has no minutes to show. */
const LEAST_WINDOW = 60;
/** Points further apart than this, in seconds, are not joined: the page was hidden, or the server did not answer. */
const GAP = 7;

export class Chart {
  readonly root: HTMLElement;
  readonly #options: ChartOptions;
  readonly #when = element('span', { class: 'when' });
  readonly #top = element('span', { class: 'top', 'aria-hidden': 'true' });
  readonly #absent = element('span', { class: 'absent' });
  readonly #from = element('span');
  readonly #cursor = svg('line', { class: 'cursor', y1: '0', y2: String(HEIGHT), visibility: 'hidden' });
  readonly #drawing = svg('svg', { role: 'img', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' });
  readonly #lines: readonly { key: LineKey; value: Element; area: SVGPathElement; line: SVGPathElement }[];
  #points: readonly Point[] = [];
  /** Seconds from left to right. */
  #window = LEAST_WINDOW;
  /** The pointer's position, 0 to 1 from left to right. */
  #pointedAt: number | undefined;

  constructor(options: ChartOptions) {
    this.#options = options;
    for (const y of [0, HEIGHT / 2, HEIGHT]) {
      this.#drawing.append(svg('line', { class: 'grid', x2: String(WIDTH), y1: String(y), y2: String(y) }));
    }
    const lines = Object.entries(options.lines) as [LineKey, string][];
    const now = element('p', { class: 'now' });
    this.#lines = lines.map(([key, look]) => {
      const value = element('strong', {}, NONE);
      const area = svg('path', { class: `area ${look}` });
      const line = svg('path', { class: `line ${look}` });
      if (lines.length === 1) this.#drawing.append(area);
      this.#drawing.append(line);
      now.append(lines.length === 1 ? value : element('span', { class: `key ${look}` }, `${key} `, value));
      return { key, value, area, line };
    });
    this.#drawing.append(this.#cursor);
    this.root = element(
      'figure',
      { class: 'chart' },
      element('figcaption', {}, element('h3', {}, options.title, ' ', this.#when), now),
      element('div', { class: 'plot' }, this.#drawing, this.#top, this.#absent),
      element('p', { class: 'axis', 'aria-hidden': 'true' }, this.#from, element('span', {}, 'now')),
    );
    this.#drawing.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = this.#drawing.getBoundingClientRect();
      this.#read((clientX - left) / width);
    });
    this.#drawing.addEventListener('pointerleave', () => this.#read(undefined));
  }

  show(points: readonly Point[]): void {
    this.#points = points;
    const lasted = this.#newestAt - (points[0]?.at ?? 0);
    this.#window = Math.min(WINDOW_SECONDS, Math.max(LEAST_WINDOW, lasted));
    say(this.#from, `${span(this.#window)} ago`);
    const { least, format, absent } = this.#options;
    const all = points.flatMap((point) => this.#lines.map(({ key }) => point[key])).filter((v) => v !== null);
    const top = roundUp(Math.max(least, ...all));
    for (const { key, line, area } of this.#lines) {
      const runs = this.#runs(key, top);
      line.setAttribute('d', runs.map((run) => `M${run.join('L')}${run.length === 1 ? 'h0' : ''}`).join(''));
      // Down to the bottom, and back to below the first point.
      area.setAttribute('d', runs.map((run) => `M${run.join('L')}V${HEIGHT}H${run[0]?.split(' ')[0]}Z`).join(''));
    }
    say(this.#top, all.length === 0 ? '' : format(top));
    say(this.#absent, all.length > 0 ? '' : points.length === 0 ? 'collecting …' : absent);
    this.#drawing.setAttribute('aria-label', this.#inWords(lasted));
    this.#read(this.#pointedAt);
  }

  get #newestAt(): number {
    return this.#points.at(-1)?.at ?? 0;
  }

  /** Points as `x y`, split at gaps. */
  #runs(key: LineKey, top: number): string[][] {
    const runs: string[][] = [];
    let last = Number.NEGATIVE_INFINITY;
    for (const { at, [key]: y } of this.#points) {
      if (y === null) continue;
      if (at - last > GAP) runs.push([]);
      last = at;
      runs.at(-1)?.push(`${this.#across(this.#newestAt - at).toFixed(1)} ${(HEIGHT * (1 - y / top)).toFixed(2)}`);
    }
    return runs;
  }

  #across(ago: number): number {
    return WIDTH * (1 - ago / this.#window);
  }

  /** Shows the values of the point nearest to the pointer, or of the newest. */
  #read(pointedAt: number | undefined): void {
    this.#pointedAt = pointedAt;
    const at = this.#newestAt - this.#window * (1 - (pointedAt ?? 1));
    const [point] = [...this.#points].sort((a, b) => Math.abs(a.at - at) - Math.abs(b.at - at));
    for (const { key, value } of this.#lines) say(value, this.#options.format(point ? point[key] : null));
    const ago = point ? this.#newestAt - point.at : 0;
    say(this.#when, ago > 0 ? `${span(ago)} ago` : '');
    this.#cursor.setAttribute('visibility', ago > 0 ? 'visible' : 'hidden');
    for (const end of ['x1', 'x2']) this.#cursor.setAttribute(end, String(this.#across(ago)));
  }

  /** The label of the drawing: a screen reader reads it when it gets there, not at every change. */
  #inWords(seconds: number): string {
    const { title, format, absent } = this.#options;
    if (this.#points.length === 0) return `${title}: nothing collected yet`;
    const told = this.#lines.map(({ key }) => {
      const values = this.#points.map((point) => point[key]).filter((v) => v !== null);
      if (values.length === 0) return `${key}: ${absent}`;
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return `${key}: now ${format(values.at(-1) ?? null)}, lowest ${format(low)}, highest ${format(high)}`;
    });
    return `${title} over the last ${span(Math.max(1, seconds))}. ${told.join('. ')}.`;
  }
}
