// The way of each command that this page has sent to a device.
import { commands, commandText, steps } from '../live/commands'
import { live } from '../live/store'
import { Chip, phaseTone } from '../ui/Chip'
import { clockTime, plain } from '../ui/format'

export function MyCommands ({ device }: { device: string }) {
  const mine = commands.value.filter(c => c.device === device).slice(0, 10)
  const acks = live.acks.value
  return (
    <section class="card" aria-labelledby="h-mine" data-test="my-commands">
      <div class="card-head"><h2 id="h-mine">Commands from here</h2></div>
      {mine.length === 0 && <p class="muted">None yet. Each is shown with its way: sent, accepted, done.</p>}
      <ol class="plain acks">
        {mine.map(s => (
          <li key={s.key} data-test="command" data-phase={s.phase}>
            <strong>{commandText(s)}</strong>
            <ol class="plain steps">
              {steps(s, acks).map((step, i) => (
                <li key={i} class="row-inline">{i > 0 && <span class="arrow" aria-hidden="true">→</span>}<Chip tone={phaseTone(step.phase === 'refused' ? 'rejected' : step.phase)}>{step.phase}</Chip><span class="num muted">{clockTime(step.at)}{i > 0 && ` +${(Math.max(0, step.at - s.at) / 1000).toFixed(2)} s`}</span>{step.code && step.code !== 'OK' && <strong>{step.code}</strong>}</li>
              ))}
            </ol>
            {s.message && <span class="small">{s.message}</span>}
            {(s.readback !== null || s.closest !== null) && <span class="small muted num">{s.readback !== null && `reads back ${plain(s.readback)}`}{s.closest !== null && ` closest valid ${plain(s.closest)}`}</span>}
          </li>
        ))}
      </ol>
    </section>
  )
}
