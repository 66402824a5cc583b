// A CSV result of which nothing is known: some of its rows, and a plot of columns that one chooses.
import { useMemo, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { RunFile } from '../../api/types'
import { cellText, isNumeric, type Column, type Table } from '../data/csv'
import { resultName } from '../data/file'
import { Section, Wide } from '../parts/bits'
import { axis, Plot } from '../parts/Plot'
import type { Theme } from '../parts/theme'
import { Quantity } from './Quantity'

const rowsShown = 50
const mostColumns = 40 // in the table
const mostSeries = 6
const rowNumber = '' // the choice of x that is no column

interface Props { file: RunFile, table: Table, channel: Column | undefined }

export function GenericTable ({ file, table, channel }: Props) {
  const numeric = useMemo(() => table.columns.filter(isNumeric), [table])
  const [x, setX] = useState(numeric[0]?.name ?? rowNumber)
  const [ys, setYs] = useState<string[]>(() => numeric.slice(1, 2).map(c => c.name))
  const [map, setMap] = useState('')
  const [from, setFrom] = useState(0)
  const name = resultName(file.name)
  const chosen = numeric.filter(c => ys.includes(c.name)).slice(0, mostSeries)
  const data = useMemo(() => dataOf(table, numeric.find(c => c.name === x), chosen), [table, x, ys])
  const mapped = numeric.find(c => c.name === map)
  const flip = (y: string, on: boolean) => setYs(on ? [...ys, y].slice(-mostSeries) : ys.filter(n => n !== y))
  return (
    <>
      <Section id={`result-${name}`} title={file.name} note={<>{table.rows} rows of {table.columns.length} columns.</>}>
        {numeric.length > 0 && table.rows > 1
          ? (
            <div class="runs-result">
              <div class="filters">
                <div class="field">
                  <label for={`${name}-x`}>Along the axis</label>
                  <select id={`${name}-x`} data-test="plot-x" value={x} onChange={e => setX(e.currentTarget.value)}>
                    <option value={rowNumber}>the row</option>
                    {numeric.map(c => <option key={c.name} value={c.name}>{c.name}</option>)}
                  </select>
                </div>
                {channel
                  ? (
                    <div class="field">
                      <label for={`${name}-map`}>Map of channels</label>
                      <select id={`${name}-map`} data-test="plot-map" value={map} onChange={e => setMap(e.currentTarget.value)}>
                        <option value="">none</option>
                        {numeric.filter(c => c !== channel).map(c => <option key={c.name} value={c.name}>{c.name}</option>)}
                      </select>
                    </div>
                    )
                  : null}
              </div>
              <fieldset class="group">
                <legend>Columns, {mostSeries} at most</legend>
                {numeric.slice(0, mostColumns).map(c => {
                  const k = chosen.indexOf(c)
                  return (
                    <label key={c.name} class="check">
                      <input type="checkbox" checked={k >= 0} onChange={e => flip(c.name, e.currentTarget.checked)} />
                      {k >= 0 ? <span class={`runs-swatch s${k + 1}`} aria-hidden="true" /> : null}{c.name}
                    </label>
                  )
                })}
              </fieldset>
              <Plot
                options={t => optionsOf(chosen, x || 'row', t)} on={[ys, x]} data={data} height={300} test="columns-plot"
                label={`${chosen.map(c => c.name).join(', ') || 'Nothing'} over ${x || 'the row'}. The table below has the numbers.`}
              />
            </div>
            )
          : null}
        <Rows table={table} from={from} onFrom={setFrom} name={file.name} />
      </Section>
      {mapped && channel
        ? <Quantity id="column" title={mapped.name} unit="" values={mapped.numbers} channel={channel.numbers} chip={null} names={i => `channel ${channel.numbers[i] ?? i}`} picked={[]} onPick={() => {}} />
        : null}
    </>
  )
}

// dataOf is in order of x, as uPlot wants it.
function dataOf (table: Table, x: Column | undefined, ys: Column[]): uPlot.AlignedData {
  const order = Array.from({ length: table.rows }, (_, i) => i).filter(i => !x || !Number.isNaN(x.numbers[i]))
  if (x) order.sort((a, b) => (x.numbers[a] ?? 0) - (x.numbers[b] ?? 0))
  const value = (c: Column, i: number) => {
    const v = c.numbers[i]
    return v === undefined || Number.isNaN(v) ? null : v
  }
  return [order.map(i => x ? x.numbers[i] ?? 0 : i), ...ys.map(c => order.map(i => value(c, i)))]
}

function optionsOf (ys: Column[], x: string, t: Theme): Omit<uPlot.Options, 'width' | 'height'> {
  return {
    legend: { show: false },
    padding: [10, 12, 0, 0],
    cursor: { drag: { x: true, y: true, uni: 20 } },
    scales: { x: { time: false } },
    axes: [axis(t, x, { size: 30 }), axis(t, ys.map(c => c.name).join(', ').slice(0, 60), { size: 60 })],
    series: [{}, ...ys.map((_, k): uPlot.Series => ({ stroke: t.series[k % t.series.length], width: 1.5, points: { size: 5 } }))],
  }
}

function Rows ({ table, from, onFrom, name }: { table: Table, from: number, onFrom: (n: number) => void, name: string }) {
  const columns = table.columns.slice(0, mostColumns)
  const to = Math.min(from + rowsShown, table.rows)
  const more = table.columns.length > columns.length ? ` and the first ${columns.length} of ${table.columns.length} columns` : ''
  return (
    <>
      <Wide caption={`${name}, rows ${table.rows === 0 ? 0 : from + 1} to ${to} of ${table.rows}${more}`} heads={columns.map(c => c.name)} test="rows">
        {Array.from({ length: to - from }, (_, k) => <tr key={k}>{columns.map((c, i) => <td key={i}>{cellText(c, from + k)}</td>)}</tr>)}
      </Wide>
      {table.rows > rowsShown
        ? (
          <nav class="row" aria-label={`Rows of ${name}`}>
            <button type="button" class="btn small" disabled={from === 0} onClick={() => onFrom(Math.max(0, from - rowsShown))}>Earlier rows</button>
            <button type="button" class="btn small" disabled={to >= table.rows} onClick={() => onFrom(to)}>Later rows</button>
          </nav>
          )
        : null}
    </>
  )
}
