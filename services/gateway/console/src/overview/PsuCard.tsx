// A power supply with its channels.
import type { Device } from '../api/types'
import type { Freshness } from '../live/clock'
import { channelsOf, labelOf, limitsOf } from '../live/limits'
import { live } from '../live/store'
import { Flags, OnChip } from '../ui/flags'
import { Value } from '../ui/Value'
import { DeviceHead } from './DeviceHead'

export function PsuCard ({ name }: { name: string }) {
  const d = live.device(name).value
  const fresh = live.freshness(name).value
  return (
    <article class="card" data-test={`device-${name}`} data-fresh={fresh} aria-label={`Power supply ${name}`}>
      <DeviceHead name={name} />
      {d && <Channels d={d} fresh={fresh} />}
    </article>
  )
}

function Channels ({ d, fresh }: { d: Device, fresh: Freshness }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Channels of ${d.name}`}>
      <table class="channels">
        <caption class="hidden-visually">Channels of {d.name}</caption>
        <thead><tr><th scope="col">Channel</th><th scope="col">Output</th><th scope="col" class="num set-col">Set</th><th scope="col" class="num">Voltage</th><th scope="col" class="num">Current</th></tr></thead>
        <tbody>
          {channelsOf(d.status, d.meta).map(ch => {
            const max = limitsOf(d.meta, 'setv', ch.number).max
            return (
              <tr key={ch.number} data-test={`row-${d.name}-${ch.number}`}>
                <th scope="row">{labelOf(d.meta, ch.number)}<Flags ch={ch} lock={d.locks[String(ch.number)]} fresh={fresh} /></th>
                <td><OnChip ch={ch} fresh={fresh} /></td>
                <td class="num set-col"><Value v={ch.vreq} unit="V" max={max} fresh={fresh} test="vreq" /></td>
                <td class="num"><Value v={ch.vmon} unit="V" max={max} fresh={fresh} test="vmon" /><span class="set-small">set <Value v={ch.vreq} unit="V" max={max} fresh={fresh} /></span></td>
                <td class="num"><Value v={ch.imon} unit="A" fresh={fresh} test="imon" /></td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
