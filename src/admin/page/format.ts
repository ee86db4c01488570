/** Numbers and times for people. null is shown as a dash. */

export const NONE = '–';

const MIB = 2 ** 20;

/** `0.25`, `3.4`, `71.5`, `1,250`. */
export function number(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** @param ratio 0 to 1 */
export function percent(ratio: number | null): string {
  if (ratio === null || !Number.isFinite(ratio)) return NONE;
  const value = ratio * 100;
  return `${value.toFixed(value > 0 && value < 9.95 ? 1 : 0)} %`;
}

/** `0.4 ms`, `12 ms`, `1.5 s`. */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return NONE;
  const [value, unit] = seconds < 1 ? [seconds * 1000, 'ms'] : [seconds, 's'];
  return `${value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit}`;
}

/** The two largest units: `42 s`, `3 min 5 s`, `2 d 7 h`. */
export function span(seconds: number): string {
  const whole = Math.floor(seconds);
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  const first = units.findIndex(([size]) => whole >= size);
  if (first === -1) return '0 s';
  let rest = whole;
  const parts = units.slice(first, first + 2).map(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest %= size;
    return count > 0 ? `${count} ${unit}` : '';
  });
  return parts.join(' ').trim();
}

/** `94 MiB`, `1.5 GiB`. */
export function bytes(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  const mib = Math.round(value / MIB);
  return mib >= 1024 ? `${number(mib / 1024)} GiB` : `${mib} MiB`;
}

/** `94 of 224 MiB`. */
export function bytesOf(part: number, whole: number | null): string {
  const [a, b] = [bytes(part), bytes(whole)];
  const unit = b.slice(b.indexOf(' '));
  return `${a.endsWith(unit) ? a.slice(0, -unit.length) : a} of ${b}`;
}

/** `1 worker`, `3 workers`. */
export function plural(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** The top of a scale: the next round number. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.5, 2, 3, 4, 5, 6, 8].find((step) => step * power >= value * 0.999_999) ?? 10);
}
