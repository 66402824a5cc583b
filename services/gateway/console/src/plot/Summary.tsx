// The plot in numbers: its legend, and what it says to who cannot see it.
import { Icon } from '../ui/icons'
import { shownText } from '../ui/format'
import type { Line } from './Chart'
import { nearest, statsOf } from './data'

interface SummaryProps { lines: Line[], from: number, to: number, caption: string, cursor: number | null, stale: boolean }

export function Summary ({ lines, from, to, caption, cursor, stale }: SummaryProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="The plot in numbers">
      <table class="summary" data-test="plot-summary">
        <caption>{caption}</caption>
        <thead><tr><th scope="col">Line</th><th scope="col" class="num">At cursor</th><th scope="col" class="num">{stale ? <span class="stale-head"><Icon name="stale" />Last known</span> : 'Last'}</th><th scope="col" class="num">Min</th><th scope="col" class="num">Mean</th><th scope="col" class="num">Max</th></tr></thead>
        <tbody>
          {lines.map(l => {
            const s = statsOf(l.points, from, to)
            const at = cursor === null ? undefined : nearest(l.points, cursor)
            const cell = (v: number | undefined) => v === undefined ? '—' : shownText(v, l.unit)
            return (
              <tr key={l.key} data-test={`line-${l.key}`}>
                <th scope="row"><span class="legend"><Swatch colour={l.colour} dash={l.dash} />{l.label}</span></th>
                <td class="num">{cell(at)}</td><td class="num">{cell(l.last?.value)}</td><td class="num">{cell(s?.min)}</td><td class="num">{cell(s?.mean)}</td><td class="num">{cell(s?.max)}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

function Swatch ({ colour, dash }: { colour: string, dash: number[] }) {
  return <svg width="24" height="10" viewBox="0 0 24 10" aria-hidden="true" focusable="false"><path d="M0 5h24" stroke={colour} stroke-width="3" stroke-dasharray={dash.join(' ') || undefined} /></svg>
}
