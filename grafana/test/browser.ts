// Grafana's library wants a browser when it is loaded. It gets as little of one as
// it takes; a window that is not an object keeps others from drawing in it.

const nothing = (): null => null;
const window = Object.assign(nothing, { addEventListener: nothing, history: {}, localStorage: { getItem: nothing, setItem: nothing, removeItem: nothing } });

export const browser = Object.assign(globalThis, { window });
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: { language: 'en', languages: ['en'] } });
