// A map of all channels by colour. It is a slider for who uses a keyboard or a screen reader: its value is the channel, its text what was measured.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { at, layout, placeOf, step } from '../data/map'
import { number } from '../data/values'
import { useTheme } from '../parts/theme'
import { useWidth } from '../parts/use'
import { drawMap, drawScale, geometry } from './draw'

export interface Props {
  id: string
  title: string
  unit: string
  values: readonly number[]
  channel: readonly number[]
  chip: readonly number[] | null
  names: (i: number) => string
  picked: readonly number[]
  onPick: (i: number) => void
  range: [number, number]
}

const narrowest = 3.5 // px of a cell

export function HeatMap ({ id, title, unit, values, channel, chip, names, picked, onPick, range }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const scale = useRef<HTMLCanvasElement>(null)
  const [cursor, setCursor] = useState<number | null>(null)
  const [focused, setFocused] = useState(false)
  const theme = useTheme()
  const l = useMemo(() => layout(values.length, chip, Math.max(8, Math.floor((width - 40) / narrowest))), [values.length, chip, width])
  const g = useMemo(() => geometry(l, width, chip !== null), [l, width, chip])

  useEffect(() => {
    if (canvas.current && width > 0) drawMap(canvas.current, { l, g, values, channel, range, picked, cursor, theme })
  }, [l, g, values, range, picked, cursor, theme])
  useEffect(() => { if (scale.current) drawScale(scale.current) }, [width > 0])

  const under = (e: PointerEvent | MouseEvent): number | null => {
    const box = canvas.current?.getBoundingClientRect()
    return box ? at(l, g.rowAt(e.clientY - box.top), g.columnAt(e.clientX - box.left)) : null
  }
  const key = (e: KeyboardEvent) => {
    const here = cursor ?? 0
    if (e.key === 'Enter' || e.key === ' ') {
      e.preventDefault()
      onPick(here)
      return
    }
    const next = step(l, here, e.key, values.length)
    if (next === null || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    setCursor(next)
  }
  const u = unit ? ` ${unit}` : ''
  const says = (i: number) => {
    const v = values[i] ?? Number.NaN
    const off = v < range[0] ? ', below the scale' : v > range[1] ? ', above the scale' : ''
    return `${names(i)}: ${Number.isNaN(v) ? 'no value' : number(v) + u + off}${picked.includes(i) ? ', marked' : ''}`
  }
  const where = cursor !== null ? placeOf(l, cursor) : null
  return (
    <figure class="runs-figure" ref={ref as never}>
      <canvas
        ref={canvas} tabIndex={0} role="slider" class="runs-map" data-test={`${id}-map`}
        aria-label={`Map of ${title.toLowerCase()} by channel. Arrow keys go from channel to channel, Enter marks one in the S-curves.`}
        aria-valuemin={0} aria-valuemax={Math.max(0, values.length - 1)} aria-valuenow={cursor ?? 0} aria-valuetext={says(cursor ?? 0)}
        onKeyDown={key} onFocus={() => { setFocused(true); if (cursor === null) setCursor(0) }} onBlur={() => setFocused(false)}
        onPointerMove={e => { if (e.pointerType !== 'touch') setCursor(under(e) ?? cursor) }} onPointerLeave={() => { if (!focused) setCursor(null) }}
        onClick={e => {
          const i = under(e)
          if (i === null) return
          setCursor(i)
          onPick(i)
        }}
      />
      <figcaption class="runs-legend small">
        <span class="runs-scale"><span>{number(range[0], 4)}</span><canvas ref={scale} class="runs-gradient" aria-hidden="true" /><span>{number(range[1], 4)}{u}</span></span>
        <span><span class="runs-key is-none" aria-hidden="true" /> no value</span>
        <span><span class="runs-key is-far" aria-hidden="true" /> off the scale</span>
        <span class="runs-readout" data-test={`${id}-readout`}>{cursor !== null && where ? says(cursor) : 'Point at a channel to read it; click to mark it.'}</span>
      </figcaption>
    </figure>
  )
}
