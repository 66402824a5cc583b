// How often which value is.
import { useMemo } from 'preact/hooks'
import uPlot from 'uplot'
import { histogram } from '../data/stats'
import { number } from '../data/values'
import { axis, Plot } from '../parts/Plot'
import type { Theme } from '../parts/theme'

interface Props { id: string, title: string, unit: string, values: readonly number[] }

export function HistogramPlot ({ id, title, unit, values }: Props) {
  const h = useMemo(() => histogram(values), [values])
  const data = useMemo((): uPlot.AlignedData => {
    // A bin before and one after, empty, so that the outer bars are whole.
    const counts = [0, ...h.counts, 0]
    return [counts.map((_, k) => h.from + (k - 0.5) * h.width), counts]
  }, [h])
  const u = unit ? ` ${unit}` : ''
  const label = `${title.toLowerCase()}${unit ? ` / ${unit}` : ''}`
  const options = (t: Theme): Omit<uPlot.Options, 'width' | 'height'> => ({
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { drag: { x: true, y: false }, points: { show: false } },
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(1, max * 1.06)] } },
    axes: [axis(t, label, { size: 30 }), axis(t, 'channels', { size: 48 })],
    series: [{}, { stroke: t.accent, fill: alpha(t.accent), width: 1, points: { show: false }, paths: uPlot.paths.bars?.({ size: [1, Infinity], align: 0, gap: 0 }) }],
  })
  const peak = h.counts.indexOf(Math.max(...h.counts))
  const off = [h.below > 0 ? `${h.below} below` : '', h.above > 0 ? `${h.above} above` : ''].filter(Boolean).join(', ')
  return (
    <figure class="runs-figure">
      <Plot
        options={options} on={[label]} data={data} height={180} test={`${id}-histogram`}
        label={`Histogram of ${label}: most channels, ${h.counts[peak] ?? 0}, from ${number(h.from + peak * h.width)} to ${number(h.from + (peak + 1) * h.width)}${u}.`}
      />
      <figcaption class="muted small">Bins of {number(h.width)}{u}.{off ? ` Not shown, as they are far off: ${off}.` : ''}</figcaption>
    </figure>
  )
}

// alpha is a colour that is seen through.
const alpha = (rgb: string): string => rgb.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.35)')
