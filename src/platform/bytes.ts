/** Sizes for people. */
export const MIB = 2 ** 20;

/** `300 MiB`: for log messages. */
export const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

/** Powers of 1024, as `docker run --memory` counts. */
export const UNITS = ['', 'k', 'm', 'g', 't'];

/** `300MiB`: as a setting is written. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? String(value) : `${value}${UNITS[unit]?.toUpperCase()}iB`;
}
