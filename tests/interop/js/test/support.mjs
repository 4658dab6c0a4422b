import { readFileSync } from 'node:fs';

/** A JSON file of the repository's tests/vectors. */
export const vector = (path) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${path}`, import.meta.url), 'utf8'));
