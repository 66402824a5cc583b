// A device's quantities over time: live, or from the archive.
import { useEffect, useRef, useState } from 'preact/hooks'
import type uPlot from 'uplot'
import { readingFresh } from '../live/sensor'
import { live } from '../live/store'
import { address, setQuery } from '../router'
import { dark as darkNow } from '../theme'
import { dateTime, duration } from '../ui/format'
import { download } from '../ui/download'
import { Icon } from '../ui/icons'
import { Chart } from './Chart'
import { csv } from './csv'
import { linesOf } from './lines'
import { png } from './png'
import { RANGES, Toggles, ZoomButtons } from './Controls'
import { spanOf, type Span } from './range'
import { shiftOf } from './shift'
import { Summary } from './Summary'
import { useHistory } from './useHistory'

const CLOCK_OFF = 3000 // ms past which it is said that a device's clock is wrong

export interface PlotWhat {
  device: string
  sensor: boolean // an outside sensor: its fields are measurements
  period: number // s
  fields: Array<{ name: string, unit: string }>
  channels: Array<{ number: number, label: string }> // empty when it has none
  chosen: string[] // fields at the start
}

export function PlotPanel (what: PlotWhat) {
  const [fields, setFields] = useState(what.chosen)
  const [hidden, setHidden] = useState<number[]>([])
  const [range, setRange] = useState(RANGES[0]!)
  const [zoom, setZoom] = useZoom()
  const [log, setLog] = useState(false)
  const [cursor, setCursor] = useState<number | null>(null)
  const chart = useRef<uPlot | null>(null)
  const now = useSeconds()
  const dark = darkNow.value
  const channels = what.channels.map(c => c.number).filter(c => !hidden.includes(c))
  const shift = useShift(what)
  const got = useHistory({ device: what.device, sensor: what.sensor, channels, fields, span: range.span, zoom, points: range.points, shift })

  const to = zoom?.to ?? now
  const from = zoom?.from ?? now - range.span
  const lines = linesOf(what, { fields, channels, from, to, live: range.span <= RANGES[0]!.span && !zoom, dark }, got, live.ring)
  const last = Math.max(-Infinity, ...lines.map(l => l.last?.at ?? -Infinity))
  const bad = what.sensor ? !live.sensors.peek().some(r => r.sensor === what.device && fields.includes(r.measurement) && readingFresh(r, now, live.link.value) === 'live') : live.freshness(what.device).value !== 'live'
  const stale = bad && !zoom && Number.isFinite(last)
  const title = `${what.device}: ${fields.join(', ')}`
  const caption = `${title}, ${dateTime(from)} to ${dateTime(to)}`
  const file = `${what.device}_${fields.join('-')}_${new Date(from).toISOString().slice(0, 19)}`
  const visible = lines.map(l => ({ name: `${what.device} ${l.key.includes('-') && what.channels.length > 0 ? `${l.key.split('-')[0]} ${l.key.slice(l.key.indexOf('-') + 1)}` : l.key}`, unit: l.unit, points: l.points }))

  return (
    <section class="card plot" aria-labelledby="h-plot" data-test="plot-panel">
      <div class="card-head">
        <h2 id="h-plot">Plot</h2>
        <button type="button" class="btn small" data-test="export-csv" disabled={lines.length === 0} onClick={() => download(`${file}.csv`, new Blob([csv(visible)], { type: 'text/csv' }))}><Icon name="save" />CSV</button>
        <button type="button" class="btn small" data-test="export-png" disabled={lines.length === 0} onClick={() => { if (chart.current) png(chart.current, caption, lines, dark, `${file}.png`) }}><Icon name="save" />PNG</button>
      </div>
      <div class="plot-controls">
        <fieldset class="group"><legend>Range</legend>
          {RANGES.map(r => <button key={r.name} type="button" class="btn small" aria-pressed={range.name === r.name} data-test={`range-${r.name}`} onClick={() => { setRange(r); setZoom(null) }}>{r.label}</button>)}
        </fieldset>
        <ZoomButtons from={from} to={to} zoomed={zoom !== null} set={setZoom} />
        <Toggles legend="Quantities" all={what.fields.map(f => ({ id: f.name, label: f.unit ? `${f.name} (${f.unit})` : f.name }))} on={fields} test="field" set={f => setFields(f.length > 0 ? what.fields.map(x => x.name).filter(x => f.includes(x)) : fields)} />
        {what.channels.length > 1 && <Toggles legend="Channels" all={what.channels.map(c => ({ id: String(c.number), label: c.label }))} on={channels.map(String)} test="line-channel" set={c => setHidden(what.channels.map(x => x.number).filter(n => !c.includes(String(n))))} />}
        <label class="check small"><input type="checkbox" checked={log} data-test="log" onChange={e => setLog(e.currentTarget.checked)} />log |y|</label>
      </div>
      {got.error && <p class="note warn small" data-test="plot-error">The archive does not answer, so only what came since the page was opened is shown: {got.error}</p>}
      {Math.abs(shift) > CLOCK_OFF && <p class="note warn small" data-test="plot-clock">The clock of {what.device} is {duration(Math.abs(shift))} {shift < 0 ? 'ahead of' : 'behind'} the gateway's. The archive's times are shifted by that here; in the archive they are {what.device}'s own.</p>}
      {lines.length > 0 && <Chart lines={lines} from={from} to={to} log={log} dark={dark} label={`Plot of ${caption}. The table below has its numbers.`} staleFrom={stale ? last : null}
        onZoom={(a, b) => setZoom({ from: a, to: b })} onReset={() => setZoom(null)} onCursor={setCursor} onChart={u => { chart.current = u }} />}
      <p class="muted small hint-drag">Drag over the plot to zoom, double-click to go back.{cursor !== null && <> Cursor at {dateTime(cursor)}.</>}{got.busy && ' Loading…'}</p>
      <Summary lines={lines} from={from} to={to} caption={caption} cursor={cursor} stale={bad} />
    </section>
  )
}

// useZoom is the span that is looked at closer, null for one that moves on. It begins as what the address asks for, which is true until another is chosen.
function useZoom (): [Span | null, (z: Span | null) => void] {
  const query = address.value.split('?')[1] ?? ''
  const asked = spanOf(new URLSearchParams(query))
  const [zoom, setZoom] = useState(asked)
  useEffect(() => { if (asked) setZoom(asked) }, [query]) // another link to the same page
  const set = (z: Span | null) => {
    setZoom(z)
    if (asked) setQuery({})
  }
  return [zoom, set]
}

// useShift is what the gateway's clock is ahead of the device's, ms. An outside sensor's values have the time of their arrival.
function useShift (what: PlotWhat): number {
  const shift = useRef(0)
  if (!what.sensor) shift.current = shiftOf(live.device(what.device).peek(), shift.current)
  return shift.current
}

// useSeconds is the gateway's time, once a second while the page is seen.
function useSeconds (): number {
  const [now, setNow] = useState(gatewayNow)
  useEffect(() => {
    const t = setInterval(() => { if (!document.hidden) setNow(gatewayNow()) }, 1000)
    return () => clearInterval(t)
  }, [])
  return now
}

const gatewayNow = () => live.clock.gateway(Date.now())
