// All S-curves in grey, and some of them one by one with what was fitted.
import { useMemo, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { Icon } from '../../ui/icons'
import { fitted, nameOf, parseSelection, type SCurves } from '../data/scurve'
import { number } from '../data/values'
import { axis, Plot } from '../parts/Plot'
import type { Theme } from '../parts/theme'
import { Wide } from '../parts/bits'

const between = 4 // points of a fit from one threshold to the next

interface Props { curves: SCurves, unit: string, picked: number[], onPicked: (p: number[]) => void, most: number }

export function SCurvePlot ({ curves, unit, picked, onPicked, most }: Props) {
  const [all, setAll] = useState(true)
  const [text, setText] = useState('')
  const [error, setError] = useState('')
  const data = useMemo(() => dataOf(curves, picked), [curves, picked])
  const label = `threshold${unit ? ` / ${unit}` : ''}`
  const options = (t: Theme) => optionsOf(curves, picked, all, label, t)
  const choose = () => {
    const s = parseSelection(text, curves.channel, most)
    setError(s.error)
    if (s.picked.length > 0) onPicked(s.picked)
  }
  return (
    <div class="runs-result">
      <Plot
        options={options} on={[curves, picked, all]} data={data} height={340} test="scurves-plot"
        label={`S-curves: hits over threshold of ${curves.hits.length} channels${picked.length ? `; marked: ${picked.map(i => nameOf(curves, i)).join(', ')}` : ''}. The table below has the numbers of those that are marked.`}
      />
      <p class="muted small"><span class="runs-mouse">Drag over the plot to zoom, double-click to see all. </span>Points are measured{curves.threshold && curves.noise ? ', lines are the error function of the fitted threshold and noise; the dashed upright is the threshold' : ''}.</p>
      <form class="runs-pick" onSubmit={e => { e.preventDefault(); choose() }}>
        <div class="field">
          <label for="pick-channels">Channels one by one</label>
          <input id="pick-channels" data-test="pick-channels" type="text" inputMode="text" autoComplete="off" placeholder="3, 7, 10-12" value={text} aria-invalid={error !== ''} aria-describedby="pick-error" onInput={e => setText(e.currentTarget.value)} />
        </div>
        <button type="submit" class="btn" data-test="pick">Mark</button>
        <label class="check"><input type="checkbox" checked={all} data-test="all-channels" onChange={e => setAll(e.currentTarget.checked)} />all channels in grey</label>
        <span class="error small runs-why" id="pick-error" role="alert">{error}</span>
      </form>
      {picked.length > 0
        ? (
          <Wide caption={`Channels that are marked${unit ? `; threshold and noise in ${unit}` : ''}`} heads={['Channel', 'Threshold', 'Noise', '.Unmark']} numeric={[1, 2]} test="picked">
            {picked.map((i, k) => (
              <tr key={i}>
                <th scope="row" class="nowrap"><span class={`runs-swatch s${k + 1}`} aria-hidden="true" />{nameOf(curves, i).replace('channel ', '')}</th>
                <td class="num">{number(curves.threshold?.[i] ?? Number.NaN)}</td>
                <td class="num">{number(curves.noise?.[i] ?? Number.NaN)}</td>
                <td class="num"><button type="button" class="btn small" aria-label={`Unmark ${nameOf(curves, i)}`} onClick={() => onPicked(picked.filter(x => x !== i))}><Icon name="close" /></button></td>
              </tr>
            ))}
          </Wide>
          )
        : null}
    </div>
  )
}

// dataOf has, for each channel, what was measured and what was fitted, the latter at more points.
function dataOf (c: SCurves, picked: number[]): uPlot.AlignedData {
  const x = c.x.flatMap((v, k) => {
    const next = c.x[k + 1]
    return next === undefined ? [v] : Array.from({ length: between }, (_, j) => v + (next - v) * j / between)
  })
  const series = picked.flatMap(i => {
    const hits = c.hits[i] ?? []
    const measured = x.map((_, k) => {
      const n = k % between === 0 ? hits[k / between] : undefined
      return n === undefined || Number.isNaN(n) ? null : n
    })
    return [measured, fitted(c, i, x) ?? x.map(() => null)]
  })
  // A series that is always there gives the axes their range when no channel is chosen.
  return [x, x.map((_, k) => k === 0 ? 0 : k === 1 ? c.top : null), ...series]
}

function optionsOf (c: SCurves, picked: number[], all: boolean, label: string, t: Theme): Omit<uPlot.Options, 'width' | 'height'> {
  const fits = c.threshold !== null && c.noise !== null
  return {
    legend: { show: false },
    padding: [10, 12, 0, 0],
    cursor: { drag: { x: true, y: true, uni: 20 } },
    scales: { x: { time: false }, y: { range: (_, min, max) => max - min > 0 && (min !== 0 || max !== c.top) ? [min, max] : [0, c.top * 1.04] } },
    axes: [axis(t, label, { size: 30 }), axis(t, c.top <= 1 ? 'occupancy' : 'hits', { size: 48 })],
    series: [{}, { show: true, stroke: 'transparent', points: { show: false } }, ...picked.flatMap((_, k): uPlot.Series[] => {
      const stroke = t.series[k % t.series.length] ?? t.accent
      return [
        { stroke, width: fits ? 0 : 1.5, spanGaps: true, paths: fits ? () => null : undefined, points: { show: true, size: 6, width: 1.5, stroke, fill: t.surface } },
        { stroke, width: 2, points: { show: false } },
      ]
    })],
    hooks: { drawAxes: [u => { if (all) behind(u, c, t) }], draw: [u => marks(u, c, picked, t)] },
  }
}

const inside = (u: uPlot, draw: (ctx: CanvasRenderingContext2D) => void): void => {
  const { ctx, bbox } = u
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  draw(ctx)
  ctx.restore()
}

// behind draws every curve so faintly that where many lie it is dark.
function behind (u: uPlot, c: SCurves, t: Theme): void {
  inside(u, ctx => {
    const x = c.x.map(v => u.valToPos(v, 'x', true))
    const zero = u.valToPos(0, 'y', true)
    const one = u.valToPos(1, 'y', true) - zero
    ctx.strokeStyle = t.text
    ctx.globalAlpha = Math.min(0.6, Math.max(0.03, 50 / c.hits.length))
    ctx.lineWidth = devicePixelRatio
    for (const curve of c.hits) {
      ctx.beginPath()
      for (let k = 0; k < curve.length; k++) {
        const n = curve[k] ?? Number.NaN
        if (!Number.isNaN(n)) ctx.lineTo(x[k] ?? 0, zero + n * one)
      }
      ctx.stroke()
    }
  })
}

function marks (u: uPlot, c: SCurves, picked: number[], t: Theme): void {
  inside(u, ctx => {
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio])
    ctx.lineWidth = 1.5 * devicePixelRatio
    picked.forEach((i, k) => {
      const at = c.threshold?.[i]
      if (at === undefined || Number.isNaN(at)) return
      ctx.strokeStyle = t.series[k % t.series.length] ?? t.accent
      const x = u.valToPos(at, 'x', true)
      ctx.beginPath()
      ctx.moveTo(x, u.bbox.top)
      ctx.lineTo(x, u.bbox.top + u.bbox.height)
      ctx.stroke()
    })
  })
}
