// S-curves with what was fitted to them: curves, maps and histograms. A channel that is chosen in one is marked in the others.
import { useMemo, useState } from 'preact/hooks'
import type { RunFile } from '../../api/types'
import type { Run } from '../data/document'
import { resultName } from '../data/file'
import { nameOf, type SCurves } from '../data/scurve'
import { unitOf } from '../data/units'
import { Section } from '../parts/bits'
import { Quantity } from './Quantity'
import { SCurvePlot } from './SCurvePlot'

export const mostPicked = 6

export function SCurveResult ({ run, file, curves }: { run: Run, file: RunFile, curves: SCurves }) {
  const [picked, setPicked] = useState<number[]>(() => first(curves))
  const unit = useMemo(() => unitOf(run.results, 'threshold', 'scan'), [run.results])
  const toggle = (i: number) => setPicked(p => p.includes(i) ? p.filter(x => x !== i) : [...p, i].slice(-mostPicked))
  const about = { names: (i: number) => nameOf(curves, i), channel: curves.channel, chip: curves.chip, picked, onPick: toggle }
  const id = `result-${resultName(file.name)}`
  return (
    <>
      <Section id={id} title="S-curves" note={<>{curves.hits.length} channels at {curves.x.length} thresholds each, from {file.name}.</>}>
        <SCurvePlot curves={curves} unit={unit} picked={picked} onPicked={setPicked} most={mostPicked} />
      </Section>
      {curves.threshold || curves.noise
        ? (
          <div class="runs-pair">
            {curves.threshold ? <Quantity id="threshold" title="Threshold" unit={unit} values={curves.threshold} {...about} /> : null}
            {curves.noise ? <Quantity id="noise" title="Noise" unit={unit} values={curves.noise} {...about} /> : null}
          </div>
          )
        : null}
    </>
  )
}

// first is the channel in the middle, so that there is something to be seen.
function first (c: SCurves): number[] {
  if (c.hits.length === 0) return []
  const fine = c.threshold?.findIndex(t => !Number.isNaN(t)) ?? 0
  return [Math.max(fine, 0)]
}
