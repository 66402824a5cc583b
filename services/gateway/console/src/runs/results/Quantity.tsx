// One quantity of all channels: its map, its histogram, and in words which channels stand out.
import { useMemo, useState } from 'preact/hooks'
import { robustRange, spread } from '../data/stats'
import { number } from '../data/values'
import { Section } from '../parts/bits'
import { HeatMap, type Props as MapProps } from './HeatMap'
import { HistogramPlot } from './HistogramPlot'

type Props = Omit<MapProps, 'range'>

export function Quantity ({ id, title, unit, values, channel, chip, names, picked, onPick }: Props) {
  const [whole, setWhole] = useState(false)
  const s = useMemo(() => spread(values), [values])
  const near = useMemo(() => robustRange(values), [values])
  const range: [number, number] = whole && s.min < s.max ? [s.min, s.max] : near
  const far = useMemo(() => outside(values, near), [values, near])
  const dead = useMemo(() => indexes(values, v => Number.isNaN(v)), [values])
  const u = unit ? ` ${unit}` : ''
  return (
    <Section id={id} title={title} note={<>{s.count} channels: mean {number(s.mean)}{u}, RMS {number(s.rms, 4)}{u}, {number(s.min)} to {number(s.max)}{u}.</>}>
      <HeatMap {...{ id, title, unit, values, channel, chip, names, picked, onPick, range }} />
      {near[0] > s.min || near[1] < s.max
        ? <label class="check"><input type="checkbox" checked={whole} data-test={`${id}-whole`} onChange={e => setWhole(e.currentTarget.checked)} />scale from the lowest to the highest</label>
        : null}
      <p class="small" data-test={`${id}-text`}>
        {far.length > 0 ? <>Far from the others: {list(far.map(i => `${names(i)} with ${number(values[i] ?? Number.NaN)}${u}`))}. </> : 'No channel is far from the others. '}
        {dead.length > 0 ? <>Without a value: {list(dead.map(names))}.</> : 'Every channel has a value.'}
      </p>
      <HistogramPlot id={id} title={title} unit={unit} values={values} />
    </Section>
  )
}

const shown = 10
const list = (of: string[]): string => of.length <= shown ? of.join(', ') : `${of.slice(0, shown).join(', ')} and ${of.length - shown} more`

function indexes (values: readonly number[], want: (v: number) => boolean): number[] {
  return values.flatMap((v, i) => want(v) ? [i] : [])
}

// outside are channels off the usual range, the farthest first.
function outside (values: readonly number[], [low, high]: [number, number]): number[] {
  const off = (i: number) => Math.max(low - (values[i] ?? 0), (values[i] ?? 0) - high)
  return indexes(values, v => v < low || v > high).sort((a, b) => off(b) - off(a))
}
