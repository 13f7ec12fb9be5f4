// What every component needs of the vendored libraries. Values become text nodes: nothing here, or
// anywhere on this page, turns a string of the API into markup.
import { h, render } from '../vendor/preact.mjs';
import htm from '../vendor/htm.mjs';

export { render };
export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from '../vendor/preact-hooks.mjs';

export const html = htm.bind(h);
