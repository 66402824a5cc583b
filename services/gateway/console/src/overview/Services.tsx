// The stack's services.
import { live } from '../live/store'
import { StateChip } from '../ui/Chip'

export function Services () {
  const services = live.services.value
  if (services.length === 0) return null
  return (
    <section class="section" aria-labelledby="h-services">
      <h2 id="h-services">Services</h2>
      <ul class="plain strip">
        {services.map(s => (
          <li key={s.name} data-test={`service-${s.name}`}><strong>{s.name}</strong><StateChip state={s.state?.state} error={s.state?.error} />{s.state?.error && <span class="small muted">{s.state.error}</span>}</li>
        ))}
      </ul>
    </section>
  )
}
