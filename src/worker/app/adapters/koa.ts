/** A Koa app. */
import type { NodeHandler } from '../app.ts';
import { can, type Form } from '../form.ts';

export const koa: Form = (value) => {
  // Express apps are functions, and have no callback().
  if (!can(value, 'callback', 'use') || typeof value === 'function') return undefined;
  return ({ label }) => ({ kind: 'handler', name: label, handle: value.callback() as NodeHandler });
};
