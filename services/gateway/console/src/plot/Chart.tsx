// uPlot in a component: it is made anew when its lines change, and given data when they only grow.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { align, type Last, type Points } from './data'
import { aroundOf, timeLabels, valueLabels } from './look'
import { staleEnd } from './staleEnd'

export interface Line { key: string, label: string, unit: string, colour: string, dash: number[], points: Points, last: Last | null }

export interface ChartProps {
  lines: Line[]
  from: number // ms
  to: number
  log: boolean
  dark: boolean
  label: string
  staleFrom: number | null // ms; from here on nothing is known
  onZoom: (from: number, to: number) => void
  onReset: () => void
  onCursor: (time: number | null) => void
  onChart: (u: uPlot | null) => void
}

const HEIGHT = 320

export function Chart (props: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const now = useRef(props)
  now.current = props
  const shape = JSON.stringify([props.lines.map(l => [l.key, l.unit, l.colour, l.dash]), props.log, props.dark])

  useEffect(() => {
    const el = box.current
    if (!el) return
    const u = new uPlot(options(now, el.clientWidth), data(now.current), el)
    chart.current = u
    u.setScale('x', { min: now.current.from / 1000, max: now.current.to / 1000 })
    props.onChart(u)
    const resize = new ResizeObserver(() => u.setSize({ width: el.clientWidth, height: HEIGHT }))
    resize.observe(el)
    return () => {
      resize.disconnect()
      props.onChart(null)
      chart.current = null
      u.destroy()
    }
  }, [shape])

  useEffect(() => {
    const u = chart.current
    if (!u) return
    u.batch(() => {
      u.setData(data(props), false)
      u.setScale('x', { min: props.from / 1000, max: props.to / 1000 })
    })
  })

  return <div ref={box} class="chart" role="img" aria-label={props.label} data-test="plot" />
}

const data = (p: ChartProps) => align(p.lines.map(l => l.points), p.log) as uPlot.AlignedData

function options (now: { current: ChartProps }, width: number): uPlot.Options {
  const { lines, log, dark } = now.current
  const look = aroundOf(dark)
  const units = [...new Set(lines.map(l => l.unit))]
  const axis = { stroke: look.axis, grid: { stroke: look.grid, width: 1 }, ticks: { stroke: look.grid, width: 1, size: 5 }, font: '12px system-ui, sans-serif' }
  const scales: uPlot.Scales = { x: { time: true, auto: false } }
  for (const unit of units) scales['y' + unit] = { auto: true, distr: log ? 3 : 1 }
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    scales,
    axes: [
      { ...axis, values: (_, splits, __, ___, incr) => timeLabels(splits, incr), space: 64 },
      ...units.map((unit, i) => ({
        ...axis,
        scale: 'y' + unit,
        side: i === 0 ? 3 as const : 1 as const,
        grid: { ...axis.grid, show: i === 0 },
        size: 64,
        label: width > 480 ? (log ? `|${unit || 'value'}|` : unit) : undefined,
        labelSize: 18,
        labelFont: '12px system-ui, sans-serif',
        values: (_: uPlot, splits: Array<number | null>) => valueLabels(splits, unit),
      })),
    ],
    series: [{}, ...lines.flatMap(l => series(l))],
    bands: lines.map((l, i) => ({ series: [3 * i + 3, 3 * i + 2] as [number, number], fill: l.colour + '33' })),
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      bind: { dblclick: () => () => { now.current.onReset(); return null } },
    },
    hooks: {
      setCursor: [u => { now.current.onCursor(u.cursor.idx === null || u.cursor.idx === undefined ? null : (u.data[0][u.cursor.idx] ?? 0) * 1000) }],
      setSelect: [u => {
        if (u.select.width < 6) return
        const [a, b] = [u.select.left, u.select.left + u.select.width].map(x => u.posToVal(x, 'x') * 1000)
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        now.current.onZoom(a!, b!)
      }],
      draw: [u => staleEnd(u, now.current.staleFrom, look)],
    },
  }
}

// series are a line's mean, which is seen, and its least and greatest, which the band lies between.
function series (l: Line): uPlot.Series[] {
  const bound: uPlot.Series = { label: l.label, scale: 'y' + l.unit, stroke: 'transparent', width: 0, points: { show: false } }
  return [{ label: l.label, scale: 'y' + l.unit, stroke: l.colour, width: 1.75, dash: l.dash }, bound, bound].map(s => ({ ...s }))
}
