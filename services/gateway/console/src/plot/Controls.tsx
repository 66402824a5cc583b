// What of a plot one can choose.
const MINUTE = 60_000

export interface Range { name: string, label: string, span: number, points: number }

export const RANGES: Range[] = [
  { name: '15m', label: '15 min live', span: 15 * MINUTE, points: 900 },
  { name: '1h', label: '1 h', span: 60 * MINUTE, points: 600 },
  { name: '6h', label: '6 h', span: 360 * MINUTE, points: 600 },
  { name: '24h', label: '24 h', span: 1440 * MINUTE, points: 600 },
  { name: '7d', label: '7 d', span: 7 * 1440 * MINUTE, points: 600 },
  { name: '30d', label: '30 d', span: 30 * 1440 * MINUTE, points: 600 },
]

interface TogglesProps { legend: string, all: Array<{ id: string, label: string }>, on: string[], set: (on: string[]) => void, test: string }

export function Toggles ({ legend, all, on, set, test }: TogglesProps) {
  return (
    <fieldset class="group"><legend>{legend}</legend>
      {all.map(({ id, label }) => (
        <label key={id} class="check small"><input type="checkbox" checked={on.includes(id)} data-test={`${test}-${id}`}
          onChange={e => set(e.currentTarget.checked ? [...on, id] : on.filter(x => x !== id))} />{label}</label>
      ))}
    </fieldset>
  )
}

interface ZoomProps { from: number, to: number, zoomed: boolean, set: (z: { from: number, to: number } | null) => void }

// ZoomButtons do what dragging does, for keys and for fingers.
export function ZoomButtons ({ from, to, zoomed, set }: ZoomProps) {
  const span = to - from
  const go = (a: number, b: number) => { if (b - a >= 2000) set({ from: a, to: b }) }
  const button = (label: string, sign: string, test: string, f: () => void) => <button type="button" class="btn small" aria-label={label} title={label} data-test={test} onClick={f}>{sign}</button>
  return (
    <fieldset class="group"><legend>Zoom</legend>
      {button('Earlier', '◂', 'zoom-earlier', () => go(from - span / 2, to - span / 2))}
      {button('Later', '▸', 'zoom-later', () => go(from + span / 2, to + span / 2))}
      {/* What is of interest is mostly the end. */}
      {button('Zoom in', '+', 'zoom-in', () => zoomed ? go(from + span / 4, to - span / 4) : go(to - span / 2, to))}
      {button('Zoom out', '−', 'zoom-out', () => go(from - span / 2, to + span / 2))}
      {zoomed && <button type="button" class="btn small" data-test="zoom-reset" onClick={() => set(null)}>Reset</button>}
    </fieldset>
  )
}
