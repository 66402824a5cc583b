// A plot as a picture with a title and its lines' names.
import type uPlot from 'uplot'
import { download } from '../ui/download'
import type { Line } from './Chart'
import { aroundOf } from './look'

export function png (u: uPlot, title: string, lines: Line[], dark: boolean, name: string): void {
  const from = u.ctx.canvas
  const look = aroundOf(dark)
  const ratio = devicePixelRatio
  const row = 18 * ratio
  const margin = 10 * ratio
  const canvas = document.createElement('canvas')
  const ctx = canvas.getContext('2d')
  if (!ctx) return
  const font = `${12 * ratio}px system-ui, sans-serif`
  canvas.width = from.width + 2 * margin
  // The names' places are found first: they decide how high the picture is.
  ctx.font = font
  let x = margin
  let rows = 1
  const places = lines.map(l => {
    const w = ctx.measureText(l.label).width + 38 * ratio
    if (x + w > canvas.width - margin && x > margin) {
      x = margin
      rows++
    }
    const place = { x, row: rows }
    x += w
    return place
  })
  const head = margin + row * (rows + 1) + 6 * ratio
  canvas.height = head + from.height + margin
  ctx.fillStyle = look.back
  ctx.fillRect(0, 0, canvas.width, canvas.height)
  ctx.textBaseline = 'middle'
  ctx.fillStyle = look.text
  ctx.font = `600 ${13 * ratio}px system-ui, sans-serif`
  ctx.fillText(title, margin, margin + row / 2)
  ctx.font = font
  lines.forEach((l, i) => {
    const y = margin + row * (places[i]!.row + 0.5)
    ctx.strokeStyle = l.colour
    ctx.lineWidth = 2 * ratio
    ctx.setLineDash(l.dash.map(d => d * ratio))
    ctx.beginPath()
    ctx.moveTo(places[i]!.x, y)
    ctx.lineTo(places[i]!.x + 22 * ratio, y)
    ctx.stroke()
    ctx.fillText(l.label, places[i]!.x + 28 * ratio, y)
  })
  ctx.drawImage(from, margin, head)
  canvas.toBlob(blob => { if (blob) download(name, blob) }, 'image/png')
}
