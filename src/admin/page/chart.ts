/** A chart of the last minutes: one or two lines over time, with their values as text. */
import { element, say, svg } from './dom.ts';
import { NONE, roundUp, span } from './format.ts';
import { type Point, WINDOW_SECONDS } from './series.ts';

export interface ChartLine {
  /** Also the line's name, shown if there are several. */
  readonly key: Exclude<keyof Point, 'at'>;
  /** A class in page.css. */
  readonly look: string;
}

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly format: (value: number | null) => string;
  /** The top of the scale is never below this, so that noise looks small. */
  readonly least: number;
  /** Shown if there are no values. */
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
  readonly #values: HTMLElement[] = [];
  readonly #when = element('span', { class: 'when' });
  readonly #top = element('span', { class: 'top', 'aria-hidden': 'true' });
  readonly #absent = element('span', { class: 'absent' });
  readonly #from = element('span');
  readonly #drawing: SVGSVGElement;
  readonly #paths: { readonly line: SVGPathElement; readonly area: SVGPathElement | undefined }[];
  readonly #cursor = svg('line', { class: 'cursor', y1: '0', y2: String(HEIGHT), visibility: 'hidden' });
  #points: readonly Point[] = [];
  /** Seconds from left to right. */
  #window = LEAST_WINDOW;
  /** The pointer's position, 0 to 1 from left to right. */
  #pointedAt: number | undefined;

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#drawing = svg('svg', { role: 'img', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' });
    for (const y of [0, HEIGHT / 2, HEIGHT]) {
      this.#drawing.append(svg('line', { class: 'grid', x2: String(WIDTH), y1: String(y), y2: String(y) }));
    }
    const single = options.lines.length === 1;
    this.#paths = options.lines.map(({ look }) => ({
      area: single ? svg('path', { class: `area ${look}` }) : undefined,
      line: svg('path', { class: `line ${look}` }),
    }));
    for (const { area, line } of this.#paths) this.#drawing.append(...(area ? [area, line] : [line]));
    this.#drawing.append(this.#cursor);

    const now = element('p', { class: 'now' });
    for (const { key, look } of options.lines) {
      const value = element('strong', {}, NONE);
      this.#values.push(value);
      now.append(single ? value : element('span', { class: `key ${look}` }, `${key} `, value));
    }
    this.root = element(
      'figure',
      { class: 'chart' },
      element('figcaption', {}, element('h3', {}, options.title, ' ', this.#when), now),
      element('div', { class: 'plot' }, this.#drawing, this.#top, this.#absent),
      element('p', { class: 'axis', 'aria-hidden': 'true' }, this.#from, element('span', {}, 'now')),
    );
    const point = (at: number | undefined): void => {
      this.#pointedAt = at;
      this.#read();
    };
    this.#drawing.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = this.#drawing.getBoundingClientRect();
      point((clientX - left) / width);
    });
    this.#drawing.addEventListener('pointerleave', () => point(undefined));
  }

  show(points: readonly Point[]): void {
    this.#points = points;
    const now = points.at(-1)?.at ?? 0;
    this.#window = Math.min(WINDOW_SECONDS, Math.max(LEAST_WINDOW, now - (points[0]?.at ?? now)));
    say(this.#from, `${span(this.#window)} ago`);
    const { lines, least, format, absent } = this.#options;
    const all = points.flatMap((point) => lines.map(({ key }) => point[key])).filter((v) => v !== null);
    const top = roundUp(Math.max(least, ...all));
    for (const [i, { key }] of lines.entries()) {
      const runs = runsOf(points, key, ({ at }) => this.#across(now - at), top);
      const line = runs.map((run) => `M${run.join('L')}${run.length === 1 ? 'h0' : ''}`);
      this.#paths[i]?.line.setAttribute('d', line.join(''));
      this.#paths[i]?.area?.setAttribute('d', runs.map(areaBelow).join(''));
    }
    say(this.#top, all.length === 0 ? '' : format(top));
    say(this.#absent, all.length > 0 ? '' : points.length === 0 ? 'collecting …' : absent);
    this.#drawing.setAttribute('aria-label', this.#inWords(now));
    this.#read();
  }

  #across(ago: number): number {
    return WIDTH * (1 - ago / this.#window);
  }

  /** Shows the values of the point under the pointer, or of the newest. */
  #read(): void {
    const newest = this.#points.at(-1);
    const point = this.#pointed(newest) ?? newest;
    for (const [i, { key }] of this.#options.lines.entries()) {
      const target = this.#values[i];
      if (target) say(target, this.#options.format(point ? point[key] : null));
    }
    const ago = point && newest ? newest.at - point.at : 0;
    say(this.#when, ago > 0 ? `${span(ago)} ago` : '');
    this.#cursor.setAttribute('visibility', ago > 0 ? 'visible' : 'hidden');
    for (const end of ['x1', 'x2']) this.#cursor.setAttribute(end, String(this.#across(ago)));
  }

  #pointed(newest: Point | undefined): Point | undefined {
    if (this.#pointedAt === undefined || newest === undefined) return undefined;
    const at = newest.at - this.#window * (1 - this.#pointedAt);
    const distance = (point: Point): number => Math.abs(point.at - at);
    return this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best), newest);
  }

  /** The label of the drawing: a screen reader reads it when it gets there, not at every change. */
  #inWords(now: number): string {
    const { title, lines, format, absent } = this.#options;
    const first = this.#points[0];
    if (first === undefined) return `${title}: nothing collected yet`;
    const told = lines.map(({ key }) => {
      const values = this.#points.map((point) => point[key]).filter((v) => v !== null);
      if (values.length === 0) return `${key}: ${absent}`;
      const newest = values.at(-1) ?? null;
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return `${key}: now ${format(newest)}, lowest ${format(low)}, highest ${format(high)}`;
    });
    return `${title} over the last ${span(Math.max(1, now - first.at))}. ${told.join('. ')}.`;
  }
}

/** Points as `x y`, split at gaps. */
function runsOf(
  points: readonly Point[],
  key: ChartLine['key'],
  across: (point: Point) => number,
  top: number,
): string[][] {
  const runs: string[][] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const point of points) {
    const y = point[key];
    if (y === null) continue;
    if (point.at - last > GAP) runs.push([]);
    last = point.at;
    runs.at(-1)?.push(`${across(point).toFixed(1)} ${(HEIGHT * (1 - y / top)).toFixed(2)}`);
  }
  return runs;
}

function areaBelow(run: readonly string[]): string {
  const x = (point = '0'): string => point.split(' ')[0] ?? '0';
  return `M${x(run[0])} ${HEIGHT}L${run.join('L')}L${x(run.at(-1))} ${HEIGHT}Z`;
}
