/** A small chart of the last minutes: one or two lines over time, with what they show as text beside and behind them. */
import { element, say, svg } from './dom.ts';
import { NONE, roundUp, span } from './format.ts';
import { type Point, WINDOW_SECONDS } from './series.ts';

export interface Line {
  /** Shown where there are several. */
  readonly label: string;
  readonly value: (point: Point) => number | null;
  /** Its look, a class in page.css. */
  readonly look: string;
}

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly format: (value: number | null) => string;
  /** The top is never below this, so that noise about nothing looks like nothing. */
  readonly least: number;
  /** Why there may be nothing to show. */
  readonly absent: string;
}

/** Of the drawing, which is stretched to the place that there is. */
const WIDTH = 300;
const HEIGHT = 100;
/** The least that is shown, in seconds: a page that was just opened has no minutes to show. */
const LEAST_WINDOW = 60;
/** Farther apart than this, in seconds, points are not joined: the page was hidden, or nobody answered. */
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
  /** Where the pointer is, 0 to 1 from left to right. */
  #pointedAt: number | undefined;

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#drawing = svg('svg', {
      role: 'img',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
    });
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
    for (const { label, look } of options.lines) {
      const value = element('strong', {}, NONE);
      this.#values.push(value);
      now.append(single ? value : element('span', { class: `key ${look}` }, `${label} `, value));
    }
    this.root = element(
      'figure',
      { class: 'chart' },
      element('figcaption', {}, element('h3', {}, options.title, ' ', this.#when), now),
      element('div', { class: 'plot' }, this.#drawing, this.#top, this.#absent),
      element('p', { class: 'axis', 'aria-hidden': 'true' }, this.#from, element('span', {}, 'now')),
    );
    this.#drawing.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = this.#drawing.getBoundingClientRect();
      this.#pointedAt = (clientX - left) / width;
      this.#read();
    });
    this.#drawing.addEventListener('pointerleave', () => {
      this.#pointedAt = undefined;
      this.#read();
    });
  }

  show(points: readonly Point[]): void {
    this.#points = points;
    const now = points.at(-1)?.at ?? 0;
    this.#window = Math.min(WINDOW_SECONDS, Math.max(LEAST_WINDOW, now - (points[0]?.at ?? now)));
    say(this.#from, `${span(this.#window)} ago`);
    const all = points
      .flatMap((point) => this.#options.lines.map(({ value }) => value(point)))
      .filter((v) => v !== null);
    const top = roundUp(Math.max(this.#options.least, ...all));
    for (const [i, { value }] of this.#options.lines.entries()) {
      const runs = runsOf(points, value, ({ at }) => this.#across(now - at), top);
      this.#paths[i]?.line.setAttribute(
        'd',
        runs.map((run) => `M${run.join('L')}${run.length === 1 ? 'h0' : ''}`).join(''),
      );
      this.#paths[i]?.area?.setAttribute('d', runs.map(areaBelow).join(''));
    }
    say(this.#top, all.length === 0 ? '' : this.#options.format(top));
    say(this.#absent, all.length > 0 ? '' : points.length === 0 ? 'collecting …' : this.#options.absent);
    this.#drawing.setAttribute('aria-label', this.#inWords(now));
    this.#read();
  }

  #across(ago: number): number {
    return WIDTH * (1 - ago / this.#window);
  }

  /** The values of the newest point, or of the one under the pointer. */
  #read(): void {
    const newest = this.#points.at(-1);
    const point = this.#pointed(newest) ?? newest;
    for (const [i, { value }] of this.#options.lines.entries()) {
      const target = this.#values[i];
      if (target) say(target, this.#options.format(point ? value(point) : null));
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

  /** For those who do not see the drawing: it is read when they come to it, and not at every change. */
  #inWords(now: number): string {
    const { title, lines, format, absent } = this.#options;
    const first = this.#points[0];
    if (first === undefined) return `${title}: nothing collected yet`;
    const told = lines.map(({ label, value }) => {
      const values = this.#points.map(value).filter((v) => v !== null);
      if (values.length === 0) return `${label}: ${absent}`;
      const newest = values.at(-1) ?? null;
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return `${label}: now ${format(newest)}, lowest ${format(low)}, highest ${format(high)}`;
    });
    return `${title} over the last ${span(Math.max(1, now - first.at))}. ${told.join('. ')}.`;
  }
}

/** Points as `x y`, in runs without a gap. */
function runsOf(
  points: readonly Point[],
  value: Line['value'],
  across: (point: Point) => number,
  top: number,
): string[][] {
  const runs: string[][] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const point of points) {
    const y = value(point);
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
