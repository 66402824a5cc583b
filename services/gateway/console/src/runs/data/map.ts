// A map of all channels: where each stands, and which colour it has.

// Layout has channels in rows from left to right. Those of a chip begin a new row.
export interface Layout {
  columns: number
  rows: { first: number, count: number, chip: number | null }[] // channels first … first+count-1 by index
}

// layout puts channels into rows of at most so many cells. A chip's rows are about equally long, so that they can be compared.
export function layout (count: number, chip: readonly number[] | null, most: number): Layout {
  const rows: Layout['rows'] = []
  let columns = 1
  for (let first = 0; first < count;) {
    const own = chip?.[first] ?? null
    let end = first + 1
    while (end < count && (chip?.[end] ?? null) === own) end++
    const width = chip ? Math.ceil((end - first) / Math.ceil((end - first) / most)) : roundWidth(end - first, most)
    for (let at = first; at < end; at += width) rows.push({ first: at, count: Math.min(width, end - at), chip: own })
    columns = Math.max(columns, Math.min(width, end - first))
    first = end
  }
  return { columns, rows }
}

// roundWidth is a power of two where nothing says how channels belong together, so that their numbers can be told from their places.
function roundWidth (count: number, most: number): number {
  const power = 2 ** Math.floor(Math.log2(Math.max(most, 1)))
  return Math.max(1, Math.min(power, count))
}

export function placeOf (l: Layout, i: number): { row: number, column: number } | null {
  const row = l.rows.findIndex((r) => i >= r.first && i < r.first + r.count)
  const of = l.rows[row]
  return of ? { row, column: i - of.first } : null
}

export function at (l: Layout, row: number, column: number): number | null {
  const r = l.rows[row]
  return r && column >= 0 && column < r.count ? r.first + column : null
}

// step is the channel that a key leads to; null for a key that leads nowhere.
export function step (l: Layout, i: number, key: string, count: number): number | null {
  const here = placeOf(l, i)
  const row = here && l.rows[here.row]
  if (!here || !row) return null
  const to = (n: number) => Math.min(Math.max(n, 0), count - 1)
  const vertical = (by: number) => {
    const r = l.rows[Math.min(Math.max(here.row + by, 0), l.rows.length - 1)] ?? row
    return r.first + Math.min(here.column, r.count - 1)
  }
  switch (key) {
    case 'ArrowRight': return to(i + 1)
    case 'ArrowLeft': return to(i - 1)
    case 'ArrowDown': return vertical(1)
    case 'ArrowUp': return vertical(-1)
    case 'PageDown': return vertical(4)
    case 'PageUp': return vertical(-4)
    case 'Home': return 0
    case 'End': return count - 1
    default: return null
  }
}

type RGB = readonly [number, number, number]

// Viridis: its lightness rises evenly, so that it is read without colours too, and by all kinds of colour vision.
const viridis: readonly RGB[] = [
  [68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140], [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37],
]

// colourAt is the colour at 0 to 1 of the scale.
export function colourAt (f: number): RGB {
  const x = Math.min(Math.max(f, 0), 1) * (viridis.length - 1)
  const i = Math.min(Math.floor(x), viridis.length - 2)
  const a = viridis[i] ?? [0, 0, 0]
  const b = viridis[i + 1] ?? a
  const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (x - i))
  return [mix(0), mix(1), mix(2)]
}
