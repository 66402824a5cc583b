// Drawing of a map of channels.
import { colourAt, placeOf, type Layout } from '../data/map'
import type { Theme } from '../parts/theme'

export interface Geometry {
  left: number // of the first cell; before it is the chip's number
  cell: { width: number, height: number }
  tops: number[] // of the rows; there is a gap before each chip
  width: number
  height: number
  rowAt: (y: number) => number
  columnAt: (x: number) => number
}

const gap = 4

export function geometry (l: Layout, width: number, chips: boolean): Geometry {
  const left = chips ? 24 : 0
  const cell = { width: Math.max(1, (width - left) / l.columns), height: Math.round(Math.min(26, Math.max(7, 230 / Math.max(1, l.rows.length)))) }
  let y = 0
  const tops = l.rows.map((r, i) => {
    if (chips && i > 0 && r.chip !== l.rows[i - 1]?.chip) y += gap
    const top = y
    y += cell.height
    return top
  })
  return {
    left, cell, tops, width, height: Math.max(y, 1),
    rowAt: at => tops.findIndex(top => at >= top && at < top + cell.height),
    columnAt: x => Math.floor((x - left) / cell.width),
  }
}

interface Drawing {
  l: Layout
  g: Geometry
  values: readonly number[]
  channel: readonly number[]
  range: [number, number]
  picked: readonly number[]
  cursor: number | null
  theme: Theme
}

export function drawMap (canvas: HTMLCanvasElement, d: Drawing): void {
  const { l, g, values, range: [low, high], theme } = d
  const ctx = size(canvas, g.width, g.height)
  if (!ctx) return
  ctx.font = '11px system-ui, sans-serif'
  ctx.textBaseline = 'middle'
  l.rows.forEach((r, row) => {
    const y = g.tops[row] ?? 0
    if (g.left > 0 && r.chip !== l.rows[row - 1]?.chip) {
      ctx.fillStyle = theme.muted
      ctx.fillText(String(r.chip), 2, y + g.cell.height / 2)
    }
    for (let k = 0; k < r.count; k++) {
      const v = values[r.first + k] ?? Number.NaN
      const x0 = Math.round(g.left + k * g.cell.width)
      const x1 = Math.round(g.left + (k + 1) * g.cell.width)
      cell(ctx, theme, Number.isNaN(v) ? null : (v - low) / (high - low), x0, y, x1 - x0, g.cell.height)
    }
  })
  for (const i of d.picked) outline(ctx, d, i, 2)
  if (d.cursor !== null) outline(ctx, d, d.cursor, 3)
}

// cell is a colour; one without a value is crossed out, and one off the scale has a dot, so that they are not told by colour alone.
function cell (ctx: CanvasRenderingContext2D, t: Theme, f: number | null, x: number, y: number, w: number, h: number): void {
  if (f === null) {
    ctx.fillStyle = t.surface
    ctx.fillRect(x, y, w, h)
    ctx.strokeStyle = t.text
    ctx.lineWidth = 1
    ctx.beginPath()
    ctx.moveTo(x, y)
    ctx.lineTo(x + w, y + h)
    ctx.moveTo(x + w, y)
    ctx.lineTo(x, y + h)
    ctx.stroke()
    return
  }
  ctx.fillStyle = `rgb(${colourAt(f).join(' ')})`
  ctx.fillRect(x, y, w, h)
  if (f < 0 || f > 1) {
    ctx.fillStyle = f > 1 ? '#000' : '#fff'
    const side = Math.max(2, Math.min(w, h) - 2)
    ctx.fillRect(x + (w - side) / 2, y + (h - side) / 2, side, side)
  }
}

function outline (ctx: CanvasRenderingContext2D, { l, g, theme }: Drawing, i: number, width: number): void {
  const p = placeOf(l, i)
  if (!p) return
  const x = g.left + p.column * g.cell.width
  const y = g.tops[p.row] ?? 0
  for (const [colour, by] of [[theme.surface, width + 2], [theme.text, width]] as const) {
    ctx.strokeStyle = colour
    ctx.lineWidth = by
    ctx.strokeRect(x - 0.5, y + 0.5, g.cell.width + 1, g.cell.height - 1)
  }
}

export function drawScale (canvas: HTMLCanvasElement): void {
  const ctx = size(canvas, 96, 12)
  if (!ctx) return
  for (let x = 0; x < 96; x++) {
    ctx.fillStyle = `rgb(${colourAt(x / 95).join(' ')})`
    ctx.fillRect(x, 0, 1, 12)
  }
}

// size gives a canvas as many points as the screen has.
function size (canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const by = devicePixelRatio || 1
  canvas.width = Math.round(width * by)
  canvas.height = Math.round(height * by)
  canvas.style.width = `${width}px`
  canvas.style.height = `${height}px`
  const ctx = canvas.getContext('2d')
  ctx?.scale(by, by)
  return ctx
}
