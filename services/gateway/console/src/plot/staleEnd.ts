// Where nothing is known any more a plot is hatched, so that its last value is not taken for now's.
import type uPlot from 'uplot'

export function staleEnd (u: uPlot, from: number | null, look: { stale: string, staleBack: string, text: string }): void {
  if (from === null) return
  const { left, top, width, height } = u.bbox
  const x = Math.max(left, u.valToPos(from / 1000, 'x', true))
  const end = left + width
  if (!(x < end)) return
  const { ctx } = u
  const ratio = devicePixelRatio
  ctx.save()
  ctx.beginPath()
  ctx.rect(x, top, end - x, height)
  ctx.clip()
  ctx.fillStyle = look.staleBack
  ctx.fillRect(x, top, end - x, height)
  ctx.strokeStyle = look.stale
  ctx.lineWidth = ratio
  ctx.beginPath()
  for (let i = x - height; i < end; i += 10 * ratio) {
    ctx.moveTo(i, top + height)
    ctx.lineTo(i + height, top)
  }
  ctx.stroke()
  ctx.restore()
  ctx.save()
  ctx.fillStyle = look.text
  ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`
  const text = 'no live values'
  const w = ctx.measureText(text).width
  ctx.textBaseline = 'top'
  ctx.fillText(text, end - x > w + 12 * ratio ? x + 6 * ratio : Math.max(left, end - w - 6 * ratio), top + 6 * ratio)
  ctx.restore()
}
